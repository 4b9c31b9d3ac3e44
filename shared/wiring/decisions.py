"""What decides: plan, models and their registry, candles, research."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from shared.wiring.rules import Rules

if TYPE_CHECKING:
    from shared.execution.histories import Histories
    from shared.intelligence.champions import Champions
    from shared.intelligence.predictions import Predictor
    from shared.intelligence.promotion import Models
    from shared.intelligence.registry import Registry
    from shared.intelligence.scoring import Scorer
    from shared.operations.retraining import Retraining
    from shared.research.sweep_market import Markets
    from shared.strategies.config import EnsembleConfig
    from shared.strategies.engine import Plan
    from shared.strategies.recent import RecentCandles


class Decisions(Rules):
    """Signals and what they come from."""

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
    def voting_models(self) -> tuple[str, ...]:
        """Names of the models that the configuration lets vote on what is traded."""
        from shared.strategies.ai import NAMES

        plans = (ensemble for per in self.plan.values() for ensemble in per.values())
        return tuple(sorted({m.strategy for e in plans for m in e.members} & NAMES))

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
