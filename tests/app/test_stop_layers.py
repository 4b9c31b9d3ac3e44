"""The layers of the stop on the whole application, and replacing a stop without a gap."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import ALGO, LOST, UNAVAILABLE, UNKNOWN_503, Floor

from local.exchange.faults import AnswerLost, error_answer
from shared.execution import assess, entry
from shared.execution.exchange import LIVE_ALGO
from shared.execution.guardian import guard
from shared.risk.stops import StopRules
from shared.simulation.core import VenueEvent

D = Decimal
CANCEL_ALGO = ("DELETE", "/fapi/v1/algoOrder")
RISE = {"BTCUSDT": [(2, 0), (12, 0.035)]}


def opened(floor: Floor, symbol: str = "BTCUSDT") -> str:
    signal = floor.signal(symbol)
    assert assess.assess(floor.desk, symbol, signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, symbol, signal.id).status == "protected"
    return signal.id


def rounds(floor: Floor, count: int) -> list[Decimal]:
    """Guardian rounds a minute apart; the stop price after each."""
    prices = []
    for _ in range(count):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
        prices.append(max(s.trigger_price for s in floor.stops()))
    return prices


class Coverage:
    """The time a position was held with less than its quantity in live stops, by venue events."""

    def __init__(self, floor: Floor, symbol: str = "BTCUSDT") -> None:
        self.floor, self.symbol = floor, symbol
        self.naked_ms = 0
        self.replaced = 0
        self._since: int | None = None
        floor.venue.on_event(self.see)

    def see(self, event: VenueEvent) -> None:
        held = sum(
            abs(p.quantity)
            for p in self.floor.account.positions.values()
            if p.symbol == self.symbol
        )
        live = sum(s.quantity for s in self.floor.stops(self.symbol) if s.status in LIVE_ALGO)
        if self._since is not None:
            self.naked_ms = max(self.naked_ms, event.time - self._since)
        if held and live < held:
            self._since = event.time if self._since is None else self._since
            # Even an instant counts: the venue's clock stands still within one request.
            self.naked_ms = max(self.naked_ms, 1)
        else:
            self._since = None
        self.replaced += event.kind == "ALGO" and event.record.status == "CANCELED"


def test_a_stop_that_moves_never_leaves_the_position_uncovered(open_floor):
    floor = open_floor(RISE, durable=False)
    opened(floor)
    coverage = Coverage(floor)
    prices = rounds(floor, 12)
    assert prices == sorted(prices)
    assert prices[-1] > D(100_000) > prices[0]
    assert coverage.replaced >= 3
    assert coverage.naked_ms == 0
    assert len(floor.stops()) == 1


REFUSED = {
    "would trigger at once": error_answer(400, -2021, "Order would immediately trigger."),
    "a closing stop exists": error_answer(
        400, -4130, "An open stop or take profit order with GTE and closePosition is existing."
    ),
    "too many stops": error_answer(400, -4045, "Reach max stop order limit."),
    "throttled": error_answer(429, -1003, "Too many requests"),
    "down": UNAVAILABLE,
    "unknown, not executed": UNKNOWN_503,
    "lost": LOST,
    "reset": AnswerLost("reset"),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_a_second_stop_that_is_refused_leaves_the_first(open_floor, answer):
    """Whatever the venue says to the new one, the old one goes only once the new one is live."""
    floor = open_floor(RISE, durable=False)
    opened(floor)
    coverage = Coverage(floor)
    (before,) = floor.stops()
    fault = floor.break_next(ALGO, answer, times=1000)
    rounds(floor, 9)
    assert fault.times < 1000  # it was tried
    assert floor.stops() == [before]
    fault.times = 0
    later = rounds(floor, 4)
    assert later[-1] > D(100_000)
    assert coverage.naked_ms == 0
    assert len(floor.stops()) == 1


@pytest.mark.parametrize("executed", [True, False])
def test_an_old_stop_that_cannot_be_cancelled_goes_in_the_next_round(open_floor, executed):
    floor = open_floor(RISE, durable=False)
    opened(floor)
    coverage = Coverage(floor)
    fault = floor.break_next(CANCEL_ALGO, UNKNOWN_503, executed=executed, times=1000)
    rounds(floor, 8)
    assert coverage.naked_ms == 0
    assert len(floor.stops()) >= (1 if executed else 2)
    fault.times = 0
    rounds(floor, 1)
    assert len(floor.stops()) == 1
    assert coverage.naked_ms == 0


def test_break_even(open_floor):
    """Half of the distance to the stop is gained, then everything is given back."""
    moves = {"BTCUSDT": [(2, 0), (8, 0.013), (20, -0.01)]}
    floor = open_floor(moves, settings={"BREAK_EVEN_AT": "0.5"}, durable=False)
    signal = opened(floor)
    price = floor.fills()[0].price
    prices = rounds(floor, 8)
    assert prices[-1] == (price * D("1.0015")).quantize(D("0.1"), "ROUND_CEILING")
    reasons = [b["reason"] for b in floor.audit("protection") if "reason" in b]
    assert reasons == ["break-even"]
    while floor.held():
        rounds_without_stop(floor)
    guard(floor.desk)
    (trade,) = floor.trades()
    assert trade["id"] == signal
    assert trade["exitReason"] == "trailing stop"
    # What break-even promises: fees are covered, but for the slippage of the stop.
    assert abs(D(trade["netPnl"])) < D("0.002") * price * D("0.004")


def rounds_without_stop(floor: Floor) -> None:
    floor.clock.sleep(60)
    floor.api.advance()


def test_without_break_even_the_stop_stays(open_floor):
    floor = open_floor({"BTCUSDT": [(2, 0), (8, 0.013)]}, durable=False)
    opened(floor)
    assert len(set(rounds(floor, 8))) == 1


def test_trailing_by_the_atr_of_the_moment(open_floor):
    """A steady rise has small bars: the trail is much closer than the first stop was."""
    closer, planned = (
        open_floor(RISE, settings={"TRAIL_ATR": trail}, durable=False) for trail in ("1", "0")
    )
    last = []
    for floor in (closer, planned):
        opened(floor)
        last.append(rounds(floor, 12)[-1])
    assert last[0] > last[1] * D("1.005")
    assert {b["reason"] for b in closer.audit("protection") if "reason" in b} == {"volatility"}
    assert {b["reason"] for b in planned.audit("protection") if "reason" in b} == {"trailing"}


def test_bars_that_cannot_be_read_leave_the_planned_distance(open_floor):
    floor = open_floor(RISE, settings={"TRAIL_ATR": "1"}, durable=False)
    opened(floor)
    floor.break_next(("GET", "/fapi/v1/klines"), UNAVAILABLE, times=1000)
    assert rounds(floor, 12)[-1] > D(100_000)
    assert {b["reason"] for b in floor.audit("protection") if "reason" in b} == {"trailing"}


def test_a_changed_setting_leaves_open_positions_as_they_were_opened(open_floor):
    floor = open_floor({"BTCUSDT": [(2, 0), (8, 0.013)]}, durable=False)
    opened(floor)
    floor.services.stops = StopRules(break_even_at=D("0.5"))
    assert len(set(rounds(floor, 8))) == 1
