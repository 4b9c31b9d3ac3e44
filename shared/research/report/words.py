"""Figures and times as a reader likes them, and text made safe for HTML."""

from __future__ import annotations

import html
import math
import re

from shared.clock import iso

MINUS = "\u2212"
NONE = "\u2013"


def safe(text: object) -> str:
    """Text in HTML."""
    return html.escape(str(text))


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """``1,234.50``; a dash for what is not defined."""
    if value is None or not math.isfinite(value):
        return NONE
    rounded = round(value, digits) + 0.0
    text = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if sign and rounded > 0 else text


def percent(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A fraction in percent."""
    if value is None or not math.isfinite(value):
        return NONE
    return number(100.0 * value, digits, sign=sign) + "\u202f%"


def prose(text: str) -> str:
    """A sentence in HTML, its figures written as everywhere else on the page."""
    told = re.sub(r"(?<=\d) ?%", "\u202f%", text)
    return safe(re.sub(r"(?<![\w-])-(?=\d)", MINUS, told))


def money(value: float | None, *, sign: bool = False) -> str:
    """USDT with as many decimals as matter."""
    digits = 0 if value is not None and abs(value) >= 10_000 else 2
    return number(value, digits, sign=sign)


def price(value: float) -> str:
    """A price with about six significant digits."""
    if value == 0 or not math.isfinite(value):
        return "0"
    digits = max(0, min(8, 5 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def day(ms: int) -> str:
    """``2025-05-31``; a midnight that closes a day is that day."""
    return iso(ms - 1)[:10]


def minute(ms: int) -> str:
    """``2025-05-31 14:05``."""
    return iso(ms)[:16].replace("T", " ")


def hours(value: float | None) -> str:
    """``45 min``, ``6.5 h`` or ``3.2 d``."""
    if value is None:
        return NONE
    if value < 1:
        return f"{value * 60:.0f}\u202fmin"
    return f"{value:.1f}\u202fh" if value < 48 else f"{value / 24:.1f}\u202fd"


def tone(value: float | None) -> str:
    """Class of a gain or a loss."""
    if value is None or not math.isfinite(value) or abs(value) < 1e-12:
        return ""
    return "up" if value > 0 else "down"
