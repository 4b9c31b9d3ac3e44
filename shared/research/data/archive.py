"""Binance's public archive: where its files are and how they are read.

``data/futures/um/monthly|daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-05.zip`` holds one CSV file of the
same name; beside it lies ``….zip.CHECKSUM`` with its SHA-256 in the form of ``sha256sum``. Mark
prices lie under ``markPriceKlines``, funding under ``fundingRate`` (by month only). Files made
before 2022 have no header line, later ones have; columns are those of the REST answers. Times are
milliseconds; the spot archive went over to microseconds in 2025, so those are read as well.

Sources: https://github.com/binance/binance-public-data and the readers of other projects.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib

import numpy as np

from shared.clock import iso
from shared.errors import MarketDataError
from shared.research.data.series import Rows, Series

_FOLDERS = {"candles": "klines", "mark": "markPriceKlines", "funding": "fundingRate"}
#: Places of the values in a row, after the time in place 0.
_PLACES = {"candles": (1, 2, 3, 4, 5), "mark": (1, 2, 3, 4), "funding": (2,)}
_SHA256 = re.compile(r"^([0-9a-f]{64})(?:\s+\*?(\S+))?\s*$", re.IGNORECASE)
#: A month of 1m candles is 5 MB of text; more than this is no candle file.
_MOST_BYTES = 200_000_000
_MICROSECONDS = 10**14


def archive_path(series: Series, period: str) -> str:
    """Path on the host of a month (``2025-05``) or day (``2025-05-04``)."""
    span = "monthly" if len(period) == len("2025-05") else "daily"
    folder = f"/data/futures/um/{span}/{_FOLDERS[series.kind]}/{series.symbol}"
    if series.kind == "funding":
        return f"{folder}/{series.symbol}-fundingRate-{period}.zip"
    name = f"{series.symbol}-{series.timeframe}-{period}.zip"
    return f"{folder}/{series.timeframe}/{name}"


def parse_checksum(text: str, name: str) -> str:
    """The SHA-256 in a ``.CHECKSUM`` file, lower case.

    Raises
    ------
    MarketDataError
        When it is none, or belongs to another file.
    """
    match = _SHA256.match(text.strip())
    if not match or (match[2] and match[2].rsplit("/", 1)[-1] != name):
        raise MarketDataError(f"{name}.CHECKSUM holds no SHA-256 of {name}: {text[:80]!r}")
    return match[1].lower()


def read_zip(content: bytes, name: str, series: Series, start_ms: int, end_ms: int) -> Rows:
    """Rows of an archive file that covers ``start_ms <= time < end_ms``.

    Raises
    ------
    MarketDataError
        When it is no sound zip file, or what is in it is not such rows.
    """
    text = _unpacked(content, name)
    header = not text[:1].isdigit()
    lines = text.count(b"\n") + (not text.endswith(b"\n")) - header
    if not text.strip() or lines <= 0:
        raise MarketDataError(f"{name}: the file has no row")
    places = (0, *_PLACES[series.kind])
    try:
        table = np.loadtxt(
            io.BytesIO(text), delimiter=",", skiprows=int(header), usecols=places, ndmin=2
        )
    except (ValueError, IndexError) as error:
        raise MarketDataError(f"{name}: cannot be read as {series.kind}: {error}") from error
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0]) + 1
        raise MarketDataError(f"{name}: row {row} holds something that is not a number")
    time = table[:, 0].astype(np.int64)
    time = np.where(time >= _MICROSECONDS, time // 1000, time)
    _inside(time, name, series, start_ms, end_ms)
    order = np.argsort(time, kind="stable")
    return Rows(time[order], np.ascontiguousarray(table[order, 1:]))


def _unpacked(content: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [m for m in archive.infolist() if m.filename.lower().endswith(".csv")]
            if len(members) != 1:
                raise MarketDataError(f"{name}: holds {len(members)} CSV files instead of one")
            if members[0].file_size > _MOST_BYTES:
                raise MarketDataError(
                    f"{name}: {members[0].file_size} bytes unpacked is too much for candles"
                )
            return archive.read(members[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise MarketDataError(f"{name}: broken zip file: {error}") from error


def _inside(
    time: np.ndarray[tuple[int], np.dtype[np.int64]],
    name: str,
    series: Series,
    start_ms: int,
    end_ms: int,
) -> None:
    step = series.step
    wrong = (time < start_ms) | (time >= end_ms)
    if step:
        wrong |= time % step != 0
    rows = np.flatnonzero(wrong)
    if len(rows):
        at = int(time[rows[0]])
        when = iso(at) if 0 < at < 2**42 else str(at)
        raise MarketDataError(f"{name}: row {rows[0] + 1} has time {when}, which is not in it")
