"""The bare state of an episode, which sees every permit at the moment it is issued.

Times cannot tell whether a permit was given after a stop: the switch may have been armed again in
between, and both stamps are made before the store is asked. The store's own order can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.clock import Clock
from shared.risk.kill_switch import SWITCH_ID
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Document, Patch, Where


class WitnessedStore(SqliteStore):
    """A store in memory.

    Parameters
    ----------
    clock : Clock
    latched : callable
        Told the key of a permit that was issued though the switch was latched.
    """

    def __init__(self, clock: Clock, latched: Callable[[str], None]) -> None:
        super().__init__(":memory:", clock=clock)
        self._latched = latched

    def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[Patch],
        *,
        condition: Sequence[Where] = (),
    ) -> Document:
        document = super().patch(container, partition, id, operations, condition=condition)
        if id == SWITCH_ID and document.body["state"] != "armed":
            for operation in operations:
                if operation.op == "set" and operation.path.startswith("outstanding."):
                    self._latched(operation.path.partition(".")[2])
        return document
