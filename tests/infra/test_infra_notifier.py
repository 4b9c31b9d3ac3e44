"""The Logic App turns the app's own alert into the right e-mail and Telegram message."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
import wdl
from bicep_project import BICEP, Prediction, strings

from shared.alerts.alert import Alert, make

WORKFLOW = json.loads((BICEP / "alert-workflow.json").read_text())
SCHEMA = json.loads((BICEP / "alert-schema.json").read_text())

PARAMETERS = {
    "emailEndpoint": "https://acs.example",
    "emailAudience": "https://communication.azure.com",
    "sender": "DoNotReply@mail.example",
    "recipient": "operator@example.com",
    "vaultUri": "https://kv.example/",
    "vaultAudience": "https://vault.azure.net",
    "telegramChatId": "4711",
}
ALERT = make(
    "main",
    severity="critical",
    kind="kill-switch",
    title="Kill switch latched",
    text="Drawdown 10.2 % @{parameters('recipient')} \"quoted\"\nsecond line",
    now_ms=1_746_316_800_000,
    correlation="BTCUSDT-1h-1746316800000",
)


def _send(alert: Alert, **parameters: str) -> dict[str, Any]:
    answers = {"telegram_token": {"value": "123:bot"}}
    body = msgspec.to_builtins(alert)
    return wdl.run(WORKFLOW, body, {**PARAMETERS, **parameters}, answers)


def test_schema_has_the_fields_of_the_alert_and_no_others() -> None:
    # JSON Schema made by msgspec from the type is an independent statement of the same.
    (definition,) = msgspec.json.schema(Alert)["$defs"].values()
    assert set(SCHEMA["properties"]) == set(definition["properties"])
    assert set(SCHEMA["required"]) == set(definition["required"])
    assert set(SCHEMA["properties"]["severity"]["enum"]) == set(
        definition["properties"]["severity"]["enum"]
    )
    assert SCHEMA["additionalProperties"] is False


def test_the_workflow_reads_only_fields_of_the_schema() -> None:
    texts = [s for s in strings(WORKFLOW["actions"]) if "triggerBody" in s]
    read = {f for s in texts for f in re.findall(r"triggerBody\(\)\?\['(\w+)'\]", s)}
    assert read == set(SCHEMA["properties"])
    for text in texts:
        assert text.count("triggerBody()") == len(re.findall(r"triggerBody\(\)\?\['\w+'\]", text))


def test_email() -> None:
    email = _send(ALERT)["email"]
    assert (email["method"], email["uri"]) == (
        "POST",
        "https://acs.example/emails:send?api-version=2023-03-31",
    )
    assert email["authentication"] == {
        "type": "ManagedServiceIdentity",
        "audience": "https://communication.azure.com",
    }
    body = email["body"]
    assert body["senderAddress"] == "DoNotReply@mail.example"
    assert body["recipients"] == {"to": [{"address": "operator@example.com"}]}
    assert body["content"]["subject"] == "[CRITICAL] Kill switch latched"
    text = body["content"]["plainText"].splitlines()
    assert text[0] == "Kill switch latched"
    # The alert's own text is data: what looks like an expression in it stays as it is.
    assert text[2:4] == ["Drawdown 10.2 % @{parameters('recipient')} \"quoted\"", "second line"]
    assert "Time: 2025-05-04T00:00:00" in body["content"]["plainText"]
    assert f"Alert: {ALERT.id}" in text


def test_telegram() -> None:
    sent = _send(ALERT)
    token = sent["telegram_token"]
    assert token["uri"] == "https://kv.example/secrets/telegram-bot-token?api-version=7.4"
    assert token["authentication"]["type"] == "ManagedServiceIdentity"
    message = sent["telegram_message"]
    assert message["uri"] == "https://api.telegram.org/bot123:bot/sendMessage"
    assert message["body"]["chat_id"] == "4711"
    assert message["body"]["text"].startswith("[CRITICAL] Kill switch latched\n\nDrawdown 10.2 %")
    assert message["body"]["disable_notification"] is False
    assert "parse_mode" not in message["body"]  # an underscore in a text must not break it


def test_information_arrives_silently() -> None:
    quiet = msgspec.structs.replace(ALERT, severity="info")
    assert _send(quiet)["telegram_message"]["body"]["disable_notification"] is True


def test_without_a_chat_there_is_only_mail() -> None:
    assert set(_send(ALERT, telegramChatId="")) == {"email"}


def test_a_message_never_exceeds_what_telegram_takes() -> None:
    long = msgspec.structs.replace(ALERT, text="x" * 10_000, title="t" * 500)
    sent = _send(long)
    assert len(sent["telegram_message"]["body"]["text"]) <= 4096
    assert len(sent["email"]["body"]["content"]["subject"]) <= 220


def test_the_bot_token_is_hidden_in_the_run_history() -> None:
    telegram = WORKFLOW["actions"]["telegram"]["actions"]
    hidden = {
        name: set(a["runtimeConfiguration"]["secureData"]["properties"])
        for name, a in telegram.items()
    }
    assert "outputs" in hidden["telegram_token"]
    assert hidden["telegram_message"] == {"inputs", "outputs"}


def test_mail_does_not_wait_for_telegram_nor_the_reverse() -> None:
    after = {name: set(a["runAfter"]) for name, a in WORKFLOW["actions"].items()}
    assert after["email"] == after["telegram"] == {"message"}


@pytest.mark.bicep
def test_deployed_as_written_and_closed_to_others(full: Prediction) -> None:
    workflow = full.one("Microsoft.Logic/workflows")["properties"]
    definition = workflow["definition"]
    assert definition["actions"] == WORKFLOW["actions"]
    trigger = definition["triggers"]["alert"]
    assert trigger["inputs"] == {"method": "POST", "schema": SCHEMA}
    assert trigger["operationOptions"] == "EnableSchemaValidation"
    assert set(workflow["parameters"]) == set(definition["parameters"]) == set(PARAMETERS)
    access = workflow["accessControl"]["triggers"]
    assert access["sasAuthenticationPolicy"] == {"state": "Disabled"}
    for policy in access["openAuthenticationPolicies"]["policies"].values():
        claims = {c["name"]: c["value"] for c in policy["claims"]}
        # Tenant, audience and the one caller: a policy without `oid` would admit the whole tenant.
        assert set(claims) == {"iss", "aud", "oid"}
        assert "identity" in claims["oid"]
        assert "principalId" in claims["oid"]
