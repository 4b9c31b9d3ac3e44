"""The pre-live checklist, and the way from one stage to the next."""

from typing import Any

import azure.functions as func
import msgspec

from functions.durable import df
from functions.http import answers, failed, read, reply
from functions.outputs import Events, emits, flush
from shared.bootstrap import services

bp = df.Blueprint()


class PromoteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/stage/promote``."""

    stage: str
    code: str
    reason: str
    operator: str


@bp.route(route="checklist", methods=["GET"])
@answers
def checklist(req: func.HttpRequest) -> Any:
    """Twelve items, each with the evidence that answers it now."""
    from shared.compliance.promotion import overview

    now = services()
    now.checklist_throttle.admit()
    return overview(now.viewing_desk(), now.deployment())


@bp.route(route="stage/promote", methods=["POST"])
@emits(bp)
def promote_stage(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Allow the next stage on production: a person, a second factor, a reason, the evidence."""
    from shared.compliance.promotion import promote
    from shared.errors import BorsaError

    now = services()
    desk = now.desk()
    try:
        request = read(req, PromoteRequest)
        now.throttle.admit()
        grant = promote(
            desk,
            now.second_factor,
            now.deployment(),
            stage=request.stage,
            code=request.code,
            reason=request.reason,
            operator=request.operator,
        )
        response = reply({"stage": grant.stage, "operator": grant.operator, "at": grant.at})
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response
