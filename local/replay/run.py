"""One replay: the deployed application, the simulated exchange and the invariants, virtually."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local.clock import VirtualClock, loop_for
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessSession
from local.invariants import Watch, final_checks
from local.platform import (
    SIMULATED_KEY,
    SIMULATED_SECRET,
    TOTP_SECRET,
    Platform,
    app_settings,
)
from local.replay.summary import Recorder, Summary
from shared.bootstrap import Services
from shared.market.timeframe import MINUTE_MS
from shared.simulation.source import MarketSource
from shared.simulation.venue import Venue
from shared.storage.store import Store

#: Simulated time between two progress reports and two checks of the exchange's books.
STEP_MS = 60 * MINUTE_MS

#: After the last bar the application may finish what it began.
TAIL_MS = 2 * MINUTE_MS

BASE_URL = "http://exchange.invalid"

Progress = Callable[[float, str], None]


def replay(
    source: MarketSource,
    *,
    symbols: tuple[str, ...],
    start_ms: int,
    end_ms: int,
    seed: int,
    store: Callable[[VirtualClock], Store] | None = None,
    state: Path | None = None,
    settings: Mapping[str, str] | None = None,
    audit_path: Path | None = None,
    progress: Progress = lambda done, text: None,
) -> tuple[Summary, Recorder]:
    """Run the application over a market as fast as the machine allows.

    Parameters
    ----------
    store : callable, optional
        Makes the state store; SQLite in memory by default.
    settings : mapping, optional
        Application settings other than the defaults.
    audit_path : Path, optional
        Where the audit log is exported to.

    Returns
    -------
    Summary, Recorder
        Figures, and the equity curve and trades behind them.
    """
    from shared.storage.sqlite import SqliteStore

    began = time.perf_counter()
    clock = VirtualClock(start_ms)
    chosen = app_settings(
        BASE_URL,
        **{
            "SYMBOLS": ",".join(symbols),
            "BORSA_TELEMETRY": "false",
            "STOP_WATCH": "0",
            **(settings or {}),
        },
    )
    venue = Venue(source, start_ms=start_ms)
    api = BinanceApi(venue, clock, credentials={SIMULATED_KEY: SIMULATED_SECRET})
    opened = store(clock) if store is not None else SqliteStore(":memory:", clock=clock)
    services = Services(chosen, clock=clock, store=opened, exchange_session=InProcessSession(api))
    watch = Watch(venue, services.limits, clock)
    recorder = Recorder(venue)
    platform = Platform(clock, services, chosen, state=state, seed=seed)

    async def run() -> None:
        await platform.start()
        platform.host.on_invocation.append(recorder.on_invocation)
        while clock.now_ms() < end_ms:
            await asyncio.sleep(min(STEP_MS, end_ms - clock.now_ms()) / 1000)
            watch.tick()
            recorder.tick()
            done = (clock.now_ms() - start_ms) / (end_ms - start_ms)
            progress(min(1.0, done), recorder.line())
        await asyncio.sleep(TAIL_MS / 1000)
        # What a stop closed since the guardian's last round is not in our book yet.
        await platform.host.invoke("guardian")
        await platform.stop()

    loop = loop_for(clock)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    final_checks(watch, services, (SIMULATED_SECRET, TOTP_SECRET))
    if audit_path is not None:
        from shared.audit.chain import export

        export(services.store, services.settings.account_id, audit_path)
    summary = recorder.summary(
        services,
        watch,
        seed=seed,
        symbols=symbols,
        start_ms=start_ms,
        end_ms=end_ms,
        wall_seconds=time.perf_counter() - began,
    )
    opened.close()
    return summary, recorder
