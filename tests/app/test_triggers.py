"""Each trigger of the kill switch in the running application: when it fires, and when not."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from desk import ACCOUNT, GET_ORDER, ORDER, START, UNAVAILABLE, UNKNOWN_503, Floor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.exchange.faults import error_answer
from shared.bootstrap import Services
from shared.execution import watch
from shared.execution.exchange import Account
from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.risk.triggers import Thresholds
from shared.simulation.orders import NewOrder

D = Decimal


def trigger(floor: Floor) -> str | None:
    return floor.services.kill_switch.ensure().trigger


def clear(floor: Floor) -> int:
    body = {"code": floor.totp(), "reason": "the cause was found and mended", "operator": "ada"}
    answer = floor.http("POST", "/api/kill-switch/clear", body)
    floor.watch.latched_at = None
    return answer.status


def again(floor: Floor) -> Services:
    """Another instance, or the same one after a restart."""
    return Services(
        floor.settings, clock=floor.clock, store=floor.store, exchange_session=floor.session
    )


def at_bar(floor: Floor) -> None:
    """Wait until a five-minute bar has just closed: signals must not be old."""
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)


# ---------------------------------------------------------------- drawdown


def lose(floor: Floor, amount: str) -> None:
    """The account loses money in a trade by hand."""
    floor.account.cross_wallet -= D(amount)
    floor.venue.core.book_income(floor.account, "REALIZED_PNL", -D(amount))
    floor.venue.core.changed()


@pytest.mark.parametrize(
    ("moves", "fires"),
    [
        pytest.param([("lose", "499")], False, id="9.98 % lost"),
        pytest.param([("lose", "500")], True, id="10 % lost"),
        pytest.param([("lose", "100")] * 5, True, id="lost little by little"),
        pytest.param([("transfer", "-1000")], False, id="20 % paid out"),
        pytest.param([("transfer", "-1000"), ("lose", "399")], False, id="and 9.98 % of it lost"),
        pytest.param([("transfer", "-1000"), ("lose", "401")], True, id="and more than 10 % of it"),
        pytest.param([("transfer", "1000"), ("lose", "590")], False, id="paid in, 9.8 % lost"),
        pytest.param([("lose", "300"), ("transfer", "1000"), ("lose", "200")], False, id="8.3 %"),
        pytest.param([("lose", "300"), ("transfer", "1000"), ("lose", "310")], True, id="10.2 %"),
        pytest.param([("transfer", "3000"), ("transfer", "-3000")], False, id="in and out again"),
    ],
)
def test_drawdown_counts_losses_and_no_transfers(open_floor, moves, fires):
    floor = open_floor()
    floor.minutes(12)  # a first balance is explained
    assert floor.services.ledger.read().balance is not None
    for what, amount in moves:
        if what == "transfer":
            floor.venue.transfer(floor.account, D(amount))
        else:
            lose(floor, amount)
        floor.minutes(6)
    assert trigger(floor) == ("max_drawdown" if fires else None)


def test_drawdown_that_was_cleared_does_not_latch_again_and_the_next_one_does(open_floor):
    """passivbot 839: latched again from history. passivbot 477: not at all until liquidation."""
    floor = open_floor()
    floor.minutes(12)
    lose(floor, "600")
    floor.minutes(2)
    assert trigger(floor) == "max_drawdown"
    assert clear(floor) == 200
    floor.minutes(30)
    assert again(floor).kill_switch.ensure().state == "armed"
    lose(floor, "430")
    floor.minutes(2)
    assert trigger(floor) is None
    lose(floor, "20")
    floor.minutes(2)
    assert trigger(floor) == "max_drawdown"


NO_READING = (
    b'{"assets":[{"asset":"USDT","walletBalance":"0","unrealizedProfit":"0","marginBalance":"0",'
    b'"availableBalance":"0"}],"positions":[]}',
    b'{"assets":[],"positions":[]}',
    b'{"assets":[{"asset":"USDT","walletBalance":"-5","unrealizedProfit":"0","marginBalance":"-5",'
    b'"availableBalance":"0"}],"positions":[]}',
    b'{"assets":[{"asset":"USDT","walletBalance":"NaN","unrealizedProfit":"NaN","marginBalance":'
    b'"NaN","availableBalance":"NaN"}],"positions":[]}',
    b"{}",
    b"<html>maintenance</html>",
)


@pytest.mark.parametrize("body", NO_READING, ids=["zero", "no row", "below zero", "NaN", "{}", "-"])
def test_a_balance_that_cannot_be_is_no_drawdown(open_floor, body):
    """passivbot 857: the kill switch fired on a balance that the exchange had made up."""
    from local.exchange.api import ApiResponse

    floor = open_floor()
    floor.minutes(12)
    answer = ApiResponse(200, {"content-type": "application/json"}, body)
    floor.break_next(ACCOUNT, answer, times=1000, seconds=240)
    floor.minutes(10)
    assert trigger(floor) is None
    assert floor.services.ledger.read().equity_peak == 5000


# ---------------------------------------------------------------- disconnection


REFUSED = {
    "maintenance": error_answer(503, -1016, "This service is no longer available."),
    "limit": error_answer(429, -1003, "Too many requests."),
    "key": error_answer(401, -2015, "Invalid API-key, IP, or permissions for action."),
}


@pytest.mark.parametrize(
    ("answer", "seconds", "fires"),
    [
        pytest.param(UNAVAILABLE, 480, True, id="unavailable for 8 minutes"),
        pytest.param(UNKNOWN_503, 480, True, id="unknown errors for 8 minutes"),
        pytest.param(UNAVAILABLE, 280, False, id="for less than 5"),
        *(pytest.param(REFUSED[k], 900, False, id=k) for k in REFUSED),
    ],
)
def test_disconnection_latches_and_leaves_positions_to_their_stops(
    open_floor, answer, seconds, fires
):
    floor = open_floor()
    floor.trade()
    floor.minutes(2)
    held, (stop,) = floor.held(), floor.stops()
    floor.break_next(ACCOUNT, answer, times=10_000, seconds=seconds)
    floor.run(seconds)
    assert (trigger(floor) == "exchange_disconnection") is fires
    assert "guardian-blind" in floor.alerts()
    floor.minutes(6)
    # Nothing is closed because the line was bad: neither then nor when it is back.
    assert (floor.held(), floor.stops()) == (held, [stop])
    at_bar(floor)
    signal = floor.trade("ETHUSDT")
    floor.run(10)
    # Refused keys and a service that is gone halt entries: a person looks, and nobody latches.
    halted = answer in (REFUSED["maintenance"], REFUSED["key"])
    assert (floor.services.kill_switch.ensure().state == "halted") is halted
    assert (floor.outcome(signal)["outcome"] == "declined") is (fires or halted)
    if fires:
        assert clear(floor) == 200
        floor.minutes(10)
        assert trigger(floor) is None
    assert floor.held() == held


def test_disconnection_is_counted_in_the_store(open_floor):
    """Every round by another instance: the counts agree all the same."""
    floor = open_floor(durable=False)
    from shared.errors import ExchangeError
    from shared.execution import guardian

    guardian.guard(floor.desk)
    floor.break_next(ACCOUNT, UNAVAILABLE, times=10_000)
    for _ in range(8):
        floor.clock.sleep(60)
        desk = again(floor).desk()
        try:
            guardian.guard(desk)
        except ExchangeError as error:
            guardian.blind(desk, error)
    assert trigger(floor) == "exchange_disconnection"


@pytest.mark.parametrize(
    ("scene", "connected"),
    [("first start", False), ("one answer between", True), ("the clock jumps", True)],
)
def test_what_is_no_disconnection(open_floor, scene, connected):
    floor = open_floor(durable=False)
    from shared.errors import ExchangeUnavailable
    from shared.execution import guardian

    if connected:
        guardian.guard(floor.desk)
    for n in range(12):
        floor.clock.sleep(3600 if scene == "the clock jumps" else 60)
        guardian.blind(floor.desk, ExchangeUnavailable("no answer"))
        if scene == "one answer between" and n % 4 == 3:
            floor.clock.sleep(10)
            guardian.guard(floor.desk)
    assert trigger(floor) is None


# ---------------------------------------------------------------- volatility


def noisy(*knots: tuple[float, float], minutes: int = 240) -> dict[str, list[tuple[float, float]]]:
    """A market that moves 0.05 % to and fro each minute, and by the knots beside."""
    at, moves = [0.0, *(k[0] for k in knots)], [0.0, *(k[1] for k in knots)]
    import numpy as np

    return {
        "BTCUSDT": [
            (m, float(np.interp(m, at, moves)) + (0.0005 if m % 2 else -0.0005))
            for m in range(1, minutes)
        ],
        "ETHUSDT": (),
    }


WILD = {"TIMEFRAMES": "1m", "MAX_DRAWDOWN": "0.20"}


@pytest.mark.parametrize(
    ("knots", "fires"),
    [
        pytest.param([(30, 0), (31, -0.04)], True, id="4 % in a minute"),
        pytest.param([(30, 0), (31, 0.03)], True, id="up as well"),
        pytest.param([(30, 0), (35, -0.05)], True, id="1 % a minute, five times"),
        pytest.param([(30, 0), (31, -0.005)], False, id="half a percent"),
        pytest.param([(3, 0), (38, -0.06)], False, id="6 % slowly"),
    ],
)
def test_an_abnormal_market_latches_and_leaves_positions_to_their_stops(open_floor, knots, fires):
    floor = open_floor(noisy(*knots), settings=WILD, poll=True)
    floor.run(25 * 60 + 2)
    eth = floor.trade("ETHUSDT")
    floor.minutes(13)
    assert (trigger(floor) == "abnormal_volatility") is fires
    if fires:
        status = floor.services.kill_switch.ensure()
        assert not status.closing
        assert status.evidence["symbol"] == "BTCUSDT"
        assert "kill-switch" in [e["kind"] for e in floor.events("risk")]
        assert floor.outcome(eth)["outcome"] == "protected"
        assert floor.stops("ETHUSDT")


def test_an_abnormal_market_closes_everything_where_that_is_set(open_floor):
    floor = open_floor(
        noisy((30, 0), (31, -0.04)),
        settings={**WILD, "KILL_SWITCH_CLOSES": "abnormal_volatility"},
        poll=True,
    )
    floor.run(25 * 60 + 2)
    floor.trade("ETHUSDT")
    floor.minutes(4)
    assert floor.held("ETHUSDT")
    floor.run(130)
    assert trigger(floor) == "abnormal_volatility"
    assert not floor.held("ETHUSDT")
    assert floor.services.kill_switch.ensure().flat_at is not None


def test_the_move_that_was_cleared_does_not_latch_again_and_the_next_one_does(open_floor):
    floor = open_floor(
        noisy((30, 0), (31, -0.04), (45, -0.04), (46, 0.02)), settings=WILD, poll=True
    )
    floor.minutes(31.2)
    assert trigger(floor) == "abnormal_volatility"
    # Told at once, not only when the guardian finds it undelivered.
    assert [e["kind"] for e in floor.events("risk")].count("kill-switch") == 1
    assert clear(floor) == 200
    floor.minutes(13)
    assert trigger(floor) is None
    floor.minutes(3)
    assert trigger(floor) == "abnormal_volatility"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    closes=st.lists(
        st.one_of(
            st.floats(allow_nan=True, allow_infinity=True),
            st.sampled_from([0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf")]),
            st.floats(99_000, 101_000),
        ),
        min_size=2,
        max_size=90,
    )
)
def test_no_candle_makes_the_watch_fail(closes):
    """Whatever a candle says, it latches on a proof or not at all, and never raises."""
    import numpy as np

    floor = Floor({"BTCUSDT": ()}, durable=False)
    try:
        n = len(closes)
        values = np.array(closes)
        times = START - (n - np.arange(n, dtype=np.int64)) * MINUTE_MS
        candles = Columns("BTCUSDT", "1m", times, values, values, values, values, values)
        assert isinstance(watch.moves_much(candles, 0.004), bool)
        assert watch.market(floor.desk, candles) in ("", "abnormal_volatility")
    finally:
        floor.close()


# ---------------------------------------------------------------- suspicious activity


def rest(floor: Floor, count: int) -> None:
    """Somebody else's orders rest on the account."""
    for n in range(count):
        floor.venue.place_order(
            floor.account,
            NewOrder(
                symbol="XRPUSDT",
                side="BUY",
                type="LIMIT",
                quantity=D(100),
                price=D("1.9") - D(n) / 100,
                client_order_id=f"web-{floor.clock.now_ms()}-{n}",
            ),
        )


