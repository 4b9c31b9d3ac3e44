"""What the guardian and the watch over near stops did, seen from outside."""

from __future__ import annotations

import json
from decimal import Decimal

from local.host.worker import Invocation
from local.simulate.judge import Judge


def observe(judge: Judge, invocation: Invocation, share: Decimal) -> None:
    """Tell the judge of a round of the guardian, or of a look of the watch.

    ``share`` is the part of the stop distance within which positions are watched; 0: none are.
    """
    if not share or invocation.error is not None:
        return
    if invocation.function == "guardian":
        judge.round(invocation.started_ms, share)
    elif invocation.function == "watch_stop":
        asked = json.loads(invocation.inputs()["payload"]["string"])
        again = json.loads(invocation.return_value.value)["again"]
        judge.vigil.looked(asked["symbol"], invocation.ended_ms, again=again)
