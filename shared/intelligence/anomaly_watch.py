"""Anomalies of the traded markets as they happen: one record for each bar, and alerts if wanted.

Nothing here is on the way of an order. Bars are looked at with what they had when they closed; a
record is written once, however often its bar is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from shared.errors import AlreadyExists, BorsaError
from shared.indicators.anomalies import HISTORY, anomalies_at, scores
from shared.indicators.sensitivity import Anomaly, Sensitivity
from shared.market.timeframe import MINUTE_MS, duration_ms
from shared.storage.store import Store, Where

if TYPE_CHECKING:
    from shared.execution.desk import Desk
    from shared.market.candle import Columns
    from shared.strategies.recent import RecentCandles

CONTAINER = "signals"
KIND = "anomaly"

#: Bars that are looked at again each time: what was missed while the application was away.
AGAIN = 12
#: At most one alert in this time for each symbol and time frame.
ALERT_MS = 6 * 60 * MINUTE_MS

_log = logging.getLogger("borsa.anomalies")


class AnomalousBar(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A closed bar that is out of the ordinary.

    Parameters
    ----------
    time : int
        Its close, UTC milliseconds.
    close : float
        Its last price.
    """

    id: str
    symbol: str
    timeframe: str
    time: int
    close: float
    anomalies: list[Anomaly]


def anomalous(
    columns: Columns, sensitivity: Sensitivity, last: int | None = None
) -> list[AnomalousBar]:
    """Bars of a history that are out of the ordinary, or those of its ``last`` ones."""
    found = scores(columns, last=last)
    step = duration_ms(columns.timeframe)
    first = len(columns) - len(found["jump"])
    rows = []
    for place in range(len(found["jump"])):
        told = anomalies_at(found, place, sensitivity)
        if told:
            closed = int(columns.open_time[first + place]) + step
            rows.append(
                AnomalousBar(
                    id=f"anomaly-{columns.symbol}-{columns.timeframe}-{closed}",
                    symbol=columns.symbol,
                    timeframe=columns.timeframe,
                    time=closed,
                    close=float(columns.close[first + place]),
                    anomalies=told,
                )
            )
    return rows


def watch(
    recent: RecentCandles,
    store: Store,
    markets: Iterable[tuple[str, str]],
    sensitivity: Sensitivity | None = None,
) -> list[AnomalousBar]:
    """Look at the newest bars of each symbol and time frame; returns what was not known.

    A market that cannot be read is logged and tried again the next time; it does not keep the
    others from being looked at.
    """
    fresh = []
    for symbol, timeframe in markets:
        try:
            columns = recent.columns(symbol, timeframe, HISTORY + AGAIN - 1)
            for bar in anomalous(columns, sensitivity or Sensitivity(), last=AGAIN):
                if _save(store, bar):
                    fresh.append(bar)
        except BorsaError:
            _log.exception("%s %s: not looked at for anomalies", symbol, timeframe)
    return fresh


def _save(store: Store, bar: AnomalousBar) -> bool:
    body: dict[str, Any] = {**msgspec.to_builtins(bar), "kind": KIND}
    try:
        store.create(CONTAINER, body)
    except AlreadyExists:
        return False
    return True


def tell(desk: Desk, bars: Sequence[AnomalousBar]) -> None:
    """An alert for each market, at most one in :data:`ALERT_MS`."""
    for bar in bars:
        desk.alert(
            "warning",
            "anomaly",
            f"{bar.symbol} {bar.timeframe}: {', '.join(a.kind for a in bar.anomalies)}",
            "; ".join(map(in_words, bar.anomalies)) + f". Close {bar.close:g}.",
            correlation=f"anomaly:{bar.symbol}:{bar.timeframe}",
            once=str(bar.time // ALERT_MS),
        )


def in_words(one: Anomaly) -> str:
    """What was found, as a person reads it."""
    figure = f"{one.figure:.1f}, from {one.threshold:.1f} on it is one"
    if one.kind == "jump":
        return (
            f"jump of {one.value:+.2%}, where returns deviate by {one.usual:.2%} "
            f"(statistic {figure})"
        )
    if one.kind == "return":
        return f"return of {one.value:+.2%}, at this hour usually {one.usual:.2%} ({figure})"
    if one.kind == "range":
        return f"range of {one.value:.2%}, at this hour usually {one.usual:.2%} ({figure})"
    if one.kind == "frozen":
        return f"no price but the last one for {one.value / 60:g} minutes"
    return f"volume {one.value:g}, at this hour usually {one.usual:g} ({figure})"


def listed(
    store: Store, symbol: str, timeframe: str | None, limit: int, continuation: str | None
) -> tuple[list[AnomalousBar], str | None]:
    """Stored anomalies of a symbol, the newest first, a page of them."""
    where = [Where("kind", "=", KIND)]
    if timeframe is not None:
        where.append(Where("timeframe", "=", timeframe))
    page = store.query(
        CONTAINER,
        symbol,
        where=where,
        order_by="time",
        descending=True,
        limit=limit,
        continuation=continuation,
    )
    rows = [
        msgspec.convert({k: v for k, v in one.body.items() if k != "kind"}, AnomalousBar)
        for one in page.documents
    ]
    return rows, page.continuation
