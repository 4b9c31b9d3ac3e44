"""What goes over the wire for orders, and how cancels end."""

from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ExchangeRejected, InvalidInput, OutcomeUnknown
from shared.execution.binance.orders import plain
from shared.execution.exchange import AlgoOrderRequest, OrderRequest
from tests.binance.scripted import KEY, SECRET, START_MS, Bench, Reply, refusal
from tests.binance.test_binance_answers import ALGO_POST, MARKET_SELL, ORDER_GET, ORDER_POST, STOP

ORDER = "/fapi/v1/order"
ALGO = "/fapi/v1/algoOrder"
SIGNED = {"timestamp", "recvWindow", "signature"}


def order(**changes: Any) -> OrderRequest:
    terms: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": D("0.010"),
        "price": D("1E+5"), "time_in_force": "GTX", "client_order_id": "b-1.x_Y",
    }  # fmt: skip
    return OrderRequest(**(terms | changes))


def algo(**changes: Any) -> AlgoOrderRequest:
    terms: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": D("0.010"),
        "trigger_price": D("59000.10"), "client_algo_id": "s-1",
    }  # fmt: skip
    return AlgoOrderRequest(**(terms | changes))


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (
            order(),
            {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.010",
             "price": "100000", "timeInForce": "GTX", "newClientOrderId": "b-1.x_Y",
             "newOrderRespType": "RESULT"},
        ),
        (
            order(type="MARKET", price=None, time_in_force=None, quantity=D("1E-7"),
                  reduce_only=True),
            {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.0000001",
             "newClientOrderId": "b-1.x_Y", "newOrderRespType": "RESULT", "reduceOnly": "true"},
        ),
    ],
)  # fmt: skip
def test_plain_orders_on_the_wire(request_: OrderRequest, sent: dict[str, str]) -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, Reply(ORDER_POST))
    bench.exchange.place_order(request_)
    (call,) = bench.script.calls("POST", ORDER)
    assert {k: v for k, v in call.params.items() if k not in SIGNED} == sent


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (algo(), {"type": "STOP_MARKET", "triggerPrice": "59000.10", "workingType": "MARK_PRICE"}),
        (
            algo(type="TAKE_PROFIT_MARKET", working_type="CONTRACT_PRICE"),
            {"type": "TAKE_PROFIT_MARKET", "triggerPrice": "59000.10",
             "workingType": "CONTRACT_PRICE"},
        ),
        (
            algo(type="TRAILING_STOP_MARKET", trigger_price=None, callback_rate=D("0.5"),
                 activate_price=D("61000")),
            {"type": "TRAILING_STOP_MARKET", "callbackRate": "0.5", "activatePrice": "61000",
             "workingType": "MARK_PRICE"},
        ),
    ],
)  # fmt: skip
def test_conditional_orders_on_the_wire(request_: AlgoOrderRequest, sent: dict[str, str]) -> None:
    common = {
        "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.010", "algoType": "CONDITIONAL",
        "clientAlgoId": "s-1", "reduceOnly": "true",
    }  # fmt: skip
    bench = Bench()
    bench.script.on("POST", ALGO, Reply(ALGO_POST))
    bench.exchange.place_algo_order(request_)
    (call,) = bench.script.calls("POST", ALGO)
    assert {k: v for k, v in call.params.items() if k not in SIGNED} == common | sent
    assert not bench.script.calls("POST", ORDER)


@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
def test_requests_are_signed_over_exactly_what_is_sent(verb: str) -> None:
    """HMAC-SHA256 over the sorted parameters, computed here independently."""
    bench = Bench(recv_window_ms=2500)
    bench.script.on("POST", ORDER, Reply(ORDER_POST))
    bench.script.on("GET", ORDER, Reply(ORDER_GET))
    bench.script.on("DELETE", ORDER, Reply(ORDER_POST))
    if verb == "POST":
        bench.exchange.place_order(order())
    elif verb == "GET":
        bench.exchange.order("BTCUSDT", "b-1")
    else:
        bench.exchange.cancel_order("BTCUSDT", "b-1")
    (call,) = bench.script.calls(verb, ORDER)
    payload, signature = call.raw.rsplit("&signature=", 1)
    expected = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert signature == expected
    assert call.headers["X-MBX-APIKEY"] == KEY
    assert call.params["recvWindow"] == "2500"
    assert call.params["timestamp"] == str(START_MS)


