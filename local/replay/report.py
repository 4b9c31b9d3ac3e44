"""The HTML page of a replay: equity curve, trades, figures, in one file without scripts."""

from __future__ import annotations

import html
from pathlib import Path

from local.replay.summary import Recorder, Summary
from shared.clock import iso

_STYLE = """
:root { color-scheme: light dark; --bg: light-dark(#f5f6f8,#11151c);
 --card: light-dark(#fff,#1a2029); --ink: light-dark(#1b2430,#e4e9f1);
 --dim: light-dark(#66707f,#8b96a8); --line: light-dark(#e0e4ea,#2a323e);
 --up: light-dark(#0a7d4f,#35c48a); --down: light-dark(#c1272d,#ff6b6b);
 --accent: light-dark(#2557c7,#7aa2ff); }
body { margin: 0 auto; max-width: 1100px; padding: 1.25rem; background: var(--bg);
 color: var(--ink); font: 14px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
 padding: 1rem; margin: 1rem 0; overflow-x: auto; }
h1 { font-size: 1.2rem; } h2 { font-size: .95rem; margin: 0 0 .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: left; color: var(--dim); font-weight: 500; }
th, td { padding: .25rem .6rem .25rem 0; } td { border-top: 1px solid var(--line); }
.up { color: var(--up); } .down { color: var(--down); } .dim { color: var(--dim); }
svg { width: 100%; height: 260px; display: block; }
.chart { position: relative; }
.chart small { position: absolute; left: 0; color: var(--dim); background: var(--card);
 padding-right: .5rem; }
table.figures th { border-top: 1px solid var(--line); width: 14rem; }
.figures tr:first-child > * { border-top: 0; } td, th { white-space: nowrap; }
td.wrap { white-space: normal; overflow-wrap: anywhere; }
"""


def write_page(path: Path, summary: Summary, recorder: Recorder) -> None:
    """Write the page."""
    title = f"Replay {summary.start[:10]} to {summary.end[:10]}"
    sections = [
        _section("Equity and drawdown", _curve(recorder)),
        _section("Figures", _figures(summary)),
        _section(f"Trades ({len(recorder.trades)})", _trades(recorder)),
        _section("Invariants", _invariants(summary)),
    ]
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>Borsa Quantum Bot: {title}</h1>"
        f'<p class="dim">{html.escape(", ".join(summary.symbols))}, '
        f"{html.escape(', '.join(summary.timeframes))}; seed {summary.seed}; "
        f"{summary.wall_seconds} s</p>" + "".join(sections) + "</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{body}</section>"


