"""Which tests share a worker: what is dear to set up is set up once."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A build must not be red by chance: there the examples are the same every time.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

#: Folder or fixture -> group. One group stays in one process.
_FOLDERS = {"tests/infra/": "infra", "tests/cli/": "cli", "tests/worker/": "worker"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.nodeid
        group = next((g for folder, g in _FOLDERS.items() if path.startswith(folder)), None)
        if group is None and item.get_closest_marker("cosmos") is not None:
            group = "cosmos"
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
