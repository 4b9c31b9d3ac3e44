"""The embedded Durable task hub: the extension's side of the SDK's replay protocol, on SQLite."""

from local.durable.faults import ActivityFault, Delivery, FaultPolicy, RandomFaults
from local.durable.hub import SqliteTaskHub

__all__ = ["ActivityFault", "Delivery", "FaultPolicy", "RandomFaults", "SqliteTaskHub"]