def _curve(recorder: Recorder) -> str:
    """Equity above, drawdown below, entries and exits marked."""
    points = [(at, float(equity)) for at, equity in recorder.equity]
    if len(points) < 2:
        return "<p>No equity was recorded.</p>"
    first, last = points[0][0], points[-1][0]
    values = [v for _, v in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def x(at: int) -> float:
        return (at - first) / (last - first) * 1000

    def y(value: float) -> float:
        return 170 - (value - low) / span * 155

    line = " ".join(f"{x(at):.1f},{y(v):.1f}" for at, v in points)
    peak = values[0]
    falls = []
    for at, value in points:
        peak = max(peak, value)
        falls.append((x(at), (peak - value) / peak))
    worst = max(f for _, f in falls) or 1.0
    fall = " ".join(f"{px:.1f},{190 + f / worst * 60:.1f}" for px, f in falls)
    marks = "".join(
        f'<line x1="{x(t.closed_at):.1f}" x2="{x(t.closed_at):.1f}" y1="172" y2="182" '
        f'stroke="var(--{"up" if t.net_pnl > 0 else "down"})" stroke-width="2" '
        f'vector-effect="non-scaling-stroke"><title>{html.escape(t.symbol)} {t.net_pnl:+.2f}'
        "</title></line>"
        for t in recorder.trades
        if first <= t.closed_at <= last
    )
    return (
        '<div class="chart"><svg viewBox="0 0 1000 260" preserveAspectRatio="none" role="img" '
        'aria-label="equity and drawdown">'
        f'<line x1="0" x2="1000" y1="{y(values[0]):.1f}" y2="{y(values[0]):.1f}" '
        'stroke="var(--dim)" stroke-dasharray="3 4" vector-effect="non-scaling-stroke"/>'
        f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="2" '
        'vector-effect="non-scaling-stroke"/>'
        f'<polygon points="0,190 {fall} 1000,190" fill="var(--down)" opacity=".35"/>'
        f'{marks}</svg><small style="top:0">{high:,.2f}</small>'
        f'<small style="top:150px">{low:,.2f}</small>'
        f'<small style="top:228px">-{max(f for _, f in falls):.2%}</small></div>'
        f'<p class="dim">{iso(first)[:16]} to {iso(last)[:16]} UTC; equity {low:,.2f} to '
        f"{high:,.2f} USDT; deepest drawdown {max(f for _, f in falls):.2%}; ticks mark closed "
        "trades (green won, red lost).</p>"
    )


def _figures(summary: Summary) -> str:
    rows = [
        ("Net P&L", f"{summary.net_pnl:+.2f} USDT"),
        ("Gross P&L", f"{summary.gross_pnl:+.2f} USDT"),
        ("Fees", f"{summary.fees:.2f} USDT"),
        ("Funding", f"{summary.funding:+.2f} USDT"),
        ("Equity", f"{summary.start_equity:.2f} to {summary.end_equity:.2f} USDT"),
        ("Max drawdown (hourly)", f"{summary.max_drawdown:.2%}"),
        ("Trades", f"{summary.trades}, {summary.won} won, {summary.open_positions} open"),
        ("Signals", f"{summary.signals}, {summary.actionable} with a side"),
        ("Decisions", ", ".join(f"{v} {k}" for k, v in summary.decisions.items()) or "none"),
        ("Declined for", ", ".join(f"{k} ({v})" for k, v in summary.declined_for.items()) or "-"),
        (
            "Audit",
            f"{summary.audit_records} records, "
            f"{'verified' if summary.audit_verified else 'DOES NOT VERIFY'}, {summary.audit_head}",
        ),
    ]
    cells = "".join(
        f'<tr><th>{html.escape(n)}</th><td class="wrap">{html.escape(v)}</td></tr>' for n, v in rows
    )
    return f'<table class="figures">{cells}</table>'


def _trades(recorder: Recorder) -> str:
    if not recorder.trades:
        return '<p class="dim">No trade was closed.</p>'
    head = [
        "opened",
        "closed",
        "symbol",
        "side",
        "quantity",
        "entry",
        "exit",
        "fees",
        "funding",
        "net",
        "R",
        "how",
    ]
    rows = []
    for t in recorder.trades:
        cells = [
            iso(t.opened_at)[:19].replace("T", " "),
            iso(t.closed_at)[:19].replace("T", " "),
            t.symbol,
            t.side,
            str(t.quantity),
            str(t.entry_price),
            str(t.exit_price),
            f"{t.fees:.3f}",
            f"{t.funding:+.3f}",
            f"{t.net_pnl:+.2f}",
            f"{t.r_multiple:+.2f}",
            t.exit_reason,
        ]
        style = "up" if t.net_pnl > 0 else "down"
        rows.append(
            "<tr>"
            + "".join(
                f'<td class="{style}">{c}</td>' if i in (9, 10) else f"<td>{html.escape(c)}</td>"
                for i, c in enumerate(cells)
            )
            + "</tr>"
        )
    heads = "".join(f"<th>{h}</th>" for h in head)
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>"


def _invariants(summary: Summary) -> str:
    rows = "".join(
        f"<tr><td>{number}</td><td>{html.escape(i['says'])}</td><td>{i['checked']}</td>"
        f'<td class="{"down" if i["violated"] else "up"}">{i["violated"]}</td></tr>'
        for number, i in summary.invariants.items()
    )
    broken = "".join(
        f'<p class="down">{v.invariant} at {v.time}: {html.escape(v.text)}</p>'
        for v in summary.violations
    )
    return (
        "<table><tr><th>number</th><th>says</th><th>checked</th><th>violated</th></tr>"
        f"{rows}</table>{broken}"
    )
