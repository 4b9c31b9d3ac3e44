"""Operations that stop, arm and promote."""

from __future__ import annotations

from typing import Literal

import msgspec

from functions.openapi.operation import Millis, Operation, Parameter, Shape, When
from functions.safety import ClearRequest, StopRequest
from functions.stage import PromoteRequest
from shared.compliance.progress import Withdrawal
from shared.compliance.stages import ChecklistItem, StageEvidence
from shared.execution.drill import Step


class Stopped(Shape):
    """The switch is latched; ``flat`` only where the account was flattened in the request."""

    state: Literal["latched"]
    workflow: str | None
    flat: bool | msgspec.UnsetType = msgspec.UNSET


class Drilled(Shape):
    drill: Literal[True]
    passed: bool
    milliseconds: int
    steps: list[Step]


class Armed(Shape):
    state: Literal["armed"]


class Promotion(Shape):
    at: When
    operator: str


class Checklist(Shape):
    """The twelve items for the running stage, and the stage they lead to."""

    stage: str
    environment: str
    next: str | None
    counts: str
    passed: bool
    items: list[ChecklistItem]
    evidence: StageEvidence
    promotions: dict[str, Promotion]
    withdrawn: list[Withdrawal]
    problems: list[str]


class Promoted(Shape):
    stage: str
    operator: str
    at: Millis


OPERATIONS = (
    Operation(
        function="emergency_stop",
        method="POST",
        route="emergency-stop",
        summary="Latch the kill switch and close everything; never refused over its body",
        body=StopRequest,
        body_required=False,
        answers={200: Drilled, 202: Stopped},
        query=(
            Parameter(
                "drill", Literal["true", "false"], "true: only prove that a stop would work (200)"
            ),
        ),
        errors=(429,),
    ),
    Operation(
        function="clear_kill_switch",
        method="POST",
        route="kill-switch/clear",
        summary="Arm trading again: a person, a second factor, a reason",
        body=ClearRequest,
        answers={200: Armed},
        errors=(409, 429, 502),
    ),
    Operation(
        function="checklist",
        method="GET",
        route="checklist",
        summary="The pre-live checklist, answered now",
        answers={200: Checklist},
        errors=(429, 502),
    ),
    Operation(
        function="promote_stage",
        method="POST",
        route="stage/promote",
        summary="Allow the next stage on production: a person, a second factor, the evidence",
        body=PromoteRequest,
        answers={200: Promoted},
        errors=(409, 429, 502),
    ),
)
