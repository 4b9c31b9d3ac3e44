"""One kind of history of one symbol, and rows of it as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.market.timeframe import duration_ms

Kind = Literal["candles", "mark", "funding"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Columns beside the time, as the files have them.
VALUES: dict[Kind, tuple[str, ...]] = {
    "candles": ("open", "high", "low", "close", "volume"),
    "mark": ("open", "high", "low", "close"),
    "funding": ("funding_rate",),
}


@dataclass(frozen=True)
class Series:
    """``timeframe`` is empty for funding, which has none."""

    symbol: str
    kind: Kind
    timeframe: str = ""

    def __post_init__(self) -> None:
        if not self.symbol.isascii() or not self.symbol.isalnum() or not self.symbol.isupper():
            raise InvalidInput(f"{self.symbol!r} is no symbol; write it like BTCUSDT")
        if self.kind != "funding":
            duration_ms(self.timeframe)

    @property
    def step(self) -> int:
        """Milliseconds between two rows; 0 for funding, whose interval the venue may change."""
        return duration_ms(self.timeframe) if self.timeframe else 0

    @property
    def time_column(self) -> str:
        return "funding_time" if self.kind == "funding" else "open_time"

    @property
    def columns(self) -> tuple[str, ...]:
        return VALUES[self.kind]

    @property
    def stem(self) -> str:
        """Beginning of its file names, as the candle files' reader knows them."""
        if self.kind == "funding":
            return f"{self.symbol}-funding"
        return f"{self.symbol}-{self.timeframe}" + ("-mark" if self.kind == "mark" else "")

    def file_name(self, month: str) -> str:
        """Name of the parquet file of a month, ``2025-05``; funding has one file for all."""
        return f"{self.stem}.parquet" if self.kind == "funding" else f"{self.stem}-{month}.parquet"


@dataclass(frozen=True, eq=False)
class Rows:
    """``time`` in UTC milliseconds, shape ``(n,)``; ``values`` of shape ``(n, columns)``."""

    time: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time)

    def between(self, start: int, end: int) -> Rows:
        """Those with ``start <= time < end``, of rows in order."""
        a, b = np.searchsorted(self.time, (start, end))
        return Rows(self.time[a:b], self.values[a:b])


def nothing(series: Series) -> Rows:
    """No row at all."""
    return Rows(np.zeros(0, dtype=np.int64), np.zeros((0, len(series.columns))))


def joined(series: Series, parts: list[Rows]) -> Rows:
    """Rows of all parts in order of time; where two have the same time the earlier part counts."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return nothing(series)
    time = np.concatenate([part.time for part in filled])
    values = np.concatenate([part.values for part in filled])
    unique, first = np.unique(time, return_index=True)
    return Rows(unique, values[first])


def months(start_ms: int, end_ms: int) -> list[tuple[str, int, int]]:
    """Calendar months (UTC) that a range touches: name, first millisecond, end."""
    found = []
    at = datetime.fromtimestamp(start_ms / 1000, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    while at.timestamp() * 1000 < end_ms:
        after = at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
        found.append(
            (at.strftime("%Y-%m"), int(at.timestamp()) * 1000, int(after.timestamp()) * 1000)
        )
        at = after
    return found
