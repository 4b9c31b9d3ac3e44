"""Every signal of a backtest as columns, in the order in which the application would see them.

Strategies are evaluated on the whole history at once; that gives the side of the live decision at
every bar and its strength within 1e-9. Only bars with a side become rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.timeframe import duration_ms
from shared.research.alarms import Alarms, alarms, joined
from shared.research.market import history
from shared.research.notes import sentiment_notes
from shared.research.prepared import prepared
from shared.research.seen import seen_notes
from shared.strategies.ensemble import ATR_PERIOD, VOLATILITY_RETURNS, ensemble
from shared.strategies.frame import Frame

if TYPE_CHECKING:
    from shared.market.candle import Columns
    from shared.research.config import BacktestConfig
    from shared.research.votes import VoteBook
    from shared.simulation.source import MarketSource
    from shared.strategies.config import EnsembleConfig
    from shared.strategies.ensemble import Evaluation
    from shared.strategies.signal import Signal

#: Partitions of the event hub through which candles reach the strategies. Within one instant the
#: candles of one partition are decided upon before those of the other.
PARTITIONS = 2

#: Bars that are evaluated at once.
PIECE = 1 << 15


@dataclass(frozen=True, eq=False)
class SignalTable:
    """Signals with a side, one per row, in the order of decision.

    Attributes
    ----------
    symbol, timeframe : int16 arrays
        Places in ``symbols`` and ``timeframes``.
    time : int64 array
        When the bar closed, UTC milliseconds.
    side : int8 array
        1 to buy, -1 to sell.
    strength, threshold, close, atr, volatility : float64 arrays
        As in :class:`shared.strategies.signal.Signal`.
    strategy : int16 array
        Place in ``strategies`` of the voter that weighed most.
    bars : int
        Bars that were evaluated, all symbols and time frames together.
    notes : tuple of str
        What a reader of the result must know: history that began late.
    alarms : Alarms
        Bars that may latch the kill switch.
    """

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    strategies: tuple[str, ...]
    symbol: NDArray[np.int16]
    timeframe: NDArray[np.int16]
    time: NDArray[np.int64]
    side: NDArray[np.int8]
    strength: NDArray[np.float64]
    threshold: NDArray[np.float64]
    close: NDArray[np.float64]
    atr: NDArray[np.float64]
    volatility: NDArray[np.float64]
    strategy: NDArray[np.int16]
    bars: int
    notes: tuple[str, ...] = ()
    alarms: Alarms = field(default_factory=lambda: joined([]))

    def __len__(self) -> int:
        return len(self.time)


_ROWS = tuple(f.name for f in fields(SignalTable) if "NDArray" in str(f.type))


def signals(
    source: MarketSource, config: BacktestConfig, book: VoteBook | None = None
) -> SignalTable:
    """All signals of a backtest.

    Parameters
    ----------
    source : MarketSource
    config : BacktestConfig
    book : VoteBook, optional
        Votes of earlier backtests on the same market.

    Raises
    ------
    InvalidInput
        When a symbol has too little history for even one signal, or the source's bars are longer
        than a time frame.
    MarketDataError
        When bars are missing or not finite.
    """
    names = tuple(
        dict.fromkeys(
            member.strategy
            for s in config.symbols
            for t in config.timeframes
            for member in config.signals.ensemble(s, t).members
        )
    )
    parts: list[dict[str, Any]] = []
    notes = seen_notes(config) + sentiment_notes(config)
    bars = 0
    odd: list[Alarms] = []
    for s, symbol in enumerate(config.symbols):
        for t, timeframe in enumerate(config.timeframes):
            ensemble_config = config.signals.ensemble(symbol, timeframe)
            columns = _columns(source, symbol, timeframe, ensemble_config, config, notes)
            rows, evaluated = _rows(columns, ensemble_config, config.start_ms, names, book)
            bars += evaluated
            window = ensemble(ensemble_config).history
            judged = (symbol, timeframe, config.start_ms, config.end_ms, window, config.thresholds)
            odd.append(
                prepared(
                    source,
                    f"alarms {symbol} {timeframe}",
                    judged,
                    partial(alarms, columns, config.start_ms, window, config.thresholds),
                )
            )
            rows["symbol"] = np.full(len(rows["time"]), s, np.int16)
            rows["timeframe"] = np.full(len(rows["time"]), t, np.int16)
            parts.append(rows)
    merged = {name: np.concatenate([p[name] for p in parts]) for name in _ROWS}
    order = _order(merged, config)
    return SignalTable(
        symbols=config.symbols,
        timeframes=config.timeframes,
        strategies=names,
        bars=bars,
        notes=tuple(notes),
        alarms=joined(odd),
        **{name: column[order] for name, column in merged.items()},
    )


def live_signal(source: MarketSource, config: BacktestConfig, table: SignalTable, i: int) -> Signal:
    """Row ``i`` as the live application computes it: from exactly the bars it reads."""
    symbol, timeframe = table.symbols[table.symbol[i]], table.timeframes[table.timeframe[i]]
    voters = ensemble(config.signals.ensemble(symbol, timeframe))
    stop = int(table.time[i])
    start = stop - voters.history * duration_ms(timeframe)
    return voters.signal(history(source, symbol, timeframe, start, stop))


def _columns(
    source: MarketSource,
    symbol: str,
    timeframe: str,
    ensemble_config: EnsembleConfig,
    config: BacktestConfig,
    notes: list[str],
) -> Columns:
    """The candles of the range, and before it those that the first signal needs."""
    step = duration_ms(timeframe)
    needed = ensemble(ensemble_config).history
    # The bar that closes when the range begins is the first that is decided upon.
    first = -(-config.start_ms // step) * step - step
    columns = history(source, symbol, timeframe, first - (needed - 1) * step, config.end_ms)
    if len(columns) < needed:
        raise InvalidInput(
            f"{symbol} {timeframe}: {len(columns)} candles until {iso(config.end_ms)}, the "
            f"strategies need {needed} for their first signal; choose a later or longer range"
        )
    begins = int(columns.open_time[needed - 1]) + step
    if begins > first + step:
        notes.append(
            f"{symbol} {timeframe}: the candles begin late, the first decision is at {iso(begins)}"
        )
    return columns


def _rows(
    columns: Columns,
    config: EnsembleConfig,
    start_ms: int,
    names: Sequence[str],
    book: VoteBook | None,
) -> tuple[dict[str, Any], int]:
    """Rows of one symbol and time frame, and how many bars could decide."""
    voters = ensemble(config)
    step = duration_ms(columns.timeframe)
    ready = max(
        voters.history - 1,
        int(np.searchsorted(columns.open_time + step, start_ms)),
    )
    if ready >= len(columns):
        raise InvalidInput(
            f"{columns.symbol} {columns.timeframe}: no candle closes in the range; choose a "
            "longer one"
        )
    # In pieces that stay in the processor's cache; each begins with the history it needs.
    piece = max(PIECE, 8 * voters.history)
    parts = [
        _piece(
            columns.window(first - voters.history + 1, min(len(columns), first + piece)),
            config,
            names,
            book,
        )
        for first in range(ready, len(columns), piece)
    ]
    rows = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return rows, len(columns) - ready


def _piece(
    columns: Columns, config: EnsembleConfig, names: Sequence[str], book: VoteBook | None
) -> dict[str, Any]:
    """Rows of consecutive bars, of which the first ``history - 1`` are only read."""
    voters = ensemble(config)
    if book is None:
        evaluation = voters.evaluate(columns)
        at = np.flatnonzero(evaluation.side)
        atr, volatility = _atr(columns), _volatility(columns.close, at)
    else:
        members = ("mean", msgspec.json.encode(config.members))
        evaluation = voters.evaluate(columns, book.ask, partial(book.figure, columns, members))
        at = np.flatnonzero(evaluation.side)
        every = np.arange(VOLATILITY_RETURNS, len(columns))
        atr = book.figure(columns, "atr", lambda: _atr(columns))
        spread = book.figure(columns, "volatility", lambda: _volatility(columns.close, every))
        volatility = spread[at - VOLATILITY_RETURNS]
    return {
        "time": columns.open_time[at] + duration_ms(columns.timeframe),
        "side": evaluation.side[at],
        "strength": evaluation.strength[at],
        "threshold": np.full(len(at), config.threshold),
        "close": columns.close[at],
        "atr": atr[at],
        "volatility": volatility,
        "strategy": _strongest(evaluation, config, at, names),
    }


def _atr(columns: Columns) -> NDArray[np.float64]:
    (atr,) = Frame(columns).indicator("ATR", timeperiod=ATR_PERIOD)
    return np.asarray(atr, np.float64)


def _volatility(close: NDArray[np.float64], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sample standard deviation of the last 96 log returns at some bars."""
    if not len(at):
        return np.zeros(0)
    logs = np.log(close)
    windows = np.lib.stride_tricks.sliding_window_view(np.diff(logs), VOLATILITY_RETURNS)
    found = np.empty(len(at))
    for start in range(0, len(at), 4096):
        some = at[start : start + 4096]
        found[start : start + 4096] = windows[some - VOLATILITY_RETURNS].std(axis=1, ddof=1)
    return found


