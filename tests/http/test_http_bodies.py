"""No endpoint reads a body without a bound of its own."""

from __future__ import annotations

import re

import pytest

from functions.http import MAX_BODY_BYTES
from shared.intelligence.document import MOST_BYTES
from tests.described import description
from tests.http.serving import Serving

#: The one that takes files.
FILES = "/documents"
#: Refused for another reason before the body is looked at, in an application that is set up so.
NOT_LOOKED_AT = {"/session/complete", "/session/end", "/patterns/{symbol}/reading"}
#: Never refused over its body: tests/app/test_emergency.py.
STOP = "/emergency-stop"

TAKING = {path for path, item in description()["paths"].items() if "requestBody" in str(item)}


@pytest.mark.parametrize("path", sorted(TAKING - NOT_LOOKED_AT - {STOP}))
def test_a_body_that_is_too_large_is_refused_unread(app: Serving, path: str) -> None:
    most = MOST_BYTES if path == FILES else MAX_BODY_BYTES
    before = app.state()
    answer = app.request("POST", "/api" + re.sub(r"{\w+}", "x", path), b" " * most + b"{}")
    assert answer.status_code == 413, answer.text
    assert f"at most {most} are read" in answer.json()["error"]["message"]
    assert app.state() == before
