"""``./run replay``: the whole application on candle files in virtual time."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from local.cli.market_options import market_of, pairs
from local.cli.progress import progress
from local.cli.tables import two_columns
from local.clock import VirtualClock
from local.configuration import PLACES, Configuration, configuration
from local.replay.report import write_page
from local.replay.run import replay
from local.replay.summary import Summary
from shared.clock import iso
from shared.errors import InvalidInput
from shared.settings import SETTINGS
from shared.storage.store import Store

#: Settings that a replay makes itself; the rest may be chosen with ``--set``.
GIVEN = ("SYMBOLS", *PLACES)


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 when nothing was violated and the audit verifies, 1 otherwise."""
    if options.end <= options.start:
        raise InvalidInput(
            f"--to {iso(options.end)} is not after --from {iso(options.start)}; swap them"
        )
    chosen = configuration(options.config)
    settings = {**chosen.settings, **_settings(options.set)}
    symbols = options.symbols or chosen.symbols
    source, start, end, notes = market_of(options, symbols, options.start, options.end)
    out: Path = options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        logging.getLogger().handlers[:] = [_log_file(out)]
    except OSError as error:
        raise InvalidInput(f"--out {out} cannot be written: {error.strerror}") from error
    with _store(options) as make_store, progress("replay", options.quiet) as tell:
        for note in (chosen.about, *notes):
            print(f"note: {note}", file=sys.stderr)
        summary, recorder = replay(
            source,
            symbols=symbols,
            start_ms=start,
            end_ms=end,
            seed=options.seed,
            settings=settings,
            store=make_store,
            audit_path=out / "audit.jsonl",
            progress=tell,
        )
    text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (out / "summary.json").write_bytes(text + b"\n")
    write_page(out / "report.html", summary, recorder)
    _table(summary, recorder.failures, chosen, out)
    return 0 if summary.good else 1


def _settings(texts: list[str]) -> dict[str, str]:
    known = [s.name for s in SETTINGS if s.name not in GIVEN]
    settings = pairs(texts)
    for name in settings:
        if name not in known:
            raise InvalidInput(f"--set {name}: there is no such setting; one of {', '.join(known)}")
    return settings


def _log_file(out: Path) -> logging.Handler:
    handler = logging.FileHandler(out / "replay.log", mode="w")
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    return handler


@contextlib.contextmanager
def _store(options: argparse.Namespace) -> Iterator[Callable[[VirtualClock], Store] | None]:
    """A maker of the state store, and whatever server it needs meanwhile."""
    if options.store == "sqlite":
        yield None
        return
    from local.cosmos import cosmos_store

    with cosmos_store(options.cosmos) as make:
        yield make


def _table(summary: Summary, failures: list[str], chosen: Configuration, out: Path) -> None:
    from rich.console import Console

    rows = [
        ("configuration", chosen.name),
        ("signals", f"{summary.signals} ({summary.actionable} with a side)"),
        ("decisions", ", ".join(f"{v} {k}" for k, v in summary.decisions.items()) or "none"),
        ("declined for", ", ".join(f"{k} {v}" for k, v in summary.declined_for.items()) or "-"),
        ("orders", ", ".join(f"{v} {k}" for k, v in summary.orders.items()) or "none"),
        ("trades", f"{summary.trades}, {summary.won} won, {summary.open_positions} still open"),
        ("gross P&L", f"{summary.gross_pnl:+.2f} USDT"),
        ("fees", f"{summary.fees:.2f} USDT"),
        ("funding", f"{summary.funding:+.2f} USDT"),
        ("net P&L", f"{summary.net_pnl:+.2f} USDT"),
        ("equity", f"{summary.start_equity:.2f} -> {summary.end_equity:.2f} USDT"),
        ("max drawdown", f"{summary.max_drawdown:.2%}"),
        (
            "audit",
            f"{summary.audit_records} records, "
            + ("verified" if summary.audit_verified else "DOES NOT VERIFY"),
        ),
        (
            "invariants",
            f"{sum(i['checked'] for i in summary.invariants.values())} checks, "
            f"{len(summary.violations)} violated",
        ),
        ("wall time", f"{summary.wall_seconds:.1f} s"),
    ]
    console = Console()
    console.print(two_columns(f"Replay {summary.start[:10]} to {summary.end[:10]}", rows))
    for violation in summary.violations:
        console.print(f"[red]violated[/red] {violation.invariant}: {violation.text}")
    for failure in failures[:5]:
        console.print(f"[yellow]failed[/yellow] {failure}")
    console.print(f"{out / 'report.html'}, summary.json, audit.jsonl, replay.log")
