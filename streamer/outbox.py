"""What waits to be sent: never dropped, or replaced by what is newer."""

from __future__ import annotations

import asyncio
from collections import deque

from streamer.events import Event
from streamer.figures import Figures

Lane = tuple[str, str]
"""A hub and a partition key: what has one order."""


class Outbox:
    """Unsent events.

    Events without a kind (closed candles, news of the account) are never dropped: whoever makes
    them waits for :meth:`room` before reading on, so that the venue's own buffers fill instead of
    our memory. Of events of one kind and key only the newest is kept.

    Parameters
    ----------
    capacity : int
        Lasting events above which there is no room.
    figures : Figures
    """

    def __init__(self, capacity: int, figures: Figures) -> None:
        self._capacity = capacity
        self._figures = figures
        self._lasting: dict[Lane, deque[Event]] = {}
        self._newest: dict[tuple[str, str, str], Event] = {}
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()
        self._changed: dict[str, asyncio.Event] = {}

    @property
    def waiting(self) -> int:
        """Lasting events that were not sent yet."""
        return self._waiting

    def put(self, event: Event) -> None:
        """Take an event; at once, whether there is room or not."""
        if event.kind:
            place = (event.hub, event.key, event.kind)
            if place in self._newest:
                self._figures.count("quotes_replaced")
            self._newest[place] = event
        else:
            self._lasting.setdefault((event.hub, event.key), deque()).append(event)
            self._waiting += 1
            if self._waiting >= self._capacity:
                self._room.clear()
        self.changed(event.hub).set()

    async def room(self) -> None:
        """Wait until there is room for more."""
        await self._room.wait()

    def changed(self, hub: str) -> asyncio.Event:
        """Set whenever something of that hub was put."""
        return self._changed.setdefault(hub, asyncio.Event())

    def lasting(self, hub: str, most: int) -> list[tuple[Lane, list[Event]]]:
        """The oldest unsent events of each key, still kept."""
        return [
            (lane, [queue[i] for i in range(min(most, len(queue)))])
            for lane, queue in self._lasting.items()
            if lane[0] == hub and queue
        ]

    def sent(self, lane: Lane, count: int) -> None:
        """Forget the oldest events of a key: they have arrived."""
        queue = self._lasting[lane]
        for _ in range(count):
            queue.popleft()
        self._waiting -= count
        if self._waiting < self._capacity:
            self._room.set()

    def take_newest(self, hub: str) -> dict[Lane, list[Event]]:
        """All replaceable events of a hub by key; the caller puts back what it cannot send."""
        places = [place for place in self._newest if place[0] == hub]
        found: dict[Lane, list[Event]] = {}
        for place in places:
            found.setdefault(place[:2], []).append(self._newest.pop(place))
        return found

    def put_back(self, events: list[Event]) -> None:
        """Keep what could not be sent, unless something newer has come."""
        for event in events:
            self._newest.setdefault((event.hub, event.key, event.kind), event)
