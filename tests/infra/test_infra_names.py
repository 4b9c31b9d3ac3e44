"""Names in code, host.json and Bicep are the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from bicep_project import ROOT, Prediction, settings, strings

from shared.market.timeframe import duration_ms
from shared.settings import SETTINGS, load
from shared.storage.containers import CONTAINERS

pytestmark = pytest.mark.bicep

#: Read by the application, meaningless on Azure, and why.
LOCAL_ONLY = {"SQLITE_PATH": "state is in Cosmos DB"}

#: Read by the host, its extensions, the worker or the SDKs, not by our own code.
PLATFORM = {
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "EventHubConnection__fullyQualifiedNamespace",
    "EventHubConnection__credential",
    "EventHubConnection__clientId",
    "CosmosDbConnection__credential",
    "CosmosDbConnection__clientId",
    "AzureSignalRConnectionString__serviceUri",
    "AzureSignalRConnectionString__credential",
    "AzureSignalRConnectionString__clientId",
    "TASKHUB_NAME",
    "DURABLE_TASK_SCHEDULER_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "PYTHON_THREADPOOL_THREAD_COUNT",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
}

#: What Flex Consumption refuses or ignores.
NOT_ON_FLEX = re.compile(
    r"FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|FUNCTIONS_WORKER_PROCESS_COUNT"
    r"|WEBSITE_(RUN_FROM_PACKAGE|CONTENT\w*|VNET_ROUTE_ALL)|ENABLE_ORYX_BUILD|SCM_DO_BUILD\w*"
)

_INDEX = """
import json, function_app
print(json.dumps([
    {"name": f.get_function_name(), "bindings": [b.get_dict_repr() for b in f.get_bindings()]}
    for f in function_app.app.get_functions()
], default=str))
"""


@pytest.fixture(scope="session")
def functions() -> dict[str, list[dict[str, Any]]]:
    """Bindings by function name, as the worker indexes them: in a process without settings."""
    done = subprocess.run(
        [sys.executable, "-c", _INDEX],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {f["name"]: f["bindings"] for f in json.loads(done.stdout)}


def _hubs(prediction: Prediction) -> dict[str, str]:
    found = {}
    for group in prediction.of("Microsoft.EventHub/namespaces/eventhubs/consumergroups"):
        _, hub, name = group["name"].split("/")
        found[hub] = name
    return found


def _of(functions: dict[str, list[dict[str, Any]]], kind: str) -> list[dict[str, Any]]:
    return [b for bindings in functions.values() for b in bindings if b["type"] == kind]


def _get(binding: dict[str, Any], name: str) -> Any:
    return {k.replace("_", "").lower(): v for k, v in binding.items()}[name.lower()]


def test_settings_read_are_set_and_settings_set_are_read(minimal: Prediction) -> None:
    read = {s.name for s in SETTINGS}
    given = set(settings(minimal))
    assert read - given == set(LOCAL_ONLY)
    assert given - read == PLATFORM


def test_an_exit_finds_a_thread_however_many_activities_wait(minimal: Prediction) -> None:
    """All activities that the host admits may be asleep: most threads are left."""
    from functions.research import WAVE

    host = json.loads((ROOT / "host.json").read_text())
    admitted = host["extensions"]["durableTask"]["maxConcurrentActivityFunctions"]
    threads = int(settings(minimal)["PYTHON_THREADPOOL_THREAD_COUNT"])
    assert 3 * admitted <= threads <= 32  # the worker takes no more
    # A sweep of research leaves room among the activities as well.
    assert admitted > WAVE
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert sample["PYTHON_THREADPOOL_THREAD_COUNT"] == str(threads)


def test_the_host_reads_no_body_that_no_endpoint_would_take(minimal: Prediction) -> None:
    """Its own limit is 100 MiB, which it and the worker would each hold in memory."""
    from functions.http import MAX_BODY_BYTES
    from shared.intelligence.document import MOST_BYTES

    limit = int(settings(minimal)["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"])
    # What is a little too large is refused by the application, which says what it takes.
    assert max(MOST_BYTES, MAX_BODY_BYTES) < limit <= 2 * MOST_BYTES
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert sample["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"] == str(limit)


def test_no_setting_that_flex_consumption_refuses(minimal: Prediction) -> None:
    assert [s for s in settings(minimal) if NOT_ON_FLEX.fullmatch(s)] == []


def test_defaults_are_those_of_the_code(minimal: Prediction) -> None:
    given = settings(minimal)
    # Deployed, the bot meets the exchange's own test venue; the code's default is the simulator.
    on_purpose = {"BINANCE_ENVIRONMENT": "demo"}
    expected = {s.name: s.default for s in SETTINGS if given.get(s.name, "[")[:1] != "["}
    assert {name: given[name] for name in expected} == {**expected, **on_purpose}


def test_the_application_accepts_what_is_set_by_default(minimal: Prediction) -> None:
    # Values known only at deployment are addresses.
    environment = {
        name: "https://known.at.deployment" if value.startswith("[") else value
        for name, value in settings(minimal).items()
    }
    loaded = load(environment)
    assert (loaded.binance_environment, loaded.trading_stage) == ("demo", "paper")


def test_sample_settings_are_complete_and_accepted() -> None:
    from shared.security.secrets import SECRETS, environment_name

    sample = json.loads((ROOT / "local.settings.sample.json").read_text())
    assert sample["IsEncrypted"] is False
    values: dict[str, str] = sample["Values"]
    secrets = {environment_name(s) for s in SECRETS}
    assert {s.name for s in SETTINGS} | secrets <= set(values)
    assert {s: values[s] for s in secrets} == dict.fromkeys(secrets, "")
    load(values)


def test_containers_are_those_of_the_code(minimal: Prediction) -> None:
    day = 86_400
    found = {}
    for c in minimal.of("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"):
        resource = c["properties"]["resource"]
        (partition,) = resource["partitionKey"]["paths"]
        found[resource["id"]] = {
            "name": c["name"].rsplit("/", 1)[1],
            "partition": partition.removeprefix("/"),
            "unique": [
                path.removeprefix("/")
                for key in resource["uniqueKeyPolicy"]["uniqueKeys"]
                for path in key["paths"]
            ],
            "ttl": resource["defaultTtl"],
        }
    assert found == {
        c.name: {**msgspec.to_builtins(c), "unique": list(c.unique)} for c in CONTAINERS.values()
    }
    assert found["signals"]["ttl"] == 90 * day


def test_database_is_the_one_the_app_opens(minimal: Prediction) -> None:
    database = minimal.one("Microsoft.DocumentDB/databaseAccounts/sqlDatabases")["name"]
    # The setting comes from the module's output, so only the code's default is comparable here.
    assert database.endswith("/borsa")
    assert next(s.default for s in SETTINGS if s.name == "COSMOS_DATABASE") == "borsa"


def test_hubs_and_consumer_groups_are_those_the_triggers_read(
    minimal: Prediction, functions: dict[str, list[dict[str, Any]]]
) -> None:
    triggers = _of(functions, "eventHubTrigger")
    assert {_get(t, "eventHubName"): _get(t, "consumerGroup") for t in triggers} == _hubs(minimal)
    assert len(triggers) == len(_hubs(minimal))  # one reader to each group
    hubs = {h["name"].split("/")[1] for h in minimal.of("Microsoft.EventHub/namespaces/eventhubs")}
    assert hubs == set(_hubs(minimal))


def test_outputs_write_to_hubs_that_exist(
    minimal: Prediction, functions: dict[str, list[dict[str, Any]]]
) -> None:
    written = {_get(b, "eventHubName") for b in _of(functions, "eventHub")}
    assert written == set(_hubs(minimal))


def test_connections_of_bindings_are_configured(
    minimal: Prediction, functions: dict[str, list[dict[str, Any]]]
) -> None:
    given = settings(minimal)
    wanted = set()
    for bindings in functions.values():
        for binding in bindings:
            name = binding.get("connection") or binding.get("connectionStringSetting")
            if name:
                wanted.add(name)
    assert wanted
    assert [c for c in wanted if not any(s.startswith(f"{c}__") for s in given)] == []


def test_warm_instances_are_for_functions_that_exist(
    minimal: Prediction, full: Prediction, functions: dict[str, list[dict[str, Any]]]
) -> None:
    def warm(prediction: Prediction) -> list[str]:
        app = prediction.one("Microsoft.Web/sites")["properties"]["functionAppConfig"]
        return [w["name"] for w in app["scaleAndConcurrency"]["alwaysReady"]]

    assert warm(full) == []  # alwaysReadyInstances = 0
    groups = [w for w in warm(minimal) if not w.startswith("function:")]
    assert groups == ["http", "durable"]
    single = [w.removeprefix("function:") for w in warm(minimal) if w.startswith("function:")]
    market = [
        name
        for name, bindings in functions.items()
        if any(
            b["type"] == "eventHubTrigger" and _get(b, "eventHubName") == "market" for b in bindings
        )
    ]
    assert single == market


def test_metrics_in_rules_and_workbook_are_recorded(minimal: Prediction) -> None:
    from shared.telemetry import INSTRUMENTS

    rules = minimal.of("Microsoft.Insights/scheduledQueryRules")
    workbook = minimal.one("Microsoft.Insights/workbooks")
    named = {
        metric
        for resource in [*rules, workbook]
        for text in strings(resource["properties"])
        for metric in re.findall(r"'(borsa\.[a-z_.]+)'", text)
    }
    assert named == set(INSTRUMENTS)


def test_host_names_the_settings_that_exist(minimal: Prediction) -> None:
    host = json.loads((ROOT / "host.json").read_text())
    given = settings(minimal)
    durable = host["extensions"]["durableTask"]
    assert durable["hubName"] == "%TASKHUB_NAME%"
    assert durable["storageProvider"]["connectionStringName"] in given
    assert set(re.findall(r"%(\w+)%", json.dumps(host))) <= set(given)
    hub = minimal.one("Microsoft.DurableTask/schedulers/taskHubs")["name"].split("/")[1]
    local = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert local["TASKHUB_NAME"] == hub


def test_partitions_allow_what_the_host_would_scale_to(minimal: Prediction) -> None:
    partitions = {
        h["name"].split("/")[1]: h["properties"]["partitionCount"]
        for h in minimal.of("Microsoft.EventHub/namespaces/eventhubs")
    }
    assert partitions == {"market": 4, "executions": 2, "risk": 2, "compliance": 2}


def test_every_failure_that_matters_reaches_a_person(minimal: Prediction) -> None:
    (group,) = minimal.of("Microsoft.Insights/actionGroups")
    assert [r["emailAddress"] for r in group["properties"]["emailReceivers"]] == [
        "operator@example.com"
    ]
    rules: dict[str, list[str]] = {}
    for rule in minimal.of("Microsoft.Insights/scheduledQueryRules"):
        rules[rule["name"].split("-", 3)[3]] = rule["properties"]["actions"]["actionGroups"]
    for rule in minimal.of("Microsoft.Insights/metricAlerts"):
        actions = rule["properties"]["actions"]
        rules[rule["name"].split("-", 3)[3]] = [a["actionGroupId"] for a in actions]
    assert set(rules) == {
        "heartbeat-missing",
        "position-unprotected",
        "kill-switch-latched",
        "data-stale",
        "order-outcome-unknown",
        "function-failures",
        "exceptions",
        "cosmos-throttled",
        "market-not-consumed",
        "event-hubs-throttled",
        "key-vault-denied",
        "notifier-failed",
    }
    assert {tuple(a) for a in rules.values()} == {(group["id"],)}


def test_a_missing_heartbeat_is_what_fires(minimal: Prediction) -> None:
    (rule,) = [
        r
        for r in minimal.of("Microsoft.Insights/scheduledQueryRules")
        if r["name"].endswith("heartbeat-missing")
    ]
    (condition,) = rule["properties"]["criteria"]["allOf"]
    assert (condition["operator"], condition["threshold"], condition["timeAggregation"]) == (
        "LessThan",
        1,
        "Count",
    )
    # Counting rows yields a zero when there are none; a summarize in the query would yield nothing.
    assert "summarize" not in condition["query"]


def test_a_candle_that_a_start_finds_is_not_called_stale(minimal: Prediction) -> None:
    """Just before the next one closes it is as old as the longest time frame."""
    (rule,) = [
        r
        for r in minimal.of("Microsoft.Insights/scheduledQueryRules")
        if r["name"].endswith("data-stale")
    ]
    (condition,) = rule["properties"]["criteria"]["allOf"]
    frames = settings(minimal)["TIMEFRAMES"].split(",")
    assert condition["operator"] == "GreaterThan"
    assert condition["threshold"] >= max(duration_ms(t) for t in frames) / 1000
