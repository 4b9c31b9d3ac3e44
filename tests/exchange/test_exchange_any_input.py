"""Whatever is sent, the exchange answers in Binance's way: JSON, a known status, books in order."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from exchange_world import KEY, START, World, flat
from hypothesis import given, settings
from hypothesis import strategies as st

from local.exchange.endpoints import TABLE, Security
from local.exchange.limits import RateLimits
from local.exchange.socket_api import METHODS, SocketApi

BTC = "BTCUSDT"
#: Values that mean something somewhere, and values that mean nothing anywhere.
MEANT = {
    "symbol": (BTC, "NOSUCH", "币安人生USDT", "btcusdt"),
    "pair": (BTC,),
    "side": ("BUY", "SELL"),
    "type": ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TRAILING_STOP_MARKET", "1"),
    "algoType": ("CONDITIONAL",),
    "timeInForce": ("GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC", "RPI"),
    "quantity": ("0.010", "0.001", "1000", "0.0000001"),
    "price": ("100000", "99000.10", "100100", "99000.15"),
    "triggerPrice": ("95000", "105000"),
    "activatePrice": ("99000", "101000"),
    "callbackRate": ("0.1", "1", "21"),
    "positionSide": ("BOTH", "LONG"),
    "reduceOnly": ("true", "false"),
    "closePosition": ("true", "false"),
    "priceProtect": ("true",),
    "workingType": ("MARK_PRICE", "CONTRACT_PRICE"),
    "priceMatch": ("OPPONENT", "QUEUE_5", "NONE"),
    "selfTradePreventionMode": ("EXPIRE_MAKER", "EXPIRE_BOTH"),
    "newOrderRespType": ("ACK", "RESULT"),
    "newClientOrderId": ("a", "b"),
    "origClientOrderId": ("a", "b"),
    "clientAlgoId": ("a", "b"),
    "orderId": ("1000001", "1000002"),
    "algoId": ("2000001",),
    "orderIdList": ("[1000001,1000002]", "[]", '["a"]'),
    "origClientOrderIdList": ('["a","b"]', "[1]"),
    "batchOrders": (
        '[{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.010"}]',
        "[1]",
        "[{}]",
        '[{"symbol":"BTCUSDT","side":"SELL","type":"LIMIT","quantity":0.01,"price":1e5}]',
    ),
    "goodTillDate": (str(START + 700_000),),
    "interval": ("1m", "4h", "1s"),
    "contractType": ("PERPETUAL",),
    "limit": ("5", "20", "1000", "1501"),
    "leverage": ("5", "125", "999"),
    "marginType": ("ISOLATED", "CROSSED"),
    "amount": ("10", "-1", "1e9"),
    "countdownTime": ("1000", "0"),
    "dualSidePosition": ("true", "false"),
    "multiAssetsMargin": ("true", "false"),
    "feeBurn": ("true",),
    "startTime": (str(START - 60_000), str(START)),
    "endTime": (str(START), str(START + 60_000)),
    "fromId": ("1", "3000001"),
    "incomeType": ("COMMISSION",),
    "autoCloseType": ("ADL",),
    "modifyId": ("7",),
}
NONSENSE = (
    "",
    "-1",
    "0",
    "NaN",
    "1e400",
    "true",
    "null",
    "[]",
    "{}",
    "٣",
    "a" * 40,
    "x y&z",
    "9" * 30,
)
STATUSES = {200, 400, 401, 404, 405, 429}


F = "/fapi/v1/"
LIMIT = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
ALGO = {"algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "quantity": "0.010"}
#: Requests that would be accepted, most of them; one or two of their parameters are then changed.
USUAL: tuple[tuple[tuple[str, str], dict[str, str]], ...] = (
    (("POST", F + "order"), {**LIMIT, "price": "99900", "newClientOrderId": "a"}),
    (("POST", F + "order"), {**LIMIT, "price": "100200", "side": "SELL", "newClientOrderId": "b"}),
    (("POST", F + "order"), {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}),
    (("POST", F + "order"), {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.010"}),
    (("POST", F + "algoOrder"), {**ALGO, "type": "STOP_MARKET", "triggerPrice": "99850"}),
    (
        ("POST", F + "algoOrder"),
        {**ALGO, "type": "STOP", "triggerPrice": "99850", "price": "99800"},
    ),
    (("POST", F + "algoOrder"), {**ALGO, "type": "TRAILING_STOP_MARKET", "callbackRate": "0.1"}),
    (("PUT", F + "order"), {**LIMIT, "origClientOrderId": "a", "price": "99950"}),
    (("DELETE", F + "order"), {"symbol": BTC, "origClientOrderId": "a"}),
    (("GET", F + "order"), {"symbol": BTC, "orderId": "1000001"}),
    (("DELETE", F + "algoOrder"), {"algoId": "2000001"}),
    (("POST", F + "batchOrders"), {"batchOrders": MEANT["batchOrders"][0]}),
    (("DELETE", F + "batchOrders"), {"symbol": BTC, "orderIdList": "[1000001,1000002]"}),
    (("POST", F + "countdownCancelAll"), {"symbol": BTC, "countdownTime": "1000"}),
    (("POST", F + "leverage"), {"symbol": BTC, "leverage": "5"}),
    (("POST", F + "marginType"), {"symbol": BTC, "marginType": "ISOLATED"}),
    (("POST", F + "positionMargin"), {"symbol": BTC, "amount": "10", "type": "1"}),
    (("POST", F + "positionSide/dual"), {"dualSidePosition": "true"}),
)


def call(draw: st.DrawFn) -> tuple[tuple[str, str], dict[str, str]]:
    """An endpoint with its parameters: usual ones somewhat changed, or any at all."""
    target, usual = draw(
        st.one_of(
            st.sampled_from(USUAL),
            st.tuples(st.sampled_from(sorted(TABLE)), st.just({"symbol": BTC})),
        )
    )
    values = dict(usual)
    for name in draw(st.lists(st.sampled_from(sorted(MEANT)), max_size=2)):
        values[name] = draw(st.sampled_from(MEANT[name] + NONSENSE))
    for name in draw(st.lists(st.sampled_from(sorted(values)), max_size=1)):
        del values[name]
    return target, values


calls = st.composite(call)()


def ask(world: World, target: tuple[str, str], values: dict[str, str]) -> tuple[int, Any]:
    query = "&".join(f"{name}={quote(value)}" for name, value in values.items())
    query += f"&timestamp={world.clock.now_ms()}"
    status, _, body = world.api.handle(
        *target, query, {"X-MBX-APIKEY": KEY}, verified=TABLE[target].security is not Security.NONE
    )
    return status, json.loads(body)


@pytest.mark.parametrize("listed", ['["a"]', "[1.5]", "[-1]", "[null]", "[[1]]"])
def test_a_list_of_ids_holds_ids(listed: str) -> None:
    world = World({BTC: flat(100_000, 3)})
    status, body = ask(world, ("DELETE", F + "batchOrders"), {"symbol": BTC, "orderIdList": listed})
    assert (status, body["code"]) == (400, -1130)


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(calls, min_size=1, max_size=25), pauses=st.integers(0, 40_000))
def test_any_sequence_of_requests(
    steps: list[tuple[tuple[str, str], dict[str, str]]], pauses: int
) -> None:
    limits = RateLimits(weight=10**9, orders_10s=10**9, orders_1m=10**9)
    rows = [*flat(100_000, 3), (100_000, 100_300, 99_800, 100_100), *flat(100_100, 20)]
    world = World({BTC: rows}, deposit="100000", limits=limits)
    for target, values in steps:
        status, body = ask(world, target, values)
        assert status in STATUSES, (target, values, body)
        if status != 200:
            assert set(body) == {"code", "msg"}, (target, body)
            assert body["code"] < 0
            assert body["msg"]
        world.clock.sleep(pauses / 1000)
        world.api.advance()
        assert world.venue.ledger().problems() == []


@settings(max_examples=60, deadline=None)
@given(
    text=st.one_of(
        st.text(max_size=40),
        st.builds(
            lambda method, params: json.dumps({"id": 1, "method": method, "params": params}),
            st.sampled_from([*METHODS, "session.logon", "session.status", "none"]),
            st.dictionaries(
                st.sampled_from([*MEANT, "apiKey", "signature", "timestamp"]),
                st.one_of(
                    st.none(),
                    st.booleans(),
                    st.integers(),
                    st.floats(),
                    st.text(max_size=5),
                    st.lists(st.integers(), max_size=2),
                ),
                max_size=5,
            ),
        ),
    )
)
def test_any_websocket_request(text: str) -> None:
    api = SocketApi(World({BTC: flat(100_000, 3)}).api)
    answer = api.answer(api.open_session(), text)
    assert answer["status"] in STATUSES
    assert ("result" in answer) == (answer["status"] == 200)
