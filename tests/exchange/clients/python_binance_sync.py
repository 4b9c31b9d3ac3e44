"""The scenario through python-binance's blocking client."""

from __future__ import annotations

import sys

from binance.client import Client
from binance.exceptions import BinanceAPIException
from scenario import BTC, ETH, Reading, algo, fill, order, paid, position, tell


def run(url: str, key: str, secret: str) -> Reading:
    class Local(Client):
        API_URL = f"{url}/api"
        FUTURES_URL = f"{url}/fapi"

    c = Local(key, secret)
    c.futures_ping()
    assert {s["symbol"] for s in c.futures_exchange_info()["symbols"]} == {BTC, ETH}
    c.futures_change_leverage(symbol=BTC, leverage=10)
    c.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    limit = {"symbol": BTC, "side": "BUY", "type": "LIMIT"}
    c.futures_create_order(
        **limit, timeInForce="GTC", quantity="0.010", price="99000", newClientOrderId="limit"
    )
    c.futures_create_order(
        **limit, timeInForce="GTX", quantity="0.010", price="98500", newClientOrderId="maker"
    )
    refused = []

    def try_(call, **parameters):
        try:
            call(**parameters)
        except BinanceAPIException as error:
            refused.append(error.code)

    try_(c.futures_create_order, **limit, timeInForce="GTX", quantity="0.010", price="101000")
    market = {"type": "MARKET", "newOrderRespType": "RESULT"}
    c.futures_create_order(symbol=BTC, side="BUY", quantity="0.020", **market)
    protect = {"symbol": BTC, "side": "SELL", "quantity": "0.020", "reduceOnly": "true"}
    c.futures_create_order(**protect, type="STOP_MARKET", stopPrice="95000", clientAlgoId="stop")
    c.futures_create_order(
        **protect, type="TAKE_PROFIT_MARKET", triggerPrice="105000", clientAlgoId="profit"
    )
    c.futures_modify_order(
        symbol=BTC, side="BUY", origClientOrderId="limit", quantity="0.012", price="98000"
    )
    c.futures_cancel_order(symbol=BTC, origClientOrderId="maker")
    c.futures_cancel_order(clientAlgoId="profit")
    c.futures_create_order(symbol=BTC, side="SELL", quantity="0.005", reduceOnly="true", **market)
    c.futures_create_order(symbol=ETH, side="SELL", quantity="0.500", **market)
    c.futures_create_order(symbol=ETH, side="BUY", quantity="0.500", reduceOnly="true", **market)
    batch = {**limit, "timeInForce": "GTC", "quantity": "0.002"}
    c.futures_place_batch_order(
        batchOrders=[
            {**batch, "price": "97000", "newClientOrderId": "one"},
            {**batch, "price": "96500", "newClientOrderId": "two"},
        ]
    )
    c.futures_cancel_orders(symbol=BTC, origclientorderidlist=["two"])
    c.futures_change_position_margin(symbol=BTC, amount="20", type=1)
    c.futures_change_position_margin(symbol=BTC, amount="5", type=2)
    c.futures_create_order(
        symbol=BTC,
        side="SELL",
        type="TRAILING_STOP_MARKET",
        quantity="0.005",
        reduceOnly="true",
        callbackRate="1",
        activatePrice="105000",
        clientAlgoId="trail",
    )
    c.futures_cancel_algo_order(clientAlgoId="trail")
    closing = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "closePosition": "true"}
    c.futures_create_order(**closing, triggerPrice="90000", clientAlgoId="close")
    try_(c.futures_create_order, **closing, triggerPrice="89000")
    c.futures_cancel_algo_order(clientAlgoId="close")
    try_(
        c.futures_create_order, symbol=ETH, side="SELL", quantity="0.5", reduceOnly="true", **market
    )
    account = c.futures_account()
    [balance] = c.futures_account_balance()
    assert balance["balance"] == account["totalWalletBalance"]
    reading = Reading(
        wallet=float(account["totalWalletBalance"]),
        available=float(account["availableBalance"]),
        positions=[
            position(p["symbol"], p["positionAmt"], p["entryPrice"], p["isolatedWallet"])
            for p in c.futures_position_information()
            if float(p["positionAmt"])
        ],
        orders=[
            order(o["clientOrderId"], o["side"], o["price"], o["origQty"])
            for o in c.futures_get_open_orders(symbol=BTC)
        ],
        algos=[
            algo(o["clientAlgoId"], o["orderType"], o["triggerPrice"], o["quantity"])
            for o in c.futures_get_open_orders(symbol=BTC, conditional=True)
        ],
        fills=[
            fill(t["symbol"], t["side"], t["price"], t["qty"], t["commission"])
            for symbol in (BTC, ETH)
            for t in c.futures_account_trades(symbol=symbol)
        ],
        income=[paid(i["incomeType"], i["income"]) for i in c.futures_income_history()],
        refused=refused,
    )
    c.close_connection()
    return reading


if __name__ == "__main__":
    tell(run(*sys.argv[1:4]))