def strangers(floor: Floor, count: int) -> None:
    floor.expected = {1, 2, 3, 4, 7, 8}
    rest(floor, count)


def taken(floor: Floor, amount: str) -> None:
    """The balance changes and no line of the history says why."""
    floor.expected = {8}
    floor.account.cross_wallet -= D(amount)
    floor.venue.core.changed()


def refused(floor: Floor, count: int) -> None:
    """The exchange refuses one entry after the other; closes are no entries."""
    floor.break_next(
        ORDER,
        error_answer(400, -2019, "Margin is insufficient."),
        times=1000,
        where=lambda request: b"reduceOnly=true" not in request.body,
    )
    for _ in range(count // 2):
        at_bar(floor)
        for symbol in ("ETHUSDT", "XRPUSDT"):
            floor.trade(symbol)


def wrong_codes(floor: Floor, count: int) -> None:
    from shared.errors import InvalidInput

    for _ in range(count):
        with pytest.raises(InvalidInput, match=r"wrong|locked"):
            floor.services.kill_switch._second_factor.verify("12345x")
        floor.run(30)


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        pytest.param(lambda f: strangers(f, 3), "foreign_orders", id="3 foreign orders"),
        pytest.param(lambda f: strangers(f, 2), None, id="2 foreign orders"),
        pytest.param(lambda f: taken(f, "30"), "unexplained_balance", id="30 USDT gone"),
        pytest.param(lambda f: taken(f, "-30"), "unexplained_balance", id="30 USDT came"),
        pytest.param(lambda f: taken(f, "20"), None, id="20 USDT gone"),
        pytest.param(lambda f: lose(f, "30"), None, id="30 USDT lost"),
        pytest.param(lambda f: f.venue.transfer(f.account, D(-900)), None, id="paid out"),
        pytest.param(lambda f: refused(f, 6), "rejections", id="6 refused entries"),
        pytest.param(lambda f: refused(f, 4), None, id="4 refused entries"),
        pytest.param(lambda f: wrong_codes(f, 5), None, id="5 wrong codes"),
        pytest.param(lambda f: None, None, id="nothing"),
    ],
)
def test_suspicious_activity(open_floor, act: Callable[[Floor], None], kind):
    floor = open_floor()
    floor.services.__dict__["thresholds"] = Thresholds(rejections=6)
    floor.trade()
    floor.minutes(14)
    assert floor.held()
    act(floor)
    floor.minutes(22)
    assert trigger(floor) == (None if kind is None else "suspicious_activity")
    if kind is not None:
        assert floor.services.kill_switch.ensure().evidence["kind"] == kind
        assert not floor.held()  # an intruder's positions and ours are closed
        assert clear(floor) == 200
        floor.faults.rules.clear()
        floor.minutes(22)
        assert trigger(floor) is None


