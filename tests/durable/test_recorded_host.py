"""Conformance: the recorded app, unchanged, on the hub, against what the real host did.

Replay contexts, SDK answers, histories, statuses, headers and bodies are compared with ids, dates
and what `differences` names put aside.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from durable_sdk import SdkFunctions, load_app
from durable_support import START

from local.clock import VirtualClock, VirtualLoop
from local.contracts import Request, Response
from local.durable import SqliteTaskHub

RECORDED = Path(__file__).parents[2].parent / "shared" / "reference" / "host"
WEBHOOK = "/runtime/webhooks/durabletask"
pytestmark = [
    pytest.mark.skipif(
        not (RECORDED / "app" / "function_app.py").exists(),
        reason="the recordings of the real host are not beside this checkout",
    ),
    # The recorded app reads its counters without closing them.
    pytest.mark.filterwarnings("ignore:unclosed file"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
assert importlib.util.find_spec("azure.durable_functions")

_GUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_KEY = re.compile(r"code=[^&\"]*")
_PLACE = re.compile(r"http://127\.0\.0\.1:\d+")


def plain(value: Any) -> Any:
    """The value with ids, dates, keys, ports and the host's own stack traces put aside."""
    if isinstance(value, dict):
        return {
            k: ("~" if k in ("Details", "StackTrace") and v is not None else plain(v))
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str):
        value = value.split(' \n {"$type"')[0]
        value = value.split("The following are the known")[0]
        value = _DATE.sub("DATE", _GUID.sub("ID", value))
        return _PLACE.sub("http://HOST", _KEY.sub("code=KEY", value))
    return value


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


class Spy:
    """Hands the hub the app's functions and keeps every replay and entity batch."""

    def __init__(self, functions: SdkFunctions) -> None:
        self._functions = functions
        self.replays: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
        self.batches: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.names = functions.names
        self.activity = functions.activity

    def orchestrator(self, name: str) -> Callable[[str], str] | None:
        handle = self._functions.orchestrator(name)
        if handle is None:
            return None

        def call(context: str) -> str:
            self.replays.append((json.loads(context), None))
            answer = handle(context)
            self.replays[-1] = (self.replays[-1][0], json.loads(answer))
            return answer

        return call

    def entity(self, name: str) -> Callable[[str], str] | None:
        handle = self._functions.entity(name)
        if handle is None:
            return None

        def call(context: str) -> str:
            answer = handle(context)
            self.batches.append((json.loads(context), json.loads(answer)))
            return answer

        return call


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> SdkFunctions:
    patch = pytest.MonkeyPatch()
    patch.setenv("RUN_DIR", str(tmp_path_factory.mktemp("counters")))
    app = load_app(RECORDED / "app" / "function_app.py", "recorded_function_app")
    return SdkFunctions(app.app)


