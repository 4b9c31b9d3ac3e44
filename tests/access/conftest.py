"""One directory and one way in for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.access.entrance import World


@pytest.fixture
def world() -> Iterator[World]:
    one = World()
    yield one
    one.close()
