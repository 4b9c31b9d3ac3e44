"""The emergency stop: latched at once, flat within seconds, and nothing is opened any more."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from desk import GET_ORDER, LOST, NOT_FOUND, ORDER, UNAVAILABLE, UNKNOWN_503, Floor

from local.exchange.faults import ApiResponse, error_answer
from shared.execution import assess, emergency, entry, guardian

D = Decimal


def stop(floor: Floor, **body: str) -> dict:
    response = floor.http("POST", "/api/emergency-stop", body)
    assert response.status == 202, response.body
    floor.watch.latched_at = floor.clock.now_ms()
    return json.loads(response.body)


def clear(floor: Floor, code: str, reason: str = "the cause was found and mended") -> int:
    body = {"code": code, "reason": reason, "operator": "ada"}
    return floor.http("POST", "/api/kill-switch/clear", body).status


def open_three(floor: Floor) -> None:
    for symbol, side in (("BTCUSDT", "BUY"), ("ETHUSDT", "SELL"), ("XRPUSDT", "BUY")):
        floor.trade(symbol, side)
    floor.run(10)
    assert all(floor.held(s) for s in ("BTCUSDT", "ETHUSDT", "XRPUSDT"))


def assert_flat(floor: Floor) -> None:
    for symbol in floor.venue.symbols:
        assert not floor.held(symbol)
        assert not floor.algos(symbol)
        assert not floor.account.open_orders.get(symbol)


def assert_booked(floor: Floor) -> None:
    """What the trades say they earned is what the wallet gained, and what the day has cost."""
    told = [D(t["netPnl"]) for t in floor.trades()]
    assert sorted(D(r["netPnl"]) for r in floor.audit("trade")) == sorted(told)
    gained = floor.account.wallet_balance() - D(5000)
    assert sum(told) == gained == floor.services.ledger.read().day_realized_pnl != 0


def test_everything_is_closed_and_recorded(open_floor):
    floor = open_floor()
    open_three(floor)
    answer = stop(floor, operator="ada", reason="drill")
    assert answer["state"] == "latched"
    floor.run(5)
    assert_flat(floor)
    status = floor.workflow(answer["workflow"])
    assert status["output"]["flat"]
    assert status["output"]["settled"] == 3
    assert {t["exitReason"] for t in floor.trades()} == {"emergency stop"}
    assert_booked(floor)
    assert floor.leaked() == ({}, [])
    told = [e["kind"] for e in floor.events("risk")]
    assert "kill-switch" in told
    assert "emergency-flat" in told
    assert [m["arguments"][0]["kind"] for m in floor.shown if m["target"] == "alert"].count(
        "kill-switch"
    ) == 1


def test_foreign_positions_and_orders_are_closed_too(open_floor):
    from shared.simulation.orders import NewOrder

    floor = open_floor()
    floor.expected = {2, 3, 4, 7, 1, 8}
    floor.trade("BTCUSDT")
    floor.trade_by_hand("ETHUSDT", "BUY", "0.5")
    floor.venue.place_order(
        floor.account,
        NewOrder(symbol="XRPUSDT", side="BUY", type="LIMIT", quantity=D(100), price=D("1.95")),
    )
    floor.run(5)
    stop(floor)
    floor.run(10)
    assert_flat(floor)
    # The same happens again: ids of the first time must not be taken for done.
    code = floor.totp()
    assert clear(floor, code) == 200
    floor.trade_by_hand("ETHUSDT", "BUY", "0.5")
    floor.run(60)
    stop(floor)
    floor.run(5)
    assert_flat(floor)


def test_no_trade_begins_after_the_stop(open_floor):
    floor = open_floor()
    stop(floor)
    signal = floor.trade()
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "declined"
    assert not floor.entries()
    assert floor.leaked() == ({}, [])


def test_workflow_in_flight_between_decision_and_order(open_floor):
    """The decision was approved before the stop; its order is refused by the permit."""
    floor = open_floor(durable=False)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    result = entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert result.status == "declined"
    assert not floor.entries()
    assert floor.leaked() == ({}, [])
    assert emergency.flatten_account(floor.desk, "stop").flat


def test_stop_waits_for_the_order_behind_an_outstanding_permit(open_floor):
    """The entry's answer is lost and it cannot be found yet: not flat before that is known."""
    floor = open_floor()
    floor.break_next(ORDER, UNKNOWN_503, executed=True)
    floor.break_next(GET_ORDER, NOT_FOUND, times=1000, seconds=2)
    signal = floor.signal()

    async def both() -> None:
        import asyncio

        path = f"/runtime/webhooks/durabletask/orchestrators/trade_workflow/{signal.id}"
        await floor.send("POST", path, {"symbol": "BTCUSDT", "signal": signal.id})
        await asyncio.sleep(0.05)
        await floor.send("POST", "/api/emergency-stop", {})

    floor.wait(both())
    floor.run(30)
    assert_flat(floor)
    assert floor.leaked() == ({}, [])
    floor.minutes(2)
    assert_flat(floor)
    assert [t["id"] for t in floor.trades()] == [signal.id]
    assert_booked(floor)


