"""Pages of the store that end before their limit: whoever counts reads every one."""

from __future__ import annotations

from typing import Any

from desk import Floor
from outage import opened

from shared.execution import reconcile, watch
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store


class ShortPages:
    """Cosmos DB ends a page when it likes, whatever limit was asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def query(self, *arguments: Any, **named: Any) -> Any:
        return self._store.query(*arguments, **{**named, "limit": 1})


def unknown_again(floor: Floor) -> list[str]:
    """The entries as they would be, had nobody learned how they ended."""
    entries = [o.client_order_id for o in floor.entries()]
    for id_ in entries:
        found = floor.store.get("orders", "main", id_)
        floor.store.replace("orders", {**found.body, "state": "unknown"}, etag=found.etag)
    return entries


def test_reconciliation_learns_the_end_of_every_order(open_floor):
    floor = open_floor(
        durable=False, store=lambda clock: ShortPages(SqliteStore(":memory:", clock=clock))
    )
    opened(floor, "BTCUSDT", "ETHUSDT", "XRPUSDT")
    entries = unknown_again(floor)
    floor.clock.sleep(120)
    floor.api.advance()
    reconcile.reconcile(floor.desk)
    states = [floor.store.get("orders", "main", id_).body["state"] for id_ in entries]
    assert states == ["filled"] * 3


def test_what_looks_suspicious_is_counted_to_the_end(open_floor):
    floor = open_floor(
        durable=False,
        store=lambda clock: ShortPages(SqliteStore(":memory:", clock=clock)),
    )
    floor.expected = {8}
    opened(floor, "BTCUSDT", "ETHUSDT", "XRPUSDT")
    unknown_again(floor)
    counts = watch._counts(floor.desk, floor.services.kill_switch.ensure())
    assert counts["unknown_outcomes"] == 3
