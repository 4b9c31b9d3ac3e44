"""The client of outside services against a real server: bounded, patient, and never followed."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ServiceThrottled, ServiceUnavailable
from shared.remote.http import PATIENCE_S, RemoteHttp, retry_after
from shared.remote.identity import bearer
from tests.opinions.conftest import START
from tests.opinions.remote_server import Remote, Reply


def asked(server: Remote, clock: VirtualClock, **options: object) -> RemoteHttp:
    return RemoteHttp("the service", clock, **options)  # type: ignore[arg-type]


def test_what_is_sent_and_what_comes_back(server: Remote, clock: VirtualClock) -> None:
    server.will(Reply(b"hello", 200, {"X-Thing": "7"}))
    answer = asked(server, clock).ask("POST", f"{server.url}/a?b=c", headers={"K": "v"}, body=b"in")
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (200, b"hello", "7")
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.headers["k"], seen.body) == ("POST", "/a?b=c", "v", b"in")


@pytest.mark.parametrize("status", [200, 201, 202, 302, 400, 401, 404, 422])
def test_these_are_for_the_caller_to_judge(
    server: Remote, clock: VirtualClock, status: int
) -> None:
    # A redirect among them: the key of this service goes nowhere else.
    server.will(Reply(b"x", status, {"Location": f"{server.url}/elsewhere"}))
    assert asked(server, clock).ask("GET", server.url).status == status
    assert len(server.seen) == 1
    assert clock.now_ms() == START


def test_a_pause_that_is_asked_for_is_kept(server: Remote, clock: VirtualClock) -> None:
    server.will(Reply(b"", 429, {"Retry-After": "7"}), Reply(b"done"))
    answer = asked(server, clock).ask("POST", server.url, body=b"{}", repeatable=False)
    assert answer.body == b"done"
    assert clock.now_ms() - START == 7_000


def test_a_pause_that_is_too_long_is_told(server: Remote, clock: VirtualClock) -> None:
    server.will(Reply(b"", 429, {"Retry-After": str(PATIENCE_S + 1)}))
    with pytest.raises(ServiceThrottled) as told:
        asked(server, clock).ask("GET", server.url)
    assert told.value.retry_after == PATIENCE_S + 1
    assert (len(server.seen), clock.now_ms()) == (1, START)


def test_no_more_than_three_tries(server: Remote, clock: VirtualClock) -> None:
    server.always(lambda _: Reply(b"", 503))
    with pytest.raises(ServiceUnavailable, match="answered 503"):
        asked(server, clock).ask("POST", server.url, body=b"{}", repeatable=False)
    assert len(server.seen) == 3
    assert clock.now_ms() - START == 1_000 + 2_000


def test_what_may_have_been_done_is_not_done_twice(server: Remote, clock: VirtualClock) -> None:
    server.will(Reply(b"x" * 100, cut=3))
    with pytest.raises(ServiceUnavailable) as told:
        asked(server, clock).ask("POST", server.url, body=b"{}", repeatable=False)
    assert told.value.sent
    server.will(Reply(b"", 500))
    with pytest.raises(ServiceUnavailable) as told:
        asked(server, clock).ask("POST", server.url, body=b"{}", repeatable=False)
    assert told.value.sent
    assert len(server.seen) == 2


def test_a_lost_answer_is_asked_for_again_where_that_is_harmless(
    server: Remote, clock: VirtualClock
) -> None:
    server.will(Reply(b"x" * 100, cut=3), Reply(b"whole"))
    assert asked(server, clock).ask("GET", server.url).body == b"whole"


def test_nobody_listens(clock: VirtualClock) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/?key=hidden"
        with pytest.raises(ServiceUnavailable) as told:
            RemoteHttp("the service", clock).ask("POST", url, body=b"{}", repeatable=False)
    assert not told.value.sent
    assert "hidden" not in str(told.value)


def test_a_long_answer_is_refused(server: Remote, clock: VirtualClock) -> None:
    server.will(Reply(b"x" * 1001))
    with pytest.raises(ServiceUnavailable, match="more than 1000 bytes"):
        asked(server, clock, most_bytes=1000).ask("GET", server.url, repeatable=False)
    server.will(Reply(b"x" * 1000))
    assert len(asked(server, clock, most_bytes=1000).ask("GET", server.url).body) == 1000


def test_the_whole_call_has_a_limit(server: Remote, clock: VirtualClock) -> None:
    server.always(lambda _: Reply(b"", 503, {"Retry-After": "8"}))
    with pytest.raises(ServiceUnavailable):
        asked(server, clock, limit_s=10).ask("GET", server.url)
    assert clock.now_ms() - START == 8_000  # a second pause would go beyond


def test_a_byte_now_and_then_is_no_answer_for_ever(clock: VirtualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with listening.accept()[0] as line:
                line.recv(65_536)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
                clock.sleep(61)
                line.sendall(b"x")
                line.recv(1)  # until the other side has hung up

        server = threading.Thread(target=drip)
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(ServiceUnavailable, match="did not finish its answer in 60 s"):
            RemoteHttp("the service", clock).ask("GET", url, repeatable=False)
        server.join()


@pytest.mark.parametrize(
    ("scheme", "beginning", "sent"),
    [
        ("http", b"", True),
        ("http", b"HTTP/1.1 200 OK\r\n", True),
        ("http", b"HTTP/1.1 200 OK\r\nX-Thing: ", True),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n", True),
        # A record of TLS, which is a handshake message that never comes to its end.
        ("https", b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", False),
    ],
    ids=["status", "headers", "header", "body", "handshake"],
)
def test_whatever_comes_byte_by_byte_has_an_end(
    clock: VirtualClock, scheme: str, beginning: bytes, sent: bool
) -> None:
    """Each byte comes in time, and the whole never."""
    hung_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with listening.accept()[0] as line, suppress(OSError):
                line.sendall(beginning)
                while not hung_up.wait(0.05):
                    line.sendall(b"x")

        server = threading.Thread(target=drip)
        server.start()
        url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="did not finish its answer in 2 s") as told:
            RemoteHttp("the service", clock, limit_s=2).ask("GET", url, repeatable=False)
        assert 2 <= time.monotonic() - began < 20
        assert told.value.sent is sent
        # The line is cut: the other side finds out by itself.
        server.join(20)
        assert not server.is_alive()
        hung_up.set()


def test_a_line_that_is_used_again_has_an_end_too(clock: VirtualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer_once() -> None:
            with listening.accept()[0] as line, suppress(OSError):
                line.recv(65_536)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
                line.recv(65_536)
                while True:
                    line.sendall(b"x")
                    time.sleep(0.05)

        server = threading.Thread(target=answer_once)
        server.start()
        client = RemoteHttp("the service", clock, limit_s=2)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert client.ask("GET", url).body == b"one"
        with pytest.raises(ServiceUnavailable, match="did not finish its answer in 2 s"):
            client.ask("GET", url, repeatable=False)
        server.join(20)
        assert not server.is_alive()


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("Sun, 04 May 2025 10:00:30 GMT", 30),
        ("Sun, 04 May 2025 09:59:30 GMT", 0),
        ("", 0),
        ("soon", 0),
        ("-4", 0),
        ("nan", 0),
        ("inf", 0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0),
    ],
)
def test_retry_after(told: str, seconds: float) -> None:
    assert retry_after({"retry-after": told}, START) == seconds
    assert retry_after({}, START) == 0


@given(st.text(st.characters(max_codepoint=255, exclude_categories=("Cc",)), max_size=40))
def test_retry_after_is_a_pause_whatever_it_says(told: str) -> None:
    assert retry_after({"retry-after": told}, START) >= 0


def test_a_token_that_cannot_be_had_is_told_without_its_reasons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from azure.core.exceptions import ServiceRequestError

    class Away:
        def __init__(self, client_id: str) -> None:
            self.client_id = client_id

        def get_token(self, scope: str) -> None:
            raise ServiceRequestError(f"no route to 169.254.169.254 for {self.client_id}")

    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", Away)
    with pytest.raises(ServiceUnavailable) as told:
        bearer("4711")()
    assert "Cognitive Services User" in str(told.value)
    assert "169.254" not in str(told.value)
