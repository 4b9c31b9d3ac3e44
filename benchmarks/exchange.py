"""The simulated exchange: requests per second in process and over HTTP, through python-binance.

Twice in process: an empty account on a standing clock, whose limits nobody reaches and whose state
nobody keeps, which is what the interface itself costs; and the same client on an account in use.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from benchmarks.figure import Figure, Size
from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.limits import RateLimits
from local.exchange.server import ExchangeServer
from local.exchange.session import InProcessSession
from local.exchange.state import StateFile
from local.listening import Listening
from shared.execution.binance import BinanceExchange, Credentials, simulated
from shared.execution.exchange import AlgoOrderRequest, OrderRequest
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

START_MS = 1_746_403_260_000
KEY, SECRET = "benchmark-key", "benchmark-secret"

REQUESTS: dict[Size, int] = {"full": 2000, "quick": 300, "tiny": 20}

_FREE = 1_000_000_000
#: Exchange time between requests: 400 queries of weight 5 in a minute, of the 2,400 it allows.
STEP_MS = 150
#: Orders that rest on each symbol of the account in use.
RESTING = 3


class _Unlimited:
    """A rate budget that never waits: the exchange is measured here, not our restraint."""

    def reserve(self, **_: object) -> None: ...
    def learn(self, *_: object, **__: object) -> None: ...
    def limits(self, **_: object) -> None: ...
    def passed(self) -> None: ...
    def block(self, *_: object, **__: object) -> None: ...


def make_api() -> BinanceApi:
    """An exchange on a standing clock, without rate limits."""
    venue = Venue(SyntheticMarket(7), start_ms=START_MS)
    limits = RateLimits(weight=_FREE, orders_10s=_FREE, orders_1m=_FREE)
    return BinanceApi(venue, VirtualClock(START_MS), {KEY: SECRET}, limits=limits)


@contextmanager
def client(api: BinanceApi, url: str | None = None) -> Iterator[BinanceExchange]:
    """The application's own adapter, in process or over sockets."""
    exchange = BinanceExchange(
        simulated(url or "http://exchange.invalid"),
        Credentials(environment="simulated", key=KEY, secret=SECRET),
        clock=api.clock,
        session=None if url else InProcessSession(api),
        budget=lambda now_ms: _Unlimited(),
    )
    try:
        yield exchange
    finally:
        exchange.close()


