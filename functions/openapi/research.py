"""Operations on parameter sweeps."""

from __future__ import annotations

from typing import Any, Literal

from functions.openapi.operation import (
    Continuation,
    Millis,
    Operation,
    Parameter,
    Shape,
)
from shared.research.sweep_plan import SweepRequest


class SweepRow(Shape):
    """One parameter set; ``problem`` says why there are no figures."""

    index: int
    params: dict[str, Any]
    figures: dict[str, float | None]
    score: float | None
    problem: str


class SweepAnswer(Shape):
    """A sweep with how far it is; ``best`` are its best sets once it is done."""

    id: str
    state: Literal["running", "cancelling", "cancelled", "failed", "done"]
    request: dict[str, Any]
    code: str
    start_ms: Millis
    end_ms: Millis
    sets: int
    chunks: int
    chunk_size: int
    generation: int
    created_at: Millis
    changed_at: Millis
    finished_at: int
    problem: str
    failed_sets: int
    deflated_sharpe: float | None
    best: list[SweepRow]
    workflow: str
    chunks_done: int


class SweepResults(Shape):
    results: list[SweepRow]
    continuation: Continuation


OPERATIONS = (
    Operation(
        function="start_sweep",
        method="POST",
        route="research/sweeps",
        summary="Backtest many parameter sets; asking for the same twice is one sweep",
        body=SweepRequest,
        answers={200: SweepAnswer, 202: SweepAnswer},
        errors=(409,),
    ),
    Operation(
        function="get_sweep",
        method="GET",
        route="research/sweeps/{id}",
        summary="A sweep: state, progress, best sets",
        answers={200: SweepAnswer},
        errors=(404,),
    ),
    Operation(
        function="sweep_results",
        method="GET",
        route="research/sweeps/{id}/results",
        summary="Every set that was run, in the order of the grid",
        answers={200: SweepResults},
        query=(Parameter("continuation", str, "of the page before"),),
        errors=(400, 404),
    ),
    Operation(
        function="cancel_sweep",
        method="POST",
        route="research/sweeps/{id}/cancel",
        summary="No further chunk begins",
        answers={200: SweepAnswer},
        errors=(404,),
    ),
    Operation(
        function="resume_sweep",
        method="POST",
        route="research/sweeps/{id}/resume",
        summary="Go on after a cancellation or a failure",
        answers={202: SweepAnswer},
        errors=(404, 409),
    ),
)
