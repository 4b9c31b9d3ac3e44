"""A stop by hand while somebody else is arming trading: the stop holds."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Floor

from shared.errors import BorsaError, Conflict
from shared.execution import clearing, late_latch
from shared.execution.desk import Desk

REASON = "the cause was found and mended"


def held(floor: Floor) -> Any:
    """A position of ours, and a latch that only holds it."""
    signal = floor.trade()
    floor.run(20)
    assert floor.held()
    now = floor.clock.now_ms()
    evidence = {
        "recent": "0.02",
        "usual": "0.001",
        "ratio": "20",
        "limit": "8",
        "floor": "0.006",
        "bars": 288,
        "observed_at": now,
    }
    assert floor.services.kill_switch.latch("abnormal_volatility", evidence, now, closing=False)
    floor.watch.latched_at = None
    return signal


def stop(desk: Desk) -> None:
    now = desk.clock.now_ms()
    evidence = {"operator": "bea", "reason": "close it all", "at": now}
    late_latch.by_hand(desk, evidence, now)


def cleared(floor: Floor) -> BorsaError | None:
    try:
        clearing.clear(floor.desk, code=floor.totp(), reason=REASON, operator="ada")
    except BorsaError as error:
        return error
    return None


@pytest.mark.parametrize("where", ["positionRisk", "openAlgoOrders"])
def test_a_stop_while_the_account_is_looked_at_is_not_cleared(open_floor, where):
    """It is acknowledged with 202: nothing may be opened before somebody has cleared that."""
    floor = open_floor()
    held(floor)
    pressed: list[str] = []

    def before(method: str, url: str) -> None:
        if where in url and not pressed:
            pressed.append(url)
            stop(floor.services.exit_desk())

    floor.session.before = before
    error = cleared(floor)
    floor.session.before = lambda method, url: None
    assert pressed
    status = floor.services.kill_switch.ensure()
    assert (status.state, status.closing) == ("latched", True)
    assert isinstance(error, Conflict)
    assert "stopped" in str(error)
    floor.minutes(2)  # the guardian starts what closes
    assert not floor.held()
    floor.run(30)
    assert cleared(floor) is None


@pytest.mark.parametrize("flat", [False, True], ids=["held", "flat"])
def test_a_stop_while_the_code_is_checked_is_not_cleared(open_floor, flat):
    """The same between the code and the very last write, of a latch that has closed as well."""
    floor = open_floor()
    held(floor)
    if flat:
        stop(floor.desk)
        floor.minutes(2)
        assert not floor.held()
    before = floor.services.kill_switch.ensure().repeats.get("manual", 0)
    pressed: list[str] = []

    def told(name: str, args: tuple[Any, ...]) -> None:
        # The peak is forgotten right before the switch is armed.
        if name == "replace" and args[1]["id"] == "risk-ledger" and not pressed:
            pressed.append(name)
            stop(floor.services.exit_desk())

    floor.store.before = told
    error = cleared(floor)
    floor.store.before = lambda name, args: None
    assert pressed
    status = floor.services.kill_switch.ensure()
    assert (status.state, status.closing) == ("latched", True)
    assert status.repeats["manual"] == before + 1
    assert isinstance(error, Conflict)
    floor.minutes(2)
    assert not floor.held()
    floor.run(30)
    assert cleared(floor) is None
