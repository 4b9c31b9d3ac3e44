"""The scenario through python-binance's asyncio client, listening to its streams meanwhile."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException
from scenario import BTC, ETH, Reading, algo, fill, order, paid, position, tell

MARKET = ("btcusdt@kline_1m", "btcusdt@aggTrade", "!markPrice@arr@1s", "btcusdt@ticker")
PUBLIC = ("btcusdt@bookTicker", "btcusdt@depth5@100ms")


async def trade(c: AsyncClient) -> list[int]:
    """The steps; the codes of the refusals."""
    await c.futures_change_leverage(symbol=BTC, leverage=10)
    await c.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    limit = {"symbol": BTC, "side": "BUY", "type": "LIMIT"}
    await c.futures_create_order(
        **limit, timeInForce="GTC", quantity="0.010", price="99000", newClientOrderId="limit"
    )
    await c.futures_create_order(
        **limit, timeInForce="GTX", quantity="0.010", price="98500", newClientOrderId="maker"
    )
    refused = []

    async def try_(call: Any, **parameters: Any) -> None:
        try:
            await call(**parameters)
        except BinanceAPIException as error:
            refused.append(error.code)

    await try_(c.futures_create_order, **limit, timeInForce="GTX", quantity="0.010", price="101000")
    market = {"type": "MARKET", "newOrderRespType": "RESULT"}
    await c.futures_create_order(symbol=BTC, side="BUY", quantity="0.020", **market)
    protect = {"symbol": BTC, "side": "SELL", "quantity": "0.020", "reduceOnly": "true"}
    for kind, price, name in (
        ("STOP_MARKET", "95000", "stop"),
        ("TAKE_PROFIT_MARKET", "105000", "profit"),
    ):
        await c.futures_create_algo_order(
            **protect, type=kind, triggerPrice=price, clientAlgoId=name
        )
    await c.futures_modify_order(
        symbol=BTC, side="BUY", origClientOrderId="limit", quantity="0.012", price="98000"
    )
    await c.futures_cancel_order(symbol=BTC, origClientOrderId="maker")
    await c.futures_cancel_algo_order(clientAlgoId="profit")
    reduce = {"reduceOnly": "true", **market}
    await c.futures_create_order(symbol=BTC, side="SELL", quantity="0.005", **reduce)
    await c.futures_create_order(symbol=ETH, side="SELL", quantity="0.500", **market)
    await c.futures_create_order(symbol=ETH, side="BUY", quantity="0.500", **reduce)
    batch = {**limit, "timeInForce": "GTC", "quantity": "0.002"}
    await c.futures_place_batch_order(
        batchOrders=[
            {**batch, "price": "97000", "newClientOrderId": "one"},
            {**batch, "price": "96500", "newClientOrderId": "two"},
        ]
    )
    await c.futures_cancel_orders(symbol=BTC, origclientorderidlist=["two"])
    await c.futures_change_position_margin(symbol=BTC, amount="20", type=1)
    await c.futures_change_position_margin(symbol=BTC, amount="5", type=2)
    trailing = {"side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": "0.005"}
    await c.futures_create_algo_order(
        symbol=BTC,
        **trailing,
        reduceOnly="true",
        callbackRate="1",
        activatePrice="105000",
        clientAlgoId="trail",
    )
    await c.futures_cancel_algo_order(clientAlgoId="trail")
    closing = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "closePosition": "true"}
    await c.futures_create_algo_order(**closing, triggerPrice="90000", clientAlgoId="close")
    await try_(c.futures_create_algo_order, **closing, triggerPrice="89000")
    await c.futures_cancel_algo_order(clientAlgoId="close")
    await try_(c.futures_create_order, symbol=ETH, side="SELL", quantity="0.5", **reduce)
    return refused


async def listen(socket: Any, seen: list[dict[str, Any]], ready: asyncio.Event) -> None:
    async with socket as stream:
        ready.set()
        while True:
            seen.append(await stream.recv())


def told(message: dict[str, Any]) -> list[Any]:
    """Kind of a user event, execution, status."""
    inner = message.get("o", {})
    return [message["e"], inner.get("x"), inner.get("X")]


async def run(url: str, key: str, secret: str) -> Reading:
    class Local(AsyncClient):
        API_URL = f"{url}/api"
        FUTURES_URL = f"{url}/fapi"

    class Sockets(BinanceSocketManager):
        FSTREAM_URL = url.replace("http", "ws") + "/"

    c = await Local.create(key, secret)
    sockets = Sockets(c)
    user: list[dict[str, Any]] = []
    market: list[dict[str, Any]] = []
    listening = []
    for socket, seen in (
        (sockets.futures_user_socket(), user),
        (sockets.futures_multiplex_socket(list(MARKET), category="market"), market),
        (sockets.futures_multiplex_socket(list(PUBLIC), category="public"), market),
        (sockets.kline_futures_socket(BTC), market),
    ):
        ready = asyncio.Event()
        listening.append(asyncio.create_task(listen(socket, seen, ready)))
        await ready.wait()
    # An account that is not touched yet stays silent; the listener is on the key's stream now.
    refused = await trade(c)
    wanted = {*MARKET, *PUBLIC, "continuous_kline"}
    async with asyncio.timeout(90):
        while not (
            wanted <= streams(market)
            and [m for m in user if told(m) == ["ORDER_TRADE_UPDATE", "TRADE", "FILLED"]][3:]
            and len([m for m in user if told(m) == ["ALGO_UPDATE", None, "CANCELED"]]) == 3
        ):
            await asyncio.sleep(0.05)
    account = await c.futures_account(version=3)
    reading = Reading(
        wallet=float(account["totalWalletBalance"]),
        available=float(account["availableBalance"]),
        positions=[
            position(p["symbol"], p["positionAmt"], p["entryPrice"], p["isolatedWallet"])
            for p in await c.futures_position_information()
            if float(p["positionAmt"])
        ],
        orders=[
            order(o["clientOrderId"], o["side"], o["price"], o["origQty"])
            for o in await c.futures_get_open_orders(symbol=BTC)
        ],
        algos=[
            algo(o["clientAlgoId"], o["orderType"], o["triggerPrice"], o["quantity"])
            for o in await c.futures_get_open_algo_orders(symbol=BTC)
        ],
        fills=[
            fill(t["symbol"], t["side"], t["price"], t["qty"], t["commission"])
            for symbol in (BTC, ETH)
            for t in await c.futures_account_trades(symbol=symbol)
        ],
        income=[paid(i["incomeType"], i["income"]) for i in await c.futures_income_history()],
        refused=refused,
        events=[told(m) for m in user],
        streams=sorted(streams(market)),
    )
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    await c.close_connection()
    return reading


def streams(messages: list[dict[str, Any]]) -> set[str]:
    return {m.get("stream") or m["e"] for m in messages}


if __name__ == "__main__":
    tell(asyncio.run(run(*sys.argv[1:4])))
