"""Composition root: settings -> ports wired to their adapters. Lazy; nothing happens at import.

The embedded platform and the tests hand in what differs there (clock, HTTP session, secrets)
through :func:`use`; the code that runs is the same.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from shared import settings as settings_module
from shared import telemetry
from shared.clock import Clock, SystemClock
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.access.door import Door
    from shared.audit.log import AuditLog
    from shared.compliance.evidence import Deployment
    from shared.compliance.stages import StageRules
    from shared.errors import ExchangeError
    from shared.execution.binance.adapter import BinanceExchange
    from shared.execution.binance.budget import RateBudget
    from shared.execution.desk import Desk
    from shared.execution.histories import Histories
    from shared.intelligence.champions import Champions
    from shared.intelligence.predictions import Predictor
    from shared.intelligence.promotion import Models
    from shared.intelligence.registry import Registry
    from shared.intelligence.scoring import Scorer
    from shared.operations.retraining import Retraining
    from shared.opinions import Opinions
    from shared.portfolio.dashboard import Dashboard
    from shared.research.sweep_market import Markets
    from shared.risk.kill_switch import KillSwitch
    from shared.risk.ledger import RiskLedger
    from shared.risk.limits import Limits
    from shared.risk.sizing import SizingConfig
    from shared.risk.stops import StopRules
    from shared.risk.triggers import Thresholds
    from shared.security.secrets import Secrets
    from shared.security.throttle import Throttle
    from shared.security.totp import SecondFactor
    from shared.storage.store import Store
    from shared.strategies.config import EnsembleConfig
    from shared.strategies.engine import Engine, Plan
    from shared.strategies.recent import RecentCandles
    from shared.strategies.sentiment import Reading


class Services:
    """Every port of the application, built on first use and then kept.

    Parameters
    ----------
    environment : mapping
        Where settings (and, locally, secrets) are read from.
    clock, store, secrets : optional
        Instead of the ones the settings call for.
    exchange_session : optional
        What python-binance sends its requests with, instead of a ``requests.Session``.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        clock: Clock | None = None,
        store: Store | None = None,
        secrets: Secrets | None = None,
        exchange_session: Any = None,
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self.clock: Clock = clock or SystemClock()
        self._store = store
        self._secrets = secrets
        self._exchange_session = exchange_session
        #: For :mod:`shared.health`: the minute, how often it has asked the exchange in it, and
        #: what it heard last.
        self.heard: tuple[int, int, ExchangeError | None] = (0, 0, None)
        #: Settings that are wrong and have their defaults here, see :meth:`for_exits`.
        self.wrong_settings: tuple[str, ...] = ()
        self._exits: Services | None = None

    @cached_property
    def settings(self) -> Settings:
        loaded = settings_module.load(self.environment)
        telemetry.enable(loaded.telemetry)
        return loaded

    def for_exits(self) -> Services:
        """These services, or, where settings are wrong, others that only close and protect.

        A typing error in a limit must not keep positions from being looked after, nor an emergency
        stop from stopping. In place of what is wrong stand the defaults, and nothing is opened.

        Raises
        ------
        ConfigurationError
            When a wrong setting says which account this is, or how to get there.
        """
        if self._exits is None:
            self._exits = self._with_defaults()
        return self._exits

    def _with_defaults(self) -> Services:
        from shared.errors import ConfigurationError

        found = self
        wrong: tuple[str, ...] = ()
        while True:
            try:
                _ = found.settings, found.stage
            except ConfigurationError as error:
                wrong = (*wrong, *error.problems)
                # With every turn a setting less: this ends.
                found = Services(
                    settings_module.without(found.environment, error.problems),
                    clock=self.clock,
                    store=self._store,
                    secrets=self._secrets,
                    exchange_session=self._exchange_session,
                )
                found.wrong_settings = wrong
                continue
            return found

    @cached_property
    def secrets(self) -> Secrets:
        from shared.security.secrets import EnvironmentSecrets, KeyVaultSecrets

        if self._secrets is not None:
            return self._secrets
        if self.settings.key_vault_uri:
            return KeyVaultSecrets(
                self.settings.key_vault_uri, self.clock, self.settings.azure_client_id
            )
        return EnvironmentSecrets(self.environment)

    @cached_property
    def store(self) -> Store:
        if self._store is not None:
            return self._store
        if self.settings.cosmos_endpoint:
            return self._cosmos()
        from shared.storage.sqlite import SqliteStore

        return SqliteStore(self.settings.sqlite_path, clock=self.clock)

    def _cosmos(self) -> Store:
        from shared.storage.cosmos import CosmosStore

        s = self.settings
        # Keys are for emulators: accounts that we deploy have them disabled.
        key = self.environment.get("CosmosDbConnection__accountKey")
        credential: Any = None
        if not key:
            from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

            credential = (
                ManagedIdentityCredential(client_id=s.azure_client_id)
                if s.azure_client_id
                else DefaultAzureCredential()
            )
        return CosmosStore(
            s.cosmos_endpoint,
            s.cosmos_database,
            credential=credential,
            key=key or None,
            clock=self.clock,
        )

    @cached_property
    def exchange(self) -> BinanceExchange:
        from shared.execution.binance.adapter import BinanceExchange
        from shared.execution.binance.environment import (
            Credentials,
            environment,
            stored_credentials,
        )

        s = self.settings

        def credentials() -> Credentials:
            return stored_credentials(
                s.binance_environment,
                self.secrets.get("binance-api-key"),
                self.secrets.get("binance-api-secret"),
            )

        return BinanceExchange(
            environment(s.binance_environment, s.binance_base_url or None),
            credentials,
            clock=self.clock,
            session=self._exchange_session,
            budget=self._rate_budget,
            recv_window_ms=s.binance_recv_window_ms,
            # Short: an answer that is lost must be missed while a stop can still be in time.
            timeout=(2.0, 2.0),
        )

    @cached_property
    def view(self) -> BinanceExchange:
        """The exchange for whoever only looks: last in the rate budget, and it changes nothing."""
        return self.exchange.view()

    def _rate_budget(self, exchange_ms: Callable[[], int]) -> RateBudget:
        from shared.execution.binance.budget import LocalRateBudget

        own = LocalRateBudget(exchange_ms)
        if self.settings.rate_budget == "own":
            return own
        from shared.execution.binance.shared_budget import SharedRateBudget

        return SharedRateBudget(
            own,
            self.store,
            exchange_ms,
            scope=self.settings.account_id,
            egress=self.settings.binance_environment,
        )

    @cached_property
    def audit(self) -> AuditLog:
        from shared.audit.log import AuditLog

        return AuditLog(self.store, self.clock, self.settings.account_id)

    @cached_property
    def ledger(self) -> RiskLedger:
        from shared.risk.ledger import RiskLedger

        return RiskLedger(self.store, self.clock, self.settings.account_id)

    @cached_property
    def kill_switch(self) -> KillSwitch:
        from shared.risk.kill_switch import KillSwitch

        account, factor = self.settings.account_id, self.second_factor
        return KillSwitch(self.store, self.clock, account, factor)

    @cached_property
    def throttle(self) -> Throttle:
        from shared.security.throttle import Throttle

        return Throttle(self.clock)

    @cached_property
    def prediction_throttle(self) -> Throttle:
        """Of its own: whoever asks for predictions must not keep anybody from clearing."""
        from shared.security.throttle import Throttle

        return Throttle(self.clock, 60, "for predictions")

    @cached_property
    def checklist_throttle(self) -> Throttle:
        """Of its own: whoever reads the checklist must not keep anybody from promoting."""
        from shared.security.throttle import Throttle

        return Throttle(self.clock, what="for the checklist")

    @cached_property
    def second_factor(self) -> SecondFactor:
        from shared.security.totp import SecondFactor

        return SecondFactor(
            self.store,
            self.clock,
            self.settings.account_id,
            lambda: self.secrets.get("totp-secret"),
        )

    @cached_property
    def door(self) -> Door:
        """The way in for people; of the services for exits, so that it is there while a limit is
        wrong.

        Raises
        ------
        NotFound
            While ``ACCESS`` is ``keys``.
        """
        from shared.access.wired import door

        return door(self.settings, self.store, self.clock, self.secrets)

    @cached_property
    def limits(self) -> Limits:
        from shared.risk.limits import Limits
        from shared.risk.portfolio_limits import PortfolioLimits

        s = self.settings
        return Limits(
            max_leverage=s.max_leverage,
            max_position_notional=s.max_position_notional,
            max_total_notional=s.max_total_notional,
            max_daily_loss=s.max_daily_loss,
            max_drawdown=s.max_drawdown,
            portfolio=PortfolioLimits(
                max_value_at_risk=s.max_value_at_risk,
                max_expected_shortfall=s.max_expected_shortfall,
                max_marginal_shortfall=s.max_marginal_shortfall,
                max_cluster_notional=s.max_cluster_notional,
                cluster_correlation=s.cluster_correlation,
                max_heat=s.max_heat,
                confidence=s.risk_confidence,
                horizon_days=s.risk_horizon_days,
            ),
            loss_cooldown_ms=s.loss_cooldown_minutes * 60_000,
        )

    @cached_property
    def thresholds(self) -> Thresholds:
        from shared.risk.triggers import Thresholds

        return Thresholds(
            volatility_ratio=self.settings.volatility_ratio,
            disconnection_seconds=self.settings.disconnection_seconds,
        )

    @cached_property
    def closing_triggers(self) -> frozenset[str]:
        from shared.risk.triggers import ALWAYS_CLOSING

        return ALWAYS_CLOSING | (frozenset(self.settings.kill_switch_closes) - {"none"})

    @cached_property
    def sizing(self) -> SizingConfig:
        from shared.risk.sizing import SizingConfig

        own = SizingConfig()
        fraction = self.settings.kelly_fraction
        return SizingConfig(
            methods=(*own.methods, "kelly") if fraction else own.methods,
            kelly_fraction=fraction or own.kelly_fraction,
            kelly_min_trades=self.settings.kelly_min_trades,
            risk_per_trade=self.settings.risk_per_trade,
            target_volatility=self.settings.target_volatility,
            atr_multiple=self.settings.stop_atr,
            reward_risk=self.settings.reward_risk,
            max_holding_bars=self.settings.max_holding_bars,
            trail_activation=self.settings.trail_activation,
        )

    @cached_property
    def stops(self) -> StopRules:
        from shared.risk.stops import StopRules

        return StopRules(
            break_even_at=self.settings.break_even_at, trail_atr=self.settings.trail_atr
        )

    @cached_property
    def stage(self) -> StageRules:
        from shared.compliance.stages import stage_rules

        return stage_rules(
            self.settings.trading_stage, self.settings.binance_environment, self.limits
        )

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
            alerts_to=bool(self.settings.alert_url),
        )

    @cached_property
    def plan(self) -> Plan:
        from shared.errors import ConfigurationError
        from shared.strategies.config import decode_config, mapped, unserved

        champions = self.champions

        def known(ensemble: EnsembleConfig) -> EnsembleConfig:
            """Who votes in it now; where nobody can say, each of its bars asks again."""
            assert champions is not None
            try:
                return champions.now(ensemble)
            except ConfigurationError as error:
                logging.getLogger("borsa.models").error("%s", error)
                return ensemble

        voting = None if champions is None else known
        config = decode_config(self.settings.trading_plan or "{}", voting=voting)
        judged = mapped(config, voting)
        wrong = unserved(judged, self.settings.symbols, self.settings.timeframes)
        if wrong:
            raise ConfigurationError(wrong)
        return {
            symbol: {t: config.ensemble(symbol, t) for t in self.settings.timeframes}
            for symbol in self.settings.symbols
        }

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
    def registry(self) -> Registry:
        from shared.intelligence.registry import Registry

        return Registry(self.store, self.clock)

    @cached_property
    def champions(self) -> Champions | None:
        """Who votes by the registry; ``None`` where the shipped files do, whatever it says."""
        if not self.settings.model_registry:
            return None
        from shared.intelligence.champions import Champions

        return Champions(self.registry, self.clock)

    @cached_property
    def models(self) -> Models:
        from shared.intelligence.library import library
        from shared.intelligence.promotion import Models

        return Models(self.registry, library(), serves=self.settings.model_registry)

    @cached_property
    def scorer(self) -> Scorer:
        from shared.intelligence.library import library
        from shared.intelligence.scoring import Scorer

        return Scorer(
            self.registry,
            self.store,
            self.exchange,
            self.clock,
            library(),
            self.settings.symbols,
            by_registry=self.settings.model_registry,
        )

    @cached_property
    def recent_candles(self) -> RecentCandles:
        from shared.strategies.recent import RecentCandles

        return RecentCandles(self.view, self.clock)

    @cached_property
    def watched_candles(self) -> RecentCandles:
        """For the watch over anomalies: whoever looks must not keep it from seeing them."""
        from shared.strategies.recent import RecentCandles

        return RecentCandles(self.exchange, self.clock)

    @cached_property
    def predictor(self) -> Predictor:
        from shared.intelligence.predictions import Predictor

        return Predictor(self.view, self.clock, self.settings.symbols, self.champions)

    @cached_property
    def opinions(self) -> Opinions:
        """Language model, sentiment and documents: asked by people, never on an order's way."""
        from shared.opinions import Opinions

        return Opinions(self)

    @cached_property
    def retraining(self) -> Retraining | None:
        """The training job that the application may start; ``None`` without one."""
        if not self.settings.retraining_job:
            return None
        from shared.operations.container_jobs import ContainerJobs, managed_identity
        from shared.operations.retraining import Retraining

        s = self.settings
        jobs = ContainerJobs(s.retraining_job, managed_identity(s.azure_client_id))
        return Retraining(self.store, self.clock, jobs, least_days=s.retraining_days)

    @cached_property
    def markets(self) -> Markets:
        """Markets for research in the app: candle files, or the venue's public history."""
        import requests

        from shared.execution.binance.budget import LocalRateBudget
        from shared.execution.binance.environment import PRODUCTION
        from shared.research.data.fetch import Http
        from shared.research.data.rest import Rest
        from shared.research.sweep_market import Markets

        s = self.settings
        # Prices of the demo venue are its own; history worth testing on is production's.
        simulated = s.binance_environment == "simulated"
        base_url = s.binance_base_url if simulated else PRODUCTION.base_url
        session = self._exchange_session
        if session is None:
            session = requests.Session()
            session.trust_env = False
        http = Http(session, self.clock, LocalRateBudget(self.clock.now_ms))
        return Markets(s.research_data, Rest(http, self.clock, base_url))

    @cached_property
    def histories(self) -> Histories:
        # Never over the view: a decision that waits while a look asks has the look's answer.
        from shared.execution.histories import Histories

        return Histories(self.exchange, self.clock)

    @cached_property
    def dashboard(self) -> Dashboard:
        from shared.portfolio.dashboard import Dashboard

        return Dashboard(self.desk, self.settings.timeframes)

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
