"""Which tests share a worker: what is dear to set up is set up once."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A machine that is busy with something else is slow, which says nothing about the code.
settings.register_profile("slow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A build must not be red by chance: there the examples are the same every time.
settings.register_profile("ci", settings.get_profile("slow"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "slow")

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
