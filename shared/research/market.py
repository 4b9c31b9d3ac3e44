"""The market of a backtest: candle files, or candles that are in memory already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.files import SymbolMarket, load_market
from shared.market.resample import resample
from shared.market.timeframe import duration_ms
from shared.simulation.candles import CandleSource

if TYPE_CHECKING:
    from shared.simulation.source import MarketSource

#: Bars before the range that strategies may need for their first signal.
WARMUP_BARS = 30_000


def from_files(
    folder: Path, symbols: Sequence[str], start_ms: int, end_ms: int, *, detail: str = ""
) -> tuple[CandleSource, int, int, list[str]]:
    """A source from candle files.

    Parameters
    ----------
    detail : str, optional
        Time frame of the bars inside which prices follow a path; by default the finest that the
        files have for the whole range.

    Returns
    -------
    source, start, end, notes
        The range that the files really cover, and what a reader of the result should know.

    Raises
    ------
    InvalidInput, MarketDataError
        Saying which file, column, range or row is the trouble, and what to do.
    """
    markets = load_market(folder, symbols, start_ms, end_ms, warmup_bars=WARMUP_BARS)
    if detail:
        markets = {s: _coarser(m, detail) for s, m in markets.items()}
    notes = [
        f"{s}: no mark price file; the mark price is the contract price"
        for s, m in markets.items()
        if m.mark is None
    ]
    notes += [
        f"{s}: no funding file; 0.01 % every 8 hours"
        for s, m in markets.items()
        if m.funding is None
    ]
    source = source_of(markets)
    start = max(m.start_ms for m in markets.values())
    end = min(m.end_ms for m in markets.values())
    return source, start, end, notes


def _coarser(market: SymbolMarket, detail: str) -> SymbolMarket:
    """The same market in longer bars."""
    step, finest = duration_ms(detail), duration_ms(market.candles.timeframe)
    if step % finest:
        raise InvalidInput(
            f"{market.symbol}: bars of {detail} cannot be made of {market.candles.timeframe} "
            f"candles, the finest that cover the range; choose {market.candles.timeframe} or a "
            "multiple of it"
        )
    candles = resample(market.candles, detail)
    start, end = -(-market.start_ms // step) * step, market.end_ms // step * step
    if end <= start:
        raise InvalidInput(f"{market.symbol}: the range holds no whole {detail} bar")
    mark = market.mark
    if mark is not None and duration_ms(mark.timeframe) < step:
        mark = resample(mark, detail)
    return replace(market, candles=candles, start_ms=start, end_ms=end, mark=mark)


def source_of(markets: Mapping[str, SymbolMarket]) -> CandleSource:
    """A source of markets in memory."""
    return CandleSource(
        {s: m.candles for s, m in markets.items()},
        mark={s: m.mark for s, m in markets.items() if m.mark is not None},
        funding={
            s: list(zip(m.funding.time.tolist(), m.funding.rate.tolist(), strict=True))
            for s, m in markets.items()
            if m.funding is not None
        },
        older={s: m.longer for s, m in markets.items()},
    )


def history(source: MarketSource, symbol: str, timeframe: str, start: int, stop: int) -> Columns:
    """Closed candles with ``start <= open time`` and closing by ``stop``, as the venue shows them.

    Made of base bars; where those begin later, of the longer candles the source has.

    Raises
    ------
    InvalidInput
        When the time frame is not a multiple of the source's.
    """
    step, base = duration_ms(timeframe), duration_ms(source.timeframe)
    if step % base:
        raise InvalidInput(
            f"{timeframe} candles cannot be made of {source.timeframe} candles; the market of "
            f"{symbol} has none shorter than {source.timeframe}"
        )
    first = -(-start // step) * step
    begin = -(-source.first_time(symbol) // step) * step
    made = resample(source.columns(symbol, max(first, begin), stop - stop % step), timeframe)
    before = source.older(symbol, timeframe) if first < begin else None
    if before is None or not len(before):
        return made
    low, high = before.open_time.searchsorted((first, min(begin, stop - step + 1))).tolist()
    return _joined(before.window(low, high), made)


def _joined(a: Columns, b: Columns) -> Columns:
    import numpy as np

    if not len(a) or not len(b):
        return a if len(a) else b
    return Columns(
        a.symbol,
        a.timeframe,
        *(
            np.concatenate((getattr(a, name), getattr(b, name)))
            for name in ("open_time", "open", "high", "low", "close", "volume")
        ),
    )
