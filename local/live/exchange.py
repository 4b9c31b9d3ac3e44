"""The simulated exchange of ``./run``: a thread of its own, reached only over HTTP."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.server import ExchangeServer
from local.exchange.state import StateFile
from local.platform import SIMULATED_KEY, SIMULATED_SECRET
from shared.errors import StoreUnavailable
from shared.risk.history import HISTORY_DAYS
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

#: Simulated time at which the built-in market begins, 2026-01-05T01:16:00Z: with the default seed
#: the demonstration's first signals come three bars later.
START_MS = 1_767_575_760_000

#: Real seconds between saves of the time alone.
SAVE_SECONDS = 0.2


class ExchangeThread:
    """Runs the exchange and makes the clock that everything else follows.

    Parameters
    ----------
    path : Path
        State file; an earlier state is continued.
    seed : int
    symbols : tuple of str
    port : int
        0 for a free one.

    Raises
    ------
    ConfigurationError
        From :meth:`start`, when the state belongs to another seed or other symbols.
    """

    def __init__(self, path: Path, seed: int, symbols: tuple[str, ...], port: int) -> None:
        self._path = path
        self._seed = seed
        self._symbols = symbols
        self._port = port
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="exchange", daemon=True)
        self.clock = VirtualClock(START_MS)
        self.url = ""

    def start(self) -> None:
        """Start and wait until it listens."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Save and end."""
        self._stop.set()
        self._thread.join(10)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again in start()
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        identity = {"seed": str(self._seed), "symbols": ",".join(self._symbols)}
        state = StateFile(self._path, identity)
        begin = state.saved_time() or START_MS
        self.clock.advance_to(begin)
        venue = Venue(SyntheticMarket(self._seed, self._symbols), start_ms=begin)
        state.load(venue)
        for symbol in self._symbols:
            # A year of this market takes longer to make than a busy machine's client waits.
            venue.klines(symbol, "1d", limit=HISTORY_DAYS + 1)
        api = BinanceApi(
            venue,
            self.clock,
            {SIMULATED_KEY: SIMULATED_SECRET},
            save=lambda: state.save(venue),
        )
        server = ExchangeServer(api, port=self._port)
        await server.start()
        self.url = server.url
        self._ready.set()
        while not self._stop.is_set():
            await asyncio.sleep(SAVE_SECONDS)
            try:
                state.save_time(venue)
            except StoreUnavailable:
                # The next change tries again and refuses its answer if it cannot be kept.
                continue
        await server.stop()
        state.save(venue)
        state.close()
