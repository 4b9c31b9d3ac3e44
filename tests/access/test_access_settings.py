"""Off by default, and refused with what is missing where it is asked for in part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.clock import VirtualClock
from local.platform import ROOT, app_settings
from shared.bootstrap import Services
from shared.errors import ConfigurationError, NotFound
from shared.settings import load
from shared.storage.sqlite import SqliteStore
from tests.access.issuer import CLIENT, TENANT
from tests.http.serving import Serving

SOUND = {
    "BINANCE_ENVIRONMENT": "demo",
    "TRADING_STAGE": "testnet",
    "ACCESS": "entra",
    "ENTRA_TENANT_ID": TENANT,
    "ENTRA_CLIENT_ID": CLIENT,
    "PUBLIC_URL": "https://bot.azurewebsites.net",
}


def test_all_that_is_needed_is_enough() -> None:
    settings = load(SOUND)
    assert (settings.access, settings.session_hours, settings.session_idle_minutes) == (
        "entra",
        8,
        30,
    )
    assert settings.entra_authority == "https://login.microsoftonline.com"
    assert load(SOUND | {"PUBLIC_URL": "https://bot.example/"}).public_url == "https://bot.example"
    load(SOUND | {"PUBLIC_URL": "http://127.0.0.1:7071", "ENTRA_AUTHORITY": "http://localhost:1"})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ENTRA_TENANT_ID": ""}, "needs ENTRA_TENANT_ID"),
        ({"ENTRA_TENANT_ID": "common"}, "needs ENTRA_TENANT_ID"),
        ({"ENTRA_TENANT_ID": "organizations"}, "needs ENTRA_TENANT_ID"),
        ({"ENTRA_TENANT_ID": f"{TENANT}/../x"}, "needs ENTRA_TENANT_ID"),
        ({"ENTRA_CLIENT_ID": ""}, "needs ENTRA_CLIENT_ID"),
        ({"PUBLIC_URL": ""}, "needs PUBLIC_URL"),
        ({"PUBLIC_URL": "http://bot.example"}, "needs PUBLIC_URL"),
        ({"PUBLIC_URL": "https://bot.example/api"}, "needs PUBLIC_URL"),
        ({"PUBLIC_URL": "https://bot.example?x=1"}, "needs PUBLIC_URL"),
        ({"PUBLIC_URL": "https://user@bot.example"}, "needs PUBLIC_URL"),
        ({"PUBLIC_URL": "https://bot.example:port"}, "needs PUBLIC_URL"),
        ({"PUBLIC_URL": "https://"}, "needs PUBLIC_URL"),
        ({"ENTRA_AUTHORITY": "http://login.example"}, "needs ENTRA_AUTHORITY"),
        ({"SESSION_HOURS": "1", "SESSION_IDLE_MINUTES": "61"}, "longer than SESSION_HOURS"),
        ({"SESSION_HOURS": "25"}, "SESSION_HOURS is '25'"),
        ({"SESSION_IDLE_MINUTES": "4"}, "SESSION_IDLE_MINUTES is '4'"),
        ({"ACCESS": "open"}, "ACCESS is 'open'"),
    ],
)
def test_what_is_missing_is_said(changed: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(SOUND | changed)
    (problem,) = caught.value.problems
    assert says in problem


def test_everything_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet", "ACCESS": "entra"})
    assert len(caught.value.problems) == 3
    assert all(p.startswith("ACCESS is entra") for p in caught.value.problems)


def test_by_default_nobody_can_sign_in() -> None:
    settings = load({"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet"})
    assert settings.access == "keys"


def test_exits_go_on_with_keys_while_the_sign_in_is_configured_wrongly() -> None:
    clock = VirtualClock(1_746_352_881_000)
    store = SqliteStore(":memory:", clock=clock)
    services = Services(
        app_settings("http://exchange.invalid", ACCESS="entra"), clock=clock, store=store
    )
    with pytest.raises(ConfigurationError, match="ENTRA_TENANT_ID"):
        _ = services.settings
    sound = services.for_exits()
    assert sound.settings.access == "keys"
    assert len(sound.wrong_settings) == 3
    with pytest.raises(NotFound, match="ACCESS is keys"):
        _ = sound.door
    store.close()


def test_with_keys_alone_there_is_nothing_below_me(tmp_path: Path) -> None:
    app = Serving(tmp_path, speed=0.01)
    try:
        names = set(app.platform.host.functions)
        assert not {n for n in names if n.startswith("me_")}
        answer = app.request("GET", "/api/session", key=None)
        assert answer.json() == {"access": "keys", "signedIn": False}
        for path in ("session/begin", "session/complete", "session/end"):
            body: Any = {"code": "c", "state": "s"}
            assert app.request("POST", f"/api/{path}", json=body, key=None).status_code == 404
        assert app.request("GET", "/api/sessions").status_code == 404
        assert app.request("GET", "/api/sessions", key=None).status_code == 401
        # Not described, so not by what compares answers with the description.
        for path in ("me/status", "me/emergency-stop"):
            assert app._session.get(f"{app.url}/api/{path}", timeout=60).status_code == 404
    finally:
        app.close()


@pytest.mark.parametrize("access", ["keys", "entra"])
def test_a_cold_start_loads_nothing_that_checks_tokens(access: str) -> None:
    program = (
        "import sys, function_app; function_app.app.get_functions(); "
        "print(sorted({'jwt', 'cryptography', 'requests', 'azure.identity'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ACCESS": access},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr
