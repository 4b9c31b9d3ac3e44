"""The operation on drift of the models."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from functions.openapi.operation import Operation, Parameter
from shared.operations.drift_view import DriftView

OPERATIONS = (
    Operation(
        function="model_drift",
        method="GET",
        route="models/drift",
        summary="Whether each model still knows what its card says: the newest report",
        answers={200: DriftView},
        errors=(400,),
        query=(
            Parameter("model", str, "only this one"),
            Parameter(
                "days",
                Annotated[int, Meta(ge=0, le=365)],
                "days of history in short, 0 where it is left out",
            ),
        ),
    ),
)
