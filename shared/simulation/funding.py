"""Funding: the rate's formula and what a settlement does to the holders."""

from __future__ import annotations

from decimal import Decimal

from shared.simulation import margin
from shared.simulation.core import VenueCore
from shared.simulation.orders import CENT

_BAND = Decimal("0.0005")


def funding_rate(premium: Decimal, interest: Decimal, interval_hours: int) -> Decimal:
    """Rate of one settlement from the average premium and the 8-hour interest rate.

    ``[P + clamp(I - P, -0.05 %, +0.05 %)] / (8 / N)`` for an interval of N hours.
    """
    band = min(_BAND, max(-_BAND, interest - premium))
    return (premium + band) * interval_hours / 8


def settle_funding(core: VenueCore, symbol: str, rate: Decimal) -> None:
    """Pay or charge every account that holds the symbol at this instant."""
    mark = core.mark_price(symbol)
    for account in core.accounts.values():
        for position in account.positions_of(symbol):
            fee = margin.funding_fee(position.quantity, mark, rate).quantize(CENT)
            if not fee:
                continue
            isolated = account.setting(symbol).isolated
            if isolated:
                position.isolated_wallet += fee
                account.store_position(position)
            else:
                account.cross_wallet += fee
            core.book_income(account, "FUNDING_FEE", fee, symbol=symbol)
            core.changed()
            core.emit_account(
                account,
                "FUNDING_FEE",
                (position,) if isolated else (),
                change=fee,
                isolated=isolated,
                symbol=symbol,
            )
