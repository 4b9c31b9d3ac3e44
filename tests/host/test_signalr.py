"""The embedded SignalR service, spoken to by a client that is not ours to write."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from local.contracts import Request, Response
from local.host.server import HttpListener
from local.signalr import WAITING, SignalR

END = "\x1e"


async def nothing(request: Request) -> Response:
    return Response(404, [("Content-Length", "0")])


async def negotiated(
    client: aiohttp.ClientSession, base: str, invitation: str, hub: str = "dashboard"
) -> Any:
    told = json.loads(invitation)
    answer = await client.post(
        f"{base}/client/negotiate?hub={hub}&negotiateVersion=1",
        headers={"Authorization": f"Bearer {told['accessToken']}"},
    )
    return await answer.json() if answer.status == 200 else answer.status


def run(scenario: Any) -> None:
    async def all_of_it() -> None:
        service = SignalR()
        listener = HttpListener(nothing, 0, routes=service.routes())
        await listener.start()
        async with aiohttp.ClientSession() as client:
            await scenario(service, client, f"http://127.0.0.1:{listener.port}")
        await service.close()
        await listener.stop()

    asyncio.run(all_of_it())


async def viewer(
    service: SignalR, client: aiohttp.ClientSession, base: str, hub: str = "dashboard"
) -> aiohttp.ClientWebSocketResponse:
    told = await negotiated(client, base, service.invite(hub), hub)
    socket = await client.ws_connect(f"{base}/client/?hub={hub}&id={told['connectionToken']}")
    await socket.send_str('{"protocol":"json","version":1}' + END)
    assert await socket.receive_str() == "{}" + END
    return socket


def test_messages_go_to_every_viewer_of_the_hub() -> None:
    async def scenario(service: SignalR, client: aiohttp.ClientSession, base: str) -> None:
        one, two = [await viewer(service, client, base) for _ in range(2)]
        other = await viewer(service, client, base, "other")
        await one.send_str('{"type":6}' + END)  # a ping, which nobody has to answer
        service.send("dashboard", [{"target": "a", "arguments": [1]}, {"action": "join"}])
        for socket in (one, two):
            got = (await socket.receive_str()).split(END)
            assert [json.loads(r) for r in got if r] == [
                {"type": 1, "target": "a", "arguments": [1]}
            ]
        service.send("other", [{"target": "b"}])
        assert '"b"' in await other.receive_str()
        await one.close()
        service.send("dashboard", [{"target": "c"}])
        assert '"c"' in await two.receive_str()

    run(scenario)


def test_an_invitation_is_for_one_connection_to_one_hub() -> None:
    async def scenario(service: SignalR, client: aiohttp.ClientSession, base: str) -> None:
        invitation = service.invite("dashboard")
        assert json.loads(invitation)["url"] == "/client/?hub=dashboard"
        told = await negotiated(client, base, invitation)
        assert await negotiated(client, base, invitation) == 401
        assert await negotiated(client, base, service.invite("other")) == 401
        assert await negotiated(client, base, '{"accessToken": "guess"}') == 401
        socket = await client.ws_connect(
            f"{base}/client/?hub=dashboard&id={told['connectionToken']}"
        )
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(f"{base}/client/?hub=dashboard&id={told['connectionToken']}")
        await socket.close()
        for _ in range(WAITING + 1):
            last = service.invite("dashboard")
        assert await negotiated(client, base, last) != 401

    run(scenario)


@pytest.mark.parametrize("greeting", ["hello", '{"protocol":"messagepack","version":1}', "[]"])
def test_who_does_not_greet_hears_nothing(greeting: str) -> None:
    async def scenario(service: SignalR, client: aiohttp.ClientSession, base: str) -> None:
        told = await negotiated(client, base, service.invite("dashboard"))
        socket = await client.ws_connect(
            f"{base}/client/?hub=dashboard&id={told['connectionToken']}"
        )
        await socket.send_str(greeting + END)
        service.send("dashboard", [{"target": "a"}])
        heard = [m.data async for m in socket if m.type is aiohttp.WSMsgType.TEXT]
        assert not [text for text in heard if "target" in text]

    run(scenario)
