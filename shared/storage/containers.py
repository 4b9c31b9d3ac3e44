"""The containers of the state database: one table, true for Cosmos DB, SQLite and Bicep."""

from __future__ import annotations

import msgspec

DAY_SECONDS = 86_400


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is provisioned.

    ``partition`` names the body field that is the partition key; ``unique`` the fields that are
    unique within a partition; ``ttl`` the default time to live in seconds, -1 where only a
    document's own ``ttl`` counts.
    """

    name: str
    partition: str
    unique: tuple[str, ...] = ()
    ttl: int = -1


CONTAINERS: dict[str, Container] = {
    c.name: c
    for c in (
        Container(name="control", partition="scope"),
        Container(name="orders", partition="account", unique=("clientOrderId",)),
        Container(name="positions", partition="account"),
        Container(name="trades", partition="account"),
        Container(name="signals", partition="symbol", ttl=90 * DAY_SECONDS),
        Container(name="audit", partition="day"),
        Container(name="violations", partition="account"),
        Container(name="alerts", partition="account", ttl=180 * DAY_SECONDS),
        Container(name="approvals", partition="account", ttl=30 * DAY_SECONDS),
        Container(name="models", partition="name"),
        Container(name="versions", partition="name"),
        Container(name="intelligence", partition="subject", ttl=180 * DAY_SECONDS),
        Container(name="deadletter", partition="source", ttl=30 * DAY_SECONDS),
        Container(name="research", partition="sweep", ttl=90 * DAY_SECONDS),
        Container(name="leases", partition="id"),
        Container(name="sessions", partition="account", ttl=3 * DAY_SECONDS),
    )
}
