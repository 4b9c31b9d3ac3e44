"""Tables of a terminal that several commands print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def two_columns(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """Names and what belongs to them, without a head."""
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    return table
