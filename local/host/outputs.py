"""Where output bindings go: Event Hubs and SignalR."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from local.contracts import EventSink
from local.host.app import BindingSpec
from local.host.config import resolve

SignalRSink = Callable[[str, list[dict[str, Any]]], None]
"""Takes a SignalR hub name and the messages (``target``, ``arguments``, ...) for it."""


class OutputDispatcher:
    """Sends the encoded values of output bindings on their way.

    Parameters
    ----------
    events : EventSink
    signalr : callable
    settings : mapping
        Resolves ``%NAME%`` in hub names.
    """

    def __init__(
        self, events: EventSink, signalr: SignalRSink, settings: Mapping[str, str]
    ) -> None:
        self._events, self._signalr, self._settings = events, signalr, settings
        self._names: dict[str, str] = {}

    def __call__(self, binding: BindingSpec, datum: Any) -> None:
        """Deliver one value.

        Raises
        ------
        ValueError
            If the value is not what the binding takes; the invocation fails then.
        """
        if datum is None or datum.type is None:
            return
        if binding.type == "eventHub":
            hub = self._resolved(binding.raw["eventHubName"])
            for body in event_bodies(datum):
                self._events.append(hub, body)
        elif binding.type == "signalR":
            hub = self._resolved(binding.raw.get("hubName", ""))
            self._signalr(hub, signalr_messages(datum))
        else:
            raise ValueError(f"The binding type '{binding.type}' cannot be an output.")

    def _resolved(self, text: str) -> str:
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = resolve(text, self._settings)
        return name


def event_bodies(datum: Any) -> list[bytes]:
    """Bodies of the events an Event Hub output value stands for: a list is one event each."""
    if datum.type == "bytes":
        return [datum.value]
    if datum.type == "json":
        return [_bytes(item) for item in json.loads(datum.value)]
    return [_bytes(datum.value)]


def signalr_messages(datum: Any) -> list[dict[str, Any]]:
    """Messages of a SignalR output value, a JSON object or a list of them.

    Raises
    ------
    ValueError
        If it is neither, or a message has no ``target`` and is no group action.
    """
    value = datum.value
    if datum.type in ("string", "bytes", "json"):
        value = msgspec.json.decode(value)
    messages = value if isinstance(value, list) else [value]
    for message in messages:
        if not isinstance(message, dict) or not ("target" in message or "action" in message):
            raise ValueError("A SignalR output must be an object with 'target' and 'arguments'.")
    return messages


def _bytes(item: Any) -> bytes:
    return item.encode() if isinstance(item, str) else json.dumps(item).encode()
