"""The live console."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shared.portfolio.recent import why


def _money(value: object, sign: bool = False) -> str:
    try:
        number = float(str(value))
    except ValueError:
        return "-"
    return f"{number:+,.2f}" if sign else f"{number:,.2f}"


def _like(price: str, model: str) -> str:
    """A price with as many decimals as another has."""
    return f"{float(price):.{len(model.partition('.')[2])}f}"


def _coloured(value: object) -> Text:
    text = _money(value, sign=True)
    return Text(text, style="red" if text.startswith("-") else "green")


def render(snapshot: dict[str, Any], page: str = "") -> RenderableType:
    """One screen from a snapshot."""
    parts: list[RenderableType] = [_head(snapshot, page), _positions(snapshot)]
    parts.append(_decisions(snapshot))
    parts.append(_trades(snapshot))
    return Group(*parts)


def _why_not(switch: dict[str, Any]) -> str:
    """What keeps trading from being armed."""
    halt = switch.get("halt")
    return f"HALTED ({halt['reason']})" if halt else f"LATCHED ({switch['trigger']})"


def _head(snapshot: dict[str, Any], page: str) -> RenderableType:
    status = snapshot.get("status") or {}
    health = snapshot.get("health") or {}
    if "equity" not in status:
        reason = (status.get("error") or {}).get("message", "starting")
        return Panel(Text(f"no state yet: {reason}"), title="Borsa Quantum Bot")
    switch = status["killSwitch"]
    line = Text()
    line.append(f"{status['time'][:19].replace('T', ' ')} UTC (simulated)   ")
    line.append(f"equity {_money(status['equity'])} USDT   ", style="bold")
    line.append("today ")
    line.append_text(_coloured(status["dayRealizedPnl"]))
    line.append("   open ")
    line.append_text(_coloured(status["unrealizedPnl"]))
    line.append(f"   drawdown {float(status['drawdown']):.2%}\n")
    armed = switch["state"] == "armed"
    line.append("kill switch ")
    line.append(
        "armed" if armed else _why_not(switch),
        style="green" if armed else "bold white on red",
    )
    good = health.get("status") == "ok"
    line.append("   health ")
    line.append("ok" if good else "FAILING", style="green" if good else "bold white on red")
    if not good:
        for name, check in (health.get("checks") or {}).items():
            if not check["ok"]:
                line.append(f"  {name}: {check['error']}", style="red")
    line.append(f"   stage {status['stage']}   trades today {status['tradesToday']}")
    if page:
        line.append(f"\npage {page}\nstop everything: ./run stop   leave: Ctrl-C", style="dim")
        line.append("\ndemonstration: its strategies are no recommendation", style="dim")
    return Panel(line, title="Borsa Quantum Bot", border_style="green" if armed else "red")


def _positions(snapshot: dict[str, Any]) -> RenderableType:
    table = Table(title="positions", title_justify="left", expand=True)
    for name in ("symbol", "side", "quantity", "entry", "mark", "P&L", "stop", "target", "orders"):
        table.add_column(name)
    for p in (snapshot.get("positions") or {}).get("positions", []):
        table.add_row(
            p["symbol"],
            p["side"],
            p["quantity"],
            p["entryPrice"],
            _like(p["markPrice"], p["entryPrice"]),
            _coloured(p["unrealizedPnl"]),
            p["stopPrice"] or "FOREIGN",
            p["takeProfitPrice"] or "",
            str(p["ordersOnExchange"]),
        )
    return table


def _decisions(snapshot: dict[str, Any]) -> RenderableType:
    table = Table(title="last decisions", title_justify="left", expand=True)
    for name in ("signal", "side", "strength", "outcome", "why"):
        table.add_column(name)
    for d in (snapshot.get("decisions") or {}).get("signals", []):
        signal = d["inputs"]["signal"]
        table.add_row(
            signal["id"],
            signal["side"],
            f"{signal['strength']:+.3f}",
            d["outcome"],
            why(d["decision"]),
        )
    return table


def _trades(snapshot: dict[str, Any]) -> RenderableType:
    table = Table(title="closed trades", title_justify="left", expand=True)
    for name in ("closed", "symbol", "side", "entry", "exit", "net", "R", "how"):
        table.add_column(name)
    from shared.clock import iso

    for t in (snapshot.get("trades") or {}).get("trades", []):
        table.add_row(
            iso(t["closedAt"])[5:19].replace("T", " "),
            t["symbol"],
            t["side"],
            t["entryPrice"],
            t["exitPrice"],
            _coloured(t["netPnl"]),
            f"{float(t['rMultiple']):+.2f}",
            t["exitReason"],
        )
    return table