@pytest.mark.parametrize(
    "request_",
    [
        order(client_order_id=""),
        order(client_order_id="x" * 37),
        order(client_order_id="a:b"),
        order(client_order_id="a/b"),
        order(client_order_id="币安人生USDT"),
        order(client_order_id="a b"),
        order(client_order_id="a\n"),
        order(quantity=D("0")),
        order(quantity=D("-1")),
        order(quantity=D("NaN")),
        order(price=D("Infinity")),
        order(price=None),
        order(time_in_force=None),
        order(type="MARKET"),
    ],
)
def test_plain_orders_that_are_never_sent(request_: OrderRequest) -> None:
    bench = Bench()
    with pytest.raises(InvalidInput):
        bench.exchange.place_order(request_)
    assert bench.script.sent == []


@pytest.mark.parametrize(
    "request_",
    [
        algo(client_algo_id="a:b"),
        algo(trigger_price=None),
        algo(trigger_price=D("0")),
        algo(callback_rate=D("1")),
        algo(activate_price=D("1")),
        algo(type="TRAILING_STOP_MARKET"),
        algo(type="TRAILING_STOP_MARKET", trigger_price=None),
    ],
)
def test_conditional_orders_that_are_never_sent(request_: AlgoOrderRequest) -> None:
    bench = Bench()
    with pytest.raises(InvalidInput):
        bench.exchange.place_algo_order(request_)
    assert bench.script.sent == []


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_are_sent_without_exponent_and_without_loss(value: D) -> None:
    text = plain(value)
    assert D(text) == value
    assert "e" not in text.lower()


@settings(deadline=None)
@given(st.sampled_from(["NaN", "sNaN", "Infinity", "-Infinity"]))
def test_what_is_no_number_is_not_sent(text: str) -> None:
    with pytest.raises(InvalidInput):
        plain(D(text))


# How a cancel ends: answers to DELETE, to GET, to the list of open orders; what is raised.
OK = Reply(ORDER_POST)
GONE = refusal(-2011, "Unknown order sent.")
UNKNOWN = refusal(-2013, "Order does not exist.")
FILLED = Reply(ORDER_GET)
STILL_NEW = Reply(ORDER_GET | {"status": "NEW", "executedQty": "0"})
CANCELS: list[tuple[str, list[Reply], list[Reply], list[Any], type[Exception] | None, int]] = [
    ("cancelled", [OK], [], [], None, 1),
    ("filled meanwhile", [GONE], [FILLED], [], None, 1),
    ("late: seen as open, then cancelled", [GONE, OK], [STILL_NEW], [], None, 2),
    ("open, yet not cancellable", [GONE], [STILL_NEW], [], OutcomeUnknown, 2),
    ("seen only at the second look", [GONE, OK], [UNKNOWN, STILL_NEW], [], None, 2),
    ("known nowhere", [GONE], [UNKNOWN], [], None, 1),
    ("known only to the list", [GONE, OK], [UNKNOWN], [ORDER_GET], None, 2),
    ("refused for another reason", [refusal(-1121)], [], [], ExchangeRejected, 1),
    ("answer lost", [refusal(-1007)], [], [], OutcomeUnknown, 1),
]


