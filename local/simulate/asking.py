"""Faults between who starts a workflow and the task hub."""

from __future__ import annotations

import asyncio

from local.contracts import Handler, Request, Response
from local.simulate.boundaries import Hooks

#: Milliseconds from a request that came to nothing until somebody has asked again: the guardian
#: starts every minute what is to run.
ASKED_AGAIN_MS = 65_000

#: Seconds after which the durable client gives a request up by itself.
GIVEN_UP = 300.0

_REFUSED = Response(500, [], b'{"Message": "storage is not reachable"}')


class AskFaults:
    """The hub refuses a start, is silent (though it may have done what was asked), or slow.

    Parameters
    ----------
    hooks : Hooks
    rpc : Handler
        The hub as the durable client reaches it.
    """

    def __init__(self, hooks: Hooks, rpc: Handler) -> None:
        self._hooks, self._rpc = hooks, rpc

    async def __call__(self, request: Request) -> Response:
        struck = None if self._hooks.dead else self._hooks.draw("ask", "ask")
        if struck is None:
            return await self._rpc(request)
        fault, draw = struck
        self._hooks.disturbed(self._hooks.clock.now_ms() + ASKED_AGAIN_MS)
        if fault == "slow":
            await asyncio.sleep(draw.uniform(0.2, 12.0))
            return await self._rpc(request)
        if fault == "refused":
            return _REFUSED
        if fault == "lost":
            await self._rpc(request)
        await asyncio.sleep(GIVEN_UP)
        return _REFUSED
