"""A drill of the emergency stop: every step of the plan is walked, nothing is touched.

The one write to the switch is the write that latches it, with another field: same document, same
condition, same way through the store. Orders that would close are checked by the exchange's own
test endpoint and never reach its matching engine.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING
from typing import Any

import msgspec

from shared.errors import BorsaError, InvalidInput
from shared.execution import flatten, protection
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest, instrument_of
from shared.execution.ids import client_id
from shared.storage.store import put

CONTAINER = "control"
DRILL_ID = "drill"
#: A permit older than this is not under way any more: a stop would wait for it in vain.
STALE_PERMIT_MS = 300_000


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the plan: whether it would work, what was seen, how long it took (ms)."""

    name: str
    ok: bool
    detail: str
    milliseconds: int


class Drill(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A drill as stored; ``at`` in UTC milliseconds, ``alert_id`` of the alert it sent."""

    at: int
    operator: str
    passed: bool
    steps: tuple[Step, ...]
    alert_id: str

    @property
    def milliseconds(self) -> int:
        """How long all steps took together."""
        return sum(s.milliseconds for s in self.steps)


def run(desk: Desk, operator: str, workflow: str = "") -> Drill:
    """Walk every step and store the report, whatever it says.

    Parameters
    ----------
    operator : str
        Who asked for it.
    workflow : str
        Why the emergency workflow could not be started; empty when it could.
    """
    at, steps = desk.clock.now_ms(), []
    alert_id = ""

    def step(name: str, work: Callable[[], str]) -> None:
        began = desk.clock.now_ms()
        try:
            detail, ok = work(), True
        except BorsaError as error:
            detail, ok = f"{type(error).__name__}: {error}", False
        took = max(0, desk.clock.now_ms() - began)
        steps.append(Step(name=name, ok=ok, detail=detail, milliseconds=took))

    def durable() -> str:
        if workflow:
            raise InvalidInput(workflow)
        return "the emergency workflow can be started"

    def alert() -> str:
        nonlocal alert_id
        alert_id = desk.alert(
            "info",
            "drill",
            "Drill of the emergency stop",
            "If you can read this, alerts of a stop would reach you. Nothing was stopped.",
            correlation=f"drill-{at}",
        )
        return f"stored as {alert_id}; see later whether it was delivered"

    step("latch", lambda: _latch(desk))
    step("permits", lambda: _permits(desk))
    step("workflow", durable)
    step("plain orders", lambda: f"{len(desk.exchange.open_orders())} would be cancelled")
    step(
        "conditional orders",
        lambda: f"{len(desk.exchange.open_algo_orders())} would be cancelled after the positions",
    )
    step("closes", lambda: _closes(desk, at))
    step("stops", lambda: _stops(desk))
    step("alert", alert)
    report = Drill(
        at=at,
        operator=operator,
        passed=all(s.ok for s in steps),
        steps=tuple(steps),
        alert_id=alert_id,
    )
    body = msgspec.to_builtins(report)
    desk.note("emergency", {"drill": body}, correlation=f"drill-{at}")
    put(desk.store, CONTAINER, desk.account, {**body, "id": DRILL_ID, "scope": desk.account})
    return report


def last(desk: Desk) -> Drill | None:
    """The newest drill, ``None`` when there never was one."""
    found = desk.store.get(CONTAINER, desk.account, DRILL_ID)
    return None if found is None else msgspec.convert(found.body, Drill)


def told(desk: Desk) -> dict[str, Any] | None:
    """The newest drill for the status: when, how long ago, whether it passed."""
    drill = last(desk)
    if drill is None:
        return None
    age = (desk.clock.now_ms() - drill.at) // 1000
    return {"at": drill.at, "ageSeconds": age, "passed": drill.passed}


def _latch(desk: Desk) -> str:
    state = desk.kill_switch.rehearse(desk.clock.now_ms())
    return f"the conditional write went through; the switch is {state}"


def _permits(desk: Desk) -> str:
    now = desk.clock.now_ms()
    outstanding = desk.kill_switch.outstanding_permits()
    stale = sorted(k for k, at in outstanding.items() if now - at > STALE_PERMIT_MS)
    if stale:
        raise InvalidInput(f"{len(stale)} permits were never resolved: {', '.join(stale[:5])}")
    return f"{len(outstanding)} outstanding"


def _closes(desk: Desk, at: int) -> str:
    """The exchange checks the order that would close each position; on a flat account a small one,
    so that keys, address and endpoint are proved all the same."""
    held = desk.exchange.positions()
    for n, position in enumerate(held):
        test_id = client_id(desk.account, f"drill-{at}", "x", n)
        desk.exchange.test_order(flatten.market_close(position, test_id))
    if held:
        symbols = ", ".join(p.symbol for p in held)
        return f"{len(held)} accepted by the exchange's test: {symbols}"
    symbol = desk.symbols[0]
    instrument, mark = instrument_of(desk.exchange, symbol), desk.exchange.mark_price(symbol)
    step = instrument.market_step_size
    least = max(instrument.market_min_quantity, instrument.min_notional * 2 / mark.mark_price)
    desk.exchange.test_order(
        OrderRequest(
            symbol=symbol,
            side="SELL",
            type="MARKET",
            quantity=(least / step).to_integral_value(ROUND_CEILING) * step,
            client_order_id=client_id(desk.account, f"drill-{at}", "x"),
        )
    )
    return f"flat; a {symbol} order was accepted by the exchange's test"


def _stops(desk: Desk) -> str:
    """Until a close succeeds the stops are what protects."""
    held, algos = desk.exchange.positions(), desk.exchange.open_algo_orders()
    naked = [p.symbol for p in held if protection.uncovered(p, algos) > 0]
    if naked:
        raise InvalidInput(f"without a full stop: {', '.join(naked)}")
    return f"{len(held)} positions, each with its full stop"
