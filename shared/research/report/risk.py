"""Over time and by chance: rolling Sharpe ratio, exposure, Monte Carlo, costs multiplied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.research.equity import DAYS_A_YEAR, curve, daily, returns
from shared.research.luck import Luck
from shared.research.montecarlo import QUANTILES, Paths
from shared.research.report.extras import Jitter
from shared.research.report.parts import Cell, figures, legend, section, table, tabs
from shared.research.report.plot import Band, Bars, Line, Panel, chart, plain, shares
from shared.research.report.words import NONE, money, number, percent, safe, tone
from shared.research.result import Result
from shared.research.statistics import Statistics
from shared.research.synthetic import Redrawn

#: Days of the rolling ratio.
ROLLING = 90


def rolling(result: Result) -> str:
    """Sharpe ratio of the last 90 days, and how much was held."""
    by_day = daily(curve(result))
    day_returns = returns(by_day)
    window = min(ROLLING, max(20, len(day_returns) // 3))
    panels = []
    low, high = float(by_day.time[0]), float(by_day.time[-1])
    if len(day_returns) > window:
        seen = np.lib.stride_tricks.sliding_window_view(day_returns, window)
        mean, spread = seen.mean(axis=1), seen.std(axis=1, ddof=1)
        ratio = np.full(len(mean), np.nan)
        np.divide(mean * np.sqrt(DAYS_A_YEAR), spread, out=ratio, where=spread > 1e-12)
        at = by_day.time[window:].astype(np.float64)
        panels.append(
            Panel(
                f"Sharpe ratio of the last {window} days",
                plain,
                170,
                lines=[Line("Sharpe", at, ratio, "accent", told="number")],
                level=0.0,
                include=[0.0],
            )
        )
    at, held = _exposure(result)
    panels.append(
        Panel(
            "Mean exposure, times equity",
            plain,
            110,
            lines=[
                Line(
                    "Exposure",
                    at,
                    held,
                    "warm",
                    fill=0.0,
                    told="number",
                )
            ],
            include=[0.0],
        )
    )
    return section(
        "rolling", "Over time", chart("Rolling Sharpe ratio and exposure", panels, (low, high))
    )


def _exposure(result: Result, most: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Notional over equity, as means over equal spans."""
    some = result.equity > 0
    held = np.where(some, result.exposure / np.where(some, result.equity, 1.0), 0.0)
    edges = np.unique(np.linspace(0, len(held), min(most, len(held)) + 1).astype(int))
    return (
        result.time[edges[1:] - 1].astype(np.float64),
        np.add.reduceat(held, edges[:-1]) / np.diff(edges),
    )


def luck(
    result: Result,
    s: Statistics,
    found: Luck,
    jitter: Jitter | None = None,
    redrawn: Redrawn | None = None,
) -> str:
    """How much of it could be luck."""
    pages = [
        (title, _fan(paths, result.start_equity))
        for title, paths in (
            ("Days redrawn", found.blocks),
            ("Trades redrawn", found.resampled),
            ("Trades shuffled", found.shuffled),
        )
        if paths is not None
    ]
    body = tabs("luck", pages) if pages else '<p class="dim">Too few trades to redraw.</p>'
    sure = [("True Sharpe above zero, one trial", percent(found.probability))]
    if found.deflated is not None:
        sure.append((f"After {found.trials:,} trials (deflated)", percent(found.deflated)))
    needed = found.needed_days
    enough = NONE if needed is None else "over 100 years" if needed > 36_500 else number(needed, 0)
    sure.append(("Days needed to be 95 % sure", f"{enough} (there are {s.days:,.0f})"))
    body += "<h3>How sure is it?</h3>" + figures(sure)
    if jitter is not None and len(jitter.returns):
        body += _jitter(jitter, s)
    if redrawn is not None and len(redrawn.returns):
        body += _redrawn(redrawn, s)
    return section(
        "luck",
        "Luck",
        body,
        "The same record in other orders and draws: a strategy has earned its money only if most "
        "of these paths did.",
    )


