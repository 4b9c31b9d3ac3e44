"""The recorded app, unchanged, gives the recorded answers."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from local.clock import VirtualClock
from local.contracts import Request, Response
from local.durable import SqliteTaskHub
from local.host import HostKeys
from tests.host.differences import ACCEPTED, VOLATILE_STATUS
from tests.host.harness import HEADER, RECORDINGS, START_MS, Rig, drive, recording, write_app

pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings of the real host (../shared) are not here"
)

MASTER = "ge7xpRV7mkUW3mFRe_gHIwfNDrIhm2RAhGNv1kv5ZQevzqZj0mvZFw=="
HOST_KEY = "zFkBkA9Q-HJ57w8DcQA7rCCOj5OggDtQkaaNFAe8ze7Ejnob7WfrIg=="
SYSTEM = "unB1DFYJrZeOc4OpHbYwMPKX5XhQm80THHpxCICZBaLWiFZ_eUDH2g=="
FUNCTION_KEY = "ceGF2gWV32ETKD5VPGD82u0d4dGdWO-av7sKT_spNZ9GB1JXv0Md3g=="


def recorded_keys() -> HostKeys:
    return HostKeys(
        master=MASTER,
        host={"default": HOST_KEY},
        system={"durabletask_extension": SYSTEM},
        functions={"hello": {"default": FUNCTION_KEY}},
    )


@pytest.fixture
def app_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv("RUN_DIR", str(tmp_path))
    clock = VirtualClock(START_MS)
    return Rig(
        RECORDINGS / "app",
        clock=clock,
        settings={"TIMER_SCHED": "*/10 * * * * *"},
        hub=SqliteTaskHub(":memory:", clock=clock),
        keys=recorded_keys(),
    )


def body_of(exchange: dict[str, Any]) -> bytes:
    text = exchange.get("req_body")
    if text is None:
        return b""
    if text == "(5MB of a)":
        return b"a" * 5_000_000
    return ast.literal_eval(text) if text.startswith("b'") else text.encode()


def framed(response: Response) -> set[tuple[str, str]]:
    return {(name.lower(), value) for name, value in response.headers}


def compare(exchange: dict[str, Any], response: Response, ignore_length: bool = False) -> None:
    label = f"{exchange['label']}: {exchange['method']} {exchange['path']}"
    assert response.status == exchange["status"], label
    expected = {(name.lower(), value) for name, value in exchange["headers"]}
    actual = framed(response)
    if ignore_length:
        expected = {header for header in expected if header[0] != "content-length"}
        actual = {header for header in actual if header[0] != "content-length"}
    assert actual == expected, label
    if "json" in exchange:
        assert normal(json.loads(response.body)) == normal(exchange["json"]), label
    else:
        assert response.body.decode("utf-8", "replace") == exchange["body"], label


def normal(value: Any) -> Any:
    """Without what differs from run to run: ids, paths, generated keys."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "functionAppContentEditingState" in value:
        return {k: v for k, v in value.items() if k not in VOLATILE_STATUS}
    if "inv" in value:  # the context function
        return {k: v for k, v in value.items() if k not in ("inv", "dir")}
    if value.get("name") == "mykey":
        value = {k: v for k, v in value.items() if k != "value"}
    if "functionDirectory" in value:
        value = {k: v for k, v in value.items() if k != "functionDirectory"}
    return {k: normal(v) for k, v in value.items() if k != "script_href"}


# The SDK's form parser leaves its temporary file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_http_exchanges_are_answered_as_recorded(app_rig: Rig) -> None:
    exchanges = recording("http.json")
    replayed = 0

    async def scenario(rig: Rig) -> None:
        nonlocal replayed
        for exchange in exchanges:
            label, path = exchange["label"], exchange["path"]
            differs = ("http.json", label) in ACCEPTED or ("http.json", path) in ACCEPTED
            if exchange.get("req_body") == "(110MB of a)" or label == "admin fn list":
                continue
            response = await rig.request(
                exchange["method"], path, exchange["req_headers"], body_of(exchange)
            )
            if path == "/admin/functions":
                compare_listing(exchange, response)
            elif differs and exchange["status"] == 200:
                assert response.status == exchange["status"], label
            else:
                volatile = "json" in exchange and path.lower().startswith("/admin/")
                compare(exchange, response, ignore_length=volatile)
            replayed += 1

    drive(app_rig, scenario)
    assert replayed == len(exchanges) - 2


def compare_listing(exchange: dict[str, Any], response: Response) -> None:
    assert response.status == exchange["status"]
    if exchange["status"] != 200:
        assert framed(response) == {(n.lower(), v) for n, v in exchange["headers"]}
        return
    ours = {item["name"]: normal(item) for item in json.loads(response.body)}
    assert [item["name"] for item in json.loads(response.body)] == sorted(ours, key=str.upper)
    for item in exchange["json"]:
        assert ours[item["name"]] == normal(item)


