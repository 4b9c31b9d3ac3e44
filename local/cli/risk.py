"""``./run risk``: the risk of the running application's portfolio, and stress tests of it."""

from __future__ import annotations

import argparse
import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from local.cli.open_state import call
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

METHODS = {
    "historical": "historical (the past year)",
    "normal": "normal",
    "cornishFisher": "Cornish-Fisher",
    "bootstrap": "Monte Carlo, bootstrap",
    "studentT": "Monte Carlo, Student t",
    "decides": "what the gate goes by",
}


def run(options: argparse.Namespace) -> int:
    """0 when there are figures, also bad ones; 1 when the application did not answer with any."""
    if options.stress or options.shock or options.scenario:
        return _run_stress(options)
    asked = {
        name: value
        for name, value in (
            ("confidence", options.confidence),
            ("horizon", options.horizon),
            ("seed", options.seed),
        )
        if value is not None
    }
    query = f"?{urlencode(asked)}" if asked else ""
    status, body = call(options.state, "GET", f"risk{query}", waits=True)
    if status != 200:
        return _refused(status, body)
    if options.html is not None:
        from local.cli.risk_page import page

        options.html.write_text(page(body))
        print(f"wrote {options.html}")
    elif options.json:
        print(json.dumps(body, indent=2))
    else:
        tell(body)
    return 0