def test_orders_of_our_own_in_a_storm(open_floor):
    """More entries and closes within an hour than anything could call for."""
    floor = open_floor()
    floor.services.__dict__["thresholds"] = Thresholds(order_storm=10)
    for n in range(11):
        floor.trade(("BTCUSDT", "ETHUSDT", "XRPUSDT")[n % 3])
        floor.minutes(2)
        from shared.execution import flatten
        from shared.portfolio import positions

        for record in positions.open_records(floor.store, "main").values():
            flatten.close_position(floor.desk, record, "time exit")
    floor.minutes(6)
    evidence = floor.services.kill_switch.ensure().evidence
    assert evidence["kind"] == "order_storm"
    assert evidence["count"] >= 10


def test_many_outcomes_unknown_at_once(open_floor):
    floor = open_floor()
    floor.services.__dict__["thresholds"] = Thresholds(unknown_outcomes=2)
    floor.break_next(ORDER, UNKNOWN_503, times=1000, seconds=400)
    floor.break_next(GET_ORDER, UNAVAILABLE, times=1000, seconds=400)
    # In virtual time one entry is followed after the other: a third signal would be old by then.
    for symbol in ("BTCUSDT", "ETHUSDT"):
        floor.trade(symbol)
    floor.minutes(6)
    assert floor.services.kill_switch.ensure().evidence["kind"] == "unknown_outcomes"
    floor.minutes(6)
    assert floor.leaked() == ({}, [])