def test_fill_between_two_looks_is_seen(open_floor):
    """The order behind a permit executes while the stop is looking: positions are read after."""
    floor = open_floor(durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8}
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    sent = floor.entry_id(signal)
    placed = []

    def late(request, original=floor.faults.before):
        if (request.method, request.path) == GET_ORDER and not placed:
            # It arrives at the matching engine at this very moment.
            from shared.simulation.orders import NewOrder

            placed.append(
                floor.venue.place_order(
                    floor.account,
                    NewOrder(
                        symbol="BTCUSDT",
                        side="BUY",
                        type="MARKET",
                        quantity=D("0.004"),
                        client_order_id=sent,
                    ),
                )
            )
        return original(request)

    from shared.execution import orders

    plan = assess.load(floor.desk, "BTCUSDT", signal.id)[1].plan
    request = entry._request(plan, sent)
    orders.store_intent(floor.desk, orders.intent(floor.desk, request, signal.id))
    floor.services.kill_switch.acquire_permit(sent)
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.faults.before = late
    result = emergency.flatten_account(floor.desk, "stop")
    assert placed
    assert result.flat
    assert not floor.held()
    floor.services.ledger.release(signal.id)


def test_permit_whose_workflow_died_is_waited_out(open_floor):
    floor = open_floor()
    floor.services.kill_switch.acquire_permit("bq-e-nobody-sends-this")
    stop(floor)
    floor.run(3)
    assert floor.leaked()[0]
    floor.run(10)
    assert floor.leaked() == ({}, [])
    assert "emergency-flat" in floor.alerts()


def test_exchange_unreachable_for_a_while(open_floor):
    floor = open_floor()
    open_three(floor)
    for method, path in (
        ORDER,
        ("GET", "/fapi/v3/positionRisk"),
        ("DELETE", "/fapi/v1/allOpenOrders"),
    ):
        floor.break_next((method, path), UNAVAILABLE, times=10_000, seconds=40)
    stop(floor)
    floor.run(35)
    assert floor.held()
    # The stops stay on the exchange as long as the positions do.
    assert floor.stops()
    floor.run(20)
    assert_flat(floor)
    assert "emergency-not-flat" in [e["kind"] for e in floor.events("risk")]


