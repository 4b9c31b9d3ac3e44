"""Backtests of parameter sets: the runner that searches, walk-forward and sweeps use.

Parameters are named

* ``threshold``, ``quorum``, ``crossing``: of every ensemble of the configuration,
* ``trend.fast``: a parameter of a strategy, ``trend.weight``: its weight (0 leaves it out),
* ``RISK_PER_TRADE``: an application setting of :data:`SEARCHABLE`, as in ``docs/settings.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from shared.errors import ConfigurationError
from shared.research.backtest import run
from shared.research.config import BacktestConfig, from_environment
from shared.research.evaluation import Job
from shared.research.market import source_of
from shared.research.result import Result
from shared.research.sealed import Market
from shared.research.seen import seen
from shared.research.signals import signals
from shared.research.space import Params, Value
from shared.research.votes import VoteBook
from shared.settings import SETTINGS
from shared.simulation.candles import CandleSource
from shared.strategies.config import EnsembleConfig, SignalConfig, problems

_ENSEMBLE = ("threshold", "quorum", "crossing")
#: Parts of a configuration that application settings decide.
_FROM_SETTINGS = ("limits", "sizing", "stops", "thresholds", "closing_triggers", "stage")
#: The settings that those parts are made of; any other would be varied without any effect.
SEARCHABLE = (
    "TRADING_STAGE",
    "MAX_LEVERAGE",
    "MAX_POSITION_NOTIONAL",
    "MAX_TOTAL_NOTIONAL",
    "MAX_DAILY_LOSS",
    "MAX_DRAWDOWN",
    "RISK_PER_TRADE",
    "TARGET_VOLATILITY",
    "MAX_HOLDING_BARS",
    "STOP_ATR",
    "REWARD_RISK",
    "TRAIL_ACTIVATION",
    "BREAK_EVEN_AT",
    "TRAIL_ATR",
    "VOLATILITY_RATIO",
    "KILL_SWITCH_CLOSES",
)


class BacktestRunner:
    """Runs jobs on one configuration; picklable, for other processes.

    Parameters
    ----------
    config : BacktestConfig
        What the parameters of a job change; its own span and deposit do not count.
    settings : mapping of str to str
        The application settings that ``config`` was made from, for parameters that are settings.
    """

    def __init__(self, config: BacktestConfig, settings: Mapping[str, str] | None = None) -> None:
        self.config = config
        self.settings = dict(settings or {})
        self._kept: tuple[Market, CandleSource, VoteBook] | None = None

    @property
    def seen_until(self) -> int:
        """Until when models of the configuration were trained, UTC milliseconds; 0 without."""
        return max(seen(self.config).values(), default=0)

    def __getstate__(self) -> dict[str, Any]:
        # What was kept of a market must not travel: another process may not be meant to see it.
        return {**self.__dict__, "_kept": None}

    def __call__(self, market: Market, jobs: Sequence[Job]) -> Iterator[Result]:
        if self._kept is None or self._kept[0] is not market:
            self._kept = (market, source_of(market), VoteBook())
        _, source, book = self._kept
        for job in jobs:
            config = self.configured(job)
            yield run(source, config, table=signals(source, config, book))

    def configured(self, job: Job) -> BacktestConfig:
        """The configuration of a job.

        Raises
        ------
        ConfigurationError
            Naming the parameters that cannot be used.
        """
        config = with_params(self.config, job.params, self.settings)
        deposit = config.deposit if job.deposit is None else Decimal(str(job.deposit))
        return msgspec.structs.replace(config, start_ms=job.start, end_ms=job.end, deposit=deposit)


def with_params(
    config: BacktestConfig, params: Params, settings: Mapping[str, str] | None = None
) -> BacktestConfig:
    """A configuration with other parameters.

    Raises
    ------
    ConfigurationError
        Naming the parameters that there are not, and values that cannot be used.
    """
    own = {name: _text(value) for name, value in params.items() if name.isupper()}
    rest = {name: value for name, value in params.items() if not name.isupper()}
    idle = [name for name in own if name not in SEARCHABLE]
    if idle:
        raise ConfigurationError(
            [
                f"{name} cannot be searched: a backtest does not depend on it"
                if any(s.name == name for s in SETTINGS)
                else f"there is no setting {name}; a search may vary {', '.join(SEARCHABLE)}"
                for name in idle
            ]
        )
    if own:
        made = from_environment(
            {**(settings or {}), **own},
            symbols=config.symbols,
            timeframes=config.timeframes,
            start_ms=config.start_ms,
            end_ms=config.end_ms,
            listed=config.listed,
        )
        config = msgspec.structs.replace(
            config, **{name: getattr(made, name) for name in _FROM_SETTINGS}
        )
    if rest:
        config = msgspec.structs.replace(config, signals=_signals(config.signals, rest))
    return config


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _signals(signals: SignalConfig, params: Params) -> SignalConfig:
    used: set[str] = set()
    wrong: list[str] = []

    def changed(ensemble: EnsembleConfig) -> EnsembleConfig:
        body: dict[str, Any] = {}
        for name in _ENSEMBLE:
            if name in params:
                body[name] = params[name]
                used.add(name)
        members = []
        for member in ensemble.members:
            mine = {
                name.partition(".")[2]: value
                for name, value in params.items()
                if name.startswith(f"{member.strategy}.")
            }
            used.update(f"{member.strategy}.{name}" for name in mine)
            weight = mine.pop("weight", member.weight)
            if weight:
                params_of = {**member.params, **mine}
                members.append({"strategy": member.strategy, "weight": weight, "params": params_of})
        if not members:
            wrong.append("every strategy has weight 0; leave at least one")
            members = msgspec.to_builtins(ensemble.members)
        try:
            return msgspec.convert(
                {**msgspec.to_builtins(ensemble), **body, "members": members}, EnsembleConfig
            )
        except msgspec.ValidationError as error:
            wrong.append(f"{error}")
            return ensemble

    made = SignalConfig(
        default=changed(signals.default),
        timeframes={t: changed(e) for t, e in signals.timeframes.items()},
        symbols={s: {t: changed(e) for t, e in own.items()} for s, own in signals.symbols.items()},
    )
    unknown = sorted(set(params) - used)
    wrong += [
        f"there is no parameter {name}; use {', '.join(_ENSEMBLE)}, STRATEGY.PARAMETER, "
        "STRATEGY.weight or an application setting"
        for name in unknown
    ]
    wrong = list(dict.fromkeys([*wrong, *problems(made)]))
    if wrong:
        raise ConfigurationError(wrong)
    return made
