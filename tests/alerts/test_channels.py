"""Discord, push, text messages and escalation, over real HTTP to a local server."""

from __future__ import annotations

import ast
import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from local.clock import VirtualClock
from local.platform import app_settings
from shared.alerts import alert as alerts
from shared.alerts import channels, destinations
from shared.alerts.alert import Alert, Severity
from shared.alerts.delivery import deliver
from shared.alerts.escalation import acknowledge, escalate
from shared.alerts.resend import AFTER_MS, resend
from shared.bootstrap import Services
from shared.errors import ConfigurationError, Conflict, InvalidInput, NotFound, StoreUnavailable
from shared.storage.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
NOW = 1_767_571_200_000
MINUTE = 60.0
TWILIO = "AC00000000000000000000000000000000:twilio-token-0123456789:+15005550006:+491701234567"


class World:
    """Every service that is sent to; answers with a status of its own, 200 unless told."""

    def __init__(self) -> None:
        self.status: dict[str, int] = {}
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = next((s for p, s in world.status.items() if p in self.path), 200)
                if status < 300:
                    world.got.append((self.path, dict(self.headers.items()), body))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{world.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                world.got.append((self.path, {}, b""))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def took(self) -> list[str]:
        """Which services took something, in order."""
        names = {"/logic": "logic-app", "/api/webhooks": "discord", "/topic": "push"}
        return [
            next((name for path, name in names.items() if path in got), "sms")
            for got, _, _ in self.got
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    running = World()
    monkeypatch.setattr(channels, "TWILIO", running.url)
    yield running
    running.close()


def services(world: World, **settings: str) -> Services:
    clock = VirtualClock(NOW)
    given = app_settings(
        "http://exchange.invalid",
        **{
            "ALERT_LOGIC_APP_URL": f"{world.url}/logic",
            "DISCORD_WEBHOOK_URL": f"{world.url}/api/webhooks/1/discord-token-0123456789",
            "PUSH_URL": f"{world.url}/topic-long-and-random",
            "TWILIO_SMS": TWILIO,
            **settings,
        },
    )
    return Services(given, clock=clock, store=SqliteStore(":memory:", clock=clock))


def raised(own: Services, severity: Severity = "critical", **fields: str) -> dict[str, Any]:
    texts = {"title": "Kill switch latched: manual", "text": "Positions are being closed."}
    alert = alerts.make(
        "main",
        severity=severity,
        kind="kill-switch",
        now_ms=own.clock.now_ms(),
        correlation="emergency-1",
        **{**texts, **fields},
    )
    assert alerts.save(own.store, alert)
    return {k: getattr(alert, k) for k in Alert.__struct_fields__}


def stored(own: Services, event: dict[str, Any]) -> dict[str, Any]:
    found = own.store.get("alerts", "main", event["id"])
    assert found is not None
    return found.body


def sweep(own: Services) -> int:
    """What the guardian's sweep does, and the consumer of what it sends."""
    settings, desk = own.settings, own.desk()
    done = escalate(desk, len(settings.alert_escalation), settings.alert_escalation_minutes)
    resend(desk)
    for event in desk.outbox.risk:
        deliver(own, event)
    return done


def test_each_channel_gets_it_once_and_a_failing_one_holds_no_other_up(world: World) -> None:
    own = services(world, ALERT_CHANNELS="discord,push")
    event = raised(own)
    world.status["/api/webhooks"] = 500
    with pytest.raises(StoreUnavailable, match="discord: not delivered: HTTP 500"):
        deliver(own, event)
    assert world.took() == ["logic-app", "push"]
    assert stored(own, event)["state"] == "raised"
    # Sent again through that channel alone, by the same sweep as ever.
    world.status.clear()
    own.clock.sleep(AFTER_MS / 1000 + 1)
    sweep(own)
    assert world.took() == ["logic-app", "push", "discord"]
    assert stored(own, event)["state"] == "delivered"
    assert deliver(own, event) is None
    sweep(own)
    assert len(world.got) == 3
    own.store.close()


def test_a_logic_app_that_fails_holds_up_no_channel(world: World) -> None:
    own = services(world, ALERT_CHANNELS="push")
    event = raised(own)
    world.status["/logic"] = 503
    with pytest.raises(StoreUnavailable, match="HTTP 503"):
        deliver(own, event)
    assert world.took() == ["push"]
    world.status.clear()
    assert deliver(own, event) is not None, "shown once the first channel has it"
    assert world.took() == ["push", "logic-app"]
    own.store.close()


def test_without_channels_everything_is_as_it_was(world: World) -> None:
    own = services(world)
    event = raised(own)
    assert deliver(own, event) == event
    assert stored(own, event) == {**event, "state": "delivered"}
    own.clock.sleep(60 * MINUTE)
    assert sweep(own) == 0
    assert world.took() == ["logic-app"]
    own.store.close()


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ("info", ["logic-app"]),
        ("warning", ["logic-app", "discord"]),
        ("critical", ["logic-app", "discord"]),
    ],
)
def test_what_can_wait_is_not_sent_to_channels(
    world: World, severity: Severity, expected: list[str]
) -> None:
    own = services(world, ALERT_CHANNELS="discord", ALERT_ESCALATION="push")
    deliver(own, raised(own, severity))
    assert world.took() == expected
    own.clock.sleep(15 * MINUTE)
    sweep(own)
    assert world.took() == expected + (["push"] if severity == "critical" else [])
    own.store.close()


