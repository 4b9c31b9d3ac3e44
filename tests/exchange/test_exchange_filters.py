"""Every filter and parameter error with its code, through the real python-binance."""

from __future__ import annotations

import json

import pytest
from exchange_world import START, World, code, flat, refused

LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "99000",
    "quantity": "0.010",
}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


@pytest.fixture(scope="module")
def world() -> World:
    return World({"BTCUSDT": flat(100_000, 10), "ADAUSDT": flat(0.7, 10)}, deposit="1000000")


@pytest.mark.parametrize(
    ("base", "change", "expected"),
    [
        (MARKET, {}, 0),
        (LIMIT, {}, 0),
        (LIMIT, {"symbol": "NOPEUSDT"}, -1121),
        (LIMIT, {"side": "HOLD"}, -1117),
        (LIMIT, {"type": "ICEBERG"}, -1116),
        (LIMIT, {"timeInForce": "DAY"}, -1115),
        (LIMIT, {"timeInForce": None}, -1102),
        (LIMIT, {"price": None}, -1102),
        (LIMIT, {"quantity": None}, -1102),
        (LIMIT, {"newOrderRespType": "FULL"}, -1136),
        (LIMIT, {"quantity": "abc"}, -1100),
        (LIMIT, {"quantity": "1e-3"}, -1100),
        (LIMIT, {"quantity": "NaN"}, -1100),
        (LIMIT, {"quantity": "0"}, -4003),
        (LIMIT, {"quantity": "-1"}, -4003),
        (LIMIT, {"quantity": "0.0001"}, -1111),
        (LIMIT, {"quantity": "1000.001"}, -4005),
        (MARKET, {"quantity": "121"}, -4005),
        (LIMIT, {"price": "0"}, -4001),
        (LIMIT, {"price": "-5"}, -4001),
        (LIMIT, {"price": "99000.05"}, -4014),
        (LIMIT, {"price": "99000.001"}, -1111),
        (LIMIT, {"price": "556.70"}, -4013),
        (LIMIT, {"price": "4529764.1"}, -4002),
        (LIMIT, {"price": "105000.1"}, -4016),
        (LIMIT, {"side": "SELL", "price": "94999.9"}, -4024),
        (LIMIT, {"quantity": "0.000"}, -4003),
        (LIMIT, {"price": "49000", "quantity": "0.001"}, -4164),
        (LIMIT, {"newClientOrderId": "x" * 37}, -4015),
        (LIMIT, {"newClientOrderId": "a b"}, -1100),
        (LIMIT, {"positionSide": "LONG"}, -4061),
        (LIMIT, {"positionSide": "UP"}, -4060),
        (LIMIT, {"reduceOnly": "true"}, -2022),
        (LIMIT, {"reduceOnly": "maybe"}, -1130),
        (LIMIT, {"timeInForce": "GTD"}, -1102),
        (LIMIT, {"timeInForce": "GTD", "goodTillDate": START + 599_000}, -5040),
        (LIMIT, {"timeInForce": "GTD", "goodTillDate": START + 700_000}, 0),
        (LIMIT, {"timeInForce": "GTX", "price": "100001"}, -5022),
        (LIMIT, {"timeInForce": "FOK"}, -5021),
        (LIMIT, {"quantity": "1000", "price": "104000"}, -2027),
        (MARKET, {"price": "100000"}, -1106),
        (LIMIT, {"quantity": "900", "price": "95000"}, -2019),
        (LIMIT, {"priceMatch": "QUEUE"}, -1106),
        (LIMIT, {"priceMatch": "QUEUE", "price": None}, 0),
        ({**LIMIT, "symbol": "ADAUSDT", "price": "0.69"}, {"quantity": "7"}, -4164),
        ({**LIMIT, "symbol": "ADAUSDT", "price": "0.69"}, {"quantity": "8"}, 0),
        ({**LIMIT, "symbol": "ADAUSDT", "price": "0.69"}, {"quantity": "8.5"}, -1111),
    ],
)
def test_order(world: World, base: dict, change: dict, expected: int) -> None:
    parameters = {k: v for k, v in {**base, **change}.items() if v is not None}
    before = world.venue.ledger()
    assert code(world.client.futures_create_order, **parameters) == expected
    if expected:
        after = world.venue.ledger()
        assert (after.wallet_balance, len(after.open_orders), len(after.fills)) == (
            before.wallet_balance,
            len(before.open_orders),
            len(before.fills),
        )


