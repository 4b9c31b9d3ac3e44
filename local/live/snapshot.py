"""What the console shows: the application's own HTTP answers, nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from local.contracts import Request
from local.host.host import FunctionHost

#: Name in a snapshot -> path below ``/api``.
ENDPOINTS = {
    "health": "health",
    "status": "status",
    "positions": "positions",
    "trades": "trades?limit=8",
    "signals": "signals?limit=8",
    "decisions": "signals?kind=decision&limit=8",
    "orders": "orders?limit=10",
    "alerts": "alerts?limit=20",
}


class Snapshots:
    """Takes snapshots of a running host through its HTTP pipeline.

    Parameters
    ----------
    host : FunctionHost
    key : str
        A host key.
    """

    def __init__(self, host: FunctionHost, key: str) -> None:
        self._host = host
        self._key = key

    async def take(self) -> dict[str, Any]:
        """Ask every endpoint."""
        taken: dict[str, Any] = {}
        for name, path in ENDPOINTS.items():
            answer = await self._host.handle(
                Request(
                    "GET",
                    f"/api/{path}",
                    [
                        ("x-functions-key", self._key),
                        ("Host", urlsplit(self._host.base_url).netloc),
                    ],
                )
            )
            taken[name] = json.loads(answer.body) if answer.body else None
        return taken