def test_escalation_goes_step_by_step_until_somebody_acknowledges(world: World) -> None:
    own = services(world, ALERT_ESCALATION="push,discord,sms", ALERT_ESCALATION_MINUTES="10")
    event = raised(own)
    deliver(own, event)
    seen = []
    for _ in range(5):  # every five minutes, as the guardian
        own.clock.sleep(5 * MINUTE)
        sweep(own)
        seen.append(world.took()[1:])
    assert seen == [[], ["push"], ["push"], ["push", "discord"], ["push", "discord"]]
    acknowledged = acknowledge(own.desk(), event["id"], operator=" anna ", note="looking")
    assert (acknowledged["acknowledgedBy"], acknowledged["note"]) == ("anna", "looking")
    for _ in range(6):
        own.clock.sleep(5 * MINUTE)
        assert sweep(own) == 0
    assert world.took()[1:] == ["push", "discord"]
    (record,) = own.audit.records(kind="operator")
    assert (record.body["acknowledged"], record.body["acknowledgedBy"]) == (event["id"], "anna")
    with pytest.raises(Conflict, match="acknowledged already"):
        acknowledge(own.desk(), event["id"], operator="eva")
    own.store.close()


def test_nobody_looks_and_every_channel_has_had_it_once(world: World) -> None:
    own = services(world, ALERT_ESCALATION="push,sms", ALERT_ESCALATION_MINUTES="5")
    event = raised(own)
    deliver(own, event)
    for _ in range(20):
        own.clock.sleep(5 * MINUTE)
        sweep(own)
        # Event Hubs may deliver anything again.
        deliver(own, event)
    assert world.took() == ["logic-app", "push", "sms"]
    assert stored(own, event)["sent"] == ["logic-app", "push", "sms"]
    own.store.close()


def test_acknowledged_between_the_step_and_its_sending_nothing_is_sent(world: World) -> None:
    own = services(world, ALERT_ESCALATION="push")
    event = raised(own)
    deliver(own, event)
    own.clock.sleep(11 * MINUTE)
    assert escalate(own.desk(), 1, 10) == 1
    assert stored(own, event)["state"] == "raised"
    acknowledge(own.desk(), event["id"], operator="anna")
    desk = own.desk()
    resend(desk)
    for again in desk.outbox.risk:
        deliver(own, again)
    assert world.took() == ["logic-app"]
    assert stored(own, event)["state"] == "delivered"
    own.store.close()


def test_a_step_whose_sender_died_is_sent_by_the_next_sweep(world: World) -> None:
    own = services(world, ALERT_ESCALATION="push")
    event = raised(own)
    deliver(own, event)
    own.clock.sleep(11 * MINUTE)
    escalate(own.desk(), 1, 10)  # and the process is gone, with its outbox
    own.clock.sleep(5 * MINUTE)
    sweep(own)
    assert world.took() == ["logic-app", "push"]
    own.store.close()


def test_what_is_sent_on_again_is_the_alert_and_nothing_else(world: World) -> None:
    own = services(world, ALERT_ESCALATION="push")
    event = raised(own)
    deliver(own, event)
    own.clock.sleep(11 * MINUTE)
    desk = own.desk()
    escalate(desk, 1, 10)
    resend(desk)
    assert desk.outbox.risk == [event]
    own.store.close()


