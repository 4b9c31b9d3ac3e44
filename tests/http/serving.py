"""The whole application behind its real HTTP server, for tests that send it anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import requests

from local.clock import PacedLoop, VirtualClock
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.faults import ScriptedFaults
from local.exchange.session import InProcessSession
from local.host.server import HttpListener
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, TOTP_SECRET, Platform, app_settings
from local.signalr import SignalR
from shared.bootstrap import Services, use
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import MAIN, Venue
from shared.storage.sqlite import SqliteStore
from tests import described

#: 2025-05-04 10:01:21 UTC: the next timer is due after 19 s.
NOW = 1_746_352_881_000

SECRETS = (SIMULATED_SECRET, SIMULATED_KEY, TOTP_SECRET)


class Serving:
    """An application in a thread of its own, reached over a socket.

    Parameters
    ----------
    folder : Path
        Its state is kept here.
    speed : float
        Simulated seconds per second.
    port : int
        Where it listens; 0 for any.
    overrides : str
        Application settings other than the usual ones.
    """

    def __init__(
        self, folder: Path, *, speed: float = 0.25, port: int = 0, **overrides: str
    ) -> None:
        self.clock = VirtualClock(NOW)
        self.faults = ScriptedFaults()
        self.venue = Venue(SyntheticMarket(3, ("BTCUSDT", "ETHUSDT")), start_ms=NOW)
        api = BinanceApi(
            self.venue, self.clock, {SIMULATED_KEY: SIMULATED_SECRET}, faults=self.faults
        )
        chosen = {**configuration(DEMONSTRATION).settings, "TIMEFRAMES": "1m", **overrides}
        settings = app_settings("http://exchange.invalid", **chosen)
        self.store = SqliteStore(str(folder / "state.db"), clock=self.clock)
        self.services = Services(
            settings, clock=self.clock, store=self.store, exchange_session=InProcessSession(api)
        )
        self.bodies: list[bytes] = []
        self._port = port
        self._loop = PacedLoop(self.clock, speed)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._session = requests.Session()
        self._session.trust_env = False
        self._thread.start()
        try:
            self.do(self._start(settings))
        except BaseException:
            self._session.close()
            self._end()
            raise
        self.url = f"http://127.0.0.1:{self._listener.port}"
        self.platform.host.base_url = self.url
        self.key = self.platform.host.keys.host["default"]
        self.master = self.platform.host.keys.master

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start(self, settings: Mapping[str, str]) -> None:
        # SQLite connections of the platform belong to the thread that made them.
        self.live = SignalR()
        self.platform = Platform(self.clock, self.services, settings, live=self.live)
        self._listener = HttpListener(
            self.platform.host.handle, self._port, routes=self.live.routes()
        )
        await self.platform.start()
        await self._listener.start()

    async def _stop(self) -> None:
        await self.live.close()
        await self._listener.stop()
        await self.platform.stop()

    def do(self, work: Any) -> Any:
        """Run a coroutine in the application's loop."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(60)

    def pass_time(self, seconds: float) -> None:
        """Let simulated time jump; what is due meanwhile happens late, as in a busy process."""

        async def jump() -> None:
            self.clock.sleep(seconds)
            await asyncio.sleep(0.01)

        self.do(jump())

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> requests.Response:
        """One request; with the host key unless told otherwise."""
        self.asked()
        sent = dict(headers or {})
        if key is not None:
            sent["x-functions-key"] = key or self.key
        answer = self._session.request(
            method, self.url + path, data=body, json=json, headers=sent, timeout=60
        )
        self.bodies.append(answer.content)
        described.check(method, path, answer.status_code, answer.content, answer.headers)
        return answer

    def asked(self) -> None:
        """Functions have one set of services in a process: from here on that of this one."""
        use(self.services)

    def state(self) -> dict[str, list[tuple[str, ...]]]:
        """Every document in the state file, and the exchange's orders and positions."""
        with self.store._lock:
            connection = self.store._connection
            tables = [
                row[0]
                for row in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
                )
            ]
            found = {
                table: connection.execute(
                    f'SELECT partition, id, body FROM "{table}" ORDER BY 1, 2'
                ).fetchall()
                for table in tables
            }
        ledger = self.venue.ledger(MAIN)
        found["exchange"] = [
            *[("order", str(o.order_id), o.status) for o in ledger.orders],
            *[("algo", str(a.algo_id), a.status) for a in ledger.algo_orders],
            *[("position", p.symbol, str(p.quantity)) for p in ledger.positions],
        ]
        return found

    def close(self) -> None:
        self._session.close()
        self.do(self._stop())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.store.close()


def problem(answer: requests.Response) -> str:
    """The message of an error answer of ours."""
    message: str = answer.json()["error"]["message"]
    return message
