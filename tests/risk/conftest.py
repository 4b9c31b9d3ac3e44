"""A store and a clock of the embedded platform."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.clock import VirtualClock
from shared.storage.sqlite import SqliteStore
from tests.risk.scenario import NOW


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[SqliteStore]:
    store = SqliteStore(":memory:", clock=clock)
    yield store
    store.close()
