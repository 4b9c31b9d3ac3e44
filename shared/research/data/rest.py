"""Candles, mark prices and funding from Binance's REST interface, in pages.

Weights and limits: ``/fapi/v1/klines`` and ``markPriceKlines`` cost 10 for 1500 rows,
``fundingRate`` has a pool of 500 requests in five minutes of its own and gives 1000 rows. The last
candle of an answer may still be open and is left out.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from shared.clock import Clock
from shared.errors import MarketDataError
from shared.research.data.fetch import Http
from shared.research.data.hosts import REST
from shared.research.data.series import Rows, Series, nothing

PAGE = {"candles": 1500, "mark": 1500, "funding": 1000}
_PATHS = {
    "candles": "/fapi/v1/klines",
    "mark": "/fapi/v1/markPriceKlines",
    "funding": "/fapi/v1/fundingRate",
}
_PAGE_WEIGHT = 10
#: Of the funding pool's 500 requests in 300 s; the rest is left to the application.
_POOL, _POOL_MS = 400, 300_000


class Rest:
    """The public market data of a venue.

    Parameters
    ----------
    http : Http
    clock : Clock
    base_url : str
        Without the ``/fapi`` path.
    """

    def __init__(self, http: Http, clock: Clock, base_url: str = REST) -> None:
        self._http = http
        self._clock = clock
        self._base = base_url.rstrip("/")
        self._funding_asked: deque[int] = deque()
        self._first: dict[Series, int | None] = {}

    def now_ms(self) -> int:
        """The venue's time."""
        answer = self._http.json(f"{self._base}/fapi/v1/time", {}, weight=1)
        return int(answer["serverTime"])

    def first_time(self, series: Series) -> int | None:
        """Time of the oldest row, or ``None`` where there is none."""
        if series not in self._first:
            rows = self._rows(series, {"startTime": 0, "limit": 1})
            self._first[series] = int(rows.time[0]) if len(rows) else None
        return self._first[series]

    def page(self, series: Series, start_ms: int, end_ms: int) -> Rows:
        """Rows with ``start_ms <= time < end_ms``, the oldest of them if a page does not hold all.

        Raises
        ------
        MarketDataError
            When the answer is not what was asked for.
        """
        limit = PAGE[series.kind]
        query = {"startTime": start_ms, "endTime": end_ms - 1, "limit": limit}
        rows = self._rows(series, query)
        if len(rows) and (rows.time[0] < start_ms or rows.time[-1] >= end_ms):
            raise MarketDataError(f"{series.stem}: the answer holds rows that were not asked for")
        return rows

    def _rows(self, series: Series, query: dict[str, Any]) -> Rows:
        query = {"symbol": series.symbol, **query}
        if series.kind == "funding":
            self._wait_for_pool()
            answer = self._http.json(self._base + _PATHS["funding"], query, weight=0)
        else:
            query["interval"] = series.timeframe
            weight = 1 if query["limit"] < 100 else _PAGE_WEIGHT
            answer = self._http.json(self._base + _PATHS[series.kind], query, weight=weight)
        return parse(series, answer)

    def _wait_for_pool(self) -> None:
        asked = self._funding_asked
        now = self._clock.now_ms()
        while asked and asked[0] <= now - _POOL_MS:
            asked.popleft()
        if len(asked) >= _POOL:
            self._clock.sleep((asked[0] + _POOL_MS - now) / 1000)
            asked.popleft()
        asked.append(self._clock.now_ms())


def parse(series: Series, answer: Any) -> Rows:
    """Rows of an answer.

    Raises
    ------
    MarketDataError
        When it does not have the form that is documented.
    """
    if not isinstance(answer, list):
        raise MarketDataError(f"{series.stem}: the answer is no list: {str(answer)[:80]}")
    if not answer:
        return nothing(series)
    width = len(series.columns)
    try:
        if series.kind == "funding":
            time = [int(row["fundingTime"]) for row in answer]
            values = [[float(row["fundingRate"])] for row in answer]
        else:
            time = [int(row[0]) for row in answer]
            values = [[float(cell) for cell in row[1 : 1 + width]] for row in answer]
        rows = Rows(np.array(time, dtype=np.int64), np.array(values, dtype=np.float64))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise MarketDataError(f"{series.stem}: the answer cannot be read: {error!r}") from error
    if rows.values.shape != (len(answer), width) or not np.isfinite(rows.values).all():
        raise MarketDataError(f"{series.stem}: the answer holds something that is not a number")
    if (np.diff(rows.time) <= 0).any():
        raise MarketDataError(f"{series.stem}: the answer is not in order of time")
    return rows
