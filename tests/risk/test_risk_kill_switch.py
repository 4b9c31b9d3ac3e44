"""The kill switch: invariants 1 and 6."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyotp
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from local.clock import VirtualClock
from shared.errors import ConfigurationError, InvalidInput, KillSwitchLatched
from shared.risk.kill_switch import Halt, KillSwitch
from shared.risk.ledger import RiskLedger
from shared.risk.triggers import MAX_EVIDENCE_AGE_MS, drawdown_evidence
from shared.security.totp import SecondFactor
from shared.storage.sqlite import SqliteStore
from tests.risk.scenario import NOW, D

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
REASON = "checked positions by hand"


def make(store: SqliteStore, clock: VirtualClock) -> KillSwitch:
    factor = SecondFactor(store, clock, "main", lambda: SECRET)
    switch = KillSwitch(store, clock, "main", factor)
    switch.ensure()
    return switch


def code(clock: VirtualClock) -> str:
    """The code an authenticator app shows now."""
    return pyotp.TOTP(SECRET).generate_otp(clock.now_ms() // 30_000)


def loss(at: int, **changes: Any) -> dict[str, Any]:
    """Equity 10 % and more below its peak, unless changed."""
    return {
        "equity": "4400",
        "peak": "5000",
        "limit": "0.10",
        "observed_at": at,
    } | changes


@pytest.fixture
def switch(store: SqliteStore, clock: VirtualClock) -> KillSwitch:
    RiskLedger(store, clock, "main").update_equity(D(5000))
    return make(store, clock)


def test_invariant_1_no_permit_while_latched(switch: KillSwitch) -> None:
    assert switch.acquire_permit("bq-e-1").number == 1
    assert switch.latch("manual", {"operator": "anna"}, NOW)
    with pytest.raises(KillSwitchLatched):
        switch.acquire_permit("bq-e-2")
    assert set(switch.outstanding_permits()) == {"bq-e-1"}


def test_no_permit_before_the_switch_is_set_up(store: SqliteStore, clock: VirtualClock) -> None:
    with pytest.raises(KillSwitchLatched, match="never set up"):
        KillSwitch(store, clock, "main").acquire_permit("bq-e-1")


def test_permits_may_be_asked_for_and_released_twice(switch: KillSwitch) -> None:
    switch.acquire_permit("a")
    switch.acquire_permit("a")
    switch.acquire_permit("b")
    switch.release_permit("a")
    switch.release_permit("a")
    switch.release_permit("never")
    assert set(switch.outstanding_permits()) == {"b"}
    assert switch.ensure().permits == 3


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "a b", "1234", "-a", "x" * 101, "ключ"])
def test_keys_that_no_store_can_hold(switch: KillSwitch, key: str) -> None:
    with pytest.raises(InvalidInput):
        switch.acquire_permit(key)
    assert switch.ensure().permits == 0


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("max_drawdown", loss(NOW)),
    ("max_drawdown", loss(NOW, equity="4500")),
    (
        "abnormal_volatility",
        {"recent": "0.02", "usual": "0.002", "limit": "6", "floor": "0.004", "observed_at": NOW},
    ),
    (
        "exchange_disconnection",
        {
            "last_success_at": NOW - 120_000,
            "limit_ms": 120_000,
            "failed_attempts": 3,
            "min_attempts": 3,
            "observed_at": NOW,
        },
    ),
    ("suspicious_activity", {"kind": "foreign_orders", "count": 3, "limit": 3, "observed_at": NOW}),
    ("manual", {"operator": "anna", "reason": "looks odd"}),
    ("manual", {}),
    ("manual", {"depth": float("nan"), "note": None, "reason": "x" * 5000}),
]


@pytest.mark.parametrize(("trigger", "evidence"), GOOD, ids=[g[0] for g in GOOD])
def test_evidence_latches_and_is_kept(
    switch: KillSwitch, trigger: str, evidence: dict[str, Any]
) -> None:
    assert switch.latch(trigger, evidence, NOW)
    status = switch.ensure()
    assert (status.state, status.trigger, status.latched_at) == ("latched", trigger, NOW)
    assert status.evidence is not None
    assert set(status.evidence) == set(evidence)


VOLATILE = GOOD[2][1]
SILENT = GOOD[3][1]
BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("unknown trigger", "panic", {}, NOW),
    ("no figures", "max_drawdown", {}, NOW),
    ("equity zero", "max_drawdown", loss(NOW, equity="0"), NOW),
    ("equity negative", "max_drawdown", loss(NOW, equity="-1"), NOW),
    ("equity not a number", "max_drawdown", loss(NOW, equity="NaN"), NOW),
    ("equity infinite", "max_drawdown", loss(NOW, equity="-Infinity"), NOW),
    ("equity empty", "max_drawdown", loss(NOW, equity=""), NOW),
    ("equity null", "max_drawdown", loss(NOW, equity=None), NOW),
    ("equity true", "max_drawdown", loss(NOW, equity=True), NOW),
    ("equity a list", "max_drawdown", loss(NOW, equity=[1]), NOW),
    ("peak zero", "max_drawdown", loss(NOW, peak="0"), NOW),
    ("peak infinite", "max_drawdown", loss(NOW, peak="Infinity"), NOW),
    ("equity above the peak", "max_drawdown", loss(NOW, equity="5001"), NOW),
    ("9.98 % of 10 %", "max_drawdown", loss(NOW, equity="4501"), NOW),
    ("limit zero", "max_drawdown", loss(NOW, limit="0", equity="5000"), NOW),
    ("limit above the ceiling", "max_drawdown", loss(NOW, limit="0.5"), NOW),
    ("stale", "max_drawdown", loss(NOW - MAX_EVIDENCE_AGE_MS - 1), NOW),
    ("stale by its own time", "max_drawdown", loss(NOW), NOW - MAX_EVIDENCE_AGE_MS - 1),
    ("from the future", "max_drawdown", loss(NOW + 60_000), NOW),
    ("time not a number", "max_drawdown", loss(NOW, observed_at="now"), NOW),
    ("ratio below its limit", "abnormal_volatility", VOLATILE | {"recent": "0.0119"}, NOW),
    ("below the floor", "abnormal_volatility", VOLATILE | {"floor": "0.03"}, NOW),
    ("usual zero", "abnormal_volatility", VOLATILE | {"usual": "0"}, NOW),
    ("limit that is no limit", "abnormal_volatility", VOLATILE | {"limit": "1"}, NOW),
    ("silent too briefly", "exchange_disconnection",
     SILENT | {"last_success_at": NOW - 119_999}, NOW),
    ("asked too rarely", "exchange_disconnection", SILENT | {"failed_attempts": 2}, NOW),
    ("never connected", "exchange_disconnection", SILENT | {"last_success_at": 0}, NOW),
    ("too few", "suspicious_activity", GOOD[4][1] | {"count": 2}, NOW),
    ("unknown kind", "suspicious_activity", GOOD[4][1] | {"kind": "moon"}, NOW),
]  # fmt: skip


#: Rows that are bad only at their time, or for another trigger.
TIMED = {b[0] for b in BAD if b[1] != "max_drawdown" or "observed_at" not in b[2]} | {
    "stale",
    "stale by its own time",
    "from the future",
    "time not a number",
}


@pytest.mark.parametrize(
    ("trigger", "evidence", "at"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_invariant_6_bad_evidence_does_not_fire(
    switch: KillSwitch, clock: VirtualClock, trigger: str, evidence: dict[str, Any], at: int
) -> None:
    # Armed long ago, so that age alone decides about the stale rows.
    switch._store.patch(
        "control", "main", "kill-switch", [_set("armed_at", NOW - 10 * MAX_EVIDENCE_AGE_MS)]
    )
    before = switch.ensure()
    with pytest.raises(InvalidInput):
        switch.latch(trigger, evidence, at)
    assert switch.ensure() == before
    switch.acquire_permit("still-armed")


def _set(path: str, value: Any) -> Any:
    from shared.storage.store import Patch

    return Patch("set", path, value)


def test_the_first_evidence_stays_and_the_second_is_recorded(switch: KillSwitch) -> None:
    assert switch.latch("max_drawdown", loss(NOW), NOW)
    assert not switch.latch("manual", {"operator": "anna"}, NOW)
    assert not switch.latch("manual", {"operator": "ben"}, NOW)
    status = switch.ensure()
    assert (status.trigger, status.evidence) == ("max_drawdown", loss(NOW))
    assert status.repeats["manual"] == 2
    assert status.repeat_evidence["manual"] == {"operator": "ben"}


def test_it_survives_a_restart(tmp_path: Path, clock: VirtualClock) -> None:
    path = str(tmp_path / "state.db")
    store = SqliteStore(path, clock=clock)
    make(store, clock).latch("manual", {"operator": "anna"}, NOW)
    store.close()
    store = SqliteStore(path, clock=clock)
    again = make(store, clock)
    assert again.ensure().state == "latched"
    with pytest.raises(KillSwitchLatched):
        again.acquire_permit("a")
    store.close()


@pytest.mark.parametrize(
    ("what", "arguments", "message"),
    [
        ("wrong code", ("000000", REASON, "anna"), "wrong"),
        ("no code", ("", REASON, "anna"), "wrong"),
        ("letters", ("abcdef", REASON, "anna"), "wrong"),
        ("other digits", ("١٢٣٤٥٦", REASON, "anna"), "wrong"),
        ("short reason", (None, "because", "anna"), "reason"),
        ("blank reason", (None, " " * 30, "anna"), "reason"),
        ("no operator", (None, REASON, " "), "operator"),
    ],
)
def test_what_does_not_clear_it(
    switch: KillSwitch, clock: VirtualClock, what: str, arguments: tuple[Any, ...], message: str
) -> None:
    switch.latch("manual", {}, NOW)
    given_code, reason, operator = arguments
    with pytest.raises(InvalidInput, match=message):
        switch.clear(code(clock) if given_code is None else given_code, reason, operator)
    assert switch.ensure().state == "latched", what


def test_clearing_arms_it_and_keeps_the_story(switch: KillSwitch, clock: VirtualClock) -> None:
    switch.latch("max_drawdown", loss(NOW), NOW)
    clock.sleep(60)
    status = switch.clear(code(clock), REASON, "anna")
    assert (status.state, status.trigger, status.evidence) == ("armed", None, None)
    (episode,) = status.history
    assert episode["evidence"] == loss(NOW)
    assert (episode["operator"], episode["reason"]) == ("anna", REASON)
    switch.acquire_permit("a")


def test_clearing_waits_for_permits_and_needs_a_latch(
    switch: KillSwitch, clock: VirtualClock
) -> None:
    with pytest.raises(InvalidInput, match="not latched"):
        switch.clear(code(clock), REASON, "anna")
    switch.acquire_permit("order-1")
    switch.latch("manual", {}, NOW)
    with pytest.raises(InvalidInput, match="order-1"):
        switch.clear(code(clock), REASON, "anna")
    switch.release_permit("order-1")
    # The code was not used up by the attempts that could not succeed.
    assert switch.clear(code(clock), REASON, "anna").state == "armed"


def test_a_code_works_once_even_within_its_thirty_seconds(
    switch: KillSwitch, clock: VirtualClock
) -> None:
    used = code(clock)
    switch.latch("manual", {}, NOW)
    switch.clear(used, REASON, "anna")
    switch.latch("manual", {}, NOW)
    with pytest.raises(InvalidInput, match="used already"):
        switch.clear(used, REASON, "anna")
    clock.sleep(30)
    switch.clear(code(clock), REASON, "anna")


def test_without_a_second_factor_it_cannot_be_cleared(
    store: SqliteStore, clock: VirtualClock
) -> None:
    switch = KillSwitch(store, clock, "main")
    switch.latch("manual", {}, NOW)
    with pytest.raises(ConfigurationError, match="totp-secret"):
        switch.clear("123456", REASON, "anna")


def test_invariant_6_no_relatch_from_history(
    switch: KillSwitch, store: SqliteStore, clock: VirtualClock
) -> None:
    ledger = RiskLedger(store, clock, "main")
    switch.latch("max_drawdown", loss(clock.now_ms()), clock.now_ms())
    before = clock.now_ms()
    clock.sleep(120)
    switch.clear(code(clock), REASON, "anna")
    clock.sleep(1)
    now = clock.now_ms()
    with pytest.raises(InvalidInput, match="before the switch was last cleared"):
        switch.latch("max_drawdown", loss(before), before)
    with pytest.raises(InvalidInput, match="above the present peak"):
        switch.latch("max_drawdown", loss(now), now)
    # The same equity is no drawdown any more; a new fall is.
    view = ledger.update_equity(D(4400))
    assert drawdown_evidence(equity=D(4400), peak=view.equity_peak, limit=D("0.10"), at=now) is None
    fresh = drawdown_evidence(equity=D(3960), peak=view.equity_peak, limit=D("0.10"), at=now)
    assert fresh is not None
    assert switch.latch("max_drawdown", fresh, now)


def test_a_manual_request_delivered_again_after_clearing_changes_nothing(
    switch: KillSwitch, clock: VirtualClock
) -> None:
    switch.latch("manual", {"request_id": "r1"}, NOW)
    switch.latch("manual", {"request_id": "r2"}, NOW)
    switch.clear(code(clock), REASON, "anna")
    assert not switch.latch("manual", {"request_id": "r1"}, NOW)
    assert not switch.latch("manual", {"request_id": "r2"}, NOW)
    assert switch.ensure().state == "armed"
    assert switch.latch("manual", {"request_id": "r3"}, NOW)


def test_permits_and_latch_race_from_many_threads(tmp_path: Path, clock: VirtualClock) -> None:
    """Every permit granted is either seen by whoever latched, or was never granted."""
    path = str(tmp_path / "state.db")
    first = SqliteStore(path, clock=clock)
    switch = make(first, clock)
    barrier = threading.Barrier(9)
    granted: list[str] = []

    def trade(n: int) -> None:
        store = SqliteStore(path, clock=clock, busy_timeout=30)
        own = KillSwitch(store, clock, "main")
        barrier.wait()
        for i in range(30):
            try:
                own.acquire_permit(f"t{n}-{i}")
            except KillSwitchLatched:
                break
            granted.append(f"t{n}-{i}")
        store.close()

    threads = [threading.Thread(target=trade, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait()
    switch.latch("manual", {}, NOW)
    seen = set(switch.outstanding_permits())
    for thread in threads:
        thread.join()
    assert seen == set(switch.outstanding_permits()) == set(granted)
    first.close()


class SwitchLife(RuleBasedStateMachine):
    """Any interleaving of permits, triggers good and bad, clears, restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(NOW)
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.ledger = RiskLedger(self.store, self.clock, "main")
        self.switch = make(self.store, self.clock)
        self.latched = self.halted = False
        self.open: set[str] = set()
        self.issued = 0
        self.used_step = -1

    def teardown(self) -> None:
        self.store.close()

    @rule(n=st.integers(0, 5))
    def permit(self, n: int) -> None:
        key = f"k{n}"
        if self.latched or self.halted:
            with pytest.raises(KillSwitchLatched):
                self.switch.acquire_permit(key)
        else:
            self.switch.acquire_permit(key)
            self.open.add(key)
            self.issued += 1

    @rule(n=st.integers(0, 5))
    def release(self, n: int) -> None:
        self.switch.release_permit(f"k{n}")
        self.open.discard(f"k{n}")

    @rule()
    def stop(self) -> None:
        assert self.switch.latch("manual", {}, self.clock.now_ms()) is not self.latched
        self.latched, self.halted = True, False

    @rule(code_=st.sampled_from([-2015, -4087, 0]))
    def halt(self, code_: int) -> None:
        refused = Halt(code=code_, status=400, reason="refused", at=self.clock.now_ms())
        free = not (self.latched or self.halted)
        assert self.switch.halt(refused) is free
        self.halted = self.halted or free

    @rule(right=st.booleans())
    def resume(self, right: bool) -> None:
        now_step = self.clock.now_ms() // 30_000
        given_code = code(self.clock) if right else "not-it"
        allowed = right and self.halted and now_step > self.used_step
        counted = self.switch.ensure().armed_at
        try:
            status = self.switch.resume(given_code, REASON, "anna")
        except InvalidInput:
            assert not allowed or self.locked()
        else:
            assert allowed
            assert (status.state, status.halt, status.armed_at) == ("armed", None, counted)
            self.halted, self.used_step = False, now_step

    @rule(fall=st.decimals("0.01", "0.99", places=2))
    def drawdown(self, fall: Any) -> None:
        now = self.clock.now_ms()
        peak = self.ledger.update_equity(D(5000)).equity_peak
        evidence = drawdown_evidence(equity=peak * (1 - fall), peak=peak, limit=D("0.10"), at=now)
        assert (evidence is not None) == (fall >= D("0.10"))
        if evidence is not None:
            self.switch.latch("max_drawdown", evidence, now)
            self.latched, self.halted = True, False

    @rule(bad=st.sampled_from([b for b in BAD if b[0] not in TIMED]))
    def false_alarm(self, bad: tuple[str, str, dict[str, Any], int]) -> None:
        now = self.clock.now_ms()
        with pytest.raises(InvalidInput):
            self.switch.latch("max_drawdown", loss(now) | bad[2] | {"observed_at": now}, now)

    @rule(right=st.booleans())
    def clear(self, right: bool) -> None:
        now_step = self.clock.now_ms() // 30_000
        given_code = code(self.clock) if right else "not-it"
        allowed = right and self.latched and not self.open and now_step > self.used_step
        try:
            self.switch.clear(given_code, REASON, "anna")
        except InvalidInput:
            assert not allowed or self.locked()
        else:
            assert allowed
            self.latched, self.used_step = False, now_step
            # What is observed in the very millisecond of the clear counts as from before it.
            self.clock.sleep(0.002)

    def locked(self) -> bool:
        document = self.store.get("control", "main", "second-factor")
        return document is not None and document.body["locked_until"] > self.clock.now_ms()

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule()
    def restart(self) -> None:
        self.switch = make(self.store, self.clock)

    @precondition(lambda self: self.latched)
    @rule()
    def history_does_not_unlatch(self) -> None:
        assert self.switch.ensure().state == "latched"

    @invariant()
    def the_document_is_the_model(self) -> None:
        status = self.switch.ensure()
        assert (status.state == "latched") is self.latched
        assert (status.state == "halted") is self.halted is (status.halt is not None)
        assert set(status.outstanding) == self.open
        assert status.permits == self.issued


SwitchLife.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True
)
TestSwitchLife = SwitchLife.TestCase
