"""What backtests of one market on one span have in common, made once: a search asks for it again.

Of each thing the last one asked for is kept, as long as its market is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from shared.simulation.source import MarketSource

T = TypeVar("T")

_kept: WeakKeyDictionary[MarketSource, dict[str, tuple[Any, Any]]] = WeakKeyDictionary()


def prepared(source: MarketSource, what: str, key: Any, make: Callable[[], T]) -> T:
    """The thing of that name and key, made when it is not the last one that was asked for."""
    of_source = _kept.setdefault(source, {})
    known = of_source.get(what)
    if known is not None and known[0] == key:
        found: T = known[1]
        return found
    made = make()
    of_source[what] = (key, made)
    return made
