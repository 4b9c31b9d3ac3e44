"""Filters of a contract, each with the code the venue answers."""

from __future__ import annotations

from decimal import Decimal

from shared.simulation.contracts import Contract
from shared.simulation.refusal import VenueRefusal


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def check_quantity(contract: Contract, quantity: Decimal, *, market: bool) -> None:
    """LOT_SIZE, or MARKET_LOT_SIZE for market orders."""
    i = contract.instrument
    low, high, step = (
        (i.market_min_quantity, i.market_max_quantity, i.market_step_size)
        if market
        else (i.min_quantity, i.max_quantity, i.step_size)
    )
    if quantity <= 0:
        raise VenueRefusal(-4003)
    if _decimals(quantity) > contract.quantity_precision:
        raise VenueRefusal(-1111)
    if quantity < low:
        raise VenueRefusal(-4004)
    if quantity > high:
        raise VenueRefusal(-4005)
    if (quantity - low) % step:
        raise VenueRefusal(-4023)


def check_price(contract: Contract, price: Decimal, *, trigger: bool = False) -> None:
    """PRICE_FILTER; it holds for trigger prices too."""
    i = contract.instrument
    if price <= 0:
        raise VenueRefusal(-4006 if trigger else -4001)
    if _decimals(price) > contract.price_precision:
        raise VenueRefusal(-1111)
    if price > i.max_price:
        raise VenueRefusal(-4007 if trigger else -4002)
    if price < i.min_price:
        raise VenueRefusal(-4013)
    if (price - i.min_price) % i.tick_size:
        raise VenueRefusal(-4014)


def check_percent(contract: Contract, price: Decimal, mark: Decimal, *, buy: bool) -> None:
    """PERCENT_PRICE: how far a limit price may be through the mark price."""
    i = contract.instrument
    if buy and price > (bound := mark * i.multiplier_up):
        shown = plain(i.round_price(bound, up=False))
        raise VenueRefusal(-4016, f"Limit price can't be higher than {shown}.")
    if not buy and price < (bound := mark * i.multiplier_down):
        shown = plain(i.round_price(bound, up=True))
        raise VenueRefusal(-4024, f"Limit price can't be lower than {shown}.")


def check_trigger_distance(
    contract: Contract, price: Decimal, trigger: Decimal, *, buy: bool
) -> None:
    """How far a conditional order's limit price may be through its own trigger price."""
    i = contract.instrument
    if buy and price > (bound := trigger * i.multiplier_up):
        shown = plain(i.round_price(bound, up=False))
        raise VenueRefusal(-4183, f"Limit price can't be higher than {shown}.")
    if not buy and price < (bound := trigger * i.multiplier_down):
        shown = plain(i.round_price(bound, up=True))
        raise VenueRefusal(-4184, f"Limit price can't be lower than {shown}.")


def check_notional(contract: Contract, quantity: Decimal, price: Decimal) -> None:
    """MIN_NOTIONAL; reduce-only orders are exempt and do not come here."""
    least = contract.instrument.min_notional
    if quantity * price < least:
        raise VenueRefusal(
            -4164,
            f"Order's notional must be no smaller than {plain(least)} "
            "(unless you choose reduce only).",
        )
