"""What every request costs: weight of the address, counts of the account.

The figures are those that Binance publishes with each endpoint (of the documentation in its own
SDK, 18.1.0), endpoint by endpoint; nothing here is read from the exchange's own table.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import pytest
from exchange_world import KEY, SECRET, World, flat

from local.exchange.endpoints import TABLE

BTC = {"symbol": "BTCUSDT"}
LIMIT = {**BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
LIMIT |= {"price": "99000", "quantity": "0.010"}
STOP = {**BTC, "algoType": "CONDITIONAL", "side": "BUY", "type": "STOP_MARKET"}
STOP |= {"triggerPrice": "101000", "quantity": "0.010"}
AMEND = {**BTC, "side": "BUY", "price": "98000", "quantity": "0.010", "origClientOrderId": "rests"}
MINUTE = {**BTC, "interval": "1m"}
PAIR = {"pair": "BTCUSDT", "interval": "1m"}
NEVER = {**BTC, "orderId": "7"}

#: Endpoint, parameters, weight, order counts in ten seconds and a minute.
COSTS: list[tuple[str, dict[str, str], int, tuple[int, int]]] = [
    (endpoint, parameters, weight, (0, 0))
    for endpoint, parameters, weight in [
        ("GET /fapi/v1/ping", {}, 1),
        ("GET /fapi/v1/time", {}, 1),
        ("GET /fapi/v1/exchangeInfo", {}, 1),
        # Candles: below 100, below 500, up to 1,000, more; 500 without a limit.
        *(
            (f"GET /fapi/v1/{name}", {**parameters, "limit": str(limit)}, weight)
            for name, parameters in [
                ("klines", MINUTE),
                ("markPriceKlines", MINUTE),
                ("premiumIndexKlines", MINUTE),
                ("indexPriceKlines", PAIR),
                ("continuousKlines", {**PAIR, "contractType": "PERPETUAL"}),
            ]
            for limit, weight in [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5)]
        ),
        ("GET /fapi/v1/klines", MINUTE, 5),
        ("GET /fapi/v1/klines", {**MINUTE, "limit": "1001"}, 10),
        ("GET /fapi/v1/continuousKlines", {**PAIR, "contractType": "PERPETUAL"}, 5),
        ("GET /fapi/v1/markPriceKlines", {**MINUTE, "limit": "1500"}, 10),
        ("GET /fapi/v1/historicalTrades", BTC, 200),
        ("GET /fapi/v1/premiumIndex", BTC, 1),
        ("GET /fapi/v1/premiumIndex", {}, 10),
        # These two have a pool of their own.
        ("GET /fapi/v1/fundingRate", BTC, 0),
        ("GET /fapi/v1/fundingInfo", {}, 0),
        *(
            ("GET /fapi/v1/depth", {**BTC, "limit": str(limit)}, weight)
            for limit, weight in [(5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10)]
        ),
        ("GET /fapi/v1/depth", {**BTC, "limit": "1000"}, 20),
        ("GET /fapi/v1/depth", BTC, 10),
        ("GET /fapi/v1/trades", BTC, 5),
        ("GET /fapi/v1/aggTrades", BTC, 20),
        ("GET /fapi/v1/openInterest", BTC, 1),
        ("GET /fapi/v1/constituents", BTC, 2),
        ("GET /fapi/v1/tradingSchedule", {}, 5),
        ("GET /fapi/v1/symbolAdlRisk", {}, 1),
        ("GET /fapi/v1/ticker/bookTicker", BTC, 2),
        ("GET /fapi/v1/ticker/bookTicker", {}, 5),
        ("GET /fapi/v1/ticker/price", BTC, 1),
        ("GET /fapi/v1/ticker/price", {}, 2),
        ("GET /fapi/v2/ticker/price", BTC, 1),
        ("GET /fapi/v2/ticker/price", {}, 2),
        ("GET /fapi/v1/ticker/24hr", BTC, 1),
        ("GET /fapi/v1/ticker/24hr", {}, 40),
        ("GET /fapi/v1/orderAmendment", NEVER, 1),
        ("GET /fapi/v1/order", NEVER, 1),
        ("DELETE /fapi/v1/order", NEVER, 1),
        ("GET /fapi/v1/openOrder", NEVER, 1),
        ("GET /fapi/v1/openOrders", BTC, 1),
        ("GET /fapi/v1/openOrders", {}, 40),
        ("GET /fapi/v1/allOrders", BTC, 5),
        ("DELETE /fapi/v1/allOpenOrders", BTC, 1),
        ("DELETE /fapi/v1/batchOrders", {**BTC, "orderIdList": "[7,8]"}, 1),
        ("POST /fapi/v1/countdownCancelAll", {**BTC, "countdownTime": "1000"}, 10),
        ("GET /fapi/v1/userTrades", BTC, 5),
        ("GET /fapi/v1/forceOrders", BTC, 20),
        ("GET /fapi/v1/forceOrders", {}, 50),
        ("GET /fapi/v1/algoOrder", {"algoId": "7"}, 1),
        ("DELETE /fapi/v1/algoOrder", {"algoId": "7"}, 1),
        ("GET /fapi/v1/openAlgoOrders", BTC, 1),
        ("GET /fapi/v1/openAlgoOrders", {}, 40),
        ("DELETE /fapi/v1/algoOpenOrders", BTC, 1),
        ("GET /fapi/v1/allAlgoOrders", BTC, 5),
        ("GET /fapi/v2/account", {}, 5),
        ("GET /fapi/v3/account", {}, 5),
        ("GET /fapi/v2/balance", {}, 5),
        ("GET /fapi/v3/balance", {}, 5),
        ("GET /fapi/v2/positionRisk", {}, 5),
        ("GET /fapi/v3/positionRisk", BTC, 5),
        ("GET /fapi/v1/accountConfig", {}, 5),
        ("GET /fapi/v1/symbolConfig", {}, 5),
        ("POST /fapi/v1/leverage", {**BTC, "leverage": "3"}, 1),
        ("POST /fapi/v1/marginType", {**BTC, "marginType": "ISOLATED"}, 1),
        ("POST /fapi/v1/positionMargin", {**BTC, "amount": "1", "type": "1"}, 1),
        ("GET /fapi/v1/positionMargin/history", BTC, 1),
        ("GET /fapi/v1/positionSide/dual", {}, 30),
        ("POST /fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, 1),
        ("GET /fapi/v1/multiAssetsMargin", {}, 30),
        ("POST /fapi/v1/multiAssetsMargin", {"multiAssetsMargin": "true"}, 1),
        ("GET /fapi/v1/feeBurn", {}, 30),
        ("POST /fapi/v1/feeBurn", {"feeBurn": "true"}, 1),
        ("GET /fapi/v1/income", {}, 30),
        ("GET /fapi/v1/leverageBracket", BTC, 1),
        ("GET /fapi/v1/leverageBracket", {}, 1),
        ("GET /fapi/v1/commissionRate", BTC, 20),
        ("GET /fapi/v1/rateLimit/order", {}, 1),
        ("GET /fapi/v1/apiTradingStatus", BTC, 1),
        ("GET /fapi/v1/apiTradingStatus", {}, 10),
        ("GET /fapi/v1/adlQuantile", {}, 5),
        ("POST /fapi/v1/listenKey", {}, 1),
        ("PUT /fapi/v1/listenKey", {}, 1),
        ("DELETE /fapi/v1/listenKey", {}, 1),
    ]
]
COSTS += [
    ("POST /fapi/v1/order", LIMIT, 0, (1, 1)),
    ("PUT /fapi/v1/order", AMEND, 0, (1, 1)),
    ("POST /fapi/v1/algoOrder", STOP, 0, (1, 1)),
    ("POST /fapi/v1/batchOrders", {"batchOrders": "[{}]"}, 5, (5, 1)),
    ("PUT /fapi/v1/batchOrders", {"batchOrders": "[{}]"}, 5, (5, 1)),
]
#: What these cost the documentation does not tell, or they belong to Binance's other interfaces.
UNPUBLISHED = {
    ("POST", "/fapi/v1/order/test"),
    ("GET", "/api/v3/ping"),
    ("GET", "/api/v3/time"),
    ("GET", "/sapi/v1/capital/config/getall"),
    ("GET", "/sapi/v1/margin/allPairs"),
}


def ask(world: World, endpoint: str, parameters: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Status and headers of a signed request."""
    method, path = endpoint.split()
    query = urlencode({**parameters, "timestamp": world.clock.now_ms()})
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    status, headers, _ = world.api.handle(
        method, path, f"{query}&signature={signature}", {"x-mbx-apikey": KEY}
    )
    return status, headers


def name(case: Any) -> str | None:
    return case if isinstance(case, str) else None


@pytest.mark.parametrize(("endpoint", "parameters", "weight", "orders"), COSTS, ids=name)
def test_a_request_costs_what_is_published(
    endpoint: str, parameters: dict[str, str], weight: int, orders: tuple[int, int]
) -> None:
    world = World({"BTCUSDT": flat(100_000, 5)})
    ask(world, endpoint, parameters)
    # What has been used is asked with a request of weight 1, what was counted with an order more.
    used = int(ask(world, "GET /fapi/v1/ping", {})[1]["x-mbx-used-weight-1m"])
    status, counted = ask(world, "POST /fapi/v1/order", LIMIT)
    assert status == 200
    ten, minute = (int(counted[f"x-mbx-order-count-{window}"]) for window in ("10s", "1m"))
    assert (used - 1, (ten - 1, minute - 1)) == (weight, orders)


def test_every_endpoint_is_in_the_table() -> None:
    told = {tuple(endpoint.split()) for endpoint, *_ in COSTS}
    assert set(TABLE) == told | UNPUBLISHED
