"""An async function that waits for the store itself holds up all functions of its process.

Their invocations are taken from the host by the same event loop: an emergency stop as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import azure.functions as func
import pytest
from outage import Outage, floor_with
from test_promotion import DEMO, production

from shared.bootstrap import use
from shared.errors import BorsaError
from shared.execution import emergency


class Nowhere:
    def set(self, value: list[str]) -> None:
        pass


def waited_for(outage: Outage, work: Coroutine[Any, Any, object]) -> set[str]:
    """Names of the threads in which the store was waited for."""
    names: set[str] = set()

    def fails() -> bool:
        names.add(threading.current_thread().name)
        return False

    async def run() -> None:
        with suppress(BorsaError):
            await work

    outage.fails = fails
    asyncio.run(run())
    return names


def test_an_emergency_stop_is_taken_up_again(open_floor):
    from functions.guardian import _resume_emergency

    floor, outage = floor_with(open_floor, durable=False)
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    # Without Durable it flattens the account itself.
    names = waited_for(outage, _resume_emergency(floor.desk, ""))
    assert names
    assert threading.main_thread().name not in names
    assert "emergency-flat" in floor.alerts()


@pytest.mark.parametrize("which", ["the answer of a person", "surveillance", "scoring"])
def test_what_the_stage_may_open_is_asked_for(open_floor, which):
    """On production every desk that may open something asks the store for it."""
    from functions import approvals, compliance, models

    floor, outage = floor_with(open_floor, durable=False, settings=DEMO)
    use(production(floor, MODEL_SCORING="on"))
    body = b'{"operator": "ada", "decision": "approve", "nonce": "0"}'
    req = func.HttpRequest(
        method="POST", url="/api/approvals/x", route_params={"id": "x"}, body=body
    )
    nowhere = dict.fromkeys(("executions", "risk", "compliance"), Nowhere())
    work = {
        "surveillance": lambda: _of(compliance.surveil)(None, **nowhere),
        "scoring": lambda: _of(models.score_models)(None, **nowhere),
    }.get(which, lambda: approvals._answer(req, None))
    try:
        names = waited_for(outage, work())
    finally:
        use(None)
    assert names
    assert threading.main_thread().name not in names


def _of(builder: Any) -> Any:
    return builder._function.get_user_function()
