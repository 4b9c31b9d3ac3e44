"""Hours of trading with faults at random places, each from one seed.

No scenario knows what happens here; the invariants and the exchange's books judge alone.
"""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from desk import LOST, NOT_FOUND, UNAVAILABLE, UNKNOWN_503, Crash, Floor

from local.exchange.faults import AnswerLost, ApiRequest, ApiResponse
from shared.errors import StoreUnavailable
from shared.strategies.signal import signal_id

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
HOUR = 60


class Weather:
    """Disturbs requests and writes with a probability, drawn from one seed."""

    def __init__(self, floor: Floor, seed: int, rate: float, *, slow: bool) -> None:
        self.draw = random.Random(seed)
        self.rate = rate
        self.strikes = 0
        self._answers = [UNKNOWN_503, UNAVAILABLE, AnswerLost("reset")] + ([LOST] if slow else [])
        floor.api.faults = self
        floor.store.before = floor.store.after = self._write

    def _struck(self, share: float = 1.0) -> bool:
        if self.draw.random() >= self.rate * share:
            return False
        self.strikes += 1
        return True

    def before(self, request: ApiRequest) -> ApiResponse | None:
        if request.path.endswith("/time") or not self._struck():
            return None
        if request.method == "GET" and request.path.endswith("rder"):
            return NOT_FOUND
        return self._answer(self.draw.choice(self._answers))

    def after(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        if request.method == "GET" or response.status != 200 or not self._struck():
            return response
        return self._answer(self.draw.choice([a for a in self._answers if a is not UNAVAILABLE]))

    def _answer(self, answer: ApiResponse | AnswerLost) -> ApiResponse:
        if isinstance(answer, AnswerLost):
            raise AnswerLost(answer.how)
        return answer

    def _write(self, name: str, args: tuple[object, ...]) -> None:
        if self._struck(0.2):
            raise self.draw.choice([StoreUnavailable("throttled"), Crash("the process died")])

    def clears(self) -> None:
        self.rate = 0.0


def paths(seed: int) -> dict[str, list[tuple[float, float]]]:
    """A nervous market for an hour: moves of up to four percent every ten minutes."""
    draw = random.Random(seed)
    found = {}
    for symbol in SYMBOLS:
        level, knots = 0.0, [(1.0, 0.0)]
        for minute in range(10, HOUR + 5, 10):
            level = min(0.08, max(-0.08, level + draw.uniform(-0.04, 0.04)))
            knots.append((float(minute), level))
        found[symbol] = knots
    return found


def trade_through(floor: Floor, weather: Weather, seed: int, minutes: int) -> None:
    """A signal every five minutes on each symbol; some are delivered twice.

    One after the other: in virtual time a trade that waits holds up all the others, which would
    make their stops late where real threads would not.
    """
    draw = random.Random(seed + 1)
    for _ in range(0, minutes, 5):
        for symbol in SYMBOLS:
            floor.run(30)
            side = draw.choice(["BUY", "SELL"])
            try:
                signal = floor.signal(symbol, side)
            except (StoreUnavailable, Crash):
                continue
            floor.start(signal)
            if draw.random() < 0.2:
                floor.start(signal)
        floor.minutes(3.5)


def settled(floor: Floor) -> None:
    """Fair weather for a while: everything that was begun is finished."""
    floor.minutes(12)
    held = {s for s in SYMBOLS if floor.held(s)}
    for symbol in SYMBOLS:
        if symbol in held:
            assert sum(s.quantity for s in floor.stops(symbol)) >= abs(floor.held(symbol))
            assert floor.targets(symbol)
        else:
            assert not floor.algos(symbol)
    permits, reserved = floor.leaked()
    assert not permits
    records = floor.documents("positions")
    assert reserved == sorted(r["decisionId"] for r in records if r["state"] != "closed")
    ours = sum((Decimal(t["netPnl"]) for t in floor.trades()), Decimal(0))
    open_fees = sum(
        (f.commission for s in held for f in floor.fills(s) if f.time >= opened_at(records, s)),
        Decimal(0),
    )
    booked = sum(
        (
            i.amount
            for i in floor.venue.ledger("main").income
            if i.kind in ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE")
        ),
        Decimal(0),
    )
    # Every cent the exchange has booked is in exactly one trade, or in an open position.
    assert ours - open_fees == booked
    executed = [o.client_order_id for o in floor.entries() if o.executed]
    assert len(executed) == len(set(executed))


def opened_at(records: list[dict], symbol: str) -> int:
    return next(r["openedAt"] for r in records if r["id"] == symbol) - 5_000


@pytest.mark.parametrize("seed", range(5))
def test_invariants_hold(open_floor, seed):
    floor = open_floor(paths(seed), minutes=3 * HOUR)
    weather = Weather(floor, seed, 0.03, slow=False)
    trade_through(floor, weather, seed, HOUR)
    weather.clears()
    settled(floor)
    assert weather.strikes > 15
    assert floor.trades()


@pytest.mark.parametrize("seed", range(10, 13))
def test_everything_is_found_again_after_a_storm(open_floor, seed):
    """Lost answers that take seconds, one after the other: a stop may then come late."""
    floor = open_floor(paths(seed), minutes=3 * HOUR)
    floor.expected = {4}
    weather = Weather(floor, seed, 0.08, slow=True)
    trade_through(floor, weather, seed, HOUR)
    weather.clears()
    settled(floor)
    assert weather.strikes > 40


def test_a_signal_id_is_one_per_bar():
    """What makes a repeated event harmless to begin with."""
    assert signal_id("BTCUSDT", "5m", 1, 1) == signal_id("BTCUSDT", "5m", 1, 1)