def _strongest(
    evaluation: Evaluation, config: EnsembleConfig, at: NDArray[np.int64], names: Sequence[str]
) -> NDArray[np.int16]:
    """The voter whose weighted vote goes furthest in the signal's direction."""
    votes = [np.asarray(evaluation.votes[m.strategy].vote)[at] for m in config.members]
    weights = np.array([[m.weight] for m in config.members])
    # NaN is no vote.
    shares = np.where(np.isnan(votes), 0.0, votes) * weights
    places = np.array([names.index(m.strategy) for m in config.members], dtype=np.int16)
    found: NDArray[np.int16] = places[np.argmax(shares * evaluation.side[at], axis=0)]
    return found


def _order(rows: dict[str, Any], config: BacktestConfig) -> NDArray[np.int64]:
    """Rows by time; within an instant as the candles are polled, sent and taken.

    Candles that close together are sent by symbol and time frame, in turns over the partitions of
    the hub; the partition that was served first is read first.
    """
    pairs = sorted((s, t) for s in config.symbols for t in config.timeframes)
    place = {pair: i for i, pair in enumerate(pairs)}
    of_row = np.array(
        [
            [place[symbol, timeframe] for timeframe in config.timeframes]
            for symbol in config.symbols
        ],
        dtype=np.int64,
    )[rows["symbol"], rows["timeframe"]]
    times, instant = np.unique(rows["time"], return_inverse=True)
    steps = np.array([duration_ms(t) for _, t in pairs])
    closing = times[:, None] % steps[None, :] == 0
    turn = (np.cumsum(closing, axis=1) - 1)[instant, of_row] if len(times) else of_row
    order: NDArray[np.int64] = np.lexsort((turn, turn % PARTITIONS, rows["time"]))
    return order
