"""The ledger: limits across concurrent workflows, repetition, days."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from local.clock import VirtualClock
from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.risk.ledger import (
    ABANDONED_MS,
    LEDGER_ID,
    REFRESH_MS,
    BalanceMark,
    LimitReached,
    RiskLedger,
)
from shared.risk.limits import Limits
from shared.risk.plan import OrderPlan
from shared.storage.sqlite import SqliteStore
from tests.risk.scenario import NOW, D, exposure, good_plan

LIMITS = Limits(max_total_notional=D(2000), max_open_positions=10, max_trades_per_day=50)


def plan(decision: str, symbol: str, notional: str = "500", risk: str = "10") -> OrderPlan:
    return good_plan(
        decision_id=decision, symbol=symbol, worst_notional=D(notional), risk_amount=D(risk)
    )


@pytest.fixture
def ledger(store: SqliteStore, clock: VirtualClock) -> RiskLedger:
    ledger = RiskLedger(store, clock, "main")
    ledger.update_equity(D(5000))
    return ledger


def test_a_reservation_counts_until_it_is_released(ledger: RiskLedger) -> None:
    for n in range(4):
        ledger.reserve(plan(f"d{n}", f"S{n}USDT"), positions=(), limits=LIMITS)
    with pytest.raises(LimitReached, match="total_notional 2500 exceeds 2000"):
        ledger.reserve(plan("d4", "S4USDT"), positions=(), limits=LIMITS)
    ledger.release("d0")
    ledger.reserve(plan("d4", "S4USDT"), positions=(), limits=LIMITS)
    assert set(ledger.read().reservations) == {"d1", "d2", "d3", "d4"}


@pytest.mark.parametrize(
    ("what", "change", "check"),
    [
        ("position on the symbol", {"positions": [exposure("BTCUSDT", "1")]}, "symbol_free"),
        ("foreign positions", {"positions": [exposure("A", "1501")]}, "total_notional"),
        ("too many symbols", {"limits": Limits(max_open_positions=1)}, "open_positions"),
        ("a larger position than allowed", {"plan": plan("x", "B", "501")}, "position_notional"),
        ("more risk than the day has left", {"plan": plan("x", "B", "500", "201")}, "risk_room"),
        ("trades of the day used up", {"limits": Limits(max_trades_per_day=1)}, "trades_today"),
    ],
)
def test_what_stops_a_reservation(
    ledger: RiskLedger, what: str, change: dict[str, Any], check: str
) -> None:
    if check in ("open_positions", "trades_today"):
        ledger.reserve(plan("first", "ETHUSDT"), positions=(), limits=LIMITS)
    arguments: dict[str, Any] = {"positions": (), "limits": LIMITS} | change
    wanted = arguments.pop("plan", plan("x", "BTCUSDT"))
    before = ledger.read()
    with pytest.raises(LimitReached) as caught:
        ledger.reserve(wanted, **arguments)
    assert [c.name for c in caught.value.checks] == [check], what
    assert ledger.read() == before


def test_a_fill_counts_once_as_position_and_entry(ledger: RiskLedger) -> None:
    ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS)
    ledger.convert("d1", filled_quantity=D("0.006"), filled_notional=D("250"))
    entry = ledger.read().entries["d1"]
    assert (entry.state, entry.notional, entry.quantity, entry.risk) == ("open", 250, D("0.006"), 5)
    # 250 open in both books and 3 x 500: exactly 1,750; 251 more do not fit, 250 do.
    held = [exposure("A", "250")]
    for n in range(3):
        ledger.reserve(plan(f"e{n}", f"B{n}"), positions=held, limits=LIMITS)
    with pytest.raises(LimitReached):
        ledger.reserve(plan("f", "C", "250.01"), positions=held, limits=LIMITS)
    ledger.reserve(plan("f", "C", "250"), positions=held, limits=LIMITS)


def test_a_position_the_snapshot_missed_is_still_counted(ledger: RiskLedger) -> None:
    """Positions read before a fill, ledger read after its conversion: the entry stands in."""
    for n in range(4):
        ledger.reserve(plan(f"d{n}", f"S{n}"), positions=(), limits=LIMITS)
        ledger.convert(f"d{n}")
    with pytest.raises(LimitReached, match="total_notional"):
        ledger.reserve(plan("d4", "S4"), positions=(), limits=LIMITS)


def test_everything_may_be_repeated(ledger: RiskLedger) -> None:
    once = ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS)
    assert ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS).entries == once.entries
    once = ledger.convert("d1")
    assert ledger.convert("d1") == once
    assert ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS) == once
    once = ledger.close("d1", net_pnl=D("-12.5"), at=NOW)
    assert ledger.close("d1", net_pnl=D("-12.5"), at=NOW) == once
    assert ledger.release("d1") == once
    assert (once.day_realized_pnl, once.trades_today, once.entries) == (D("-12.5"), 1, {})
    with pytest.raises(InvalidInput, match="over already"):
        ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS)


def test_a_result_found_after_a_release_is_still_booked(ledger: RiskLedger) -> None:
    ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS)
    ledger.release("d1")
    assert ledger.close("d1", net_pnl=D("-3"), at=NOW).day_realized_pnl == D("-3")


def test_losses_close_the_day_and_midnight_opens_the_next(
    ledger: RiskLedger, clock: VirtualClock
) -> None:
    ledger.reserve(plan("d1", "A"), positions=(), limits=LIMITS)
    ledger.convert("d1")
    ledger.close("d1", net_pnl=D("-195"), at=NOW)
    with pytest.raises(LimitReached, match="risk_room"):
        ledger.reserve(plan("d2", "A"), positions=(), limits=LIMITS)
    ledger.update_equity(D(4805))
    clock.advance_to(NOW - NOW % DAY_MS + DAY_MS)
    view = ledger.read()
    assert (view.day, view.day_realized_pnl, view.trades_today) == ("2025-05-05", 0, 0)
    assert (view.day_start_equity, view.equity_peak) == (4805, 5000)
    ledger.reserve(plan("d2", "A"), positions=(), limits=LIMITS)
    # A result of yesterday that is found today belongs to yesterday.
    assert ledger.close("d2", net_pnl=D("-50"), at=NOW).day_realized_pnl == 0


def test_a_day_does_not_start_with_an_old_equity(ledger: RiskLedger, clock: VirtualClock) -> None:
    clock.advance_to(NOW + 3 * DAY_MS)
    assert ledger.read().day_start_equity == 0
    assert ledger.update_equity(D(4000)).day_start_equity == 4000


def test_an_unchanged_equity_is_stored_again_only_when_the_reading_has_aged(
    ledger: RiskLedger, clock: VirtualClock
) -> None:
    first = ledger.read()
    clock.sleep(REFRESH_MS / 1000 - 1)
    assert ledger.update_equity(D(5000)) == first == ledger.read()
    assert ledger.update_equity(D(4999)).equity_at == clock.now_ms()
    clock.sleep(REFRESH_MS / 1000)
    assert ledger.update_equity(D(4999)).equity_at == clock.now_ms() == ledger.read().equity_at
    # After the peak was forgotten the same equity is news: it is the new peak.
    ledger.rebase_peak()
    assert ledger.update_equity(D(4999)).equity_peak == 4999


def test_equity_of_another_venue_is_no_measure_for_this_one(ledger: RiskLedger) -> None:
    """From the demo venue's 5000 to an account of 1000: no loss and no drawdown, and back."""
    assert ledger.update_equity(D(5000), "demo").day_start_equity == 5000
    live = ledger.update_equity(D(1000), "production")
    assert (live.equity_peak, live.day_start_equity, live.day_loss) == (1000, 1000, 0)
    assert live.balance is None
    lost = ledger.update_equity(D(950), "production")
    assert (lost.equity_peak, lost.day_start_equity, lost.day_loss) == (1000, 1000, 50)


