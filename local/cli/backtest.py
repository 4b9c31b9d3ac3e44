"""``./run backtest``: the decisions of the application on recorded candles."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from local.cli.market_options import market_of, pairs
from local.cli.progress import progress
from local.cli.tables import two_columns
from local.configuration import Configuration, configuration
from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.files import load_market
from shared.research.backtest import run as backtest
from shared.research.caveats import SERIOUS, Caveat
from shared.research.config import BacktestConfig, from_environment
from shared.research.kernel.compiler import is_cold
from shared.research.live_gate import note_of, refused_live
from shared.research.market import WARMUP_BARS, history
from shared.research.report.assemble import HOLD
from shared.research.report.extras import Extras
from shared.research.report.page import write_report
from shared.research.result import EXIT_REASONS, Result
from shared.research.signals import signals
from shared.research.statistics import Statistics, statistics
from shared.research.synthetic import Redrawn, on_synthetic_markets
from shared.research.variations import buy_and_hold, variations
from shared.strategies.config import EnsembleConfig, Member, SignalConfig, decode_config


def run(options: argparse.Namespace) -> int:
    """0 when the backtest was made, whatever it says."""
    if options.end <= options.start:
        raise InvalidInput(
            f"--to {iso(options.end)} is not after --from {iso(options.start)}; swap them"
        )
    chosen = configuration(options.config)
    source, start, end, notes = market_of(
        options, options.symbols or chosen.symbols, options.start, options.end
    )
    config = _config(options, chosen, start, end)
    cold = is_cold()
    began = time.perf_counter()
    with progress("backtest", options.quiet) as tell:
        tell(0.0, "signals")
        table = signals(source, config)
        state = f"{len(table)} signals in {table.bars} bars"
        tell(0.1, f"{state}; compiling, this time only" if cold else state)
        result = backtest(source, config, table=table, progress=tell)
        pace = _pace(time.perf_counter() - began, table.bars, cold=cold)
        varied: dict[str, Statistics] = {}
        for i, (name, figures) in enumerate(variations(source, config, table)):
            varied[name] = figures
            tell(0.6 + 0.1 * i, name)
    live = (
        []
        if config.portfolio_gate
        else note_of(refused_live(source, config, result), len(result.trades))
    )
    result = replace(result, notes=(*notes, *live, *result.notes))
    extras = Extras(
        title=f"{', '.join(config.symbols)} on {', '.join(config.timeframes)}",
        prices={s: history(source, s, result.timeframe, start, end) for s in config.symbols},
        benchmarks={HOLD: buy_and_hold(source, result, start)},
        variations=varied,
        redrawn=_redrawn(options, config),
    )
    out: Path = options.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"--out {out} cannot be written: {error.strerror}") from error
    against = [
        c
        for c in write_report(result, extras, out / "report.html")["caveats"]
        if c.level == SERIOUS
    ]
    _write_tables(result, out)
    _tell(result, varied, table.bars, pace, source.timeframe, chosen, out, against)
    return 0


def _config(
    options: argparse.Namespace, chosen: Configuration, start: int, end: int
) -> BacktestConfig:
    settings = {**chosen.rest, **pairs(options.set)}
    more: dict[str, Any] = {}
    timeframes = options.timeframe or chosen.timeframes
    if options.strategies:
        members = tuple(_member(text) for text in options.strategies)
        of = decode_config(settings.get("TRADING_PLAN") or "{}")
        more["signals"] = _only(of, members, timeframes)
    return from_environment(
        settings,
        symbols=options.symbols or chosen.symbols,
        timeframes=timeframes,
        start_ms=start,
        end_ms=end,
        deposit=options.deposit,
        costs=options.costs,
        clear_after_ms=round(options.clear_after * 3_600_000),
        engine="exact" if options.exact or options.portfolio_gate else "compiled",
        portfolio_gate=options.portfolio_gate,
        **more,
    )


def _redrawn(options: argparse.Namespace, config: BacktestConfig) -> Redrawn | None:
    """The backtest on synthetic markets made of the candle files."""
    if options.paths < 1:
        return None
    if options.synthetic:
        raise InvalidInput("--paths redraws candle files; the built-in market has --seed")
    market = load_market(
        options.data, config.symbols, config.start_ms, config.end_ms, warmup_bars=WARMUP_BARS
    )
    return on_synthetic_markets(market, config, options.paths, seed=options.seed)


def _member(text: str) -> Member:
    name, _, weight = text.partition(":")
    try:
        return msgspec.convert(
            {"strategy": name, "weight": float(weight) if weight else 1.0}, Member
        )
    except (ValueError, msgspec.ValidationError):
        raise InvalidInput(f"--strategies {text!r}: write NAME or NAME:WEIGHT") from None


def _only(
    config: SignalConfig, members: tuple[Member, ...], timeframes: tuple[str, ...]
) -> SignalConfig:
    """Other strategies under the thresholds of the configuration."""

    def with_members(ensemble: EnsembleConfig) -> EnsembleConfig:
        return msgspec.structs.replace(ensemble, members=members)

    return SignalConfig(
        default=with_members(config.default),
        timeframes={t: with_members(config.timeframes.get(t, config.default)) for t in timeframes},
    )


def _write_tables(result: Result, out: Path) -> None:
    """Trades and equity as CSV and parquet."""
    import pandas as pd

    t = result.trades
    trades = pd.DataFrame(
        {
            "symbol": [result.symbols[i] for i in t.symbol],
            "strategy": [result.strategies[i] for i in t.strategy],
            "side": ["BUY" if s > 0 else "SELL" for s in t.side],
            "opened_at": t.opened_at,
            "closed_at": t.closed_at,
            **{
                name: getattr(t, name)
                for name in (
                    "quantity",
                    "entry_price",
                    "exit_price",
                    "stop_price",
                    "gross",
                    "fees",
                    "funding",
                    "slippage",
                    "net",
                    "risk",
                    "best",
                    "worst",
                )
            },
            "exit_reason": [EXIT_REASONS[i] for i in t.exit_reason],
        }
    )
    equity = pd.DataFrame(
        {
            "time": result.time,
            "equity": result.equity,
            "wallet": result.wallet,
            "exposure": result.exposure,
        }
    )
    for name, frame in (("trades", trades), ("equity", equity)):
        frame.to_csv(out / f"{name}.csv", index=False)
        frame.to_parquet(out / f"{name}.parquet", index=False)


def _pace(took: float, bars: int, *, cold: bool) -> str:
    if cold:
        return f"{took:.2f} s, most of it compiling, once on this machine"
    return f"{took:.2f} s, {bars / took:,.0f} bars/s"


def _tell(
    result: Result,
    varied: dict[str, Statistics],
    bars: int,
    pace: str,
    detail: str,
    chosen: Configuration,
    out: Path,
    against: list[Caveat],
) -> None:
    from rich.console import Console
    from rich.markup import escape

    whole = statistics(result)
    t = result.trades
    declined = {k: v for k, v in result.decisions.items() if k != "approved"}
    rows = [
        ("configuration", chosen.name),
        ("signals", f"{sum(result.decisions.values())} of {bars} bars"),
        ("approved", f"{result.decisions.get('approved', 0)}"),
        ("declined for", ", ".join(f"{k} {v}" for k, v in declined.items()) or "-"),
        ("trades", f"{len(t)}, {int((t.net > 0).sum())} won"),
        ("gross P&L", f"{t.gross.sum():+.2f} USDT"),
        ("fees", f"{t.fees.sum():.2f} USDT"),
        ("spread and depth", f"{t.slippage.sum():.2f} USDT, inside gross"),
        ("funding", f"{t.funding.sum():+.2f} USDT"),
        ("net P&L", f"{t.net.sum():+.2f} USDT"),
        ("equity", f"{result.start_equity:.2f} -> {result.equity[-1]:.2f} USDT"),
        ("max drawdown", f"{whole.max_drawdown:.2%}"),
        ("Sharpe ratio", _ratio(whole.sharpe)),
        *(
            (name, f"{v.end_equity - v.start_equity:+.2f} USDT, Sharpe {_ratio(v.sharpe)}")
            for name, v in varied.items()
        ),
        ("time", pace),
    ]
    console = Console()
    console.print(two_columns(f"Backtest, prices inside {detail} bars", rows))
    for one in against:
        console.print(f"[red]{one.title}[/red]: {escape(one.text)}", highlight=False)
    for note in result.notes:
        console.print(f"[yellow]note[/yellow] {note}")
    console.print(f"{out / 'report.html'}, report.json, trades and equity as .csv and .parquet")


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
