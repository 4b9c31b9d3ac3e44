"""Emergency stop: from the HTTP request to an account that the exchange shows to be flat.

The positions are opened past the application, so it has no records of them; stop and target of
each rest on the exchange, as they do for its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from benchmarks.exchange import served
from benchmarks.figure import Figure, Size, percentile
from local.clock import ScaledClock, loop_for
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.limits import RateLimits
from local.exchange.server import ExchangeServer
from local.host.server import HttpListener
from local.host.worker import Invocation
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, Platform, app_settings
from shared.bootstrap import Services
from shared.execution.exchange import AlgoOrderRequest, OrderRequest
from shared.risk.kill_switch import CONTAINER, SWITCH_ID
from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue
from shared.storage.sqlite import SqliteStore

START_MS = 1_767_571_260_000
RUNS: dict[Size, int] = {"full": 30, "quick": 5, "tiny": 1}
POSITIONS = 10
#: The larger account, reached over a line of that many seconds and within the real rate limits.
MANY = 20
LINE_S = 0.02
FREE = RateLimits(weight=10**9, orders_10s=10**9, orders_1m=10**9)
MANY_RUNS: dict[Size, int] = {"full": 5, "quick": 2, "tiny": 1}
#: Real seconds after which a stop has failed.
PATIENCE_S = 60.0


def contracts(count: int) -> Mapping[str, Contract]:
    """The venue's contracts and further ones like the last, ``count`` in all."""
    listed = dict(DEFAULT_CONTRACTS)
    model = DEFAULT_CONTRACTS["ADAUSDT"]
    for number in range(count - len(listed)):
        symbol = f"ALT{chr(ord('A') + number)}USDT"
        listed[symbol] = msgspec.structs.replace(
            model,
            instrument=msgspec.structs.replace(model.instrument, symbol=symbol),
            base_asset=symbol.removesuffix("USDT"),
        )
    return dict(list(listed.items())[:count])


class _Flat:
    """Set when the emergency workflow's activity has read back an empty account."""

    def __init__(self) -> None:
        self.at = 0.0
        self.happened = threading.Event()

    def on_invocation(self, invocation: Invocation) -> None:
        if invocation.function == "flatten_account" and invocation.return_value is not None:
            result = json.loads(invocation.return_value.value)
            if result["flat"]:
                self.at = time.perf_counter()
                self.happened.set()


