"""Every scenario gets a floor of its own; its invariants are checked when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from desk import Floor


class Open(Protocol):
    def __call__(self, *args: Any, **kwargs: Any) -> Floor: ...


@pytest.fixture
def open_floor(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens floors; after the scenario each is closed and judged."""
    floors: list[Floor] = []

    def open_(*args: Any, **kwargs: Any) -> Floor:
        floor = Floor(*args, **kwargs)
        floors.append(floor)
        return floor

    yield open_
    for floor in floors:
        floor.close()