def _fan(p: Paths, start: float) -> str:
    at = np.array(p.fan_at, dtype=np.float64)
    low, first, middle, third, high = (start * np.array(row) for row in p.fan)
    unit = "days" if p.method.startswith("days") else "trades"
    names = [f"{q:.0%}" for q in QUANTILES]
    rows = [
        [
            "Equity at the end",
            *(f"{money(start * v)}" for v in p.final),
        ],
        ["Deepest fall", *(percent(v) for v in p.drawdown)],
    ]
    marks = [(float(v), f"{v:,}") for v in np.linspace(0, p.steps, 6).round().astype(int).tolist()]
    return (
        legend(
            [("middle path", "accent"), ("half of the paths", "accent"), ("nine in ten", "quiet")]
        )
        + chart(
            f"Monte Carlo, {p.method}",
            [
                Panel(
                    f"Equity, USDT, after so many {unit}",
                    plain,
                    240,
                    bands=[Band(at, low, high, "quiet"), Band(at, first, third, "accent")],
                    lines=[
                        Line("95 %", at, high, "quiet", told="usdt", hidden=True),
                        Line("75 %", at, third, "accent", told="usdt", hidden=True),
                        Line("middle", at, middle, "accent", told="usdt"),
                        Line("25 %", at, first, "accent", told="usdt", hidden=True),
                        Line("5 %", at, low, "quiet", told="usdt", hidden=True),
                    ],
                    level=start,
                )
            ],
            (0.0, float(p.steps)),
            times=False,
            x_ticks=marks,
            says=f"{p.paths:,} paths, {p.method}: {percent(p.loss_probability)} end with a loss, "
            f"{percent(p.falls['20%'], 1)} fall by 20 % or more on the way, "
            f"{percent(p.ruin_probability, 1)} lose {percent(1 - p.ruin, 0)} of the start.",
        )
        + table(["", *names], rows)
    )


def _jitter(jitter: Jitter, s: Statistics) -> str:
    return "<h3>Parameters moved a little</h3>" + _sorted(
        "Return of the variations",
        jitter.returns,
        s.total_return,
        f"{len(jitter.returns)} variations, every number moved by up to {percent(jitter.width, 0)}",
    )


def _redrawn(redrawn: Redrawn, s: Statistics) -> str:
    fall = float(np.median(redrawn.drawdowns))
    return "<h3>On other markets of the same kind</h3>" + _sorted(
        "Return on synthetic markets",
        redrawn.returns,
        s.total_return,
        f"The whole backtest on {len(redrawn.returns)} markets made of the same bars, redrawn in "
        f"blocks of about {redrawn.block_days:g} days (median drawdown {percent(fall)})",
    )


def _sorted(name: str, returns: Sequence[float], own: float, says: str) -> str:
    """Bars from worst to best beside the reported result."""
    values = np.sort(np.asarray(returns, dtype=np.float64))
    places = np.arange(len(values), dtype=np.float64)
    looks = ["up" if v > 0 else "down" for v in values.tolist()]
    return chart(
        name,
        [
            Panel(
                "Total return",
                shares,
                150,
                bars=[Bars(places + 0.08, places + 0.92, values, looks)],
                lines=[Line("Return", places + 0.5, values, "accent", told="percent", hidden=True)],
                level=own,
                include=[0.0, own],
            )
        ],
        (0.0, float(len(values))),
        times=False,
        x_ticks=[],
        says=f"{says}, from worst to best: {percent(float((values > 0).mean()), 0)} gained, the "
        f"middle one {percent(float(np.median(values)), sign=True)}. The dashed line is the "
        f"reported one ({percent(own, sign=True)}).",
    )


def stress(s: Statistics, found: Luck, variations: Mapping[str, Statistics]) -> str:
    """What worse costs and other assumptions do."""
    rows: list[list[Cell]] = [
        [
            f"Fees and slippage x {x.multiple:g}",
            (money(x.net, sign=True), tone(x.net)),
            number(x.profit_factor),
            f"{x.won:,}",
        ]
        for x in found.stress
    ]
    body = table(["", "net USDT", "profit factor", "won"], rows)
    if found.break_even is not None:
        body += (
            f'<p class="dim">With fees and slippage {found.break_even:.2f} times as high the '
            "result is zero. Trades and sizes are held as they were.</p>"
        )
    if variations:
        body += "<h3>The backtest again, under another assumption</h3>" + table(
            ["", "result", "max drawdown", "Sharpe", "trades"],
            [
                [
                    safe(name),
                    (percent(v.total_return, sign=True), tone(v.total_return)),
                    percent(v.max_drawdown),
                    number(v.sharpe),
                    f"{v.trading.trades:,}",
                ]
                for name, v in {"As reported": s, **variations}.items()
            ],
        )
    return section("stress", "If costs were worse", body)
