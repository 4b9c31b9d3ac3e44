"""What the parts of the embedded platform promise one another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.clock import Clock


@dataclass(frozen=True)
class Request:
    """An HTTP request as any of the platform's servers sees it.

    ``target`` is path plus raw query string exactly as received; ``headers`` keep order and case.
    """

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    client_ip: str = "127.0.0.1"

    def header(self, name: str) -> str | None:
        """First header of that name, case-insensitive."""
        wanted = name.lower()
        return next((v for k, v in self.headers if k.lower() == wanted), None)


@dataclass(frozen=True)
class Response:
    """An HTTP response; the servers add only framing and ``Date``."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


Handler = Callable[[Request], Awaitable[Response]]


class DurableFunctions(Protocol):
    """What the task hub needs from the function host: the user's durable functions."""

    def orchestrator(self, name: str) -> Callable[[str], str] | None:
        """The SDK's handle: context JSON in, state JSON out; the name is case-insensitive."""
        ...

    def entity(self, name: str) -> Callable[[str], str] | None:
        """The SDK's handle for an entity: batch JSON in, result JSON out."""
        ...

    def activity(self, name: str) -> Callable[[str], Awaitable[str]] | None:
        """Runs an activity: input JSON text in, result JSON text out; raises what it raises."""
        ...


class TaskHub(Protocol):
    """The Durable task hub as the function host sees it."""

    clock: Clock

    async def start(self, functions: DurableFunctions) -> None: ...
    async def stop(self) -> None: ...
    async def webhook(self, request: Request) -> Response:
        """Management API below ``/runtime/webhooks/durabletask`` (keys already checked)."""
        ...

    async def rpc(self, request: Request) -> Response:
        """The local RPC address the Python durable client calls (``/durabletask/...``)."""
        ...

    def client_binding(self, base_url: str) -> str:
        """JSON text of the ``durableClient`` binding handed to functions."""
        ...


class EventSink(Protocol):
    """Where output bindings of the host put events."""

    def append(
        self, hub: str, body: bytes, *, partition_key: str | None = None, **properties: Any
    ) -> None: ...
