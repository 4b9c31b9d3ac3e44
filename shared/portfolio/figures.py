"""Figures as the API tells them: plain decimals, no exponent, no more places than mean anything."""

from __future__ import annotations

from decimal import Decimal

#: The exchange books USDT to eight places; prices and quantities have fewer.
PLACES = Decimal("0.00000001")
#: A millionth of what a fraction is of.
FRACTION = Decimal("0.000001")


def plain(value: Decimal) -> str:
    """Money, a price or a quantity: ``0`` for ``0E-8``, ``4999.5`` for ``4999.50000000``."""
    return _shortest(value.quantize(PLACES))


def fraction(value: Decimal) -> str:
    """A part of a whole, to six places: a drawdown of ``0.000411`` is 0.0411 %."""
    return _shortest(value.quantize(FRACTION))


def _shortest(value: Decimal) -> str:
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
