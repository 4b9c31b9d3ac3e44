"""A local server that answers as it is told: real HTTP for the real clients."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """One request as it arrived; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What is answered. ``cut`` ends the connection after so many bytes of the body."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


class Remote:
    """The server's address, what it was asked, and what it answers next."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.url = ""
        self._replies: list[Reply | Callable[[Seen], Reply]] = []
        self._always: Callable[[Seen], Reply] | None = None

    def will(self, *replies: Reply | Callable[[Seen], Reply]) -> None:
        """Answers of the next requests, in their order."""
        self._replies.extend(replies)

    def always(self, reply: Callable[[Seen], Reply]) -> None:
        """What is answered when nothing else is left."""
        self._always = reply

    def forget(self) -> None:
        """What one test left unasked for is not answered to the next one."""
        self._replies.clear()
        self._always = None

    def reply(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        if self._replies:
            found = self._replies.pop(0)
            return found(seen) if callable(found) else found
        if self._always is not None:
            return self._always(seen)
        return Reply({"error": "nothing was expected here"}, 599)


@contextmanager
def remote() -> Iterator[Remote]:
    """A server on a port of this machine, for as long as the block lasts."""
    served = Remote()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            seen = Seen(
                self.command,
                self.path,
                {k.lower(): v for k, v in self.headers.items()},
                self.rfile.read(length),
            )
            reply = served.reply(seen)
            body = reply.body
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if reply.cut is not None:
                self.wfile.write(body[: reply.cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            """Nothing: pytest shows what failed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def completion(
    text: str | None = None,
    *,
    calls: list[tuple[str, str, str]] | None = None,
    prompt: int = 40,
    written: int = 10,
    finish: str = "",
    model: str = "openai/gpt-oss-120b",
) -> Reply:
    """An answer in the shape of https://console.groq.com/docs/api-reference#chat-create.

    ``calls`` are tool calls as id, name and arguments.
    """
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id_, name, arguments in calls
        ]
    return Reply(
        {
            "id": "chatcmpl-f51b2cd2-bef7-417e-964e-a08f0b513c22",
            "object": "chat.completion",
            "created": 1730241104,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": finish or ("tool_calls" if calls else "stop"),
                }
            ],
            "usage": {
                "queue_time": 0.037493756,
                "prompt_tokens": prompt,
                "prompt_time": 0.000680594,
                "completion_tokens": written,
                "completion_time": 0.463333333,
                "total_tokens": prompt + written,
                "total_time": 0.464013927,
            },
            "system_fingerprint": "fp_179b0f92c9",
            "x_groq": {"id": "req_01jbd6g2qdfw2adyrt2az8hz4w"},
        }
    )


def failure(status: int, code: str, message: str, **headers: str) -> Reply:
    """An error of that interface."""
    body = {"error": {"message": message, "type": "invalid_request_error", "code": code}}
    return Reply(body, status, {k.replace("_", "-"): v for k, v in headers.items()})
