"""A comparison as HTML: a section for a report, and a page that holds nothing else."""

from __future__ import annotations

from decimal import Decimal
from html import escape

from shared.clock import iso
from shared.research.compare import Comparison, Pair

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#1a7f4b;--bad:#c0392b}
@media(prefers-color-scheme:dark){:root{--good:#4cc38a;--bad:#ff8a7a}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;padding:16px;max-width:1100px}
.compare table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.compare th,.compare td{padding:4px 8px;border-bottom:1px solid var(--line);text-align:left}
.compare .t{white-space:nowrap}
.compare .n{text-align:right;white-space:nowrap}.compare .good{color:var(--good)}
.compare .bad{color:var(--bad)}.compare .wide{overflow-x:auto}
"""


def page(comparison: Comparison) -> str:
    """One self-contained file without scripts."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Executed against backtest</title><style>{_STYLE}</style></head>"
        f"<body>{section(comparison)}</body></html>\n"
    )


def section(comparison: Comparison) -> str:
    """The section of a report; its classes lie under ``.compare``."""
    c = comparison
    span = f"{iso(c.start)[:10]} to {iso(c.end)[:10]}"
    causes = "".join(
        f"<tr><td>{escape(name)}</td>{_number(Decimal(c.counts[name]), plain=True)}"
        f"{_number(amount)}</tr>"
        for name, amount in ordered(c)
    )
    rows = "".join(_row(pair) for pair in c.pairs)
    notes = "".join(f"<li>{escape(note)}</li>" for note in c.notes)
    return (
        '<section class="compare"><h2>Executed against backtest</h2>'
        f"<p>{escape(c.source)}, {span}: {c.executed_trades} "
        f"{'trade' if c.executed_trades == 1 else 'trades'} executed, "
        f"{c.backtest_trades} in the backtest, {c.matched} of them the same decision.</p>"
        "<table><thead><tr><th>net result, USDT</th><th></th><th class=n></th></tr></thead>"
        f"<tr><td>executed</td><td></td>{_number(c.executed_net)}</tr>"
        f"<tr><td>backtest</td><td></td>{_number(c.backtest_net)}</tr>"
        f"<tr><td><b>difference</b></td><td></td>{_number(c.difference)}</tr></table>"
        "<h3>Why</h3><table><thead><tr><th>cause</th><th class=n>trades</th>"
        f"<th class=n>USDT</th></tr></thead>{causes}</table>"
        '<h3>Trades</h3><div class="wide"><table><thead><tr><th>opened</th><th>contract</th>'
        "<th>side</th><th class=n>executed</th><th class=n>backtest</th><th class=n>difference</th>"
        f"<th>mainly</th></tr></thead>{rows}</table></div>"
        + (f"<h3>Notes</h3><ul>{notes}</ul>" if notes else "")
        + "</section>"
    )


def ordered(comparison: Comparison) -> list[tuple[str, Decimal]]:
    """Causes, the most expensive or most profitable first."""
    return sorted(comparison.causes.items(), key=lambda item: (-abs(item[1]), item[0]))


def _row(pair: Pair) -> str:
    leg = pair.executed or pair.backtest
    opened = iso(leg.opened_at)[:16].replace("T", " ") if leg else ""
    cells = [
        _number(side.net) if side is not None else '<td class="n">–</td>'
        for side in (pair.executed, pair.backtest)
    ]
    return (
        f'<tr title="{escape(pair.id)}"><td class="t">{opened}</td><td>{escape(pair.symbol)}</td>'
        f"<td>{'long' if pair.side == 'BUY' else 'short'}</td>{''.join(cells)}"
        f"{_number(pair.difference)}<td>{escape(pair.cause)}</td></tr>"
    )


def _number(value: Decimal, *, plain: bool = False) -> str:
    if plain:
        return f'<td class="n">{value}</td>'
    kind = "good" if value > 0 else "bad" if value < 0 else ""
    return f'<td class="n {kind}">{value:+.2f}</td>'
