"""CSV files of other programs as rows: columns by name, times in any usual form.

Rows are sorted, and rows that say the same twice are dropped; what contradicts itself or is no
candle is refused with its line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput, MarketDataError
from shared.research.data.series import Rows, Series

#: Names that other programs give the columns, lower case.
_KNOWN = {
    "open_time": ("open_time", "open time", "opentime", "timestamp", "time", "date", "datetime",
                  "unix", "ts"),
    "funding_time": ("funding_time", "fundingtime", "calc_time", "timestamp", "time", "date"),
    "funding_rate": ("funding_rate", "fundingrate", "last_funding_rate", "rate"),
    "volume": ("volume", "vol", "base_volume", "volume btc", "volume eth", "volume xrp",
               "volume ada"),
}  # fmt: skip
#: Milliseconds of one unit of a number, by its name, and from which number on it is meant.
_UNITS = {"ns": (1e-6, 10**17), "us": (1e-3, 10**14), "ms": (1.0, 10**11), "s": (1000.0, 0)}


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a CSV file is written.

    Attributes
    ----------
    columns : mapping of str to str
        Our column name -> the file's; usual names need not be given.
    time_format : str
        ``s``, ``ms``, ``us``, ``ns``, or a format of ``strptime``; empty recognises numbers by
        their size, and ISO 8601.
    timezone : str
        Of times that do not name one, for example ``Europe/Istanbul``.
    delimiter, decimal : str
        One character each.
    skip : int
        Lines before the header.
    """

    columns: Mapping[str, str]
    time_format: str = ""
    timezone: str = "UTC"
    delimiter: str = ","
    decimal: str = "."
    skip: int = 0


@dataclass(frozen=True)
class Imported:
    """Rows in order, and what was done to them in sentences."""

    rows: Rows
    notes: tuple[str, ...]


def read_csv(path: Path, series: Series, form: Form) -> Imported:
    """Rows of a CSV file.

    Raises
    ------
    InvalidInput
        When the form cannot be: an unknown zone, a column that is not there.
    MarketDataError
        When a line cannot be used; names it.
    """
    if len(form.delimiter) != 1 or len(form.decimal) != 1 or form.delimiter == form.decimal:
        raise InvalidInput("delimiter and decimal sign are one character each, and different")
    read_time = _time_reader(form)
    time: list[int] = []
    values: list[list[float]] = []
    lines: list[int] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for _ in range(form.skip):
                file.readline()
            reader = csv.reader(file, delimiter=form.delimiter)
            header = [cell.strip() for cell in next(reader, [])]
            places = _places(path.name, header, series, form.columns)
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                line = reader.line_num + form.skip
                try:
                    time.append(read_time(row[places[0]].strip()))
                    values.append([_number(row[p], form.decimal) for p in places[1:]])
                except (ValueError, IndexError, OverflowError) as error:
                    told = _wrong_cell(row, places, header, read_time, form) or str(error)
                    raise MarketDataError(f"{path.name}: line {line}: {told}") from error
                lines.append(line)
    except UnicodeDecodeError as error:
        raise MarketDataError(f"{path.name}: is not UTF-8 text: {error}") from error
    except csv.Error as error:
        raise MarketDataError(f"{path.name}: cannot be read: {error}") from error
    if not time:
        raise MarketDataError(f"{path.name}: the file has no row")
    rows = Rows(np.array(time, dtype=np.int64), np.array(values, dtype=np.float64))
    return _cleaned(path.name, series, rows, np.array(lines))


def _wrong_cell(
    row: list[str],
    places: list[int],
    header: list[str],
    read_time: Callable[[str], int],
    form: Form,
) -> str:
    """The first cell of a line that cannot be read, with its column."""
    for place in places:
        if place >= len(row):
            return f"it has {len(row)} cells, and column {header[place]} is number {place + 1}"
        text = row[place].strip()
        try:
            if place == places[0]:
                read_time(text)
            else:
                _number(text, form.decimal)
        except (ValueError, OverflowError):
            what = "no time" if place == places[0] else "no number"
            return f"column {header[place]}: {text!r} is {what}"
    return ""


