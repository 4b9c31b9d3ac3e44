"""Surveillance of the account's own order flow, its violations and the calendar of events."""

import asyncio
import logging
from typing import Any

import azure.functions as func
import msgspec

from functions.api import limit_of, moment
from functions.durable import df
from functions.http import answers, failed, read, reply
from functions.outputs import Events, emits, flush
from shared.bootstrap import services

bp = df.Blueprint()


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/compliance/violations/{id}/acknowledge``."""

    operator: str
    note: str = ""


class Loosening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of what allows entries again: closing a violation, removing an event."""

    operator: str
    reason: str
    code: str


@bp.timer_trigger(schedule="50 */10 * * * *", arg_name="timer", use_monitor=True)
@emits(bp)
async def surveil(
    timer: func.TimerRequest, executions: Events, risk: Events, compliance: Events
) -> None:
    """Judge the orders and executions of the account since the last time."""
    from shared.compliance.surveillance import advance, behind
    from shared.errors import BorsaError

    # On production a desk asks the store what the stage may open.
    desk = await asyncio.to_thread(services().desk)
    try:
        await asyncio.to_thread(advance, desk)
    except BorsaError as error:
        # Not raised: what was found and told so far is sent, and the next round begins there again.
        logging.getLogger("borsa").error("surveillance: %s: %s", type(error).__name__, error)
        await asyncio.to_thread(behind, desk, error)
    flush(desk.outbox, executions, risk, compliance)


@bp.route(route="compliance", methods=["GET"])
@answers
def compliance_overview(req: func.HttpRequest) -> Any:
    """How far the history was judged, what is not closed, what is restricted."""
    from shared.compliance.overview import overview

    return overview(services().viewing_desk())


@bp.route(route="compliance/violations", methods=["GET"])
@answers
def list_violations(req: func.HttpRequest) -> Any:
    """Violations, newest first; of one ``state`` or ``symbol``."""
    from shared.compliance.violations import listed

    page = listed(
        services().viewing_desk(),
        state=req.params.get("state", ""),
        symbol=req.params.get("symbol", ""),
        limit=limit_of(req),
        continuation=req.params.get("continuation") or None,
    )
    return {
        "violations": [d.body for d in page.documents],
        "continuation": page.continuation,
    }


@bp.route(route="compliance/violations/{id}", methods=["GET"])
@answers
def get_violation(req: func.HttpRequest) -> Any:
    """One violation with its evidence."""
    from shared.compliance.violations import load

    return load(services().viewing_desk(), req.route_params["id"])[0]


@bp.route(route="compliance/violations/{id}/acknowledge", methods=["POST"])
@emits(bp)
def acknowledge_violation(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Somebody looks into it."""
    from shared.compliance.violations import acknowledge
    from shared.errors import BorsaError

    desk = services().desk()
    try:
        given = read(req, Acknowledgement)
        id_ = req.route_params["id"]
        response = reply(acknowledge(desk, id_, operator=given.operator, note=given.note))
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response


@bp.route(route="compliance/violations/{id}/close", methods=["POST"])
@emits(bp)
def close_violation(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """It has been dealt with: a person, a second factor, a reason."""
    from shared.compliance.violations import close

    return _loosen(req, close, executions, risk, compliance)


@bp.route(route="compliance/events", methods=["GET"])
@answers
def list_events(req: func.HttpRequest) -> Any:
    """The calendar: events with their restricted windows."""
    from shared.compliance.calendar import read as calendar

    return {"events": calendar(services().viewing_desk())}


@bp.route(route="compliance/events", methods=["POST"])
@answers
def add_event(req: func.HttpRequest) -> Any:
    """Restrict a window around an event."""
    from shared.compliance.calendar import NewEvent, add

    new = read(req, NewEvent)
    return reply(add(services().desk(), new), 201)


@bp.route(route="compliance/events/{id}/remove", methods=["POST"])
@emits(bp)
def remove_event(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Take a window away: a person, a second factor, a reason."""
    from shared.compliance.calendar import remove

    return _loosen(req, remove, executions, risk, compliance)


@bp.route(route="compliance/scan", methods=["POST"])
@emits(bp)
def scan_history(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Judge a piece of history now, ``from`` to ``to``; the cursor stays where it is."""
    from shared.compliance.surveillance import LAG_MS, scan
    from shared.errors import BorsaError, InvalidInput

    desk = services().desk()
    try:
        since = moment(req, "from")
        if since is None:
            raise InvalidInput("from is missing; write 2026-01-31 or 2026-01-31T12:00")
        until = moment(req, "to")
        services().throttle.admit()
        response = reply(scan(desk, since, until or desk.clock.now_ms() - LAG_MS))
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response


def _loosen(
    req: func.HttpRequest, act: Any, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """One operator action under the second factor."""
    from shared.errors import BorsaError

    now = services()
    desk = now.desk()
    try:
        given = read(req, Loosening)
        now.throttle.admit()
        done = act(
            desk,
            now.second_factor,
            req.route_params["id"],
            operator=given.operator,
            reason=given.reason,
            code=given.code,
        )
        response = reply(done)
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response
