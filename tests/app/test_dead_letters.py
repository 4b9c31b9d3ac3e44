"""Poison events: each lands in the dead-letter container with its reason, the rest goes on."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from desk import START, Floor
from test_idempotency import candle

from shared.errors import StoreUnavailable

ALERT = {
    "id": "poison-test",
    "account": "main",
    "severity": "warning",
    "kind": "test",
    "title": "a title",
    "text": "a text",
    "time": "2025-05-05T10:30:00.000Z",
    "correlation": "test",
}
EXECUTION = {"type": "trade", "id": "an-execution"}
VIOLATION = {"id": "v1", "kind": "test", "text": "something was noticed", "symbol": "BTCUSDT"}

GARBAGE = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe\x00",
    "a number": b"7",
    "a list": b"[]",
    "null": b"null",
    "deeply nested": b"[" * 20_000 + b"]" * 20_000,
    "no fields": b"{}",
    "wrong types": b'{"id": 7, "kind": [], "symbol": {}}',
}


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(candle(START)), **fields}).encode()


CANDLES = {
    "unknown symbol": changed(symbol="DOGEUSDT"),
    "unknown time frame": changed(timeframe="7m"),
    "negative price": changed(low=-1.0),
    "text for a price": changed(close="100000"),
    "NaN": candle(START).replace(b"100000.0", b"NaN", 1),
    "off the grid": changed(open_time=START - 300_001),
    "high below low": changed(high=1.0),
    "too large": b'{"type": "candle", "x": "' + b"x" * 10_000 + b'"}',
}


def buried(floor: Floor, hub: str) -> list[dict[str, Any]]:
    return floor.documents("deadletter", hub)


@pytest.mark.parametrize("what", [*GARBAGE, *CANDLES])
def test_market(open_floor, what):
    floor = open_floor()
    poison = {**GARBAGE, **CANDLES}[what]
    floor.emit("market", poison, candle(START))
    floor.run(5)
    (dead,) = buried(floor, "market")
    assert dead["reason"]
    assert base64.b64decode(dead["body"]) == poison[:65_536]
    signals = [d["id"] for d in floor.documents("signals", "BTCUSDT")]
    assert signals == [f"BTCUSDT-5m-{START}-v1"]
    assert "dead-letter" in floor.alerts()


HUBS = {"executions": EXECUTION, "risk": ALERT, "compliance": VIOLATION}


@pytest.mark.parametrize("hub", HUBS)
@pytest.mark.parametrize("what", GARBAGE)
def test_other_hubs(open_floor, hub, what):
    floor = open_floor()
    floor.emit(hub, GARBAGE[what], HUBS[hub])
    floor.run(5)
    (dead,) = buried(floor, hub)
    assert dead["reason"]
    if hub == "compliance":
        assert [v["id"] for v in floor.documents("violations")] == ["v1"]
    else:
        # The good one was shown on the dashboard.
        assert [m["arguments"][0]["id"] for m in floor.shown if m["target"] != "status"][:1] == [
            HUBS[hub]["id"]
        ]


def test_delivered_twice_is_buried_once(open_floor):
    floor = open_floor()
    assert floor.platform is not None
    floor.emit("market", b"{")
    floor.run(2)
    for _ in range(2):
        floor.wait(floor.platform.host.invoke("on_market", [b"{"]))
    bodies = [base64.b64decode(d["body"]) for d in buried(floor, "market")]
    assert bodies.count(b"{") <= 2
    assert floor.alerts().count("dead-letter") == 1


def test_store_that_fails_while_burying_does_not_take_the_batch_along(open_floor):
    floor = open_floor()

    def full(name: str, args: tuple[Any, ...]) -> None:
        if args[0] == "deadletter":
            raise StoreUnavailable("the disk is full")

    floor.store.before = full
    floor.emit("market", b"{", candle(START))
    floor.run(5)
    assert [d["id"] for d in floor.documents("signals", "BTCUSDT")] == [f"BTCUSDT-5m-{START}-v1"]


def test_signal_whose_workflow_does_not_start_is_told_and_leaves_the_others(open_floor):
    """The task hub refuses one start; the batch does not come again."""
    floor = open_floor()
    bitcoin, ether = floor.signal("BTCUSDT"), floor.signal("ETHUSDT")
    floor.durable_refuses = lambda request: "BTCUSDT" in request.target
    floor.emit("market", candle(START), candle(START, "ETHUSDT"))
    floor.run(5)
    assert floor.outcome(ether)["outcome"] == "protected"
    assert not floor.held("BTCUSDT")
    assert "workflow-not-started" in floor.alerts()
    assert bitcoin.id in str(floor.documents("alerts"))


def test_a_task_hub_that_is_silent_keeps_no_other_signal_from_its_workflow(open_floor):
    """By itself a request to it ends after five minutes: the other decision would be too old."""
    floor = open_floor()
    bitcoin, ether = floor.signal("BTCUSDT"), floor.signal("ETHUSDT")
    rpc = floor.platform.hub.rpc

    async def late(request):
        await asyncio.sleep(300)
        return await rpc(request)

    async def silent(request):
        if "BTCUSDT" in request.target:
            # Who asked has gone by then; what it asked for is done.
            return await asyncio.shield(asyncio.create_task(late(request)))
        return await rpc(request)

    floor.platform.hub.rpc = silent
    floor.emit("market", candle(START), candle(START, "ETHUSDT"))
    floor.run(8)
    assert floor.outcome(ether)["outcome"] == "protected"
    assert "workflow-not-started" in floor.alerts()
    assert "may start late" in str(floor.documents("alerts"))
    # It does, and decides by what holds then.
    floor.minutes(6)
    assert floor.outcome(bitcoin)["outcome"] == "declined"
