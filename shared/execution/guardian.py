"""Every minute: positions have their stops, stops trail, time is up, strangers are reported.

The guardian believes the exchange. It repairs what the workflows left when they were killed, so
nothing depends on any single function having finished.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from shared.compliance import promotion
from shared.errors import AuditBroken, BorsaError, ExchangeError, NotFound
from shared.execution import (
    balance,
    chase,
    entry,
    flatten,
    latecomers,
    orphans,
    permits,
    protection,
    replacement,
    settlement,
    stop_watch,
    strangers,
    unlisted,
    watch,
)
from shared.execution.assess import load as load_decision
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.elapsed import Deadline, Elapsed
from shared.execution.exchange import Account, VenueAlgoOrder, VenuePosition, instrument_of
from shared.execution.ids import client_id
from shared.execution.sighting import held_position, shown_positions
from shared.execution.stop_watch import WORKFLOW_GRACE_MS
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.risk import kill_switch, stops
from shared.risk.ledger import LedgerView
from shared.telemetry import record as measure

#: The same trouble is told again after this long.
ALERT_EVERY_MS = 600_000

#: Bars of the average true range.
ATR_BARS = 14

#: Minutes between rounds that look at every record there is, by a query.
SWEEP_MINUTES = 5


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round saw and did.

    ``held``: a position of ours is open. ``near``: symbol and decision of positions to be watched
    one by one. ``closing``: latched, and the account
    is to be flat; ``verified`` once an emergency run has found it so.
    """

    equity: Decimal
    drawdown: Decimal
    positions: int
    unprotected: int
    repaired: int = 0
    trailed: int = 0
    closed: int = 0
    settled: int = 0
    foreign: int = 0
    orphans: int = 0
    permits: int = 0
    latched: str = ""
    closing: bool = False
    verified: bool = False
    failures: tuple[str, ...] = ()
    held: bool = False
    near: tuple[tuple[str, str], ...] = ()


