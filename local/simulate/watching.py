"""What the guardian and the watches over stops did, seen from outside."""

from __future__ import annotations

import json
from decimal import Decimal

from local.host.worker import Invocation
from local.simulate.judge import Judge


def observe(judge: Judge, invocation: Invocation, setting: str) -> None:
    """Tell the judge of a round of the guardian, or of a look of a watch.

    ``setting`` is that of the application: ``always``, or the part of the stop distance within
    which positions are watched; 0: none are.
    """
    if setting == "0" or invocation.error is not None:
        return
    if invocation.function == "guardian" and setting != "always":
        judge.round(invocation.started_ms, Decimal(setting))
    elif invocation.function == "survey_positions":
        judge.vigil.surveyed(invocation.ended_ms, again=_again(invocation))
    elif invocation.function == "watch_stop":
        asked = json.loads(invocation.inputs()["payload"]["string"])
        judge.vigil.looked(asked["symbol"], invocation.ended_ms, again=_again(invocation))


def _again(invocation: Invocation) -> bool:
    return bool(json.loads(invocation.return_value.value)["again"])
