"""One look at every position of the account: whom somebody has to see to now.

A stop that works is on the exchange, for the whole quantity, with the price on its right side.
That is read from the exchange alone: positions with their prices in one request (weight 5), and
the conditional orders of each symbol held (weight 1 each). Only what does not look like that is
looked up in the store.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from shared.errors import ExchangeError, ExchangeHalted, StoreError
from shared.execution import latecomers, protection, stop_watch
from shared.execution.desk import Desk
from shared.execution.elapsed import Elapsed
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.execution.ids import is_ours
from shared.execution.sighting import shown_positions
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.risk import stops
from shared.storage.records import readable
from shared.storage.store import Where, every

#: Seconds from one look at the account to the next, counted from when they begin; what is left
#: after one that took longer; and after one that could not see the account, or its stops.
SURVEY_EVERY = 2.0
AT_LEAST = 0.5
AGAIN = 1.0

#: Seconds at most, where the exchange says when it answers again, or does not let us in at all.
LONGEST = 15.0

#: From so many positions on the conditional orders of all symbols (weight 40) are the cheaper.
ALL_AT_ONCE = 40

#: An entry that is about to be sent becomes a position within this time, milliseconds.
ENTERING_MS = 60_000


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What one look saw.

    ``held``: something of ours is open, or may be, and is looked at again. ``due``: symbol and
    decision of the positions that somebody has to see to now. ``blind``: the conditional orders
    could not be read.
    """

    held: bool
    due: tuple[tuple[str, str], ...] = ()
    blind: bool = False


def survey(desk: Desk) -> Survey:
    """Look at all positions; changes nothing.

    Raises
    ------
    ExchangeError
        When the positions could not be read: nobody knows what is open.
    """
    venue = shown_positions(desk)
    book = _Conditional(desk, venue)
    held = False
    due: list[tuple[str, str]] = []
    for position in venue:
        algos = book.of(position.symbol)
        if algos is not None and sound(position, algos):
            held = True
            continue
        try:
            record = _record(desk, position.symbol)
            alone = record is not None and (
                record.state == "closed" or stop_watch.left_alone(desk, record)
            )
        except StoreError as error:
            # Nobody knows where its stop belongs; what rests on the exchange protects it.
            logging.getLogger("borsa").error("survey: %s: %s", position.symbol, error)
            held = True
            continue
        if record is None:
            continue  # somebody else's: the guardian tells it
        held = True
        if alone or (
            record.state == "open"
            and (
                algos is not None
                or record.exit_reason
                or stops.breached(record, position.mark_price)
                or book.over(record, position)
            )
        ):
            due.append((position.symbol, record.decision_id))
    return Survey(held=held or _entering(desk), due=tuple(due), blind=book.failed)


def sound(position: VenuePosition, algos: Sequence[VenueAlgoOrder]) -> bool:
    """Whether stops of ours cover all of it and none of them should have triggered by now."""
    side = "SELL" if position.quantity > 0 else "BUY"
    mark = position.mark_price
    return protection.covering_stop(position, algos) and not any(
        (mark <= a.trigger_price if side == "SELL" else mark >= a.trigger_price)
        for a in algos
        if a.symbol == position.symbol
        and a.side == side
        and a.type == "STOP_MARKET"
        and a.trigger_price is not None
        and is_ours(a.client_algo_id)
    )


class _Conditional:
    """Conditional orders by symbol; after one failure the others are not asked for any more, nor
    are stops by their ids after another.

    Each may take a time-out, and by then a price that is through its stop has waited too long.
    """

    def __init__(self, desk: Desk, venue: Sequence[VenuePosition]) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._all: Sequence[VenueAlgoOrder] | None = None
        self._at_once = len(venue) > ALL_AT_ONCE
        self.failed = False
        self._unknown = False

    def over(self, record: PositionRecord, position: VenuePosition) -> bool:
        """Where they cannot be read: whether a position's own stop is known not to cover it."""
        if self._unknown:
            return False
        try:
            own = stop_watch.own_stop(self._desk, record)
        except ExchangeError as error:
            logging.getLogger("borsa").error("survey: stop of %s: %s", record.id, error)
            self._unknown = True
            return False
        return own is not None and not protection.covering_stop(position, [own])

    def of(self, symbol: str) -> Sequence[VenueAlgoOrder] | None:
        """Those of a symbol, perhaps among others; ``None`` if they cannot be read."""
        if self.failed:
            return None
        try:
            if not self._at_once:
                return self._exchange.open_algo_orders(symbol)
            if self._all is None:
                self._all = self._exchange.open_algo_orders()
            return self._all
        except ExchangeError as error:
            logging.getLogger("borsa").error("survey: conditional orders: %s", error)
            self.failed = True
            return None


def _record(desk: Desk, symbol: str) -> PositionRecord | None:
    """The record that explains a position of the symbol, or may."""
    found = positions.load(desk.store, desk.account, symbol)
    if found is None or (found[0].state == "closed" and not latecomers.awaited(desk, found[0])):
        return None
    return found[0]


def _entering(desk: Desk) -> bool:
    """Whether an entry is on its way, or has led to a position since the look at the exchange.

    Who has opened one starts the watch, in vain while the last one is still about to end.
    """
    now = desk.clock.now_ms()
    try:
        records = positions.open_among(desk.store, desk.account, desk.symbols)
        # One whose outcome nobody knows may turn out to have been executed.
        return any(
            r.state == "opening" or now - r.opened_at < ENTERING_MS for r in records.values()
        ) or any(latecomers.awaited(desk, r) for r in _begun_lately(desk, now))
    except StoreError:
        return True


def _begun_lately(desk: Desk, now: int) -> list[PositionRecord]:
    where = [Where("openedAt", ">=", now - latecomers.AWAITED_MS)]
    found = every(desk.store, positions.CONTAINER, desk.account, where=where)
    return list(readable(found, PositionRecord))


def pause(looked: Elapsed, trouble: ExchangeError | None = None) -> float:
    """Seconds until the account is looked at again.

    Parameters
    ----------
    looked : Elapsed
        Since the look began.
    trouble : ExchangeError, optional
        What kept it from seeing anything. One that has said when it answers again is not asked
        before that: within the time it names, requests are refused here and do not leave.
    """
    if isinstance(trouble, ExchangeHalted):
        return LONGEST
    if trouble is not None:
        return min(max(AGAIN, trouble.retry_after), LONGEST)
    return max(AT_LEAST, SURVEY_EVERY - looked.ms() / 1000)