def _places(name: str, header: list[str], series: Series, columns: Mapping[str, str]) -> list[int]:
    """Where our columns are in the file."""
    ours = (series.time_column, *series.columns)
    unknown = [key for key in columns if key not in ours]
    if unknown:
        raise InvalidInput(f"there is no column {unknown[0]}; name some of {', '.join(ours)}")
    lower = [cell.lower() for cell in header]
    places = []
    for key in ours:
        wanted = [columns[key].lower()] if key in columns else list(_KNOWN.get(key, (key,)))
        found = next((lower.index(w) for w in wanted if w in lower), None)
        if found is None:
            raise InvalidInput(
                f"{name}: which column is {key}? Name it with --columns {key}=NAME; there are "
                f"{', '.join(header) or 'none'}"
            )
        places.append(found)
    return places


def _time_reader(form: Form) -> Callable[[str], int]:
    try:
        zone = ZoneInfo(form.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(f"unknown time zone {form.timezone!r}") from error

    def of_number(text: str, unit: str) -> int:
        number = float(text)
        scale = _UNITS[unit][0]
        return round(number * scale) if unit != "ms" else round(number)

    def of_datetime(value: datetime) -> int:
        if value.tzinfo is None:
            value = value.replace(tzinfo=zone)
        return round(value.timestamp() * 1000)

    def recognised(text: str) -> int:
        try:
            number = float(text)
        except ValueError:
            return of_datetime(datetime.fromisoformat(text))
        unit = next(u for u, (_, least) in _UNITS.items() if number >= least)
        return of_number(text, unit)

    if form.time_format in _UNITS:
        return lambda text: of_number(text, form.time_format)
    if form.time_format:
        return lambda text: of_datetime(datetime.strptime(text, form.time_format))  # noqa: DTZ007
    return recognised


def _number(text: str, decimal: str) -> float:
    text = text.strip()
    if decimal != ".":
        text = text.replace(".", "").replace(decimal, ".")
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _cleaned(
    name: str, series: Series, rows: Rows, lines: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Imported:
    notes = []
    order = np.argsort(rows.time, kind="stable")
    if (np.diff(rows.time) < 0).any():
        notes.append("rows were sorted by time")
    time, values, lines = rows.time[order], rows.values[order], lines[order]
    same = np.flatnonzero(np.diff(time) == 0)
    differs = [i for i in same.tolist() if (values[i] != values[i + 1]).any()]
    if differs:
        i = differs[0]
        raise MarketDataError(
            f"{name}: lines {lines[i]} and {lines[i + 1]} say different things about "
            f"{iso(int(time[i]))}; remove one"
        )
    if len(same):
        notes.append(f"{len(same)} row(s) that were there twice were dropped")
        keep = np.append(np.diff(time) != 0, True)
        time, values, lines = time[keep], values[keep], lines[keep]
    if series.kind != "funding":
        _refuse_impossible(name, series, time, values, lines)
        holes = np.flatnonzero(np.diff(time) != series.step)
        if len(holes):
            i = int(holes[0])
            notes.append(
                f"{len(holes)} gap(s), the first after {iso(int(time[i]))}; "
                "./run data audit lists them"
            )
    return Imported(Rows(time, values), tuple(notes))


def _refuse_impossible(
    name: str,
    series: Series,
    time: np.ndarray[tuple[int], np.dtype[np.int64]],
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    lines: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    off = np.flatnonzero(time % series.step)
    if len(off):
        i = int(off[0])
        raise MarketDataError(
            f"{name}: line {lines[i]}: {iso(int(time[i]))} is no {series.timeframe} boundary; "
            "check --time-format, --timezone and --timeframe"
        )
    opened, high, low, close = values.T[:4]
    wrong = (low <= 0) | (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
    if series.kind == "candles":
        wrong |= values[:, 4] < 0
    bad = np.flatnonzero(wrong)
    if len(bad):
        i = int(bad[0])
        told = ", ".join(f"{c} {v:g}" for c, v in zip(series.columns, values[i], strict=True))
        raise MarketDataError(f"{name}: line {lines[i]}: no candle can be {told}")
