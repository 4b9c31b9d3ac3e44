"""Downloads: which pieces a range needs, where each comes from, and the files made of them.

A month that is over comes from the archive in one file; where that is not there yet, days come from
the archive's daily files and the rest from REST. Each month is one parquet file, written when all
its pieces are there; pieces survive a kill. A repeated command fetches only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shared.clock import Clock, day, iso
from shared.errors import InvalidInput, MarketDataError
from shared.market.timeframe import DAY_MS
from shared.research.data import archive
from shared.research.data.fetch import Http
from shared.research.data.intervals import Interval, lacking, united
from shared.research.data.rest import PAGE, Rest
from shared.research.data.series import Rows, Series, joined, months, nothing
from shared.research.data.store import DataFolder, Source, encoded, read_rows, write_whole

#: Done so far (0 to 1) and what is being fetched.
Progress = Callable[[float, str], None]
#: Holes of a month that REST is asked for; more is an outage that REST cannot fill either.
_MOST_HOLES = 50


@dataclass(frozen=True)
class Sources:
    """Where rows may come from; at least one is given."""

    http: Http
    archive: str | None
    rest: Rest | None


@dataclass
class Outcome:
    """What a download did.

    ``fetched`` and ``kept`` count months of series; ``missing`` names times without any row, by
    file; ``notes`` are sentences for the reader.
    """

    fetched: int = 0
    kept: int = 0
    rows: int = 0
    missing: dict[str, list[Interval]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def download(
    path: Path,
    series: Sequence[Series],
    start_ms: int,
    end_ms: int,
    sources: Sources,
    clock: Clock,
    progress: Progress = lambda done, text: None,
) -> Outcome:
    """Bring a folder up to date with ``start_ms <= time < end_ms`` of every series.

    Parameters
    ----------
    path : Path
        Made when missing. See :mod:`shared.market.files` for what lies in it afterwards.
    series : sequence of Series
    start_ms, end_ms : int
        UTC milliseconds; candles that are still open at the venue's time are left out.
    sources : Sources
    clock : Clock
    progress : callable

    Raises
    ------
    InvalidInput
        When the range is empty or in the future, or the folder cannot be used.
    ExchangeError
        When a source cannot be reached or refuses; what was fetched before is kept.
    MarketDataError
        When something arrives that cannot be right.
    """
    if end_ms <= start_ms:
        raise InvalidInput(f"the range ends ({iso(end_ms)}) before it begins ({iso(start_ms)})")
    now = _now(sources, clock, end_ms)
    if start_ms >= now:
        raise InvalidInput(f"the range begins in the future ({iso(start_ms)})")
    folder = DataFolder.open(path, create=True)
    outcome = Outcome()
    work = [(s, *month) for s in series for month in months(start_ms, min(end_ms, now))]
    with folder.locked():
        for place, (one, name, first, stop) in enumerate(work):
            progress(place / len(work), f"{one.stem} {name}")
            closed = now - now % one.step if one.step else now
            wanted = (max(first, start_ms), min(stop, end_ms, closed))
            _Month(folder, one, name, first, stop, now, sources, outcome).bring(wanted)
        folder.clear_pieces()
    progress(1.0, "")
    return outcome


def _now(sources: Sources, clock: Clock, end_ms: int) -> int:
    """The venue's time; our own clock's where the venue cannot be asked or it cannot matter."""
    own = clock.now_ms()
    if sources.rest is None or end_ms < own - 2 * DAY_MS:
        return own
    return sources.rest.now_ms()


class _Month:
    """One month of one series."""

    def __init__(
        self,
        folder: DataFolder,
        series: Series,
        month: str,
        first: int,
        stop: int,
        now: int,
        sources: Sources,
        outcome: Outcome,
    ) -> None:
        self._folder = folder
        self._series = series
        self._month = month
        self._first, self._stop, self._now = first, stop, now
        self._from = sources
        self._outcome = outcome
        self._name = series.file_name(month)
        self._pieces: list[Path] = []
        self._used: list[Source] = []
        self._unanswered: list[Interval] = []  # times that no source could be asked about

    def bring(self, wanted: Interval) -> None:
        """Fetch what is missing of the wanted times and write the file."""
        entry = self._folder.entries.get(self._name)
        held = list(entry.covered) if entry and self._folder.sound(self._name) else []
        if not lacking(wanted, held):
            self._outcome.kept += 1
            self._tell_missing(entry.missing if entry else [], wanted)
            return
        old = nothing(self._series)
        if held and entry and entry.rows:
            old = read_rows(self._folder.path / self._name, self._series)
        parts: list[Rows] = []
        sources = list(entry.sources) if entry and held else []
        whole = self._archived(self._month, self._first, self._stop) if self._over() else None
        if whole is not None:
            parts.append(whole)
            covered = united([*held, (self._first, self._stop)])
            if self._series.kind != "funding":
                sources = []  # the month's file takes the place of the days'
        else:
            for gap in lacking(wanted, held):
                parts += self._days(gap)
            answered = [w for gap in lacking(wanted, held) for w in lacking(gap, self._unanswered)]
            covered = united([*held, *answered])
        rows = joined(self._series, [*parts, old])
        rows, missing = self._filled(rows, covered)
        missing = united([*missing, *self._unanswered])
        sources += self._used
        self._folder.keep(self._name, self._series, rows, covered, missing, _newest(sources))
        for piece in self._pieces:
            piece.unlink(missing_ok=True)
        self._outcome.fetched += 1
        self._outcome.rows += len(rows) - len(old)
        self._tell_missing(missing, wanted)

    def _over(self) -> bool:
        return self._now >= self._stop

    def _archived(self, period: str, start: int, end: int) -> Rows | None:
        """Rows of an archive file, ``None`` where the archive does not have it."""
        if self._from.archive is None:
            return None
        path = archive.archive_path(self._series, period)
        url, name = self._from.archive + path, path.rsplit("/", 1)[-1]
        text = self._from.http.text(f"{url}.CHECKSUM")
        if text is None:
            return None
        digest = archive.parse_checksum(text, name)
        kind = "mark-" if self._series.kind == "mark" else ""
        piece = self._folder.piece(kind + name)
        content = self._from.http.file(url, piece, digest)
        self._pieces.append(piece)
        self._used.append(Source(path=path, sha256=digest))
        return archive.read_zip(content, name, self._series, start, end)

    def _days(self, gap: Interval) -> list[Rows]:
        """Rows of a range from daily files as far as there are, else from REST."""
        parts: list[Rows] = []
        rest: list[Interval] = []
        start, end = self._listed(gap)
        if self._series.kind == "funding" or self._from.archive is None:
            rest.append((start, end))
        else:
            for first in range(start - start % DAY_MS, end, DAY_MS):
                stop = first + DAY_MS
                rows = self._archived(day(first), first, stop) if stop <= self._now else None
                if rows is None:
                    rest.append((max(first, start), min(stop, end)))
                else:
                    parts.append(rows)
        for interval in united(rest):
            parts += self._asked(interval)
        return parts

    def _listed(self, gap: Interval) -> Interval:
        """The range without what lies before the symbol's first row, where REST can tell."""
        if self._from.rest is None or self._series.kind == "funding":
            return gap
        first = self._from.rest.first_time(self._series)
        start = gap[1] if first is None else min(max(gap[0], first), gap[1])
        if start > gap[0]:
            self._outcome.notes.append(
                f"{self._series.stem}: nothing before {iso(start)} in {self._month}"
                if first is not None
                else f"{self._series.stem}: the venue has nothing at all"
            )
        return start, gap[1]

    def _asked(self, interval: Interval) -> list[Rows]:
        """Rows from REST, page by page; pages survive a kill."""
        if self._from.rest is None:
            self._unanswered.append(interval)
            return []
        parts = []
        at, end = interval
        limit = PAGE[self._series.kind]
        while at < end:
            stop = min(end, at + limit * self._series.step) if self._series.step else end
            piece = self._folder.piece(f"{self._series.stem}-{at}-{stop}.parquet")
            if piece.exists():
                rows = read_rows(piece, self._series)
            else:
                rows = self._from.rest.page(self._series, at, stop)
                write_whole(piece, encoded(self._series, rows))
            self._pieces.append(piece)
            parts.append(rows)
            full = not self._series.step and len(rows) == limit
            at = int(rows.time[-1]) + 1 if full else stop
        return parts

    def _filled(self, rows: Rows, covered: list[Interval]) -> tuple[Rows, list[Interval]]:
        """Holes of the archive's files, filled from REST as far as it can; what then is missing."""
        missing = self._holes(rows, covered)
        if missing and self._from.rest is not None and len(missing) <= _MOST_HOLES and self._used:
            extra = [r for hole in missing for r in self._asked(hole)]
            rows = joined(self._series, [rows, *extra])
            missing = self._holes(rows, covered)
        return rows, missing

    def _holes(self, rows: Rows, covered: list[Interval]) -> list[Interval]:
        """Times between rows, and at the edges of what was asked for, without a row."""
        step = self._series.step
        if not step:
            return []
        have = _runs(rows.time, step)
        return [
            hole
            for start, end in covered
            for hole in lacking((-(-start // step) * step, end - end % step), have)
        ]

    def _tell_missing(self, missing: list[Interval], wanted: Interval) -> None:
        told = [
            (max(a, wanted[0]), min(b, wanted[1]))
            for a, b in missing
            if a < wanted[1] and b > wanted[0]
        ]
        if told:
            self._outcome.missing[self._name] = told


def _runs(time: np.ndarray[tuple[int], np.dtype[np.int64]], step: int) -> list[Interval]:
    """Ranges that consecutive rows cover."""
    if not len(time):
        return []
    cuts = np.flatnonzero(np.diff(time) != step) + 1
    starts = [0, *cuts.tolist()]
    ends = [*cuts.tolist(), len(time)]
    return [(int(time[a]), int(time[b - 1]) + step) for a, b in zip(starts, ends, strict=True)]


def _newest(sources: list[Source]) -> list[Source]:
    """One source per path, the last one."""
    return sorted({s.path: s for s in sources}.values(), key=lambda s: s.path)


@dataclass
class Verified:
    """What :func:`verify` found; ``problems`` are sentences."""

    files: int = 0
    compared: int = 0
    problems: list[str] = field(default_factory=list)


def verify(path: Path, sources: Sources | None) -> Verified:
    """Compare the files with the manifest, and the manifest with the archive's checksums of today.

    The archive replaces files now and then; a file made from an earlier version is named.

    Raises
    ------
    InvalidInput
        When there is no manifest.
    ExchangeError
        When the archive cannot be asked.
    """
    folder = DataFolder.open(path)
    if not folder.entries:
        raise InvalidInput(f"{path}: nothing was downloaded here")
    found = Verified()
    for name, entry in sorted(folder.entries.items()):
        found.files += 1
        if not (path / name).exists() and entry.rows:
            found.problems.append(f"{name}: is gone; download it again")
        elif not folder.sound(name):
            found.problems.append(f"{name}: was changed; download it again")
        if sources is not None and sources.archive is not None:
            for source in entry.sources:
                found.problems += _compared(name, source, sources)
                found.compared += 1
    return found


def _compared(name: str, source: Source, sources: Sources) -> list[str]:
    text = sources.http.text(f"{sources.archive}{source.path}.CHECKSUM")
    if text is None:
        return [f"{name}: the archive does not have {source.path} any more"]
    try:
        digest = archive.parse_checksum(text, source.path.rsplit("/", 1)[-1])
    except MarketDataError as error:
        return [f"{name}: {error}"]
    if digest != source.sha256:
        return [
            f"{name}: the archive has replaced {source.path}; remove the file, download it again"
        ]
    return []
