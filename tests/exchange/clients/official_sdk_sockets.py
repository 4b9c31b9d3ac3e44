"""Order entry over the websocket interface through Binance's own connector."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from binance_common.configuration import ConfigurationWebSocketAPI
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from binance_sdk_derivatives_trading_usds_futures.websocket_api import models
from official_sdk_models import Complaints

BTC = "BTCUSDT"


async def run(url: str, key: str, secret: str) -> dict[str, Any]:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    c = DerivativesTradingUsdsFutures(
        config_ws_api=ConfigurationWebSocketAPI(
            api_key=key,
            api_secret=secret,
            stream_url=url.replace("http", "ws") + "/ws-fapi/v1",
            reconnect_delay=1000,
        )
    ).websocket_api
    await c.create_connection()
    buy = models.NewOrderSideEnum.BUY
    placed = await c.new_order(
        BTC,
        buy,
        models.NewOrderTypeEnum.LIMIT,
        time_in_force=models.NewOrderTimeInForceEnum.GTC,
        quantity=0.01,
        price=99000,
        new_client_order_id="socket",
    )
    changed = await c.modify_order(
        BTC, models.ModifyOrderSideEnum.BUY, 0.012, 98000, orig_client_order_id="socket"
    )
    found = await c.query_order(BTC, orig_client_order_id="socket")
    ended = await c.cancel_order(BTC, orig_client_order_id="socket")
    balance = await c.futures_account_balance_v2()
    account = await c.account_information_v2()
    book = await c.symbol_order_book_ticker(symbol=BTC)
    stream = await c.start_user_data_stream()
    told = {
        "placed": placed.data().result.status,
        "limits": [row.rateLimitType for row in placed.rate_limits],
        "changed": changed.data().result.price,
        "found": found.data().result.orig_qty,
        "ended": ended.data().result.status,
        "balance": balance.data().result[0].balance,
        "wallet": account.data().result.total_wallet_balance,
        "bid": getattr(book.data(), "actual_instance", book.data()).result.bid_price,
        "key": len(stream.data().result.listen_key),
        "complaints": complaints.told,
    }
    await c.close_connection(close_session=True)
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(*sys.argv[1:4]))))
