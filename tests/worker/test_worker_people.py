"""Microsoft's worker library takes the endpoints for people, and runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_worker_runs_the_app import Application
from test_worker_runs_the_app import pytestmark as needs_the_library

from local.platform import ROOT
from shared import bootstrap
from shared.access.sessions import csrf_of
from shared.access.tokens import Person
from tests.access.issuer import CLIENT, TENANT

pytestmark = needs_the_library
PAGE = "https://bot.example"


def test_a_session_opens_them_in_the_worker_library(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.host.worker_library import index_and_invoke

    monkeypatch.setenv("ACCESS", "entra")
    application = Application(
        ACCESS="entra",
        ENTRA_TENANT_ID=TENANT,
        ENTRA_CLIENT_ID=CLIENT,
        ENTRA_AUTHORITY="https://login.example",
        PUBLIC_URL=PAGE,
    )
    services = application.services
    services.kill_switch.ensure()
    sessions = services.door._sessions
    token, _ = sessions.open(Person(oid="oid-of-anna", name="anna@example.com", role="operator"))
    headers = {
        "cookie": f"__Host-borsa-session={token}",
        "content-type": "application/json",
        "origin": PAGE,
        "x-borsa-csrf": csrf_of(token),
    }

    def asked(method: str, path: str, **more: Any) -> dict[str, Any]:
        return {"http": {"method": method, "url": f"{PAGE}/api/{path}", **more}}

    approve = {"decision": "approve", "nonce": "n", "operator": "eve"}
    client = json.dumps({"taskHubName": "borsa", "creationUrls": {}, "managementUrls": {}})
    bootstrap.use(services)
    try:
        found = index_and_invoke(
            ROOT,
            {
                "me_status": ({"req": asked("GET", "me/status", headers=headers)}, {}),
                "me_risk": ({"req": asked("GET", "me/risk")}, {}),
                "me_clear_kill_switch": (
                    {"req": asked("POST", "me/kill-switch/clear", headers=headers)},
                    {},
                ),
                "me_answer_approval": (
                    {
                        "req": asked(
                            "POST",
                            "me/approvals/none",
                            headers=headers,
                            params={"id": "none"},
                            body={"bytes": json.dumps(approve).encode()},
                        ),
                        "client": {"string": client},
                    },
                    {},
                ),
                "session": ({"req": asked("GET", "session", headers=headers)}, {}),
            },
        )
    finally:
        bootstrap.use(None)
        application.close()
    assert not found.errors
    status = {name: r["return"][1]["status_code"] for name, r in found.results.items()}
    assert status == {
        "me_status": "200",
        "me_risk": "401",
        "me_clear_kill_switch": "403",  # an operator
        "me_answer_approval": "404",  # there is none to answer: it has got so far
        "session": "200",
    }
    told = json.loads(found.results["session"]["return"][1]["body"])
    assert (told["name"], told["csrf"]) == ("anna@example.com", csrf_of(token))
