"""Audit of a folder of candle files: everything that is wrong or odd, with its place.

Unlike :mod:`shared.market.files`, which ends at the first thing it cannot use, this reads on. What
it calls an error is what replay and backtest refuse; warnings are for a person to judge, with the
mark price as the second witness of a price.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.market.candle import Columns
from shared.market.candle_folder import candle_files
from shared.market.resample import resample
from shared.research.data.findings import AuditReport, FileSummary, Finding, Severity, runs
from shared.research.data.raw import Unusable, read_raw
from shared.research.data.series import Rows, Series, joined

#: Candles without a single trade, one after the other, before it is told.
ZERO_RUN = 5
#: Move of the close within one candle that needs a witness; candles above an hour may move more.
JUMP, LONG_JUMP = 0.10, 0.25
#: By how much the mark price's move may differ from it.
WITNESS = 0.03
#: Distance of close and mark price, and of the extremes from the mark's, that is told.
DISTANCE, WICK = 0.02, 0.05
#: Funding above this, and pauses between settlements longer than this, are told.
FUNDING_RATE, FUNDING_PAUSE_MS = 0.0075, 8 * 3_600_000 + 60_000
#: Volumes of shorter candles may add up this much differently from the venue's longer candle.
VOLUME_TOLERANCE = 1e-3

_HOUR = 3_600_000


def audit(folder: Path) -> AuditReport:
    """Read every candle file of a folder.

    Raises
    ------
    InvalidInput
        When there is no such folder, or no candle file in it.
    """
    files: list[FileSummary] = []
    findings: list[Finding] = []
    sound: dict[Series, list[tuple[str, Rows]]] = {}
    for file in candle_files(folder):
        series = Series(file.symbol, file.kind, file.timeframe)  # type: ignore[arg-type]
        name = file.path.name
        try:
            rows, lost = read_raw(file.path, series)
        except Unusable as error:
            findings.append(_finding("error", "unusable", name, 0, 0, 0, str(error)))
            continue
        edges = (int(np.min(rows.time)), int(np.max(rows.time))) if len(rows) else (0, 0)
        files.append(FileSummary(file=name, rows=len(rows), first=edges[0], last=edges[1]))
        found = [*lost, *_rows(name, series, rows)]
        findings += found
        if len(rows):
            good = joined(series, [Rows(rows.time, rows.values)])
            good = Rows(
                good.time[np.isfinite(good.values).all(axis=1)],
                good.values[np.isfinite(good.values).all(axis=1)],
            )
            sound.setdefault(series, []).append((name, good))
    findings += _between_files(sound)
    whole = {s: joined(s, [rows for _, rows in parts]) for s, parts in sound.items()}
    names = {s: parts[0][0] for s, parts in sound.items()}
    findings += _against_mark(whole, names)
    findings += _against_shorter(whole, names)
    findings.sort(key=lambda f: (f.file, f.start, f.kind))
    return AuditReport(files=files, findings=findings)


def _finding(
    severity: Severity, kind: str, file: str, start: int, end: int, count: int, text: str
) -> Finding:
    return Finding(
        severity=severity, kind=kind, file=file, start=start, end=end, count=count, text=text
    )


# ---------------------------------------------------------------- one file


def _rows(name: str, series: Series, rows: Rows) -> list[Finding]:
    if not len(rows):
        return [_finding("error", "empty", name, 0, 0, 0, "the file has no row")]
    found = _order(name, rows)
    time, values = rows.time, rows.values
    for a, b in runs(~np.isfinite(values).all(axis=1)):
        found.append(_place("error", "not a number", name, rows, a, b, "not a number"))
    if series.kind == "funding":
        return found + _funding(name, rows)
    for a, b in runs(time % series.step != 0):
        text = f"opens on no {series.timeframe} boundary"
        found.append(_place("error", "off grid", name, rows, a, b, text))
    opened, high, low, close = values.T[:4]
    with np.errstate(invalid="ignore"):
        impossible = (
            (low <= 0) | (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
        )
        if series.kind == "candles":
            impossible |= values[:, 4] < 0
    for a, b in runs(impossible):
        text = "no candle can be " + ", ".join(
            f"{column} {value:g}" for column, value in zip(series.columns, values[a], strict=True)
        )
        found.append(_place("error", "impossible", name, rows, a, b, text))
    for start, end, count in _gaps(np.unique(time), series.step):
        text = f"{count} candle(s) missing"
        found.append(_finding("error", "gap", name, start, end, count, text))
    if series.kind == "candles":
        for a, b in runs(values[:, 4] == 0):
            if b - a >= ZERO_RUN:
                text = f"{b - a} candles without a trade"
                found.append(_place("warning", "zero volume", name, rows, a, b, text))
    return found


def _place(
    severity: Severity, kind: str, name: str, rows: Rows, a: int, b: int, text: str
) -> Finding:
    start, end = int(rows.time[a]), int(rows.time[b - 1])
    return _finding(severity, kind, name, start, end, b - a, text)


def _order(name: str, rows: Rows) -> list[Finding]:
    found = []
    steps = np.diff(rows.time)
    back = np.flatnonzero(steps < 0)
    if len(back):
        at = int(rows.time[back[0] + 1])
        text = f"row {back[0] + 2} lies before the row above it ({len(back)} such rows)"
        found.append(_finding("error", "unsorted", name, at, at, len(back), text))
    order = np.argsort(rows.time, kind="stable")
    time, values = rows.time[order], rows.values[order]
    same = np.flatnonzero(np.diff(time) == 0)
    if len(same):
        differ = ~(values[same] == values[same + 1]).all(axis=1)
        at = int(time[same[0]])
        text = f"{len(same)} row(s) doubled, {int(differ.sum())} of them with other values"
        found.append(_finding("error", "doubled", name, at, int(time[same[-1]]), len(same), text))
    return found


def _gaps(time: NDArray[np.int64], step: int) -> list[tuple[int, int, int]]:
    """Start, end and number of candles of every hole in ascending times."""
    holes = np.flatnonzero(np.diff(time) > step)
    return [
        (int(time[i]) + step, int(time[i + 1]), int((time[i + 1] - time[i]) // step) - 1)
        for i in holes.tolist()
    ]


def _funding(name: str, rows: Rows) -> list[Finding]:
    found = []
    rate = rows.values[:, 0]
    with np.errstate(invalid="ignore"):
        for a, b in runs(np.abs(rate) > FUNDING_RATE):
            text = f"funding of {rate[a]:.4%}"
            found.append(_place("warning", "funding rate", name, rows, a, b, text))
    time = np.unique(rows.time)
    for i in np.flatnonzero(np.diff(time) > FUNDING_PAUSE_MS).tolist():
        hours = (time[i + 1] - time[i]) / _HOUR
        text = f"no settlement for {hours:.0f} hours"
        found.append(
            _finding("warning", "funding gap", name, int(time[i]), int(time[i + 1]), 1, text)
        )
    return found


# ---------------------------------------------------------------- several files


def _between_files(sound: dict[Series, list[tuple[str, Rows]]]) -> list[Finding]:
    """Files of one series that contradict each other, or leave a break between them."""
    found = []
    for series, parts in sound.items():
        ordered = sorted((p for p in parts if len(p[1])), key=lambda part: int(part[1].time[0]))
        for (_, left), (name, right) in itertools.pairwise(ordered):
            common, a, b = np.intersect1d(left.time, right.time, return_indices=True)
            differs = np.flatnonzero(~(left.values[a] == right.values[b]).all(axis=1))
            if len(differs):
                at = int(common[differs[0]])
                text = f"{len(differs)} row(s) differ from another file of the same time frame"
                found.append(_finding("error", "contradiction", name, at, at, len(differs), text))
            pause = int(right.time[0]) - int(left.time[-1]) - series.step
            if series.step and pause > 0:
                start, end = int(left.time[-1]) + series.step, int(right.time[0])
                text = f"{pause // series.step} candle(s) between two files"
                found.append(
                    _finding("warning", "break", name, start, end, pause // series.step, text)
                )
    return found


def _against_mark(whole: dict[Series, Rows], names: dict[Series, str]) -> list[Finding]:
    """Moves, distances and extremes that the mark price does not confirm."""
    found: list[Finding] = []
    for series, rows in whole.items():
        if series.kind != "candles" or not len(rows):
            continue
        name = names[series]
        mark = whole.get(Series(series.symbol, "mark", series.timeframe))
        if mark is None or not len(mark):
            found += _jumps(name, series, rows, None)
            continue
        common, a, b = np.intersect1d(rows.time, mark.time, return_indices=True)
        pair = Rows(common, rows.values[a])
        witness = mark.values[b]
        found += _jumps(name, series, pair, witness)
        distance = np.abs(pair.values[:, 3] / witness[:, 3] - 1)
        for i, j in runs(distance > DISTANCE):
            text = f"close up to {distance[i:j].max():.1%} away from the mark price"
            found.append(_place("warning", "mark distance", name, pair, i, j, text))
        beyond = np.maximum(
            pair.values[:, 1] / witness[:, 1] - 1, 1 - pair.values[:, 2] / witness[:, 2]
        )
        for i, j in runs(beyond > WICK):
            text = f"extreme {beyond[i:j].max():.1%} beyond the mark price's"
            found.append(_place("warning", "wick", name, pair, i, j, text))
    return found


def _jumps(
    name: str, series: Series, rows: Rows, witness: NDArray[np.float64] | None
) -> list[Finding]:
    if len(rows) < 2:
        return []
    limit = JUMP if series.step <= _HOUR else LONG_JUMP
    next_to = np.diff(rows.time) == series.step
    move = rows.values[1:, 3] / rows.values[:-1, 3] - 1
    large = next_to & (np.abs(move) > limit)
    if witness is not None:
        large &= np.abs(move - (witness[1:, 3] / witness[:-1, 3] - 1)) > WITNESS
    found = []
    for i in np.flatnonzero(large).tolist():
        said = "no mark price to compare" if witness is None else "the mark price did not"
        text = f"close moved {move[i]:+.1%} in one candle, {said}"
        found.append(_place("warning", "jump", name, rows, i + 1, i + 2, text))
    return found


def _against_shorter(whole: dict[Series, Rows], names: dict[Series, str]) -> list[Finding]:
    """The venue's own candles against those made of the next shorter ones in the folder."""
    found = []
    candles = sorted((s for s in whole if s.kind == "candles"), key=lambda s: s.step)
    for series in candles:
        shorter = [
            s
            for s in candles
            if s.symbol == series.symbol and s.step < series.step and not series.step % s.step
        ]
        if shorter:
            finding = _compared(names[series], series, whole[series], shorter[-1], whole)
            found += [finding] if finding else []
    return found


