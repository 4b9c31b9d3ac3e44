"""Operations by which people sign in and out, and the sessions that are open."""

from __future__ import annotations

from typing import Literal

import msgspec

from functions.openapi.operation import Operation, Shape, When
from functions.session import SessionEnd, SignInEnd, SignOut
from shared.access.roles import Role
from shared.access.sessions import Session


class Entrance(Shape):
    """How people come in; ``csrf`` goes into the header ``x-borsa-csrf`` of what is not a GET."""

    access: Literal["keys", "entra"]
    signed_in: bool
    why: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    until: When | msgspec.UnsetType = msgspec.UNSET
    csrf: str | msgspec.UnsetType = msgspec.UNSET


class Location(Shape):
    """Where the page goes next; empty: nowhere."""

    location: str


class OpenSessions(Shape):
    sessions: list[Session]


OPERATIONS = (
    Operation(
        function="session",
        method="GET",
        route="session",
        summary="How people come in here, and who this browser's session is of",
        answers={200: Entrance},
        errors=(429,),
        key=False,
    ),
    Operation(
        function="begin_sign_in",
        method="POST",
        route="session/begin",
        summary="Where this browser signs in; from the application's own page only",
        answers={200: Location},
        errors=(403, 404, 429, 502),
        key=False,
    ),
    Operation(
        function="complete_sign_in",
        method="POST",
        route="session/complete",
        summary="The end of a sign-in: a session, as a cookie",
        body=SignInEnd,
        answers={200: Entrance},
        errors=(403, 404, 429, 502),
        key=False,
    ),
    Operation(
        function="sign_out",
        method="POST",
        route="session/end",
        summary="End this browser's session, or all of this person's",
        body=SignOut,
        body_required=False,
        answers={200: Location},
        errors=(401, 403, 404, 429),
        key=False,
    ),
    Operation(
        function="list_sessions",
        method="GET",
        route="sessions",
        summary="Who is signed in",
        answers={200: OpenSessions},
        errors=(404,),
    ),
    Operation(
        function="end_session",
        method="POST",
        route="sessions/{id}/end",
        summary="End somebody's session at once",
        body=SessionEnd,
        body_required=False,
        answers={200: Session},
        errors=(404,),
    ),
)
