"""What excuses a position without a stop: time, counted once, from whenever the trouble began."""

from __future__ import annotations

import pytest

from local.clock import VirtualClock
from local.exchange.faults import ApiRequest
from local.simulate.boundaries import ExchangeFaults, Hooks, HubFaults
from local.simulate.excuses import FORGET_MS, Excuses
from local.simulate.schedule import Schedule


@pytest.mark.parametrize(
    ("blocked", "since", "until", "excused"),
    [
        pytest.param([(0, 100)], 200, 300, 0, id="over before"),
        pytest.param(
            [(0, 15_000)], 1_500, 15_000, 13_500, id="begun before the position was there"
        ),
        pytest.param([(500, 2_000)], 0, 1_000, 500, id="not over yet"),
        pytest.param([(100, 300), (200, 400)], 0, 1_000, 300, id="two at the same time count once"),
        pytest.param([(100, 900), (200, 300)], 0, 1_000, 800, id="one within another"),
        pytest.param([(100, 200), (300, 500)], 0, 1_000, 300, id="one after the other"),
        pytest.param([(700, 900), (100, 200)], 0, 1_000, 300, id="told out of order"),
    ],
)
def test_blocked_time(blocked: list[tuple[int, int]], since: int, until: int, excused: int) -> None:
    excuses = Excuses()
    for start, end in blocked:
        excuses.blocked(start, end)
    assert excuses.within("BTCUSDT", since, until) == excused


def test_waiting_for_another_symbol_excuses_and_for_its_own_does_not() -> None:
    excuses = Excuses()
    excuses.slept("ETHUSDT", 100, 400)
    excuses.slept("BTCUSDT", 300, 600)
    assert excuses.within("BTCUSDT", 0, 1_000) == 300
    assert excuses.within("ETHUSDT", 0, 1_000) == 300
    assert excuses.within("XRPUSDT", 0, 1_000) == 500


def test_what_is_not_over_yet_excuses_until_now() -> None:
    excuses = Excuses()
    excuses.begin("ETHUSDT", 100)
    assert excuses.within("BTCUSDT", 0, 700) == 600
    assert excuses.within("ETHUSDT", 0, 700) == 0
    excuses.end(800)
    assert excuses.within("BTCUSDT", 0, 2_000) == 700


def test_old_trouble_is_forgotten_and_recent_is_not() -> None:
    excuses = Excuses()
    for second in range(0, 2 * FORGET_MS // 1000, 10):
        excuses.blocked(second * 1000, second * 1000 + 1_000)
    end = 2 * FORGET_MS
    assert excuses.within("BTCUSDT", end - 60_000, end) == 6_000
    assert len(excuses._blocked) <= FORGET_MS // 10_000 + 1


def test_requests_of_one_symbols_activity_excuse_others_and_no_other_requests_do() -> None:
    """Deployed the activities of several symbols run beside one another, here one after another."""
    schedule = Schedule("excuses")
    hooks = Hooks(
        schedule,
        {},
        VirtualClock(0),
        lambda ms: None,
        lambda kind, draw: None,
        lambda until: None,
        lambda: None,
    )
    told: list[str] = []
    exchange = ExchangeFaults(lambda symbol: None, lambda symbol: None, served=told.append)
    exchange.hooks = hooks
    hub = HubFaults(hooks)

    def asks(symbol: str = "") -> None:
        query = f"symbol={symbol}" if symbol else ""
        exchange.before(ApiRequest("GET", "/fapi/v1/openOrders", query, {}, b"", 0))

    asks("BTCUSDT")
    hub.activity("assess", 1)
    asks()  # whose it is has not been said yet
    asks("ETHUSDT")
    asks()
    hooks.ended(None)
    asks("XRPUSDT")  # a timer's
    hub.activity("survey_positions", 1)
    asks("XRPUSDT")  # one look at all, one after the other deployed as well
    assert told == ["ETHUSDT", "ETHUSDT"]
