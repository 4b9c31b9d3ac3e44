"""The models that are served, what they say now, and what becomes of their versions.

Predictions and scores are not on the way of an order.
"""

import asyncio
import logging
from typing import Any

import azure.functions as func
import msgspec

from functions.durable import df
from functions.http import answers, error_of, failed, read, reply
from functions.outputs import Events, emits, flush
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


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of what makes a version challenger, takes it out or rejects it."""

    version: str
    operator: str
    reason: str


class PromotionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/models/{name}/promote``; ``override``: without the evidence."""

    version: str
    operator: str
    reason: str
    code: str
    override: bool = False


class RollbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/models/{name}/rollback``."""

    operator: str
    reason: str
    code: str


@bp.timer_trigger(schedule="35 */5 * * * *", arg_name="timer", use_monitor=True)
@emits(bp)
async def score_models(
    timer: func.TimerRequest, executions: Events, risk: Events, compliance: Events
) -> None:
    """Ask champions and challengers about the bars that closed; nothing while it is off."""
    now = services()
    if not now.settings.model_scoring:
        return
    desk = await asyncio.to_thread(now.desk)
    try:
        await asyncio.to_thread(now.models.note_arrivals, desk)
        done = await asyncio.to_thread(now.scorer.run)
        if done.scored or done.labelled:
            logging.getLogger("borsa.models").info(
                "%d bars scored, %d labelled", done.scored, done.labelled
            )
    except BorsaError as error:
        # Not raised: nothing is lost, the next round scores the same bars.
        logging.getLogger("borsa.models").error("scoring: %s: %s", type(error).__name__, error)
    flush(desk.outbox, executions, risk, compliance)


@bp.route(route="models", methods=["GET"])
@answers
def models(req: func.HttpRequest) -> Any:
    """Every model with its card in short and its versions, and why one is not served."""
    from shared.intelligence.features import FEATURE_SET
    from shared.intelligence.library import library
    from shared.intelligence.predictions import listed

    now = services()
    champions, known = now.champions, now.registry.slots()
    at = now.clock.now_ms()
    if champions is None:
        found = listed(library())
    else:
        found = listed(library(), lambda name: champions.version(name, at))
    return {
        "featureSet": FEATURE_SET,
        "registry": "off" if champions is None else "on",
        "scoring": "on" if now.settings.model_scoring else "off",
        "models": found,
        "slots": list(known.values()),
    }


@bp.route(route="models/{name}/comparison", methods=["GET"])
@answers
def compare_models(req: func.HttpRequest) -> Any:
    """Challengers (or ``?version=``) against the champion on the bars that both were scored at."""
    now = services()
    now.prediction_throttle.admit()
    name, version = req.route_params["name"], req.params.get("version", "")
    return {"comparisons": now.models.compare(now.store, now.clock.now_ms(), name, version)}


@bp.route(route="models/{name}/challenge", methods=["POST"])
@emits(bp)
def challenge_model(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Have a version scored beside the champion from now on."""
    return _changed(req, "challenger", executions, risk, compliance)


@bp.route(route="models/{name}/withdraw", methods=["POST"])
@emits(bp)
def withdraw_model(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Have a challenger scored no more."""
    return _changed(req, "candidate", executions, risk, compliance)


@bp.route(route="models/{name}/reject", methods=["POST"])
@emits(bp)
def reject_model(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Never promote a version; it stays readable."""
    return _changed(req, "rejected", executions, risk, compliance)


@bp.route(route="models/{name}/promote", methods=["POST"])
@emits(bp)
def promote_model(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Have a version vote: a person, a second factor, a reason, and the evidence or an override."""
    now = services()
    desk = now.desk()
    try:
        given = read(req, PromotionRequest)
        now.throttle.admit()
        tenure = now.models.promote(
            desk,
            now.second_factor,
            req.route_params["name"],
            given.version,
            operator=given.operator,
            reason=given.reason,
            code=given.code,
            override=given.override,
        )
        response = reply(tenure)
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response


@bp.route(route="models/{name}/rollback", methods=["POST"])
@emits(bp)
def roll_model_back(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Have the champion before vote again: a person, a second factor, a reason."""
    now = services()
    desk = now.desk()
    try:
        given = read(req, RollbackRequest)
        now.throttle.admit()
        tenure = now.models.roll_back(
            desk,
            now.second_factor,
            req.route_params["name"],
            operator=given.operator,
            reason=given.reason,
            code=given.code,
        )
        response = reply(tenure)
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response


def _changed(
    req: func.HttpRequest, state: Any, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """One change of a version's state by an operator."""
    now = services()
    desk = now.desk()
    try:
        given = read(req, ChangeRequest)
        changed = now.models.change(
            desk,
            req.route_params["name"],
            given.version,
            state,
            operator=given.operator,
            reason=given.reason,
        )
        response = reply(changed)
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response


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
