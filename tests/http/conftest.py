"""One served application for all requests that must leave it unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.serving import SECRETS, Serving


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A served application; at the end no answer it ever gave may hold a secret."""
    # So slow that no timer is due between two looks at the state, however busy the machine is.
    yield from _served(tmp_path_factory.mktemp("served"), speed=0.01)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Serving]:
    """The same, for one test alone."""
    yield from _served(tmp_path)


def _served(folder: Path, speed: float = 0.25) -> Iterator[Serving]:
    served = Serving(folder, speed=speed)
    # Whoever asks first makes the switch's document, whichever test that is.
    served.services.kill_switch.ensure()
    yield served
    keys = (served.master, *served.platform.host.keys.host.values())
    served.close()
    for secret in (*SECRETS, *keys):
        assert not [b for b in served.bodies if secret.encode() in b], "a secret in an answer"