@contextmanager
def served(start: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    """A server on a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(start(), loop).result(30)  # type: ignore[arg-type]
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(30)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def rate(call: Callable[[int], object], count: int) -> float:
    """Calls per second of wall time, after some that do not count."""
    for i in range(-max(3, count // 20), 0):
        call(i)
    began = time.perf_counter()
    for i in range(count):
        call(i)
    return count / (time.perf_counter() - began)


def _order(exchange: BinanceExchange, number: int) -> None:
    side = "BUY" if number % 2 else "SELL"
    request = OrderRequest(
        symbol="BTCUSDT",
        side="BUY" if side == "BUY" else "SELL",
        type="MARKET",
        quantity=Decimal("0.002"),
        client_order_id=f"b-{number}",
    )
    exchange.place_order(request)


@contextmanager
def in_use(folder: Path) -> Iterator[tuple[BinanceApi, BinanceExchange]]:
    """An exchange as an application meets it, and its client.

    Its own rate limits hold, every change is saved before the answer, and the account has a
    position with stop and target and some resting orders on each of four symbols.
    """
    venue = Venue(SyntheticMarket(7), start_ms=START_MS)
    state = StateFile(folder / "exchange.db", {})
    clock = VirtualClock(START_MS)
    api = BinanceApi(venue, clock, {KEY: SECRET}, save=lambda: state.save(venue))
    with client(api) as exchange:
        instruments, marks = exchange.instruments(), exchange.mark_prices()
        for symbol, instrument in instruments.items():
            mark = marks[symbol].mark_price
            quantity = instrument.round_quantity(150 / mark)
            request = OrderRequest(
                symbol=symbol,
                side="BUY",
                type="MARKET",
                quantity=quantity,
                client_order_id=f"open-{symbol}",
            )
            exchange.place_order(request)
            for number in range(RESTING):
                exchange.place_order(
                    OrderRequest(
                        symbol=symbol,
                        side="BUY",
                        type="LIMIT",
                        quantity=quantity,
                        price=instrument.round_price(mark * (Decimal(96 - number) / 100)),
                        time_in_force="GTC",
                        client_order_id=f"rest-{symbol}-{number}",
                    )
                )
            for kind, far in (("STOP_MARKET", "0.9"), ("TAKE_PROFIT_MARKET", "1.2")):
                exchange.place_algo_order(
                    AlgoOrderRequest(
                        symbol=symbol,
                        side="SELL",
                        type=kind,  # type: ignore[arg-type]
                        quantity=quantity,
                        client_algo_id=f"{kind[:4]}-{symbol}",
                        trigger_price=instrument.round_price(mark * Decimal(far)),
                    )
                )
        yield api, exchange
    state.close()


def _after_a_while(api: BinanceApi, call: Callable[[int], object]) -> Callable[[int], object]:
    """The call, with some exchange time between it and the one before."""

    def later(number: int) -> object:
        api.clock.sleep(STEP_MS / 1000)
        return call(number)

    return later


def _floor(count: int) -> float:
    """What this machine's HTTP libraries reach at all: requests to aiohttp, a constant body."""
    import requests
    from aiohttp import web

    listening: Listening | None = None

    async def constant(_: web.Request) -> web.Response:
        return web.Response(body=b'{"price":"1"}', content_type="application/json")

    async def start() -> None:
        nonlocal listening
        app = web.Application()
        app.router.add_get("/", constant)
        listening = Listening(app, "127.0.0.1", 0)
        await listening.start()

    async def stop() -> None:
        assert listening is not None
        await listening.stop()

    with served(start, stop), requests.Session() as session:
        session.trust_env = False
        assert listening is not None
        url = f"http://127.0.0.1:{listening.port}/"
        return rate(lambda _: session.get(url).content, count)


def measure(size: Size) -> list[Figure]:
    """Account queries (signed) and market orders, in process and over loopback HTTP."""
    count = REQUESTS[size]
    api = make_api()
    with client(api) as exchange:
        queries = rate(lambda _: exchange.account(), count)
        orders = rate(lambda i: _order(exchange, i), count // 2)
    with tempfile.TemporaryDirectory() as folder, in_use(Path(folder)) as (used, exchange):
        asks = (exchange.account, exchange.positions)
        used_queries = rate(_after_a_while(used, lambda i: asks[i % 2]()), count // 2)
        used_orders = rate(_after_a_while(used, lambda i: _order(exchange, i)), count // 2)
    server = ExchangeServer(make_api())
    with served(server.start, server.stop), client(server.api, server.url) as exchange:
        over_http = rate(lambda _: exchange.account(), count // 2)
        orders_http = rate(lambda i: _order(exchange, i), count // 4)
    floor = _floor(count // 2)
    plain = "requests to a constant aiohttp answer"
    return [
        Figure(
            name="exchange in process, signed queries",
            value=queries,
            unit="/s",
            more_is_better=True,
            note="real python-binance in front, answers parsed; empty account, standing clock, "
            "limits not reached, nothing saved",
        ),
        Figure(
            name="exchange in process, market orders",
            value=orders,
            unit="/s",
            more_is_better=True,
        ),
        Figure(
            name="exchange in process, account in use, signed queries",
            value=used_queries,
            unit="/s",
            more_is_better=True,
            note=f"account and positions in turn; four positions, eight conditional and "
            f"{4 * RESTING} resting orders; {STEP_MS} ms pass before each, its limits on",
        ),
        Figure(
            name="exchange in process, account in use, market orders",
            value=used_orders,
            unit="/s",
            more_is_better=True,
            note="the same; every one saved to SQLite before its answer",
        ),
        Figure(
            name="exchange over HTTP, signed queries",
            value=over_http,
            unit="/s",
            more_is_better=True,
            peer=plain,
            peer_value=floor,
        ),
        Figure(
            name="exchange over HTTP, market orders",
            value=orders_http,
            unit="/s",
            more_is_better=True,
            peer=plain,
            peer_value=floor,
        ),
    ]
