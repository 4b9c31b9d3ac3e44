"""The management API beyond the recordings: paging, filters, bad input, and the client's data."""

from __future__ import annotations

import asyncio
import datetime
import json
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest
from azure.durable_functions.models.DurableOrchestrationClient import DurableOrchestrationClient
from durable_support import new_app, output, run

from local.contracts import Request, Response
from local.durable import SqliteTaskHub

BASE = "/runtime/webhooks/durabletask"
RECORDED = Path(__file__).parents[2].parent / "shared" / "reference" / "host"
app = new_app()
changed = False


@app.activity_trigger(input_name="value")
def echo(value: Any) -> Any:
    return value


@app.orchestration_trigger(context_name="context")
def quick(context: df.DurableOrchestrationContext) -> Any:
    return (yield context.call_activity("echo", context.get_input()))


@app.orchestration_trigger(context_name="context")
def fragile(context: df.DurableOrchestrationContext) -> Any:
    first = "sleep" if changed else "activity"
    later = context.current_utc_datetime + datetime.timedelta(seconds=1)
    yield context.create_timer(later) if first == "sleep" else context.call_activity("echo", 1)
    yield context.wait_for_external_event("never")


async def ask(
    hub: SqliteTaskHub, method: str, path: str, body: str = "", **headers: str
) -> Response:
    return await hub.webhook(
        Request(method, BASE + path, [("Host", "h"), *headers.items()], body.encode())
    )


async def _five(hub: SqliteTaskHub) -> None:
    for n in range(5):
        await hub.start_new("quick", f"id-{n}", f'"{n}"')
        await hub.wait_idle()
        await asyncio.sleep(60)


@pytest.mark.parametrize(("top", "pages"), [(2, [2, 2, 1]), (5, [5]), (4, [4, 1])])
def test_a_list_is_read_page_by_page(top: int, pages: list[int]) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        await _five(hub)
        found: list[list[str]] = []
        token: dict[str, str] = {}
        while True:
            response = await ask(hub, "GET", f"/instances?top={top}", **token)
            found.append([item["instanceId"] for item in json.loads(response.body)])
            token = {k: v for k, v in response.headers if k == "x-ms-continuation-token"}
            if not token:
                return found

    found = run(app, scenario)
    assert [len(page) for page in found] == pages
    assert [i for page in found for i in page] == [f"id-{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("createdTimeFrom=2025-05-04T00:02:00Z", ["id-0", "id-1"]),
        ("createdTimeFrom=2025-05-04&createdTimeTo=2025-05-04T00:01:00Z", ["id-2", "id-3", "id-4"]),
        ("createdTimeFrom=2025-05-04&runtimeStatus=Failed", [f"id-{n}" for n in range(5)]),
    ],
)
def test_a_filtered_purge_removes_what_matches(query: str, left: list[str]) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        await _five(hub)
        await ask(hub, "DELETE", f"/instances?{query}")
        response = await ask(hub, "GET", "/instances")
        return [item["instanceId"] for item in json.loads(response.body)]

    assert run(app, scenario) == left


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/orchestrators/quick", "{", 400),
        ("GET", "/instances?createdTimeFrom=yesterday", "", 400),
        ("GET", "/instances?top=many", "", 400),
        ("POST", "/orchestrators/quick?timeout=x&pollingInterval=1", "", 400),
        ("POST", "/orchestrators/quick?timeout=1&pollingInterval=2", "", 400),
        ("POST", "/orchestrators", "", 404),
        ("PUT", "/instances/i", "", 404),
        ("POST", "/instances/i/explode", "", 404),
        ("DELETE", "/instances?createdTimeFrom=x", "", 400),
        ("GET", "/instances?taskHub=Other", "", 404),
    ],
)
def test_bad_requests_are_answered_and_change_nothing(
    method: str, path: str, body: str, status: int
) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        response = await ask(hub, method, path, body)
        listed = await ask(hub, "GET", "/instances")
        return response.status, json.loads(listed.body)

    assert run(app, scenario) == (status, [])


def test_changed_code_fails_a_running_instance_as_non_deterministic() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        global changed
        i = await hub.start_new("fragile")
        await hub.wait_idle()
        changed = True
        try:
            hub.operations.raise_event(i, "other", "1")
            await hub.wait_idle()
        finally:
            changed = False
        return await output(hub, i)

    status, text = run(app, scenario)
    assert status == "Failed"
    assert text.startswith(
        "Non-Deterministic workflow detected: A previous execution of this orchestration "
        "scheduled an activity task with sequence number 0 named 'echo', but the current "
        "orchestration replay instead scheduled a timer task"
    )


def test_the_real_client_builds_its_links_from_the_binding() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        client = DurableOrchestrationClient(hub.client_binding("http://host:7071"))
        return client.create_http_management_payload("order:1")

    links = run(app, scenario, name="Borsa", webhook_key="k")
    assert links["terminatePostUri"] == (
        f"http://host:7071{BASE}/instances/order:1/terminate"
        "?reason={text}&taskHub=Borsa&connection=Storage&code=k"
    )


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not beside this checkout")
def test_the_client_binding_is_the_recorded_one() -> None:
    def bindings(value: Any) -> Any:
        if isinstance(value, dict):
            text = value.get("string")
            if isinstance(text, str) and "creationUrls" in text:
                yield json.loads(text)
            for inner in value.values():
                yield from bindings(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from bindings(inner)

    theirs = next(bindings(json.loads((RECORDED / "invocations.json").read_text())))
    key = theirs["requiredQueryStringParameters"].removeprefix("code=")

    async def scenario(hub: SqliteTaskHub) -> Any:
        return json.loads(hub.client_binding("https://127.0.0.1:7099"))

    rpc = theirs["rpcBaseUrl"]
    assert run(app, scenario, name="TestHub", webhook_key=key, rpc_base_url=rpc) == theirs
