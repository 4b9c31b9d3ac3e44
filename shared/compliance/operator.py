"""What people try to do with the second factor, kept and told when it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shared.clock import iso
from shared.errors import CodeRefused, InvalidInput
from shared.execution.desk import Desk

HOUR_MS = 3_600_000


def named(operator: str) -> str:
    """Who acts, as it is kept.

    Raises
    ------
    InvalidInput
        When nobody is named.
    """
    name = operator.strip()[:100]
    if not name:
        raise InvalidInput("operator is empty; say who acts")
    return name


@contextmanager
def refusals_told(desk: Desk, action: str, operator: str) -> Iterator[None]:
    """Note and alert a refused code: somebody mistypes, or somebody guesses."""
    try:
        yield
    except CodeRefused as error:
        now = desk.clock.now_ms()
        desk.note(
            "operator",
            {"action": action, "operator": operator[:100], "refused": str(error), "at": now},
            correlation=f"operator-{now}",
        )
        desk.alert(
            "warning",
            "code-refused",
            f"A code of the second factor was refused: {action}",
            f"{operator[:100]} at {iso(now)}: {error}. Ten within an hour latch the kill switch.",
            correlation="second-factor",
            once=str(now // HOUR_MS),
        )
        raise
