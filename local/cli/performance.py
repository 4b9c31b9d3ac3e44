"""``./run performance``: what the running application has come to with closed trades."""

from __future__ import annotations

import argparse
import json
from typing import Any
from urllib.parse import urlencode

from local.cli.open_state import call
from local.cli.tables import two_columns
from shared.clock import iso


def run(options: argparse.Namespace) -> int:
    """0 when there are figures, also bad ones; 1 when the application did not answer with any."""
    asked = {
        name: iso(at)
        for name, at in (("from", options.start), ("to", options.end))
        if at is not None
    }
    query = f"?{urlencode(asked)}" if asked else ""
    status, body = call(options.state, "GET", f"performance{query}", waits=True)
    if status != 200:
        said = (body or {}).get("error", {}).get("message", "")
        print(f"the application answered with {status}: {said}")
        return 1
    if options.json:
        print(json.dumps(body, indent=2))
    else:
        _tell(body)
    return 0


def _tell(body: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    t = body["trading"]
    since = (body["since"] or "")[:10]
    title = f"{body['account']} on {body['venue']}, {since or 'no trade'} to {body['until'][:10]}"
    rows = [
        ("trades", f"{t['trades']}, {t['won']} won ({_percent(t['winRate'])})"),
        ("net P&L", f"{float(t['netPnl']):+.2f} USDT"),
        ("fees, funding", f"{float(t['fees']):.2f}, {float(t['funding']):+.2f} USDT"),
        ("realised equity", f"{float(body['startEquity']):.2f} -> {float(body['endEquity']):.2f}"),
        ("return, per year", f"{_percent(body['totalReturn'])}, {_percent(body['cagr'])}"),
        (
            "max drawdown",
            f"{_percent(body['maxDrawdown'])}, {_number(body['maxDrawdownDays'])} days",
        ),
        ("Sharpe, Sortino", f"{_number(body['sharpe'])}, {_number(body['sortino'])}"),
        ("sure that Sharpe is above 0", _percent(body["sharpeAboveZero"])),
        ("Calmar", _number(body["calmar"])),
        ("profit factor", _number(t["profitFactor"])),
        ("win to loss", _number(t["payoff"])),
        ("expectancy", f"{_number(t['expectancy'])} USDT, {_number(t['expectancyR'])} R"),
        ("losing streak", str(t["longestLosingStreak"])),
    ]
    console.print(two_columns(title, rows))
    for symbol, one in body["bySymbol"].items():
        console.print(
            f"{symbol}: {one['trades']} trades, {_percent(one['winRate'])} won, net "
            f"{float(one['netPnl']):+.2f} USDT, profit factor {_number(one['profitFactor'])}",
            markup=False,
            highlight=False,
        )
    for note in body["notes"]:
        console.print(f"note: {note}", markup=False)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
