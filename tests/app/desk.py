"""The whole application on a simulated exchange with a scripted market, in virtual time.

A :class:`Floor` is one trading floor: clock, market, venue, application, platform. Scenarios let
time pass with :meth:`Floor.run`, inject signals, break the exchange or the store, call the HTTP
interface, and read the exchange's own books. Closing it checks every invariant.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from local.clock import VirtualClock, VirtualLoop
from local.configuration import DEMONSTRATION, configuration
from local.contracts import Request, Response
from local.exchange.api import BinanceApi
from local.exchange.faults import AnswerLost, ApiRequest, Fault, ScriptedFaults, error_answer
from local.exchange.session import InProcessSession
from local.invariants import Watch, final_checks
from local.platform import (
    SIMULATED_KEY,
    SIMULATED_SECRET,
    TOTP_SECRET,
    Platform,
    app_settings,
)
from shared.bootstrap import Services
from shared.execution.desk import Desk
from shared.execution.ids import client_id
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.simulation.candles import CandleSource
from shared.simulation.contracts import Contract
from shared.simulation.orders import AlgoOrder, Order, Trade
from shared.simulation.venue import MAIN, Venue
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store
from shared.strategies.signal import Signal, signal_id
from tests import described

D = Decimal
#: 2025-05-05 00:00 UTC.
MIDNIGHT = 1_746_403_200_000
#: Scenarios begin at half past ten, clear of funding and of midnight.
START = MIDNIGHT + 630 * MINUTE_MS
#: Minutes of history before that: enough for every strategy.
HISTORY = 4320
PRICES = {"BTCUSDT": 100_000.0, "ETHUSDT": 2_500.0, "XRPUSDT": 2.0, "ADAUSDT": 0.5}

ORDER = ("POST", "/fapi/v1/order")
ALGO = ("POST", "/fapi/v1/algoOrder")
GET_ORDER = ("GET", "/fapi/v1/order")
GET_ALGO = ("GET", "/fapi/v1/algoOrder")
OPEN_ALGOS = ("GET", "/fapi/v1/openAlgoOrders")
POSITIONS = ("GET", "/fapi/v3/positionRisk")
ACCOUNT = ("GET", "/fapi/v3/account")

UNKNOWN_503 = error_answer(
    503, -1000, "Unknown error, please check your request or try again later."
)
TIMEOUT_1007 = error_answer(
    408, -1007, "Timeout waiting for response from backend server. Send status unknown."
)
NOT_FOUND = error_answer(400, -2013, "Order does not exist.")
UNAVAILABLE = error_answer(503, 0, "Service Unavailable.")
LOST = AnswerLost("timeout")


def path_of(knots: Sequence[tuple[float, float]], minutes: int, base: float) -> list[float]:
    """Prices at each minute from (minute after START, relative move) knots, linear between."""
    at, move = zip(*((0.0, 0.0), *knots), strict=True)
    grid = np.arange(-HISTORY, minutes + 1)
    return [float(x) for x in base * (1 + np.interp(grid, at, move))]


def market(
    moves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    minutes: int = 900,
    prices: Mapping[str, float] = PRICES,
    contracts: Mapping[str, Contract] | None = None,
    funding: Mapping[str, Sequence[tuple[int, float]]] | None = None,
    days: Mapping[str, Sequence[float]] | None = None,
) -> CandleSource:
    """One-minute candles that follow the knots of each symbol."""
    candles = {}
    for symbol, knots in moves.items():
        from shared.simulation.contracts import DEFAULT_CONTRACTS

        tick = float((contracts or DEFAULT_CONTRACTS)[symbol].instrument.tick_size)
        edges = np.round(np.array(path_of(knots, minutes, prices[symbol])) / tick) * tick
        o, c = edges[:-1], edges[1:]
        times = START - HISTORY * MINUTE_MS + np.arange(len(o), dtype=np.int64) * MINUTE_MS
        candles[symbol] = Columns(
            symbol,
            "1m",
            times,
            o,
            np.maximum(o, c),
            np.minimum(o, c),
            c,
            np.full(len(o), 1e6),
        )
    older = {s: {"1d": _days(s, prices[s], list(r))} for s, r in (days or {}).items()}
    return CandleSource(candles, funding=funding, older=older)


def _days(symbol: str, price: float, returns: list[float]) -> Columns:
    """Daily candles with these returns that lead up to the first whole day of the minutes."""
    first = -(-(START - HISTORY * MINUTE_MS) // DAY_MS) * DAY_MS
    closes = price / np.cumprod((1 + np.array(returns))[::-1])[::-1]
    closes = np.concatenate((closes, [price]))
    times = first + (np.arange(len(closes), dtype=np.int64) - len(closes)) * DAY_MS
    return Columns(symbol, "1d", times, closes, closes, closes, closes, np.ones(len(closes)))


class Crash(Exception):
    """The process dies here: nothing in the application knows this error."""


class Breaking:
    """A store, or an exchange session, that fails on demand.

    ``before`` and ``after`` see the operation's name and arguments around every call that changes
    something; whatever they raise comes out.
    """

    EFFECTS = frozenset({"create", "replace", "patch", "delete"})

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.before: Callable[[str, tuple[Any, ...]], None] = lambda name, args: None
        self.after: Callable[[str, tuple[Any, ...]], None] = lambda name, args: None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self.EFFECTS:
            return value

        def effect(*args: Any, **kwargs: Any) -> Any:
            self.before(name, args)
            result = value(*args, **kwargs)
            self.after(name, args)
            return result

        return effect


class BreakingSession(InProcessSession):
    """python-binance's session; every request is announced before and after."""

    before: Callable[[str, str], None] = staticmethod(lambda method, url: None)
    after: Callable[[str, str], None] = staticmethod(lambda method, url: None)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        self.before(method, url)
        answer = super().request(method, url, *args, **kwargs)
        self.after(method, url)
        return answer


