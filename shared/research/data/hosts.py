"""Where Binance publishes market history; the downloader's own function, hence constants."""

from __future__ import annotations

ARCHIVE = "https://data.binance.vision"
REST = "https://fapi.binance.com"
