"""Microsoft's worker library and this host agree about an app: metadata and results."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from local.contracts import Request
from local.eventlog import StoredEvent
from local.host.eventhubs import system_properties
from tests.host.harness import START_MS, Rig, drive, write_app

pytestmark = [
    pytest.mark.worker,
    pytest.mark.skipif(
        sys.version_info < (3, 13) or importlib.util.find_spec("azure_functions_runtime") is None,
        reason="azure-functions-runtime needs Python 3.13",
    ),
]

APP = """
import json
from typing import List

@app.route(route="greet/{name}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
def greet(req: func.HttpRequest) -> func.HttpResponse:
    body = {"hello": req.route_params["name"], "q": dict(req.params)}
    return func.HttpResponse(json.dumps(body), mimetype="application/json", status_code=203)

@app.route(route="broken")
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise KeyError("no")

@app.timer_trigger(schedule="0 */5 * * * *", arg_name="timer", use_monitor=True)
@app.event_hub_output(arg_name="out", event_hub_name="ticks", connection="EventHubConnection")
def tick(timer: func.TimerRequest, out: func.Out[str]) -> None:
    out.set(json.dumps({"past_due": timer.past_due, "schedule": timer.schedule}))

@app.event_hub_message_trigger(arg_name="events", event_hub_name="market",
    connection="EventHubConnection", cardinality=func.Cardinality.MANY, consumer_group="bot")
@app.generic_output_binding(arg_name="live", type="signalR", hub_name="dashboard",
    connection="AzureSignalRConnectionString")
def on_market(events: List[func.EventHubEvent], live: func.Out[str]) -> None:
    rows = [[e.get_body().decode(), e.sequence_number, e.offset, e.partition_key,
             e.enqueued_time.isoformat()] for e in events]
    live.set(json.dumps({"target": "events", "arguments": rows}))

@app.activity_trigger(input_name="order")
def place(order: dict):
    return {"placed": order["symbol"], "quantity": order["quantity"] * 2}

@app.activity_trigger(input_name="x")
async def fails(x):
    raise ValueError("refused")

@app.orchestration_trigger(context_name="context")
def trade(context: df.DurableOrchestrationContext):
    result = yield context.call_activity("place", {"symbol": "BTCUSDT", "quantity": 1})
    return result

@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext):
    context.set_state((context.get_state(lambda: 0)) + context.get_input())
    context.set_result("added")
"""

CONTEXT = json.dumps(
    {
        "history": [
            {
                "EventType": 12,
                "EventId": -1,
                "IsPlayed": False,
                "Timestamp": "2026-11-23T09:58:46Z",
            },
            {
                "EventType": 0,
                "EventId": -1,
                "IsPlayed": False,
                "Timestamp": "2026-11-23T09:58:46Z",
                "Name": "trade",
                "Version": "",
                "Input": None,
                "OrchestrationInstance": {"InstanceId": "i1", "ExecutionId": "e1"},
                "ParentInstance": None,
                "Tags": None,
            },
        ],
        "input": None,
        "instanceId": "i1",
        "isReplaying": False,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
    }
)
BATCH = json.dumps(
    {
        "self": {"name": "counter", "key": "k"},
        "exists": True,
        "state": "1",
        "batch": [{"name": "add", "input": "2", "isSignal": False, "id": "x"}],
    }
)
EVENTS = [
    StoredEvent(0, 7, 448, START_MS + 123, "BTCUSDT", b'{"c": 1}'),
    StoredEvent(0, 8, 520, START_MS + 456, None, b'{"c": 2}'),
]


def worker_calls() -> dict[str, Any]:
    timer = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {"Last": "", "Next": "", "LastUpdated": ""},
        "IsPastDue": False,
    }
    http = {
        "method": "GET",
        "url": "http://localhost/api/greet/eva?x=1",
        "params": {"name": "eva"},
        "query": {"x": "1"},
    }
    properties = json.dumps([system_properties(event) for event in EVENTS])
    return {
        "greet": ({"req": {"http": http}}, {}),
        "broken": ({"req": {"http": {"method": "GET", "url": "http://localhost/api/broken"}}}, {}),
        "tick": ({"timer": {"json": json.dumps(timer)}}, {}),
        "on_market": (
            {"events": {"collection_bytes": [event.body for event in EVENTS]}},
            {"SystemPropertiesArray": {"json": properties}},
        ),
        "place": ({"order": {"string": '{"symbol": "BTCUSDT", "quantity": 3}'}}, {}),
        "fails": ({"x": {"string": "null"}}, {}),
        "trade": ({"context": {"string": CONTEXT}}, {}),
        "counter": ({"context": {"string": BATCH}}, {}),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_app(tmp_path / "app", APP)


def test_the_worker_library_and_this_host_announce_the_same_functions(folder: Path) -> None:
    from tests.host.worker_library import index_and_invoke

    announced = index_and_invoke(folder, {}).metadata
    rig = Rig(folder)

    async def scenario(rig: Rig) -> list[dict[str, Any]]:
        return rig.host.metadata()

    ours = drive(rig, scenario)
    by_name = {item["name"]: item for item in announced}
    assert by_name == {item["name"]: item for item in ours}
    assert len(ours) == 8


def test_functions_give_the_same_results_in_the_worker_library_and_here(folder: Path) -> None:
    from tests.host.test_host import durable_rig
    from tests.host.worker_library import index_and_invoke

    theirs = index_and_invoke(folder, worker_calls())
    assert set(theirs.results) | set(theirs.errors) == set(worker_calls())
    rig = durable_rig(folder)

    async def scenario(rig: Rig) -> dict[str, Any]:
        host = rig.host
        calls = worker_calls()
        request = Request("GET", "/api/greet/eva?x=1", [("Host", "localhost")])
        assert host._pipeline is not None
        greet = await host._pipeline.invoke(host.functions["greet"], request, {"name": "eva"})
        broken = await host.invoke("broken", Request("GET", "/api/broken"))
        results = {
            "greet": greet,
            "broken": broken,
            "tick": await host.invoke("tick"),
            "on_market": (await host._event_hubs["on_market"].invoke(EVENTS))[0],
            "place": await host.invoke("place", calls["place"][0]["order"]["string"]),
            "fails": await host.invoke("fails", "null"),
        }
        trade, counter = host.orchestrator("TRADE"), host.entity("Counter")
        assert trade is not None
        assert counter is not None
        return {"invocations": results, "trade": trade(CONTEXT), "counter": counter(BATCH)}

    ours = drive(rig, scenario)
    for name, invocation in ours["invocations"].items():
        if name in theirs.errors:
            assert invocation.error_message == theirs.errors[name]
            continue
        assert invocation.error is None, name
        expected = theirs.results[name]
        assert _returned(invocation.return_value) == expected["return"], name
        outputs = {binding.name: (d.type, d.value) for binding, d in invocation.outputs}
        assert outputs == expected["outputs"], name
    assert ("json", ours["trade"]) == theirs.results["trade"]["return"]
    assert _timeless(ours["counter"]) == _timeless(theirs.results["counter"]["return"][1])


def _returned(datum: Any) -> Any:
    if datum is None or datum.type is None:
        return None
    if datum.type != "http":
        return datum.type, datum.value
    return "http", {
        "status_code": datum.value["status_code"].value,
        "headers": {name: header.value for name, header in datum.value["headers"].items()},
        "body": datum.value["body"].value,
    }


def _timeless(text: str) -> Any:
    value = json.loads(text)
    for result in value["results"]:
        result.pop("duration", None)
        result.pop("startTime", None)
    return value
