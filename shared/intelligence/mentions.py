"""Which contracts a text speaks of: by name, or by ticker written as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

#: Names of coins beside their tickers, in lower case. Words that are more often something else
#: (link, dot, polygon) are left out.
_NAMES: dict[str, tuple[str, ...]] = {
    "BTC": ("bitcoin", "xbt"),
    "ETH": ("ethereum", "ether"),
    "XRP": ("ripple",),
    "ADA": ("cardano",),
    "SOL": ("solana",),
    "BNB": ("binance coin",),
    "DOGE": ("dogecoin",),
    "LTC": ("litecoin",),
    "DOT": ("polkadot",),
    "LINK": ("chainlink",),
    "AVAX": ("avalanche",),
    "TRX": ("tron",),
    "BCH": ("bitcoin cash",),
    "XLM": ("stellar lumens",),
}
_QUOTES = ("USDT", "USDC", "USD", "BUSD")


def base_of(symbol: str) -> str:
    """``BTCUSDT`` is BTC; contracts of a thousand coins count as the coin."""
    for quote in _QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            symbol = symbol[: -len(quote)]
            break
    return re.sub(r"^1(0{3}|0{6})(?=[A-Z])", "", symbol)


@lru_cache(maxsize=256)
def _pattern(symbol: str) -> re.Pattern[str]:
    base = base_of(symbol)
    # A ticker in capitals or behind a dollar sign: "ada" and "sol" are words.
    forms = [rf"(?<![A-Za-z0-9]){re.escape(base)}(?:[-/]?USD[TC]?)?(?![A-Za-z0-9])"]
    forms.append(rf"(?i:\${re.escape(base)}(?![a-z0-9]))")
    for name in _NAMES.get(base, ()):
        forms.append(rf"(?i:(?<![a-z0-9]){re.escape(name)}(?![a-z0-9]))")
    return re.compile("|".join(forms))


def mentioned(text: str, symbols: Sequence[str]) -> tuple[str, ...]:
    """Those of ``symbols`` that a text names, in their order."""
    return tuple(symbol for symbol in symbols if _pattern(symbol).search(text))
