"""One running instance of the application that can die at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from local.clock import VirtualClock, VirtualLoop
from local.configuration import DEMONSTRATION, configuration
from local.contracts import Request, Response
from local.exchange.session import InProcessSession
from local.host.worker import Invocation
from local.platform import Platform, app_settings
from local.simulate.asking import AskFaults
from local.simulate.boundaries import EventFaults, Hooks, HubFaults
from local.simulate.listing import PRICES
from local.simulate.machine import MachineClock
from local.simulate.market import RestlessMarket
from local.simulate.profiles import Profile
from local.simulate.signals import SeededSignals
from shared.bootstrap import Services
from shared.clock import Clock
from shared.compliance.stages import STAGES
from shared.risk.limits import Limits
from shared.risk.portfolio_limits import (
    MAX_CLUSTER_NOTIONAL,
    MAX_EXPECTED_SHORTFALL,
    MAX_HEAT,
    MAX_MARGINAL_SHORTFALL,
    MAX_VALUE_AT_RISK,
    PortfolioLimits,
)
from shared.risk.triggers import Thresholds
from shared.storage.store import Store
from shared.strategies.engine import Engine

#: Fewer positions than symbols and less than each at its largest, so that every limit binds; days
#: long enough for an episode.
LIMITS = Limits(
    max_leverage=5,
    max_open_positions=9,
    max_trades_per_day=1000,
    max_daily_loss=Decimal(1000),
    max_total_notional=Decimal(4000),
    max_drawdown=Decimal("0.20"),
    # Ten contracts that move as one: the portfolio must not be what keeps them from being traded.
    portfolio=PortfolioLimits(
        max_value_at_risk=MAX_VALUE_AT_RISK,
        max_expected_shortfall=MAX_EXPECTED_SHORTFALL,
        max_marginal_shortfall=MAX_MARGINAL_SHORTFALL,
        max_cluster_notional=MAX_CLUSTER_NOTIONAL,
        max_heat=MAX_HEAT,
    ),
)


#: Here faults are frequent by design: what would look like a fault of ours, or an intruder, must
#: not end every episode.
WIDE = Thresholds(
    volatility_ratio=Decimal(20),
    volatility_floor=Decimal("0.02"),
    disconnection_seconds=600,
    rejections=10_000,
    unknown_outcomes=10_000,
    foreign_orders=10_000,
    failed_logins=10_000,
    order_storm=10_000,
)
WATCHFUL = msgspec.structs.replace(WIDE, foreign_orders=4)
#: Those of the application itself where a market is to be judged.
NERVOUS = msgspec.structs.replace(
    WIDE, volatility_ratio=Decimal(8), volatility_floor=Decimal("0.006")
)

#: A stage in which a person approves every trade, without its daily handful and two symbols.
APPROVED = msgspec.structs.replace(STAGES["limited"], symbols=None, max_trades_per_day=1000)


class WaitingClock:
    """The clock of one process; tells who waits, and for how long."""

    def __init__(self, clock: VirtualClock | MachineClock, waits: Callable[[int], None]) -> None:
        self._clock = clock
        self._waits = waits

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def steady_ms(self) -> int:
        return self._clock.steady_ms()

    def seconds(self) -> float:
        return self._clock.seconds()

    def sleep(self, seconds: float) -> None:
        self._waits(round(max(0.0, seconds) * 1000))
        self._clock.sleep(seconds)


def thresholds_of(profile: Profile) -> Thresholds:
    """When the automatic triggers fire in a profile."""
    if profile.burst:
        return NERVOUS
    return WATCHFUL if profile.strangers else WIDE


def settings_of(profile: Profile) -> dict[str, str]:
    """What the environment of every instance says."""
    return app_settings(
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


def services_of(
    settings: dict[str, str],
    clock: Clock,
    store: Store,
    session: InProcessSession,
    seed: str,
    limits: Limits,
    profile: Profile,
    market: RestlessMarket | None = None,
) -> Services:
    """The application's own composition, with the widest limits and seeded signals."""
    services = Services(settings, clock=clock, store=store, exchange_session=session)
    save = Engine({}, services.exchange, store, clock).save
    services.__dict__["limits"] = limits
    closes = market.closes if market is not None and profile.burst else None
    services.__dict__["engine"] = SeededSignals(seed, save, closes)
    services.__dict__["thresholds"] = thresholds_of(profile)
    if profile.approvals:
        services.__dict__["stage"] = APPROVED
    return services


class Process:
    """Function host, task hub and event log on the files of an episode.

    Parameters
    ----------
    hooks : Hooks
        Its boundaries; ``hooks.dead`` ends it.
    folder : Path
        What survives it, besides store and exchange.
    observe : callable
        Told every invocation of a function.
    """

    def __init__(
        self,
        clock: VirtualClock,
        hooks: Hooks,
        services: Services,
        settings: dict[str, str],
        folder: Path,
        seed: int,
        observe: Callable[[Invocation], None],
    ) -> None:
        self.clock = clock
        self.hooks = hooks
        self.services = services
        self.loop = VirtualLoop(clock)
        self.platform = Platform(
            clock,
            services,
            settings,
            state=folder,
            seed=seed,
            delivery=EventFaults(hooks),
            faults=HubFaults(hooks),
        )
        self.platform.hub.rpc = AskFaults(hooks, self.platform.hub.rpc)  # type: ignore[method-assign]
        self.platform.host.on_invocation += [hooks.ended, observe]

    def start(self) -> None:
        """Raises whatever kills it while it starts."""
        self.wait(self.platform.start())

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let time pass until the work is done."""
        asyncio.set_event_loop(self.loop)
        try:
            return self.loop.run_until_complete(work)
        finally:
            asyncio.set_event_loop(None)

    def run_until(self, ms: int) -> None:
        """Let time pass until a moment."""
        left = ms - self.clock.now_ms()
        if left > 0:
            self.wait(asyncio.sleep(left / 1000))

    def http(self, method: str, target: str, body: Any) -> Response:
        """One request with the master key."""
        headers = [
            ("Host", "127.0.0.1"),
            ("Content-Type", "application/json"),
            ("x-functions-key", self.platform.host.keys.master),
        ]
        answer: Response = self.wait(
            self.platform.host.handle(Request(method, target, headers, json.dumps(body).encode()))
        )
        return answer

    def stop(self) -> None:
        """A clean shutdown, as in a deployment."""
        self.wait(self.platform.stop())
        self._bury()

    def abandon(self) -> None:
        """What remains of a process that was killed: files, and nothing else."""
        self.hooks.dead = True
        platform = self.platform
        platform.host.inputs.close()
        for database in (
            platform.event_log._db,
            platform.hub._core.store._db,
            platform.host._store._db,
        ):
            with contextlib.suppress(Exception):
                database.close()
        self._bury()

    def _bury(self) -> None:
        """End suspended coroutines without letting them do or say anything any more."""
        self.loop.set_exception_handler(lambda loop, context: None)
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            for task in asyncio.all_tasks(self.loop):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
            self.loop.close()
        finally:
            logging.disable(level)
