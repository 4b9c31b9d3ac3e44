"""One episode: a market, a venue, the application, its operator, and everything that goes wrong."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from local.clock import VirtualClock
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessSession
from local.host.worker import Invocation
from local.invariants import Violation
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, TOTP_SECRET, app_settings
from local.simulate.boundaries import ExchangeFaults, FaultyStore, Hooks, Killed
from local.simulate.judge import Judge
from local.simulate.latches import Latches
from local.simulate.market import RestlessMarket
from local.simulate.people import BY_HAND, Approver, Stranger
from local.simulate.process import (
    APPROVED,
    LIMITS,
    Process,
    WaitingClock,
    services_of,
    thresholds_of,
)
from local.simulate.profiles import Profile
from local.simulate.schedule import Schedule
from shared.audit.chain import walk
from shared.audit.record import canonical
from shared.errors import BorsaError
from shared.execution import assess, emergency, entry, guardian, reconcile
from shared.market.candle import Candle
from shared.market.events import encode
from shared.market.timeframe import MINUTE_MS
from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract
from shared.simulation.link import set_status
from shared.simulation.orders import AlgoOrder
from shared.simulation.venue import Venue
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store
from shared.strategies.signal import SIGNAL_VERSION, signal_id

#: 2025-05-05 00:00 UTC.
MIDNIGHT = 1_746_403_200_000

#: Where each symbol begins. The venue's own four, and more of the same make.
PRICES = {
    "BTCUSDT": 95_000.0,
    "ETHUSDT": 3_300.0,
    "XRPUSDT": 2.2,
    "ADAUSDT": 0.7,
    "SOLUSDT": 150.0,
    "BNBUSDT": 600.0,
    "LTCUSDT": 90.0,
    "DOTUSDT": 4.0,
    "LINKUSDT": 14.0,
    "AVAXUSDT": 21.0,
    "ATOMUSDT": 4.5,
    "UNIUSDT": 7.0,
    "NEARUSDT": 2.6,
    "ETCUSDT": 17.0,
    "TRXUSDT": 0.25,
    "BCHUSDT": 380.0,
}

#: USDT per basis point of the thin books: an entry often fills in part only.
THIN = 12.0
THIN_SYMBOLS = ("LTCUSDT", "LINKUSDT", "AVAXUSDT")

#: Random faults go on for so long after an emergency stop; then it must come to its end.
STORM_AFTER_STOP_MS = 10_000

#: A switch that cannot be cleared for so long on a flat, undisturbed account is stuck.
CLEAR_MS = 300_000

#: Quiet minutes at the end: whatever was delayed arrives, time exits, guardian rounds.
TAIL_MINUTES = 4

#: They go on for so long if anything is unfinished: two looks at old reservations.
LONG_TAIL_MINUTES = 14


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an episode was."""

    decisions: int
    approved: int
    entries: int
    trades: int
    stops: int
    restarts: int
    minutes: int
    fired: tuple[str, ...]
    violations: tuple[Violation, ...]
    checked: dict[int, int]
    failures: dict[str, int]
    audit: str
    seconds: float
    #: What the market and people did: liquidations, funding payments, acts by hand, answers.
    seen: dict[str, int]


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
        if "trigger" in profile.rates:
            self.venue.core.forward_trigger = self._forwards
        self.faults = ExchangeFaults(lambda symbol: self.judge.closing(symbol), self._adds)
        skew = self._random.randint(-profile.skew_ms, profile.skew_ms)
        self.api = BinanceApi(
            self.venue,
            self.clock,
            credentials={SIMULATED_KEY: SIMULATED_SECRET},
            faults=self.faults,
            clock_skew_ms=skew,
        )
        self.store = SqliteStore(":memory:", clock=self.clock)
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
        )
        self.stranger = Stranger(seed, self.venue, self.judge, tuple(PRICES))
        self._approver = Approver(seed, self.store, self.judge, self._post)
        self.settings = app_settings(
            "http://exchange.invalid",
            **{
                **configuration(DEMONSTRATION).rest,
                "SYMBOLS": ",".join(PRICES),
                "TIMEFRAMES": "1m",
                "BORSA_TELEMETRY": "false",
                "MAX_HOLDING_BARS": "3",
                "STOP_WATCH": "0",
                "AzureWebJobs.poll_candles.Disabled": "true",
                "AzureWebJobs.daily_report.Disabled": "true",
                **profile.settings,
            },
        )
        # Another instance of the same application, which nothing disturbs.
        self.other = services_of(
            self.settings,
            self.clock,
            self.store,
            InProcessSession(self.api),
            seed,
            LIMITS,
            profile,
            self._market,
        )
        self.other.kill_switch.ensure()
        self.folder = Path(tempfile.mkdtemp(prefix="simulate-", dir=_memory()))
        self.process: Process | None = None
        self._recent: list[tuple[str, str]] = []
        self._unheard: list[bytes] = []
        self._bars: list[tuple[str, int]] = []
        self._silent_minutes = 0
        self._stop_wanted = False
        self._mistyped = 0
        self._flat_since: int | None = None
        self._begun = 0
        self.decided = self.stops = self.restarts = 0
        self.failures: Counter[str] = Counter()

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
            digest = _digest(self.store)
            outcomes = Counter(
                r.body["decision"]["outcome"] for r in self.other.audit.records(kind="decision")
            )
            orders = self.venue.ledger().orders
            return Result(
                decisions=outcomes.total(),
                approved=outcomes["approved"],
                entries=sum(o.client_order_id.startswith("bq-e-") for o in orders),
                trades=len(list(self.judge._all("trades"))),
                stops=self.stops,
                restarts=self.restarts,
                minutes=(self.clock.now_ms() - first) // MINUTE_MS,
                fired=tuple(self.schedule.fired),
                violations=tuple(self.judge.violations),
                checked=dict(self.judge.checked),
                failures=dict(self.failures),
                audit=digest,
                seconds=time.perf_counter() - began,
                seen=self._seen(),
            )
        finally:
            self._end()

    def _seen(self) -> dict[str, int]:
        ledger = self.venue.ledger()
        return {
            "liquidations": sum(o.client_order_id.startswith("autoclose") for o in ledger.orders),
            "funding payments": sum(i.kind == "FUNDING_FEE" for i in ledger.income),
            "acts by hand": self.stranger.acts,
            "answers to approvals": len(self.judge.verdicts),
            "stops that failed": len(self.judge.vigil.failures),
            "of them watched": len(self.judge.vigil.watched),
            "automatic latches": self.judge.latched,
            "sales above the limit by a rise in flight": len(self.judge.risen),
        }

    def _minute(self, step: int, *, quiet: bool = False) -> None:
        """One simulated minute: bars close, signals act, time passes, somebody may stop it all."""
        self.schedule.begin(step)
        draw = random.Random(f"minute|{self.seed}|{step}")
        now = self.clock.now_ms()
        begin = now - now % MINUTE_MS + MINUTE_MS
        self._pass(begin + draw.randint(1_000, 4_000))
        if not quiet:
            self._publish(begin, draw)
            if draw.random() < self.profile.strangers and self.judge.stopped_at is None:
                self.api.advance()
                self.stranger.act(step)
        if draw.random() < self.profile.redeploy and not quiet:
            self._redeploy()
        stop_at = None
        if draw.random() < self.profile.stop and not quiet:
            stop_at = begin + draw.randint(2_000, 55_000)
        while self.clock.now_ms() < begin + MINUTE_MS - 2_000:
            often = self.judge.stopped_at is not None or self.profile.approvals
            pause = 5_000 if often else 15_000
            until = min(self.clock.now_ms() + pause, begin + MINUTE_MS - 1_000)
            if stop_at is not None and stop_at <= until:
                self._pass(max(self.clock.now_ms(), stop_at))
                self._stop_wanted = True
                stop_at = None
            else:
                self._pass(until)
            self._operate(draw)
        if step % 10 == 9:
            self.judge.books()

    def _tail(self, step: int) -> None:
        """Minutes without faults and signals until everything must be finished."""
        self.schedule.pause()
        self.api.advance()
        self.stranger.leave()
        for raw in self._unheard:
            self._alive().platform.event_log.append("market", raw)
        for number in range(LONG_TAIL_MINUTES):
            self._minute(step + number, quiet=True)
            if number >= TAIL_MINUTES - 1 and self.judge.finished(self.other):
                break

    # ------------------------------------------------------------------ time and processes

    def _pass(self, until: int) -> None:
        """Let time pass; a process that dies meanwhile is started again."""
        while self.clock.now_ms() < until:
            try:
                self._alive().run_until(until)
            except Killed:
                self._bury()
        self.api.advance()
        self.judge.tick()

    def _alive(self) -> Process:
        while self.process is None:
            hooks = Hooks(
                self.schedule,
                self.profile.rates,
                self.clock,
                self.judge.blocked,
                self._rival,
                self.judge.disturbed,
                self.judge.store_failed,
            )
            self.faults.hooks = hooks
            services = services_of(
                self.settings,
                WaitingClock(self.clock, self._waits),
                FaultyStore(self.store, hooks),
                _session(self.api),
                self.seed,
                LIMITS,
                self.profile,
                self._market,
            )
            self.process = Process(
                self.clock,
                hooks,
                services,
                self.settings,
                self.folder,
                self._seed_number(),
                self._observe,
            )
            try:
                self.process.start()
            except Killed:
                self._bury()
        return self.process

    def _adds(self, symbol: str) -> None:
        self.api.advance()
        self.judge.leaves(symbol)

    def _waits(self, ms: int) -> None:
        self.judge.slept(self.faults.symbol, ms)

    def _bury(self) -> None:
        """The process has died: seconds pass before the next one runs."""
        assert self.process is not None
        self.process.abandon()
        self.process = None
        self.faults.hooks = None
        self.restarts += 1
        down = random.Random(f"down|{self.seed}|{self.restarts}").choice((200, 2_000, 15_000))
        self.judge.blocked(down)
        self.clock.sleep(down / 1000)

    def _redeploy(self) -> None:
        """A clean stop and a new process on what is stored."""
        if self.process is None:
            return
        began = self.clock.now_ms()
        try:
            self.process.stop()
        except Killed:
            self._bury()
            return
        self.process = None
        self.faults.hooks = None
        self.restarts += 1
        self.judge.blocked(self.clock.now_ms() - began, since=began)

    def _seed_number(self) -> int:
        return random.Random(f"hub|{self.seed}|{self.restarts}").getrandbits(32)

    def _end(self) -> None:
        if self.process is not None:
            self.process.abandon()
            self.process = None
        self.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------ what comes in

    def _publish(self, begin: int, draw: random.Random) -> None:
        """The bars that just closed, as the poller publishes them."""
        if self._silent_minutes:
            self._silent_minutes -= 1
        elif draw.random() < self.profile.silence:
            self._silent_minutes = draw.randint(1, 6)
        for symbol in PRICES:
            bar = self._market.bar(symbol, begin - MINUTE_MS)
            candle = Candle(
                symbol=symbol,
                timeframe="1m",
                open_time=bar.open_time,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
            )
            close = signal_id(symbol, "1m", candle.close_time, SIGNAL_VERSION)
            self._recent.append((symbol, close))
            self._unheard.append(encode(candle))
            if self.profile.burst:
                self._bars.append((symbol, bar.open_time))
        del self._recent[:-20]
        if self._silent_minutes:
            if draw.random() < 0.3:
                self._unheard.clear()
                self._bars.clear()
            return
        log = self._alive().platform.event_log
        for raw in self._unheard:
            log.append("market", raw)
        self._unheard.clear()
        for symbol, opened in self._bars:
            self.judge.heard(symbol, opened)
        self._bars.clear()

    def _operate(self, draw: random.Random) -> None:
        """What a person does: stop when they want to, clear when the account is flat."""
        judge, now = self.judge, self.clock.now_ms()
        if self.profile.approvals:
            self._approver.look(now)
        if self._stop_wanted:
            self._stop()
        if judge.stopped_at is not None and not judge.must_be_flat:
            # Latched for what people do by hand: they take their orders back, so that it ends.
            self.api.advance()
            self.stranger.leave()
        if judge.stopped_at is None:
            self._flat_since = None
            self.schedule.calm = False
            return
        self.schedule.calm = now > judge.stopped_at + STORM_AFTER_STOP_MS
        if not judge.flat():
            self._flat_since = None
            return
        if self._flat_since is None:
            self._flat_since = now
        if self.schedule.calm and now > self._flat_since + 20_000:
            self._clear(draw, now)

    def _post(self, target: str, body: dict[str, Any]) -> int | None:
        try:
            return self._alive().http("POST", target, body).status
        except Killed:
            self._bury()
            return None

    def _stop(self) -> None:
        try:
            answer = self._alive().http(
                "POST", "/api/emergency-stop", {"reason": "simulated", "operator": "harness"}
            )
        except Killed:
            self._bury()
            return
        self.failures[f"stop {answer.status}"] += 1
        if answer.status == 202:
            self._stop_wanted = False
            self.stops += 1
            self.judge.stopped(self.clock.now_ms())

    def _clear(self, draw: random.Random, now: int) -> None:
        import pyotp

        code = pyotp.TOTP(TOTP_SECRET).at(now // 1000)
        # Five wrong codes in a row would lock the second factor for longer than this waits.
        wrong = draw.random() < 0.3 and self._mistyped < 3
        self._mistyped += wrong
        body = {
            "code": f"{(int(code) + 1) % 1_000_000:06d}" if wrong else code,
            "reason": "simulated: everything was looked at",
            "operator": "harness",
        }
        try:
            answer = self._alive().http("POST", "/api/kill-switch/clear", body)
        except Killed:
            self._bury()
            return
        self.failures[f"clear {answer.status}"] += 1
        if answer.status == 200:
            if wrong:
                self.judge.broken(6, "cleared with a wrong code", now)
            self._mistyped = 0
            self.judge.cleared()
        elif b"locked until" in answer.body:
            # Too many wrong codes: nobody clears for a while, and that is right.
            self._flat_since = now
        elif self._flat_since is not None and now > self._flat_since + CLEAR_MS:
            self.judge.broken(6, f"cannot be cleared: {answer.body.decode()[:300]}", now)

    # ------------------------------------------------------------------ another instance

    def _rival(self, what: str, draw: random.Random) -> None:
        """Another instance does something between two effects of the disturbed one.

        That one is frozen meanwhile: it can protect nothing, and its store seems slow to it.
        """
        hooks, self.faults.hooks = self.faults.hooks, None
        known = self._recent if what == "copy" else self._recent[-len(PRICES) :]
        if what == "same":
            known = [k for k in known if k[0] == self.faults.symbol]
        symbol, signal = draw.choice(known) if known else ("", "")
        try:
            with self.judge.frozen(symbol if what in ("copy", "same", "trade") else ""):
                self._rivals(what, symbol, signal)
        except BorsaError as error:
            self.failures[f"rival {what}: {type(error).__name__}"] += 1
        finally:
            self.faults.hooks = hooks

    def _rivals(self, what: str, symbol: str, signal: str) -> None:
        desk = self.other.desk()
        if what == "guardian":
            guardian.guard(desk)
        elif what == "reconcile":
            reconcile.reconcile(desk)
        elif what in ("copy", "same") and symbol:
            entry.open_position(desk, symbol, signal)
        elif what == "trade" and symbol:
            if assess.assess(desk, symbol, signal).outcome == "approved":
                entry.open_position(desk, symbol, signal)
        elif what in ("stop", "stop-flatten"):
            emergency.latch(desk, "manual", {"reason": "simulated"}, f"rival-{desk.clock.now_ms()}")
            self.judge.stopped(self.clock.now_ms())
            self._stop_wanted = True
            if what == "stop-flatten":
                emergency.flatten_account(desk, f"rival-{desk.clock.now_ms()}")
        elif what == "flatten" and self.judge.stopped_at is not None:
            emergency.flatten_account(desk, f"rival-{desk.clock.now_ms()}")

    # ------------------------------------------------------------------ what it did

    def _observe(self, invocation: Invocation) -> None:
        if invocation.function == "assess" and invocation.error is None:
            self.decided += 1
        self._watched(invocation)
        error = invocation.error
        if error is None:
            return
        name = f"{invocation.function}: {type(error).__name__}"
        self.failures[name] += 1
        if not isinstance(error, BorsaError):
            self.judge.broken(0, f"{name}: {error}", self.clock.now_ms())

    def _watched(self, invocation: Invocation) -> None:
        """What the guardian and the watch over near stops did, from outside."""
        share = Decimal(self.settings["STOP_WATCH"])
        if not share or invocation.error is not None:
            return
        if invocation.function == "guardian":
            self.judge.round(invocation.started_ms, share)
        elif invocation.function == "watch_stop":
            asked = json.loads(invocation.inputs()["payload"]["string"])
            again = json.loads(invocation.return_value.value)["again"]
            self.judge.vigil.looked(asked["symbol"], invocation.ended_ms, again=again)

    def _forwards(self, algo: AlgoOrder) -> bool:
        """Whether the venue makes an order of what has triggered."""
        struck = self.schedule.draw("trigger", self.profile.rates.get("trigger", ()))
        if struck is None:
            return True
        if struck[0] == "refused":
            set_status(self.venue.core, self.venue.account(), algo, "REJECTED")
        return False


def _session(api: BinanceApi) -> InProcessSession:
    return InProcessSession(api, latency=0.02)


def contracts_of(symbols: Collection[str]) -> dict[str, Contract]:
    """The venue's contracts, and more symbols made like one of them."""
    model = DEFAULT_CONTRACTS["ETHUSDT"]
    found = dict(DEFAULT_CONTRACTS)
    for symbol, price in (*PRICES.items(), (BY_HAND, 0.3)):
        if symbol not in found:
            base = DEFAULT_CONTRACTS["XRPUSDT"] if price < 20 else model
            instrument = msgspec.structs.replace(
                base.instrument,
                symbol=symbol,
                min_price=Decimal("0.01"),
                tick_size=Decimal("0.0001") if price < 20 else Decimal("0.01"),
            )
            found[symbol] = msgspec.structs.replace(
                base, instrument=instrument, base_asset=symbol.removesuffix("USDT")
            )
    for symbol in THIN_SYMBOLS:
        found[symbol] = msgspec.structs.replace(found[symbol], depth_per_bps=THIN)
    return {symbol: found[symbol] for symbol in symbols}


def _memory() -> str | None:
    """A folder in memory where the system has one: these files live for a second."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None


def _digest(store: Store) -> str:
    """SHA-256 over the whole audit chain, as it is exported."""
    digest = hashlib.sha256()
    for _, body in walk(store, "main"):
        digest.update(canonical(body))
    return digest.hexdigest()
