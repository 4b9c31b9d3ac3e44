"""Who is there: the exchange's pings, and what becomes of a client that does not answer them.

Server and client share an event loop on virtual time, so three minutes of silence cost nothing
and every figure is the real one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from exchange_world import World, flat

from local.clock import loop_for
from local.exchange.server import ExchangeServer

#: Published: the venue pings every three minutes.
EVERY_S = 180
#: Here a pong is due in half of that; the venue waits ten minutes.
PATIENCE_S = 90
#: aiohttp rounds its timers up to whole seconds, and time comes in tenths here.
ROUNDING_S = 2
PATHS = ("/public/ws/btcusdt@bookTicker", "/market/ws", "/private/ws", "/ws-fapi/v1")

Scenario = Callable[[World, aiohttp.ClientWebSocketResponse], Awaitable[None]]


def run(path: str, scenario: Scenario) -> None:
    """One client without automatic pongs at one of the exchange's addresses."""
    world = World({"BTCUSDT": flat(100_000, 60)})

    async def inside() -> None:
        server = ExchangeServer(world.api)
        await server.start()
        url = server.url.replace("http", "ws")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}{path}", autoping=False) as socket,
        ):
            await scenario(world, socket)
        await server.stop()

    loop = loop_for(world.clock)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(inside())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def control(socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    """The next message that is no text."""
    while True:
        message = await socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return message


@pytest.mark.parametrize("path", PATHS)
def test_a_silent_client_is_pinged_and_cut_off(path: str) -> None:
    async def scenario(world: World, socket: aiohttp.ClientWebSocketResponse) -> None:
        opened = world.clock.seconds()
        assert (await control(socket)).type is aiohttp.WSMsgType.PING
        pinged = world.clock.seconds()
        assert EVERY_S <= pinged - opened <= EVERY_S + ROUNDING_S
        ended = await control(socket)
        assert ended.type is aiohttp.WSMsgType.CLOSED
        assert PATIENCE_S <= world.clock.seconds() - pinged <= PATIENCE_S + ROUNDING_S
        # Without a farewell, as a line that breaks.
        assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE

    run(path, scenario)


@pytest.mark.parametrize("path", PATHS)
def test_who_answers_stays(path: str) -> None:
    async def scenario(world: World, socket: aiohttp.ClientWebSocketResponse) -> None:
        for _ in range(4):
            before = world.clock.seconds()
            ping = await control(socket)
            assert ping.type is aiohttp.WSMsgType.PING
            assert EVERY_S <= world.clock.seconds() - before <= EVERY_S + ROUNDING_S
            await socket.pong(ping.data)
        question = {"id": 7, "method": "LIST_SUBSCRIPTIONS"}
        if path == "/ws-fapi/v1":
            question = {"id": 7, "method": "ticker.price"}
        await socket.send_str(json.dumps(question))
        while (answer := json.loads(await socket.receive_str())).get("id") != 7:
            pass
        assert "result" in answer

    run(path, scenario)
