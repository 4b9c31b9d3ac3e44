"""The models that are served, and what they say about symbols now. Not on the way of an order."""

from typing import Any

import azure.functions as func
import msgspec

from functions.durable import df
from functions.http import answers, error_of, read
from shared.bootstrap import services
from shared.errors import BorsaError, InvalidInput

bp = df.Blueprint()

#: Predictions of one request.
MOST = 20


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One symbol and time frame, and one model or all."""

    symbol: str
    timeframe: str
    model: str | None = None


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Several of them."""

    requests: list[PredictRequest]


@bp.route(route="models", methods=["GET"])
@answers
def models(req: func.HttpRequest) -> Any:
    """Every model with its card in short, and why one is not served."""
    from shared.intelligence.features import FEATURE_SET
    from shared.intelligence.library import library
    from shared.intelligence.predictions import listed

    return {"featureSet": FEATURE_SET, "models": listed(library())}


@bp.route(route="predict", methods=["POST"])
@answers
def predict(req: func.HttpRequest) -> Any:
    """Probabilities of each model at the last closed bar of a symbol."""
    asked = read(req, PredictRequest)
    services().prediction_throttle.admit()
    return services().predictor.predict(asked.symbol, asked.timeframe, asked.model)


@bp.route(route="predict-batch", methods=["POST"])
@answers
def predict_batch(req: func.HttpRequest) -> Any:
    """The same for several symbols and time frames; one that fails does not fail the others."""
    asked = read(req, BatchRequest).requests
    if not 1 <= len(asked) <= MOST:
        raise InvalidInput(f"requests has {len(asked)} entries; use 1 to {MOST}")
    services().prediction_throttle.admit()
    return {"predictions": [_one(one) for one in asked]}


def _one(asked: PredictRequest) -> Any:
    try:
        return services().predictor.predict(asked.symbol, asked.timeframe, asked.model)
    except BorsaError as error:
        return {"symbol": asked.symbol, "timeframe": asked.timeframe, **error_of(error)}
