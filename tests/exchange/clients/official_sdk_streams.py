"""Market and user streams through the typed models of Binance's own connector."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable
from typing import Any

import official_sdk
from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from official_sdk_models import Complaints, lacking
from pydantic import BaseModel

SYMBOL = "btcusdt"


def subscriptions(streams: Any, key: str) -> list[Awaitable[Any]]:
    """Every stream of the connector that the exchange offers and that speaks in a calm market."""
    return [
        streams.user_data(key),
        streams.aggregate_trade_streams(SYMBOL),
        streams.kline_candlestick_streams(SYMBOL, "1m"),
        streams.continuous_contract_kline_candlestick_streams(SYMBOL, "perpetual", "1m"),
        streams.mark_price_stream(SYMBOL, update_speed="1s"),
        streams.mark_price_stream_for_all_market(),
        streams.individual_symbol_ticker_streams(SYMBOL),
        streams.individual_symbol_mini_ticker_stream(SYMBOL),
        streams.all_market_tickers_streams(),
        streams.all_market_mini_tickers_stream(),
        streams.individual_symbol_book_ticker_streams(SYMBOL),
        streams.all_book_tickers_stream(),
        streams.partial_book_depth_streams(SYMBOL, "5"),
    ]


async def run(url: str, key: str, secret: str) -> dict[str, Any]:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    c = DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(
            api_key=key, api_secret=secret, base_path=url, timeout=10_000, compression=False
        ),
        config_ws_streams=ConfigurationWebSocketStreams(
            stream_url=url.replace("http", "ws"), reconnect_delay=1000
        ),
    )
    listen_key = c.rest_api.start_user_data_stream().data().listen_key
    streams = c.websocket_streams
    await streams.create_connection()
    seen: list[Any] = []
    wanted = subscriptions(streams, listen_key)
    for one in wanted:
        (await one).on("message", seen.append)
    await asyncio.to_thread(official_sdk.run, url, key, secret)
    try:
        async with asyncio.timeout(10):
            while len(kinds(seen)) < len(wanted) + 4 or "AccountUpdate" not in kinds(seen):
                await asyncio.sleep(0.1)
    except TimeoutError:
        complaints.told.append(f"only {sorted(kinds(seen))} arrived")
    await streams.close_connection(close_session=True)
    missing: set[str] = set()
    for message in seen:
        missing.update(lacking(actual(message)))
    return {
        "kinds": sorted(kinds(seen)),
        "complaints": complaints.told,
        "missing": sorted(missing),
        "raw": [str(m)[:300] for m in seen if not isinstance(actual(m), BaseModel)][:5],
    }


def actual(message: Any) -> Any:
    """The model inside of the wrapper of several."""
    if isinstance(message, list):
        return actual(message[0]) if message else message
    while getattr(message, "actual_instance", None) is not None:
        message = message.actual_instance
    return message


def kinds(messages: list[Any]) -> set[str]:
    return {type(actual(message)).__name__ for message in messages}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(run(*sys.argv[1:4]))))
