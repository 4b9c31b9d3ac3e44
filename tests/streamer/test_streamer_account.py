"""The account's stream: listen keys, news once each, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from streamer_world import BTC, KEY, Floor, floor, play
from yarl import URL

from shared.errors import ConfigurationError, ExchangeHalted
from shared.execution.exchange import OrderRequest
from streamer import logs
from streamer.connection import described
from streamer.events import EXECUTIONS
from streamer.keys import api_key
from streamer.messages import KEY_EXPIRED, account_message

STREAMS = {"STREAMER_STREAMS": "userData"}


def news(scene: Floor) -> list[dict[str, Any]]:
    return [json.loads(b) for b in scene.bodies(EXECUTIONS)]


def buy(scene: Floor, number: int) -> None:
    scene.exchange.adapter.place_order(
        OrderRequest(
            symbol=BTC,
            side="BUY",
            type="MARKET",
            quantity=Decimal("0.010"),
            client_order_id=f"order-{number}",
            reduce_only=False,
        )
    )


async def listening(scene: Floor) -> None:
    await scene.until(
        lambda: (
            bool(scene.streamer.connections)
            and scene.streamer.connections[-1].is_open
            and any(c.account and not c.expired for c in scene.exchange.server._hub._connections)
        )
    )


def filled(scene: Floor) -> list[str]:
    return [
        n["data"]["o"]["c"]
        for n in news(scene)
        if n["event"] == "ORDER_TRADE_UPDATE" and n["data"]["o"]["x"] == "TRADE"
    ]


def test_news_of_the_account_are_events_that_on_execution_takes() -> None:
    from functions.events import _object

    async def scenario() -> None:
        async with floor(**STREAMS) as scene:
            await listening(scene)
            buy(scene, 1)
            await scene.until(lambda: any(n["event"] == "ACCOUNT_UPDATE" for n in news(scene)))
            found = news(scene)
            assert filled(scene) == ["order-1"]
            assert {n["type"] for n in found} == {"venue"}
            assert len({n["id"] for n in found}) == len(found)
            for body in scene.bodies(EXECUTIONS):
                assert _object(body)["id"]
            (trade,) = (n for n in found if n["data"].get("o", {}).get("x") == "TRADE")
            assert (trade["symbol"], trade["time"]) == (BTC, trade["data"]["E"])
            # They keep one order: a partition of their own.
            assert {
                e.partition_key
                for p in range(2)
                for e in scene.log.read_from(EXECUTIONS, p, 0, 100)
            } == {"account"}

    play(scenario)


def test_an_expired_key_is_replaced_and_the_stream_goes_on() -> None:
    async def scenario() -> None:
        async with floor(**STREAMS) as scene:
            await listening(scene)
            before = scene.exchange.api.listen_keys.open("main", scene.exchange.clock.now_ms())
            scene.advance(61)
            await scene.until(lambda: scene.count("connects", "private") >= 2)
            await listening(scene)
            after = scene.exchange.api.listen_keys.open("main", scene.exchange.clock.now_ms())
            assert after != before
            buy(scene, 2)
            await scene.until(lambda: filled(scene) == ["order-2"])

    play(scenario)


def test_the_key_is_renewed_in_time() -> None:
    async def scenario() -> None:
        async with floor(timing={"key_renewal": 0.02}, **STREAMS) as scene:
            await listening(scene)
            renewed: list[int] = []
            keys = scene.exchange.api.listen_keys
            extend = keys.extend

            def noted(account: str, now: int) -> str:
                renewed.append(now)
                return extend(account, now)

            keys.extend = noted  # type: ignore[method-assign]
            for _ in range(6):
                count = len(renewed)
                scene.advance(40)
                await scene.until(lambda n=count: len(renewed) > n + 1)
            # Four hours on one key and one connection.
            assert scene.count("connects", "private") == 1
            buy(scene, 3)
            await scene.until(lambda: filled(scene) == ["order-3"])

    play(scenario)


def test_a_key_that_vanished_without_a_word_is_noticed() -> None:
    async def scenario() -> None:
        async with floor(timing={"key_renewal": 0.05}, **STREAMS) as scene:
            await listening(scene)
            (account,) = {c.account for c in scene.exchange.server._hub._connections}
            assert account is not None
            scene.exchange.api.listen_keys.close(account)
            for connection in scene.exchange.server._hub._connections:
                # No farewell either.
                connection.expired = True
            await scene.until(lambda: scene.count("connects", "private") >= 2)
            await listening(scene)
            buy(scene, 4)
            await scene.until(lambda: filled(scene) == ["order-4"])

    play(scenario)


def test_two_connections_that_overlap_tell_everything_once() -> None:
    async def scenario() -> None:
        async with floor(timing={"life": 0.2, "overlap": 0.2}, **STREAMS) as scene:
            await listening(scene)
            number = 0
            while scene.count("account_repeated") < 3:
                number += 1
                buy(scene, number)
                await asyncio.sleep(0.03)
            await scene.until(lambda: len(filled(scene)) == number)
            assert filled(scene) == [f"order-{n}" for n in range(1, number + 1)]
            assert scene.count("disconnects", "private") == 0

    play(scenario)


def test_no_key_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    found: list[str] = []

    async def scenario() -> None:
        async with floor(timing={"key_renewal": 0.05}, **STREAMS) as scene:
            await listening(scene)
            keys = scene.exchange.api.listen_keys._keys
            found.extend(key for key, _ in keys.values())
            await scene.line.cut()
            await scene.until(lambda: scene.count("connects", "private") >= 2)
            await scene.exchange.server.stop()
            await scene.until(lambda: scene.count("disconnects", "private") >= 2)
            await asyncio.sleep(0.1)
            await scene.exchange.restart()
            await listening(scene)
            scene.advance(61)
            await scene.until(lambda: scene.count("connects", "private") >= 4)
            found.extend(key for key, _ in keys.values())
            state = json.dumps(scene.streamer.state())
            assert not [s for s in [*found, KEY] if s in state]

    play(scenario)
    assert len(set(found)) == 2
    told = "\n".join(logs.JsonLines().format(r) for r in caplog.records if r.name != "aiohttp")
    assert "private" in told
    assert not [s for s in [*found, KEY] if s in told]


def test_an_error_is_told_without_its_address() -> None:
    url = URL("wss://fstream.test/private/ws?listenKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1")
    info = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)
    for error in (
        aiohttp.WSServerHandshakeError(info, (), status=403, message=f"no {url}"),
        aiohttp.InvalidURL(url),
        aiohttp.ServerDisconnectedError(str(url)),
        ConnectionResetError(104, "reset"),
        TimeoutError(),
    ):
        told = described(error)
        assert told
        assert "pqia91ma" not in told
    assert described(aiohttp.WSServerHandshakeError(info, (), status=403)) == (
        "refused with HTTP 403"
    )


def test_what_libraries_might_say_is_redacted() -> None:
    for text in (
        "wss://x/private/ws?listenKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1&events=A",
        "'X-MBX-APIKEY': 'pqia91ma19a5s61cv6a81va65sdf19v8a65a1'",
        "Endpoint=sb://x/;SharedAccessKey=pqia91ma19a5s61cv6a81va65sdf19v8a65a1;EntityPath=e",
        "Authorization: Bearer pqia91ma19a5s61cv6a81va65sdf19v8a65a1",
        "?signature=pqia91ma19a5s61cv6a81va65sdf19v8a65a1",
    ):
        assert "pqia91ma" not in logs.redacted(text), text
    assert logs.redacted("market-1: closed with 1001") == "market-1: closed with 1001"


def test_messages_of_no_interest_are_left() -> None:
    assert account_message('{"e":"TRADE_LITE","E":1}') is None
    assert account_message('{"e":"ACCOUNT_CONFIG_UPDATE","E":1}') is None
    assert account_message('{"result":null,"id":1}') is None
    assert account_message('{"e":"listenKeyExpired","E":1,"listenKey":"x"}') == KEY_EXPIRED
    first = account_message('{"e":"ALGO_UPDATE","E":1,"T":5,"o":{"s":"BTCUSDT","aid":7}}')
    again = account_message('{"e":"ALGO_UPDATE","E":2,"T":5,"o":{"s":"BTCUSDT","aid":7}}')
    other = account_message('{"e":"ALGO_UPDATE","E":2,"T":6,"o":{"s":"BTCUSDT","aid":7}}')
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.id == again.id != other.id  # type: ignore[union-attr]


class Vault:
    def __init__(self, value: str | Exception) -> None:
        self.value = value

    def get(self, name: str) -> str:
        assert name == "binance-api-key"
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize(
    ("environment", "stored", "expected"),
    [
        ("demo", "demo:abc", "abc"),
        ("demo", "abc", "abc"),
        ("production", "production:abc", "abc"),
        ("production", "abc", None),
        ("production", "demo:abc", None),
        ("demo", "production:abc", None),
        ("demo", ConfigurationError(["secret binance-api-key is missing"]), None),
        ("demo", RuntimeError("https://vault/?token=abc"), None),
    ],
)
def test_only_a_key_of_the_environment_is_used(
    environment: str, stored: Any, expected: str | None
) -> None:
    from streamer.settings import load

    given = load(
        {
            "BINANCE_ENVIRONMENT": environment,
            "KEY_VAULT_URI": "https://vault.test",
            "STREAMER_STREAMS": "userData",
        },
        sends=False,
    )
    get = api_key(given, Vault(stored))
    if expected is not None:
        assert asyncio.run(get()) == expected
        return
    with pytest.raises(ExchangeHalted) as refused:
        asyncio.run(get())
    assert "abc" not in str(refused.value)
