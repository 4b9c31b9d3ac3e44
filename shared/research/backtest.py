"""One call from a market and a configuration to a result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.timeframe import duration_ms
from shared.research.crosses import check
from shared.research.exact import ExactEngine, Progress
from shared.research.prepared import prepared
from shared.research.result import Result

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig
    from shared.research.signals import SignalTable
    from shared.simulation.source import MarketSource

#: Fewer closed trades than this say little about anything.
FEW_TRADES = 30


def run(
    source: MarketSource,
    config: BacktestConfig,
    *,
    table: SignalTable | None = None,
    progress: Progress = lambda done, text: None,
) -> Result:
    """Backtest a configuration on a market.

    Parameters
    ----------
    source : MarketSource
        Candle files (:func:`shared.research.market.from_files`), candles in memory
        (:class:`shared.simulation.candles.CandleSource`) or the synthetic market.
    config : BacktestConfig
    table : SignalTable, optional
        Signals to act on; by default those of the configuration's strategies.
    progress : callable, optional
        Told the fraction done and a line of state from time to time.

    Returns
    -------
    Result
        Trades, equity and decisions. ``notes`` say what a reader must know.

    Raises
    ------
    InvalidInput
        The market does not hold the symbols or the range, has too little history, or a price that
        is none.
    MarketDataError
        A candle that a signal needs is missing or not a number.
    """
    span = (config.symbols, config.start_ms, config.end_ms)
    prepared(source, "checked", span, lambda: _check(source, config))
    if config.engine == "exact":
        result = ExactEngine(source, config, table).run(progress)
    else:
        from shared.research.compiled import CompiledEngine

        result = CompiledEngine(source, config, table).run()
    notes = list(result.notes)
    if len(result.trades) < FEW_TRADES:
        notes.append(few_trades(len(result.trades)))
    return replace(result, notes=tuple(notes))


def few_trades(count: int) -> str:
    """The note on a result with too few trades."""
    return f"{count} trades are too few to conclude anything from"


def _check(source: MarketSource, config: BacktestConfig) -> None:
    missing = [s for s in config.symbols if s not in source.symbols]
    if missing:
        raise InvalidInput(
            f"the market has no {', '.join(missing)}; it has {', '.join(source.symbols)}"
        )
    last_time = getattr(source, "last_time", None)
    for symbol in config.symbols:
        first = source.first_time(symbol)
        last = last_time(symbol) if last_time is not None else config.end_ms
        if config.start_ms < first or config.end_ms > last:
            raise InvalidInput(
                f"{symbol}: the range {iso(config.start_ms)} to {iso(config.end_ms)} is not inside "
                f"the data, {iso(first)} to {iso(last)}; choose a range within"
            )
        for mark in (False, True):
            check(source.columns(symbol, config.start_ms, config.end_ms, mark=mark))
    base = duration_ms(source.timeframe)
    for edge in (config.start_ms, config.end_ms):
        if edge % base:
            raise InvalidInput(
                f"{iso(edge)} is not a boundary of the market's {source.timeframe} candles"
            )
