"""Operations on the models that are served and on their versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from functions.models import (
    BatchRequest,
    ChangeRequest,
    PredictRequest,
    PromotionRequest,
    RollbackRequest,
)
from functions.openapi.operation import ErrorBody, Operation, Parameter, Shape
from shared.intelligence.comparison import Comparison
from shared.intelligence.predictions import Listed, Prediction
from shared.intelligence.slots import Slot, Tenure, Version


class Models(Shape):
    """Every model that the project knows, as it votes now, and the features that this code makes.

    ``registry``: whether plans vote with its champions; ``scoring``: whether bars are scored;
    ``slots``: what the registry knows of the models of which it has versions.
    """

    feature_set: str
    registry: Literal["off", "on"]
    scoring: Literal["off", "on"]
    models: list[Listed]
    slots: list[Slot]


class Comparisons(Shape):
    """One entry for each challenger, or for the version that was asked about."""

    comparisons: list[Comparison]


class NotPredicted(Shape):
    """An entry of a batch that failed, with the error that it would have had alone."""

    symbol: str
    timeframe: str
    error: ErrorBody


class Predictions(Shape):
    """One entry for each that was asked, in their order."""

    predictions: list[
        Annotated[
            Any,
            Meta(
                extra_json_schema={
                    "anyOf": [
                        {"$ref": "#/components/schemas/Prediction"},
                        {"$ref": "#/components/schemas/NotPredicted"},
                    ]
                }
            ),
        ]
    ]


OPERATIONS = (
    Operation(
        function="models",
        method="GET",
        route="models",
        summary="Every model with its card in short and its versions, and why one is not served",
        answers={200: Models},
    ),
    Operation(
        function="compare_models",
        method="GET",
        route="models/{name}/comparison",
        summary="Challengers against the champion on the bars that both were scored at",
        answers={200: Comparisons},
        query=(Parameter("version", str, "this version instead of the challengers"),),
        errors=(400, 404, 429),
    ),
    Operation(
        function="challenge_model",
        method="POST",
        route="models/{name}/challenge",
        summary="Have a version scored beside the champion from now on",
        body=ChangeRequest,
        answers={200: Version},
        errors=(404, 409),
    ),
    Operation(
        function="withdraw_model",
        method="POST",
        route="models/{name}/withdraw",
        summary="Have a challenger scored no more",
        body=ChangeRequest,
        answers={200: Version},
        errors=(404, 409),
    ),
    Operation(
        function="reject_model",
        method="POST",
        route="models/{name}/reject",
        summary="Never promote a version; it stays readable",
        body=ChangeRequest,
        answers={200: Version},
        errors=(404, 409),
    ),
    Operation(
        function="promote_model",
        method="POST",
        route="models/{name}/promote",
        summary="Have a version vote: a person, a second factor, a reason, evidence or override",
        body=PromotionRequest,
        answers={200: Tenure},
        errors=(404, 409, 429),
    ),
    Operation(
        function="roll_model_back",
        method="POST",
        route="models/{name}/rollback",
        summary="Have the champion before vote again: a person, a second factor, a reason",
        body=RollbackRequest,
        answers={200: Tenure},
        errors=(404, 409, 429),
    ),
    Operation(
        function="predict",
        method="POST",
        route="predict",
        summary="Probabilities of each model at the last closed bar of a symbol",
        body=PredictRequest,
        answers={200: Prediction},
        errors=(429, 502),
    ),
    Operation(
        function="predict_batch",
        method="POST",
        route="predict-batch",
        summary="The same for several symbols and time frames, at most 20",
        body=BatchRequest,
        answers={200: Predictions},
        also=(NotPredicted,),
        errors=(429,),
    ),
)