def test_close_that_is_refused_leaves_the_stop_in_place(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    floor.break_next(ORDER, error_answer(400, -4131, "thin"), times=60)
    stop(floor)
    floor.run(4)
    assert floor.held()
    assert floor.stops()
    floor.run(150)
    assert_flat(floor)
    assert "emergency-not-flat" in floor.alerts()


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
@pytest.mark.parametrize("answer", [UNKNOWN_503, LOST], ids=["503", "time-out"])
def test_lost_answer_to_a_close(open_floor, answer, executed):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    floor.break_next(ORDER, answer, executed=executed)
    stop(floor)
    floor.run(20)
    assert_flat(floor)
    floor.minutes(2)
    assert len(floor.trades()) == 1


def test_stops_without_durable(open_floor):
    """The task hub takes no new instance: the request itself flattens."""
    floor = open_floor()
    open_three(floor)

    floor.durable_refuses = lambda request: True
    answer = stop(floor)
    assert answer == {"state": "latched", "flat": True, "workflow": None}
    assert_flat(floor)
    floor.minutes(2)
    assert len(floor.trades()) == 3
    assert floor.leaked() == ({}, [])


def test_guardian_without_durable_flattens_itself(open_floor):
    floor = open_floor()
    open_three(floor)
    floor.durable_refuses = lambda request: True
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.minutes(2.2)
    assert_flat(floor)
    assert len(floor.trades()) == 3


def test_guardian_flattens_when_neither_request_nor_workflow_did(open_floor):
    """Latched, and then everything died."""
    floor = open_floor()
    open_three(floor)
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.minutes(1.2)
    assert_flat(floor)
    assert len(floor.trades()) == 3


def test_guardian_takes_up_a_stop_of_which_only_orders_rest(open_floor):
    """Latched, and then everything died: no position, no permit, an order that could still fill."""
    from shared.simulation.orders import NewOrder

    floor = open_floor()
    floor.expected = {1, 7}  # the order is a stranger's
    floor.venue.place_order(
        floor.account,
        NewOrder(symbol="XRPUSDT", side="BUY", type="LIMIT", quantity=D(100), price=D("1.95")),
    )
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.minutes(1.2)
    assert_flat(floor)
    assert "emergency-flat" in floor.alerts()


def test_stop_is_latched_even_if_it_cannot_be_recorded(open_floor):
    from shared.errors import StoreUnavailable

    floor = open_floor()
    floor.trade()
    floor.run(5)
    failed = []

    def full(name, args):
        if args[0] in ("audit", "alerts") and len(failed) < 1:
            failed.append(name)
            raise StoreUnavailable("the disk is full")

    floor.store.before = full
    stop(floor)
    floor.run(5)
    assert failed
    assert_flat(floor)


def test_a_broken_audit_chain_does_not_keep_the_account_open(open_floor):
    """The record the head names is not what it was: nothing can be appended any more."""
    floor = open_floor()
    # The trade cannot be written to a chain that is broken; the position is closed all the same.
    floor.expected = {7, 8}
    floor.trade()
    floor.run(5)
    head = floor.store.get("control", "main", "audit-head")
    floor.store.replace("control", {**head.body, "hash": "0" * 64}, etag=head.etag)
    floor.services.audit._tail = None  # another instance
    stop(floor)
    floor.run(5)
    assert_flat(floor)
    assert "emergency-flat" in floor.alerts()


def test_closing_begins_before_the_stop_is_recorded(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    steps = []

    def started(request) -> bool:
        steps.append("workflow")
        return False

    floor.durable_refuses = started
    floor.store.before = lambda name, args: steps.append(args[0])
    stop(floor)
    assert steps.index("control") < steps.index("workflow") < steps.index("audit")
    floor.run(5)
    assert_flat(floor)


def test_pressing_twice_runs_one_workflow(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    first, second = stop(floor), stop(floor)
    assert first["workflow"] == second["workflow"]
    floor.run(10)
    assert_flat(floor)
    assert len(floor.trades()) == 1


class TestClearing:
    def test_needs_everything(self, open_floor):
        floor = open_floor()
        assert clear(floor, floor.totp()) == 400  # not latched
        stop(floor)
        floor.run(5)
        code = floor.totp()
        assert clear(floor, "000000" if code != "000000" else "111111") == 400
        assert clear(floor, code, reason="short") == 400
        floor.trade_by_hand("BTCUSDT", "BUY", "0.001")
        assert clear(floor, code) == 409  # not flat
        floor.trade_by_hand("BTCUSDT", "SELL", "0.001")
        assert clear(floor, code) == 200
        assert floor.services.kill_switch.ensure().state == "armed"
        assert "kill-switch-cleared" in [e["kind"] for e in floor.events("risk")]
        floor.expected = {1, 2, 3, 4, 7, 8}

    def test_code_works_once(self, open_floor):
        floor = open_floor()
        stop(floor)
        floor.run(5)
        code = floor.totp()
        assert clear(floor, code) == 200
        stop(floor)
        floor.run(5)
        assert clear(floor, code) == 400
        floor.run(60)
        assert clear(floor, floor.totp()) == 200

    def test_trading_goes_on_afterwards(self, open_floor):
        floor = open_floor()
        stop(floor)
        floor.run(5)
        assert clear(floor, floor.totp()) == 200
        floor.watch.latched_at = None
        floor.run(300)
        signal = floor.trade()
        floor.run(5)
        assert floor.outcome(signal)["outcome"] == "protected"

    def test_survives_a_restart(self, open_floor):
        floor = open_floor()
        stop(floor)
        floor.run(5)
        from shared.bootstrap import Services

        again = Services(
            floor.settings, clock=floor.clock, store=floor.store, exchange_session=floor.session
        )
        assert again.kill_switch.ensure().state == "latched"


def test_drawdown_latches_and_closes_everything(open_floor):
    """A foreign position loses more than the limit; the guardian stops everything."""
    floor = open_floor(
        {"BTCUSDT": [(2, 0), (6, -0.045)], "ETHUSDT": ()}, settings={"MAX_DRAWDOWN": "0.02"}
    )
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.minutes(1)
    floor.trade_by_hand("BTCUSDT", "BUY", "0.03")
    floor.trade("ETHUSDT")
    floor.minutes(7)
    assert floor.services.kill_switch.ensure().trigger == "max_drawdown"
    assert_flat(floor)
    assert "kill-switch" in [e["kind"] for e in floor.events("risk")]
    assert guardian.guard(floor.desk).positions == 0


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"unknown": 1}', b'{"reason": 7}', b"\xff", b"x" * 20_000],
    ids=["half", "list", "unknown field", "number", "not UTF-8", "too large"],
)
def test_stop_with_an_unreadable_body_stops_all_the_same(open_floor, body):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    assert floor.http("POST", "/api/emergency-stop", body).status == 202
    floor.run(5)
    assert_flat(floor)


def test_stop_without_a_key_changes_nothing(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    assert floor.http("POST", "/api/emergency-stop", {}, key=False).status == 401
    floor.run(5)
    assert floor.services.kill_switch.ensure().state == "armed"
    assert floor.held()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"{}", 400), (b'{"code": 1}', 400), (b"x" * 20_000, 413)],
    ids=["half", "empty", "number", "too large"],
)
def test_clearing_with_an_unreadable_body_changes_nothing(open_floor, body, status):
    floor = open_floor()
    stop(floor)
    floor.run(5)
    assert floor.http("POST", "/api/kill-switch/clear", body).status == status
    assert floor.services.kill_switch.ensure().state == "latched"


