"""What models said at closed bars, and what came: the record that they are judged by while live.

One document per symbol, time frame, bar and kind of label, in container ``models``, partition
``scores-<month of the bar's close>``. It is written once, when the bar has closed, by whoever
scores first; the label is added once, when it is known. Nothing of it is decided upon by the
trading.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from shared.clock import utc
from shared.errors import AlreadyExists, Conflict, NotFound, StoreError
from shared.intelligence.labels import Barriers
from shared.market.timeframe import DAY_MS, duration_ms
from shared.storage.containers import DAY_SECONDS
from shared.storage.records import record_of
from shared.storage.store import Body, Patch, Store, Where, every

CONTAINER = "models"
KIND = "score"
#: How long a score is kept.
DAYS_KEPT = 180
#: Features lie on a grid of 1 over this, see :mod:`shared.intelligence.features`.
GRID = 4096
#: Longest partition that is looked for labels in, in months before this one.
_MONTHS_BACK = 6

Row = tuple[float, float, float]


class BarScore(msgspec.Struct, frozen=True, kw_only=True):
    """What every scored model said about one bar.

    Parameters
    ----------
    symbol, timeframe : str
    closed_at : int
        Close of the bar, UTC milliseconds.
    features : tuple of float
        Of that bar, in the order of :data:`shared.intelligence.features.NAMES`.
    feature_set : str
        Their definition.
    atr : float or None
        ATR(14) in price units, by which the label's barriers lie; ``None`` where the market stood
        still: there is no label then.
    horizon_bars, take_atr, stop_atr
        What the label means; models with other barriers have a score of their own.
    probabilities : dict
        By ``name:version``: of down, flat and up.
    champions : tuple of str
        Those of them that voted in the plan at this bar, if it named them.
    refused : dict
        By ``name:version``: why a model gave no probabilities.
    label : int or None
        What came: 0 down, 1 flat, 2 up; ``None`` as long as it is not known.
    pending : bool
        Whether the label is still to come. With no label and nothing pending it never will.
    """

    symbol: str
    timeframe: str
    closed_at: int
    features: tuple[float, ...]
    feature_set: str
    atr: float | None
    horizon_bars: int
    take_atr: float
    stop_atr: float
    probabilities: dict[str, Row]
    champions: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    label: int | None = None
    pending: bool = True

    @property
    def barriers(self) -> Barriers:
        """What the label means."""
        return Barriers(self.take_atr, self.stop_atr, self.horizon_bars)

    @property
    def known_at(self) -> int:
        """When the whole horizon has passed, UTC milliseconds."""
        return self.closed_at + self.horizon_bars * duration_ms(self.timeframe)


def model_key(name: str, version: str) -> str:
    """How a version of a model is named in scores and in plans."""
    return f"{name}:{version}"


def score_id(symbol: str, timeframe: str, closed_at: int, barriers: Barriers) -> str:
    """Deterministic: the same bar is scored once."""
    kind = f"{barriers.horizon_bars}-{barriers.take_atr:g}-{barriers.stop_atr:g}"
    return f"score:{symbol}:{timeframe}:{closed_at}:{kind}"


def partition_of(closed_at: int) -> str:
    """Where the scores of a month are."""
    return f"scores-{utc(closed_at):%Y-%m}"


def save_score(store: Store, score: BarScore) -> bool:
    """Keep a score; ``False`` where the bar has one, which counts.

    Raises
    ------
    StoreUnavailable
        It may or may not be there; saving again is safe.
    """
    try:
        store.create(CONTAINER, _document(score), ttl=DAYS_KEPT * DAY_SECONDS)
    except AlreadyExists:
        return False
    return True


def find_score(
    store: Store, symbol: str, timeframe: str, closed_at: int, barriers: Barriers
) -> BarScore | None:
    """The score of a bar, if it has one."""
    id_ = score_id(symbol, timeframe, closed_at, barriers)
    found = store.get(CONTAINER, partition_of(closed_at), id_)
    return None if found is None else _score(found.body)


def read_scores(store: Store, since: int, until: int) -> Iterator[BarScore]:
    """Scores of bars that closed from ``since`` on and before ``until``, in order of time.

    Parameters
    ----------
    since, until : int
        UTC milliseconds.

    Notes
    -----
    One that cannot be read is left out and named in the log.
    """
    where = (
        Where("kind", "=", KIND),
        Where("closedAt", ">=", since),
        Where("closedAt", "<", until),
    )
    for partition in _partitions(since, until):
        yield from _readable(store, partition, where)


def unlabelled(store: Store, now_ms: int) -> Iterator[BarScore]:
    """Scores whose horizon is over and whose label is still to come, oldest first."""
    where = (
        Where("kind", "=", KIND),
        Where("pending", "=", True),
        Where("knownAt", "<=", now_ms),
    )
    since = now_ms - min(DAYS_KEPT, _MONTHS_BACK * 31) * DAY_MS
    for partition in _partitions(since, now_ms + 1):
        yield from _readable(store, partition, where)


def save_label(store: Store, score: BarScore, label: int | None) -> bool:
    """Add what came; ``None``: it will never be known. ``False`` where somebody was first."""
    id_ = score_id(score.symbol, score.timeframe, score.closed_at, score.barriers)
    operations = [Patch("set", "pending", False)]
    if label is not None:
        operations.append(Patch("set", "label", label))
    try:
        store.patch(
            CONTAINER,
            partition_of(score.closed_at),
            id_,
            operations,
            condition=[Where("pending", "=", True)],
        )
    except (Conflict, NotFound):
        return False
    return True


def _partitions(since: int, until: int) -> Iterator[str]:
    """Months from one time to before another, oldest first."""
    if until <= since:
        return
    first, last = utc(max(0, since)), utc(until - 1)
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        yield partition_of(round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _readable(store: Store, partition: str, where: tuple[Where, ...]) -> Iterator[BarScore]:
    for document in every(store, CONTAINER, partition, where=where, order_by="closedAt"):
        try:
            yield _score(document.body)
        except StoreError as error:
            logging.getLogger("borsa.models").error("left out: %s", error)


class _Stored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A score as it is stored: features as whole numbers of the grid."""

    symbol: str
    timeframe: str
    closed_at: int
    known_at: int
    features: tuple[int, ...]
    feature_set: str
    atr: float | None
    horizon_bars: int
    take_atr: float
    stop_atr: float
    probabilities: dict[str, Row]
    champions: tuple[str, ...]
    refused: dict[str, str]
    label: int | None
    pending: bool


def _document(score: BarScore) -> Body:
    fields = {name: getattr(score, name) for name in BarScore.__struct_fields__}
    fields["features"] = tuple(round(value * GRID) for value in score.features)
    stored = _Stored(known_at=score.known_at, **fields)
    return {
        "id": score_id(score.symbol, score.timeframe, score.closed_at, score.barriers),
        "name": partition_of(score.closed_at),
        "kind": KIND,
        **msgspec.to_builtins(stored),
    }


def _score(body: Body) -> BarScore:
    stored = record_of(body, _Stored)
    fields = {name: getattr(stored, name) for name in BarScore.__struct_fields__}
    return BarScore(**fields | {"features": tuple(value / GRID for value in stored.features)})