def test_the_full_function_listing_is_as_recorded(app_rig: Rig) -> None:
    exchange = next(e for e in recording("http.json") if e["label"] == "admin fn list")

    async def scenario(rig: Rig) -> Response:
        return await rig.get("/admin/functions", **{"x-functions-key": MASTER})

    response = drive(app_rig, scenario)
    ours = [normal(item) for item in json.loads(response.body)]
    assert ours == [normal(item) for item in exchange["json"]]


PRODUCTION_APP = """
import asyncio, time
@app.route(route="hello")
def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("hello")
@app.route(route="boom")
def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("boom")
@app.route(route="off")
def off(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("off")
@app.route(route="logs")
def logs(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("ok")
@app.route(route="sleepasync")
async def sleepasync(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params["s"]))
    return func.HttpResponse("slept")
CLOCK = None
@app.route(route="sleepsync")
def sleepsync(req: func.HttpRequest) -> func.HttpResponse:
    CLOCK.sleep(float(req.params["s"]))
    return func.HttpResponse("slept")
"""
PRODUCTION_HOST = {
    "version": "2.0",
    "functionTimeout": "00:00:05",
    "extensions": {
        "http": {
            "routePrefix": "",
            "maxOutstandingRequests": 4,
            "customHeaders": {"X-Content-Type-Options": "nosniff"},
        }
    },
}


def test_production_settings_behave_as_recorded(tmp_path: Path) -> None:
    exchanges = recording("production.json")
    settings = {"AzureWebJobs__off__Disabled": "true"}
    folder = write_app(tmp_path / "site3", PRODUCTION_APP, PRODUCTION_HOST)
    rig = Rig(folder, settings=settings, keys=recorded_keys())

    async def scenario(rig: Rig) -> list[tuple[dict[str, Any], Response]]:
        import function_app

        function_app.CLOCK = rig.clock
        concurrent = [e for e in exchanges if e["label"].startswith("concurrent")]
        answers = await asyncio.gather(*(rig.get(e["path"]) for e in concurrent))
        results = list(zip(concurrent, sorted(answers, key=lambda a: -a.status), strict=True))
        for exchange in exchanges:
            if exchange in concurrent or "crash" in exchange["label"] or "status" not in exchange:
                continue
            headers = exchange["req_headers"]
            results.append(
                (exchange, await rig.request(exchange["method"], exchange["path"], headers))
            )
        return results

    results = drive(rig, scenario)
    assert sorted(r.status for e, r in results if e["label"].startswith("concurrent")) == (
        [200] * 4 + [429] * 4
    )
    for exchange, response in results:
        volatile = exchange["path"].startswith("/admin/") or exchange["path"] == "/"
        compare(exchange, response, ignore_length=volatile)


