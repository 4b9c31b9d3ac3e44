"""The process that is killed: the whole host on files of its own, trading over HTTP.

Its time is virtual and goes with every request, so that the exchange, which lives in another
process, is never behind; how fast either runs changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from local.clock import VirtualClock, VirtualLoop
from local.configuration import DEMONSTRATION, configuration
from local.platform import Platform, app_settings
from local.simulate.process import LIMITS, services_of
from local.simulate.profiles import PROFILES
from shared.storage.sqlite import SqliteStore

#: Header with the sender's time, UTC milliseconds.
TIME_HEADER = "X-Simulated-Time"
#: Header with the number of the run: a request of a process that is dead counts no more.
RUN_HEADER = "X-Simulated-Run"

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT", "SOLUSDT", "LTCUSDT")

#: Seconds of exchange time that a request takes.
LATENCY = 0.02


class TimedSession(requests.Session):
    """Real HTTP; says what time it is, and lets the time of a request pass."""

    def __init__(self, clock: VirtualClock, run: int) -> None:
        super().__init__()
        self.trust_env = False
        self._clock = clock
        self._run = run

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._clock.sleep(LATENCY / 2)
        self.headers[TIME_HEADER] = str(self._clock.now_ms())
        self.headers[RUN_HEADER] = str(self._run)
        answer = super().request(*args, **kwargs)
        self._clock.sleep(LATENCY / 2)
        return answer


def settings_for(url: str, folder: Path, *, trading: bool) -> dict[str, str]:
    """The application's settings; without ``trading`` no new bars come in."""
    return app_settings(
        url,
        **{
            **configuration(DEMONSTRATION).rest,
            "SYMBOLS": ",".join(SYMBOLS),
            "TIMEFRAMES": "1m",
            "BORSA_TELEMETRY": "false",
            "MAX_HOLDING_BARS": "3",
            "SQLITE_PATH": str(folder / "state.db"),
            "AzureWebJobs.poll_candles.Disabled": "false" if trading else "true",
            "AzureWebJobs.daily_report.Disabled": "true",
        },
    )


def main(arguments: Sequence[str]) -> None:
    """Run the host for so many minutes of exchange time, or until the process is killed."""
    url, folder, seed, number, start_ms, minutes, what = arguments
    run, end = int(number), what == "end"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    clock = VirtualClock(int(start_ms))
    place = Path(folder)
    settings = settings_for(url, place, trading=not end)
    store = SqliteStore(str(place / "state.db"), clock=clock)
    session: Any = TimedSession(clock, run)
    services = services_of(settings, clock, store, session, seed, LIMITS, PROFILES["quiet"])
    loop = VirtualLoop(clock)
    asyncio.set_event_loop(loop)
    platform = Platform(clock, services, settings, state=place, seed=run)

    async def live() -> None:
        await platform.start()
        await asyncio.sleep(int(minutes) * 60)
        await platform.stop()

    loop.run_until_complete(live())
    store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
