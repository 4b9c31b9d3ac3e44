"""A directory that sends its answer byte by byte keeps no thread of the application."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from local.clock import VirtualClock
from shared.access import directory
from shared.access.directory import Directory
from shared.errors import IdentityUnavailable


@pytest.mark.parametrize(
    "beginning", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"]
)
def test_its_answer_has_an_end(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(directory, "ANSWER_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with listening.accept()[0] as line, suppress(OSError):
                line.recv(65_536)
                line.sendall(beginning)
                while True:
                    line.sendall(b"x")
                    time.sleep(0.05)

        server = threading.Thread(target=drip, daemon=True)
        server.start()
        authority = f"http://127.0.0.1:{listening.getsockname()[1]}"
        asked = Directory(authority, "tenant", "client", "https://a/ui", dict, VirtualClock(0))
        began = time.monotonic()
        with pytest.raises(IdentityUnavailable):
            asked.sign_in_address("state", "nonce", "verifier")
        assert time.monotonic() - began < 20
        server.join(20)
        assert not server.is_alive()
