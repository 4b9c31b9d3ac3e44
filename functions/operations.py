"""What an operator asks of the application itself: its configuration, contracts, description."""

import hashlib
from functools import lru_cache
from typing import Any

import azure.functions as func

from functions.durable import df
from functions.http import answers, failed, reply
from functions.outputs import Events, emits, flush
from shared.bootstrap import services

bp = df.Blueprint()


@bp.route(route="openapi.json", methods=["GET"])
@answers
def openapi(req: func.HttpRequest) -> Any:
    """This interface, described by OpenAPI 3.1."""
    body, tag = _description()
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if tag in {t.strip() for t in req.headers.get("If-None-Match", "").split(",")}:
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(body, mimetype="application/json", headers=headers)


@lru_cache(maxsize=1)
def _description() -> tuple[bytes, str]:
    from functions.openapi.document import encoded

    body = encoded()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@bp.route(route="config", methods=["GET"])
@answers
def config(req: func.HttpRequest) -> Any:
    """Settings, limits and stage in force and the versions that run; no secret."""
    from shared.operations.configured import configured

    return configured(services())


@bp.route(route="instruments", methods=["GET"])
@answers
def instruments(req: func.HttpRequest) -> Any:
    """The contracts that are traded, with the filters the exchange holds orders to."""
    now = services()
    listed = now.view.instruments()
    symbols = now.settings.symbols
    return {
        "instruments": [listed[s] for s in symbols if s in listed],
        "notListed": [s for s in symbols if s not in listed],
    }


@bp.route(route="reconcile", methods=["POST"])
@emits(bp)
def reconcile_now(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Compare our book with the exchange's now, as the timer does every five minutes."""
    from shared.errors import BorsaError
    from shared.execution.reconcile import reconcile

    desk = services().exit_desk()
    try:
        services().throttle.admit()
        report = reconcile(desk)
        response = reply(
            {
                "positions": report.positions,
                "openOrders": report.open_orders,
                "differences": report.differences,
            }
        )
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response
