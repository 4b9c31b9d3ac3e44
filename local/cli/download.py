"""``./run download``: market history from Binance into a folder of parquet files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

import requests

from local.cli.progress import progress
from shared.clock import SystemClock, iso
from shared.errors import InvalidInput
from shared.execution.binance.budget import LocalRateBudget
from shared.research.data.download import Outcome, Sources, download, verify
from shared.research.data.fetch import Http
from shared.research.data.rest import Rest
from shared.research.data.series import KINDS, Series

#: Missing times told on the console; the manifest has all.
_TOLD = 10


def run(options: argparse.Namespace) -> int:
    """0 when everything asked for is there and sound, 1 when some of it is not."""
    clock = SystemClock()
    with requests.Session() as session:
        sources = _sources(options, session, clock)
        if options.verify:
            return _verify(options.out, sources)
        series = _series(options)
        if options.start is None or options.end is None:
            raise InvalidInput("name the range with --from and --to")
        with progress("download", options.quiet) as tell:
            outcome = download(
                options.out, series, options.start, options.end, sources, clock, tell
            )
        _tell(outcome, options.out, sources.http)
    return 1 if outcome.missing else 0


def _sources(options: argparse.Namespace, session: requests.Session, clock: SystemClock) -> Sources:
    known = ("archive", "rest")
    wrong = [name for name in options.source if name not in known]
    if wrong:
        raise InvalidInput(f"--source {wrong[0]}: use archive, rest or both")
    for option, url in (("--archive", options.archive), ("--rest", options.rest)):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"{option} {url!r} is no http(s) address")
        if parts.hostname in ("127.0.0.1", "localhost", "::1"):
            session.trust_env = False  # no proxy lies between this machine and itself
    http = Http(session, clock, LocalRateBudget(clock.now_ms))
    return Sources(
        http=http,
        archive=options.archive.rstrip("/") if "archive" in options.source else None,
        rest=Rest(http, clock, options.rest) if "rest" in options.source else None,
    )


def _series(options: argparse.Namespace) -> list[Series]:
    wrong = [what for what in options.what if what not in KINDS]
    if wrong:
        raise InvalidInput(f"--what {wrong[0]}: use {', '.join(KINDS)}")
    if not options.symbols:
        raise InvalidInput("name the contracts with --symbols BTCUSDT,ETHUSDT")
    return [
        Series(symbol, kind, timeframe)
        for symbol in options.symbols
        for kind in KINDS
        if kind in options.what
        for timeframe in (("",) if kind == "funding" else options.timeframe)
    ]


def _verify(out: Path, sources: Sources) -> int:
    found = verify(out, sources)
    for problem in found.problems:
        print(problem)
    print(
        f"{found.files} files, {found.compared} archive checksums compared, "
        f"{len(found.problems)} problem(s)"
    )
    return 1 if found.problems else 0


def _tell(outcome: Outcome, out: Path, http: Http) -> None:
    for note in outcome.notes:
        print(f"note: {note}", file=sys.stderr)
    lines = [
        f"{name}: nothing from {iso(start)} to {iso(end)}"
        for name, missing in sorted(outcome.missing.items())
        for start, end in missing
    ]
    for line in lines[:_TOLD]:
        print(line)
    if len(lines) > _TOLD:
        print(f"and {len(lines) - _TOLD} more; {out / 'manifest.json'} has all")
    print(
        f"{outcome.fetched} months fetched, {outcome.kept} were there, {outcome.rows} rows new; "
        f"{http.requests} requests, {http.bytes / 1e6:.1f} MB of archive files; {out}"
    )