def test_acknowledging_takes_a_name_and_an_alert(world: World) -> None:
    own = services(world)
    event = raised(own)
    with pytest.raises(InvalidInput, match="say who acts"):
        acknowledge(own.desk(), event["id"], operator="  ")
    with pytest.raises(NotFound):
        acknowledge(own.desk(), "none", operator="anna")
    assert "acknowledgedAt" not in stored(own, event)
    own.store.close()


# ---------------------------------------------------------------- what is sent


def test_discord_mentions_nobody(world: World) -> None:
    own = services(world, ALERT_CHANNELS="discord")
    deliver(own, raised(own, text="@everyone " + "x" * 5_000))
    path, _, body = world.got[1]
    assert path == "/api/webhooks/1/discord-token-0123456789"
    sent = json.loads(body)
    assert sent["allowed_mentions"] == {"parse": []}
    assert sent["content"].startswith("[CRITICAL] Kill switch latched: manual\n@everyone xx")
    assert len(sent["content"]) <= 2_000
    own.store.close()


def test_push_has_title_and_priority(world: World) -> None:
    own = services(world, ALERT_CHANNELS="push")
    deliver(own, raised(own, title="Größe\nX: y", text="Ω"))
    path, headers, body = world.got[1]
    assert path == "/topic-long-and-random"
    assert headers["Priority"] == "5"
    assert "\n" not in headers["Title"]
    assert headers["Title"].startswith("Gr??e")
    assert "X" not in headers, "a title cannot add a header"
    assert "Größe" in body.decode()
    assert "Ω" in body.decode()
    own.store.close()


def test_a_text_message_is_twilios(world: World) -> None:
    own = services(world, ALERT_CHANNELS="sms")
    deliver(own, raised(own, text="y" * 2_000))
    path, headers, body = world.got[1]
    account, token, sender, receiver = TWILIO.split(":")
    assert path == f"/2010-04-01/Accounts/{account}/Messages.json"
    user = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
    assert user == f"{account}:{token}"
    form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
    assert (form["From"], form["To"]) == (sender, receiver)
    assert form["Body"].startswith("[CRITICAL] Kill switch latched: manual")
    assert len(form["Body"]) <= 480
    own.store.close()


# ---------------------------------------------------------------- trouble


@pytest.mark.parametrize(
    ("secret", "value", "says"),
    [
        ("DISCORD_WEBHOOK_URL", "", "secret discord-webhook-url is missing"),
        ("DISCORD_WEBHOOK_URL", "discord-token-0123456789", "discord-webhook-url is no http"),
        ("DISCORD_WEBHOOK_URL", "http://127.0.0.1:9/discord-token-0123456789", "discord: not"),
        ("DISCORD_WEBHOOK_URL", "http://[bad/discord-token-0123456789", "discord: not delivered"),
        ("TWILIO_SMS", "AC1:twilio-token-0123456789", "ACCOUNT_SID:AUTH_TOKEN:FROM:TO"),
        ("TWILIO_SMS", "AC/../1:twilio-token-0123456789:a:b", "ACCOUNT_SID:AUTH_TOKEN:FROM:TO"),
    ],
)
def test_a_channel_that_cannot_be_used_is_said_without_its_secret(
    world: World, secret: str, value: str, says: str
) -> None:
    own = services(world, ALERT_CHANNELS="discord,push,sms", **{secret: value})
    with pytest.raises(StoreUnavailable) as caught:
        deliver(own, raised(own))
    assert says in str(caught.value)
    assert "token-0123456789" not in str(caught.value)
    # All the others have it.
    assert len(world.got) == 3
    own.store.close()


class VaultAway:
    """A vault that cannot be reached: the library's own error comes out."""

    def get(self, name: str) -> str:
        raise ConnectionError(f"cannot resolve vault-with-{name}")


def test_a_vault_that_is_away_sends_nothing_twice(world: World) -> None:
    own = services(world, ALERT_CHANNELS="discord,push")
    secrets, own._secrets = own.secrets, VaultAway()
    own.__dict__.pop("secrets")
    event = raised(own)
    with pytest.raises(StoreUnavailable) as caught:
        deliver(own, event)
    assert str(caught.value) == (
        "discord: not delivered: ConnectionError; push: not delivered: ConnectionError"
    )
    with pytest.raises(StoreUnavailable):
        deliver(own, event)
    assert world.took() == ["logic-app"]
    own.__dict__["secrets"] = secrets
    deliver(own, event)
    assert world.took() == ["logic-app", "discord", "push"]
    own.store.close()


