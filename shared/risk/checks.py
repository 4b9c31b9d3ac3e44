"""Checks that fail closed: a figure that is missing or not finite never passes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from shared.risk.plan import Check

_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)


def exact() -> AbstractContextManager[Context]:
    """The one decimal context of all risk arithmetic, whatever the thread's own is.

    Divisions round; two computations agree bit for bit only under the same context.
    """
    return localcontext(_EXACT)


def finite(value: Decimal | float | int | None) -> Decimal | None:
    """The value as an exact finite ``Decimal``, or ``None``."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        # repr is the shortest text that reads back as the same float: exact and stable.
        value = Decimal(repr(value))
    elif isinstance(value, int):
        value = Decimal(value)
    return value if value.is_finite() else None


def text(value: Decimal | int | None) -> str | None:
    """A figure as plain decimal text, without exponent and without trailing zeros."""
    if value is None:
        return None
    number = Decimal(value)
    if not number.is_finite():
        return str(number)
    plain = format(number, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def at_most(name: str, value: Decimal | int | None, limit: Decimal | int, detail: str) -> Check:
    """Passes when ``value <= limit``."""
    number = finite(value)
    passed = number is not None and number <= limit
    return Check(name=name, passed=passed, value=text(value), limit=text(limit), detail=detail)


def at_least(name: str, value: Decimal | int | None, limit: Decimal | int, detail: str) -> Check:
    """Passes when ``value >= limit``."""
    number = finite(value)
    passed = number is not None and number >= limit
    return Check(name=name, passed=passed, value=text(value), limit=text(limit), detail=detail)


def between(
    name: str, value: Decimal | int | None, low: Decimal | int, high: Decimal | int, detail: str
) -> Check:
    """Passes when ``low <= value <= high``."""
    number = finite(value)
    passed = number is not None and low <= number <= high
    limit = f"{text(low)}..{text(high)}"
    return Check(name=name, passed=passed, value=text(value), limit=limit, detail=detail)


def holds(name: str, passed: bool, value: str | None, limit: str | None, detail: str) -> Check:
    """A check on something that is not a number."""
    return Check(name=name, passed=passed, value=value, limit=limit, detail=detail)


def not_judged(name: str, why: str) -> Check:
    """A check that an earlier failure left without figures."""
    return Check(name=name, passed=False, value=None, limit=None, detail=why, judged=False)


def failures(checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks that did not pass."""
    return tuple(c for c in checks if not c.passed)


def reasons(checks: Iterable[Check]) -> tuple[str, ...]:
    """Names of the checks that were judged and failed, in the order asked."""
    return tuple(c.name for c in checks if c.judged and not c.passed)
