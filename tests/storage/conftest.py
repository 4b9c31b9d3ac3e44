"""Both stores, empty, for the contract suite."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from local.clock import VirtualClock
from shared.storage.cosmos import CosmosStore
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store
from tests import cosmos_server

START = 1_746_316_800_000  # 2025-05-04

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cosmos_endpoint() -> Iterator[str]:
    """The Cosmos DB server from npm, with the database and its containers."""
    reason = cosmos_server.missing_because()
    if reason is not None:
        message = f"Cosmos DB tests need the server from npm: {reason}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with cosmos_server.cosmos_server() as endpoint:
        cosmos_server.provision(endpoint)
        yield endpoint


@pytest.fixture(scope="session")
def cosmos(cosmos_endpoint: str) -> Iterator[CosmosStore]:
    store = CosmosStore(cosmos_endpoint, cosmos_server.DATABASE, key=cosmos_server.KEY)
    yield store
    store.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture(
    params=[
        "sqlite",
        "sqlite-file",
        pytest.param("cosmos", marks=[pytest.mark.cosmos, pytest.mark.xdist_group("cosmos")]),
    ]
)
def store(request: pytest.FixtureRequest, clock: VirtualClock) -> Iterator[Store]:
    if request.param == "cosmos":
        yield request.getfixturevalue("cosmos")
        return
    path = ":memory:"
    if request.param == "sqlite-file":
        path = str(request.getfixturevalue("tmp_path") / "state" / "borsa.db")
    opened = SqliteStore(path, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def account() -> str:
    """A partition nobody else uses, so tests can share one server."""
    return f"account-{next(_numbers)}"


@pytest.fixture
def order(account: str) -> Callable[..., dict]:
    """An order document of this test's account."""

    def make(id: str, **fields: object) -> dict:
        return {"id": id, "account": account, "clientOrderId": f"c-{id}", **fields}

    return make
