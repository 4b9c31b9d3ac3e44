"""The account's holdings as the exchange shows them, with the orders that protect them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.execution.desk import Desk
from shared.execution.exchange import LIVE_ALGO, Account, VenueAlgoOrder, VenuePosition
from shared.risk.exposure import positions_as_exposure
from shared.risk.history import MarketHistory
from shared.risk.ledger_view import LedgerView
from shared.risk.plan import Exposure

ZERO = Decimal(0)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A position with the stop and the target that cover all of it, if any do."""

    position: VenuePosition
    stop_price: Decimal | None
    take_profit_price: Decimal | None


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a measure of the whole portfolio needs, read at one moment."""

    account: Account
    held: tuple[Held, ...]
    ledger: LedgerView
    exposures: tuple[Exposure, ...]
    history: MarketHistory
    at: int


def read(desk: Desk) -> Exposed:
    """The account now.

    Raises
    ------
    ExchangeError
        When the exchange could not be asked.
    """
    account, positions = desk.exchange.account_and_positions()
    # By symbol, weight 1 each: all at once cost forty, and they have the priority of exits.
    algos = [a for p in positions for a in desk.exchange.open_algo_orders(p.symbol)]
    ledger = desk.ledger.read()
    exposures = (*positions_as_exposure(positions), *ledger.exposures())
    return Exposed(
        account=account,
        held=tuple(
            Held(
                position=p,
                stop_price=covering(p, algos, "STOP_MARKET"),
                take_profit_price=covering(p, algos, "TAKE_PROFIT_MARKET"),
            )
            for p in sorted(positions, key=lambda p: p.symbol)
        ),
        ledger=ledger,
        exposures=exposures,
        history=desk.histories.of(e.symbol for e in exposures),
        at=desk.clock.now_ms(),
    )


def covering(
    position: VenuePosition, algos: Sequence[VenueAlgoOrder], type_: str
) -> Decimal | None:
    """The price by which orders of a type have closed all of a position, ``None`` if none do."""
    long = position.quantity > 0
    mine = [
        a
        for a in algos
        if a.symbol == position.symbol
        and a.type == type_
        and a.side == ("SELL" if long else "BUY")
        and a.status in LIVE_ALGO
        and a.trigger_price is not None
    ]
    # In the order in which the price meets them: a long's stop from above, its target from below.
    down = long == (type_ == "STOP_MARKET")
    mine.sort(key=lambda a: a.trigger_price or ZERO, reverse=down)
    covered = ZERO
    for algo in mine:
        covered += abs(position.quantity) if algo.close_position else algo.quantity
        if covered >= abs(position.quantity):
            return algo.trigger_price
    return None
