"""Votes of several strategies become one signal per symbol and bar.

The same code evaluates a whole history and decides live. A live decision reads exactly the last
``required_history`` bars, so those bars reproduce it bit for bit; the whole-history evaluation
gives the same side, and the same strength within 1e-9.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigurationError, InvalidInput, MarketDataError
from shared.indicators.anomalies import HISTORY, anomalies_at, scores, unusual
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.strategies.arithmetic import Figure, choose, greater, sign
from shared.strategies.config import AnomalyVeto, EnsembleConfig
from shared.strategies.frame import Frame
from shared.strategies.registry import strategy
from shared.strategies.sentiment import NONE, Readings, scaled
from shared.strategies.signal import SIGNAL_VERSION, Signal, Vote, signal_id
from shared.strategies.strategy import Voter, Votes, needed

if TYPE_CHECKING:
    from shared.indicators.sensitivity import Anomaly
    from shared.market.candle import Column

#: Votes of a voter on a frame.
Ask = Callable[[Voter, Frame], Votes]
#: What a callable makes, or what it made before.
Keep = Callable[[Callable[[], NDArray[np.float64]]], NDArray[np.float64]]

ATR_PERIOD = 14
VOLATILITY_RETURNS = 96
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The ensemble at every bar of a history.

    ``side`` is 1 to buy, -1 to sell, 0 for neither. Bars before the required history have a
    strength of NaN and no side: there the live application would not decide either.
    """

    strength: Column
    side: NDArray[np.int8]
    votes: Mapping[str, Votes]


class Ensemble:
    """Voters with their weights.

    Parameters
    ----------
    config : EnsembleConfig
    models : mapping of str to Voter
        Voters by name that are not strategies of the registry.

    Raises
    ------
    ConfigurationError
        For an unknown voter or wrong parameters.
    """

    def __init__(self, config: EnsembleConfig, models: Mapping[str, Voter] | None = None) -> None:
        self.config = config
        self._members: list[tuple[float, Voter]] = []
        wrong: list[str] = []
        for member in config.members:
            voter = (models or {}).get(member.strategy)
            try:
                voter = voter or strategy(member.strategy).with_params(member.params)
                self._members.append((member.weight, voter))
            except ConfigurationError as error:
                wrong.extend(error.problems)
        if wrong:
            raise ConfigurationError(wrong)
        self._total = math.fsum(weight for weight, _ in self._members)
        self._bars = 2 if config.crossing else 1
        self.history = (
            self._bars
            - 1
            + max(
                *(voter.history for _, voter in self._members),
                needed("ATR", timeperiod=ATR_PERIOD),
                VOLATILITY_RETURNS + 1,
            )
        )
        if config.veto:
            self.history = max(self.history, HISTORY + config.veto.bars - 1)

    def evaluate(
        self, columns: Columns, ask: Ask | None = None, keep: Keep | None = None
    ) -> Evaluation:
        """Strength, side and votes at every bar.

        Parameters
        ----------
        columns : Columns
        ask : callable, optional
            Gives the votes of a voter on a frame; for callers that keep them.
        keep : callable, optional
            Gives the weighted mean of the votes and the weight behind it, made or kept.

        Raises
        ------
        InvalidInput
            When there is not one bar with its required history.
        MarketDataError
            When bars are missing or a value is not finite.
        """
        frame = Frame(columns)
        votes: list[Votes] = []

        def asked() -> list[Votes]:
            if not votes:
                votes.extend(
                    voter.votes(frame) if ask is None else ask(voter, frame)
                    for _, voter in self._members
                )
            return votes

        def made() -> NDArray[np.float64]:
            self._check(columns)
            return np.array(self._mean([v.vote for v in asked()]))

        mean = made() if keep is None else keep(made)
        strength = np.array(mean[0])
        state = self._state((mean[0], mean[1]))
        side = state.astype(np.int8)
        if self.config.crossing:
            side[1:][state[1:] == state[:-1]] = 0
        if self.config.veto:
            side[_vetoed(columns, self.config.veto)] = 0
        unready = self.history - 1
        strength[:unready] = np.nan
        side[:unready] = 0
        by_name = {voter.name: v for (_, voter), v in zip(self._members, asked(), strict=True)}
        return Evaluation(strength, side, by_name)

    def signal(self, columns: Columns, sentiment: Readings = NONE) -> Signal:
        """The signal at the last bar, from exactly the last ``history`` bars.

        Parameters
        ----------
        columns : Columns
        sentiment : mapping
            Readings by the close of the bar; used, and recorded, where the configuration says so.
            One that is missing counts as none.

        Raises
        ------
        InvalidInput
            When there are fewer bars than that.
        MarketDataError
            When bars are missing or a value is not finite.
        """
        window = columns.window(max(0, len(columns) - self.history), len(columns))
        self._check(window)
        frame = Frame(window, self._bars)
        votes = [voter.votes(frame) for _, voter in self._members]
        opened = int(window.open_time[-1])
        closed = opened + duration_ms(window.timeframe)
        use, mean = self.config.sentiment, self._mean([v.vote for v in votes])
        mean = (scaled(mean[0], use, sentiment.get(closed)), mean[1])
        side = self._state(mean)
        if self.config.crossing and side:
            before = frame.at(1)
            earlier = self._mean([voter.votes(before).vote for _, voter in self._members])
            # The bar before closed when this one opened.
            earlier = (scaled(earlier[0], use, sentiment.get(opened)), earlier[1])
            if self._state(earlier) == side:
                side = 0.0
        odd = _anomalies(window, self.config.veto) if self.config.veto else msgspec.UNSET
        if odd:
            side = 0.0
        (atr,) = frame.indicator("ATR", timeperiod=ATR_PERIOD)
        return Signal(
            id=signal_id(window.symbol, window.timeframe, closed, SIGNAL_VERSION),
            symbol=window.symbol,
            timeframe=window.timeframe,
            bar_open_time=opened,
            bar_close_time=closed,
            side="BUY" if side > 0 else "SELL" if side < 0 else None,
            strength=mean[0],
            threshold=self.config.threshold,
            close=float(window.close[-1]),
            atr=atr,
            volatility=volatility(window.close),
            votes=[
                _vote(weight, voter.name, v)
                for (weight, voter), v in zip(self._members, votes, strict=True)
                if not math.isnan(v.vote)
            ],
            window_digest=window_digest(window),
            sentiment=(
                msgspec.UNSET
                if use is msgspec.UNSET
                else [sentiment[at] for at in (opened, closed) if at in sentiment]
            ),
            anomalies=odd,
        )

    def _mean(self, votes: list[Figure]) -> tuple[Figure, Figure]:
        """Weighted mean of the votes that there are, and the weight behind it."""
        total, heard = 0.0, 0.0
        for (weight, _), vote in zip(self._members, votes, strict=True):
            voted = vote == vote  # not NaN
            total = total + choose(voted, vote * weight, 0.0)
            heard = heard + choose(voted, weight, 0.0)
        # Nobody votes: the mean is 0, not NaN; there is no side below the quorum anyway.
        return choose(heard > 0.0, total / greater(heard, _TINY), 0.0), heard

    def _state(self, mean: tuple[Figure, Figure]) -> Figure:
        """1.0, -1.0 or 0.0: the side beyond the threshold, whether or not it is new."""
        strength, heard = mean
        quorate = (heard > 0.0) & (heard >= self.config.quorum * self._total)
        return choose((abs(strength) >= self.config.threshold) & quorate, sign(strength), 0.0)

    def _check(self, columns: Columns) -> None:
        where = f"{columns.symbol} {columns.timeframe}"
        if len(columns) < self.history:
            raise InvalidInput(f"{where}: {len(columns)} bars, a signal needs {self.history}")
        span = int(columns.open_time[-1]) - int(columns.open_time[0])
        if span != (len(columns) - 1) * duration_ms(columns.timeframe):
            raise MarketDataError(f"{where}: the bars of the window are not consecutive")
        total = 0.0
        for column in (columns.open, columns.high, columns.low, columns.close, columns.volume):
            total += float(column.sum())
        if not math.isfinite(total):
            raise MarketDataError(f"{where}: a value in the window is not finite")


