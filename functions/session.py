"""Signing in with Entra ID, signing out, and the sessions that are open.

The cookie of a session opens the endpoints below ``/api/me`` (:mod:`functions.people`). Headers by
which App Service Authentication tells who somebody is are read nowhere: while that is off, which
it is here, whoever likes can send them.
"""

from typing import Any

import azure.functions as func
import msgspec

from functions.browsers import (
    ATTEMPT,
    SESSION,
    address_of,
    forget,
    keep_attempt,
    keep_session,
    kept,
    must_be_meant,
    must_be_own_page,
)
from functions.durable import df
from functions.http import answers, failed, read, reply
from functions.outputs import Events, emits, flush
from shared.bootstrap import services

bp = df.Blueprint()


class SignInEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/session/complete``: what the directory sent the page back with."""

    code: str
    state: str


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/sessions/{id}/end``."""

    operator: str = "a function key"


class SignOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/session/end``."""

    everywhere: bool = False


@bp.route(route="session", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def session(req: func.HttpRequest) -> Any:
    """How people come in here, and who this browser's session is of."""
    from shared.errors import NotSignedIn

    now = services().for_exits()
    settings = now.settings
    if settings.access != "entra":
        return {"access": "keys", "signedIn": False}
    token = kept(req, SESSION, settings.public_url)
    try:
        return _told(token, now.door.enter(token, address_of(req)))
    except NotSignedIn as error:
        return {"access": "entra", "signedIn": False, "why": str(error) if token else ""}


@bp.route(route="session/begin", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def begin_sign_in(req: func.HttpRequest) -> Any:
    """Where this browser signs in."""
    now = services().for_exits()
    door, url = now.door, now.settings.public_url
    must_be_own_page(req, url)
    location, attempt = door.begin(address_of(req))
    response = reply({"location": location})
    keep_attempt(response, attempt, url)
    return response


@bp.route(route="session/complete", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@emits(bp)
def complete_sign_in(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """The end of a sign-in: a session, as a cookie."""
    from shared.errors import BorsaError

    try:
        now = services().for_exits()
        door, settings = now.door, now.settings
    except BorsaError as error:
        return failed(error)
    desk, url = now.exit_desk(), settings.public_url
    try:
        must_be_own_page(req, url)
        given = read(req, SignInEnd)
        token, found = door.complete(
            desk,
            kept(req, ATTEMPT, url),
            given.state,
            given.code,
            address_of(req),
            before=kept(req, SESSION, url),
        )
        response = reply(_told(token, found))
        keep_session(response, token, url, settings.session_hours)
    except BorsaError as error:
        response = failed(error)
    # A code works once: whatever came of it, this attempt is over.
    forget(response, ATTEMPT, url)
    flush(desk.outbox, executions, risk, compliance)
    return response


@bp.route(route="session/end", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def sign_out(req: func.HttpRequest) -> Any:
    """End this browser's session, or all of this person's."""
    now = services().for_exits()
    door, url = now.door, now.settings.public_url
    token = kept(req, SESSION, url)
    found = door.enter(token, address_of(req))
    must_be_meant(req, token, url)
    given = read(req, SignOut)
    location = door.leave(now.exit_desk(), found, everywhere=given.everywhere)
    response = reply({"location": location})
    forget(response, SESSION, url)
    return response


@bp.route(route="sessions", methods=["GET"])
@answers
def list_sessions(req: func.HttpRequest) -> Any:
    """Who is signed in."""
    return {"sessions": services().for_exits().door.listed()}


@bp.route(route="sessions/{id}/end", methods=["POST"])
@answers
def end_session(req: func.HttpRequest) -> Any:
    """End somebody's session at once."""
    now, by = services().for_exits(), read(req, SessionEnd).operator
    return now.door.end(now.exit_desk(), req.route_params["id"], by)


def _told(token: str, found: Any) -> dict[str, Any]:
    from shared.access.sessions import csrf_of
    from shared.clock import iso

    return {
        "access": "entra",
        "signedIn": True,
        "name": found.name,
        "role": found.role,
        "until": iso(found.until),
        "csrf": csrf_of(token),
    }
