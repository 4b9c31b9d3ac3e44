"""``./run simulate``: the whole application under faults, from one seed."""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.cli.progress import Tell, counted
from local.simulate.campaign import ALL, Line, Summary, Told, search
from local.simulate.profiles import PROFILES
from local.simulate.result import Result
from local.simulate.run import Finding, Progress, Report, episode, simulate
from local.simulate.run import told as told_of
from shared.errors import InvalidInput


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 when no invariant was violated, 1 otherwise."""
    if options.episode:
        return _replay(options)
    if options.kills is not None:
        return _kills(options)
    if options.jobs or options.log or options.profile == ALL:
        return _search(options)
    watch = cProfile.Profile() if options.dominates else None
    if watch is not None:
        watch.enable()
    report = simulate(
        options.decisions,
        options.seed,
        options.profile,
        progress=(lambda result, done: None) if options.quiet else _progress(options.decisions),
        stop_at_first=options.first,
    )
    if watch is not None:
        watch.disable()
    _print(report, options.quiet)
    if watch is not None:
        _dominates(watch)
    return 1 if report.findings else 0


def _kills(options: argparse.Namespace) -> int:
    """Real processes and kill -9."""
    from local.simulate.kills import Kills

    def told(number: int, moment: str) -> None:
        print(f"\r{number:>4} of {options.kills} kills  {moment:50}", end="", file=sys.stderr)

    report = Kills(
        options.kills, options.seed, (lambda number, moment: None) if options.quiet else told
    ).run()
    if not options.quiet:
        print(file=sys.stderr)
    print(
        f"{report.kills} kills in {report.seconds:.0f} s: {report.requests:,} requests, "
        f"{report.decisions:,} decisions, {report.entries:,} entries, {report.trades:,} trades, "
        f"{report.minutes:,} minutes of market"
    )
    for moment, count in sorted(report.at.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {count:>4} {moment}")
    for violation in report.violations:
        print(f"  invariant {violation.invariant} at {violation.time}: {violation.text}")
    if not report.violations:
        print("no invariant was violated")
    return 1 if report.violations else 0


def _search(options: argparse.Namespace) -> int:
    """Over several processes, and from where the log ends."""
    jobs = options.jobs or os.cpu_count() or 1
    with counted("simulate", options.quiet, "decisions") as tell:
        summary = search(
            options.decisions,
            options.seed,
            options.profile,
            jobs=jobs,
            log=options.log,
            told=_teller(tell, options.decisions),
            stop_at_first=options.first,
        )
    print("\n".join(_summary_lines(summary, options.profile, options.seed, jobs)))
    for finding in summary.findings:
        print("\n".join(told_of(finding)))
    return 1 if summary.findings else 0


def _summary_lines(summary: Summary, profile: str, seed: int, jobs: int) -> Iterator[str]:
    s = summary
    yield (
        f"profile {profile}, seed {seed}: {s.decisions:,} decisions ({s.approved:,} approved, "
        f"{s.decisions - s.approved:,} declined) in {s.episodes:,} episodes"
    )
    yield "  " + ", ".join(f"{name} {count:,}" for name, count in sorted(s.by_profile.items()))
    yield (
        f"{s.entries:,} entries, {s.trades:,} trades, {s.minutes:,} minutes of market, "
        f"{s.faults:,} faults, {s.restarts:,} restarts, {s.stops:,} emergency stops"
    )
    yield ", ".join(f"{count:,} {name}" for name, count in s.seen.items())
    yield "checks by invariant: " + ", ".join(f"{n}: {s.checked[n]:,}" for n in sorted(s.checked))
    if s.cpu:
        yield (
            f"{s.decisions / s.cpu:.0f} decisions per second of one core, "
            f"of these {s.approved / s.cpu:.0f} approved"
        )
    if s.seconds:
        yield (
            f"this run: {s.now_decisions:,} decisions in {s.seconds:,.0f} s with {jobs} processes, "
            f"{s.now_decisions / s.seconds:.0f} per second"
        )
    if s.earlier:
        yield f"{s.earlier:,} decisions are from the log of earlier runs on the same code"
    if s.other_code:
        yield f"{s.other_code:,} episodes of the log are not counted: other code, seed or profile"
    missing = s.wanted - s.decisions
    yield f"not run: {missing:,} of {s.wanted:,}" if missing > 0 else "all of them were run"
    yield (
        "no invariant was violated"
        if not s.findings
        else f"{len(s.findings)} episodes violated an invariant"
    )


def _teller(tell: Tell, wanted: int) -> Told:
    """Tells each episode that ends, and says at once what was violated."""
    violated = 0

    def told(line: Line, done: int) -> None:
        nonlocal violated
        violated += bool(line.violations)
        if line.violations:
            broken = sorted({v.invariant for v in line.violations})
            print(f"VIOLATED: {line.profile} {line.episode} invariants {broken}", file=sys.stderr)
        tell(done, wanted, f"{violated} violated" if violated else "")

    return told


def _replay(options: argparse.Namespace) -> int:
    """One episode again, whole or with the faults that are named."""
    profile = PROFILES.get(options.profile)
    if profile is None:
        raise InvalidInput(f"there is no profile {options.profile!r}; use {', '.join(PROFILES)}")
    only: Sequence[str] | None = None
    if options.only:
        only = () if options.only == "none" else options.only.split(",")
    result = episode(options.episode, profile, options.decisions, only)
    print(
        f"episode {options.episode} ({profile.name}): {result.decisions} decisions, "
        f"{len(result.fired)} faults, audit {result.audit[:16]}"
    )
    if not result.violations:
        print("no invariant was violated")
        return 0
    finding = Finding(
        episode=options.episode,
        profile=profile.name,
        decisions=options.decisions,
        violations=result.violations,
        faults=result.fired,
    )
    print("\n".join(told_of(finding)))
    return 1


def _progress(wanted: int) -> Progress:
    def show(result: Result, done: int) -> None:
        mark = "VIOLATED" if result.violations else "ok"
        text = f"{min(done, wanted):>9,} of {wanted:,} decisions  {mark}"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    return show


def _print(report: Report, quiet: bool) -> None:
    if not quiet:
        print(file=sys.stderr)
    rate = report.decisions / report.cpu_seconds if report.cpu_seconds else 0.0
    struck = sum(report.faults.values())
    print(
        f"profile {report.profile}, seed {report.seed}: {report.decisions:,} decisions in "
        f"{report.seconds:.1f} s ({rate:.0f} per second of one core)"
    )
    print(
        f"{report.approved:,} approved, {report.entries:,} entries, {report.trades:,} trades, "
        f"{report.minutes:,} minutes of market in {report.episodes} episodes"
    )
    print(
        f"{struck:,} faults, {report.restarts:,} restarts, {report.stops:,} emergency stops; "
        f"audit of the last episode {report.audits[-1][:16]}"
    )
    checks = ", ".join(f"{n}: {report.checked[n]:,}" for n in sorted(report.checked))
    print(f"checks by invariant: {checks}")
    if not quiet:
        for name, count in sorted(report.failures.items(), key=lambda item: -item[1])[:12]:
            print(f"  {count:>6} x {name}")
    if not report.findings:
        print("no invariant was violated")
    for finding in report.findings:
        print("\n".join(told_of(finding)))


def _dominates(watch: cProfile.Profile) -> None:
    """Where the time went, by part of the program."""
    root = Path(__file__).resolve().parents[2]
    shares: dict[str, float] = {}
    total = 0.0
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(watch).stats.items():  # type: ignore[attr-defined]
        total += own
        shares[_room(file, name, root)] = shares.get(_room(file, name, root), 0.0) + own
    print("what dominates (share of the time, under the profiler):")
    for room, own in sorted(shares.items(), key=lambda item: -item[1])[:10]:
        print(f"  {own / total:>6.1%}  {room}")


def _room(file: str, name: str, root: Path) -> str:
    if "sqlite3" in name:
        return "SQLite"
    if file.startswith(str(root)):
        parts = Path(file).relative_to(root).parts
        if parts[0] in ("shared", "local", "functions"):
            return "/".join(parts[:2]) if len(parts) > 2 else parts[0]
    if "azure" in file:
        return "the Durable SDK"
    if "msgspec" in name or "msgspec" in file:
        return "msgspec"
    if "binance" in file:
        return "python-binance"
    return "Python and other libraries"
