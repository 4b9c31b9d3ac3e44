"""The one table of all figures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure


def number(value: float, unit: str) -> str:
    """Three significant digits, with the unit."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip().replace(" /s", "/s")


def goal(figure: Figure) -> str:
    """The goal and whether it is met."""
    if figure.goal is None:
        return ""
    sign = ">=" if figure.more_is_better else "<="
    return f"{sign} {number(figure.goal, figure.unit)}: {'met' if figure.met else 'MISSED'}"


def spread(figure: Figure) -> str:
    """Lowest and highest of several runs."""
    if figure.runs < 2 or figure.low is None or figure.high is None:
        return ""
    return f"{number(figure.low, '')} .. {number(figure.high, '')}"


def peer(figure: Figure) -> str:
    """The peer's value and who it is."""
    if figure.peer_value is None:
        return ""
    return f"{number(figure.peer_value, figure.unit)}: {figure.peer}"


def show(figures: Sequence[Figure], title: str, console: Console | None = None) -> None:
    """Print all rows."""
    table = Table(title=title, show_lines=True)
    table.add_column("figure", max_width=38)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("runs", justify="right", max_width=16)
    table.add_column("goal", max_width=20)
    table.add_column("peer, same unit", max_width=34)
    table.add_column("note", max_width=60)
    for f in figures:
        value = number(f.value, f.unit)
        table.add_row(f.name, value, spread(f), goal(f), peer(f), f.note)
    (console or Console(width=190)).print(table)
