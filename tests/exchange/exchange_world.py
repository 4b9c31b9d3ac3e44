"""Small worlds for the exchange's tests: hand-made candles, a virtual clock, the real client."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import requests
from binance.client import Client
from binance.exceptions import BinanceAPIException

from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.server import ExchangeServer
from local.exchange.session import InProcessSession
from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS, duration_ms
from shared.simulation.candles import CandleSource
from shared.simulation.contracts import Contract
from shared.simulation.venue import Venue

#: 2025-05-05 00:00 UTC, a funding time; the tests begin a minute later.
MIDNIGHT = 1_746_403_200_000
START = MIDNIGHT + MINUTE_MS
KEY, SECRET = "test-key", "test-secret"
D = Decimal
OHLC = tuple[float, float, float, float]


def columns(
    symbol: str,
    rows: Sequence[OHLC],
    *,
    start: int = MIDNIGHT,
    timeframe: str = "1m",
    volume: float = 1e6,
) -> Columns:
    """Candles from (open, high, low, close) rows."""
    step = duration_ms(timeframe)
    table = np.array(rows, dtype=float)
    times = np.arange(len(rows), dtype=np.int64) * step + start
    o, h, low, c = table.T
    return Columns(symbol, timeframe, times, o, h, low, c, np.full(len(rows), volume))


def flat(price: float, count: int) -> list[OHLC]:
    return [(price, price, price, price)] * count


class World:
    """One exchange on hand-made candles."""

    def __init__(
        self,
        rows: dict[str, Sequence[OHLC]],
        *,
        mark: dict[str, Sequence[OHLC]] | None = None,
        funding: dict[str, Sequence[tuple[int, float]]] | None = None,
        deposit: str = "5000",
        volume: float = 1e6,
        timeframe: str = "1m",
        contracts: Mapping[str, Contract] | None = None,
        **api: Any,
    ) -> None:
        source = CandleSource(
            {s: columns(s, r, volume=volume, timeframe=timeframe) for s, r in rows.items()},
            mark={s: columns(s, r, timeframe=timeframe) for s, r in (mark or {}).items()},
            funding=funding,
        )
        self.clock = VirtualClock(START)
        self.venue = Venue(source, start_ms=START, contracts=contracts, deposit=D(deposit))
        self.api = BinanceApi(self.venue, self.clock, {KEY: SECRET}, **api)
        self.client = in_process_client(self.api)

    @property
    def account(self) -> Any:
        return self.venue.account()

    def at_minute(self, minute: float) -> None:
        """Let simulated time reach that many minutes after midnight."""
        self.clock.advance_to(MIDNIGHT + int(minute * MINUTE_MS))
        self.api.advance()

    def book(self, symbol: str = "BTCUSDT") -> tuple[Decimal, Decimal]:
        book = self.venue.core.book(symbol)
        return book.bid, book.ask

    def position(self, symbol: str = "BTCUSDT") -> Decimal:
        return self.account.position(symbol).quantity


class QuietClient(Client):
    """python-binance without the event loop it makes for itself and never closes."""

    def __init__(self, key: str, secret: str) -> None:
        super().__init__(key, secret, ping=False)
        if not self.loop.is_running():
            self.loop.close()
            asyncio.set_event_loop(None)


class TestClient(QuietClient):
    """python-binance on a simulated clock."""

    __test__ = False
    clock: VirtualClock
    skew_ms = 0

    @property
    def timestamp_offset(self) -> float:
        return self.clock.now_ms() + self.skew_ms - time.time() * 1000

    @timestamp_offset.setter
    def timestamp_offset(self, value: float) -> None:
        """The base class sets zero; the property above decides."""


def new_client(clock: VirtualClock, key: str = KEY, secret: str = SECRET) -> TestClient:
    client = TestClient(key, secret)
    client.clock = clock
    client.REQUEST_RECVWINDOW = 5000
    return client


def in_process_client(api: BinanceApi, key: str = KEY, secret: str = SECRET) -> TestClient:
    client = new_client(api.clock, key, secret)
    real = client.session
    client.session = InProcessSession(api, real.headers)
    real.close()
    return client


@contextmanager
def serving(api: BinanceApi) -> Iterator[ExchangeServer]:
    """The exchange on a loopback address, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ExchangeServer(api)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def http_client(api: BinanceApi) -> Iterator[TestClient]:
    """python-binance over real sockets."""
    with serving(api) as server:
        client = new_client(api.clock)
        client.FUTURES_URL = f"{server.url}/fapi"
        session: requests.Session = client.session
        session.trust_env = False
        try:
            yield client
        finally:
            session.close()


def refused(call: Any, *args: Any, **kwargs: Any) -> BinanceAPIException:
    """The refusal that a call must end in."""
    try:
        answer = call(*args, **kwargs)
    except BinanceAPIException as refusal:
        return refusal
    raise AssertionError(f"accepted: {answer}")


def code(call: Any, *args: Any, **kwargs: Any) -> int:
    """Error code of a call, 0 when it is accepted."""
    try:
        call(*args, **kwargs)
    except BinanceAPIException as refusal:
        return int(refusal.code)
    return 0
