"""``./run compare``: executed trades against a backtest of the same period."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from local.cli.market_options import market_of, pairs
from local.configuration import configuration
from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS, duration_ms
from shared.research.compare import Comparison, compare
from shared.research.compare_page import ordered, page
from shared.research.config import BacktestConfig, from_environment
from shared.research.exact import ExactEngine
from shared.research.executed import (
    Executed,
    from_audit_file,
    from_json_file,
    from_store,
    timeframes_of,
)


def run(options: argparse.Namespace) -> int:
    """0 when the comparison was made, whatever it says."""
    executed = _executed(options)
    symbols = options.symbols or tuple(sorted({t.symbol for t in executed.trades}))
    if not symbols:
        raise InvalidInput(f"{options.live}: holds no trade; name the contracts with --symbols")
    timeframes = options.timeframes or timeframes_of(executed)
    if not timeframes:
        raise InvalidInput("the trades' ids name no time frame; name them with --timeframes")
    start, end = _range(options, executed)
    source, start, end, notes = market_of(options, symbols, start, end)
    config = _config(options, symbols, timeframes, start, end)
    engine = ExactEngine(source, config)
    result = engine.run()
    found = compare(
        executed,
        result,
        engine.outcomes,
        start_ms=start,
        end_ms=end,
        tolerance_ms=max(duration_ms(t) for t in timeframes),
    )
    found = msgspec.structs.replace(found, notes=[*notes, *found.notes])
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (out / "compare.json").write_bytes(text + b"\n")
    (out / "compare.html").write_text(page(found), encoding="utf-8")
    _tell(found, out)
    return 0


def _executed(options: argparse.Namespace) -> Executed:
    live: Path = options.live
    if live.is_dir():
        from local.cli.open_state import ACCOUNT, open_store

        if (live / "audit.jsonl").exists():
            return from_audit_file(live / "audit.jsonl")
        symbols = options.symbols or configuration(options.config).symbols
        store = open_store(live)
        try:
            return from_store(store, ACCOUNT, symbols)
        finally:
            store.close()
    if not live.exists():
        raise InvalidInput(f"{live}: no such file or folder")
    return from_audit_file(live) if live.suffix == ".jsonl" else from_json_file(live)


def _range(options: argparse.Namespace, executed: Executed) -> tuple[int, int]:
    """What was asked for, else whole days around the trades."""
    times = [t.opened_at for t in executed.trades] + [t.closed_at for t in executed.trades]
    if not times and (options.start is None or options.end is None):
        raise InvalidInput(f"{options.live}: holds no trade; name the range with --from and --to")
    start = options.start if options.start is not None else min(times) // DAY_MS * DAY_MS
    end = options.end if options.end is not None else (max(times) // DAY_MS + 1) * DAY_MS
    if end <= start:
        raise InvalidInput(f"--to {iso(end)} is not after --from {iso(start)}; swap them")
    return start, end


def _config(
    options: argparse.Namespace,
    symbols: tuple[str, ...],
    timeframes: tuple[str, ...],
    start: int,
    end: int,
) -> BacktestConfig:
    settings = {**configuration(options.config).rest, **pairs(options.set)}
    return from_environment(
        settings,
        symbols=symbols,
        timeframes=timeframes,
        start_ms=start,
        end_ms=end,
        engine="exact",
        portfolio_gate=True,
        deposit=options.deposit,
    )


def _tell(found: Comparison, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{found.source} against backtest, {iso(found.start)[:10]} to {iso(found.end)[:10]}"
    table = Table(title=title)
    table.add_column("cause")
    table.add_column("trades", justify="right")
    table.add_column("USDT", justify="right")
    for name, amount in ordered(found):
        table.add_row(name, str(found.counts[name]), f"{amount:+.2f}")
    table.add_section()
    table.add_row("executed", str(found.executed_trades), f"{found.executed_net:+.2f}")
    table.add_row("backtest", str(found.backtest_trades), f"{found.backtest_net:+.2f}")
    table.add_row("difference", f"{found.matched} matched", f"{found.difference:+.2f}")
    console = Console()
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"{out / 'compare.html'}, compare.json")
