"""One episode: a market, a venue, the application, its operator, and everything that goes wrong."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from local.clock import VirtualClock
from local.contracts import Response
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessSession
from local.host.worker import Invocation
from local.platform import SIMULATED_KEY, SIMULATED_SECRET
from local.simulate.boundaries import ExchangeFaults, Hooks, Killed
from local.simulate.broken_stops import BrokenStops
from local.simulate.feed import Feed
from local.simulate.instances import Instances
from local.simulate.judge import Judge
from local.simulate.latches import Latches
from local.simulate.listing import PRICES, contracts_of
from local.simulate.machine import MachineClock
from local.simulate.market import RestlessMarket
from local.simulate.owner import Owner
from local.simulate.people import BY_HAND, Approver, Stranger
from local.simulate.process import (
    APPROVED,
    LIMITS,
    Process,
    WaitingClock,
    services_of,
    settings_of,
    thresholds_of,
)
from local.simulate.profiles import Profile
from local.simulate.refusals import Refusals
from local.simulate.result import Result, digest_of, seen
from local.simulate.rivals import Rivals
from local.simulate.schedule import Schedule
from local.simulate.store_faults import FaultyStore
from local.simulate.watching import observe
from local.simulate.weather import Weather
from local.simulate.witness import WitnessedStore
from shared.errors import BorsaError
from shared.market.timeframe import MINUTE_MS
from shared.simulation.venue import Venue

#: 2025-05-05 00:00 UTC.
MIDNIGHT = 1_746_403_200_000

#: Quiet minutes at the end: whatever was delayed arrives, time exits, guardian rounds.
TAIL_MINUTES = 4

#: They go on for so long if anything is unfinished: two looks at old reservations.
LONG_TAIL_MINUTES = 14

#: From sending a request to its answer, seconds.
LATENCY = 0.02


class World:
    """Runs one episode.

    Parameters
    ----------
    seed : str
        Everything follows from it.
    profile : Profile
    only : collection of str, optional
        Keys of faults; see :class:`~local.simulate.schedule.Schedule`.
    """

    def __init__(self, seed: str, profile: Profile, only: Collection[str] | None = None) -> None:
        self.seed, self.profile = seed, profile
        self._random = random.Random(f"world|{seed}")
        self.schedule = Schedule(seed, only)
        start = MIDNIGHT + self._random.randrange(9 * 60, 23 * 60) * MINUTE_MS
        if profile.funding:
            start = MIDNIGHT + (16 * 60 - self._random.randrange(3, 12)) * MINUTE_MS
        self.clock = VirtualClock(start)
        contracts = contracts_of((*PRICES, BY_HAND))
        prices = PRICES | {BY_HAND: 0.3}
        self._market = RestlessMarket(
            seed,
            contracts,
            prices,
            start,
            profile.jump,
            profile.jump_size,
            profile.sigma,
            profile.turnover,
            profile.burst,
        )
        self.venue = Venue(
            self._market, start_ms=start, contracts=contracts, deposit=Decimal(20_000)
        )
        self._broken_stops = BrokenStops(self.venue, self.schedule, profile.rates)
        self.faults = ExchangeFaults(
            lambda symbol: self.judge.closing(symbol),
            self._adds,
            lambda symbol, until: self.judge.unseen(symbol, until),
            self._served,
        )
        skew = self._random.randint(-profile.skew_ms, profile.skew_ms)
        self.api = BinanceApi(
            self.venue,
            self.clock,
            credentials={SIMULATED_KEY: SIMULATED_SECRET},
            faults=self.faults,
            clock_skew_ms=skew,
        )
        self.store = WitnessedStore(self.clock, lambda key: self.judge.switch.permitted(key))
        self.judge = Judge(
            self.venue,
            LIMITS,
            self.clock,
            self.store,
            triggers=profile.triggers,
            latches=lambda foreign: Latches(
                self._market, thresholds_of(profile), LIMITS.max_drawdown, foreign
            ),
            by_hand=BY_HAND,
            stage=APPROVED if profile.approvals else None,
            always=profile.settings.get("STOP_WATCH") == "always",
        )
        if "prices" in profile.rates:
            self.judge.prices = self.faults.prices
        self.judge.switch.one_clock = "clock" not in profile.rates
        self.weather = Weather(self.clock, self._waits, self.judge.blocked, self.judge.store_failed)
        self.judge.away_since = lambda: self.weather.away_since
        self.refusals = Refusals(self.judge.blocked, self.judge.switch.refused)
        if "halt" in profile.rates:
            self.faults.refusals = self.refusals
        self.stranger = Stranger(seed, self.venue, self.judge, tuple(PRICES))
        self._approver = Approver(seed, self.store, self.judge, self._post)
        self.settings = settings_of(profile)
        # Another instance of the same application, which nothing disturbs.
        ahead = random.Random(f"other|{seed}").randint(-profile.disagree_ms, profile.disagree_ms)
        self.other = services_of(
            self.settings,
            MachineClock(self.clock, ahead) if ahead else self.clock,
            self.store,
            InProcessSession(self.api),
            seed,
            LIMITS,
            profile,
            self._market,
        )
        self.other.kill_switch.ensure()
        self.folder = Path(tempfile.mkdtemp(prefix="simulate-", dir=_memory()))
        self.instances = Instances(
            seed, self.clock, self.judge, self.faults, self._instance, self._pass
        )
        self.decided = 0
        self.failures: Counter[str] = Counter()
        self._feed = Feed(self._market, profile, self.judge, self._tell)
        self.owner = Owner(
            self.judge,
            self.schedule,
            self._http,
            self._take_back,
            self.failures,
            lambda: self.refusals.until,
        )
        self._rivals = Rivals(
            self.other,
            self.faults,
            self.judge,
            self.owner,
            self.clock,
            self._feed.recent,
            len(PRICES),
            self.failures,
            self.instances.watch,
        )

    # ------------------------------------------------------------------ the episode

    def run(self, decisions: int) -> Result:
        """Let the application take so many decisions, then let everything settle and judge."""
        began = time.perf_counter()
        first = self.clock.now_ms()
        try:
            step = 0
            while self.decided < decisions and step < 10 * decisions:
                self._minute(step)
                step += 1
            self._tail(step)
            self.judge.quiescent(self.other)
            digest = digest_of(self.store)
            outcomes = Counter(
                r.body["decision"]["outcome"] for r in self.other.audit.records(kind="decision")
            )
            orders = self.venue.ledger().orders
            return Result(
                decisions=outcomes.total(),
                approved=outcomes["approved"],
                entries=sum(o.client_order_id.startswith("bq-e-") for o in orders),
                trades=len(list(self.judge.all("trades"))),
                stops=self.owner.stops,
                restarts=self.instances.restarts,
                minutes=(self.clock.now_ms() - first) // MINUTE_MS,
                fired=tuple(self.schedule.fired),
                violations=tuple(self.judge.violations),
                checked=dict(self.judge.checked),
                failures=dict(self.failures),
                audit=digest,
                seconds=time.perf_counter() - began,
                seen=seen(self.venue, self.judge) | self._counted(),
            )
        finally:
            self.instances.end()
            self.store.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _counted(self) -> dict[str, int]:
        return {
            "acts by hand": self.stranger.acts,
            "outages of the store": self.weather.outages,
            "successions": self.instances.successions,
            "halts looked at": self.owner.resumed,
        }

    def _minute(self, step: int, *, quiet: bool = False) -> None:
        """One simulated minute: bars close, signals act, time passes, somebody may stop it all."""
        self.schedule.begin(step)
        draw = random.Random(f"minute|{self.seed}|{step}")
        now = self.clock.now_ms()
        begin = now - now % MINUTE_MS + MINUTE_MS
        self._pass(begin + draw.randint(1_000, 4_000))
        if not quiet:
            self._feed.publish(begin, draw)
            if draw.random() < self.profile.strangers and self.judge.switch.stopped_at is None:
                self.api.advance()
                self.stranger.act(step)
        if draw.random() < self.profile.redeploy and not quiet:
            self.instances.redeploy()
        stop_at = None
        # A stop while the store is away is what is to be seen there.
        factor = 1 if self.weather.away_since is None else 5
        if draw.random() < self.profile.stop * factor and not quiet:
            stop_at = begin + draw.randint(2_000, 55_000)
        while self.clock.now_ms() < begin + MINUTE_MS - 2_000:
            often = self.judge.switch.stopped_at is not None or self.profile.approvals
            pause = 5_000 if often else 15_000
            until = min(self.clock.now_ms() + pause, begin + MINUTE_MS - 1_000)
            if stop_at is not None and stop_at <= until:
                self._pass(max(self.clock.now_ms(), stop_at))
                self.owner.wants_stop = True
                stop_at = None
            else:
                self._pass(until)
            self._broken_stops.lose_one()
            if self.profile.approvals:
                self._approver.look(self.clock.now_ms())
            self.owner.act(draw, self.clock.now_ms())
        if step % 10 == 9:
            self.judge.books()

    def _tail(self, step: int) -> None:
        """Minutes without faults and signals until everything must be finished."""
        self.schedule.pause()
        self.weather.over()
        self.api.advance()
        self.stranger.leave()
        self._feed.deliver()
        for number in range(LONG_TAIL_MINUTES):
            self._minute(step + number, quiet=True)
            if number >= TAIL_MINUTES - 1 and self.judge.finished(self.other):
                break

    # ------------------------------------------------------------------ time and processes

    def _pass(self, until: int) -> None:
        """Let time pass; a process that dies meanwhile is started again."""
        while self.clock.now_ms() < until:
            try:
                self.instances.running().run_until(until)
            except Killed:
                self.instances.bury()
        self.api.advance()
        self.judge.tick()

    def _instance(self, seed: int) -> Process:
        """Another process of the application, whose boundaries fail as the profile says."""
        machine = MachineClock(self.clock) if "clock" in self.profile.rates else None
        hooks = Hooks(
            self.schedule,
            self.profile.rates,
            self.clock,
            self.judge.blocked,
            self._rivals,
            self.judge.disturbed,
            self.judge.store_failed,
            partial(self._step, machine),
            self.instances.succeed,
        )
        self.faults.hooks = hooks
        services = services_of(
            self.settings,
            WaitingClock(machine or self.clock, self._waits),
            FaultyStore(
                self.store, hooks, self.weather if "outage" in self.profile.rates else None
            ),
            _session(self.api),
            self.seed,
            LIMITS,
            self.profile,
            self._market,
        )
        return Process(
            self.clock,
            hooks,
            services,
            self.settings,
            self.folder,
            seed,
            self._observe,
        )

    def _adds(self, symbol: str) -> None:
        self.api.advance()
        self.judge.leaves(symbol)

    def _served(self, symbol: str) -> None:
        # Told where the request is halfway.
        now, half = self.clock.now_ms(), round(LATENCY * 1000 / 2)
        self.judge.served(symbol, now - half, now + half)

    def _waits(self, ms: int) -> None:
        self.judge.slept(self.faults.symbol, ms)

    def _step(self, machine: MachineClock | None, kind: str, draw: random.Random) -> None:
        """Something happens to the clock that a process lives by."""
        if machine is None:
            return
        if kind != "frozen":
            machine.step(kind, draw)
            return
        began = self.clock.now_ms()
        self.schedule.pause()
        try:
            self._rivals("freeze", draw)
        finally:
            self.schedule.resume()
        machine.stood_still(self.clock.now_ms() - began, draw)

    # ------------------------------------------------------------------ what comes in

    def _tell(self, raw: bytes) -> None:
        self.instances.running().platform.event_log.append("market", raw)

    def _http(self, target: str, body: dict[str, Any]) -> Response | None:
        try:
            return self.instances.running().http("POST", target, body)
        except Killed:
            self.instances.bury()
            return None

    def _post(self, target: str, body: dict[str, Any]) -> int | None:
        answer = self._http(target, body)
        return None if answer is None else answer.status

    def _take_back(self) -> None:
        self.api.advance()
        self.stranger.leave()

    # ------------------------------------------------------------------ what it did

    def _observe(self, invocation: Invocation) -> None:
        if invocation.function == "assess" and invocation.error is None:
            self.decided += 1
        observe(self.judge, invocation, self.settings["STOP_WATCH"])
        error = invocation.error
        if error is None:
            return
        name = f"{invocation.function}: {type(error).__name__}"
        self.failures[name] += 1
        if not isinstance(error, BorsaError):
            self.judge.broken(0, f"{name}: {error}", self.clock.now_ms())


def _session(api: BinanceApi) -> InProcessSession:
    return InProcessSession(api, latency=LATENCY)


def _memory() -> str | None:
    """A folder in memory where the system has one: these files live for a second."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None
