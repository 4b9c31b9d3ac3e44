"""Composition root: settings -> ports wired to their adapters. Lazy; nothing happens at import.

The embedded platform and the tests hand in what differs there (clock, HTTP session, secrets)
through :func:`use`; the code that runs is the same. What is built on what: ports, rules, decisions
(:mod:`shared.wiring`), and here what needs them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING

from shared.wiring.decisions import Decisions

if TYPE_CHECKING:
    from shared.compliance.evidence import Deployment
    from shared.execution.desk import Desk
    from shared.opinions import Opinions
    from shared.portfolio.dashboard import Dashboard
    from shared.strategies.engine import Engine
    from shared.strategies.sentiment import Reading


class Services(Decisions):
    """Every port of the application, built on first use and then kept.

    Parameters as of :class:`~shared.wiring.ports.Ports`.
    """

    @cached_property
    def engine(self) -> Engine:
        from shared.strategies.engine import Engine

        def sentiment(symbol: str, at: int) -> Reading:
            return self.opinions.texts.reading(symbol, at)

        voting = None if self.champions is None else self.champions.voting
        return Engine(
            self.plan, self.exchange, self.store, self.clock, sentiment=sentiment, voting=voting
        )

    @cached_property
    def opinions(self) -> Opinions:
        """Language model, sentiment and documents: asked by people, never on an order's way."""
        from shared.opinions import Opinions

        return Opinions(self)

    @property
    def stage_problems(self) -> tuple[str, ...]:
        """What forbids new exposure on this venue in this stage (invariant 11), as of now.

        Evidence that cannot be read forbids it too, and nothing else: every desk asks here, those
        that close and protect as well.
        """
        from shared.compliance import progress, promotion
        from shared.errors import StoreError

        s = self.settings
        if s.binance_environment != "production":
            return ()
        try:
            known = progress.read(self._new_desk())
        except StoreError as error:
            return (f"the evidence of stage {s.trading_stage} cannot be read: {error}",)
        return promotion.problems(known, s.trading_stage, s.binance_environment)

    def deployment(self) -> Deployment:
        """Where secrets come from and alerts go, for the checklist."""
        from shared.alerts.destinations import reach
        from shared.compliance.evidence import Deployment
        from shared.errors import ConfigurationError
        from shared.execution.binance.environment import is_stated
        from shared.security.secrets import SECRETS

        missing, stated = [], False
        for name in SECRETS:
            try:
                value = self.secrets.get(name)
            except ConfigurationError:
                missing.append(name)
                continue
            stated = stated or (name == "binance-api-key" and is_stated(value))
        return Deployment(
            vault=bool(self.settings.key_vault_uri),
            secrets_missing=tuple(missing),
            key_stated=stated,
            alerts=reach(self.settings, self.secrets),
        )

    @cached_property
    def dashboard(self) -> Dashboard:
        from shared.portfolio.dashboard import Dashboard

        set_ = self.settings
        channels = bool(set_.alert_url or set_.alert_channels or set_.alert_escalation)
        return Dashboard(self.desk, set_.timeframes, lambda: self.voting_models, channels=channels)

    @cached_property
    def _new_desk(self) -> Callable[..., Desk]:
        from shared.execution.desk import Desk

        watched = self.settings.stop_watch
        return partial(
            Desk,
            account=self.settings.account_id,
            symbols=self.settings.symbols,
            clock=self.clock,
            store=self.store,
            exchange=self.exchange,
            deciding=self.deciding,
            audit=self.audit,
            ledger=self.ledger,
            kill_switch=self.kill_switch,
            limits=self.limits,
            sizing=self.sizing,
            stage=self.stage,
            settings_wrong=bool(self.wrong_settings),
            recv_window_ms=self.settings.binance_recv_window_ms,
            histories=self.histories,
            environment=self.settings.binance_environment,
            stops=self.stops,
            stop_watch=Decimal(0) if watched == "always" else Decimal(watched),
            watch_always=watched == "always",
            entry_style=self.settings.entry_style,
            chase_ms=self.settings.entry_chase_seconds * 1000,
            thresholds=self.thresholds,
            closing_triggers=self.closing_triggers,
            violations_block=self.settings.violations_block,
            message_limit=self.settings.message_limit,
        )

    def desk(self) -> Desk:
        """A desk for one invocation, with an outbox of its own."""
        return self._new_desk(stage_problems=self._problems())

    def viewing_desk(self) -> Desk:
        """A desk for whoever only looks: its exchange is :attr:`view`."""
        return self._new_desk(stage_problems=self._problems(), exchange=self.view)

    def _problems(self) -> tuple[str, ...]:
        problems = tuple(f"a setting is wrong: {p}" for p in self.wrong_settings)
        if self.settings.binance_environment == "production":
            problems += self.stage_problems
        return problems

    def exit_desk(self) -> Desk:
        """A desk that only closes and protects: settings may be wrong (:meth:`for_exits`), and the
        store is not asked what the stage may open, which a store that hangs would hold up."""
        return self.for_exits()._new_desk(stage_problems=("this desk opens nothing",))


_lock = threading.Lock()
_services: Services | None = None


def services() -> Services:
    """The services of this process."""
    global _services
    found = _services
    if found is not None:
        return found
    with _lock:
        if _services is None:
            _services = Services()
        return _services


def use(replacement: Services | None) -> None:
    """Replace the services of this process; ``None`` to build them anew on next use."""
    global _services
    with _lock:
        _services = replacement
