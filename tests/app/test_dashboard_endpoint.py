"""The dashboard's snapshot: the account as the exchange has it; gaps are said to be gaps."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from desk import ACCOUNT, ALGO, OPEN_ALGOS, POSITIONS, UNAVAILABLE, Floor

from shared.errors import StoreUnavailable

D = Decimal


@pytest.fixture
def floor(open_floor) -> Floor:
    return open_floor({"BTCUSDT": (), "ETHUSDT": ((0, 0.0), (30, 0.006)), "XRPUSDT": ()})


def snapshot(floor: Floor) -> dict[str, Any]:
    answer = floor.http("GET", "/api/dashboard")
    assert answer.status == 200, answer.body
    assert {k.lower(): v for k, v in answer.headers}["cache-control"] == "no-store"
    return json.loads(answer.body)


def gauge(shown: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [g for g in shown["gauges"] if g["name"] == name]
    return found


def line(shown: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [x for x in shown["health"] if x["name"] == name]
    return found


def test_a_position_as_the_exchange_has_it_with_what_it_risks(floor):
    signal = floor.trade("ETHUSDT")
    floor.minutes(3)
    shown = snapshot(floor)

    (position,) = shown["positions"]
    (held,) = [p for p in floor.account.positions.values() if p.quantity]
    mark = D(str(floor.price("ETHUSDT")))
    # By hand: quantity times the way of the price, over the loss that the entry planned with.
    pnl = held.quantity * (mark - held.entry_price)
    risk = D(position["riskAmount"])
    assert position["symbol"] == "ETHUSDT"
    assert position["decisionId"] == signal.id
    assert D(position["quantity"]) == held.quantity
    assert abs(D(position["unrealizedPnl"]) - pnl) < D("0.01")
    assert abs(D(position["rNow"]) - pnl / risk) < D("0.01")
    assert position["leverage"] == floor.account.setting("ETHUSDT").leverage
    # Stop and target rest on the exchange.
    assert position["ordersOnExchange"] == len(floor.algos("ETHUSDT")) == 2
    (stop,) = floor.stops("ETHUSDT")
    assert D(position["stopPrice"]) == stop.trigger_price

    exposure = {c["symbol"]: c for c in shown["exposure"]}
    assert set(exposure) == {"BTCUSDT", "ETHUSDT", "XRPUSDT"}
    assert exposure["ETHUSDT"]["side"] == "BUY"
    assert D(exposure["BTCUSDT"]["notional"]) == 0
    total = gauge(shown, "exposure, all symbols")
    assert D(total["used"]) >= held.quantity * mark * D("0.99")
    assert (total["limit"], total["ceiling"], total["holds"]) == ("2000", "5000", True)
    assert D(gauge(shown, "open positions")["used"]) == 1
    assert D(gauge(shown, "highest leverage")["used"]) == position["leverage"]
    assert gauge(shown, "lowest reward to risk")["least"]

    (decision,) = shown["decisions"]
    assert (decision["id"], decision["outcome"]) == (signal.id, "approved")
    assert (shown["models"], decision["votes"]) == ([], [])
    assert shown["signals"][0]["id"] == signal.id
    assert shown["killSwitch"]["state"] == "armed"
    assert shown["problems"] == []
    assert line(shown, "exchange")["state"] == "ok"


def test_the_check_that_declined_is_told(floor):
    floor.trade("ETHUSDT")
    floor.run(20)
    floor.minutes(5)
    second = floor.trade("ETHUSDT")
    floor.run(20)
    shown = snapshot(floor)
    (declined,) = [d for d in shown["decisions"] if d["id"] == second.id]
    assert declined["outcome"] == "declined"
    assert declined["why"].startswith("the symbol is taken")


def test_a_stop_is_seen_at_once_however_young_the_last_look_is(floor):
    floor.trade("ETHUSDT")
    floor.minutes(2)
    before = snapshot(floor)
    assert len(before["positions"]) == 1
    floor.http("POST", "/api/emergency-stop", {"operator": "ada", "reason": "test"})
    shown = snapshot(floor)
    switch = shown["killSwitch"]
    assert (switch["state"], switch["trigger"]) == ("latched", "manual")
    assert switch["evidence"]["operator"] == "ada"
    floor.run(10)
    after = snapshot(floor)
    assert after["positions"] == []
    assert after["killSwitch"]["flatAt"] is not None
    (trade,) = after["trades"]
    assert trade["exitReason"] == "emergency stop"


def test_many_viewers_cost_the_exchange_no_more_than_one(floor):
    floor.trade("ETHUSDT")
    floor.minutes(2)
    asked: list[str] = []
    floor.session.before = lambda method, url: asked.append(url)
    for _ in range(20):
        snapshot(floor)
    # Account, positions, and the orders of the one symbol: once.
    assert len(asked) == 3
    floor.run(5)
    asked.clear()
    snapshot(floor)
    assert len([u for u in asked if "account" in u]) == 1


def test_viewers_of_a_slow_exchange_share_its_answer(floor):
    floor.trade("ETHUSDT")
    floor.minutes(2)
    floor.session.latency = 3.0  # three requests take longer than a look is shared
    first = snapshot(floor)
    asked: list[str] = []
    floor.session.before = lambda method, url: asked.append(url)
    second = snapshot(floor)
    assert asked == []
    # Shared, and as old as it is.
    assert second["seenAt"] == first["seenAt"] < first["time"]


@pytest.mark.parametrize("what", [ACCOUNT, POSITIONS, OPEN_ALGOS], ids=lambda w: w[1])
def test_an_exchange_that_cannot_be_read_is_no_flat_account(floor, what):
    floor.trade("ETHUSDT")
    floor.minutes(2)
    floor.break_next(what, UNAVAILABLE, times=50, seconds=30)
    shown = snapshot(floor)
    assert shown["positions"] is None
    assert shown["money"] is None
    assert shown["gauges"] is None
    assert shown["exposure"] is None
    assert any(p.startswith("exchange: ExchangeUnavailable") for p in shown["problems"])
    assert line(shown, "exchange")["state"] == "failing"
    # What does not come from there is still told.
    assert shown["killSwitch"]["state"] == "armed"
    assert shown["decisions"]
    floor.run(40)
    assert len(snapshot(floor)["positions"]) == 1


def test_a_store_that_fails_hides_only_what_it_holds(floor):
    floor.trade("ETHUSDT")
    floor.minutes(2)
    real = floor.store._inner.query

    def failing(container: str, *args: Any, **kwargs: Any) -> Any:
        if container == "alerts":
            raise StoreUnavailable("too many requests")
        return real(container, *args, **kwargs)

    floor.store._inner.query = failing
    shown = snapshot(floor)
    floor.store._inner.query = real
    assert shown["alerts"] is None
    assert shown["problems"] == ["alerts: StoreUnavailable: too many requests"]
    assert line(shown, "store")["state"] == "failing"
    assert line(shown, "alerts")["state"] == "unknown"
    assert len(shown["positions"]) == 1


def test_the_newest_bar_is_found_without_reading_the_older_ones(floor):
    """Months of signals and decisions must not make every look slower than the one before."""
    floor.trade("ETHUSDT")
    floor.run(20)
    old = floor.documents("signals", "ETHUSDT")
    floor.minutes(10)
    newest = floor.trade("ETHUSDT")
    floor.run(20)
    inner, asked = floor.store._inner, []
    real = inner.query

    def counted(container: str, *args: Any, **kwargs: Any) -> Any:
        page = real(container, *args, **kwargs)
        if container == "signals":
            asked.append((kwargs["order_by"], len(page.documents)))
        return page

    inner.query = counted
    shown = snapshot(floor)
    inner.query = real
    assert len(old) == 2
    assert [s["id"] for s in shown["signals"] if s["symbol"] == "ETHUSDT"] == [newest.id]
    assert shown["decisions"][0]["id"] == newest.id
    assert len(shown["decisions"]) == 2
    # By the key of the table, and only what is shown.
    assert {by for by, _ in asked} == {"id"}
    assert sum(rows for _, rows in asked) == 1 + 2


def test_old_bars_and_a_silent_guardian_are_told(floor):
    floor.trade("ETHUSDT")
    floor.minutes(1)
    assert line(snapshot(floor), "market data")["state"] == "ok"
    assert line(snapshot(floor), "guardian")["state"] == "ok"
    assert floor.platform is not None
    floor.clock.sleep(1800)
    shown = snapshot(floor)
    # A five-minute bar should have followed long ago; the guardian notes every ten minutes.
    assert line(shown, "market data")["state"] == "late"
    assert line(shown, "guardian")["state"] == "late"


def test_a_position_that_is_not_ours_has_no_stop_of_ours(floor):
    floor.expected = {1, 3, 4, 7, 8}  # somebody else's order
    floor.trade_by_hand("XRPUSDT", "BUY", "20")
    shown = snapshot(floor)
    (position,) = shown["positions"]
    assert position["stopPrice"] is None
    assert position["rNow"] is None
    assert gauge(shown, "largest position")["holds"]


def test_the_curve_ends_at_the_wallet_and_steps_by_what_trades_earned(floor):
    for symbol in ("ETHUSDT", "BTCUSDT"):
        floor.trade(symbol)
    floor.minutes(2)
    floor.http("POST", "/api/emergency-stop", {})
    floor.run(10)
    trades = json.loads(floor.http("GET", "/api/trades").body)["trades"]
    told = json.loads(floor.http("GET", "/api/equity").body)
    assert told["trades"] == len(trades) == 2
    values = [D(v) for _, v in told["points"]]
    wallet = D(json.loads(floor.http("GET", "/api/status").body)["walletBalance"])
    assert values[-1] == values[-2] == wallet
    assert values[0] == D(5000)
    steps = sorted(b - a for a, b in pairwise(values[:-1]))
    assert steps == sorted(D(t["netPnl"]) for t in trades)
    times = [t for t, _ in told["points"]]
    assert times == sorted(times)


def test_an_order_refused_is_seen_among_the_alerts(floor):
    floor.break_next(ALGO, UNAVAILABLE, times=30, seconds=20)
    floor.trade("ETHUSDT")
    floor.run(30)
    shown = snapshot(floor)
    assert "critical" in [a["severity"] for a in shown["alerts"]]


@pytest.mark.parametrize(
    ("settings", "state", "says"),
    [
        ({}, "warning", "stored only, no channel"),
        ({"ALERT_CHANNELS": "push", "PUSH_URL": "https://push.invalid/topic"}, "ok", "delivered"),
    ],
)
def test_alerts_that_go_nowhere_are_no_good_news(open_floor, settings, state, says):
    shown = line(snapshot(open_floor(settings=settings)), "alerts")
    assert shown["state"] == state
    assert shown["detail"].startswith(says)


def test_a_wrong_key_opens_nothing(floor):
    for path in ("/api/dashboard", "/api/equity"):
        assert floor.http("GET", path, key=False).status == 401
