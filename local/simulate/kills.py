"""``kill -9`` of the host at random moments while the exchange goes on, in real processes.

The exchange and the judge live here; the host is another process on files of its own, killed
before or after a request is executed, or some real milliseconds later, and started again.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessSession
from local.invariants import Violation
from local.listening import Listening
from local.platform import ROOT, SIMULATED_KEY, SIMULATED_SECRET
from local.simulate import killed
from local.simulate.judge import Judge
from local.simulate.listing import PRICES, contracts_of
from local.simulate.market import RestlessMarket
from local.simulate.people import BY_HAND
from local.simulate.process import LIMITS, services_of
from local.simulate.profiles import PROFILES
from local.simulate.world import LONG_TAIL_MINUTES, MIDNIGHT
from shared.errors import InvalidInput
from shared.market.timeframe import MINUTE_MS
from shared.simulation.venue import Venue
from shared.storage.sqlite import SqliteStore

#: Requests of one run at most before it is killed.
LONGEST = 250

#: Real seconds after an answer within which a kill may fall.
LATER = 0.03

#: Minutes of exchange time a run gets; it is killed long before.
ENDLESS = 10_000

Told = Callable[[int, str], None]


class KillReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was killed and what was found. ``at`` counts the kills by their moment."""

    kills: int
    at: dict[str, int]
    requests: int
    decisions: int
    entries: int
    trades: int
    minutes: int
    violations: tuple[Violation, ...]
    seconds: float


class Kills:
    """One exchange, one host after another.

    Parameters
    ----------
    kills : int
        How often the host is killed.
    seed : int
        Of the market, the signals and the moments. How far a process has come some real
        milliseconds after an answer differs from run to run, as it does outside.
    """

    def __init__(self, kills: int, seed: int, told: Told = lambda kill, moment: None) -> None:
        if kills < 1:
            raise InvalidInput(f"--kills {kills}: at least one")
        self._kills, self._seed, self._told = kills, seed, told
        self._draw = random.Random(f"kills|{seed}")
        start = MIDNIGHT + self._draw.randrange(9 * 60, 13 * 60) * MINUTE_MS
        self._began = start
        self.clock = VirtualClock(start)
        contracts = contracts_of((*killed.SYMBOLS, BY_HAND))
        prices = PRICES | {BY_HAND: 0.3}
        market = RestlessMarket(str(seed), contracts, prices, start, 0.01)
        self.venue = Venue(market, start_ms=start, contracts=contracts, deposit=Decimal(20_000))
        self.api = BinanceApi(self.venue, self.clock, credentials={SIMULATED_KEY: SIMULATED_SECRET})
        self.folder = Path(tempfile.mkdtemp(prefix="kills-"))
        self.store = SqliteStore(str(self.folder / "state.db"), clock=self.clock)
        self.judge = Judge(self.venue, LIMITS, self.clock, self.store)
        self._process: Any = None
        self._run = 0
        self._left = 0
        self._only_orders = False
        self._requests = 0
        self._at: Counter[str] = Counter()
        self._moment = ""
        self._count = 0

    def run(self) -> KillReport:
        """Everything, then the judgement."""
        began = time.perf_counter()
        try:
            asyncio.run(self._serve())
            services = services_of(
                killed.settings_for("http://exchange.invalid", self.folder, trading=False),
                self.clock,
                self.store,
                InProcessSession(self.api),
                str(self._seed),
                LIMITS,
                PROFILES["quiet"],
            )
            self.judge.quiescent(services)
            decisions = sum(1 for _ in services.audit.records(kind="decision"))
            return KillReport(
                kills=self._count,
                at=dict(self._at),
                requests=self._requests,
                decisions=decisions,
                entries=sum(
                    o.client_order_id.startswith("bq-e-") for o in self.venue.ledger().orders
                ),
                trades=len(self.judge.all("trades")),
                minutes=(self.clock.now_ms() - self._began) // MINUTE_MS,
                violations=tuple(self.judge.violations),
                seconds=time.perf_counter() - began,
            )
        finally:
            self.store.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        listening = Listening(app, "127.0.0.1", 0)
        await listening.start()
        try:
            url = f"http://127.0.0.1:{listening.port}"
            for number in range(self._kills):
                self._left = self._draw.randrange(1, LONGEST)
                self._only_orders = self._draw.random() < 0.5
                await self._host(url, ENDLESS, end=False)
                self._told(number + 1, self._moment)
                self._down()
            self._left = 0
            await self._host(url, LONG_TAIL_MINUTES, end=True)
        finally:
            await listening.stop()

    def _down(self) -> None:
        """The exchange goes on while nobody is there."""
        down = self._draw.choice((200, 2_000, 15_000))
        self.judge.blocked(down)
        self.clock.sleep(down / 1000)
        self.api.advance()
        self.judge.tick()

    async def _host(self, url: str, minutes: int, *, end: bool) -> None:
        """One process, to its end."""
        self._run += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.simulate.killed",
            url,
            str(self.folder),
            str(self._seed),
            str(self._run),
            str(self.clock.now_ms()),
            str(minutes),
            "end" if end else "trade",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        code = await self._process.wait()
        if code not in (0, -signal.SIGKILL) or (end and code):
            self.judge.broken(0, f"the host ended with {code}", self.clock.now_ms())

    # ------------------------------------------------------------------ the exchange's side

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except ConnectionError:
            # Killed while it was sending.
            return self._gone(request)
        if request.headers.get(killed.RUN_HEADER) != str(self._run):
            # Sent by a process that has been killed since: no later one may be held up by it.
            return self._gone(request)
        self._requests += 1
        self.clock.advance_to(int(request.headers[killed.TIME_HEADER]))
        moment = self._falls(request)
        if moment == "before":
            self._kill(f"before {request.method} {_name(request)}")
            return self._gone(request)
        status, headers, content = self.api.handle(
            request.method,
            request.path,
            request.rel_url.raw_query_string,
            request.headers,
            body,
        )
        self.judge.tick()
        if moment == "after":
            self._kill(f"after {request.method} {_name(request)}")
            return self._gone(request)
        if moment == "later":
            asyncio.get_running_loop().call_later(
                self._draw.uniform(0, LATER), self._kill, "some milliseconds later"
            )
        return web.Response(status=status, headers=headers, body=content)

    def _falls(self, request: web.Request) -> str:
        """Whether the process dies at this request, and when."""
        if self._left > 1:
            self._left -= 1
            return ""
        if self._left == 0:
            return ""
        if self._only_orders and not (
            request.method == "POST" and request.path.endswith(("/order", "/algoOrder"))
        ):
            return ""
        self._left = 0
        return self._draw.choice(("before", "after", "later"))

    def _kill(self, moment: str) -> None:
        self._moment = moment
        self._count += 1
        self._at[moment] += 1
        self._at["with a position open"] += self.judge.held_at_all()
        self._at["with a position without its full stop"] += self.judge.naked_at_all()
        self._process.send_signal(signal.SIGKILL)

    @staticmethod
    def _gone(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def _name(request: web.Request) -> str:
    return request.path.rsplit("/", 1)[-1]
