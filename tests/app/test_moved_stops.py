"""A stop that has moved stays moved, whoever dies or comes late."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import Crash, Floor

from shared.execution import adopt, assess, entry
from shared.execution.guardian import guard
from shared.risk.stops import tighter
from shared.simulation.orders import NewAlgoOrder

D = Decimal
RISE = {"BTCUSDT": [(2, 0), (12, 0.035), (40, 0.035)]}
ALGO = ("POST", "algoOrder")


FALL = {"BTCUSDT": [(2, 0), (12, -0.035), (40, -0.035)]}


def opened(floor: Floor, side: str = "BUY") -> str:
    signal = floor.signal(side=side)
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    return signal.id


def later(floor: Floor, seconds: float = 60) -> None:
    floor.clock.sleep(seconds)
    floor.api.advance()


def tightest(floor: Floor) -> Decimal:
    """Where the stop that triggers first is."""
    prices = [s.trigger_price for s in floor.stops()]
    return max(prices) if floor.held() > 0 else min(prices)


def until_it_moves(floor: Floor, then: object) -> None:
    """Rounds of the guardian; ``then`` is called once, with the first stop that is moved, between
    its execution and its answer."""
    begun = False

    def after(method: str, url: str) -> None:
        nonlocal begun
        if not begun and (method.upper(), url.split("?")[0].rsplit("/", 1)[-1]) == ALGO:
            begun = True
            then()  # type: ignore[operator]

    floor.session.after = after
    for _ in range(12):
        later(floor)
        guard(floor.desk)
        if begun:
            return
    pytest.fail("it never moved")


@pytest.mark.parametrize(("moves", "side"), [(RISE, "BUY"), (FALL, "SELL")])
def test_a_stop_that_was_moved_by_who_died_then_is_not_taken_back(open_floor, moves, side):
    """Between the new stop and its record: the next round cancelled the new one for left over, and
    could not place it again, because its id had ended."""
    floor = open_floor(moves, durable=False)
    opened(floor, side)
    (first,) = floor.stops()

    def die() -> None:
        raise Crash

    with pytest.raises(Crash):
        until_it_moves(floor, die)
    floor.session.after = lambda method, url: None
    moved = tightest(floor)
    assert moved != first.trigger_price
    later(floor, 1)
    guard(floor.desk)
    (stop,) = floor.stops()
    assert stop.trigger_price == tighter(side, moved, stop.trigger_price)
    assert D(floor.documents("positions")[0]["stopPrice"]) == stop.trigger_price


def test_another_guardian_does_not_take_back_a_stop_that_is_being_moved(open_floor):
    """Between the new stop and its record: it cancelled the new one, the record told of it, and no
    round put it there again, because a stop covered the position."""
    floor = open_floor(RISE, durable=False)
    opened(floor)
    until_it_moves(floor, lambda: guard(floor.desk))
    assert D(floor.documents("positions")[0]["stopPrice"]) == tightest(floor)


def test_a_guardian_that_comes_late_does_not_move_the_stop_back(open_floor):
    """It had seen the price of two minutes ago; another one has moved the stop further since."""
    floor = open_floor(RISE, durable=False)
    opened(floor)
    moved: list[Decimal] = []

    def other() -> None:
        later(floor, 120)
        guard(floor.desk)
        moved.append(tightest(floor))

    until_it_moves(floor, other)
    assert tightest(floor) == moved[0]
    record = floor.documents("positions")[0]
    assert D(record["stopPrice"]) == moved[0]
    later(floor, 1)
    guard(floor.desk)
    (stop,) = floor.stops()
    assert stop.trigger_price >= moved[0]
    assert D(floor.documents("positions")[0]["bestPrice"]) == D(record["bestPrice"])


def test_a_tighter_stop_of_an_earlier_trade_goes(open_floor):
    """Not listed when its trade was settled, it would close this one before its time."""
    floor = open_floor({"BTCUSDT": [(60, 0)]}, durable=False)
    opened(floor)
    (own,) = floor.stops()
    left = NewAlgoOrder(
        symbol="BTCUSDT",
        side="SELL",
        type="STOP_MARKET",
        quantity=own.quantity,
        trigger_price=D("99000"),
        working_type="MARK_PRICE",
        reduce_only=True,
        client_algo_id="bq-s-" + "0" * 28,
    )
    floor.venue.place_algo_order(floor.account, left)
    (seen,) = (a for a in floor.desk.exchange.open_algo_orders() if a.trigger_price == D(99_000))
    adopt.conditional(floor.desk, seen, "another")
    later(floor)
    guard(floor.desk)
    assert floor.stops() == [own]