class Floor:
    """One application on one venue.

    Parameters
    ----------
    moves : mapping
        Symbol -> knots of (minute after START, relative price move).
    days : mapping, optional
        Symbol -> daily returns of the time before the minutes; by default nothing is known of it.
    settings : mapping, optional
        Application settings other than the defaults.
    durable : bool
        Whether the platform (host, task hub, event log) runs. Without it, use cases are called
        directly through :meth:`desk`.
    state : Path, optional
        Where the platform keeps what outlives it; in memory without one.
    """

    def __init__(
        self,
        moves: Mapping[str, Sequence[tuple[float, float]]] | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        minutes: int = 900,
        prices: Mapping[str, float] = PRICES,
        contracts: Mapping[str, Contract] | None = None,
        funding: Mapping[str, Sequence[tuple[int, float]]] | None = None,
        days: Mapping[str, Sequence[float]] | None = None,
        deposit: str = "5000",
        durable: bool = True,
        poll: bool = False,
        latency: float = 0.02,
        store: Callable[[VirtualClock], Store] | None = None,
        state: Path | None = None,
    ) -> None:
        moves = moves or {"BTCUSDT": (), "ETHUSDT": (), "XRPUSDT": ()}
        self.clock = VirtualClock(START)
        self.venue = Venue(
            market(
                moves,
                minutes=minutes,
                prices=prices,
                contracts=contracts,
                funding=funding,
                days=days,
            ),
            start_ms=START,
            contracts=contracts,
            deposit=D(deposit),
        )
        self.faults = ScriptedFaults()
        self.api = BinanceApi(
            self.venue,
            self.clock,
            credentials={SIMULATED_KEY: SIMULATED_SECRET},
            faults=self.faults,
        )
        self.session = BreakingSession(self.api, latency=latency)
        self.store = Breaking(
            store(self.clock) if store else SqliteStore(":memory:", clock=self.clock)
        )
        self.settings = app_settings(
            "http://exchange.invalid",
            **{
                **configuration(DEMONSTRATION).rest,
                "SYMBOLS": ",".join(moves),
                "TIMEFRAMES": "5m",
                # What the guardian and the workflows do by themselves; the watch over all
                # positions has scenarios of its own.
                "STOP_WATCH": "0.1",
                "BORSA_TELEMETRY": "false",
                "AzureWebJobs.poll_candles.Disabled": "false" if poll else "true",
                **(settings or {}),
            },
        )
        self.services = Services(
            self.settings, clock=self.clock, store=self.store, exchange_session=self.session
        )
        self.services.kill_switch.ensure()
        self.watch = Watch(self.venue, self.services.limits, self.clock)
        #: Invariants this scenario breaks by what it does itself (a foreign position, say).
        self.expected: set[int] = set()
        self.shown: list[dict[str, Any]] = []
        #: Which requests of the durable client fail.
        self.durable_refuses: Callable[[Request], bool] = lambda request: False
        self.loop = VirtualLoop(self.clock)
        asyncio.set_event_loop(self.loop)
        self.platform: Platform | None = None
        self._state = state
        if durable:
            self._start()

    def _start(self) -> None:
        self.platform = Platform(
            self.clock,
            self.services,
            self.settings,
            state=self._state,
            signalr=lambda hub, messages: self.shown.extend(messages),
        )
        self.platform.hub.rpc = self._refusing(self.platform.hub.rpc)  # type: ignore
        self.wait(self.platform.start())

    def restart(self) -> None:
        """The host ends and another one begins, on what the folder ``state`` holds."""
        assert self.platform is not None
        assert self._state is not None
        self.wait(self.platform.stop())
        self._start()

    def _refusing(self, rpc: Callable[[Request], Any]) -> Callable[[Request], Any]:
        """The task hub as the durable client reaches it, or not."""

        async def handle(request: Request) -> Response:
            if self.durable_refuses(request):
                return Response(500, [], b'{"Message": "storage is not reachable"}')
            return await rpc(request)

        return handle

    # ------------------------------------------------------------------ time

    def wait(self, work: Any) -> Any:
        """Run one coroutine to its end."""
        return self.loop.run_until_complete(work)

    def run(self, seconds: float) -> None:
        """Let time pass; the invariants are looked at every five seconds."""
        end = self.clock.now_ms() + round(seconds * 1000)

        async def pass_time() -> None:
            while self.clock.now_ms() < end:
                await asyncio.sleep(min(5.0, (end - self.clock.now_ms()) / 1000))
                self.api.advance()
                self.watch.tick()

        self.wait(pass_time())

    def minutes(self, count: float) -> None:
        self.run(count * 60)

    # ------------------------------------------------------------------ what comes in

    def signal(self, symbol: str = "BTCUSDT", side: str = "BUY", **fields: Any) -> Signal:
        """Store a signal on the five-minute bar that closed last, as the engine would."""
        now = self.clock.now_ms()
        step = 5 * MINUTE_MS
        closed = now // step * step
        sign = 1 if side == "BUY" else -1
        price = self.price(symbol)
        values: dict[str, Any] = {
            "id": signal_id(symbol, "5m", closed, 1),
            "symbol": symbol,
            "timeframe": "5m",
            "bar_open_time": closed - step,
            "bar_close_time": closed,
            "side": side,
            "strength": 0.9 * sign,
            "threshold": 0.3,
            "close": price,
            "atr": price * 0.01,
            "volatility": 0.002,
            "votes": [],
            "window_digest": "0" * 64,
        }
        signal = Signal(**{**values, **fields})
        return self.services.engine.save(signal)

    def trade(self, symbol: str = "BTCUSDT", side: str = "BUY", **fields: Any) -> Signal:
        """A signal and its workflow, started but not waited for."""
        signal = self.signal(symbol, side, **fields)
        self.start(signal)
        return signal

    def start(self, signal: Signal) -> Response:
        return self.durable(
            "POST",
            f"orchestrators/trade_workflow/{signal.id}",
            {"symbol": signal.symbol, "signal": signal.id},
        )

    def durable(self, method: str, path: str, body: Any = None) -> Response:
        """The Durable management interface."""
        return self.http(method, f"/runtime/webhooks/durabletask/{path}", body)

    def workflow(self, instance: str) -> dict[str, Any]:
        """Status of an orchestration."""
        return json.loads(self.durable("GET", f"instances/{instance}").body)

    def outcome(self, signal: Signal) -> Any:
        """What the trade workflow returned, or its runtime status."""
        status = self.workflow(signal.id)
        return (status["output"] or {}) if status["runtimeStatus"] == "Completed" else status

    def http(self, method: str, target: str, body: Any = None, *, key: bool = True) -> Response:
        """One request to the host, with the master key."""
        return self.wait(self.send(method, target, body, key=key))

    async def send(self, method: str, target: str, body: Any = None, *, key: bool = True) -> Any:
        assert self.platform is not None
        host = self.platform.host
        headers = [("Host", "127.0.0.1"), ("Content-Type", "application/json")]
        if key:
            headers.append(("x-functions-key", host.keys.master))
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        answer = await host.handle(Request(method, target, headers, raw))
        described.check(method, target, answer.status, answer.body, dict(answer.headers))
        return answer

    def timer(self, name: str) -> None:
        """Fire a timer function now."""
        assert self.platform is not None
        invocation = self.wait(self.platform.host.invoke(name))
        if invocation.error is not None:
            raise invocation.error

    def emit(self, hub: str, *bodies: bytes | Mapping[str, Any]) -> None:
        """Append events to a hub, all to one partition."""
        assert self.platform is not None
        for body in bodies:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.platform.event_log.append(hub, raw, partition_key="one")

    def break_next(
        self,
        what: tuple[str, str],
        answer: Any,
        *,
        times: int = 1,
        executed: bool = False,
        seconds: float | None = None,
        where: Callable[[ApiRequest], bool] = lambda request: True,
    ) -> Fault:
        """The next requests of a kind get this answer instead of (or after) being executed."""
        fault = Fault(
            matches=lambda r: (r.method, r.path) == what and where(r),
            answer=answer,
            executed=executed,
            times=times,
            until=None if seconds is None else self.clock.now_ms() + round(seconds * 1000),
        )
        self.faults.add(fault)
        return fault

    # ------------------------------------------------------------------ the exchange's books

    def price(self, symbol: str) -> float:
        self.venue.advance(self.clock.now_ms())
        return float(self.venue.core.mark_price(symbol))

    @property
    def account(self) -> Any:
        return self.venue.account(MAIN)

    def held(self, symbol: str = "BTCUSDT") -> Decimal:
        """Signed quantity on the exchange."""
        self.venue.advance(self.clock.now_ms())
        return sum(
            (p.quantity for p in self.account.positions.values() if p.symbol == symbol), D(0)
        )

    def algos(self, symbol: str = "BTCUSDT", type_: str | None = None) -> list[AlgoOrder]:
        """Live conditional orders."""
        found = self.account.open_algos.get(symbol, {}).values()
        return [a for a in found if type_ is None or a.type == type_]

    def stops(self, symbol: str = "BTCUSDT") -> list[AlgoOrder]:
        return self.algos(symbol, "STOP_MARKET")

    def targets(self, symbol: str = "BTCUSDT") -> list[AlgoOrder]:
        return self.algos(symbol, "TAKE_PROFIT_MARKET")

    def orders(self) -> list[Order]:
        return list(self.venue.ledger(MAIN).orders)

    def entries(self) -> list[Order]:
        """Orders that could add exposure and are ours."""
        return [
            o
            for o in self.orders()
            if not o.reduce_only and not o.algo_id and o.client_order_id.startswith("bq-e-")
        ]

    def fills(self, symbol: str = "BTCUSDT") -> list[Trade]:
        return [t for t in self.venue.ledger(MAIN).fills if t.symbol == symbol]

    def trade_by_hand(
        self, symbol: str, side: str, quantity: str, prevention: str = "EXPIRE_MAKER"
    ) -> Order:
        """Somebody trades on the same account past the application."""
        from shared.simulation.orders import NewOrder

        self.api.advance()
        return self.venue.place_order(
            self.account,
            NewOrder(
                symbol=symbol,
                side=side,
                type="MARKET",
                quantity=D(quantity),
                self_trade_prevention=prevention,
            ),
        )

    # ------------------------------------------------------------------ what the application says

    @property
    def desk(self) -> Desk:
        return self.services.desk()

    def documents(self, container: str, partition: str = "main") -> list[dict[str, Any]]:
        return [d.body for d in self.store.query(container, partition, limit=1000).documents]

    def trades(self) -> list[dict[str, Any]]:
        return self.documents("trades")

    def alerts(self) -> list[str]:
        return [a["kind"] for a in self.documents("alerts")]

    def audit(self, kind: str) -> list[dict[str, Any]]:
        return [r.body for r in self.services.audit.records(kind=kind)]

    def events(self, hub: str) -> list[dict[str, Any]]:
        """Everything that was ever sent to a hub."""
        assert self.platform is not None
        log = self.platform.event_log
        return [
            json.loads(e.body) for part in range(2) for e in log.read_from(hub, part, 0, 10_000)
        ]

    def leaked(self) -> tuple[dict[str, int], list[str]]:
        """Permits and ledger entries that are still held."""
        return (
            self.services.kill_switch.outstanding_permits(),
            sorted(self.services.ledger.read().entries),
        )

    def entry_id(self, signal: Signal) -> str:
        return client_id("main", signal.id, "e")

    def totp(self) -> str:
        import pyotp

        return pyotp.TOTP(TOTP_SECRET).at(self.clock.now_ms() // 1000)

    # ------------------------------------------------------------------ the end

    def problems(self) -> list[str]:
        """Every broken invariant that the scenario did not mean to break."""
        return [
            f"{v.invariant} at {v.time}: {v.text}"
            for v in self.watch.violations
            if v.invariant not in self.expected
        ]

    def close(self) -> None:
        """Stop everything and check the invariants over the whole scenario."""
        self.store.before = self.store.after = lambda name, args: None
        self.session.before = self.session.after = lambda method, url: None
        try:
            if self.platform is not None:
                self.wait(self.platform.stop())
            self.watch.tick()
            final_checks(self.watch, self.services, (SIMULATED_SECRET, TOTP_SECRET))
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()
            self.store.close()
        assert not self.problems(), "\n".join(self.problems())


def as_record(body: Mapping[str, Any], type_: Any) -> Any:
    """A stored body as the record it was."""
    return msgspec.convert(body, type_)
