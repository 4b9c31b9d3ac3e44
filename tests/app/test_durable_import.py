"""The Durable SDK is imported without aiohttp, and has the real one when it needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LATE = """
import asyncio, sys, typing
import function_app
assert "aiohttp" not in sys.modules
from azure.durable_functions.models.utils import http_utils
assert "aiohttp" not in sys.modules
async def ask():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await http_utils.get_async_request(f"http://127.0.0.1:{port}/")
    finally:
        await http_utils._close_session()
        server.close()
async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n42")
    await writer.drain()
    writer.close()
assert asyncio.run(ask()) == [200, 42]
import aiohttp
assert aiohttp.__file__ and sys.modules["aiohttp"] is aiohttp
assert typing.get_type_hints(http_utils._get_session)["return"] is aiohttp.ClientSession
try:
    asyncio.run(http_utils.get_async_request("http://127.0.0.1:1/"))
except aiohttp.ClientError:
    print("done")
"""

EARLY = """
import aiohttp, function_app
from azure.durable_functions.models.utils import http_utils
assert http_utils.aiohttp is aiohttp
print("done")
"""

OTHERS = """
import function_app, aiohttp, sys
assert isinstance(aiohttp.ClientSession, type) and sys.modules["aiohttp"] is aiohttp
from binance.async_client import AsyncClient
print("done")
"""


@pytest.mark.parametrize("program", [LATE, EARLY, OTHERS], ids=["late", "early", "others"])
def test_aiohttp_is_the_real_one_whoever_asks_first(program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "done"), ran.stderr
