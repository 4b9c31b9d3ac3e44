"""Which strategies vote on a symbol and time frame, with what weight, and when it is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec

from shared.errors import ConfigurationError
from shared.indicators.sensitivity import Sensitivity
from shared.market.timeframe import TIMEFRAMES
from shared.strategies.sentiment import SentimentUse

#: In ``symbols``: the configuration of a symbol for every time frame it does not name.
ANY_TIMEFRAME = "*"


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One voter: a strategy of the registry (or a model) by name, its weight and parameters."""

    strategy: str
    weight: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0
    params: dict[str, Any] = {}


class AnomalyVeto(Sensitivity, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No side at a bar that is out of the ordinary, nor at the ``bars`` - 1 bars after it."""

    bars: Annotated[int, msgspec.Meta(ge=1, le=96)] = 1


class EnsembleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How votes become a signal.

    A side is taken when the weighted mean of the votes reaches ``threshold``. Voters without an
    opinion are left out of the mean; when those that remain hold less than ``quorum`` of the
    weight, there is no side. With ``crossing`` only the bar that reaches the threshold has a side,
    not those that merely stay beyond it, so one move makes one signal. ``sentiment`` scales the
    mean by what texts say, see :mod:`shared.strategies.sentiment`; left out, texts play no part.
    With a ``veto`` there is no side at anomalous bars.
    """

    members: Annotated[tuple[Member, ...], msgspec.Meta(min_length=1)]
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.4
    quorum: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    crossing: bool = True
    # Not written where it is not set: digests of configurations stay what they were.
    sentiment: SentimentUse | msgspec.UnsetType = msgspec.UNSET
    veto: AnomalyVeto | msgspec.UnsetType = msgspec.UNSET


def shipped_ensemble() -> EnsembleConfig:
    """Slow trends, long and short, as a search on years of hourly candles found them.

    What it earned and what that is worth: ``docs/default-config.md``.
    """
    params = {
        "fast": 24,
        "slow": 400,
        "adx": 14,
        "adx_low": 5.0,
        "adx_high": 10.0,
        "full_vote_atr": 1.5,
    }
    return EnsembleConfig(members=(Member(strategy="trend", params=params),), threshold=0.5)


def five_strategies(threshold: float = 0.4) -> EnsembleConfig:
    """All five strategies, trend and momentum weighted above the rest.

    For demonstrations, tests and comparisons: they find something to do within hours and did
    worse than the shipped ensemble.
    """
    return EnsembleConfig(
        members=(
            Member(strategy="trend", weight=1.5),
            Member(strategy="momentum", weight=1.5),
            Member(strategy="breakout", weight=1.0),
            Member(strategy="mean_reversion", weight=1.0),
            Member(strategy="candlesticks", weight=0.5),
        ),
        threshold=threshold,
    )


class SignalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ensembles by symbol and time frame; the most specific one counts.

    ``symbols`` maps a symbol to time frames (or ``"*"``), ``timeframes`` holds for all other
    symbols, ``default`` for everything else. Without anything it is what the application ships.
    """

    default: EnsembleConfig = msgspec.field(default_factory=shipped_ensemble)
    timeframes: dict[str, EnsembleConfig] = {}
    symbols: dict[str, dict[str, EnsembleConfig]] = {}

    def ensemble(self, symbol: str, timeframe: str) -> EnsembleConfig:
        """The configuration for one symbol and time frame."""
        own = self.symbols.get(symbol, {})
        return (
            own.get(timeframe)
            or own.get(ANY_TIMEFRAME)
            or self.timeframes.get(timeframe)
            or self.default
        )

    def ensembles(self) -> Iterator[tuple[str, EnsembleConfig]]:
        """Every ensemble with the place it stands in."""
        yield "default", self.default
        for timeframe, config in self.timeframes.items():
            yield f"timeframes.{timeframe}", config
        for symbol, own in self.symbols.items():
            for timeframe, config in own.items():
                yield f"symbols.{symbol}.{timeframe}", config


def problems(config: SignalConfig, models: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a configuration that is well-formed: names and parameters."""
    from shared.strategies.registry import strategy

    found = []
    for timeframe in config.timeframes:
        if timeframe not in TIMEFRAMES:
            found.append(f"timeframes: unknown time frame {timeframe!r}")
    for symbol, own in config.symbols.items():
        for timeframe in own:
            if timeframe not in TIMEFRAMES and timeframe != ANY_TIMEFRAME:
                found.append(f"symbols.{symbol}: unknown time frame {timeframe!r}")
    for place, ensemble in config.ensembles():
        names = [member.strategy for member in ensemble.members]
        for name in sorted({name for name in names if names.count(name) > 1}):
            found.append(f"{place}: {name} is named twice")
        for member in ensemble.members:
            if member.strategy in models:
                continue
            try:
                strategy(member.strategy).with_params(member.params)
            except ConfigurationError as error:
                found.extend(f"{place}: {problem}" for problem in error.problems)
    return found


def unserved(config: SignalConfig, symbols: Iterable[str], timeframes: Iterable[str]) -> list[str]:
    """Which members do not vote on the bars that are traded, of a configuration without problems.

    A model votes on the time frame it was trained on.
    """
    from shared.strategies.registry import strategy

    found: dict[str, None] = {}
    for timeframe in timeframes:
        for symbol in symbols:
            for member in config.ensemble(symbol, timeframe).members:
                known = strategy(member.strategy)
                if known.refusal is not None:
                    bound = known.with_params(member.params)
                    found |= dict.fromkeys(bound.refusal(timeframe))
    return list(found)


def mapped(
    config: SignalConfig, how: Callable[[EnsembleConfig], EnsembleConfig] | None
) -> SignalConfig:
    """The configuration with every ensemble put through ``how``."""
    if how is None:
        return config
    return SignalConfig(
        default=how(config.default),
        timeframes={timeframe: how(one) for timeframe, one in config.timeframes.items()},
        symbols={
            symbol: {timeframe: how(one) for timeframe, one in own.items()}
            for symbol, own in config.symbols.items()
        },
    )


def decode_config(
    source: bytes | str | Mapping[str, Any],
    *,
    models: frozenset[str] = frozenset(),
    voting: Callable[[EnsembleConfig], EnsembleConfig] | None = None,
) -> SignalConfig:
    """A configuration from JSON or from decoded JSON; what is left out has its default.

    Parameters
    ----------
    source : bytes, str or mapping
    models : frozenset of str
        Names of voters that are not strategies of the registry.
    voting : callable, optional
        An ensemble as it will vote, with the versions of its models; that one is judged.

    Raises
    ------
    ConfigurationError
        Naming every wrong strategy, parameter and time frame at once, with its place.
    """
    try:
        if isinstance(source, Mapping):
            config = msgspec.convert(dict(source), SignalConfig)
        else:
            config = msgspec.json.decode(source, type=SignalConfig)
    except msgspec.DecodeError as error:
        raise ConfigurationError([f"signal configuration: {error}"]) from error
    found = problems(mapped(config, voting), models)
    if found:
        raise ConfigurationError(found)
    return config
