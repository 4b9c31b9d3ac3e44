"""``./run data audit`` and ``./run data import``."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from shared.clock import iso
from shared.errors import InvalidInput
from shared.research.data.findings import Finding

#: Findings told of each file and kind unless all are asked for.
_TOLD = 3


def run(options: argparse.Namespace) -> int:
    """0 when the files can be used, 1 when an audit found an error."""
    return _audit(options) if options.action == "audit" else _import(options)


def _audit(options: argparse.Namespace) -> int:
    from shared.research.data.audit import audit

    report = audit(options.folder)
    if options.json is not None:
        text = msgspec.json.format(msgspec.json.encode(report), indent=2)
        options.json.write_bytes(text + b"\n")
    for file in report.files:
        span = f"{iso(file.first)[:16]} to {iso(file.last)[:16]}" if file.rows else "empty"
        print(f"{file.file:<32} {file.rows:>9} rows  {span}")
    print()
    kinds: dict[tuple[str, str], int] = {}
    for finding in report.findings:
        place = (finding.file, finding.kind)
        kinds[place] = kinds.get(place, 0) + 1
        if options.all or kinds[place] <= _TOLD:
            print(_line(finding))
    hidden = sum(max(0, count - _TOLD) for count in kinds.values())
    if hidden and not options.all:
        print(f"and {hidden} more of the same kinds; --all tells them")
    warnings = len(report.findings) - report.errors
    print(f"{len(report.files)} files, {report.errors} error(s), {warnings} warning(s)")
    return 1 if report.errors else 0


def _line(finding: Finding) -> str:
    when = ""
    if finding.start:
        when = iso(finding.start)[:16]
        if finding.end != finding.start:
            when += f" to {iso(finding.end)[:16]}"
    return f"{finding.severity:<8} {finding.file} {finding.kind} {when}: {finding.text}"


def _import(options: argparse.Namespace) -> int:
    from shared.research.data.csv_import import Form, read_csv
    from shared.research.data.series import KINDS, Series
    from shared.research.data.store import encoded, write_whole

    if options.what not in KINDS:
        raise InvalidInput(f"--what {options.what}: use {', '.join(KINDS)}")
    if options.what == "funding" and options.timeframe:
        raise InvalidInput("funding has no time frame; leave --timeframe out")
    if options.what != "funding" and not options.timeframe:
        raise InvalidInput("name the time frame of the candles with --timeframe, for example 1h")
    series = Series(options.symbol, options.what, options.timeframe)
    form = Form(
        columns=_columns(options.columns),
        time_format=options.time_format,
        timezone=options.timezone,
        delimiter={"\\t": "\t", "tab": "\t"}.get(options.delimiter, options.delimiter),
        decimal=options.decimal,
        skip=options.skip,
    )
    found = read_csv(options.file, series, form)
    out: Path = options.out
    target = out / f"{series.stem}.parquet"
    if target.exists() and not options.replace:
        raise InvalidInput(f"{target} exists; remove it, or overwrite it with --replace")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(target, encoded(series, found.rows))
    for note in found.notes:
        print(f"note: {note}")
    first, last = int(found.rows.time[0]), int(found.rows.time[-1])
    print(f"{len(found.rows)} rows from {iso(first)} to {iso(last)} in {target}")
    return 0


def _columns(pairs: tuple[str, ...]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs:
            raise InvalidInput(f"--columns {pair!r}: write OURS=THEIRS, for example open_time=Date")
        columns[ours.strip()] = theirs.strip()
    return columns
