"""What counts as a stop that works, and how long a reached one is still waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from desk import OPEN_ALGOS, POSITIONS, UNAVAILABLE, Floor
from test_failing_stops import opened, refused_at_trigger, stuck
from watched import ALWAYS, JUMP, QUIET, D

from shared.execution import stop_watch, survey
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.execution.ids import client_id

ACCOUNT = "main"


def position(quantity: str, mark: str) -> VenuePosition:
    return VenuePosition(
        symbol="BTCUSDT",
        quantity=D(quantity),
        entry_price=D(100),
        mark_price=D(mark),
        unrealized_pnl=D(0),
        liquidation_price=D(0),
        isolated_wallet=D(0),
        update_time=0,
    )


def stop(side: str, quantity: str, trigger: str, status: str = "NEW", name: str = "") -> Any:
    return VenueAlgoOrder(
        symbol="BTCUSDT",
        algo_id=1,
        client_algo_id=name or client_id(ACCOUNT, trigger, "s"),
        side=side,  # type: ignore[arg-type]
        type="STOP_MARKET",
        status=status,  # type: ignore[arg-type]
        quantity=D(quantity),
        trigger_price=D(trigger),
        working_type="MARK_PRICE",
        reduce_only=True,
        close_position=False,
        order_id=None,
        update_time=0,
    )


@pytest.mark.parametrize(
    ("held", "mark", "orders", "sound"),
    [
        pytest.param("1", "100", [stop("SELL", "1", "98")], True, id="long"),
        pytest.param("-1", "100", [stop("BUY", "1", "102")], True, id="short"),
        pytest.param("1", "98", [stop("SELL", "1", "98")], False, id="long, at it"),
        pytest.param("-1", "102.1", [stop("BUY", "1", "102")], False, id="short, beyond it"),
        pytest.param("1", "100", [], False, id="none"),
        pytest.param("1", "100", [stop("SELL", "0.9", "98")], False, id="too small"),
        pytest.param("1", "100", [stop("BUY", "1", "98")], False, id="on the wrong side"),
        pytest.param("1", "100", [stop("SELL", "1", "98", "TRIGGERING")], False, id="triggered"),
        pytest.param("1", "100", [stop("SELL", "1", "98", name="web_1")], False, id="a stranger's"),
        pytest.param(
            "1",
            "98.5",
            [stop("SELL", "1", "98"), stop("SELL", "1", "99")],
            False,
            id="the one it was moved to should have triggered",
        ),
        pytest.param(
            "1",
            "98.5",
            [stop("SELL", "1", "98"), stop("SELL", "1", "99", name="web_2")],
            True,
            id="only a stranger's should have",
        ),
    ],
)
def test_what_counts_as_a_stop_that_works(
    held: str, mark: str, orders: list[VenueAlgoOrder], sound: bool
) -> None:
    assert survey.sound(position(held, mark), orders) is sound


def test_positions_that_cannot_be_read_are_no_empty_account(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    floor.trade()
    floor.run(30)
    fault = floor.break_next(POSITIONS, UNAVAILABLE, times=10**6)
    floor.run(20)
    assert floor.workflow("account-watch-main")["runtimeStatus"] in ("Running", "Pending")
    fault.times = 0
    floor.run(3)


@pytest.mark.parametrize(
    ("fail", "gone", "at_most"),
    [
        pytest.param(refused_at_trigger, None, 700, id="refused: nothing to wait for"),
        pytest.param(stuck, None, 900, id="at work for a minute: not waited for again"),
        pytest.param(stuck, OPEN_ALGOS, 900, id="nor for the list of what it is not in"),
    ],
)
def test_how_long_a_reached_stop_is_still_waited_for(
    open_floor: Any, fail: Callable[[Floor], None], gone: tuple[str, str] | None, at_most: int
) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, durable=False)
    floor.expected = {4, 8}  # nobody looked for minutes, and nobody books it
    signal = opened(floor)
    fail(floor)
    floor.clock.sleep(240)
    floor.api.advance()
    if gone is not None:
        floor.break_next(gone, UNAVAILABLE, times=10**6)
    began = floor.clock.now_ms()
    assert stop_watch.look(floor.desk, "BTCUSDT", signal) == 0
    assert floor.held() == 0
    assert floor.clock.now_ms() - began <= at_most
