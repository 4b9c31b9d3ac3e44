"""The market of a backtest: candle files, or candles that are in memory already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.files import SymbolMarket, load_market
from shared.market.resample import resample
from shared.market.timeframe import MINUTE_MS, duration_ms
from shared.simulation.candles import CandleSource

if TYPE_CHECKING:
    from shared.simulation.source import MarketSource

#: Bars before the range that strategies may need for their first signal.
WARMUP_BARS = 30_000
#: The longest time between two settlements of funding.
FUNDING_MS = 8 * 3_600_000


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
    source = source_of(markets)
    start = max(m.start_ms for m in markets.values())
    end = min(m.end_ms for m in markets.values())
    return source, start, end, what_is_missing(markets, start, end)


def what_is_missing(markets: Mapping[str, SymbolMarket], start_ms: int, end_ms: int) -> list[str]:
    """Notes on what files do not have for the whole range: mark prices, funding, volume."""
    notes = [_missing_mark(s, m, start_ms, end_ms) for s, m in markets.items()]
    notes += [_missing_funding(s, m, start_ms, end_ms) for s, m in markets.items()]
    notes += [_without_volume(s, m, start_ms, end_ms) for s, m in markets.items()]
    return [note for note in notes if note]


def _without_volume(symbol: str, market: SymbolMarket, start_ms: int, end_ms: int) -> str:
    low, high = market.candles.open_time.searchsorted((start_ms, end_ms)).tolist()
    still = int((market.candles.volume[low:high] == 0).sum())
    if not still:
        return ""
    return (
        f"{symbol}: {still:,} of {high - low:,} candles have no volume; orders are filled there "
        "all the same"
    )


def _missing_mark(symbol: str, market: SymbolMarket, start_ms: int, end_ms: int) -> str:
    import numpy as np

    mark = market.mark
    if mark is None:
        return f"{symbol}: no mark price file; the mark price is the contract price"
    step = duration_ms(mark.timeframe)
    wanted = np.arange(start_ms - start_ms % step, end_ms, step, dtype=np.int64)
    absent = wanted[~np.isin(wanted, mark.open_time)]
    if not len(absent):
        return ""
    instead = (
        "there it is the contract price"
        if mark.timeframe == market.candles.timeframe
        else "there the distance to the contract price is interpolated"
    )
    return (
        f"{symbol}: {len(absent):,} of {len(wanted):,} mark prices are missing, the first at "
        f"{iso(int(absent[0]))}; {instead}"
    )


def _missing_funding(symbol: str, market: SymbolMarket, start_ms: int, end_ms: int) -> str:
    import numpy as np

    if market.funding is None:
        return f"{symbol}: no funding file; 0.01 % every 8 hours"
    time = market.funding.time
    inside = time[(time >= start_ms) & (time < end_ms)]
    edges = np.concatenate(([start_ms], inside, [end_ms]))
    # Recorded settlements are some milliseconds late now and then.
    holes = np.flatnonzero(np.diff(edges) > FUNDING_MS + MINUTE_MS)
    if not len(holes):
        return ""
    at = int(holes[0])
    instead = "none is paid there"
    if holes[-1] == len(edges) - 2:
        # The last hole reaches to the end: from the last known settlement on it is scheduled.
        instead = "0.01 % every 8 hours after the last known rate" + (
            ", none in the other holes" if len(holes) > 1 else ""
        )
    return (
        f"{symbol}: funding is missing from {iso(int(edges[at]))} to {iso(int(edges[at + 1]))}"
        f"{f' and in {len(holes) - 1} more places' if len(holes) > 1 else ''}; {instead}"
    )


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
