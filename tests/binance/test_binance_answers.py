"""The exchange's documented answers, through the real client, as our records."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from shared.errors import ExchangeRejected, ExchangeUnavailable, OutcomeUnknown
from shared.execution.exchange import AlgoOrderRequest, OrderRequest
from tests.binance.scripted import Bench, Reply, refusal

ORDER_POST: dict[str, Any] = {
    "clientOrderId": "e-1", "cumQty": "0", "executedQty": "0", "orderId": 22542179,
    "origQty": "10", "price": "0", "reduceOnly": False, "side": "SELL", "positionSide": "BOTH",
    "status": "NEW", "stopPrice": "0", "closePosition": False, "symbol": "BTCUSDT",
    "timeInForce": "GTC", "type": "MARKET", "origType": "MARKET", "updateTime": 1566818724722,
    "workingType": "CONTRACT_PRICE", "priceProtect": False, "priceMatch": "NONE",
    "selfTradePreventionMode": "NONE", "goodTillDate": 0,
}  # fmt: skip
ORDER_GET = ORDER_POST | {
    "avgPrice": "61000.10000", "cumQuote": "610001.0", "time": 1566818724722,
    "status": "FILLED", "executedQty": "10",
}  # fmt: skip
ALGO_POST: dict[str, Any] = {
    "algoId": 2146760, "clientAlgoId": "s-1", "algoType": "CONDITIONAL",
    "orderType": "STOP_MARKET", "symbol": "BNBUSDT", "side": "SELL", "positionSide": "BOTH",
    "timeInForce": "GTC", "quantity": "0.01", "algoStatus": "NEW", "triggerPrice": "750.000",
    "price": "0.000", "icebergQuantity": None, "selfTradePreventionMode": "EXPIRE_MAKER",
    "workingType": "MARK_PRICE", "priceMatch": "NONE", "closePosition": False,
    "priceProtect": False, "reduceOnly": True, "activatePrice": "", "callbackRate": "",
    "createTime": 1750485492076, "updateTime": 1750485492076, "triggerTime": 0, "goodTillDate": 0,
}  # fmt: skip
POSITION: dict[str, Any] = {
    "symbol": "ADAUSDT", "positionSide": "BOTH", "positionAmt": "30", "entryPrice": "0.385",
    "breakEvenPrice": "0.385077", "markPrice": "0.41047590", "unRealizedProfit": "0.76427700",
    "liquidationPrice": "0", "isolatedMargin": "0", "notional": "12.31427700",
    "marginAsset": "USDT", "isolatedWallet": "0", "initialMargin": "0.61571385",
    "maintMargin": "0.08004280", "adl": 2, "updateTime": 1720736417660,
}  # fmt: skip

MARKET_SELL = OrderRequest(
    symbol="BTCUSDT", side="SELL", type="MARKET", quantity=D("10"), client_order_id="e-1"
)
STOP = AlgoOrderRequest(
    symbol="BNBUSDT", side="SELL", type="STOP_MARKET", quantity=D("0.01"),
    client_algo_id="s-1", trigger_price=D("750"),
)  # fmt: skip


def test_a_post_answer_has_no_average_price_and_none_is_not_zero() -> None:
    bench = Bench()
    bench.script.on("POST", "/fapi/v1/order", Reply(ORDER_POST))
    order = bench.exchange.place_order(MARKET_SELL)
    assert (order.order_id, order.status, order.quantity) == (22542179, "NEW", D("10"))
    assert order.average_price is None


@pytest.mark.parametrize(
    ("sent", "average"),
    [("61000.10000", D("61000.1")), ("0.00000", None), ("", None)],
)
def test_the_average_price_of_a_queried_order(sent: str, average: D | None) -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/order", Reply(ORDER_GET | {"avgPrice": sent}))
    order = bench.exchange.order("BTCUSDT", "e-1")
    assert order is not None
    assert order.average_price == average
    assert (order.status, order.executed_quantity) == ("FILLED", D("10"))


def test_an_order_the_venue_does_not_know_is_none() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/order", refusal(-2013, "Order does not exist."))
    bench.script.on("GET", "/fapi/v1/algoOrder", refusal(-2013, "Order does not exist."))
    assert bench.exchange.order("BTCUSDT", "e-1") is None
    assert bench.exchange.algo_order("s-1") is None


@pytest.mark.parametrize(
    ("changes", "produced", "status"),
    [
        ({}, None, "NEW"),
        ({"actualOrderId": ""}, None, "NEW"),
        ({"actualOrderId": "88937381063", "algoStatus": "TRIGGERED"}, 88937381063, "TRIGGERED"),
        ({"actualOrderId": 88937381063, "algoStatus": "FINISHED"}, 88937381063, "FINISHED"),
    ],
)
def test_conditional_orders(changes: dict[str, Any], produced: int | None, status: str) -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/algoOrder", Reply(ALGO_POST | changes))
    order = bench.exchange.algo_order("s-1")
    assert order is not None
    assert (order.algo_id, order.type, order.status) == (2146760, "STOP_MARKET", status)
    assert (order.order_id, order.trigger_price) == (produced, D("750"))
    assert (order.reduce_only, order.close_position) == (True, False)


def test_a_trailing_stop_has_no_trigger_price_and_a_closing_stop_no_quantity() -> None:
    trailing = ALGO_POST | {"orderType": "TRAILING_STOP_MARKET", "triggerPrice": ""}
    closing = ALGO_POST | {"closePosition": True, "quantity": "", "clientAlgoId": "s-2"}
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/openAlgoOrders", Reply([trailing, closing]))
    first, second = bench.exchange.open_algo_orders("BNBUSDT")
    assert first.trigger_price is None
    assert (second.close_position, second.quantity) == (True, D("0"))


def test_positions_without_a_quantity_are_not_positions() -> None:
    bench = Bench()
    rows = [POSITION, POSITION | {"symbol": "BTCUSDT", "positionAmt": "0.000"}]
    bench.script.on("GET", "/fapi/v3/positionRisk", Reply(rows))
    (position,) = bench.exchange.positions()
    assert (position.symbol, position.quantity) == ("ADAUSDT", D("30"))
    assert position.unrealized_pnl == D("0.764277")


def test_account_is_the_usdt_row_of_version_3() -> None:
    usdt = {
        "asset": "USDT", "walletBalance": "23.72469206", "unrealizedProfit": "-1.5",
        "marginBalance": "22.22469206", "availableBalance": "20.1", "updateTime": 1,
    }  # fmt: skip
    bnb = usdt | {"asset": "BNB", "walletBalance": "9"}
    bench = Bench()
    bench.script.on("GET", "/fapi/v3/account", Reply({"assets": [bnb, usdt], "positions": []}))
    account = bench.exchange.account()
    assert account.wallet_balance == D("23.72469206")
    assert account.equity == account.wallet_balance + account.unrealized_pnl
    assert account.available_balance == D("20.1")


@pytest.mark.parametrize("listed", [True, False])
def test_symbol_config_as_list_or_object(listed: bool) -> None:
    row = {
        "symbol": "BTCUSDT", "marginType": "CROSSED", "isAutoAddMargin": "false",
        "leverage": 21, "maxNotionalValue": "1000000",
    }  # fmt: skip
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/symbolConfig", Reply([row] if listed else row))
    config = bench.exchange.symbol_config("BTCUSDT")
    assert (config.leverage, config.margin_type) == (21, "CROSSED")


@pytest.mark.parametrize("listed", [True, False])
def test_maintenance_brackets_as_list_or_object(listed: bool) -> None:
    row = {
        "symbol": "ETHUSDT", "notionalCoef": 1.50,
        "brackets": [
            {"bracket": 2, "initialLeverage": 50, "notionalCap": 50000, "notionalFloor": 10000,
             "maintMarginRatio": 0.0065, "cum": 15.5},
            {"bracket": 1, "initialLeverage": 75, "notionalCap": 10000, "notionalFloor": 0,
             "maintMarginRatio": 0.005, "cum": 0.0},
        ],
    }  # fmt: skip
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/leverageBracket", Reply([row] if listed else row))
    first, second = bench.exchange.maintenance_brackets("ETHUSDT")
    assert (first.floor, first.cap, first.rate, first.cum) == (0, 10000, D("0.005"), 0)
    assert (second.floor, second.cap, second.rate, second.cum) == (
        10000, 50000, D("0.0065"), D("15.5"),
    )  # fmt: skip


def test_mark_prices_with_and_without_funding() -> None:
    perpetual = {
        "symbol": "BTCUSDT", "markPrice": "11793.63104562", "indexPrice": "11781.80495970",
        "estimatedSettlePrice": "11781.16138815", "lastFundingRate": "0.00038246",
        "interestRate": "0.00010000", "nextFundingTime": 1597392000000, "time": 1597370495002,
    }  # fmt: skip
    delivery = perpetual | {"symbol": "BTCUSDT_261225", "lastFundingRate": "", "nextFundingTime": 0}
    bench = Bench()
    path = "/fapi/v1/premiumIndex"
    bench.script.on("GET", path, Reply([perpetual, delivery]), Reply(perpetual))
    all_of_them = bench.exchange.mark_prices()
    assert all_of_them["BTCUSDT"].mark_price == D("11793.63104562")
    assert all_of_them["BTCUSDT_261225"].last_funding_rate == 0
    assert bench.exchange.mark_price("BTCUSDT") == all_of_them["BTCUSDT"]


def test_book_ticker() -> None:
    bench = Bench()
    row = {
        "symbol": "BTCUSDT", "bidPrice": "4.00000000", "bidQty": "431.00000000",
        "askPrice": "4.00000200", "askQty": "9.00000000", "time": 1589437530011,
    }  # fmt: skip
    bench.script.on("GET", "/fapi/v1/ticker/bookTicker", Reply(row))
    book = bench.exchange.book_ticker("BTCUSDT")
    assert (book.bid_price, book.ask_price) == (D("4"), D("4.000002"))


@pytest.mark.parametrize("body", ["", "oops", '"oops"', "[]", "{}", "null", '{"orderId":"x"}'])
def test_a_success_that_cannot_be_read(body: str) -> None:
    """Executed with an unknown result when something was changed; unavailable when asked."""
    bench = Bench()
    bench.script.on("POST", "/fapi/v1/order", Reply(body))
    bench.script.on("GET", "/fapi/v1/order", Reply(body))
    with pytest.raises(OutcomeUnknown):
        bench.exchange.place_order(MARKET_SELL)
    assert len(bench.script.calls("POST", "/fapi/v1/order")) == 1
    with pytest.raises(ExchangeUnavailable):
        bench.exchange.order("BTCUSDT", "e-1")


def test_leverage_that_the_venue_did_not_set_as_asked() -> None:
    bench = Bench()
    answer = {"leverage": 5, "maxNotionalValue": "1000000", "symbol": "BTCUSDT"}
    bench.script.on("POST", "/fapi/v1/leverage", Reply(answer))
    bench.exchange.set_leverage("BTCUSDT", 5)
    with pytest.raises(ExchangeRejected, match="leverage of BTCUSDT is 5, 7 was asked for"):
        bench.exchange.set_leverage("BTCUSDT", 7)


@pytest.mark.parametrize(("hedge", "changes"), [(False, 0), (True, 1)])
def test_one_way_mode_is_set_only_where_it_is_not(hedge: bool, changes: int) -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/accountConfig", Reply({"dualSidePosition": hedge}))
    bench.script.on("POST", "/fapi/v1/positionSide/dual", Reply({"code": 200, "msg": "success"}))
    bench.exchange.ensure_one_way()
    sent = bench.script.calls("POST", "/fapi/v1/positionSide/dual")
    assert [s.params["dualSidePosition"] for s in sent] == ["false"] * changes


def test_already_isolated_is_success() -> None:
    bench = Bench()
    already = refusal(-4046, "No need to change margin type.")
    bench.script.on("POST", "/fapi/v1/marginType", already)
    bench.exchange.set_isolated("BTCUSDT")
    assert bench.script.calls("POST", "/fapi/v1/marginType")[0].params["marginType"] == "ISOLATED"


INFO: dict[str, Any] = {
    "timezone": "UTC",
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
    ],
    "symbols": [
        {
            "symbol": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
            "pricePrecision": 2, "quantityPrecision": 3, "triggerProtect": "0.0500",
            "liquidationFee": "0.012500", "marketTakeBound": "0.05",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764",
                 "tickSize": "0.10"},
                {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000",
                 "stepSize": "0.001"},
                {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120",
                 "stepSize": "0.001"},
                {"filterType": "MIN_NOTIONAL", "notional": "50"},
                {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500",
                 "multiplierDown": "0.9500", "multiplierDecimal": "4"},
                {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
                {"filterType": "SOMETHING_NEW", "depth": {"nested": [1, 2]}},
            ],
        },
        {"symbol": "币安人生USDT", "status": "TRADING", "pricePrecision": 4,
         "quantityPrecision": 0, "filters": [
             {"filterType": "PRICE_FILTER", "minPrice": "0", "maxPrice": "0", "tickSize": "0"},
             {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "100", "stepSize": "1"}]},
        {"symbol": "NOFILTERS", "status": "PENDING_TRADING", "filters": []},
    ],
}  # fmt: skip


def test_instruments_are_read_leniently() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/exchangeInfo", Reply(INFO))
    found = bench.exchange.instruments()
    assert set(found) == {"BTCUSDT", "币安人生USDT"}
    btc = found["BTCUSDT"]
    assert (btc.tick_size, btc.market_max_quantity) == (D("0.1"), D("120"))
    assert (btc.min_notional, btc.multiplier_up) == (D("50"), D("1.05"))
    # A tick of zero switches the filter off: the precision is the grid then.
    assert found["币安人生USDT"].tick_size == D("0.0001")


def test_instruments_are_read_once_an_hour_and_after_a_filter_error() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/exchangeInfo", Reply(INFO))
    bench.script.on("POST", "/fapi/v1/order", refusal(-1111), refusal(-2019))

    def reads() -> int:
        bench.exchange.instruments()
        return len(bench.script.calls("GET", "/fapi/v1/exchangeInfo"))

    assert reads() == 1
    bench.clock.sleep(3599)
    assert reads() == 1
    bench.clock.sleep(2)
    assert reads() == 2
    with pytest.raises(ExchangeRejected):
        bench.exchange.place_order(MARKET_SELL)
    assert reads() == 3
    with pytest.raises(ExchangeRejected):
        bench.exchange.place_order(MARKET_SELL)
    assert reads() == 3


@pytest.mark.parametrize(("amount", "asked"), [("0.000", 0), ("30", 1)])
def test_a_flat_account_needs_one_request(amount: str, asked: int) -> None:
    bench = Bench()
    holding = {"symbol": "ADAUSDT", "positionSide": "BOTH", "positionAmt": amount}
    bench.script.on("GET", "/fapi/v3/account", Reply({"assets": [], "positions": [holding]}))
    bench.script.on("GET", "/fapi/v3/positionRisk", Reply([POSITION]))
    account, positions = bench.exchange.account_and_positions()
    assert account.equity == 0
    assert [p.symbol for p in positions] == ["ADAUSDT"] * asked
    assert len(bench.script.calls("GET", "/fapi/v3/positionRisk")) == asked