def guard(desk: Desk) -> Round:
    """One round over the whole account.

    Raises
    ------
    StoreError
        The ledger or the switch could not be read, or a latch not be written; positions were
        looked after all the same.
    """
    try:
        account, venue = desk.exchange.account_and_positions()
    except ExchangeError:
        _without_account(desk)
        raise
    records = _records(desk, venue)
    failures: list[str] = []
    try:
        ledger = desk.ledger.update_equity(account.equity, desk.environment)
        switch = desk.kill_switch.ensure()
        try:
            latched = watch.account(desk, account, ledger, switch)
        except AuditBroken as error:
            # The switch is latched first and told afterwards: what follows from it is done.
            failures.append(f"audit: {error}")
            latched, switch = "", desk.kill_switch.ensure()
    except BorsaError:
        # Who is naked gets his stop first. What was reserved is left to a round that can read it.
        _blindly(desk, venue, records)
        raise
    drawdown = kill_switch.drawdown(account.equity, ledger.equity_peak)
    counts = _nothing()
    unprotected = 0
    outstanding = switch.outstanding
    near: tuple[tuple[str, str], ...] = ()
    if venue or records:
        near = tuple(
            (p.symbol, records[p.symbol].decision_id)
            for p in venue
            if p.symbol in records and stop_watch.near(records[p.symbol], p, desk.stop_watch)
        )
        served = {r.decision_id for r in ledger.reservations.values()}
        served |= {
            r.decision_id
            for r in records.values()
            if client_id(desk.account, r.decision_id, "e") in outstanding
        }
        unprotected = _positions(desk, venue, records, counts, served, failures)
    if any(desk.clock.now_ms() - at > WORKFLOW_GRACE_MS for at in outstanding.values()):
        # Whoever took them has died, or ended without a word: a latch would wait for them.
        try:
            permits.resolve(desk)
        except BorsaError as error:
            failures.append(f"permits: {type(error).__name__}: {error}")
    if sweeps(desk) and not latched:
        latched = _sweep(desk, account, ledger, switch, failures)
    elif ledger.balance is None:
        # Does not wait for the sweep: without a reference a withdrawal is a loss.
        try:
            balance.check(desk, account, ledger)
        except BorsaError as error:
            logging.getLogger("borsa").error(
                "guardian: no reference for transfers yet: %s: %s", type(error).__name__, error
            )
    if failures:
        desk.alert(
            "critical",
            "guardian-trouble",
            f"The guardian could not finish {len(failures)} of its tasks",
            f"{'; '.join(failures[:5])}. It tries again every minute.",
            correlation="guardian",
            once=str(desk.clock.now_ms() // ALERT_EVERY_MS),
        )
    if latched:
        # Just now; whether it closes positions is in the document.
        switch = desk.kill_switch.ensure()
    _measure(desk, account, drawdown, unprotected, switch.state == "latched")
    return Round(
        equity=account.equity,
        drawdown=drawdown,
        positions=len(venue),
        unprotected=unprotected,
        permits=len(outstanding),
        latched=switch.trigger or "",
        closing=switch.state == "latched" and switch.closing,
        verified=switch.flat_at is not None,
        failures=tuple(failures),
        held=any(p.symbol in records for p in venue),
        near=near,
        **counts,
    )


def _sweep(
    desk: Desk,
    account: Account,
    ledger: LedgerView,
    switch: kill_switch.SwitchStatus,
    failures: list[str],
) -> str:
    """What can wait a few minutes, each by itself; the trigger that has latched, or empty."""
    latched = ""
    try:
        latched = watch.activity(desk, account, ledger, switch)
    except BorsaError as error:
        failures.append(f"activity: {type(error).__name__}: {error}")
    for name, look in (("stage", promotion.watch), ("position mode", watch.position_mode)):
        try:
            look(desk)
        except BorsaError as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
    return latched


def _nothing() -> dict[str, int]:
    return dict.fromkeys(("repaired", "trailed", "closed", "settled", "foreign", "orphans"), 0)


def _blindly(
    desk: Desk, venue: Sequence[VenuePosition], records: Mapping[str, PositionRecord]
) -> None:
    """Look after the positions without knowing what the ledger and the switch say."""
    failures: list[str] = []
    if venue or records:
        _positions(desk, venue, records, _nothing(), (), failures)
    for failure in failures:
        logging.getLogger("borsa").error("guardian: %s", failure)


def _without_account(desk: Desk) -> None:
    """Balances cannot be read: positions are looked after if they can be."""
    try:
        venue = shown_positions(desk)
        _blindly(desk, venue, _records(desk, venue))
    except BorsaError as error:
        logging.getLogger("borsa").error("guardian: %s: %s", type(error).__name__, error)


def sweeps(desk: Desk) -> bool:
    """Whether this round does what costs queries and can wait a few minutes."""
    return desk.clock.now_ms() // 60_000 % SWEEP_MINUTES == 0


def _records(desk: Desk, venue: Sequence[VenuePosition]) -> dict[str, PositionRecord]:
    """Our open records: of what is traded and what is held, and now and then of everything.

    A record of a symbol that is neither is one that was taken out of the settings and then closed
    by its stop: it only has to be settled, which can wait for the sweep.
    """
    if sweeps(desk):
        return positions.open_records(desk.store, desk.account)
    symbols = sorted({*desk.symbols, *(p.symbol for p in venue)})
    return positions.open_among(desk.store, desk.account, symbols)


def wrong_settings(desk: Desk, problems: Sequence[str]) -> None:
    """Say that settings are wrong: positions are looked after, and nothing is opened."""
    if problems:
        desk.alert(
            "critical",
            "settings-wrong",
            f"{len(problems)} settings are wrong: nothing is opened",
            f"{'; '.join(problems)}. Positions are looked after and closed with the defaults.",
            correlation="settings",
            once=str(desk.clock.now_ms() // ALERT_EVERY_MS // 6),
        )


def blind(desk: Desk, error: ExchangeError) -> None:
    """The exchange cannot be read: say so, and that the stops rest there all the same."""
    watch.unreachable(desk, error)
    desk.alert(
        "critical",
        "guardian-blind",
        "The guardian cannot see the exchange",
        f"{type(error).__name__}: {error}. Stops rest on the exchange; nothing else is watched.",
        correlation="guardian",
        once=str(desk.clock.now_ms() // ALERT_EVERY_MS),
    )


def _positions(
    desk: Desk,
    venue: Sequence[VenuePosition],
    records: Mapping[str, PositionRecord],
    counts: dict[str, int],
    served: Collection[str],
    failures: list[str],
) -> int:
    """Every position, then every record without one; trouble with one leaves none of the others.

    ``served`` names decisions that still hold a permit or a reservation.
    """
    looked = Elapsed(desk.clock)
    try:
        algos = desk.exchange.open_algo_orders()
    except ExchangeError as error:
        failures.append(f"conditional orders: {type(error).__name__}: {error}")
        mine = {s: r for s, r in records.items() if not _in_workflow(desk, r)}
        unlisted.look_after(desk, venue, mine, counts, failures)
        _without_positions(desk, venue, records, counts, failures)
        return 0
    held = {p.symbol: p for p in venue}
    unprotected = 0
    # The naked ones first: whatever else takes time can wait.
    for position in sorted(venue, key=lambda p: protection.uncovered(p, algos) <= 0):
        record = records.get(position.symbol)
        try:
            if record is None:
                if latecomers.close(desk, position):
                    counts["closed"] += 1
                    continue
                counts["foreign"] += 1
                strangers.report_position(desk, position)
                continue
            unprotected += _position(desk, record, position, algos, counts, served, looked)
        except BorsaError as error:
            failures.append(f"{position.symbol}: {type(error).__name__}: {error}")
    _without_positions(desk, venue, records, counts, failures)
    try:
        counts["orphans"] += orphans.cancel(desk, algos, held, records)
        for order in strangers.orders((), algos):
            # Plain ones are asked for by reconciliation: the list of all of them weighs 40.
            counts["foreign"] += 1
            strangers.report_order(desk, order)
    except BorsaError as error:
        failures.append(f"orphans: {type(error).__name__}: {error}")
    return unprotected


def _position(
    desk: Desk,
    record: PositionRecord,
    position: VenuePosition,
    algos: Sequence[VenueAlgoOrder],
    counts: dict[str, int],
    served: Collection[str],
    looked: Elapsed,
) -> bool:
    """Look after one position of ours; whether it was found without a full stop.

    ``looked`` since the orders were asked for: others may have been seen to meanwhile.
    """
    naked = protection.uncovered(position, algos) > 0
    opening = record.state == "opening"
    if opening and _in_workflow(desk, record):
        return False
    if stop_watch.due(desk, record, position, algos):
        still = stop_watch.see_through(desk, record)
        if still is None:
            counts["closed"] += 1
            return naked
        position, algos = still
        naked = protection.uncovered(position, algos) > 0
    if naked or opening:
        naked_ms = looked.ms() + (0 if opening else stop_watch.UNSEEN_MS)
        counts["repaired"] += protection.protect(desk, record, position, naked_ms)
        if not _in_workflow(desk, record):
            _entry_done(desk, record)
        return naked
    if record.decision_id in served and not _in_workflow(desk, record):
        # The entry's last step was interrupted after the stop was live.
        _entry_done(desk, record)
    if record.exit_reason or stops.time_is_up(record, desk.clock.now_ms()):
        counts["closed"] += flatten.close_position(desk, record, "time exit")
        return False
    if _in_workflow(desk, record):
        # It may be growing: the stop of its full size must not be replaced by one of this look's.
        return False
    counts["orphans"] += replacement.prune(desk, record, position, algos)
    try:
        counts["trailed"] += _trail(desk, record, position)
    except ExchangeError:
        # What hinders the stop from being moved must not keep a reached target from being taken.
        _take_profit(desk, record, position, algos)
        raise
    _take_profit(desk, record, position, algos)
    return False


def _without_positions(
    desk: Desk,
    venue: Sequence[VenuePosition],
    records: Mapping[str, PositionRecord],
    counts: dict[str, int],
    failures: list[str],
) -> None:
    """Every record whose symbol is flat; trouble with one leaves none of the others."""
    held = {p.symbol for p in venue}
    for symbol, record in records.items():
        if symbol in held or (record.state == "opening" and _in_workflow(desk, record)):
            continue
        try:
            _without_position(desk, record, counts)
        except BorsaError as error:
            failures.append(f"{symbol}: {type(error).__name__}: {error}")


def _without_position(desk: Desk, record: PositionRecord, counts: dict[str, int]) -> None:
    """A record whose symbol is flat: an entry that came to nothing, or a closed trade."""
    if record.state == "opening" and not _resolved(desk, record):
        return
    # What still rests of the entry goes first: filled after the trade was booked it would be a
    # position that nobody answers for. It may have filled since this round looked.
    if not chase.conclude(desk, record.id, record.decision_id) or held_position(desk, record.id):
        return
    if settlement.settle_closed(desk, record) is not None:
        counts["settled"] += 1
        _entry_done(desk, record)


def _in_workflow(desk: Desk, record: PositionRecord) -> bool:
    # A record of the future is one of a clock that has been corrected since: nobody is at it.
    return abs(desk.clock.now_ms() - record.opened_at) < WORKFLOW_GRACE_MS


def _resolved(desk: Desk, record: PositionRecord) -> bool:
    """Whether the outcome of an interrupted entry is known now; asks the venue if not."""
    result = entry.resume(desk, record)
    return result is None or result.status in ("unknown", "flat", "protected")


def _entry_done(desk: Desk, record: PositionRecord) -> None:
    """The entry led to a position: nothing of it rests, its permits and reservation have served."""
    if not chase.conclude(desk, record.id, record.decision_id):
        return  # again in the next round
    desk.kill_switch.release_permit(client_id(desk.account, record.decision_id, "e"))
    desk.ledger.convert(record.decision_id)


def _trail(desk: Desk, record: PositionRecord, position: VenuePosition) -> bool:
    """Move the stop where its layers want it, if that is worth two orders."""
    tick = instrument_of(desk.exchange, record.id).tick_size
    step = stops.next_stop(record, position.mark_price, tick, record.rules, _atr(desk, record))
    if step.best_price != record.best_price:
        # Another run may have seen a better one since this one has read the record.
        record = positions.update(desk.store, record, partial(_with_best, step.best_price))
    return step.move and replacement.move_stop(
        desk, record, position, step.stop_price, reason=step.layer
    )


def _with_best(best: Decimal, record: PositionRecord) -> PositionRecord:
    better = max if record.side == "BUY" else min
    return msgspec.structs.replace(record, best_price=better(best, record.best_price))


def _atr(desk: Desk, record: PositionRecord) -> Decimal | None:
    """Average true range now, where a position's stop asks for it and the venue answers."""
    if not record.rules.trail_atr or not record.timeframe:
        return None
    try:
        bars = desk.exchange.candles(record.id, record.timeframe, limit=ATR_BARS + 1)
    except ExchangeError:
        return None  # the distance that was planned counts
    if len(bars) <= ATR_BARS:
        return None
    return stops.average_true_range(
        [Decimal(str(b.high)) for b in bars],
        [Decimal(str(b.low)) for b in bars],
        [Decimal(str(b.close)) for b in bars],
    )


def _take_profit(
    desk: Desk, record: PositionRecord, position: VenuePosition, algos: Sequence[VenueAlgoOrder]
) -> None:
    """A position may lose its target (a refused or expired one): put it back, or take it."""
    side = "SELL" if position.quantity > 0 else "BUY"
    targets = {
        a.status
        for a in algos
        if a.symbol == record.id and a.side == side and a.type == "TAKE_PROFIT_MARKET"
    }
    if "NEW" in targets:
        return
    if stops.reached(record, position.mark_price):
        # Reached while no order was there to take it; one placed now would be refused (-2021). Or
        # it has triggered and is stuck, which lists may show for ever; two close no more than
        # there is.
        flatten.close_position(desk, record, "take profit")
        return
    if targets:
        return  # at work, or stuck and the price has come back: the stop protects
    deadline = Deadline(desk.clock, protection.DEADLINE_MS)
    books = Books(desk.clock)
    protection.secure(desk, record, "t", abs(position.quantity), deadline, books)
    books.catch_up()


def _measure(
    desk: Desk, account: Account, drawdown: Decimal, unprotected: int, latched: bool
) -> None:
    measure("borsa.equity", float(account.equity), account=desk.account)
    measure("borsa.drawdown", float(drawdown), account=desk.account)
    measure("borsa.positions.unprotected", unprotected, account=desk.account)
    measure("borsa.kill_switch.latched", int(latched), account=desk.account)
    measure("borsa.guardian.heartbeat", account=desk.account)


def confirm_protection(desk: Desk, symbol: str, signal_id: str) -> bool:
    """Whether the position of a decision is covered by a live stop; places it if it is not.

    The entry has placed the stop already; this is the look with the exchange's eyes, and what
    resumes after a crash between the two. A position that is gone needs no stop.
    """
    stored = load_decision(desk, symbol, signal_id)
    found = positions.load(desk.store, desk.account, symbol)
    if stored is None or found is None:
        raise NotFound(f"no decision or position record for {signal_id}")
    record = found[0]
    if record.decision_id != signal_id or record.state == "closed":
        return False
    position = held_position(desk, symbol)
    if position is None:
        return False
    looked = Elapsed(desk.clock)
    algos: Sequence[VenueAlgoOrder] = desk.exchange.open_algo_orders(symbol)
    if stop_watch.due(desk, record, position, algos):
        still = stop_watch.see_through(desk, record)
        if still is None:
            return False
        position, algos = still
    if protection.covering_stop(position, algos):
        return True
    unseen = 0 if record.state == "opening" else stop_watch.UNSEEN_MS
    return protection.protect(desk, record, position, looked.ms() + unseen)