@pytest.mark.parametrize(
    ("deletes", "gets", "listed", "raised", "cancels"),
    [pytest.param(*row[1:], id=row[0]) for row in CANCELS],
)
def test_cancelling(
    deletes: list[Reply],
    gets: list[Reply],
    listed: list[Any],
    raised: type[Exception] | None,
    cancels: int,
) -> None:
    bench = Bench()
    bench.script.on("DELETE", ORDER, *deletes)
    bench.script.on("GET", ORDER, *gets)
    bench.script.on("GET", "/fapi/v1/openOrders", Reply(listed))
    if raised is None:
        bench.exchange.cancel_order("BTCUSDT", "e-1")
    else:
        with pytest.raises(raised):
            bench.exchange.cancel_order("BTCUSDT", "e-1")
    assert len(bench.script.calls("DELETE", ORDER)) == cancels


@pytest.mark.parametrize(
    ("status", "raised"),
    [("FINISHED", None), ("CANCELED", None), ("EXPIRED", None), ("REJECTED", None),
     ("TRIGGERING", OutcomeUnknown), ("TRIGGERED", OutcomeUnknown)],
)  # fmt: skip
@pytest.mark.parametrize("code", [-2011, -4117])
def test_cancelling_a_stop_that_is_not_just_waiting(
    code: int, status: str, raised: type[Exception] | None
) -> None:
    bench = Bench()
    bench.script.on("DELETE", ALGO, refusal(code))
    bench.script.on("GET", ALGO, Reply(ALGO_POST | {"algoStatus": status}))
    if raised is None:
        bench.exchange.cancel_algo_order("s-1")
        return
    with pytest.raises(raised):
        bench.exchange.cancel_algo_order("s-1")


def test_a_cancelled_stop_with_binance_s_code_as_text() -> None:
    bench = Bench()
    answer = {"algoId": 2146760, "clientAlgoId": "s-1", "code": "200", "msg": "success"}
    bench.script.on("DELETE", ALGO, Reply(answer))
    bench.exchange.cancel_algo_order("s-1")
    assert bench.script.calls("DELETE", ALGO)[0].params["clientAlgoId"] == "s-1"


def test_cancelling_everything_of_a_symbol_takes_both_books() -> None:
    done = Reply({"code": 200, "msg": "The operation of cancel all open order is done."})
    bench = Bench()
    bench.script.on("DELETE", "/fapi/v1/allOpenOrders", done)
    bench.script.on("DELETE", "/fapi/v1/algoOpenOrders", done)
    bench.exchange.cancel_all_orders("BTCUSDT")
    bench.exchange.cancel_all_algo_orders("BTCUSDT")
    assert [s.params["symbol"] for s in bench.script.sent if s.verb == "DELETE"] == ["BTCUSDT"] * 2


@pytest.mark.parametrize(("changes", "adopted"), [({}, True), ({"triggerPrice": "751"}, False)])
def test_a_resting_stop_with_the_same_id(changes: dict[str, Any], adopted: bool) -> None:
    bench = Bench()
    bench.script.on("POST", ALGO, refusal(-4116, "ClientOrderId is duplicated."))
    bench.script.on("GET", ALGO, Reply(ALGO_POST | changes))
    if adopted:
        assert bench.exchange.place_algo_order(STOP).algo_id == 2146760
    else:
        with pytest.raises(ExchangeRejected):
            bench.exchange.place_algo_order(STOP)


def test_symbols_outside_ascii_are_encoded_and_signed() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/openOrders", Reply([]))
    assert bench.exchange.open_orders("币安人生USDT") == []
    (call,) = bench.script.calls("GET", "/fapi/v1/openOrders")
    assert call.params["symbol"] == "币安人生USDT"
    payload, signature = call.raw.rsplit("&signature=", 1)
    assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


def test_a_market_sell_is_a_new_order_each_time_it_is_asked_for() -> None:
    """Deduplication is the caller's: the venue knows ids only of open orders."""
    bench = Bench()
    bench.script.on("POST", ORDER, Reply(ORDER_POST))
    bench.exchange.place_order(MARKET_SELL)
    bench.exchange.place_order(MARKET_SELL)
    assert len(bench.script.calls("POST", ORDER)) == 2
