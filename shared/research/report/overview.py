"""The first screens: large figures, warnings, equity with drawdown, months, all ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shared.research.breakdown import Breakdown, Period
from shared.research.caveats import Caveat
from shared.research.equity import Curve, curve, drawdowns
from shared.research.report.parts import columns, legend, section, tabs, tiles
from shared.research.report.plot import Line, Panel, chart, plain, shares, thinned
from shared.research.report.words import (
    NONE,
    hours,
    money,
    number,
    percent,
    prose,
    safe,
    tone,
)
from shared.research.result import Result
from shared.research.statistics import Statistics

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_TITLES = {"serious": "Serious", "caution": "Caution", "note": "Note"}
#: Of several curves in one chart.
_LOOKS = ("accent", "warm", "quiet", "up")


def headline(s: Statistics) -> str:
    """The six figures everybody asks for first."""
    t = s.trading
    gain = s.end_equity - s.start_equity
    return tiles(
        [
            (
                "Result",
                percent(s.total_return, sign=True),
                tone(s.total_return),
                f"{money(gain, sign=True)} USDT",
            ),
            ("Per year", percent(s.cagr, sign=True), tone(s.cagr), f"over {s.days:,.0f} days"),
            (
                "Max drawdown",
                percent(s.max_drawdown),
                "",
                f"{s.max_drawdown_days:,.0f} days under water",
            ),
            ("Sharpe", number(s.sharpe), "", f"Sortino {number(s.sortino)}"),
            (
                "Profit factor",
                number(t.profit_factor),
                "",
                f"{number(t.expectancy_r, sign=True)} R a trade",
            ),
            ("Trades", f"{t.trades:,}", "", f"{percent(t.win_rate, 0)} won"),
        ]
    )


def warnings(found: Sequence[Caveat]) -> str:
    """What to know before believing it."""
    if not found:
        body = "<p>No warning applies. That is no promise about the future.</p>"
    else:
        body = (
            '<ul class="caveats">'
            + "".join(
                f'<li class="{c.level}"><i role="img" aria-label="{_TITLES[c.level]}"></i>'
                f"<b>{safe(c.title)}</b><span>{prose(c.text)}</span></li>"
                for c in found
            )
            + "</ul>"
        )
    return section("warnings", "Before you believe it", body)


def equity(result: Result, s: Statistics, benchmarks: Mapping[str, Curve]) -> str:
    """Equity, what could have been done instead, and the drawdown below."""
    whole = curve(result)
    alone = _curves(
        "Equity and drawdown",
        {"Equity": whole},
        says=f"Deepest fall {percent(s.max_drawdown)} from {s.max_drawdown_from[:10]} to "
        f"{s.max_drawdown_to[:10]}, "
        + (
            f"made good on {s.max_drawdown_recovered[:10]}."
            if s.max_drawdown_recovered
            else "not made good by the end."
        ),
    )
    pages = [("Alone", alone)]
    for name, other in benchmarks.items():
        depth = float(np.max(drawdowns(other.equity)))
        gain = float(other.equity[-1] / other.equity[0] - 1.0)
        both = _curves(
            f"Equity beside {name}",
            {"Equity": whole, name: other},
            says=f"{safe(name)}: {percent(gain, sign=True)}, deepest fall {percent(depth)}.",
        )
        pages.append((f"Beside {name[0].lower()}{name[1:]}", both))
    return section("equity", "Equity and drawdown", tabs("curves", pages))


def _curves(title: str, curves: Mapping[str, Curve], *, says: str) -> str:
    """Equity of one or more curves from the same start, their drawdowns below."""
    equity, falls = [], []
    for (name, one), look in zip(curves.items(), _LOOKS, strict=False):
        keep = thinned(one.equity)
        at = one.time[keep].astype(np.float64)
        equity.append(Line(name, at, one.equity[keep], look, told="usdt"))
        depth = -drawdowns(one.equity)
        keep = thinned(depth)
        only = len(curves) == 1
        falls.append(
            Line(
                "Drawdown" if only else f"{name}, drawdown",
                one.time[keep].astype(np.float64),
                depth[keep],
                "down" if only else look,
                fill=0.0 if only else None,
                told="percent",
            )
        )
    first = next(iter(curves.values()))
    names = [(line.name, line.look) for line in equity]
    return (legend(names) if len(names) > 1 else "") + chart(
        title,
        [
            Panel("Equity, USDT", plain, 300, lines=equity, level=float(first.equity[0])),
            Panel("Drawdown", shares, 110, lines=falls, include=[0.0]),
        ],
        (float(first.time[0]), float(first.time[-1])),
        says=says,
    )


def months(parts: Breakdown) -> str:
    """Return of every month, with the years."""
    by_name = {p.name: p for p in parts.months}
    largest = max((abs(p.change) for p in parts.months), default=0.0) or 1.0
    rows = []
    for year in parts.years:
        cells = "".join(_month(by_name.get(f"{year.name}-{m:02d}"), largest) for m in range(1, 13))
        rows.append(
            f'<tr><th scope="row">{year.name}</th>{cells}'
            f'<td class="total {tone(year.change)}" style="--v:{_shade(year.change, largest * 3)}" '
            f'title="drawdown {percent(year.drawdown)}, {year.trades} trades">'
            f"{percent(year.change, sign=True)}</td></tr>"
        )
    heads = "".join(f'<th scope="col">{m}</th>' for m in (*MONTHS, "Year"))
    won = sum(p.change > 0 for p in parts.months)
    return section(
        "months",
        "Month by month",
        '<div class="scroll" tabindex="0" role="group" aria-label="monthly returns">'
        f'<table class="heat"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>",
        f"{won} of {len(parts.months)} months were positive; best "
        f"{percent(max(p.change for p in parts.months), sign=True)}, worst "
        f"{percent(min(p.change for p in parts.months), sign=True)}. Change of equity, open "
        "positions included.",
    )


def _month(p: Period | None, largest: float) -> str:
    if p is None:
        return f'<td class="none">{NONE}</td>'
    return (
        f'<td class="{tone(p.change) or "none"}" style="--v:{_shade(p.change, largest)}" '
        f'title="{p.name}: {p.trades} trades, {p.won} won, {money(p.net, sign=True)} USDT">'
        f"{number(100 * p.change, 1, sign=True)}</td>"
    )


def _shade(value: float, largest: float) -> str:
    return f"{min(1.0, abs(value) / largest):.2f}"


def ratios(s: Statistics) -> str:
    """All figures."""
    t = s.trading
    return section(
        "figures",
        "All figures",
        columns(
            [
                [
                    ("Equity at the start", f"{money(s.start_equity)} USDT"),
                    ("Equity at the end", f"{money(s.end_equity)} USDT"),
                    ("Growth per year (CAGR)", percent(s.cagr, sign=True)),
                    ("Volatility per year", percent(s.volatility)),
                    ("Sharpe ratio", number(s.sharpe)),
                    ("Sortino ratio", number(s.sortino)),
                    ("Calmar ratio", number(s.calmar)),
                    ("Return per exposure", percent(s.risk_adjusted_return, sign=True)),
                ],
                [
                    ("Max drawdown", percent(s.max_drawdown)),
                    ("Longest under water", f"{s.max_drawdown_days:,.1f} days"),
                    ("Ulcer index", percent(s.ulcer_index)),
                    (
                        "Best and worst day",
                        f"{percent(s.best_day, sign=True)} / {percent(s.worst_day, sign=True)}",
                    ),
                    ("Value at risk, 95 %", percent(s.value_at_risk, 2)),
                    ("Expected shortfall, 95 %", percent(s.expected_shortfall, 2)),
                    ("Skewness, kurtosis", f"{number(s.skewness)}, {number(s.kurtosis, 1)}"),
                    ("Time in the market", percent(s.exposure)),
                ],
                [
                    ("Expectancy", f"{money(t.expectancy, sign=True)} USDT"),
                    (
                        "R multiple, mean and median",
                        f"{number(t.expectancy_r, sign=True)} / {number(t.median_r, sign=True)}",
                    ),
                    ("Payoff (win to loss)", number(t.payoff)),
                    (
                        "Best and worst trade",
                        f"{money(t.best, sign=True)} / {money(t.worst, sign=True)}",
                    ),
                    ("Longest losing streak", f"{t.longest_losing_streak} trades"),
                    ("Mean time in a trade", hours(t.mean_hours)),
                    ("Mean leverage", f"{number(s.mean_leverage)}x"),
                    ("Turnover per year", f"{number(s.turnover, 1)}x equity"),
                ],
            ]
        ),
        f"Ratios from daily returns, 365 days a year, risk-free {percent(s.risk_free)}.",
    )
