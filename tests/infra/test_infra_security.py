"""No shared key opens anything; every right is known and no wider than needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bicep_project
import pytest
from bicep_project import Prediction, settings
from infra_cases import FULL, SECRETS

from shared.storage.containers import CONTAINERS

pytestmark = pytest.mark.bicep

LOCAL_AUTHENTICATION_OFF: list[tuple[str, dict[str, Any]]] = [
    (
        "Microsoft.Storage/storageAccounts",
        {
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "isLocalUserEnabled": False,
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
        },
    ),
    ("Microsoft.EventHub/namespaces", {"disableLocalAuth": True, "minimumTlsVersion": "1.2"}),
    (
        "Microsoft.DocumentDB/databaseAccounts",
        {
            "disableLocalAuth": True,
            "disableKeyBasedMetadataWriteAccess": True,
            "minimalTlsVersion": "Tls12",
            "enableMultipleWriteLocations": False,
        },
    ),
    ("Microsoft.SignalRService/signalR", {"disableLocalAuth": True}),
    ("Microsoft.Communication/communicationServices", {"disableLocalAuth": True}),
    ("Microsoft.Insights/components", {"DisableLocalAuth": True}),
    (
        "Microsoft.KeyVault/vaults",
        {"enableRbacAuthorization": True, "enablePurgeProtection": True, "enableSoftDelete": True},
    ),
    ("Microsoft.Web/sites", {"httpsOnly": True, "clientAffinityEnabled": False}),
]


@pytest.fixture(params=["minimal", "full"])
def prediction(request: pytest.FixtureRequest) -> Prediction:
    found: Prediction = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(("kind", "expected"), LOCAL_AUTHENTICATION_OFF, ids=lambda x: str(x)[:40])
def test_keys_are_off(prediction: Prediction, kind: str, expected: dict[str, Any]) -> None:
    properties = prediction.one(kind)["properties"]
    assert {k: properties.get(k) for k in expected} == expected


def test_log_analytics_takes_tokens_only(prediction: Prediction) -> None:
    workspace = prediction.one("Microsoft.OperationalInsights/workspaces")
    assert workspace["properties"]["features"]["disableLocalAuth"] is True


def test_site_refuses_old_tls_ftp_and_publishing_passwords(prediction: Prediction) -> None:
    config = prediction.one("Microsoft.Web/sites")["properties"]["siteConfig"]
    assert (config["minTlsVersion"], config["scmMinTlsVersion"]) == ("1.2", "1.2")
    assert (config["ftpsState"], config["remoteDebuggingEnabled"]) == ("Disabled", False)
    policies = prediction.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {p["name"].split("/")[1]: p["properties"]["allow"] for p in policies} == {
        "ftp": False,
        "scm": False,
    }


def test_no_key_is_ever_read(template: dict[str, Any]) -> None:
    """No listKeys(), no listCallbackUrl(): nothing in the template can hold a key or signature."""
    reads = [s for s in bicep_project.strings(template) if re.search(r"\blist[A-Z]\w*\(", s)]
    assert reads == []


def test_secrets_go_to_the_vault_and_nowhere_else(full: Prediction) -> None:
    for resource in full.resources:
        seen = [s for s in bicep_project.strings(resource) if any(x in s for x in SECRETS.values())]
        assert seen == [], resource["type"]
        referring = {
            name
            for name in SECRETS
            for s in bicep_project.strings(resource.get("properties", {}))
            if f"parameters('{name}')" in s
        }
        assert not referring or resource["type"] == "Microsoft.KeyVault/vaults/secrets"


def test_a_secret_is_only_written_when_given(full: Prediction) -> None:
    written = {
        s["name"].split("/")[1]: (s["condition"], s["properties"]["value"])
        for s in full.of("Microsoft.KeyVault/vaults/secrets")
    }
    assert written == {
        vault_name: (f"[not(empty(parameters('{p}')))]", f"[parameters('{p}')]")
        for vault_name, p in {
            "binance-api-key": "binanceApiKey",
            "binance-api-secret": "binanceApiSecret",
            "totp-secret": "totpSecret",
            "telegram-bot-token": "telegramBotToken",
        }.items()
    }


def test_the_app_reads_exactly_the_secrets_that_are_provisioned_for_it(full: Prediction) -> None:
    from shared.security.secrets import SECRETS as READ

    written = {s["name"].split("/")[1] for s in full.of("Microsoft.KeyVault/vaults/secrets")}
    assert written - set(READ) == {"telegram-bot-token"}  # which the Logic App reads
    assert set(READ) <= written


def test_outputs_and_settings_hold_nothing_secret(prediction: Prediction) -> None:
    assert set(prediction.outputs) == {
        "AZURE_RESOURCE_GROUP",
        "FUNCTION_APP_NAME",
        "API_BASE_URL",
        "KEY_VAULT_NAME",
        "ALERT_LOGIC_APP_NAME",
        "COSMOS_ENDPOINT",
        "EVENT_HUBS_NAMESPACE",
        "EGRESS_ADDRESS",
        "DEPLOYER_CLIENT_ID",
        "IDENTITY_PRINCIPAL_ID",
        "AZURE_CONTAINER_REGISTRY_ENDPOINT",
        "STREAMER_APP_NAME",
        "TRAINING_JOB_NAME",
        "AUTOML_WORKSPACE_ID",
        "AUTOML_COMPUTE",
    }
    forbidden = re.compile(
        r"AccountKey=|SharedAccess(Key|Signature)|[?&]sig=|@Microsoft\.KeyVault|securestring", re.I
    )
    for name, value in settings(prediction).items():
        assert not forbidden.search(str(value)), name
        assert not re.search(r"(api[-_]?key|secret|password)$", name, re.I), name


def _rights(prediction: Prediction, *, of: str) -> set[tuple[str, str]]:
    """(role id, kind of the resource it is granted on) of one principal."""
    found = set()
    for assignment in prediction.of("Microsoft.Authorization/roleAssignments"):
        if of not in assignment["properties"]["principalId"]:
            continue
        scope = assignment["id"].split("/providers/Microsoft.Authorization")[0]
        parts = scope.rsplit("/providers/", 1)[-1].split("/")
        kind = "/".join([parts[0], *parts[1::2]])
        found.add((assignment["properties"]["roleDefinitionId"].rsplit("/", 1)[1], kind))
    return found


def test_rights_of_the_app(prediction: Prediction) -> None:
    # Role ids: Azure built-in roles reference.
    assert _rights(prediction, of="userAssignedIdentities/") == {
        ("b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "Microsoft.Storage/storageAccounts"),
        ("0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3", "Microsoft.Storage/storageAccounts"),
        ("a638d3c7-ab3a-418d-83e6-5f17a39d4fde", "Microsoft.EventHub/namespaces"),
        ("2b629674-e913-4c01-ae53-ef4638d8f975", "Microsoft.EventHub/namespaces"),
        ("4633458b-17de-408a-b874-0445c86b69e6", "Microsoft.KeyVault/vaults"),
        ("0ad04412-c4d5-4796-b79c-f76d14c8d402", "Microsoft.DurableTask/schedulers/taskHubs"),
        ("7e4f1700-ea5a-4f59-8f37-079cfe29dce3", "Microsoft.SignalRService/signalR"),
        ("3913510d-42f4-4e42-8a64-420c390055eb", "Microsoft.Insights/components"),
    }


def test_rights_of_the_notifier(full: Prediction) -> None:
    assert _rights(full, of="Microsoft.Logic/workflows/") == {
        (
            "09976791-48a7-449e-bb21-39d1a415f350",
            "Microsoft.Communication/communicationServices",
        ),
        ("4633458b-17de-408a-b874-0445c86b69e6", "Microsoft.KeyVault/vaults/secrets"),
    }


def test_only_a_person_may_store_secrets(
    full: Prediction, compiler: list[str], tmp_path: Path
) -> None:
    principal = str(FULL["principalId"])
    secrets_officer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
    assert _rights(full, of=principal) == {(secrets_officer, "Microsoft.KeyVault/vaults")}
    pipeline = bicep_project.predict(
        compiler, tmp_path, {**FULL, "principalType": "ServicePrincipal"}
    )
    assert _rights(pipeline, of=principal) == set()


def test_no_other_assignment_exists(full: Prediction) -> None:
    assert len(full.of("Microsoft.Authorization/roleAssignments")) == 8 + 2 + 1


def test_the_dashboard_of_the_app_may_connect_to_signalr(minimal: Prediction) -> None:
    service = minimal.one("Microsoft.SignalRService/signalR")
    site = minimal.one("Microsoft.Web/sites")
    assert service["properties"]["cors"]["allowedOrigins"] == [
        f"https://{site['name']}.azurewebsites.net"
    ]
    # The other way round nobody is let in: page and API have one origin.
    assert site["properties"]["siteConfig"]["cors"]["allowedOrigins"] == []


def test_exactly_one_user_assigned_identity(prediction: Prediction) -> None:
    identity = prediction.one("Microsoft.ManagedIdentity/userAssignedIdentities")
    site = prediction.one("Microsoft.Web/sites")
    assert site["identity"]["type"] == "UserAssigned"
    assert list(site["identity"]["userAssignedIdentities"]) == [identity["id"]]


def test_audit_records_and_versions_of_models_can_be_added_and_never_changed(
    minimal: Prediction,
) -> None:
    roles = {
        r["id"]: set(r["properties"]["permissions"][0]["dataActions"])
        for r in minimal.of("Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions")
    }
    items = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers/items/"
    granted: dict[str, set[str]] = {}
    for a in minimal.of("Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments"):
        scope = a["properties"]["scope"].partition("/colls/")[2] or "account"
        actions = roles[a["properties"]["roleDefinitionId"]]
        granted.setdefault(scope, set()).update(
            x.removeprefix(items) for x in actions if x.startswith(items)
        )
    assert granted.pop("account") == set()
    for appended in ("audit", "versions"):
        assert granted.pop(appended) == {"create", "read"}
    assert set(map(frozenset, granted.values())) == {frozenset({"*"})}
    assert len(granted) == len(CONTAINERS) - 2


def test_static_egress_gives_the_app_one_address(full: Prediction, minimal: Prediction) -> None:
    address = full.one("Microsoft.Network/publicIPAddresses")
    assert address["properties"]["publicIPAllocationMethod"] == "Static"
    gateway = full.one("Microsoft.Network/natGateways")
    assert gateway["properties"]["publicIpAddresses"] == [{"id": address["id"]}]
    (subnet,) = full.one("Microsoft.Network/virtualNetworks")["properties"]["subnets"]
    assert subnet["properties"]["natGateway"] == {"id": gateway["id"]}
    (delegation,) = subnet["properties"]["delegations"]
    assert delegation["properties"]["serviceName"] == "Microsoft.App/environments"
    assert not [r for r in minimal.resources if r["type"].startswith("Microsoft.Network/")]


def test_allowed_callers_close_the_app_to_others(full: Prediction, minimal: Prediction) -> None:
    config = full.one("Microsoft.Web/sites")["properties"]["siteConfig"]
    assert config["ipSecurityRestrictionsDefaultAction"] == "Deny"
    assert [r["ipAddress"] for r in config["ipSecurityRestrictions"]] == [
        "203.0.113.0/24",
        "198.51.100.7/32",
    ]
    config = minimal.one("Microsoft.Web/sites")["properties"]["siteConfig"]
    assert config["ipSecurityRestrictionsDefaultAction"] == "Allow"