def test_two_deliveries_at_once_forget_nothing(world: World) -> None:
    """The alert is acknowledged, and another channel noted, while one delivery is at it."""
    own = services(world, ALERT_CHANNELS="discord")
    event = raised(own)
    replace, meanwhile = own.store.replace, []

    def slow(container: str, body: dict[str, Any], **rest: Any) -> Any:
        if container == "alerts" and not meanwhile:
            meanwhile.append(True)
            acknowledge(own.desk(), event["id"], operator="anna")
        return replace(container, body, **rest)

    own.store.replace = slow  # type: ignore[method-assign]
    assert deliver(own, event) == event
    found = stored(own, event)
    assert (found["state"], found["sent"]) == ("delivered", ["logic-app", "discord"])
    assert found["acknowledgedBy"] == "anna"
    own.store.close()


def test_a_redirect_is_not_followed(world: World) -> None:
    own = services(world, ALERT_CHANNELS="push")
    world.status["/topic"] = 302
    with pytest.raises(StoreUnavailable, match="push: not delivered: HTTP 302"):
        deliver(own, raised(own))
    assert world.took() == ["logic-app"]
    own.store.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ALERT_CHANNELS": "discord,pager"}, "ALERT_CHANNELS is 'discord,pager'"),
        ({"ALERT_ESCALATION": "mail"}, "ALERT_ESCALATION is 'mail'"),
        ({"ALERT_CHANNELS": "push", "ALERT_ESCALATION": "sms,push"}, "ALERT_ESCALATION names push"),
        ({"ALERT_ESCALATION_MINUTES": "1"}, "from 5 to 120"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    world: World, settings: dict[str, str], says: str
) -> None:
    own = services(world, **settings)
    with pytest.raises(ConfigurationError, match=says):
        _ = own.settings
    own.store.close()


def test_the_channels_of_the_settings_are_those_there_are() -> None:
    from shared import settings

    assert set(settings._CHANNELS) == set(destinations.CHANNELS)


def test_nothing_on_the_way_of_an_order_sends() -> None:
    """Channels are reached through the delivery, the delivery by the consumer of the hub alone."""
    names = ("channels", "delivery", "posting")
    users: dict[str, set[str]] = {f"shared.alerts.{name}": set() for name in names}
    for folder in ("shared", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.ImportFrom):
                    continue
                named = {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
                for module in users.keys() & named:
                    users[module].add(path.relative_to(ROOT).as_posix())
    assert users == {
        "shared.alerts.channels": {"shared/alerts/delivery.py"},
        "shared.alerts.delivery": {"functions/events.py"},
        "shared.alerts.posting": {"shared/alerts/channels.py", "shared/alerts/delivery.py"},
    }


#: Settings, severity, what is left of the alert once it was dealt with.
WHO_IS_TOLD = {
    "nobody": ({"ALERT_LOGIC_APP_URL": ""}, "critical", "stored"),
    "a channel": ({"ALERT_LOGIC_APP_URL": "", "ALERT_CHANNELS": "push"}, "critical", "delivered"),
    "a channel that takes no news": (
        {"ALERT_LOGIC_APP_URL": "", "ALERT_CHANNELS": "push"},
        "info",
        "stored",
    ),
    "the logic app": ({}, "info", "delivered"),
}


@pytest.mark.parametrize("who", WHO_IS_TOLD)
def test_delivered_is_what_somebody_was_told(world: World, who: str) -> None:
    settings, severity, state = WHO_IS_TOLD[who]
    own = services(world, **settings)
    event = raised(own, severity)
    assert deliver(own, event) == event, "the dashboard shows it all the same"
    assert bool(world.got) == (state == "delivered")
    assert stored(own, event)["state"] == state
    # It is over: neither sent nor shown again.
    assert deliver(own, event) is None
    own.clock.sleep(AFTER_MS / 1000 + 1)
    assert resend(own.desk()) == 0
    own.store.close()


def test_what_was_stored_only_is_told_once_it_is_escalated(world: World) -> None:
    own = services(
        world, ALERT_LOGIC_APP_URL="", ALERT_ESCALATION="push", ALERT_ESCALATION_MINUTES="5"
    )
    event = raised(own)
    assert deliver(own, event) == event
    assert stored(own, event)["state"] == "stored"
    own.clock.sleep(6 * MINUTE)
    sweep(own)
    assert world.took() == ["push"]
    assert stored(own, event)["state"] == "delivered"
    own.store.close()