HELLO = """
@app.route(route="hello")
def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("hello")
"""
TIMER = """
@app.timer_trigger(schedule="{}", arg_name="t")
def tt(t: func.TimerRequest) -> None:
    pass
"""
BROKEN: dict[str, dict[str, Any]] = {
    "importerror": {"code": "import nosuchmodule\n" + HELLO},
    "syntaxerror": {"code": "def broken(:\n" + HELLO},
    "dupname": {"code": HELLO + HELLO.replace('"hello"', '"other"', 1)},
    "duproute": {"code": HELLO + HELLO.replace("def hello", "def hello_b")},
    "badcron": {"code": HELLO + TIMER.format("nonsense")},
    "missingsetting": {"code": HELLO + TIMER.format("%NOPE%")},
    "unknownbinding": {
        "code": HELLO
        + """
@app.queue_trigger(arg_name="m", queue_name="q", connection="AzureWebJobsStorage")
def qq(m: func.QueueMessage) -> None:
    pass
"""
    },
    "badhostjson": {"code": HELLO, "host": '{"version": '},
    "nohostversion": {"code": HELLO, "host": {"logging": {}}},
    "noapp": {"code": "", "header": "x = 1\n"},
    "disabled_dot": {"code": HELLO, "settings": {"AzureWebJobs.hello.Disabled": "true"}},
    "disabled_underscore": {"code": HELLO, "settings": {"AzureWebJobs_hello_Disabled": "1"}},
    "nostorage": {"code": HELLO + TIMER.format("0 */5 * * * *")},
    "paramname": {"code": HELLO.replace("(req:", "(request:")},
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_apps_fail_as_recorded(name: str, tmp_path: Path) -> None:
    expected, variant = recording("broken-apps.json")[name], BROKEN[name]
    folder = write_app(
        tmp_path / name, variant["code"], variant.get("host"), header=variant.get("header", HEADER)
    )
    rig = Rig(folder, settings=variant.get("settings"), keys=recorded_keys())

    async def scenario(rig: Rig) -> dict[str, Response]:
        key = {"x-functions-key": MASTER}
        return {
            "hello": await rig.get("/api/hello"),
            "ping": await rig.get("/admin/host/ping"),
            "status": await rig.get("/admin/host/status", **key),
            "functions": await rig.get("/admin/functions", **key),
        }

    answers = drive(rig, scenario)
    for which in ("hello", "ping"):
        assert [answers[which].status, answers[which].body.decode()] == expected[which], which
    status, recorded_status = json.loads(answers["status"].body), json.loads(expected["status"][1])
    assert status["state"] == recorded_status["state"]
    assert len(status.get("errors", [])) == len(recorded_status.get("errors", []))
    assert answers["functions"].status == expected["functions"][0]
    if name != "duproute" and expected["functions"][1]:  # that recording is cut off
        ours = json.loads(answers["functions"].body)
        assert normal(ours) == normal(json.loads(expected["functions"][1]))


def test_every_broken_app_is_replayed_or_explained() -> None:
    explained = {label for file, label in ACCEPTED if file == "broken-apps.json"}
    assert set(recording("broken-apps.json")) == set(BROKEN) | explained


def test_inputs_at_the_worker_boundary_are_as_recorded(app_rig: Rig) -> None:
    """Every recorded HTTP call, sent again, reaches the worker with the same values."""
    recorded = recording("invocations.json")
    skipped = {"start", "waitstart", "clientop"}  # a durable client: see the hub's tests
    calls = [
        call
        for name, several in recorded.items()
        if name not in skipped
        for call in several
        if "http" in call["input"].get("req", {})
    ]
    assert len(calls) > 20

    async def scenario(rig: Rig) -> None:
        for call in calls:
            http = call["input"]["req"]["http"]
            sent = json.loads(call["trigger_metadata"]["Headers"]["json"])
            target = http["url"].removeprefix("http://127.0.0.1:7099")
            body = base64.b64decode(http.get("body", {}).get("bytes", ""))
            rig.invocations.clear()
            await rig.host.handle(Request(http["method"], target, list(sent.items()), body))
            (invocation,) = rig.of(call["function"])
            assert_same_input(call, invocation)
            assert_same_result(call["response"], invocation)

    drive(app_rig, scenario)


def assert_same_input(call: dict[str, Any], invocation: Any) -> None:
    expected = {k: v for k, v in call["input"]["req"]["http"].items() if k != "identities"}
    actual = dict(invocation.inputs()["req"]["http"])
    if "body" in actual:
        actual["body"] = {"bytes": base64.b64encode(actual["body"]["bytes"]).decode()}
    assert actual == expected, call["function"]
    assert decoded(invocation.trigger_metadata()) == decoded(call["trigger_metadata"])


def decoded(metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value["json"]) if "json" in value else value["string"]
        for name, value in metadata.items()
    }


def assert_same_result(response: dict[str, Any], invocation: Any) -> None:
    exception = response["result"].get("exception")
    if exception is not None:
        assert invocation.error_message == exception["message"]
        return
    assert invocation.error is None
    value, datum = response["return_value"], invocation.return_value
    if "string" in value:
        assert (datum.type, datum.value) == ("string", value["string"])
        return
    body = base64.b64decode(value["http"]["body"]["bytes"])
    if b'"inv"' not in body and b'"method"' not in body:
        assert datum.value["body"].value == body
    assert datum.value["status_code"].value == value["http"]["status_code"]
    ours = {name: header.value for name, header in datum.value["headers"].items()}
    assert ours == value["http"]["headers"]


def test_activities_take_and_give_what_was_recorded(
    app_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = recording("invocations.json")
    names = ("say", "objact", "noinput", "alwaysfail", "bigact")

    async def scenario(rig: Rig) -> None:
        for name in names:
            for call in recorded[name]:
                ((_, value),) = call["input"].items()
                invocation = await rig.host.invoke(name, value["string"])
                assert invocation.inputs() == call["input"]
                exception = call["response"]["result"].get("exception")
                if exception is not None:
                    assert invocation.error_message == exception["message"]
                else:
                    assert invocation.return_value.value == call["response"]["return_value"]["json"]

    drive(app_rig, scenario)


def test_timers_are_called_as_recorded(app_rig: Rig) -> None:
    recorded = recording("invocations.json")

    async def scenario(rig: Rig) -> None:
        await asyncio.sleep(100)

    drive(app_rig, scenario)
    for name in ("tick", "tick_startup", "tick_minute", "tick_setting", "tick_span"):
        first, ours = recorded[name][0], app_rig.of(name)[0]
        assert json.loads(ours.inputs()["tm"]["json"]) == json.loads(first["input"]["tm"]["json"])
        exception = first["response"]["result"].get("exception")
        assert ours.error_message == (exception and exception["message"])
        assert set(ours.trigger_metadata()) == set(first["trigger_metadata"])
    fired = [i.trigger_metadata()["TimerTrigger"]["string"] for i in app_rig.of("tick")[:2]]
    assert fired == [c["trigger_metadata"]["TimerTrigger"]["string"] for c in recorded["tick"]]
