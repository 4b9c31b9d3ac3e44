"""Twenty trade workflows at once: from signal and decision to the acknowledgement of the order.

The hard limit is ten open positions, so ten of the twenty end in an order; the other ten are
decided and declined meanwhile. All of them run on one core, one after the other: from its signal
on an order waits for the work of those before it, from its decision on only for its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

from benchmarks.emergency import contracts
from benchmarks.figure import Figure, Size, percentile
from local.clock import VirtualClock, loop_for
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessResponse, InProcessSession
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, Platform, app_settings
from shared.bootstrap import Services
from shared.execution.exchange import OrderRequest
from shared.execution.guardian import guard
from shared.risk.limits import Limits
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Body, Document
from shared.strategies.signal import Signal, signal_id

#: Two seconds after a minute: the bar of the signals has just closed.
START_MS = 1_767_571_202_000
WORKFLOWS = 20
ROUNDS: dict[Size, int] = {"full": 20, "quick": 4, "tiny": 1}
TIMERS = ("poll_candles", "guardian", "reconcile", "daily_report", "purge", "resend_alerts")


class _Session(InProcessSession):
    """Notes when the exchange has answered the entry of each symbol."""

    def __init__(self, api: BinanceApi) -> None:
        super().__init__(api)
        self.answered: dict[str, tuple[float, float]] = {}

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> InProcessResponse:
        answer = super().request(method, url, *args, **kwargs)
        if method == "POST" and url.endswith("/fapi/v1/order") and answer.ok:
            self.answered.setdefault(json.loads(answer.content)["symbol"], _now())
        return answer


class _Store(SqliteStore):
    """Notes when the decision on each symbol is stored."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(":memory:", clock=clock)
        self.decided: dict[str, tuple[float, float]] = {}

    def create(self, container: str, body: Body) -> Document:
        stored = super().create(container, body)
        if body.get("kind") == "decision" and container == "signals":
            self.decided[str(body["symbol"])] = _now()
        return stored


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    return (end[0] - start[0]) * 1000, (end[1] - start[1]) * 1000


def _signal(services: Services, symbol: str, close: float) -> Signal:
    closed = services.clock.now_ms() // 60_000 * 60_000
    return services.engine.save(
        Signal(
            id=signal_id(symbol, "1m", closed, 1),
            symbol=symbol,
            timeframe="1m",
            bar_open_time=closed - 60_000,
            bar_close_time=closed,
            side="BUY",
            strength=0.9,
            threshold=0.3,
            close=close,
            atr=close * 0.01,
            volatility=0.002,
            votes=[],
            window_digest="0" * 64,
        )
    )


async def _start(platform: Platform, signal: Signal) -> None:
    from local.contracts import Request

    headers = [("Host", "127.0.0.1"), ("x-functions-key", platform.host.keys.master)]
    body = json.dumps({"symbol": signal.symbol, "signal": signal.id}).encode()
    path = f"/runtime/webhooks/durabletask/orchestrators/trade_workflow/{signal.id}"
    await platform.host.handle(Request("POST", path, headers, body))


def run(rounds: int) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Milliseconds to the acknowledgement, real and processor time.

    Of each signal that was traded: from the signal, and from the decision on it.
    """
    clock = VirtualClock(START_MS)
    listed = contracts(WORKFLOWS)
    symbols = tuple(listed)
    ticks = {s: c.instrument.tick_size for s, c in listed.items()}
    venue = Venue(SyntheticMarket(5, symbols, ticks=ticks), start_ms=START_MS, contracts=listed)
    session = _Session(BinanceApi(venue, clock, {SIMULATED_KEY: SIMULATED_SECRET}))
    settings = app_settings(
        "http://exchange.invalid",
        SYMBOLS=",".join(symbols),
        TIMEFRAMES="1m",
        BORSA_TELEMETRY="false",
        **configuration(DEMONSTRATION).rest,
        **{f"AzureWebJobs.{name}.Disabled": "true" for name in TIMERS},
    )
    store = _Store(clock)
    services = Services(settings, clock=clock, store=store, exchange_session=session)
    services.limits = Limits(
        max_open_positions=10,
        max_total_notional=Decimal(5000),
        max_trades_per_day=1000,
        max_daily_loss=Decimal(1000),
        max_drawdown=Decimal("0.2"),
    )
    platform = Platform(clock, services, settings, seed=1)
    taken: list[tuple[tuple[float, float], tuple[float, float]]] = []

    async def trade() -> None:
        await platform.start()
        # Daily candles are asked for once a day; making a year of them is this market's work.
        services.histories.of(symbols)
        for number in range(rounds):
            await asyncio.sleep(7200)
            marks = services.exchange.mark_prices()
            session.answered.clear()
            store.decided.clear()
            began = {}
            for symbol in symbols:
                signal = _signal(services, symbol, float(marks[symbol].mark_price))
                began[symbol] = _now()
                await _start(platform, signal)
            await asyncio.sleep(30)
            taken.extend(
                (_since(began[symbol], answer), _since(store.decided[symbol], answer))
                for symbol, answer in session.answered.items()
            )
            for position in services.exchange.positions():
                services.exchange.place_order(
                    OrderRequest(
                        symbol=position.symbol,
                        side="SELL" if position.quantity > 0 else "BUY",
                        type="MARKET",
                        quantity=abs(position.quantity),
                        client_order_id=f"close-{position.symbol}-{number}",
                        reduce_only=True,
                    )
                )
            await asyncio.sleep(30)
            guard(services.desk())
        await platform.stop()

    loop = loop_for(clock)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(trade())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        store.close()
    return taken


def measure(size: Size) -> list[Figure]:
    """Median and 95th percentile in milliseconds of real time."""
    taken = run(ROUNDS[size])
    if not taken:
        raise RuntimeError("no signal was traded")
    note = f"{len(taken)} orders in {ROUNDS[size]} rounds, one core"
    figures: list[Figure] = []
    for number, (start, goal) in enumerate((("decision", 25), ("signal", None))):
        waited, worked = ([t[1 - number][i] for t in taken] for i in (0, 1))
        name = f"{start} to exchange acknowledgement, {WORKFLOWS} workflows at once"
        figures += (
            Figure(name=f"{name}, p50", value=percentile(waited, 0.5), unit="ms", note=note),
            Figure(
                name=f"{name}, p95", value=percentile(waited, 0.95), unit="ms", goal=goal, note=note
            ),
            Figure(
                name=f"{name}, p95 of processor time",
                value=percentile(worked, 0.95),
                unit="ms",
                note="the wall time of a machine that does nothing else",
            ),
        )
    return figures