def test_a_venue_that_was_never_named_is_the_one_named_first(ledger: RiskLedger) -> None:
    """A ledger of an earlier version keeps its figures."""
    ledger.update_equity(D(5000))
    named = ledger.update_equity(D(4900), "production")
    assert (named.equity_peak, named.day_start_equity, named.day_loss) == (5000, 5000, 100)


@pytest.mark.parametrize("equity", ["0", "-1", "NaN", "Infinity", "-Infinity"])
def test_bad_equity_is_no_reading(ledger: RiskLedger, equity: str) -> None:
    before = ledger.read()
    assert ledger.update_equity(D(equity)) == before == ledger.read()


@pytest.mark.parametrize(
    ("seen", "moved", "peak", "loss"),
    [
        ("4000", "-1000", "4000", "0"),  # paid out, nothing lost
        ("6000", "1000", "6000", "0"),  # paid in: equity, and so the peak, had risen already
        ("3900", "-1000", "4000", "100"),  # a loss beside it stays one
        ("5900", "1000", "6000", "100"),
        ("5100", "0", "5100", "0"),
    ],
)
def test_a_transfer_is_neither_loss_nor_drawdown(
    ledger: RiskLedger, seen: str, moved: str, peak: str, loss: str
) -> None:
    """The account began the day with 5000 USDT and its equity never rose but by the transfer."""
    first = ledger.settle_balance(None, BalanceMark(wallet=D(5000), cursor=1)).balance
    ledger.update_equity(D(seen))
    mark = BalanceMark(wallet=D(seen), cursor=2)
    for _ in range(2):  # taken in once, however often it is repeated
        ledger.settle_balance(first, mark, moved=D(moved), moved_today=D(moved))
        view = ledger.read()
        assert (view.equity_peak, view.day_loss) == (D(peak), D(loss))
        assert view.balance is not None
        assert view.balance.peak == D(peak)


