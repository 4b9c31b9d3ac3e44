"""The process dies, or the store fails, before and after every single effect of a trade.

Every write to the store and every changing request to the exchange is numbered; one run is broken
at each of them. Whatever stops where: one entry order at most, a stop within five seconds while
the exchange can be reached, and in the end no permit and no reservation without a position.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from desk import Crash, Floor
from test_guardian_rounds import later

from shared.errors import StoreUnavailable
from shared.execution import assess, entry, guardian, journal
from shared.execution.reconcile import reconcile

FULL = Decimal("0.004")


class Stop:
    """Fails at the n-th effect, once; counts all of them."""

    def __init__(self, floor: Floor, at: int, when: str, error: Callable[[], Exception]) -> None:
        self.count = 0
        self.struck: str = ""
        self._at, self._when, self._error = at, when, error
        floor.store.before = lambda name, args: self._before(f"{name} {args[0]}")
        floor.store.after = lambda name, args: self._after(f"{name} {args[0]}")
        floor.session.before = lambda method, url: self._request(method, url, self._before)
        floor.session.after = lambda method, url: self._request(method, url, self._after)

    def _request(self, method: str, url: str, then: Callable[[str], None]) -> None:
        if method != "GET":
            then(f"{method} {url.rsplit('/', 1)[-1].split('?')[0]}")

    def _before(self, what: str) -> None:
        self.count += 1
        if self._when == "before":
            self._strike(what)

    def _after(self, what: str) -> None:
        if self._when == "after":
            self._strike(what)

    def _strike(self, what: str) -> None:
        if self.count == self._at and not self.struck:
            self.struck = what
            raise self._error()


def steps(floor: Floor, signal: Any) -> tuple[Callable[[], Any], ...]:
    """The activities of a trade as plain calls, each with a desk of its own."""
    symbol = signal.symbol
    return (
        lambda: assess.assess(floor.desk, symbol, signal.id),
        lambda: entry.open_position(floor.desk, symbol, signal.id),
        lambda: guardian.confirm_protection(floor.desk, symbol, signal.id),
        lambda: journal.record_opened(floor.desk, symbol, signal.id),
    )


def run_all(floor: Floor, signal: Any) -> None:
    for step in steps(floor, signal):
        step()


def count_effects() -> int:
    """Effects of an undisturbed trade."""
    floor = Floor(durable=False)
    try:
        signal = floor.signal()
        stop = Stop(floor, 0, "never", Crash)
        run_all(floor, signal)
        return stop.count
    finally:
        floor.close()


EFFECTS = count_effects()


def places(step: int) -> list[tuple[int, str]]:
    """Where to stop: after every ``step``-th effect, and, being much the same, before some."""
    after = [(n, "after") for n in range(1, EFFECTS + 1, step)]
    return after + [(n, "before") for n in range(1, EFFECTS + 1, 3 * step)]


def test_a_trade_has_the_effects_that_are_broken_here():
    assert EFFECTS > 30


@pytest.mark.parametrize(("at", "when"), places(1))
def test_crash_and_rerun(open_floor, at, when):
    """The task hub runs the interrupted activity again, at once."""
    floor = open_floor(durable=False)
    signal = floor.signal()
    stop = Stop(floor, at, when, Crash)
    for step in steps(floor, signal):
        try:
            step()
        except Crash:
            step()
    assert stop.struck
    if not floor.entries():
        # At one place: marked as on its way, and not sent. Nobody can tell it from one that was.
        [order] = [o for o in floor.documents("orders") if o["leg"] == "e"]
        assert (when, order["left"], order["state"]) == ("after", True, "unknown")
        for _ in range(4):
            later(floor)
            guardian.guard(floor.desk)
        assert floor.leaked() == ({}, [])
        return
    assert floor.held() == FULL
    assert len(floor.entries()) == 1
    assert [s.quantity for s in floor.stops()] == [FULL]
    assert floor.leaked() == ({}, [signal.id])
    assert [d["outcome"] for d in floor.documents("signals", "BTCUSDT") if "outcome" in d] == [
        "approved"
    ]


@pytest.mark.parametrize(("at", "when"), places(2))
def test_crash_and_nobody_but_the_guardian(open_floor, at, when):
    """The workflow is never run again: guardian and reconciliation clean up behind it."""
    floor = open_floor(durable=False)
    # Nobody repairs within five seconds here; what the watch says about that is no news.
    floor.expected = {4}
    signal = floor.signal()
    stop = Stop(floor, at, when, Crash)
    with suppress(Crash):
        run_all(floor, signal)
    assert stop.struck
    sent = len(floor.entries())
    for _ in range(8):
        floor.clock.sleep(60)
        guardian.guard(floor.desk)
        reconcile(floor.desk)
    assert len(floor.entries()) == sent <= 1
    if floor.held():
        assert [s.quantity for s in floor.stops()] == [FULL]
        assert len(floor.targets()) == 1
        assert floor.leaked() == ({}, [signal.id])
    else:
        assert not floor.algos()
        assert floor.leaked() == ({}, [])


@pytest.mark.parametrize(("at", "when"), places(2))
def test_store_fails_once_inside_the_workflow(open_floor, at, when):
    """The whole application: what may leave a position naked does not wait for the task hub."""
    floor = open_floor()
    failed = []
    floor.platform.host.on_invocation.append(lambda i: i.error and failed.append(i.function))
    signal = floor.signal()
    stop = Stop(floor, at, when, lambda: StoreUnavailable("the disk is full"))
    floor.start(signal)
    floor.run(12)
    assert stop.struck
    assert set(failed) <= {"record_trade"}
    assert floor.outcome(signal)["outcome"] == "protected"
    assert floor.held() == FULL
    assert len(floor.entries()) == 1
    assert [s.quantity for s in floor.stops()] == [FULL]
    assert floor.leaked() == ({}, [signal.id])


@pytest.mark.parametrize(("at", "when"), [(n, "after") for n in range(1, 30)])
def test_crash_while_settling_books_the_trade_once(open_floor, at, when):
    """A stop has closed the position; settlement dies at each of its effects and runs again."""
    floor = open_floor({"BTCUSDT": [(2, 0), (4, -0.03)]}, durable=False)
    run_all(floor, floor.signal())
    floor.clock.sleep(300)
    floor.api.advance()
    assert not floor.held()
    Stop(floor, at, when, Crash)
    for _ in range(3):
        try:
            guardian.guard(floor.desk)
        except Crash:
            continue
        floor.clock.sleep(60)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "stop"
    bodies = floor.audit("trade")
    assert [b["netPnl"] for b in bodies] == [trade["netPnl"]]
    assert floor.services.ledger.read().day_realized_pnl == Decimal(trade["netPnl"])
    assert floor.leaked() == ({}, [])
