"""Somebody mistypes a limit in the portal while positions are open: they are looked after, can be
stopped all the same, and nothing is opened."""

from __future__ import annotations

import pytest
from desk import Floor
from outage import floor_with
from test_guardian_rounds import FULL, cancel, later, opened

from shared import bootstrap
from shared.bootstrap import Services
from shared.errors import ConfigurationError
from shared.execution import assess, entry


def mistyped(floor: Floor, **settings: str) -> Services:
    """The application restarts with these settings."""
    floor.settings = {**floor.settings, **settings}
    services = Services(
        floor.settings, clock=floor.clock, store=floor.store, exchange_session=floor.session
    )
    floor.services = services
    bootstrap.use(services)
    return services


WRONG = [
    {"MAX_LEVERAGE": "125", "STOP_ATR": "wide"},
    {"TRADING_STAGE": "yolo"},
    {"SYMBOLS": "btc usdt", "TIMEFRAMES": "7m"},
]


@pytest.mark.parametrize("settings", WRONG, ids=lambda s: " ".join(s))
def test_positions_are_looked_after_and_stopped(open_floor, settings):
    floor = open_floor()
    floor.trade()
    floor.run(20)
    before = floor.services
    cancel(floor, "STOP_MARKET")
    floor.expected = {4}
    mistyped(floor, **settings)
    floor.minutes(1.5)
    assert [s.quantity for s in floor.stops()] == [FULL]
    assert floor.alerts().count("settings-wrong") == 1
    assert floor.http("GET", "/api/health").status == 503
    assert floor.http("GET", "/api/status").status == 503
    answer = floor.http("POST", "/api/emergency-stop", {"reason": "test"})
    assert answer.status == 202
    floor.run(10)
    assert not floor.held()
    assert "emergency-flat" in floor.alerts()
    floor.services = before
    bootstrap.use(before)


@pytest.mark.parametrize(
    ("name", "pasted"),
    [
        ("ALERT_LOGIC_APP_URL", "logic.example.com/invoke?sig=hidden"),
        ("CosmosDbConnection__accountEndpoint", "AccountEndpoint=https://x;AccountKey=hidden"),
    ],
)
def test_what_was_pasted_in_the_wrong_place_is_told_to_nobody(open_floor, name, pasted):
    """The health is anybody's to ask for."""
    floor = open_floor()
    before = floor.services
    floor.services = Services(
        {**floor.settings, name: pasted},
        clock=floor.clock,
        store=floor.store,
        exchange_session=floor.session,
    )
    bootstrap.use(floor.services)
    answer = floor.http("GET", "/api/health", key=False)
    assert answer.status == 503
    assert name.encode() in answer.body
    assert b"hidden" not in answer.body
    floor.services = before
    bootstrap.use(before)


def test_they_are_looked_after_though_nobody_can_be_told(open_floor):
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(20)
    before = floor.services
    cancel(floor, "STOP_MARKET")
    floor.expected = {4}
    mistyped(floor, MAX_LEVERAGE="125")
    outage.concerns = lambda container, *_: container == "alerts"
    outage.fails = lambda: True
    floor.minutes(1.5)
    assert [s.quantity for s in floor.stops()] == [FULL]
    outage.fails = lambda: False
    floor.minutes(1)
    assert floor.alerts().count("settings-wrong") == 1
    floor.services = before
    bootstrap.use(before)


def test_a_mistyped_stage_does_not_end_what_the_stage_has_shown(open_floor):
    """The default in its place was noted as the stage that ran, and the run of ours began anew."""
    floor = open_floor(settings={"TRADING_STAGE": "testnet"})
    floor.minutes(6)
    before = floor.services
    (shown,) = floor.store.get("control", "main", "stage").body["runs"].items()
    mistyped(floor, TRADING_STAGE="yolo")
    floor.minutes(6)
    floor.services = before
    bootstrap.use(before)
    floor.minutes(6)
    assert floor.store.get("control", "main", "stage").body["runs"] == dict([shown])


def test_nothing_is_opened_with_the_defaults(open_floor):
    floor = open_floor(durable=False)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    before = floor.services
    exits = mistyped(floor, MAX_DAILY_LOSS="a lot").for_exits()
    desk = exits.desk()
    result = entry.open_position(desk, "BTCUSDT", signal.id)
    assert result.status == "declined"
    assert "MAX_DAILY_LOSS" in result.reason
    assert floor.entries() == []
    floor.services = before


def test_right_settings_are_their_own(open_floor):
    floor = open_floor(durable=False)
    assert floor.services.for_exits() is floor.services
    opened(floor)
    later(floor)


@pytest.mark.parametrize(
    "settings",
    [{"BINANCE_ENVIRONMENT": "live"}, {"ACCOUNT_ID": "a b", "MAX_LEVERAGE": "99"}],
    ids=lambda s: " ".join(s),
)
def test_no_account_is_guessed(open_floor, settings):
    floor = open_floor(durable=False)
    before = floor.services
    services = mistyped(floor, **settings)
    with pytest.raises(ConfigurationError):
        services.for_exits()
    floor.services = before


def test_one_wrong_setting_may_hide_another(open_floor):
    floor = open_floor(durable=False)
    before = floor.services
    services = mistyped(
        floor,
        TRADING_STAGE="limited",
        MAX_LEVERAGE="1",
        MAX_DRAWDOWN="3",
        MAX_POSITION_NOTIONAL="9",
    )
    exits = services.for_exits()
    assert {p.split(" ")[0] for p in exits.wrong_settings} == {
        "MAX_DRAWDOWN",
        "MAX_LEVERAGE",
        "MAX_POSITION_NOTIONAL",
    }
    assert exits.settings.max_leverage == 5
    assert str(exits.limits.max_drawdown) == "0.10"
    floor.services = before