def test_reconciliation_frees_only_what_nothing_stands_behind(
    ledger: RiskLedger, clock: VirtualClock
) -> None:
    for n, symbol in enumerate("ABC"):
        ledger.reserve(plan(f"d{n}", symbol), positions=(), limits=LIMITS)
    held = [exposure("A", "500")]
    assert len(ledger.reconcile(held, open_decisions={"d1"}).entries) == 3
    clock.sleep(ABANDONED_MS / 1000 + 1)
    ledger.reserve(plan("d3", "D"), positions=(), limits=LIMITS)
    assert set(ledger.reconcile(held, open_decisions={"d1"}).entries) == {"d0", "d1", "d3"}


def test_invariant_3_twenty_threads_cannot_exceed_the_limits_together(
    tmp_path: Path, clock: VirtualClock
) -> None:
    """Twenty workflows, each with a connection of its own, race for room that five can have."""
    path = str(tmp_path / "state.db")
    first = SqliteStore(path, clock=clock)
    RiskLedger(first, clock, "main").update_equity(D(5000))
    limits = Limits(max_total_notional=D(2000), max_open_positions=5, max_trades_per_day=50)
    barrier = threading.Barrier(20)
    outcomes: list[str] = []

    def workflow(n: int) -> None:
        store = SqliteStore(path, clock=clock, busy_timeout=30)
        ledger = RiskLedger(store, clock, "main")
        barrier.wait()
        for attempt in range(2):
            decision = f"d{n}-{attempt}"
            try:
                ledger.reserve(plan(decision, f"S{n}", "390"), positions=(), limits=limits)
            except LimitReached:
                outcomes.append("refused")
            else:
                outcomes.append("reserved")
        store.close()

    threads = [threading.Thread(target=workflow, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = RiskLedger(first, clock, "main").read().entries
    first.close()
    assert sum(e.notional for e in entries.values()) == 5 * 390
    assert outcomes.count("reserved") == len(entries) == 5
    assert outcomes.count("refused") == 35


class LedgerLife(RuleBasedStateMachine):
    """Any order of operations against a plain model of what may be held."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(NOW)
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.ledger = RiskLedger(self.store, self.clock, "main")
        self.ledger.update_equity(D(5000))
        self.limits = Limits(
            max_total_notional=D(1200),
            max_open_positions=3,
            max_trades_per_day=6,
            max_daily_loss=D(60),
        )
        self.held: dict[str, tuple[str, Decimal, Decimal]] = {}
        self.over: dict[str, bool] = {}
        self.converted: set[str] = set()
        self.realized = D(0)
        self.opened = 0
        self.number = 0

    def teardown(self) -> None:
        self.store.close()

    @rule(symbol=st.sampled_from("ABCDE"), notional=st.integers(1, 600), risk=st.integers(1, 30))
    def reserve(self, symbol: str, notional: int, risk: int) -> None:
        self.number += 1
        decision = f"d{self.number}"
        fits = (
            symbol not in {s for s, _, _ in self.held.values()}
            and len(self.held) < 3
            and notional <= 500
            and sum(n for _, n, _ in self.held.values()) + notional <= 1200
            and self.opened + len(set(self.held) - self.converted) < 6
            and max(D(0), -self.realized) + sum(r for _, _, r in self.held.values()) + risk <= 60
        )
        try:
            self.ledger.reserve(
                plan(decision, symbol, str(notional), str(risk)), positions=(), limits=self.limits
            )
        except LimitReached:
            assert not fits
        else:
            assert fits
            self.held[decision] = (symbol, D(notional), D(risk))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["convert", "release", "close"]))
    def go_on(self, data: st.DataObject, how: str) -> None:
        decision = data.draw(st.sampled_from(sorted(self.held)))
        for _ in range(data.draw(st.integers(1, 2))):  # delivered once or twice
            if how == "convert":
                self.ledger.convert(decision)
            elif how == "release":
                self.ledger.release(decision)
            else:
                self.ledger.close(decision, net_pnl=D(-7), at=self.clock.now_ms())
        if how == "convert" and decision not in self.converted:
            self.converted.add(decision)
            self.opened += 1
        if how != "convert":
            del self.held[decision]
        if how == "close":
            self.realized -= 7
            self.opened += decision not in self.converted

    @rule()
    def midnight(self) -> None:
        self.clock.advance_to(self.clock.now_ms() + DAY_MS)
        self.ledger.update_equity(D(5000))
        self.realized, self.opened = D(0), 0

    @rule()
    def restart(self) -> None:
        self.ledger = RiskLedger(self.store, self.clock, "main")

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        view = self.ledger.read()
        assert {k: (r.symbol, r.notional, r.risk) for k, r in view.entries.items()} == self.held
        assert view.day_realized_pnl == self.realized
        assert view.opened_today == self.opened


LedgerLife.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
)
TestLedgerLife = LedgerLife.TestCase


def test_money_is_stored_as_text(ledger: RiskLedger, store: SqliteStore) -> None:
    ledger.reserve(plan("d1", "A", "480.96120"), positions=(), limits=LIMITS)
    document = store.get("control", "main", LEDGER_ID)
    assert document is not None
    assert document.body["entries"]["d1"]["notional"] == "480.96120"
    assert document.body["equity_peak"] == "5000"
    assert msgspec.json.encode(document.body)
