"""A server to ask, a clock that only the code moves, and a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.clock import VirtualClock
from shared.storage.sqlite import SqliteStore
from tests.opinions.remote_server import Remote, remote

#: 2025-05-04 10:00 UTC.
START = 1_746_352_800_000


@pytest.fixture
def server() -> Iterator[Remote]:
    with remote() as served:
        yield served


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[SqliteStore]:
    made = SqliteStore(":memory:", clock=clock)
    yield made
    made.close()