def _open(services: Services, symbols: list[str], run: int) -> None:
    """A position on every symbol, each with its stop and its target resting on the exchange."""
    exchange = services.exchange
    marks = exchange.mark_prices()
    instruments = exchange.instruments()
    for symbol in symbols:
        instrument, mark = instruments[symbol], marks[symbol].mark_price
        quantity = (Decimal(150) / mark // instrument.step_size + 1) * instrument.step_size
        exchange.place_order(
            OrderRequest(
                symbol=symbol,
                side="BUY",
                type="MARKET",
                quantity=quantity,
                client_order_id=f"open-{symbol}-{run}",
            )
        )
        for kind, name, far in (
            ("STOP_MARKET", "stop", "0.95"),
            ("TAKE_PROFIT_MARKET", "target", "1.1"),
        ):
            exchange.place_algo_order(
                AlgoOrderRequest(
                    symbol=symbol,
                    side="SELL",
                    type=kind,  # type: ignore[arg-type]
                    quantity=quantity,
                    client_algo_id=f"{name}-{symbol}-{run}",
                    trigger_price=instrument.round_price(mark * Decimal(far)),
                )
            )


def _stop(url: str, flat: _Flat) -> float:
    """POST the stop; milliseconds until the workflow has verified the account flat.

    Raises
    ------
    RuntimeError
        When the stop is refused or does not come to an end.
    """
    import requests

    flat.happened.clear()
    began = time.perf_counter()
    answer = requests.post(url, json={"operator": "benchmark", "reason": "measuring"}, timeout=30)
    if answer.status_code != 202:
        raise RuntimeError(f"emergency stop answered {answer.status_code}: {answer.text}")
    if not flat.happened.wait(PATIENCE_S):
        raise RuntimeError(f"the account was not flat after {PATIENCE_S} s")
    return (flat.at - began) * 1000


def _check(services: Services) -> None:
    exchange = services.exchange
    left = [*exchange.positions(), *exchange.open_orders(), *exchange.open_algo_orders()]
    if left:
        raise RuntimeError(f"the workflow said flat, the exchange shows {left}")


def _drive(
    services: Services, url: str, flat: _Flat, symbols: list[str], runs: int, pause: float
) -> list[float]:
    taken = []
    for run in range(runs):
        if run:
            time.sleep(pause)
        _open(services, symbols, run)
        taken.append(_stop(url, flat))
        _check(services)
        # A person re-arms with a one-time code, of which there are two a minute: here every run
        # has a switch that was never used.
        services.store.delete(CONTAINER, services.settings.account_id, SWITCH_ID)
        services.kill_switch.ensure()
    return taken


async def _measure(
    services: Services, platform: Platform, symbols: list[str], runs: int, pause: float
) -> Any:
    flat = _Flat()
    await platform.start()
    platform.host.on_invocation.append(flat.on_invocation)
    listener = HttpListener(platform.host.handle, 0)
    await listener.start()
    key = platform.host.keys.host["default"]
    url = f"http://127.0.0.1:{listener.port}/api/emergency-stop?code={key}"
    services.kill_switch.ensure()
    try:
        return await asyncio.to_thread(_drive, services, url, flat, symbols, runs, pause)
    finally:
        await listener.stop()
        await platform.stop()


def _slow_session(seconds: float) -> Any:
    """python-binance's session, with a line of that length to the exchange."""
    import requests

    class Slow(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> requests.Response:
            time.sleep(seconds)
            return super().request(*args, **kwargs)

    session = Slow()
    session.trust_env = False
    return session


def run(
    runs: int,
    positions: int = POSITIONS,
    line: float = 0.0,
    limits: RateLimits = FREE,
    pause: float = 0.0,
) -> list[float]:
    """Milliseconds of each stop; the exchange runs in a thread of its own, on real sockets.

    Parameters
    ----------
    line : float
        Seconds that each request takes longer.
    pause : float
        Seconds between stops, so that each begins with a whole rate budget.
    """
    clock = ScaledClock(START_MS)
    listed = contracts(positions)
    symbols = list(listed)
    ticks = {s: c.instrument.tick_size for s, c in listed.items()}
    venue = Venue(SyntheticMarket(5, symbols, ticks=ticks), start_ms=START_MS, contracts=listed)
    server = ExchangeServer(
        BinanceApi(venue, clock, {SIMULATED_KEY: SIMULATED_SECRET}, limits=limits)
    )
    with served(server.start, server.stop):
        settings = app_settings(
            server.url,
            SYMBOLS=",".join(symbols),
            TIMEFRAMES="1h",
            BORSA_TELEMETRY="false",
            **configuration(DEMONSTRATION).rest,
        )
        store = SqliteStore(":memory:", clock=clock)
        session = _slow_session(line) if line else None
        services = Services(settings, clock=clock, store=store, exchange_session=session)
        platform = Platform(clock, services, settings)
        loop = loop_for(clock)
        asyncio.set_event_loop(loop)
        try:
            taken: list[float] = loop.run_until_complete(
                _measure(services, platform, symbols, runs, pause)
            )
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            store.close()
            services.exchange.close()  # type: ignore[attr-defined]
    return taken


def measure(size: Size) -> list[Figure]:
    """Median and 95th percentile over the stops of one process, the first one included."""
    taken = run(RUNS[size])
    name = f"emergency stop, {POSITIONS} positions, request to verified flat"
    note = f"{len(taken)} stops, the first {taken[0]:.0f} ms; exchange over loopback HTTP"
    return [
        Figure(name=f"{name}, p50", value=percentile(taken, 0.5) / 1000, unit="s", note=note),
        Figure(name=f"{name}, p95", value=percentile(taken, 0.95) / 1000, unit="s", goal=2.0),
        *_many(size),
    ]


def _many(size: Size) -> list[Figure]:
    """Twenty positions, 20 ms to the exchange, its real rate limits."""
    # Opening and closing twenty takes 80 orders, of which entries may use 210 of the 300 in ten
    # seconds, and some 320 of the weight of 2400 in a minute: five runs are what fits.
    taken = run(MANY_RUNS[size], MANY, LINE_S, RateLimits(), pause=10.0)
    name = f"emergency stop, {MANY} positions, {LINE_S * 1000:.0f} ms to the exchange, rate limits"
    note = f"{len(taken)} stops, the slowest {max(taken) / 1000:.2f} s"
    return [
        Figure(name=f"{name}, p50", value=percentile(taken, 0.5) / 1000, unit="s", note=note),
        Figure(name=f"{name}, p95", value=percentile(taken, 0.95) / 1000, unit="s", goal=3.0),
    ]