@pytest.fixture(autouse=True)
def _counters(functions: SdkFunctions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app counts its failures in files; ids repeat from test to test, files must not."""
    monkeypatch.setattr(sys.modules["recorded_function_app"], "RUN", str(tmp_path))


class World:
    """The recorded app on a hub in virtual time, spoken to over the hub's HTTP surface."""

    def __init__(self, functions: SdkFunctions) -> None:
        self.clock = VirtualClock(START)
        self.loop = VirtualLoop(self.clock)
        self.spy = Spy(functions)

        async def http(request: dict[str, Any]) -> dict[str, Any]:
            return {
                "statusCode": 200,
                "headers": {
                    "Date": "Mon, 23 Nov 2026 09:54:14 GMT",
                    "Server": "Kestrel",
                    "Transfer-Encoding": "chunked",
                },
                "content": "hello" if request["uri"].endswith("/api/hello") else "",
            }

        self.hub = SqliteTaskHub(
            ":memory:", clock=self.clock, name="TestHub", webhook_key="KEY", http=http
        )

    def run(self, scenario: Any) -> Any:
        async def main() -> Any:
            await self.hub.start(self.spy)
            try:
                return await scenario(self)
            finally:
                await self.hub.stop()

        try:
            return self.loop.run_until_complete(main())
        finally:
            self.loop.close()

    async def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> Response:
        request = Request(
            method,
            path,
            [("Host", "127.0.0.1:7099"), *headers.items()],
            (body or "").encode(),
        )
        serve = self.hub.rpc if path.startswith("/durabletask") else self.hub.webhook
        return await serve(request)

    async def begin(self, name: str, input_json: str | None, instance_id: str | None = None) -> str:
        """Start as the app's own HTTP route does through the Python client."""
        body = None if input_json is None else json.dumps(input_json)
        return await self.hub.start_new(name, instance_id, body)

    async def settle(self, seconds: float = 30) -> None:
        await asyncio.sleep(seconds)
        await self.hub.wait_idle()


# ---------------------------------------------------------------------- replays

#: Orchestrators whose completions come one by one, so that replays must match exactly.
SEQUENTIAL = [
    "simple", "noyield", "retry", "retryfail", "catchfail", "fail", "orchraise", "sub", "timer",
    "can", "ent", "http", "subretry", "utcnow", "orch_py_name", "actmissing", "entops",
    "entmissing",
]  # fmt: skip


def _recorded_replays(function: str) -> tuple[str, list[Any]]:
    return next(
        (k, v) for k, v in recorded("durable-replays").items() if k.startswith(function + "/")
    )


def _comparable_context(context: dict[str, Any]) -> Any:
    context = plain(context)
    for item in context["history"]:
        if item["EventType"] == 14:
            item["Input"] = plain(json.loads(item["Input"]) | {"Predecessor": ""})
        item.pop("Timestamp")
    return context


def _comparable_answer(answer: dict[str, Any] | None) -> Any:
    if answer is None:
        return None

    def action(item: dict[str, Any]) -> Any:
        item = {k: v for k, v in item.items() if k != "version"}
        if "compoundActions" in item:
            item["compoundActions"] = [action(a) for a in item["compoundActions"]]
        return item

    shown = {k: v for k, v in answer.items() if k != "schemaVersion"}
    shown["actions"] = [[action(a) for a in group] for group in answer["actions"]]
    return plain(shown)


@pytest.mark.parametrize("function", SEQUENTIAL)
def test_replays_match_the_recording(function: str, functions: SdkFunctions) -> None:
    key, expected = _recorded_replays(function)
    started = expected[0]["context"]["history"][1]
    parent_input = expected[0]["context"]["input"]
    world = World(functions)

    async def scenario(world: World) -> None:
        await world.begin(started["Name"], parent_input, "the-instance")
        await world.settle()

    world.run(scenario)
    ours = [
        (context, answer)
        for context, answer in world.spy.replays
        if context["instanceId"] == "the-instance"
    ]
    assert key
    assert len(ours) == len(expected)
    for (context, answer), theirs in zip(ours, expected, strict=True):
        text = json.dumps(context).replace("the-instance", key.split("/")[1])
        assert _comparable_context(json.loads(text)) == _comparable_context(theirs["context"])
        text = json.dumps(answer).replace("the-instance", key.split("/")[1])
        assert _comparable_answer(json.loads(text)) == _comparable_answer(theirs["returned"])


# ---------------------------------------------------------------------- results and histories


def _finals() -> list[tuple[str, str | None, dict[str, Any]]]:
    """Orchestrator, recorded input and the last full status of each recorded run."""
    if not RECORDED.exists():
        return []
    found: dict[str, tuple[str, str | None, dict[str, Any]]] = {}
    for exchange in recorded("durable-runs"):
        body = exchange.get("json")
        if "showHistoryOutput" in exchange["path"] and "instanceId" in body:
            found[body["name"]] = (body["name"], body["input"], body)
    return [v for k, v in found.items() if k not in ("longtimer", "canevents", "nondet")]


@pytest.mark.parametrize(
    ("name", "input_", "expected"), _finals(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_final_status_and_history_match(
    name: str, input_: str | None, expected: dict[str, Any], functions: SdkFunctions
) -> None:
    async def scenario(world: World) -> Response:
        if name == "can":
            instance_id = await world.begin(name, None)
        else:
            instance_id = await world.begin(name, input_)
        await world.settle()
        return await world.ask(
            "GET", f"{WEBHOOK}/instances/{instance_id}?showHistory=true&showHistoryOutput=true"
        )

    response = World(functions).run(scenario)
    assert response.status == (202 if expected["runtimeStatus"] == "Running" else 200)
    ours, theirs = _one_order(plain(json.loads(response.body))), _one_order(plain(expected))
    assert ours == theirs


def _one_order(status: dict[str, Any]) -> dict[str, Any]:
    """Concurrent completions in one order; entity messages without their exact times."""
    for item in status["historyEvents"]:
        if item["EventType"] == "EventSent":
            item["Input"] = plain(json.loads(item["Input"]) | {"Predecessor": ""})
    if status["name"] in ("anyact", "allfail", "fanout"):
        status["historyEvents"] = sorted(
            status["historyEvents"], key=lambda e: json.dumps(e, sort_keys=True)
        )
    if status["name"] == "anyact":
        status["output"] = None
        for item in status["historyEvents"]:
            if item["EventType"] == "ExecutionCompleted":
                item["Result"] = None
    if status["name"] == "utcnow":
        status["output"] = None
        status["historyEvents"][-1]["Result"] = None
    return status


def test_changed_code_fails_with_the_recorded_words(functions: SdkFunctions) -> None:
    async def scenario(world: World) -> Any:
        instance_id = await world.begin("nondet", None)
        await world.settle()
        return await world.ask("GET", f"{WEBHOOK}/instances/{instance_id}")

    expected = [e for e in recorded("durable-runs") if e["label"] == "poll nondet"][-1]
    response = World(functions).run(scenario)
    assert response.status == expected["status"]
    assert plain(json.loads(response.body)) == plain(expected["json"])


def test_a_ten_day_timer_runs_with_the_sdk_of_today(functions: SdkFunctions) -> None:
    async def scenario(world: World) -> Any:
        instance_id = await world.begin("longtimer", None)
        await world.settle(86_400 * 10 - 1)
        before = await world.ask("GET", f"{WEBHOOK}/instances/{instance_id}")
        await world.settle(2)
        after = await world.ask("GET", f"{WEBHOOK}/instances/{instance_id}")
        return [json.loads(r.body)["runtimeStatus"] for r in (before, after)]

    assert World(functions).run(scenario) == ["Running", "Completed"]


def test_events_before_continue_as_new_are_lost(functions: SdkFunctions) -> None:
    async def scenario(world: World) -> Any:
        instance_id = await world.begin("canevents", None)
        for number in "123":
            await world.ask(
                "POST",
                f"{WEBHOOK}/instances/{instance_id}/raiseEvent/E",
                number,
                **{"Content-Type": "application/json"},
            )
        await world.settle()
        return await world.ask("GET", f"{WEBHOOK}/instances/{instance_id}?showHistory=true")

    response = World(functions).run(scenario)
    expected = recorded("durable-runs")[-1]["json"]
    assert response.status == 202
    assert plain(json.loads(response.body)) == plain(expected)


def test_entity_batches_match(functions: SdkFunctions) -> None:
    async def scenario(world: World) -> None:
        for name in ("ent", "entops"):
            await world.begin(name, None, f"{name}-1")
            await world.settle(1)
        await world.ask("POST", f"{WEBHOOK}/entities/counter/zz?op=add", "5")
        await world.settle(1)
        await world.ask("POST", f"{WEBHOOK}/entities/counter/zz", "5")
        await world.ask("POST", "/durabletask/entities/counter/pk?op=add", '"5"')
        await world.settle(1)

    world = World(functions)
    world.run(scenario)

    def shape(context: Any, answer: Any) -> str:
        context["self"]["key"] = ""
        for operation in context["batch"]:
            operation["id"] = ""
        for result in answer["results"]:
            result.pop("startTime", None)
            result["duration"] = 0
        text = json.dumps([context, answer], sort_keys=True)
        return _GUID.sub("ID", re.sub(r"ent(ops)?-1", "ID", text))

    ours = sorted(shape(*batch) for batch in world.spy.batches)
    theirs = sorted(shape(e["context"], e["returned"]) for e in recorded("durable-entities"))
    assert ours == theirs


# ---------------------------------------------------------------------- management and RPC


class Follower:
    """Repeats recorded exchanges in order, translating recorded ids to ours."""

    #: Exchanges of the app's routes and of the host's key check, and lists of everything.
    NOT_OURS = ("webhook no code", "webhook bad code", "webhook host key", "py ")

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids: dict[str, str] = {}
        self.compared = 0

    def translate(self, text: str) -> str:
        for theirs, ours in self.ids.items():
            text = text.replace(theirs, ours)
        return text

    async def repeat(self, exchange: dict[str, Any]) -> None:
        label, path = exchange["label"], exchange["path"]
        if label.startswith(self.NOT_OURS):
            return
        body = exchange.get("json", exchange.get("body"))
        if path.startswith("/api/orchestrators/"):
            await self._start_by_app(exchange, body)
            return
        if label in ("poll", "status", "after rewind", "rpc status", "rpc raise done") or (
            label.startswith(("purge", "status"))
        ):
            await self.world.settle(40 if body and "Completed" in json.dumps(body) else 1)
        headers = exchange.get("req_headers") or {}
        if path.startswith("/durabletask") and exchange["req_body"] is not None:
            headers = {"Content-Type": "application/json"}
        response = await self.world.ask(
            exchange["method"], self.translate(path), exchange["req_body"], **headers
        )
        if label == "poll" and body.get("runtimeStatus") in ("Pending", "Running"):
            return
        where = f"{label}: {response.body[:300]!r}"
        assert response.status == exchange["status"], where
        if isinstance(body, dict) and "id" in body:
            self.ids[body["id"]] = json.loads(response.body)["id"]
        self._compare(label, path, exchange, body, response)
        self.compared += 1
        if response.status == 202 and "raise" not in label:
            await self.world.settle(0)

    async def _start_by_app(self, exchange: dict[str, Any], body: Any) -> None:
        name, _, query = exchange["path"].removeprefix("/api/orchestrators/").partition("?id=")
        text = exchange["req_body"]
        if exchange["status"] == 500:
            return
        input_ = None if text is None else json.dumps(json.loads(text))
        self.ids[body["id"]] = await self.world.begin(name, input_, query or None)
        await self.world.hub.wait_idle()

    def _compare(
        self, label: str, path: str, exchange: dict[str, Any], body: Any, response: Response
    ) -> None:
        shown = {k.lower() for k, _ in exchange["headers"]}
        framing = {"content-length", "transfer-encoding"}
        if label.startswith("list"):
            # How long the list is depends on which runs came before; see the paging test.
            framing.add("x-ms-continuation-token")
        sent = {k.lower() for k, _ in response.headers} - framing
        assert sent == shown - framing, label
        theirs = {k.lower(): self.translate(plain(v)) for k, v in exchange["headers"]}
        for key, value in response.headers:
            if key.lower() != "x-ms-continuation-token":
                assert plain(value) == plain(theirs[key.lower()]), label
        if label == "purge entity-less bulk":
            assert json.loads(response.body)["instancesDeleted"] > 0
            return
        if label.startswith(("list", "entity list", "webhook master", "rpc list")):
            assert isinstance(json.loads(response.body), list), label
            return
        if not response.body:
            assert not body, label
            return
        text = response.body.decode()
        if isinstance(body, str):
            assert json.loads(text) == json.loads(self.translate(body)), label
            return
        ours = plain(json.loads(text))
        expected = plain(json.loads(self.translate(json.dumps(body))))
        if label == "raise while suspended":
            return
        assert ours == expected, label


@pytest.mark.parametrize(
    ("name", "at_least"), [("durable-management", 70), ("durable-client-rpc", 21)]
)
def test_exchanges_match(name: str, at_least: int, functions: SdkFunctions) -> None:
    world = World(functions)

    async def scenario(world: World) -> int:
        follower = Follower(world)
        for exchange in recorded(name):
            await follower.repeat(exchange)
        return follower.compared

    assert world.run(scenario) >= at_least
