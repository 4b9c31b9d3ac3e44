"""How long the caller can wait for the state store, known to every adapter below it.

Most work waits as long as it takes. A position without its stop cannot: what is recorded about it
may come later, the stop may not. The limit travels with the call instead of through every
signature in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SECONDS: ContextVar[float | None] = ContextVar("store_patience", default=None)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Store operations inside end within so many seconds, with ``StoreUnavailable`` if need be.

    It binds one operation, repeats included; who does several counts the time himself.
    """
    token = _SECONDS.set(max(0.001, seconds))
    try:
        yield
    finally:
        _SECONDS.reset(token)


def patience() -> float | None:
    """Seconds that one operation may take now; ``None`` without a limit."""
    return _SECONDS.get()
