"""Stop everything: latch, cancel, close, read back until the exchange shows nothing.

The latch comes first and is the only thing the caller waits for; flattening is repeated by the
emergency workflow until the account is verified flat. Permits issued before the latch are waited
out: the orders behind them are looked up and what they opened is closed as well.

While the store fails everything is cancelled and closed all the same, and the books follow; the
account only counts as flat once the permits have been read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from shared.errors import AuditBroken, BorsaError, ExchangeError, StoreError, StoreUnavailable
from shared.execution import (
    adopt,
    flatten,
    latecomers,
    permits,
    settlement,
    stop_workflows,
    strangers,
)
from shared.execution import emergency_view as seen
from shared.execution import stuck as stuck_orders
from shared.execution.books import STORE_MS, Books
from shared.execution.desk import Desk
from shared.execution.exchange import (
    VenueAlgoOrder,
    VenueOrder,
    VenuePosition,
    open_symbols,
)
from shared.portfolio import positions
from shared.storage.patience import at_most

#: Reading back after closing, within one run.
ROUNDS = 6
PAUSE = 0.15


class Flattened(msgspec.Struct, frozen=True, kw_only=True):
    """State of the account after a run. ``flat`` only when the exchange shows nothing at all.

    ``foreign`` names what was not ours and was cancelled or closed all the same, ``stuck`` what the
    exchange still lists and can neither act nor be cancelled, ``unwritten`` conditional orders that
    were cancelled while the store took nothing: they are listed nowhere any more. While it fails
    ``outstanding_permits`` is at least one: none has been ruled out.
    """

    flat: bool
    closed: tuple[str, ...]
    cancelled: int
    remaining: tuple[str, ...]
    outstanding_permits: int
    failures: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    stuck: str = ""
    unwritten: tuple[str, ...] = ()


def latch(
    desk: Desk, trigger: str, evidence: dict[str, Any], correlation: str, closing: bool = True
) -> bool:
    """Latch the kill switch; ``False`` when it was latched before.

    Without ``closing`` positions keep their stops and nothing is opened any more.
    """
    now = desk.clock.now_ms()
    first = desk.kill_switch.latch(trigger, evidence, at=now, closing=closing)
    tell_latched(desk, trigger, evidence, correlation, first=first, closing=closing)
    return first


def tell_latched(
    desk: Desk,
    trigger: str,
    evidence: dict[str, Any],
    correlation: str,
    *,
    first: bool,
    closing: bool = True,
) -> None:
    """Write down and announce a latch; whoever closes positions does that before."""
    then = "positions are being closed" if closing else "positions keep their stops"
    try:
        desk.note(
            "kill_switch",
            {"state": "latched", "trigger": trigger, "evidence": evidence, "first": first},
            correlation=correlation,
        )
    finally:
        # Also when the chain is broken: people have to know.
        desk.alert(
            "critical",
            "kill-switch",
            f"Kill switch latched: {trigger}",
            f"No order that adds exposure is sent any more; {then}.",
            correlation=correlation,
        )


def workflow_id(desk: Desk) -> str:
    """Id of the emergency workflow of the present latch: one stop, one workflow."""
    return stop_workflows.of_latch(desk.kill_switch.ensure().latched_at)


def called_off(desk: Desk, correlation: str) -> bool:
    """Whether a person has armed trading again after the stop of this workflow.

    What is open by then belongs to new trades. A store that does not answer calls nothing off.

    Raises
    ------
    StoreError, AuditBroken
        It is called off, and that could not be written down.
    """
    try:
        with at_most(STORE_MS / 1000):
            switch = desk.kill_switch.status()
    except StoreError:
        return False
    if switch is None or not stop_workflows.cleared(switch, correlation):
        return False
    desk.note("emergency", {"state": "cleared before it was over"}, correlation=correlation)
    return True


def flatten_account(desk: Desk, correlation: str, attempt: int = 0) -> Flattened:
    """Cancel and close everything on the account, foreign positions included, and verify."""
    closed: list[str] = []
    cancelled = 0
    failures: list[str] = []
    remaining: tuple[str, ...] = ()
    outstanding = done = 0
    foreign: list[str] = []
    gone: list[str] = []
    stuck: list[VenueAlgoOrder] = []
    unread: set[str] = set()
    shown: set[str] = set()
    books = Books(desk.clock)
    try:
        for round_ in range(ROUNDS):
            # Permits first: what an order behind one has opened by now is in what is read next. The
            # other way round a fill between the two looks would be missed.
            outstanding = _permits(desk, books)
            held = seen.positions(desk, failures, unread)
            plain = seen.listed(failures, unread, seen.PLAIN, desk.exchange.open_orders)
            algos = seen.listed(failures, unread, seen.CONDITIONAL, desk.exchange.open_algo_orders)
            stuck = seen.stuck(desk, held, algos)
            algos = [a for a in algos if a not in stuck]
            remaining = tuple(open_symbols(held, plain, algos))
            shown |= {p.symbol for p in held}
            if not remaining and not outstanding and not unread:
                unshown = _unshown(desk, books, shown)
                if not unshown and not books.late:
                    break
                remaining, outstanding = tuple(sorted(unshown)), int(books.late)
            if not round_:
                foreign += _foreign(desk, held, plain, algos, books)
            # What cannot be listed is cancelled wherever something of ours, or held, could be:
            # first where a position is, elsewhere when the positions are closed.
            unlisted = {*desk.symbols, *(p.symbol for p in held)}
            resting = {p.symbol for p in held} if seen.PLAIN in unread else set()
            for symbol in sorted({o.symbol for o in plain} | resting):
                # Entries that still rest would open what is being closed: they go first.
                if _try(failures, symbol, desk.exchange.cancel_all_orders, symbol):
                    cancelled += sum(o.symbol == symbol for o in plain)
            for position in held:
                _try(
                    failures,
                    position.symbol,
                    _close,
                    desk,
                    position,
                    correlation,
                    attempt * ROUNDS + round_,
                    books,
                    readable=seen.POSITIONS not in unread,
                )
            # The stops stay until their position is gone: a close that fails must not leave it
            # naked.
            still = {p.symbol for p in seen.positions(desk, failures, unread)} if held else set()
            closed += [p.symbol for p in held if p.symbol not in still]
            for symbol in sorted(unlisted - resting if seen.PLAIN in unread else ()):
                _try(failures, symbol, desk.exchange.cancel_all_orders, symbol)
            armed = {a.symbol for a in algos} | (unlisted if seen.CONDITIONAL in unread else set())
            # Also where none is listed: one that was placed just now may not be shown yet.
            armed = (armed | {p.symbol for p in held}) - still
            if armed - shown:
                armed -= _unshown(desk, books, shown)
            for symbol in sorted(armed):
                sure = _try(failures, symbol, desk.exchange.cancel_all_algo_orders, symbol)
                for algo in algos:
                    if algo.symbol != symbol:
                        continue
                    # Also where the answer was lost: they may be gone, and in no list any more.
                    write = (
                        partial(adopt.cancelled, desk, algo, "emergency stop")
                        if sure
                        else partial(adopt.conditional, desk, algo)
                    )
                    _try(failures, symbol, _write, books, write)
                    gone.append(algo.client_algo_id)
                    cancelled += sure
            if (round_ or attempt) and len(closed) + cancelled == done:
                # Nothing moves: the workflow comes back after a pause. The lists of all open orders
                # weigh 40 each: more looks would use up the minute's weight, which exits need.
                break
            done = len(closed) + cancelled
            if round_:
                desk.clock.sleep(PAUSE)
    except ExchangeError:
        # Nothing can be seen any more. What has left without its record gets it all the same.
        _try(failures, "records", books.catch_up)
        raise
    written = _try(failures, "records", books.catch_up)
    result = Flattened(
        flat=not remaining and not outstanding and not unread,
        closed=tuple(dict.fromkeys(closed)),
        cancelled=cancelled,
        remaining=remaining,
        outstanding_permits=outstanding,
        failures=tuple(failures),
        foreign=tuple(dict.fromkeys(foreign)),
        stuck=stuck_orders.told(stuck).strip(),
        unwritten=() if written else tuple(gone),
    )
    if _tell(desk, result, correlation, attempt):
        return result
    # Not told, not over: the next run finds the account flat and tells it.
    return msgspec.structs.replace(result, flat=False)


def _tell(desk: Desk, result: Flattened, correlation: str, attempt: int) -> bool:
    """Write down and announce what a run did; ``False`` when the store took not all of it.

    Comes last, and each part by itself: nothing of it may keep the account open.
    """
    steps: list[Callable[[], object]] = []
    body = {**msgspec.to_builtins(result), "attempt": attempt, "at": desk.clock.now_ms()}
    if not result.unwritten:
        body.pop("unwritten")
    if result.foreign:
        steps.append(
            partial(
                desk.alert,
                "critical",
                "emergency-foreign",
                "Emergency stop: orders or positions that are not ours are closed as well",
                f"{'; '.join(result.foreign)}.",
                correlation=correlation,
            )
        )
    steps.append(
        partial(
            desk.note,
            "emergency",
            body,
            correlation=correlation,
        )
    )
    if result.flat:
        steps.append(partial(desk.kill_switch.note_flat, desk.clock.now_ms()))
        steps.append(
            partial(
                desk.alert,
                "info",
                "emergency-flat",
                "Emergency stop: the account is flat",
                "Verified on the exchange: no positions, no orders that could do anything. Closed "
                f"{list(result.closed)}. {result.stuck}".rstrip(),
                correlation=correlation,
            )
        )
    else:
        steps.append(
            partial(
                desk.alert,
                "critical",
                "emergency-not-flat",
                "Emergency stop: the account is NOT flat yet",
                f"Remaining {list(result.remaining)}, unresolved permits "
                f"{result.outstanding_permits}; retrying. {'; '.join(result.failures[-3:])}",
                correlation=correlation,
                once=str(attempt),
            )
        )
    told = True
    for step in steps:
        try:
            step()
        except BorsaError as error:
            # A chain that is broken stays broken: only what the store may still take is repeated.
            told = told and not isinstance(error, StoreError)
            logging.getLogger("borsa").error(
                "emergency stop, not fully recorded: %s: %s", type(error).__name__, error
            )
    return told


def unreachable(desk: Desk, error: ExchangeError, correlation: str, attempt: int) -> None:
    """Say that a run could not even look at the account; once a minute of trying.

    A store that is away as well keeps it from being said, and nothing else.
    """
    try:
        desk.alert(
            "critical",
            "emergency-not-flat",
            "Emergency stop: the exchange cannot be reached, positions may be OPEN",
            f"{type(error).__name__}: {error}. Stops rest on the exchange; retrying for ever.",
            correlation=correlation,
            once=f"unreachable-{attempt // 12}",
        )
    except StoreError as trouble:
        logging.getLogger("borsa").error("nobody was told: %s: %s", type(trouble).__name__, trouble)


def settle_all(desk: Desk, unwritten: Sequence[str] = ()) -> int:
    """Write the trades of positions that the stop closed; the guardian goes on with the rest.

    ``unwritten``: conditional orders that a run has cancelled and could not write down.

    Raises
    ------
    StoreUnavailable
        Nothing is lost by that: called again it goes on.
    """
    settled = 0
    for id_ in unwritten:
        try:
            algo = desk.exchange.algo_order(id_)
            if algo is not None:
                adopt.as_seen(desk, algo)
        except StoreUnavailable:
            raise
        except BorsaError as error:
            logging.getLogger("borsa").error(
                "%s was cancelled and is not written down: %s", id_, error
            )
    try:
        settled = latecomers.take_up(desk)
    except BorsaError as error:
        logging.getLogger("borsa").error(
            "late fills not looked for: %s: %s", type(error).__name__, error
        )
    for record in positions.open_records(desk.store, desk.account).values():
        try:
            settled += settlement.settle_closed(desk, record) is not None
        except BorsaError as error:
            # The account is flat: one symbol's books must not keep the others from being written.
            logging.getLogger("borsa").error(
                "%s is closed and not settled: %s: %s", record.id, type(error).__name__, error
            )
    return settled


def _permits(desk: Desk, books: Books) -> int:
    """Permits that are not resolved; at least one while the store does not say."""
    if not books.late:
        try:
            with at_most(STORE_MS / 1000):
                return permits.resolve(desk)
        except StoreError:
            books.give_up()
    return 1


def _unshown(desk: Desk, books: Books, shown: set[str]) -> set[str]:
    """Symbols whose position may not be shown yet; none while the store does not say: then nothing
    counts as flat, and what shows later is closed by the next run."""
    if not books.late:
        try:
            with at_most(STORE_MS / 1000):
                return seen.unshown(desk, shown)
        except StoreError:
            books.give_up()
    return set()


def _write(books: Books, step: Callable[[], object]) -> None:
    """Write now, however long it takes; once the store has failed, at the end of the run."""
    if not books.late:
        try:
            step()
            return
        except StoreUnavailable:
            books.give_up()
    books.write(step, None)


def _close(
    desk: Desk,
    position: VenuePosition,
    correlation: str,
    attempt: int,
    books: Books,
    *,
    readable: bool,
) -> None:
    why = "emergency stop"
    if not books.late:
        try:
            # No operation of the store may hold up a close for long.
            with at_most(STORE_MS / 1000):
                record = _record(desk, position.symbol)
                # Whoever closes by a record looks at the position before and after.
                if record is None or not readable:
                    flatten.close_as_seen(desk, position, record, why, correlation, attempt, books)
                    return
            flatten.close_position(desk, record, why, books)
            return
        except (StoreUnavailable, AuditBroken):
            books.give_up()
        if readable:
            # The order may be on its way all the same: look again, then close without the store.
            held = next((p for p in desk.exchange.positions() if p.symbol == position.symbol), None)
            if held is None:
                return
            position = held
    flatten.close_unrecorded(desk, position, why, correlation, attempt, books)


def _record(desk: Desk, symbol: str) -> positions.PositionRecord | None:
    """The open record of a symbol; one that cannot be read keeps nothing from being closed."""
    try:
        found = positions.load(desk.store, desk.account, symbol)
    except StoreUnavailable:
        raise
    except StoreError as error:
        logging.getLogger("borsa").error("%s is closed as if nobody's: %s", symbol, error)
        return None
    return None if found is None or found[0].state == "closed" else found[0]


def _foreign(
    desk: Desk,
    held: Sequence[VenuePosition],
    plain: Sequence[VenueOrder],
    algos: Sequence[VenueAlgoOrder],
    books: Books,
) -> list[str]:
    """What of this nobody here sent or opened, in words; an emergency stop spares none of it."""
    found = [f"order {o.client_id} on {o.symbol}" for o in strangers.orders(plain, algos)]
    if books.late:
        return found
    try:
        with at_most(STORE_MS / 1000):
            ours = positions.open_records(desk.store, desk.account)
    except StoreError:
        books.give_up()
        return found  # closing does not wait for the store; what it closes is told as far as known
    return found + [f"position of {p.quantity} {p.symbol}" for p in held if p.symbol not in ours]


def _try(failures: list[str], symbol: str, action: Any, *arguments: Any, **named: Any) -> bool:
    """One symbol's trouble must not keep the others open."""
    try:
        action(*arguments, **named)
    except BorsaError as error:
        failures.append(f"{symbol}: {type(error).__name__}: {error}")
        return False
    return True
