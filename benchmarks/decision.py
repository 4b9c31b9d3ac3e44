"""From a stored signal to the exchange's acknowledgement, through the real orchestrator."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from benchmarks.figure import Figure, Size, percentile
from local.clock import VirtualClock, loop_for
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessResponse, InProcessSession
from local.host.worker import Invocation
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, Platform, app_settings
from shared.bootstrap import Services
from shared.execution.exchange import OrderRequest
from shared.execution.guardian import guard
from shared.market.candle import Candle
from shared.market.events import encode
from shared.market.timeframe import MINUTE_MS
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue
from shared.storage.sqlite import SqliteStore
from shared.strategies.engine import Engine
from shared.strategies.signal import Signal

START_MS = 1_767_571_200_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
TRADES: dict[Size, int] = {"full": 240, "quick": 40, "tiny": 4}

#: Two hours between rounds: four trades each, below the limit of trades per day.
PAUSE_S = 7200

#: Almost every bar has a side, so that every candle published makes a trade.
PLAN = {
    "timeframes": {
        "1m": {
            "threshold": 0.0001,
            "quorum": 0,
            "crossing": False,
            "members": [{"strategy": "trend"}, {"strategy": "momentum"}],
        }
    }
}

#: Timers are off: only the way of one signal is measured.
TIMERS = ("poll_candles", "guardian", "reconcile", "daily_report", "purge", "resend_alerts")


class _Watch:
    """Real times of each signal and of its acknowledgement."""

    def __init__(self) -> None:
        self.saved_at: dict[str, tuple[float, float]] = {}
        self.latencies: list[float] = []
        self.worked: list[float] = []
        self.hops: list[int] = []
        self._latest = ""
        self._activities = 0

    def saved(self, signal: Signal) -> None:
        self._latest = signal.id
        self._activities = 0
        self.saved_at[signal.id] = (time.perf_counter(), time.process_time())

    def acknowledged(self) -> None:
        began = self.saved_at.pop(self._latest, None)
        if began is not None:
            self.latencies.append((time.perf_counter() - began[0]) * 1000)
            self.worked.append((time.process_time() - began[1]) * 1000)
            # Those that ended, and the one that is placing the order.
            self.hops.append(self._activities + 1)

    def on_invocation(self, invocation: Invocation) -> None:
        self._activities += invocation.function in ("assess", "settle_approval", "open_position")


class _TimedSession(InProcessSession):
    """Notes when the exchange has answered an entry."""

    def __init__(self, api: BinanceApi, watch: _Watch) -> None:
        super().__init__(api)
        self._watch = watch

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> InProcessResponse:
        answer = super().request(method, url, *args, **kwargs)
        if method == "POST" and url.endswith("/fapi/v1/order") and answer.ok:
            self._watch.acknowledged()
        return answer


class _TimedEngine(Engine):
    """Notes when a signal has been stored."""

    watch: _Watch

    def save(self, signal: Signal) -> Signal:
        stored = super().save(signal)
        self.watch.saved(stored)
        return stored


def run(trades: int) -> _Watch:
    """Trade that often, one position after the other on each symbol."""
    clock = VirtualClock(START_MS)
    watch = _Watch()
    venue = Venue(SyntheticMarket(11, SYMBOLS), start_ms=START_MS)
    api = BinanceApi(venue, clock, {SIMULATED_KEY: SIMULATED_SECRET})
    settings = app_settings(
        "http://exchange.invalid",
        **{
            **configuration(DEMONSTRATION).rest,
            "SYMBOLS": ",".join(SYMBOLS),
            "TIMEFRAMES": "1m",
            "TRADING_PLAN": json.dumps(PLAN),
            "BORSA_TELEMETRY": "false",
        },
        **{f"AzureWebJobs.{name}.Disabled": "true" for name in TIMERS},
    )
    store = SqliteStore(":memory:", clock=clock)
    services = Services(
        settings, clock=clock, store=store, exchange_session=_TimedSession(api, watch)
    )
    engine = _TimedEngine(services.plan, services.exchange, store, clock)
    engine.watch = watch
    services.engine = engine  # instead of the one it would build on first use
    platform = Platform(clock, services, settings, seed=1)

    async def trade() -> None:
        await platform.start()
        platform.host.on_invocation.append(watch.on_invocation)
        rounds = 0
        while len(watch.latencies) < trades:
            if rounds > trades:
                raise RuntimeError(f"only {len(watch.latencies)} of {trades} signals were traded")
            rounds += 1
            await asyncio.sleep(PAUSE_S)
            for symbol in SYMBOLS:
                await _one(platform, services, symbol)
        await platform.stop()

    loop = loop_for(clock)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(trade())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        store.close()
    return watch


async def _one(platform: Platform, services: Services, symbol: str) -> None:
    """Publish the candle that has just closed, let its trade run, and close the position."""
    candle = _closed(services, symbol)
    platform.event_log.append("market", encode(candle), partition_key=symbol)
    # Half a minute of simulated time: events, workflow and everything after it.
    await asyncio.sleep(30)
    exchange = services.exchange
    for position in exchange.positions():
        exchange.place_order(
            OrderRequest(
                symbol=position.symbol,
                side="SELL" if position.quantity > 0 else "BUY",
                type="MARKET",
                quantity=abs(position.quantity),
                client_order_id=f"close-{symbol}-{services.clock.now_ms()}",
                reduce_only=True,
            )
        )
    await asyncio.sleep(30)
    guard(services.desk())


def _closed(services: Services, symbol: str) -> Candle:
    now = services.clock.now_ms()
    # Just after a minute, as the poll timer would be.
    services.clock.sleep((MINUTE_MS - now % MINUTE_MS + 2000) / 1000)
    return services.exchange.candles(symbol, "1m", limit=1)[-1]


def measure(size: Size) -> list[Figure]:
    """Median and 95th percentile in milliseconds of real time."""
    watch = run(TRADES[size])
    hops = max(watch.hops)
    note = f"{len(watch.latencies)} trades, {hops} activity hops"
    recorded = "real host, recorded: start 20 ms and 50-60 ms per hop"
    real = 20.1 + 55 * hops
    name = "signal to exchange acknowledgement"
    return [
        Figure(
            name=f"{name}, p50",
            value=percentile(watch.latencies, 0.5),
            unit="ms",
            peer=recorded,
            peer_value=real,
            note=note,
        ),
        Figure(
            name=f"{name}, p95",
            value=percentile(watch.latencies, 0.95),
            unit="ms",
            goal=25,
            peer=recorded,
            peer_value=real,
            note=note,
        ),
        Figure(
            name=f"{name}, p95 of processor time",
            value=percentile(watch.worked, 0.95),
            unit="ms",
            note="the wall time of a machine that does nothing else",
        ),
        Figure(name="activity hops before the order", value=hops, unit="", goal=2),
    ]