def _vetoed(columns: Columns, veto: AnomalyVeto) -> NDArray[np.bool_]:
    """Bars at which there is no side: those out of the ordinary, and some after each."""
    odd = unusual(scores(columns), veto)
    found = odd.copy()
    for back in range(1, veto.bars):
        found[back:] |= odd[:-back]
    return found


def _anomalies(columns: Columns, veto: AnomalyVeto) -> list[Anomaly]:
    """The same at the last bar, with what was found, the latest bar first."""
    found = scores(columns, last=veto.bars)
    return [
        one
        for back in range(veto.bars)
        for one in anomalies_at(found, veto.bars - 1 - back, veto, back)
    ]


def _vote(weight: float, name: str, votes: Votes) -> Vote:
    return Vote(
        strategy=name,
        weight=weight,
        vote=votes.vote,
        figures={key: value for key, value in votes.figures.items() if math.isfinite(value)},
        model=votes.model,
    )


def volatility(close: Column) -> float:
    """Sample standard deviation of the last 96 log returns, per bar.

    Summed exactly, so that the figure does not depend on the processor's vector width.
    """
    prices = close[-(VOLATILITY_RETURNS + 1) :].tolist()
    logs = list(map(math.log, prices))
    returns = list(map(operator.sub, logs[1:], logs))
    mean = math.fsum(returns) / len(returns)
    apart = [r - mean for r in returns]
    return math.sqrt(math.fsum(map(operator.mul, apart, apart)) / (len(returns) - 1))


def window_digest(columns: Columns) -> str:
    """SHA-256 over open times (int64) and the five float64 columns, little-endian, as hex."""
    digest = hashlib.sha256(np.ascontiguousarray(columns.open_time, dtype="<i8").data)
    for name in ("open", "high", "low", "close", "volume"):
        digest.update(np.ascontiguousarray(getattr(columns, name), dtype="<f8").data)
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _compiled(encoded: bytes) -> Ensemble:
    return Ensemble(msgspec.json.decode(encoded, type=EnsembleConfig))


def ensemble(config: EnsembleConfig) -> Ensemble:
    """The ensemble of a configuration without models, built once."""
    return _compiled(msgspec.json.encode(config))


def required_history(config: EnsembleConfig) -> int:
    """Bars that a signal is computed from."""
    return ensemble(config).history


def evaluate(columns: Columns, config: EnsembleConfig) -> Evaluation:
    """The ensemble at every bar; see :meth:`Ensemble.evaluate`."""
    return ensemble(config).evaluate(columns)


def signal_at_last(columns: Columns, config: EnsembleConfig, sentiment: Readings = NONE) -> Signal:
    """The signal at the last bar; see :meth:`Ensemble.signal`."""
    return ensemble(config).signal(columns, sentiment)
