"""The host on real sockets, with the real task hub and the SDK's real durable client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.clock import ScaledClock, VirtualClock, loop_for
from local.contracts import Request
from local.durable import SqliteTaskHub
from local.eventlog import EventLog
from local.host import FunctionHost
from local.host.server import HostServer
from tests.host.harness import START_MS, Rig, drive, write_app

APP = """
import asyncio, json, threading
@app.route(route="echo")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    thread = threading.current_thread().name
    body = {"body": req.get_body().decode(), "url": req.url, "thread": thread}
    return func.HttpResponse(json.dumps(body), mimetype="application/json")

@app.route(route="run/{n:int}")
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client) -> func.HttpResponse:
    instance = await client.start_new("twice", None, int(req.route_params["n"]))
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance, 20000, 100)

@app.route(route="slow")
@app.durable_client_input(client_name="client")
async def slow(req: func.HttpRequest, client) -> func.HttpResponse:
    instance = await client.start_new("sleepy", None, None)
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance, 5000, 500)

@app.activity_trigger(input_name="n")
def double(n: int) -> int:
    return 2 * n

@app.orchestration_trigger(context_name="context")
def twice(context: df.DurableOrchestrationContext):
    once = yield context.call_activity("double", context.get_input())
    return (yield context.call_activity("Double", once))

@app.orchestration_trigger(context_name="context")
def sleepy(context: df.DurableOrchestrationContext):
    import datetime
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(hours=1))
"""


def serve(
    folder: Path, scenario: Callable[[HostServer, aiohttp.ClientSession], Awaitable[Any]]
) -> Any:
    """The scenario against a served host in real time."""
    clock = ScaledClock(START_MS)
    loop = loop_for(clock)
    log = EventLog(":memory:", clock=clock)
    hub = SqliteTaskHub(":memory:", clock=clock)
    host = FunctionHost(
        folder, clock=clock, settings={}, state_path=":memory:", hub=hub, event_log=log
    )
    server = HostServer(host, port=0, rpc=hub.rpc, rpc_port=0)

    async def main() -> Any:
        await server.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{server.http.port}") as session:
                return await scenario(server, session)
        finally:
            await server.stop()

    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
        log.close()


def test_requests_and_framing_over_a_socket(tmp_path: Path) -> None:
    async def scenario(server: HostServer, session: aiohttp.ClientSession) -> None:
        async with session.post("/api/echo?a=%20b", data=b"hi") as answer:
            body = await answer.json()
            assert answer.headers["Transfer-Encoding"] == "chunked"
            assert "Content-Length" not in answer.headers
        assert body["body"] == "hi"
        assert body["url"] == f"http://127.0.0.1:{server.http.port}/api/echo?a=%20b"
        assert body["thread"].startswith("function")
        async with session.get("/nope") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (404, "0")
            assert "Content-Type" not in answer.headers
        async with session.head("/api/echo") as answer:
            assert (answer.status, await answer.read()) == (200, b"")

    serve(write_app(tmp_path, APP), scenario)


def test_an_orchestration_through_the_rpc_port_and_the_webhooks(tmp_path: Path) -> None:
    async def scenario(server: HostServer, session: aiohttp.ClientSession) -> None:
        async with session.get("/api/run/21") as answer:
            assert (answer.status, await answer.json()) == (200, 84)
        code = server.host.keys.master
        hook = f"/runtime/webhooks/durabletask/instances?code={code}"
        async with session.get(hook) as answer:
            instances = await answer.json()
        assert [(i["name"], i["runtimeStatus"]) for i in instances] == [("twice", "Completed")]

    serve(write_app(tmp_path, APP), scenario)


@pytest.fixture
def virtual(tmp_path: Path) -> Rig:
    clock = VirtualClock(START_MS)
    hub = SqliteTaskHub(":memory:", clock=clock)
    return Rig(write_app(tmp_path, APP), clock=clock, hub=hub)


def test_the_durable_client_works_in_process_in_virtual_time(virtual: Rig) -> None:
    async def scenario(rig: Rig) -> Any:
        return await rig.get("/api/run/21")

    answer = drive(virtual, scenario)
    assert (answer.status, answer.body) == (200, b"84")
    assert [i.function for i in virtual.invocations] == ["double", "double", "run"]


def test_waiting_for_completion_ends_by_the_virtual_clock(virtual: Rig) -> None:
    async def scenario(rig: Rig) -> Any:
        before = rig.clock.now_ms()
        answer = await rig.get("/api/slow")
        return answer, rig.clock.now_ms() - before

    answer, took_ms = drive(virtual, scenario)
    assert answer.status == 202
    assert 5000 <= took_ms < 6000


def test_management_links_open_with_the_key_they_carry(virtual: Rig) -> None:
    async def scenario(rig: Rig) -> Any:
        answer = await rig.get("/api/slow")
        link = json.loads(answer.body)["statusQueryGetUri"].removeprefix("http://127.0.0.1:7099")
        opened = await rig.host.handle(Request("GET", link, [("Host", "127.0.0.1:7099")]))
        bare = link.partition("?")[0]
        closed = await rig.host.handle(Request("GET", bare, [("Host", "127.0.0.1:7099")]))
        return opened, closed

    opened, closed = drive(virtual, scenario)
    assert opened.status == 202
    assert json.loads(opened.body)["runtimeStatus"] == "Running"
    assert closed.status == 401
