"""Trades: how they are distributed, by whom and how they ended, what they cost, where they were."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.research.breakdown import Breakdown, Group
from shared.research.report.parts import Cell, section, table, tabs
from shared.research.report.plot import Bars, Dots, Line, Panel, chart, plain, thinned
from shared.research.report.words import (
    hours,
    minute,
    money,
    number,
    percent,
    price,
    safe,
    tone,
)
from shared.research.result import EXIT_REASONS, Result, Trades
from shared.research.statistics import Costs, Statistics

#: Trades listed in the page; all of them are in the JSON beside it.
LISTED = 500
#: Trades drawn in one chart of prices.
DRAWN = 1500
#: Spans that prices are thinned to: more than other charts, as one can zoom into them.
PRICE_SPANS = 2000

# fmt: off
_GROUP_HEADS = (
    "", "net USDT", "trades", "won", "profit factor", "mean R", "payoff",
    "fees", "funding", "slippage", "held",
)
_TRADE_HEADS = (
    "opened", "closed", "symbol", "side", "strategy", "way out",
    "quantity", "entry", "exit", "fees", "funding", "net", "R",
)
# fmt: on


def distribution(result: Result, s: Statistics) -> str:
    """Histogram of the R multiples, or of USDT where no risk was planned."""
    trades = result.trades
    planned = trades.risk > 0
    in_r = bool(planned.all()) and len(trades) > 0
    values = trades.net / trades.risk if in_r else trades.net
    if len(values) == 0:
        return section("distribution", "Distribution of trades", '<p class="dim">No trade.</p>')
    low, high = (float(q) for q in np.quantile(values, [0.005, 0.995]))
    width = _bin(max(high - low, 1e-9) / 36)
    first, last = np.floor(low / width) * width, np.ceil(high / width) * width
    edges = np.arange(first, last + width * 1.5, width)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1] - width / 2), edges)
    middle = (edges[:-1] + edges[1:]) / 2
    unit = "R" if in_r else "USDT"
    ticks = [(float(v), plain(float(v))) for v in _round_marks(float(edges[0]), float(edges[-1]))]
    body = chart(
        "Distribution of trades",
        [
            Panel(
                "Trades",
                plain,
                210,
                bars=[
                    Bars(
                        edges[:-1] + width * 0.06,
                        edges[1:] - width * 0.06,
                        counts.astype(np.float64),
                        ["up" if m > 0 else "down" for m in middle.tolist()],
                    )
                ],
                lines=[Line("Trades", middle, counts.astype(np.float64), "quiet", hidden=True)],
                include=[0.0],
            )
        ],
        (float(edges[0]), float(edges[-1])),
        times=False,
        x_ticks=ticks,
        says=f"Net result of each trade in {unit}"
        + (" (multiples of the planned risk)" if in_r else "")
        + f". Mean win {money(_mean(trades.net, True))}, mean loss "
        f"{money(_mean(trades.net, False))} USDT.",
    )
    return section("distribution", "Distribution of trades", body)


def _mean(net: np.ndarray, won: bool) -> float | None:
    part = net[net > 0] if won else net[net < 0]
    return float(part.mean()) if len(part) else None


def _bin(raw: float) -> float:
    size = 10.0 ** np.floor(np.log10(raw))
    return float(next(size * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if size * m >= raw))


def _round_marks(low: float, high: float) -> list[float]:
    from shared.research.report.plot import nice_ticks

    return nice_ticks(low, high, 8)


def costs(c: Costs) -> str:
    """From the gross result to the net one."""
    steps = [
        ("Before costs", c.before, c.before, ""),
        ("Slippage", -c.slippage, c.slippage, _share(c.slippage_share)),
        ("Fees", -c.fees, c.fees, _share(c.fees_share)),
        ("Funding", -c.funding, c.funding, _share(c.funding_share)),
        ("Net", c.net, c.net, ""),
    ]
    most = max(abs(size) for _, _, size, _ in steps) or 1.0
    rows = "".join(
        f'<div><span>{name}</span><i class="{tone(value) or "quiet"}" '
        f'style="width:{max(0.4, 100 * abs(size) / most):.1f}%"></i>'
        f"<b>{money(value, sign=True)}{share and f' <small class=dim>{share}</small>'}</b></div>"
        for name, value, size, share in steps
    )
    return section(
        "costs",
        "What costs took",
        f'<div class="flow">{rows}</div><p class="dim">USDT, all trades. Before costs is what the '
        "same trades would have made at undisturbed prices without fees and funding"
        + ("; shares are of it." if c.before > 0 else ".")
        + "</p>",
    )


def _share(value: float | None) -> str:
    return "" if value is None else percent(value, 0)


def groups(parts: Breakdown) -> str:
    """By symbol, strategy, side and way out."""
    pages = [
        ("Symbols", _groups(parts.symbols)),
        ("Strategies", _groups(parts.strategies)),
        ("Sides", _groups(parts.sides)),
        ("Ways out", _groups(parts.exits)),
    ]
    return section("groups", "Where it comes from", tabs("groups", pages))


def _groups(found: Sequence[Group]) -> str:
    rows: list[list[Cell]] = []
    for g in sorted(found, key=lambda g: -g.statistics.net):
        t = g.statistics
        rows.append(
            [
                safe(g.name),
                (money(t.net, sign=True), tone(t.net)),
                f"{t.trades:,}",
                percent(t.win_rate, 0),
                number(t.profit_factor),
                number(t.expectancy_r, sign=True),
                number(t.payoff),
                money(t.fees),
                money(t.funding, sign=True),
                money(t.slippage),
                hours(t.mean_hours),
            ]
        )
    return table(_GROUP_HEADS, rows)


def on_prices(result: Result, prices: Mapping[str, Columns]) -> str:
    """The trades on the price of their symbol."""
    pages = []
    for number_, symbol in enumerate(result.symbols):
        columns = prices.get(symbol)
        rows = np.flatnonzero(result.trades.symbol == number_)
        if columns is None or not len(columns):
            continue
        pages.append((symbol, _prices(symbol, columns, result.trades.where(rows), result)))
    if not pages:
        return ""
    return section(
        "trades",
        "Trades on the price",
        tabs("prices", pages),
        "A stroke from entry to exit of every trade: green gained, red lost; the dot is the exit. "
        "Drag across a chart to look closer, double-click to come back.",
    )


def _opened(t: Trades, i: int, symbol: str, drawn: Collection[str]) -> str:
    """When a trade was opened, as a link to its place on the price where there is one."""
    text = minute(int(t.opened_at[i]))
    if symbol not in drawn:
        return text
    return (
        f'<a href="#trades" data-symbol="{safe(symbol)}" data-from="{int(t.opened_at[i])}" '
        f'data-to="{int(t.closed_at[i])}">{text}</a>'
    )


def _prices(symbol: str, columns: Columns, trades: Trades, result: Result) -> str:
    step = duration_ms(result.timeframe) if result.timeframe else 0
    low = float(result.time[0] - step)
    high = float(result.time[-1])
    close_time = columns.open_time + duration_ms(columns.timeframe)
    inside = (close_time >= low) & (close_time <= high)
    close = columns.close[inside]
    keep = thinned(close, PRICE_SPANS)
    shown = trades.where(np.arange(len(trades))[-DRAWN:])
    looks = ["up" if v > 0 else "down" for v in shown.net.tolist()]
    left = len(trades) - len(shown)
    return chart(
        f"Trades of {symbol}",
        [
            Panel(
                f"{symbol}, USDT",
                price,
                330,
                lines=[
                    Line(
                        symbol,
                        close_time[inside][keep].astype(np.float64),
                        close[keep],
                        "quiet",
                        told="price",
                    )
                ],
                dots=[
                    Dots(
                        shown.closed_at.astype(np.float64),
                        shown.exit_price,
                        looks,
                        shown.opened_at.astype(np.float64),
                        shown.entry_price,
                    )
                ],
            )
        ],
        (low, high),
        says=f"{len(trades)} trades, {int((trades.net > 0).sum())} won, "
        f"{money(float(trades.net.sum()), sign=True)} USDT."
        + (f" The first {left} are not drawn." if left else ""),
    )


def listing(result: Result, drawn: Collection[str] = ()) -> str:
    """Every trade, or the last ones of very many; those of ``drawn`` symbols lead to the chart."""
    t = result.trades
    rows: list[list[Cell]] = []
    for i in range(len(t) - 1, max(-1, len(t) - 1 - LISTED), -1):
        net, risk = float(t.net[i]), float(t.risk[i])
        rows.append(
            [
                _opened(t, i, result.symbols[int(t.symbol[i])], drawn),
                minute(int(t.closed_at[i])),
                safe(result.symbols[int(t.symbol[i])]),
                "long" if t.side[i] > 0 else "short",
                safe(result.strategies[int(t.strategy[i])]),
                EXIT_REASONS[int(t.exit_reason[i])],
                price(float(t.quantity[i])),
                price(float(t.entry_price[i])),
                price(float(t.exit_price[i])),
                number(float(t.fees[i])),
                number(float(t.funding[i]), sign=True),
                (number(net, sign=True), tone(net)),
                (number(net / risk, sign=True) if risk > 0 else "", tone(net)),
            ]
        )
    more = (
        f'<p class="dim">The last {LISTED} of {len(t):,}; all are in the JSON beside this page.</p>'
        if len(t) > LISTED
        else ""
    )
    return section(
        "list",
        f"Trades, newest first ({len(t):,})",
        more + table(_TRADE_HEADS, rows, text=6, tall=True),
    )
