"""Manual approvals: list what waits, take an answer, wake the workflow."""

import asyncio
import logging
from typing import Any

import azure.functions as func

from functions.durable import df
from functions.http import answer as answering
from functions.http import answers, read, reply
from functions.safety import STARTING
from functions.threads import in_thread
from shared.bootstrap import services

bp = df.Blueprint()


@bp.route(route="approvals", methods=["GET"])
@answers
def list_approvals(req: func.HttpRequest) -> Any:
    """Requests of the last days, newest first."""
    desk = services().viewing_desk()
    page = desk.store.query(
        "approvals", desk.account, order_by="requestedAt", descending=True, limit=50
    )
    return {"approvals": [d.body for d in page.documents]}


@bp.route(route="approvals/{id}", methods=["POST"])
@bp.durable_client_input(client_name="client")
async def answer_approval(req: func.HttpRequest, client: Any) -> func.HttpResponse:
    """Approve or reject one trade, once."""
    return await answering(_answer(req, client))


async def _answer(req: func.HttpRequest, client: Any) -> func.HttpResponse:
    from shared.compliance.approval import Answer, answer, event_name

    given = read(req, Answer)
    desk = await in_thread(services().desk)
    approval = await in_thread(answer, desk, req.route_params["id"], given)
    # The store holds the answer; the event only wakes the workflow before its timer does.
    try:
        event = client.raise_event(
            approval.id, event_name(approval.nonce), {"state": approval.state}
        )
        await asyncio.wait_for(event, STARTING)
    except Exception:
        logging.getLogger("borsa").exception("approval %s stored, not announced", approval.id)
    return reply({"id": approval.id, "state": approval.state})
