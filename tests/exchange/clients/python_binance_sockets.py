"""Order entry over the websocket interface through python-binance's asyncio client."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from binance import AsyncClient
from binance.exceptions import BinanceAPIException

BTC = "BTCUSDT"


async def run(url: str, key: str, secret: str) -> dict[str, Any]:
    class Local(AsyncClient):
        API_URL = f"{url}/api"
        FUTURES_URL = f"{url}/fapi"
        WS_FUTURES_URL = url.replace("http", "ws") + "/ws-fapi/v1"

    c = Local(key, secret)
    limit = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    placed = await c.ws_futures_create_order(
        **limit, quantity="0.010", price="99000", newClientOrderId="socket"
    )
    changed = await c.ws_futures_edit_order(
        symbol=BTC, side="BUY", origClientOrderId="socket", quantity="0.012", price="98000"
    )
    found = await c.ws_futures_get_order(symbol=BTC, origClientOrderId="socket")
    refused = 0
    try:
        await c.ws_futures_create_order(**limit, quantity="0.0001", price="99000")
    except BinanceAPIException as error:
        refused = json.loads(error.message)["code"] if error.code == 0 else error.code
    bought = await c.ws_futures_create_order(
        symbol=BTC, side="BUY", type="MARKET", quantity="0.020", newOrderRespType="RESULT"
    )
    stop = await c.ws_futures_create_order(
        symbol=BTC,
        side="SELL",
        type="STOP_MARKET",
        stopPrice="95000",
        quantity="0.020",
        reduceOnly="true",
        clientAlgoId="stop",
    )
    gone = await c.ws_futures_cancel_order(clientAlgoId="stop")
    ended = await c.ws_futures_cancel_order(symbol=BTC, origClientOrderId="socket")
    account = await c.ws_futures_v2_account_status()
    positions = await c.ws_futures_v2_account_position(symbol=BTC)
    book = await c.ws_futures_get_order_book_ticker(symbol=BTC)
    told = {
        "placed": placed["status"],
        "changed": changed["price"],
        "found": found["origQty"],
        "refused": refused,
        "bought": bought["status"],
        "stop": stop["algoStatus"],
        "gone": gone["msg"],
        "ended": ended["status"],
        "wallet": account["totalWalletBalance"],
        "held": [p["positionAmt"] for p in positions],
        "bid": book["bidPrice"],
    }
    await c.close_connection()
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(*sys.argv[1:4]))))
