"""Microsoft's worker library, which is what Azure runs on 3.13, runs this repository's app.

The library indexes the app and executes functions of every trigger kind on one simulated
exchange; the embedded host does the same on an equal one. Metadata and results must be equal.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from local.clock import VirtualClock, loop_for
from local.configuration import DEMONSTRATION, configuration
from local.contracts import Request, Response
from local.eventlog import StoredEvent
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessSession
from local.host.eventhubs import system_properties
from local.platform import ROOT, SIMULATED_KEY, SIMULATED_SECRET, Platform, app_settings
from shared import bootstrap
from shared.bootstrap import Services
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue
from shared.storage.sqlite import SqliteStore
from shared.strategies.signal import Signal, signal_id

pytestmark = [
    pytest.mark.worker,
    pytest.mark.skipif(
        sys.version_info < (3, 13) or importlib.util.find_spec("azure_functions_runtime") is None,
        reason="azure-functions-runtime needs Python 3.13",
    ),
]

#: 2025-05-04 10:00:30 UTC: no timer is due in this second.
NOW = 1_746_352_830_000
BAR_END = NOW // 60_000 * 60_000
SIGNAL = signal_id("BTCUSDT", "1m", BAR_END, 1)


class Application:
    """One application on a simulated exchange of its own, with one signal to act on."""

    def __init__(self, **more: str) -> None:
        self.clock = VirtualClock(NOW)
        chosen = configuration(DEMONSTRATION).settings | {"TIMEFRAMES": "1m", **more}
        self.settings = app_settings("http://exchange.invalid", **chosen)
        self.venue = Venue(SyntheticMarket(3, ("BTCUSDT", "ETHUSDT")), start_ms=NOW)
        api = BinanceApi(self.venue, self.clock, {SIMULATED_KEY: SIMULATED_SECRET})
        self.services = Services(
            self.settings,
            clock=self.clock,
            store=SqliteStore(":memory:", clock=self.clock),
            exchange_session=InProcessSession(api),
        )
        self.services.engine.save(self._signal())

    def _signal(self) -> Signal:
        close = float(self.services.exchange.book_ticker("BTCUSDT").ask_price)
        return Signal(
            id=SIGNAL,
            symbol="BTCUSDT",
            timeframe="1m",
            bar_open_time=BAR_END - 60_000,
            bar_close_time=BAR_END,
            side="BUY",
            strength=0.9,
            threshold=0.3,
            close=close,
            atr=close * 0.004,
            volatility=0.001,
            votes=[],
            window_digest="0" * 64,
        )

    def close(self) -> None:
        self.services.store.close()


def orchestrator_context(name: str, payload: Any) -> str:
    """What the Durable extension hands an orchestrator for its first episode."""
    event = {"EventId": -1, "IsPlayed": False, "Timestamp": "2025-05-04T10:00:30Z"}
    return json.dumps(
        {
            "history": [
                {"EventType": 12, **event},
                {
                    "EventType": 0,
                    **event,
                    "Name": name,
                    "Version": "",
                    "Input": json.dumps(payload),
                    "OrchestrationInstance": {"InstanceId": SIGNAL, "ExecutionId": "e1"},
                    "ParentInstance": None,
                    "Tags": None,
                },
            ],
            "input": json.dumps(payload),
            "instanceId": SIGNAL,
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
    )


PAYLOAD = {"symbol": "BTCUSDT", "signal": SIGNAL}
CONTEXT = orchestrator_context("trade_workflow", PAYLOAD)
EVENTS = [
    StoredEvent(0, 1, 0, NOW, None, b'{"id": "opened-1", "event": "opened", "symbol": "BTCUSDT"}'),
    StoredEvent(0, 2, 64, NOW, None, b"not JSON"),
]
TIMER = json.dumps(
    {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {"Last": "", "Next": "", "LastUpdated": ""},
        "IsPastDue": False,
    }
)
HEALTH = {"method": "GET", "url": "http://localhost/api/health"}
LIMIT = {"method": "GET", "url": "http://localhost/api/orders?limit=0", "query": {"limit": "0"}}


def test_the_worker_library_announces_the_functions_that_the_embedded_host_serves() -> None:
    from tests.host.worker_library import index_and_invoke

    announced = {item["name"]: item for item in index_and_invoke(ROOT, {}).metadata}
    ours = {item["name"]: item for item in embedded(lambda platform: platform.host.metadata())}
    assert announced.keys() == ours.keys()
    for name, item in announced.items():
        assert item == ours[name], name
    kinds = {b["type"] for item in announced.values() for b in item["raw_bindings"]}
    assert kinds >= {
        "httpTrigger",
        "timerTrigger",
        "eventHubTrigger",
        "activityTrigger",
        "orchestrationTrigger",
    }


def test_every_trigger_kind_gives_the_same_in_the_worker_library_and_in_the_embedded_host() -> None:
    theirs = in_the_worker_library()
    ours = embedded(invoke_all)
    assert not theirs.errors
    assert ours.keys() == theirs.results.keys()
    for name, expected in theirs.results.items():
        assert ours[name] == expected, name


def test_what_the_worker_library_executed_is_what_the_application_is_for() -> None:
    results = in_the_worker_library().results
    health = results["health"]["return"][1]
    assert health["status_code"] == "200"
    assert json.loads(health["body"])["status"] == "ok"
    refused = results["orders"]["return"][1]
    assert refused["status_code"] == "400"
    candles = msgspec.json.decode(results["poll_candles"]["outputs"]["market"][1])
    assert {json.loads(c)["symbol"] for c in candles} == {"BTCUSDT", "ETHUSDT"}
    shown = json.loads(results["on_execution"]["outputs"]["dashboard"][1])
    assert [message["arguments"][0]["id"] for message in shown] == ["opened-1"]
    decision = json.loads(results["assess"]["return"][1])
    assert (decision["id"], decision["outcome"]) == (SIGNAL, "approved")
    # With or without retries around it, the first thing the workflow asks for is the assessment.
    asked = results["trade_workflow"]["return"][1]
    assert '"functionName": "assess"' in asked
    assert "open_position" not in asked


#: A task hub that nobody answers for: what has been opened is told all the same.
CLIENT = json.dumps(
    {
        "taskHubName": "borsa",
        "creationUrls": {},
        "managementUrls": {},
        "rpcBaseUrl": "http://127.0.0.1:9/",
    }
)


def in_the_worker_library() -> Any:
    """The calls through the worker library: the inputs are what the host sends over gRPC."""
    from tests.host.worker_library import index_and_invoke

    application = Application()
    bootstrap.use(application.services)
    properties = json.dumps([system_properties(event) for event in EVENTS])
    try:
        return index_and_invoke(
            ROOT,
            {
                "health": ({"req": {"http": HEALTH}}, {}),
                "orders": ({"req": {"http": LIMIT}}, {}),
                "poll_candles": ({"timer": {"json": TIMER}}, {}),
                "on_execution": (
                    {"events": {"collection_bytes": [event.body for event in EVENTS]}},
                    {"SystemPropertiesArray": {"json": properties}},
                ),
                "assess": (
                    {"payload": {"string": json.dumps(PAYLOAD)}, "client": {"string": CLIENT}},
                    {},
                ),
                "trade_workflow": ({"context": {"string": CONTEXT}}, {}),
            },
        )
    finally:
        bootstrap.use(None)
        application.close()


async def invoke_all(platform: Platform) -> dict[str, Any]:
    """The same calls through the embedded host, whose task hub does not answer them either."""

    async def away(request: Request) -> Response:
        return Response(503, [], b'{"Message": "nobody is there"}')

    platform.hub.rpc = away  # type: ignore[method-assign]
    host = platform.host
    pipeline, trade = host._pipeline, host.orchestrator("trade_workflow")
    assert pipeline is not None
    assert trade is not None
    local = [("Host", "localhost")]
    get = {
        name: await pipeline.invoke(host.functions[name], Request("GET", target, local), {})
        for name, target in (("health", "/api/health"), ("orders", "/api/orders?limit=0"))
    }
    calls = {
        **get,
        "poll_candles": await host.invoke("poll_candles"),
        "on_execution": (await host._event_hubs["on_execution"].invoke(EVENTS))[0],
        "assess": await host.invoke("assess", json.dumps(PAYLOAD)),
    }
    for name, invocation in calls.items():
        assert invocation.error is None, name
    return {
        **{name: plain(invocation) for name, invocation in calls.items()},
        "trade_workflow": {"return": ("json", trade(CONTEXT)), "outputs": {}},
    }


def plain(invocation: Any) -> dict[str, Any]:
    """An invocation of ours in the shape of the worker library's results."""
    return {
        "return": _returned(invocation.return_value),
        "outputs": {b.name: (d.type, d.value) for b, d in invocation.outputs},
    }


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


def embedded(use: Callable[[Platform], Any]) -> Any:
    """Start the application on the embedded platform, use it, stop it."""
    application = Application()
    platform = Platform(application.clock, application.services, application.settings)
    loop = loop_for(application.clock)

    async def main() -> Any:
        await platform.start()
        try:
            result = use(platform)
            return await result if asyncio.iscoroutine(result) else result
        finally:
            await platform.stop()

    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        application.close()