def shocks(pairs: list[str]) -> tuple[dict[str, str], str | None]:
    """``SYMBOL=-0.2`` by symbol, and what was said of ``market``.

    Raises
    ------
    InvalidInput
        For what is no such pair.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, separator, move = pair.partition("=")
        if not (name and separator and move):
            raise InvalidInput(f"{pair!r} is no move; write BTCUSDT=-0.2 or market=-0.2")
        try:
            usable = Decimal(move.strip()).is_finite()
        except InvalidOperation:
            usable = False
        if not usable:
            raise InvalidInput(f"{pair!r}: {move!r} is no number; write BTCUSDT=-0.2 for -20 %")
        found[name.strip()] = move.strip()
    return {k: v for k, v in found.items() if k != "market"}, found.get("market")


def _run_stress(options: argparse.Namespace) -> int:
    named, market = shocks(options.shock)
    body: dict[str, Any] = {"scenarios": options.scenario, "shocks": named}
    if market is not None:
        body["market"] = market
    if options.stop_gap is not None:
        body["stopGap"] = options.stop_gap
    status, answer = call(options.state, "POST", "risk/stress", body, waits=True)
    if status != 200:
        return _refused(status, answer)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        tell_stress(answer)
    return 0


def _refused(status: int, body: Any) -> int:
    said = (body or {}).get("error", {}).get("message", "")
    print(f"the application answered with {status}: {said}")
    return 1


def tell(body: dict[str, Any]) -> None:
    """Print the answer of ``GET /api/risk``."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    days = f"{body['horizonDays']} day" + ("s" if body["horizonDays"] > 1 else "")
    risk = body["valueAtRisk"]
    table = Table(
        title=f"{body['account']} on {body['venue']}, equity {float(body['equity']):.2f} USDT: "
        f"{float(body['confidence']):.4g} for {days}, from {body['historyDays']} days",
        title_justify="left",
    )
    for column, justify in (("method", "left"), ("VaR, USDT", "right"), ("ES, USDT", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for key, name in METHODS.items():
        tail = risk[key]
        if tail is None:
            table.add_row(name, "-", "-")
        else:
            table.add_row(
                name,
                f"{float(tail['valueAtRisk']):.2f}",
                f"{float(tail['expectedShortfall']):.2f}",
            )
    console.print(table)
    of_equity, shortfall = risk["decidesOfEquity"], risk["shortfallOfEquity"]
    if of_equity is not None:
        console.print(f"of equity: VaR {of_equity:.2%}, ES {shortfall:.2%}")
    heat = body["heat"]
    console.print(
        f"heat: {heat['openRisk']} USDT at the first stops ({_percent(heat['ofEquity'])} of "
        f"equity), {heat['toStopsNow']} USDT from here to the stops of now",
        highlight=False,
    )
    for name, limit in body["limits"].items():
        console.print(
            f"limit {name}: {limit['value']} of {limit['limit']} USDT ({_percent(limit['used'])})",
            highlight=False,
        )
    for cluster in body["clusters"]:
        console.print(
            f"cluster {', '.join(cluster['symbols'])}: gross {cluster['gross']}, "
            f"net {cluster['net']} USDT",
            highlight=False,
        )
    _tell_map(console, body)
    for note in body["notes"]:
        console.print(f"note: {note}", markup=False)


def _tell_map(console: Console, body: dict[str, Any]) -> None:
    from rich.table import Table

    heat_map = body["heatMap"]
    if not heat_map["rows"]:
        return
    table = Table(title="heat map (red: the hottest of its column)", title_justify="left")
    table.add_column("symbol")
    for name in heat_map["columns"]:
        table.add_column(name, justify="right")
    for row in heat_map["rows"]:
        cells = [row["symbol"]]
        for name in heat_map["columns"]:
            value, shade = row["values"][name], row["shades"][name]
            style = _style(shade)
            told = _percent(value)
            cells.append(f"[{style}]{told}[/{style}]" if style else told)
        table.add_row(*cells)
    console.print(table)


def _style(shade: float | None) -> str:
    if shade is None or shade < 0.5:
        return ""
    return "red" if shade >= 0.9 else "yellow"


def tell_stress(body: dict[str, Any]) -> None:
    """Print the answer of ``POST /api/risk/stress``, the worst position by position."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(
        title=f"{body['account']} on {body['venue']}, equity {float(body['equity']):.2f} USDT; "
        f"stops slip by {float(body['stopGap']):.0%} of the move beyond them",
        title_justify="left",
    )
    for column in ("scenario", "P&L", "of equity", "without stops", "equity after", "liquidated"):
        table.add_column(
            column, justify="left" if column in ("scenario", "liquidated") else "right"
        )
    for one in body["results"]:
        gone = ", ".join(one["liquidated"]) or "-"
        if one["liquidatedWithoutStops"] and not one["liquidated"]:
            gone = f"only without stops: {', '.join(one['liquidatedWithoutStops'])}"
        table.add_row(
            one["id"] + (" (approximate)" if one["approximate"] else ""),
            f"{float(one['pnl']):+.2f}",
            _percent(one["pnlOfEquity"], sign=True),
            f"{float(one['pnlWithoutStops']):+.2f}",
            f"{float(one['equityAfter']):.2f}",
            gone,
        )
    console.print(table)
    for one in body["results"]:
        for limit in one["limits"]:
            console.print(f"{one['id']}: {limit}", markup=False, highlight=False)
    for one in body["results"][:1]:
        for p in one["positions"]:
            console.print(
                f"worst, {p['symbol']}: {float(p['shock']):+.1%} ({p['shockFrom']}), "
                f"{p['outcome']} at {float(p['price']):.8g}, {float(p['pnl']):+.2f} USDT",
                highlight=False,
                markup=False,
            )
    for note in body["notes"]:
        console.print(f"note: {note}", markup=False)


def _percent(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.2%}" if sign else f"{value:.2%}"


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of the command."""
    command.add_argument("--confidence", metavar="P", help="0.90 to 0.999 (default: 0.99)")
    command.add_argument("--horizon", type=int, metavar="DAYS", help="1 to 30 (default: 1)")
    command.add_argument("--seed", type=int, metavar="N", help="of the Monte Carlo methods")
    command.add_argument(
        "--stress", action="store_true", help="play the crashes of the past on the portfolio"
    )
    command.add_argument(
        "--scenario", action="append", default=[], metavar="ID", help="only this one of them"
    )
    command.add_argument(
        "--shock",
        action="append",
        default=[],
        metavar="SYMBOL=MOVE",
        help="a scenario of one's own, BTCUSDT=-0.2 or market=-0.2 (may be repeated)",
    )
    command.add_argument(
        "--stop-gap",
        metavar="SHARE",
        help="of the move beyond a stop by which it fills worse (default: 0.5)",
    )
    command.add_argument("--html", type=Path, metavar="FILE", help="write the heat map as a page")
    command.add_argument("--json", action="store_true", help="the answer as it came")