@pytest.mark.parametrize("kind", ["STOP", "STOP_MARKET", "TAKE_PROFIT", "TRAILING_STOP_MARKET"])
def test_conditional_types_belong_to_the_algo_endpoint(world: World, kind: str) -> None:
    """python-binance reroutes single orders; a batch shows what the plain endpoint says."""
    order = {**MARKET, "type": kind, "stopPrice": "90000"}
    [answer] = world.client.futures_place_batch_order(batchOrders=[order])
    assert answer["code"] == -4120
    single = refused(world.client._request_futures_api, "post", "order", True, data=order)
    assert (single.status_code, single.code) == (400, -4120)


def test_refusals_carry_the_venues_figures(world: World) -> None:
    refusal = refused(world.client.futures_create_order, **{**LIMIT, "price": "106000"})
    assert refusal.message == "Limit price can't be higher than 105000."
    small = {**LIMIT, "price": "49000", "quantity": "0.001"}
    refusal = refused(world.client.futures_create_order, **small)
    assert "no smaller than 50 " in refusal.message


def test_test_order_places_nothing(world: World) -> None:
    before = len(world.venue.ledger().orders)
    shown = world.client.futures_create_test_order(**MARKET)
    assert (shown["status"], shown["executedQty"]) == ("NEW", "0")
    assert code(world.client.futures_create_test_order, **{**MARKET, "quantity": "0"}) == -4003
    assert len(world.venue.ledger().orders) == before


@pytest.mark.parametrize(
    ("call", "parameters", "expected"),
    [
        ("futures_klines", {"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ("futures_klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}, -1130),
        ("futures_klines", {"symbol": "NOPE", "interval": "1m"}, -1121),
        ("futures_klines", {"interval": "1m"}, -1102),
        ("futures_order_book", {"symbol": "BTCUSDT", "limit": 7}, -4021),
        ("futures_mark_price", {"symbol": "NOPE"}, -1121),
        ("futures_get_order", {"symbol": "BTCUSDT"}, -1102),
        ("futures_get_order", {"symbol": "BTCUSDT", "orderId": "1"}, -2013),
        ("futures_get_order", {"symbol": "BTCUSDT", "orderId": "x"}, -1100),
        ("futures_cancel_order", {"symbol": "BTCUSDT", "orderId": "1"}, -2011),
        ("futures_change_leverage", {"symbol": "BTCUSDT", "leverage": 151}, -4028),
        ("futures_change_leverage", {"symbol": "BTCUSDT", "leverage": 0}, -4028),
        ("futures_change_margin_type", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("futures_change_margin_type", {"symbol": "BTCUSDT", "marginType": "X"}, -1130),
        ("futures_change_position_mode", {"dualSidePosition": "false"}, -4059),
        ("futures_change_multi_assets_mode", {"multiAssetsMargin": False}, -4171),
        (
            "futures_change_position_margin",
            {"symbol": "ADAUSDT", "amount": "5", "type": 1},
            -4054,
        ),
        (
            "futures_account_trades",
            {"symbol": "BTCUSDT", "fromId": 1, "startTime": START},
            -1128,
        ),
    ],
)
def test_other_endpoints(world: World, call: str, parameters: dict, expected: int) -> None:
    assert code(getattr(world.client, call), **parameters) == expected


def test_exchange_info_states_the_filters_that_are_enforced(world: World) -> None:
    info = world.client.futures_exchange_info()
    btc = next(s for s in info["symbols"] if s["symbol"] == "BTCUSDT")
    filters = {f["filterType"]: f for f in btc["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["MARKET_LOT_SIZE"]["maxQty"] == "120"
    assert filters["MIN_NOTIONAL"]["notional"] == "50"
    assert json.loads(json.dumps(info)) == info
