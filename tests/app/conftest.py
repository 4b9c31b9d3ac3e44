"""Every scenario gets a floor of its own; its invariants are checked when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from desk import Floor


class Open(Protocol):
    def __call__(self, *args: Any, **kwargs: Any) -> Floor: ...


@pytest.fixture
def open_floor(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens floors; after the scenario each is closed and judged."""
    # Each is closed, whatever the closing of another finds: one left open would be met by the
    # garbage collector in the middle of somebody else's test.
    with ExitStack() as floors:

        def open_(*args: Any, **kwargs: Any) -> Floor:
            floor = Floor(*args, **kwargs)
            floors.callback(floor.close)
            return floor

        yield open_
