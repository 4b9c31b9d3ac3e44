"""What the drift monitor would have said on candles of the past, day by day or week by week.

The models are asked about every bar as if it had just closed, labels are known only when they
would have been, and the reports are those of :mod:`shared.intelligence.drift`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from shared.errors import InvalidInput
from shared.intelligence.card import ModelCard
from shared.intelligence.drift import WINDOW_DAYS, judge
from shared.intelligence.drift_report import DriftReport
from shared.intelligence.features import FEATURE_SET
from shared.intelligence.labels import NONE, Barriers
from shared.intelligence.model import OnnxModel
from shared.intelligence.scored_bars import Kind, ScoredBars
from shared.intelligence.scores import model_key
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS
from training.dataset import Dataset, dataset

#: Rows that are predicted between two steps that are told.
_CHUNK = 2048

Tell = Callable[[float, float, str], None]


def kind_of(card: ModelCard) -> Kind:
    """What scores of a model have to be of."""
    barriers = Barriers(card.take_atr, card.stop_atr, card.horizon_bars)
    return Kind(card.timeframe, FEATURE_SET, barriers)


def scored_past(
    models: Sequence[OnnxModel],
    runs: Mapping[str, Sequence[Columns]],
    *,
    start_ms: int,
    end_ms: int,
    tell: Tell = lambda done, total, text: None,
) -> tuple[ScoredBars, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """What the models say about every bar, and when its label is known (UTC milliseconds).

    Parameters
    ----------
    models : sequence of OnnxModel
        Of one time frame and kind of label.
    runs : mapping of str to sequence of Columns
        Candles per contract, without holes.
    start_ms, end_ms : int
        Bars that open from ``start_ms`` on and whose label is known by ``end_ms``.

    Raises
    ------
    InvalidInput
        When the models are of several kinds, or there is no row.
    """
    kinds = {kind_of(model.card) for model in models}
    if len(kinds) != 1:
        raise InvalidInput("models of one time frame and kind of label are judged together")
    (kind,) = kinds
    # Per contract, so that each row knows whose it is.
    parts = [
        dataset(
            {symbol: runs[symbol]},
            kind.barriers,
            lookback=max(model.card.lookback for model in models),
            start_ms=start_ms,
            end_ms=end_ms,
        )
        for symbol in runs
    ]
    total = sum(len(part) for part in parts) * len(models)
    done = 0
    said: dict[str, list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]] = {}
    for model in models:
        key = model_key(model.card.name, model.card.version)
        for part in parts:
            for rows in _chunks(part):
                tell(done, total, model.card.name)
                said.setdefault(key, []).append(
                    model.probabilities(_inputs(model.card, part, rows))
                )
                done += len(rows)
    tell(total, total, "")
    time = np.concatenate([part.time for part in parts])
    symbol = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.lexsort((symbol, time))
    bars = ScoredBars(
        symbols=tuple(runs),
        symbol=symbol[order],
        closed_at=time[order],
        features=np.concatenate([p.features[p.bar] for p in parts])[order].astype(np.float64),
        label=np.concatenate([part.label for part in parts])[order],
        probabilities={key: np.concatenate(found)[order] for key, found in said.items()},
    )
    return bars, np.concatenate([part.known for part in parts])[order]


def broken(bars: ScoredBars, at_ms: int, seed: int = 0) -> ScoredBars:
    """The same bars, had the models known nothing from a time on.

    The labels of whole days behind it change places, so what comes overlaps as ever and has
    nothing to do with what was said. Days with other bars than the most stay where they are.
    """
    day = bars.closed_at // DAY_MS
    late = np.unique(day[bars.closed_at >= at_ms])
    rows = {int(d): np.flatnonzero(day == d) for d in late.tolist()}
    if not rows:
        return bars
    usual = max(len(of) for of in rows.values())
    whole = [d for d, of in rows.items() if len(of) == usual]
    label = bars.label.copy()
    for to, source in zip(whole, np.random.default_rng(seed).permutation(whole), strict=True):
        label[rows[to]] = bars.label[rows[int(source)]]
    return dataclasses.replace(bars, label=label)


def reports(
    card: ModelCard,
    bars: ScoredBars,
    known: np.ndarray[tuple[int], np.dtype[np.int64]],
    *,
    every_days: int,
) -> Iterator[DriftReport]:
    """The reports of one model, at every so many midnights, from the first whole window on."""
    key = model_key(card.name, card.version)
    first = int(np.min(bars.closed_at)) + WINDOW_DAYS * DAY_MS
    last = int(np.max(bars.closed_at))
    until = -(-first // DAY_MS) * DAY_MS
    while until <= last:
        since = until - WINDOW_DAYS * DAY_MS
        yield judge(card, _window(bars, known, since, until), key, since=since, until=until)
        until += every_days * DAY_MS


def _window(
    bars: ScoredBars,
    known: np.ndarray[tuple[int], np.dtype[np.int64]],
    since: int,
    until: int,
) -> ScoredBars:
    rows = np.flatnonzero((bars.closed_at >= since) & (bars.closed_at < until))
    label = np.where(known[rows] <= until, bars.label[rows], NONE).astype(np.int8)
    return ScoredBars(
        symbols=bars.symbols,
        symbol=bars.symbol[rows],
        closed_at=bars.closed_at[rows],
        features=bars.features[rows],
        label=label,
        probabilities={key: said[rows] for key, said in bars.probabilities.items()},
    )


def _chunks(part: Dataset) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    for at in range(0, len(part), _CHUNK):
        yield np.arange(at, min(at + _CHUNK, len(part)))


def _inputs(
    card: ModelCard, part: Dataset, rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return part.tabular(rows) if card.kind == "tabular" else part.sequences(rows, card.lookback)
