"""The candle files of a folder: their names, and their candles joined where files continue others.

What a folder holds is told in :mod:`shared.market.files`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput, MarketDataError
from shared.market.candle import Columns
from shared.market.candle_table import PRICES, read_candles
from shared.market.timeframe import TIMEFRAMES, duration_ms

_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]+)-(?:(?P<funding>funding)|(?P<timeframe>\d+[mhd])(?P<rest>-.+)?)$"
)
_SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class CandleFile:
    """What a file's name says: ``kind`` is ``candles``, ``mark`` or ``funding``."""

    path: Path
    symbol: str
    kind: str
    timeframe: str


def candle_files(folder: Path) -> list[CandleFile]:
    """The files of a folder whose names are those of candle files, by name.

    Raises
    ------
    InvalidInput
        When there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder; give one that holds candle files")
    found: list[CandleFile] = []
    for file in sorted(folder.iterdir()):
        match = _NAME.match(file.stem)
        if file.suffix not in _SUFFIXES or not match:
            continue
        if match["funding"]:
            found.append(CandleFile(file, match["symbol"], "funding", ""))
        elif match["timeframe"] in TIMEFRAMES:
            kind = "mark" if (match["rest"] or "").startswith("-mark") else "candles"
            found.append(CandleFile(file, match["symbol"], kind, match["timeframe"]))
    if not found:
        raise InvalidInput(
            f"{folder}: no candle file; they are named like BTCUSDT-1h.parquet "
            "or BTCUSDT-1m-2025.csv"
        )
    return found


class Folder:
    """The candle files of a folder, each read at most once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = candle_files(path)
        self._read: dict[Path, list[Columns]] = {}

    def frames(self, symbol: str, kind: str) -> list[str]:
        """Time frames there are, finest first."""
        found = {f.timeframe for f in self.files if f.symbol == symbol and f.kind == kind}
        return sorted(found, key=duration_ms)

    def of(self, symbol: str, kind: str, timeframe: str = "") -> list[CandleFile]:
        wanted = (symbol, kind, timeframe)
        return [f for f in self.files if (f.symbol, f.kind, f.timeframe) == wanted]

    def pieces(self, file: CandleFile) -> list[Columns]:
        """The consecutive runs of candles in one file."""
        if file.path not in self._read:
            self._read[file.path] = read_candles(
                file.path, file.symbol, file.timeframe, volume=file.kind == "candles"
            )
        return self._read[file.path]

    def runs(self, symbol: str, kind: str, timeframe: str) -> list[Columns]:
        """Candles of all files of a time frame, joined where one continues another."""
        pieces = [p for f in self.of(symbol, kind, timeframe) for p in self.pieces(f)]
        pieces.sort(key=lambda piece: int(piece.open_time[0]))
        runs: list[Columns] = []
        for piece in pieces:
            if runs and int(piece.open_time[0]) <= end_of(runs[-1]):
                runs[-1] = _joined(runs[-1], piece)
            else:
                runs.append(piece)
        return runs

    def refuse_hole(
        self, symbol: str, kind: str, timeframe: str, start_ms: int, end_ms: int
    ) -> None:
        """A file that has candles before and after a hole in the range, and none in it."""
        runs = self.runs(symbol, kind, timeframe)
        for file in self.of(symbol, kind, timeframe):
            for piece in self.pieces(file)[:-1]:
                hole = end_of(piece)
                whole = next(run for run in runs if int(run.open_time[0]) < hole <= end_of(run))
                if hole < end_of(whole):
                    continue  # another file fills it
                resumes = next(int(r.open_time[0]) for r in runs if int(r.open_time[0]) > hole)
                if hole < end_ms and resumes > start_ms:
                    bars = (resumes - hole) // duration_ms(timeframe)
                    raise MarketDataError(
                        f"{file.path.name}: {bars} candle(s) missing from {iso(hole)} to "
                        f"{iso(resumes)}; add them, or choose a range on one side"
                    )


def candle_runs(folder: Path | str, symbol: str, timeframe: str) -> list[Columns]:
    """All candles of a symbol and time frame, as runs without holes in order of time.

    Raises
    ------
    InvalidInput
        When there is no such folder, or no file of them in it.
    MarketDataError
        When a file cannot be used as it is, saying where and why.
    """
    listing = Folder(Path(folder))
    if not listing.of(symbol, "candles", timeframe):
        raise InvalidInput(f"{folder}: no {timeframe} candles of {symbol}")
    return listing.runs(symbol, "candles", timeframe)


def end_of(run: Columns) -> int:
    """First millisecond after the last candle."""
    return int(run.open_time[-1]) + duration_ms(run.timeframe)


def _joined(a: Columns, b: Columns) -> Columns:
    """Two overlapping or adjacent runs as one; where they overlap they must agree."""
    step = duration_ms(a.timeframe)
    offset = (int(b.open_time[0]) - int(a.open_time[0])) // step
    shared = min(len(a) - offset, len(b))
    for name in ("open_time", *PRICES, "volume"):
        ours = getattr(a, name)[offset : offset + shared]
        differs = np.flatnonzero(ours != getattr(b, name)[:shared])
        if len(differs):
            at = int(a.open_time[offset + int(differs[0])])
            raise MarketDataError(
                f"{a.symbol} {a.timeframe}: two files disagree on {name} at {iso(at)}; remove one"
            )
    if shared == len(b):
        return a
    return Columns(
        a.symbol,
        a.timeframe,
        np.concatenate((a.open_time, b.open_time[shared:])),
        *(
            np.concatenate((getattr(a, name), getattr(b, name)[shared:]))
            for name in (*PRICES, "volume")
        ),
    )