def test_algo_orders_of_strangers_are_cancelled(open_floor):
    from shared.simulation.orders import NewAlgoOrder

    floor = open_floor()
    floor.venue.place_algo_order(
        floor.account,
        NewAlgoOrder(
            symbol="BTCUSDT",
            side="BUY",
            type="STOP_MARKET",
            quantity=D("0.001"),
            trigger_price=D("103000"),
        ),
    )
    stop(floor)
    floor.run(5)
    assert_flat(floor)


def test_a_stop_that_gets_nowhere_does_not_use_up_the_weight_that_exits_need(open_floor):
    """An order that cannot be cancelled for minutes: each look at all orders weighs 80."""
    floor = open_floor()
    floor.expected = {4, 5, 8}
    floor.trade()
    floor.run(10)
    refused = error_answer(400, -2011, "Unknown order sent.")
    for path in ("/fapi/v1/algoOpenOrders", "/fapi/v1/algoOrder"):
        floor.break_next(("DELETE", path), refused, times=10_000)
    stop(floor)
    floor.run(180)
    assert not floor.held()
    told = [d["text"] for d in floor.documents("alerts") if d["kind"] == "emergency-not-flat"]
    assert len(told) > 20
    assert not [text for text in told if "budget" in text]


def test_health_that_is_asked_without_end_leaves_the_weight_to_exits(open_floor):
    """It needs no key: what anybody may ask must not cost what a close needs."""
    floor = open_floor()
    asked = 0

    def before(method: str, url: str) -> None:
        nonlocal asked
        asked += url.endswith("/fapi/v1/time")

    floor.session.before = before
    for _ in range(300):
        assert floor.http("GET", "/api/health", key=False).status == 200
    assert asked <= 60  # at most 30 in a minute, and a minute may have ended
    down = floor.break_next(("GET", "/fapi/v1/time"), UNAVAILABLE, times=1000)
    floor.run(61)
    for _ in range(50):
        assert floor.http("GET", "/api/health", key=False).status == 503
    floor.faults.rules.remove(down)
    floor.run(61)
    assert floor.http("GET", "/api/health", key=False).status == 200


def test_one_trade_that_cannot_be_written_keeps_no_other_from_being_written(open_floor):
    floor = open_floor()
    open_three(floor)
    fills = ("GET", "/fapi/v1/userTrades")
    unread = floor.break_next(
        fills, UNAVAILABLE, times=1000, where=lambda request: "BTCUSDT" in str(request.query)
    )
    answer = stop(floor)
    floor.run(60)
    assert floor.workflow(answer["workflow"])["output"]["settled"] == 2
    assert {t["symbol"] for t in floor.trades()} == {"ETHUSDT", "XRPUSDT"}
    floor.faults.rules.remove(unread)
    floor.minutes(2)
    assert len(floor.trades()) == 3


@pytest.mark.parametrize("lag", [0, 30, 90])
def test_an_entry_whose_process_died_is_booked_however_late_its_fills_are_listed(open_floor, lag):
    """Nobody looked for more than a minute; then the stop closes it, and the fills lag behind."""
    floor = open_floor(durable=False)
    floor.expected = {4}  # nothing runs here until somebody stops it all
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)

    class Dead(Exception):
        pass

    def die(method: str, url: str) -> None:
        if method == "POST" and "/fapi/v1/order" in url:
            raise Dead

    floor.session.after = die
    with pytest.raises(Dead):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.after = lambda method, url: None
    assert floor.held()
    floor.clock.sleep(70)
    assert floor.leaked()[0]
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    if lag:
        fills = ("GET", "/fapi/v1/userTrades")
        floor.break_next(fills, ApiResponse(200, {}, b"[]"), times=1000, seconds=lag)
    attempt = 0
    while not emergency.flatten_account(floor.desk, "stop", attempt).flat:
        attempt += 1
        assert attempt < 10
        floor.clock.sleep(2)
    emergency.settle_all(floor.desk)
    for _ in range(3):
        floor.clock.sleep(60)
        floor.api.advance()
        guardian.guard(floor.desk)
    assert [(t["id"], t["exitReason"]) for t in floor.trades()] == [(signal.id, "emergency stop")]
    assert_booked(floor)
    assert floor.leaked() == ({}, [])
