"""A server that is closed leaves no connection open, whatever moment it is closed at."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from local.listening import Listening


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(body=bytes(8 << 20))


def closed_after(turns: int, ask: bytes) -> bytes:
    """What a client reads that connected, and asked, so many turns before a server is closed."""
    app = web.Application()
    app.router.add_get("/", page)
    listening = Listening(app, "127.0.0.1", 0)
    loop = asyncio.new_event_loop()

    async def end() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await listening.stop()

    try:
        loop.run_until_complete(listening.start())
        with socket.create_connection(("127.0.0.1", listening.port), timeout=10) as client:
            client.sendall(ask)
            loop.run_until_complete(end())
            loop.close()
            return read_all(client)
    finally:
        loop.close()


def read_all(client: socket.socket) -> bytes:
    """Everything until the other side has closed; a time-out if it never does."""
    read = b""
    try:
        while part := client.recv(1 << 16):
            read += part
    except ConnectionResetError:
        pass
    return read


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_is_just_being_accepted_is_closed(turns: int) -> None:
    assert closed_after(turns, b"") == b""


def test_a_connection_whose_client_does_not_read_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.listening._PATIENCE", 0.2)
    # Forty turns: the answer is being written, and eight megabytes wait for somebody to read.
    read = closed_after(40, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert read.startswith(b"HTTP/1.1 200")
    assert len(read) < 8 << 20


def test_a_port_that_is_taken_is_refused_and_nothing_is_left() -> None:
    async def twice() -> None:
        first = Listening(web.Application(), "127.0.0.1", 0)
        await first.start()
        second = Listening(web.Application(), "127.0.0.1", first.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        await second.stop()
        await first.stop()

    asyncio.run(twice())
