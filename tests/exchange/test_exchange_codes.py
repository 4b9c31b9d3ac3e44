"""Error codes beyond the shipped contracts or a usual request, and that no code is left out.

The filters are those of Binance's definitions: ``(quantity - minQty) % stepSize == 0``, market
orders by MARKET_LOT_SIZE, at most 200 open orders of a symbol.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import pytest
from exchange_world import KEY, MIDNIGHT, D, World, code, flat, refused

from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract
from shared.simulation.orders import NewOrder
from shared.simulation.refusal import VenueRefusal

BTC = "BTCUSDT"
ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000
LIMIT = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "99000",
    "quantity": "0.005",
}
MARKET = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}
STOP = {
    "symbol": BTC,
    "side": "BUY",
    "type": "STOP",
    "triggerPrice": "101000",
    "price": "101100",
    "quantity": "0.005",
}
STOP_MARKET = {
    "symbol": BTC,
    "side": "BUY",
    "type": "STOP_MARKET",
    "triggerPrice": "101000",
    "quantity": "0.010",
}


def coarse() -> dict[str, Contract]:
    """BTCUSDT with lots unlike its precision: from 0.005 by 0.002, at market from 0.01 by 0.01."""
    shipped = DEFAULT_CONTRACTS[BTC]
    instrument = msgspec.structs.replace(
        shipped.instrument,
        min_quantity=D("0.005"),
        step_size=D("0.002"),
        market_min_quantity=D("0.010"),
        market_step_size=D("0.010"),
    )
    return {BTC: msgspec.structs.replace(shipped, instrument=instrument)}


@pytest.fixture
def world() -> World:
    return World({BTC: flat(100_000, 60)}, deposit="100000")


class TestLots:
    @pytest.mark.parametrize(
        ("order", "quantity", "expected"),
        [
            (LIMIT, "0.004", -4004),
            (LIMIT, "0.005", 0),
            (LIMIT, "0.006", -4023),
            (LIMIT, "0.007", 0),
            (LIMIT, "0.0055", -1111),
            (MARKET, "0.007", -4004),
            (MARKET, "0.010", 0),
            (MARKET, "0.015", -4023),
            (MARKET, "0.020", 0),
            (STOP, "0.004", -4004),
            (STOP, "0.006", -4023),
            (STOP, "0.007", 0),
            (STOP_MARKET, "0.007", -4004),
            (STOP_MARKET, "0.015", -4023),
            (STOP_MARKET, "0.020", 0),
        ],
    )
    def test_smallest_quantity_and_step(
        self, order: dict[str, str], quantity: str, expected: int
    ) -> None:
        world = World({BTC: flat(100_000, 5)}, contracts=coarse())
        assert code(world.client.futures_create_order, **order | {"quantity": quantity}) == expected
        ledger = world.venue.ledger()
        assert len(ledger.orders) + len(ledger.algo_orders) == (0 if expected else 1)

    def test_hold_for_amendments_too(self) -> None:
        world = World({BTC: flat(100_000, 5)}, contracts=coarse())
        world.client.futures_create_order(**LIMIT, newClientOrderId="r")
        amend = {"symbol": BTC, "side": "BUY", "price": "98000", "origClientOrderId": "r"}
        found = [
            code(world.client.futures_modify_order, **amend, quantity=quantity)
            for quantity in ("0.004", "0.006", "0.007")
        ]
        assert found == [-4004, -4023, 0]

    def test_are_what_the_exchange_publishes(self) -> None:
        world = World({BTC: flat(100_000, 5)}, contracts=coarse())
        [symbol] = world.client.futures_exchange_info()["symbols"]
        filters = {f["filterType"]: f for f in symbol["filters"]}
        assert (filters["LOT_SIZE"]["minQty"], filters["LOT_SIZE"]["stepSize"]) == (
            "0.005",
            "0.002",
        )
        assert D(filters["MARKET_LOT_SIZE"]["stepSize"]) == D("0.01")


def test_a_symbol_has_at_most_200_open_orders() -> None:
    world = World({BTC: flat(100_000, 5), "ETHUSDT": flat(3_000, 5)}, deposit="1000000")
    c = world.client
    small = LIMIT | {"quantity": "0.001"}
    for number in range(200):
        c.futures_create_order(**small, newClientOrderId=f"o{number}")
    assert code(c.futures_create_order, **small) == -2025
    # Other symbols and conditional orders have room of their own.
    other = {**LIMIT, "symbol": "ETHUSDT", "price": "2990", "quantity": "0.010"}
    assert code(c.futures_create_order, **other) == 0
    assert code(c.futures_create_algo_order, **STOP_MARKET) == 0
    c.futures_cancel_order(symbol=BTC, origClientOrderId="o7")
    assert code(c.futures_create_order, **small) == 0
    assert code(c.futures_create_order, **small) == -2025


@pytest.mark.parametrize("price", ["4529764", "4529764.1"])
def test_a_trigger_price_has_the_contracts_largest_price_too(world: World, price: str) -> None:
    expected = 0 if price == "4529764" else -4007
    order = STOP_MARKET | {"triggerPrice": price}
    assert code(world.client.futures_create_algo_order, **order) == expected


def test_only_isolated_positions_have_a_margin_to_move(world: World) -> None:
    world.client.futures_create_order(**MARKET)
    move = world.client.futures_change_position_margin
    assert code(move, symbol=BTC, amount="5", type=1) == -4049
    assert code(move, symbol=BTC, amount="5", type=2) == -4049


@pytest.mark.parametrize("amount", ["0", "0.00", "-5"])
def test_a_margin_that_is_moved_is_positive(world: World, amount: str) -> None:
    world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    world.client.futures_create_order(**MARKET)
    before = world.account.position(BTC).isolated_wallet
    move = world.client.futures_change_position_margin
    assert code(move, symbol=BTC, amount=amount, type=1) == -4055
    assert world.account.position(BTC).isolated_wallet == before


@pytest.mark.parametrize("kind", ["plain", "conditional"])
def test_the_position_mode_waits_for_open_orders(world: World, kind: str) -> None:
    if kind == "plain":
        world.client.futures_create_order(**LIMIT)
    else:
        world.client.futures_create_algo_order(**STOP_MARKET)
    change = world.client.futures_change_position_mode
    assert code(change, dualSidePosition="true") == -4067
    assert world.client.futures_get_position_mode() == {"dualSidePosition": False}


def test_there_is_no_isolated_margin_in_multi_assets_mode(world: World) -> None:
    world.client.futures_change_multi_assets_mode(multiAssetsMargin=True)
    change = world.client.futures_change_margin_type
    assert code(change, symbol=BTC, marginType="ISOLATED") == -4168
    world.client.futures_change_multi_assets_mode(multiAssetsMargin=False)
    assert code(change, symbol=BTC, marginType="ISOLATED") == 0


def test_the_order_of_a_triggered_stop_cannot_be_amended() -> None:
    """It buys at 99,000 at most while the price is above: it rests, and stays as it is."""
    world = World({BTC: [*flat(100_000, 3), *flat(101_500, 60)]}, deposit="100000")
    world.client.futures_create_algo_order(
        **{**STOP, "price": "99000"}, clientAlgoId="s", workingType="CONTRACT_PRICE"
    )
    world.at_minute(4)
    [rests] = world.client.futures_get_open_orders(symbol=BTC)
    assert (rests["origType"], rests["status"]) == ("STOP", "NEW")
    amend = {"symbol": BTC, "side": "BUY", "price": "98000", "quantity": "0.005"}
    assert code(world.client.futures_modify_order, **amend, orderId=rests["orderId"]) == -5025
    assert world.client.futures_get_open_orders(symbol=BTC) == [rests]


def test_an_order_is_amended_ten_thousand_times_at_most(world: World) -> None:
    """``maxMoveOrderLimit`` of the contract; the first 9,999 are taken as done."""
    c = world.client
    placed = c.futures_create_order(**LIMIT, newClientOrderId="r")
    [symbol] = c.futures_exchange_info()["symbols"]
    assert symbol["maxMoveOrderLimit"] == 10_000
    world.account.orders[placed["orderId"]].amendments = 9_999
    amend = {"symbol": BTC, "side": "BUY", "quantity": "0.005", "origClientOrderId": "r"}
    assert code(c.futures_modify_order, **amend, price="98900") == 0
    assert code(c.futures_modify_order, **amend, price="98800") == -5026
    assert c.futures_get_order(symbol=BTC, origClientOrderId="r")["price"] == "98900"


@pytest.mark.parametrize(
    ("query", "parameters", "days", "too_long"),
    [
        ("futures_get_all_orders", {"symbol": BTC}, 7, -4165),
        ("futures_account_trades", {"symbol": BTC}, 7, -4165),
        ("futures_get_all_algo_orders", {"symbol": BTC}, 7, -4165),
        ("futures_liquidation_orders", {}, 7, -4165),
        ("futures_position_margin_history", {"symbol": BTC}, 30, -4166),
        ("futures_income_history", {}, 90, -4166),
        ("futures_v1_get_order_amendment", {"symbol": BTC, "orderId": "1"}, 90, -4166),
    ],
)
def test_the_span_of_a_query(
    world: World, query: str, parameters: dict[str, Any], days: int, too_long: int
) -> None:
    ask = getattr(world.client, query)
    begin = MIDNIGHT - days * DAY_MS
    assert code(ask, **parameters, startTime=MIDNIGHT, endTime=MIDNIGHT - 1) == -1023
    assert code(ask, **parameters, startTime=begin - 1, endTime=MIDNIGHT) == too_long
    assert code(ask, **parameters, startTime=begin, endTime=MIDNIGHT) == 0


HEDGE_CLOSE = {
    "symbol": BTC,
    "side": "BUY",
    "positionSide": "LONG",
    "type": "STOP_MARKET",
    "triggerPrice": "101000",
    "closePosition": "true",
}
ITEM = '{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.01"}'


@pytest.mark.parametrize(
    ("method", "path", "parameters", "expected"),
    [
        ("post", "positionMargin", {"symbol": BTC, "amount": "1", "type": "3"}, -1130),
        ("get", "positionMargin/history", {"symbol": BTC, "type": "3"}, -1130),
        ("post", "algoOrder", {**STOP_MARKET, "algoType": "VP"}, -1130),
        ("post", "countdownCancelAll", {"symbol": BTC, "countdownTime": "-1"}, -1130),
        ("post", "batchOrders", {"batchOrders": "[" + ",".join([ITEM] * 6) + "]"}, -4082),
        ("post", "batchOrders", {"batchOrders": "[]"}, -4082),
        ("post", "batchOrders", {"batchOrders": "[" + ITEM}, -1130),
        ("post", "batchOrders", {"batchOrders": ITEM}, -1130),
        ("delete", "batchOrders", {"symbol": BTC, "orderIdList": "7"}, -1130),
    ],
)
def test_parameters_that_are_not_valid(
    world: World, method: str, path: str, parameters: dict[str, str], expected: int
) -> None:
    ask = world.client._request_futures_api
    assert code(ask, method, path, True, data=parameters) == expected
    assert world.venue.ledger().orders == ()


def test_an_item_of_a_batch_that_is_no_order_is_refused_by_itself(world: World) -> None:
    batch = {"batchOrders": f"[7,{ITEM}]"}
    answers = world.client._request_futures_api("post", "batchOrders", True, data=batch)
    assert [answer.get("code", answer.get("status")) for answer in answers] == [-1130, "NEW"]
    assert world.position() == D("0.01")


def test_a_request_without_a_signature(world: World) -> None:
    query = f"timestamp={world.clock.now_ms()}"
    status, _, body = world.api.handle("GET", "/fapi/v3/balance", query, {"x-mbx-apikey": KEY})
    assert (status, b"-1102" in body, b"signature" in body) == (400, True, True)


def test_a_trailing_stop_does_not_close_whatever_is_there(world: World) -> None:
    world.client.futures_create_order(**MARKET)
    order = {"symbol": BTC, "side": "SELL", "type": "TRAILING_STOP_MARKET", "callbackRate": "1"}
    create = world.client.futures_create_algo_order
    assert code(create, **order, closePosition="true") == -4136


@pytest.mark.parametrize(("side", "position"), [("BUY", "LONG"), ("SELL", "SHORT")])
def test_a_closing_order_of_hedge_mode_does_not_open(
    world: World, side: str, position: str
) -> None:
    world.client.futures_change_position_mode(dualSidePosition="true")
    trigger = "101000" if side == "BUY" else "99000"
    order = HEDGE_CLOSE | {"side": side, "positionSide": position, "triggerPrice": trigger}
    assert code(world.client.futures_create_algo_order, **order) == -4061


def test_candles_shorter_than_the_markets_own_cannot_be_told() -> None:
    world = World({BTC: flat(100_000, 5)}, timeframe="5m")
    klines = world.client.futures_klines
    assert code(klines, symbol=BTC, interval="3m") == -1120
    assert code(klines, symbol=BTC, interval="15m") == 0


class TestPastTheInterface:
    """What requests cannot reach, because the interface has refused it before."""

    def refused(self, call: Any, *args: Any, **kwargs: Any) -> int:
        with pytest.raises(VenueRefusal) as refusal:
            call(*args, **kwargs)
        return refusal.value.code

    def test_the_venue_refuses_it_too(self, world: World) -> None:
        venue, account = world.venue, world.account
        stop = NewOrder(symbol=BTC, side="BUY", type="STOP_MARKET", quantity=D("0.01"))
        assert self.refused(venue.place_order, account, stop) == -4120
        assert self.refused(venue.move_position_margin, account, BTC, D(0)) == -4055

    def test_no_more_is_withdrawn_than_there_is(self, world: World) -> None:
        assert self.refused(world.venue.transfer, world.account, D("-100000.00000001")) == -4050
        world.venue.transfer(world.account, D("-100000"))
        assert world.account.wallet_balance() == 0
        assert world.venue.ledger().problems() == []


def test_there_are_no_orders_of_retail_makers(world: World) -> None:
    refusal = refused(world.client.futures_create_order, **{**LIMIT, "timeInForce": "RPI"})
    assert (refusal.code, refusal.message) == (-1115, "Invalid timeInForce.")


def _codes(folders: list[str], without: str = "") -> set[int]:
    """Error codes that stand in the Python files of some folders."""
    return {
        -node.operand.value
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.name != without
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
        and isinstance(node.operand.value, int)
        and 1000 <= node.operand.value <= 5999
    }


def test_every_code_that_the_exchange_can_answer_is_met() -> None:
    """A list of texts is no answer; every code raised anywhere stands in some test here."""
    answered = _codes(["shared/simulation", "local/exchange"], without="refusal.py")
    assert len(answered) > 90
    assert answered - _codes(["tests/exchange"]) == set()
