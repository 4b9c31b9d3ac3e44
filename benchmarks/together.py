"""Twenty trade workflows at once: from signal and decision to the acknowledgement of the order.

The hard limit is ten open positions, so ten of the twenty end in an order; the other ten are
decided and declined meanwhile. All of them run on one core, one after the other: from its signal
on an order waits for the work of those before it, from its decision on only for its own.

Measured twice: so, with the exchange in this process; and with the ceiling raised to twenty, which
no configuration can, so that every workflow opens a position, and the exchange behind loopback
HTTP in a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import requests

from benchmarks.emergency import contracts
from benchmarks.exchange import served
from benchmarks.figure import Figure, Size, percentile
from local.clock import VirtualClock, loop_for
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.server import ExchangeServer
from local.exchange.session import InProcessResponse, InProcessSession
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, Platform, app_settings
from shared.bootstrap import Services
from shared.execution.exchange import OrderRequest
from shared.execution.guardian import guard
from shared.risk import limits as law
from shared.risk.history import HISTORY_DAYS
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


class _Notes:
    """When the exchange has answered the entry of each symbol, and how many requests there were."""

    def __init__(self) -> None:
        self.answered: dict[str, tuple[float, float]] = {}
        self.sent = 0
        #: Requests sent before each symbol's order was answered.
        self.until: dict[str, int] = {}

    def note(self, method: str, url: str, answer: InProcessResponse | requests.Response) -> None:
        self.sent += 1
        if method == "POST" and url.endswith("/fapi/v1/order") and answer.ok:
            symbol = json.loads(answer.content)["symbol"]
            self.answered.setdefault(symbol, _now())
            self.until.setdefault(symbol, self.sent)

    def clear(self) -> None:
        self.answered.clear()
        self.until.clear()


class _InProcess(InProcessSession):
    def __init__(self, api: BinanceApi, notes: _Notes) -> None:
        super().__init__(api)
        self._notes = notes

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> InProcessResponse:
        answer = super().request(method, url, *args, **kwargs)
        self._notes.note(method, url, answer)
        return answer


class _OverHttp(requests.Session):
    def __init__(self, notes: _Notes) -> None:
        super().__init__()
        self.trust_env = False
        self._notes = notes

    def request(  # type: ignore[override]
        self, method: str, url: str, *args: Any, **kwargs: Any
    ) -> requests.Response:
        answer = super().request(method, url, *args, **kwargs)
        self._notes.note(method.upper(), url, answer)
        return answer


class _Store(SqliteStore):
    """Notes when the decision on each symbol is stored."""

    def __init__(self, clock: VirtualClock, notes: _Notes) -> None:
        super().__init__(":memory:", clock=clock)
        self._notes = notes
        self.decided: dict[str, tuple[float, float]] = {}
        #: Requests sent before each symbol's decision.
        self.before: dict[str, int] = {}

    def create(self, container: str, body: Body, *, ttl: int | None = None) -> Document:
        stored = super().create(container, body, ttl=ttl)
        if body.get("kind") == "decision" and container == "signals":
            symbol = str(body["symbol"])
            self.decided[symbol], self.before[symbol] = _now(), self._notes.sent
        return stored

    def clear(self) -> None:
        self.decided.clear()
        self.before.clear()


@contextmanager
def _room_for(positions: int) -> Iterator[Limits]:
    """Limits that let so many positions be open, also more than the law does."""
    ceilings = law.MAX_OPEN_POSITIONS, law.MAX_TOTAL_NOTIONAL
    law.MAX_OPEN_POSITIONS = max(positions, ceilings[0])
    law.MAX_TOTAL_NOTIONAL = law.MAX_POSITION_NOTIONAL * law.MAX_OPEN_POSITIONS
    try:
        yield Limits(
            max_open_positions=positions,
            max_total_notional=law.MAX_POSITION_NOTIONAL * positions,
            max_trades_per_day=1000,
            max_daily_loss=Decimal(1000),
            max_drawdown=Decimal("0.2"),
        )
    finally:
        law.MAX_OPEN_POSITIONS, law.MAX_TOTAL_NOTIONAL = ceilings


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


@cache
def _market() -> SyntheticMarket:
    """The same prices for all; it keeps the days it has made."""
    listed = contracts(WORKFLOWS)
    ticks = {s: c.instrument.tick_size for s, c in listed.items()}
    return SyntheticMarket(5, tuple(listed), ticks=ticks)


class Trade(NamedTuple):
    """What one order took, (real, processor) time in milliseconds."""

    signal: tuple[float, float]
    decision: tuple[float, float]
    #: Requests to the exchange from the decision on, the order itself included.
    requests: int


def run(rounds: int, positions: int = 10, *, over_http: bool = False) -> list[Trade]:
    """Let twenty signals come at once, that many times.

    Parameters
    ----------
    rounds : int
    positions : int
        How many of the twenty may be open.
    over_http : bool
        The exchange answers on a loopback address, from a thread of its own.
    """
    clock = VirtualClock(START_MS)
    listed = contracts(WORKFLOWS)
    symbols = tuple(listed)
    venue = Venue(_market(), start_ms=START_MS, contracts=listed)
    for symbol in symbols:
        # Daily candles are asked for once a day; making a year of them is this market's work.
        venue.klines(symbol, "1d", limit=HISTORY_DAYS + 1)
    api = BinanceApi(venue, clock, {SIMULATED_KEY: SIMULATED_SECRET})
    notes = _Notes()
    with ExitStack() as stack:
        session: Any = _InProcess(api, notes)
        url = "http://exchange.invalid"
        if over_http:
            server = ExchangeServer(api)
            stack.enter_context(served(server.start, server.stop))
            session, url = stack.enter_context(_OverHttp(notes)), server.url
        limits = stack.enter_context(_room_for(positions))
        store = _Store(clock, notes)
        stack.callback(store.close)
        settings = app_settings(
            url,
            SYMBOLS=",".join(symbols),
            TIMEFRAMES="1m",
            BORSA_TELEMETRY="false",
            **configuration(DEMONSTRATION).rest,
            **{f"AzureWebJobs.{name}.Disabled": "true" for name in TIMERS},
        )
        services = Services(settings, clock=clock, store=store, exchange_session=session)
        services.limits = limits
        return _trades(Platform(clock, services, settings, seed=1), store, notes, rounds)


def _trades(platform: Platform, store: _Store, notes: _Notes, rounds: int) -> list[Trade]:
    services = platform.services
    symbols = services.settings.symbols
    taken: list[Trade] = []

    async def trade() -> None:
        await platform.start()
        services.histories.of(symbols)
        for number in range(rounds):
            await asyncio.sleep(7200)
            marks = services.exchange.mark_prices()
            notes.clear()
            store.clear()
            began = {}
            for symbol in symbols:
                signal = _signal(services, symbol, float(marks[symbol].mark_price))
                began[symbol] = _now()
                await _start(platform, signal)
            await asyncio.sleep(30)
            taken.extend(
                Trade(
                    signal=_since(began[symbol], answer),
                    decision=_since(store.decided[symbol], answer),
                    requests=notes.until[symbol] - store.before[symbol],
                )
                for symbol, answer in notes.answered.items()
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

    loop = loop_for(platform.clock)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(trade())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return taken


def measure(size: Size) -> list[Figure]:
    """Median and 95th percentile in milliseconds of real time."""
    return [
        *_figures(size, f"{WORKFLOWS} workflows at once", run(ROUNDS[size])),
        *_figures(
            size,
            f"{WORKFLOWS} workflows at once that all open, exchange over HTTP",
            run(ROUNDS[size], WORKFLOWS, over_http=True),
        ),
    ]


def _figures(size: Size, what: str, taken: list[Trade]) -> list[Figure]:
    if not taken:
        raise RuntimeError("no signal was traded")
    asked = max(trade.requests for trade in taken)
    note = f"{len(taken)} orders in {ROUNDS[size]} rounds, one core, {asked} requests at most"
    figures: list[Figure] = []
    for start, goal, times in (
        ("decision", 25, [trade.decision for trade in taken]),
        ("signal", None, [trade.signal for trade in taken]),
    ):
        waited, worked = ([each[i] for each in times] for i in (0, 1))
        name = f"{start} to exchange acknowledgement, {what}"
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
