"""Alerts over real HTTP to a local stand-in for the Logic App's trigger."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.clock import VirtualClock
from local.platform import app_settings
from shared.alerts import alert as alerts
from shared.alerts.delivery import deliver
from shared.alerts.resend import AFTER_MS, resend
from shared.bootstrap import Services
from shared.errors import InvalidInput, StoreUnavailable
from shared.storage.sqlite import SqliteStore

SCHEMA = Path(__file__).parents[2] / "infra" / "bicep" / "alert-schema.json"
NOW = 1_767_571_200_000


class LogicApp:
    """Keeps what is posted; answers with ``status``."""

    def __init__(self) -> None:
        self.status = 202
        self.posted: list[dict[str, Any]] = []
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if app.status < 300:
                    app.posted.append(json.loads(body))
                self.send_response(app.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/workflow"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def logic_app() -> Iterator[LogicApp]:
    running = LogicApp()
    yield running
    running.close()


@pytest.fixture
def services(logic_app: LogicApp) -> Iterator[Services]:
    clock = VirtualClock(NOW)
    store = SqliteStore(":memory:", clock=clock)
    settings = app_settings("http://exchange.invalid", ALERT_LOGIC_APP_URL=logic_app.url)
    yield Services(settings, clock=clock, store=store)
    store.close()


def raised(services: Services) -> dict[str, Any]:
    alert = alerts.make(
        "main",
        severity="critical",
        kind="kill-switch",
        title="Kill switch latched: manual",
        text="Positions are being closed.",
        now_ms=NOW,
        correlation="emergency-1",
    )
    assert alerts.save(services.store, alert)
    event: dict[str, Any] = msgspec.to_builtins(alert)
    return event


def state_of(services: Services, event: dict[str, Any]) -> str:
    document = services.store.get("alerts", "main", event["id"])
    assert document is not None
    return str(document.body["state"])


def test_an_alert_is_posted_once(services: Services, logic_app: LogicApp) -> None:
    event = raised(services)
    assert deliver(services, event) == event
    assert deliver(services, event) is None
    assert logic_app.posted == [event]
    assert state_of(services, event) == "delivered"


def test_what_is_posted_has_the_fields_of_the_schema(
    services: Services, logic_app: LogicApp
) -> None:
    deliver(services, raised(services))
    schema = json.loads(SCHEMA.read_text())
    assert set(logic_app.posted[0]) >= set(schema["required"])
    assert set(logic_app.posted[0]) <= set(schema["properties"])


def test_a_refused_alert_stays_raised_and_is_sent_again(
    services: Services, logic_app: LogicApp
) -> None:
    event = raised(services)
    logic_app.status = 500
    with pytest.raises(StoreUnavailable, match="HTTP 500"):
        deliver(services, event)
    assert state_of(services, event) == "raised"
    logic_app.status = 202
    desk = services.desk()
    assert resend(desk) == 0, "too young to be given up"
    services.clock.sleep(AFTER_MS / 1000 + 1)
    assert resend(desk) == 1
    assert deliver(services, desk.outbox.risk[0]) is not None
    assert resend(services.desk()) == 0


def test_a_logic_app_that_is_away_is_said_without_its_address(services: Services) -> None:
    event = raised(services)
    away = app_settings(
        "http://exchange.invalid", ALERT_LOGIC_APP_URL="http://127.0.0.1:9/secret-path"
    )
    silent = Services(away, clock=services.clock, store=services.store)
    with pytest.raises(StoreUnavailable) as caught:
        deliver(silent, event)
    assert "secret-path" not in str(caught.value)


def test_what_is_not_an_alert_is_refused(services: Services, logic_app: LogicApp) -> None:
    with pytest.raises(InvalidInput, match="not an alert"):
        deliver(services, {"id": "x", "account": "main"})
    assert logic_app.posted == []


def test_the_same_event_makes_the_same_alert() -> None:
    def make(text: str, once: str = "") -> alerts.Alert:
        return alerts.make(
            "main",
            severity="info",
            kind="k",
            title="t",
            text=text,
            now_ms=NOW,
            correlation="c",
            once=once,
        )

    assert make("a").id == make("b").id != make("a", once="2").id
