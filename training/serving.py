"""What training again needs from outside: the models that serve now, and public candles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import requests

from shared.clock import Clock
from shared.execution.binance.budget import LocalRateBudget
from shared.intelligence.card import ModelCard
from shared.intelligence.library import MODELS, library
from shared.intelligence.registry import Registry
from shared.research.data.download import Sources
from shared.research.data.fetch import Http
from shared.research.data.hosts import ARCHIVE, REST
from shared.research.data.rest import Rest


def cards_that_serve(registry: Registry, names: Sequence[str]) -> list[ModelCard]:
    """Cards of the champions, the registry's before those that are shipped.

    Parameters
    ----------
    names : sequence of str
        None: all that there are.

    Raises
    ------
    ConfigurationError
        When one that was named is not there or cannot be used.
    StoreError
    """
    shipped = library()
    slots = registry.slots()
    found = []
    for name in names or MODELS:
        latest = slots[name].latest() if name in slots else ""
        if latest:
            found.append(registry.card(name, latest))
        elif names or name in shipped.names():
            found.append(shipped.card(name))
    return found


@contextmanager
def public_sources(clock: Clock) -> Iterator[Sources]:
    """Binance's public archive, and its REST interface for what is too new for that."""
    with requests.Session() as session:
        http = Http(session, clock, LocalRateBudget(clock.now_ms))
        yield Sources(http=http, archive=ARCHIVE, rest=Rest(http, clock, REST))