def _compared(
    name: str, series: Series, own: Rows, fine: Series, whole: dict[Series, Rows]
) -> Finding | None:
    rows = whole[fine]
    if not len(rows) or (rows.time % fine.step).any():
        return None
    edges = [0, *(np.flatnonzero(np.diff(rows.time) != fine.step) + 1).tolist(), len(rows)]
    made = [
        resample(_columns(fine, rows, a, b), series.timeframe) for a, b in itertools.pairwise(edges)
    ]
    time = np.concatenate([m.open_time for m in made])
    prices = np.concatenate([np.column_stack((m.open, m.high, m.low, m.close)) for m in made])
    volume = np.concatenate([m.volume for m in made])
    common, a, b = np.intersect1d(own.time, time, return_indices=True)
    wrong = ~np.isclose(own.values[a, :4], prices[b], rtol=1e-9, atol=0).all(axis=1)
    wrong |= np.abs(own.values[a, 4] - volume[b]) > VOLUME_TOLERANCE * np.maximum(
        own.values[a, 4], volume[b]
    )
    bad = np.flatnonzero(wrong)
    if not len(bad):
        return None
    text = (
        f"{len(bad)} of {len(common)} candles differ from those made of {fine.timeframe} candles, "
        f"first at {iso(int(common[bad[0]]))}"
    )
    start, end = int(common[bad[0]]), int(common[bad[-1]])
    return _finding("warning", "resampling", name, start, end, len(bad), text)


def _columns(series: Series, rows: Rows, a: int, b: int) -> Columns:
    o, h, low, c, v = (np.ascontiguousarray(rows.values[a:b, i]) for i in range(5))
    return Columns(series.symbol, series.timeframe, rows.time[a:b], o, h, low, c, v)
