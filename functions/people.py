"""The endpoints that need a function key, once more for people who signed in: below ``/api/me``.

They are the same functions with the same bindings. The host does not ask for a key there, so this
asks for a session with the role of :mod:`functions.roles` instead. Only registered while ``ACCESS``
is ``entra``: otherwise there is nothing without a key, whatever this code does.
"""

import inspect
import logging
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any

import azure.functions as func
import msgspec

from functions.browsers import SESSION, address_of, kept, must_be_meant
from functions.durable import df
from functions.http import MAX_BODY_BYTES, failed
from functions.roles import RULES, Rule
from functions.threads import in_thread
from shared.access import door as doors
from shared.access.roles import allows
from shared.access.sessions import Session
from shared.bootstrap import services
from shared.errors import BorsaError, NotAllowed

PREFIX = "me/"
STOP = "emergency_stop"


def people(modules: Iterable[ModuleType]) -> df.Blueprint:
    """All endpoints of these modules that need a key and have a rule, for people."""
    keyed = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)
    for module in modules:
        keyed.register_functions(module.bp)
    bp = df.Blueprint()
    for function in keyed.get_functions():
        trigger = function.get_trigger()
        if not function.is_http_function() or trigger.auth_level != func.AuthLevel.FUNCTION:
            continue
        name = function.get_function_name()
        if name not in RULES:
            # Not there for people, rather than no function there at all. A test finds it before.
            logging.getLogger("borsa").error("%s has no rule for people", name)
            continue
        endpoint = guarded(function.get_user_function(), name, RULES[name])
        endpoint.__name__ = f"me_{name}"
        builder = bp.route(
            route=PREFIX + trigger.route,
            methods=trigger.methods,
            auth_level=func.AuthLevel.ANONYMOUS,
        )(endpoint)
        for binding in function.get_bindings():
            if binding is not trigger and binding.name != "$return":
                builder.add_binding(binding)
    return bp


def guarded(function: Callable[..., Any], name: str, rule: Rule) -> Callable[..., Any]:
    """An endpoint that asks for a session with a role first, and says who acted afterwards."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def later(req: func.HttpRequest, **bound: Any) -> func.HttpResponse:
            try:
                session, own = await in_thread(_enter, req, name, rule)
            except BorsaError as error:
                return failed(error)
            response: func.HttpResponse = await function(req=own, **bound)
            await in_thread(_note, session, req, name, rule, response.status_code)
            return response

        return later

    @wraps(function)
    def now(req: func.HttpRequest, **bound: Any) -> func.HttpResponse:
        try:
            session, own = _enter(req, name, rule)
        except BorsaError as error:
            return failed(error)
        response: func.HttpResponse = function(req=own, **bound)
        _note(session, req, name, rule, response.status_code)
        return response

    return now


def _enter(req: func.HttpRequest, name: str, rule: Rule) -> tuple[Session, func.HttpRequest]:
    """Whose request it is, and the request with that name in it.

    Raises
    ------
    NotSignedIn, NotAllowed, TooManyRequests, StoreError
    """
    sound = services().for_exits()
    door, url = sound.door, sound.settings.public_url
    token = kept(req, SESSION, url)
    stopping = name == STOP and req.params.get("drill") in (None, "false")
    session = door.enter(token, address_of(req), stopping=stopping)
    if req.method != "GET":
        must_be_meant(req, token, url)
    allowed = allows(session.role, rule.role)
    if not (stopping and allowed):
        door.admit(session, changes=rule.changes)
    if not allowed:
        if rule.changes:
            _note(session, req, name, rule, 403)
        raise NotAllowed(
            f"{session.name} is {session.role}; this takes {rule.role}. A function key opens it too"
        )
    return session, _named(req, session.name, name) if rule.operator else req


def _named(req: func.HttpRequest, who: str, name: str) -> func.HttpRequest:
    """The same request with the session's person as the one who acts."""
    body = req.get_body()
    try:
        given = msgspec.json.decode(body or b"{}") if len(body) <= MAX_BODY_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        given = None
    if name == STOP:
        # Never refused over its body, and always under a name.
        reason = given.get("reason") if isinstance(given, dict) else "(the body could not be read)"
        given = {"reason": reason if isinstance(reason, str) else "not given"}
    elif not isinstance(given, dict):
        return req  # refused by the endpoint, which says why
    return func.HttpRequest(
        req.method,
        req.url,
        headers=dict(req.headers),
        params=dict(req.params),
        route_params=dict(req.route_params),
        body=msgspec.json.encode({**given, "operator": who}),
    )


def _note(session: Session, req: func.HttpRequest, name: str, rule: Rule, status: int) -> None:
    """Keep who asked; what was done is done, also where this fails."""
    if not rule.changes:
        return
    did = f"{name} {(req.params.get('drill') and 'drill') or ''} {req.route_params.get('id', '')}"
    log = logging.getLogger("borsa")
    if name == STOP and status >= 500:
        # The store is away, and the answer must not wait for it once more.
        log.error("%s of %s answered %s", name, session.name, status)
        return
    try:
        desk = services().exit_desk()
        doors.note_action(desk, session, " ".join(did.split()), status)
    except BorsaError:
        log.exception("%s of %s answered %s, not audited", did, session.name, status)
