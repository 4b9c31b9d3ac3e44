"""Operations on the models that are served."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from functions.models import BatchRequest, PredictRequest
from functions.openapi.operation import ErrorBody, Operation, Shape
from shared.intelligence.predictions import Listed, Prediction


class Models(Shape):
    """Every model that the project knows, and the features that this code makes."""

    feature_set: str
    models: list[Listed]


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
        summary="Every model with its card in short, and why one is not served",
        answers={200: Models},
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