def test_an_income_history_that_lags_is_waited_for(open_floor):
    """The balance has changed, its line comes six minutes later: no alarm."""
    floor = open_floor()
    floor.minutes(12)
    floor.account.cross_wallet -= D(100)
    floor.venue.core.changed()
    floor.expected = {8}
    floor.minutes(6)
    floor.venue.core.book_income(floor.account, "COMMISSION", D(-100))
    floor.minutes(30)
    assert trigger(floor) is None
    mark = floor.services.ledger.read().balance
    assert mark.wallet == 4900
    assert not mark.odd_since


# ---------------------------------------------------------------- one after the other


def test_a_stop_by_hand_closes_what_another_trigger_had_held(open_floor):
    floor = open_floor()
    floor.trade()
    floor.minutes(2)
    floor.break_next(ACCOUNT, UNAVAILABLE, times=10_000, seconds=480)
    floor.minutes(9)
    assert trigger(floor) == "exchange_disconnection"
    assert floor.held()
    answer = floor.http("POST", "/api/emergency-stop", {"operator": "ada"})
    assert answer.status == 202
    floor.run(10)
    assert not floor.held()
    assert json.loads(floor.http("GET", "/api/status").body)["killSwitch"]["state"] == "latched"


def test_a_drawdown_closes_what_another_trigger_had_held(open_floor):
    floor = open_floor()
    floor.trade()
    floor.minutes(12)
    floor.break_next(ACCOUNT, UNAVAILABLE, times=10_000, seconds=480)
    floor.minutes(9)
    assert floor.held()
    lose(floor, "600")
    floor.minutes(2)
    status = floor.services.kill_switch.ensure()
    assert (status.trigger, status.closing) == ("exchange_disconnection", True)
    assert status.repeats["max_drawdown"] == 1
    assert not floor.held()


def test_clearing_a_held_account_needs_every_position_in_order(open_floor):
    floor = open_floor()
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.trade()
    floor.minutes(2)
    floor.break_next(ACCOUNT, UNAVAILABLE, times=10_000, seconds=480)
    floor.minutes(9)
    floor.trade_by_hand("ETHUSDT", "BUY", "0.1")
    assert clear(floor) == 409  # a position that is not ours
    floor.trade_by_hand("ETHUSDT", "SELL", "0.1")
    for algo in floor.stops():
        floor.venue.cancel_algo_order(floor.account, algo)
    assert clear(floor) == 409  # ours, without its stop
    floor.minutes(2)
    assert clear(floor) == 200
    assert floor.held()


@settings(max_examples=60, deadline=None)
@given(
    figures=st.tuples(*(st.decimals(allow_nan=True, allow_infinity=True) for _ in range(4))),
    peak=st.decimals(allow_nan=True, allow_infinity=True),
)
def test_no_account_latches_without_a_proof(figures, peak):
    from shared.risk.ledger import LedgerView
    from shared.risk.triggers import drawdown

    floor = Floor({"BTCUSDT": ()}, durable=False)
    try:
        wallet, pnl, equity, available = figures
        seen = Account(
            wallet_balance=wallet, unrealized_pnl=pnl, equity=equity, available_balance=available
        )
        view = LedgerView(day="2025-05-05", equity_peak=peak)
        found = watch.account(floor.desk, seen, view, floor.services.kill_switch.ensure())
        assert (found == "max_drawdown") == (drawdown(equity, peak) >= D("0.1"))
        floor.services.kill_switch.ensure()
        watch.activity(floor.desk, seen, view, floor.services.kill_switch.ensure())
    finally:
        floor.close()
