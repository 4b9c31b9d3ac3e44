"""The training job is started over real HTTP to a local stand-in for Azure Resource Manager."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ConfigurationError, Conflict, JobRefused, JobUnknown
from shared.operations.container_jobs import ContainerJobs
from shared.operations.retraining import Retraining, last_start, told
from shared.storage.sqlite import SqliteStore

NOW = 1_767_571_200_000
DAY = 86_400_000
JOB = "/subscriptions/0a/resourceGroups/rg-x/providers/Microsoft.App/jobs/caj-train"


class Arm:
    """Answers as the documentation of Jobs - Start says, or with what a test sets."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {"name": "caj-train-abc12", "id": f"{JOB}/executions/caj-train-abc12"}
        self.asked: list[tuple[str, str | None]] = []
        self.silent = False
        arm = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                arm.asked.append((self.path, self.headers["Authorization"]))
                if arm.silent:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                text = b"" if arm.body is None else json.dumps(arm.body).encode()
                self.send_response(arm.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def jobs(self) -> ContainerJobs:
        return ContainerJobs(self.url + JOB, lambda audience: f"token for {audience}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def arm() -> Iterator[Arm]:
    running = Arm()
    yield running
    running.close()


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with_clock = SqliteStore(":memory:", clock=VirtualClock(NOW))
    yield with_clock
    with_clock.close()


def test_the_call_is_the_documented_one(arm: Arm) -> None:
    assert arm.jobs().start() == "caj-train-abc12"
    assert arm.asked == [
        (f"{JOB}/start?api-version=2025-07-01", f"Bearer token for {arm.url}"),
    ]
    # 202: accepted, with nothing in it.
    arm.status, arm.body = 202, None
    assert arm.jobs().start() == ""


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, JobRefused) for status in (302, 400, 403, 404, 409, 429)),
        *((status, JobUnknown) for status in (500, 503)),
    ],
)
def test_what_is_refused_was_not_started(arm: Arm, status: int, error: type[Exception]) -> None:
    arm.status, arm.body = status, {"error": {"code": "AuthorizationFailed", "message": "no"}}
    with pytest.raises(error, match=f"HTTP {status} AuthorizationFailed"):
        arm.jobs().start()
    assert len(arm.asked) == 1  # nothing is followed, nothing sent twice


def test_no_answer_is_not_known_and_no_connection_is_no_start(arm: Arm) -> None:
    arm.silent = True
    with pytest.raises(JobUnknown, match="no answer"):
        arm.jobs().start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(JobRefused, match="no connection"):
            ContainerJobs(nobody + JOB, lambda audience: "t").start()


def test_without_a_token_nothing_is_sent_and_no_secret_told(arm: Arm) -> None:
    def broken(audience: str) -> str:
        raise ValueError("the secret is s3cret")

    with pytest.raises(JobRefused, match="no token: ValueError") as caught:
        ContainerJobs(arm.url + JOB, broken).start()
    assert "s3cret" not in str(caught.value)
    assert arm.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://management.azure.com",
        "https://management.azure.com/subscriptions/0a/resourceGroups/rg/providers/X.Y/jobs/j",
        "https://management.azure.com/subscriptions/0a/resourceGroups//providers/Microsoft.App/"
        "jobs/j",
        f"https://management.azure.com{JOB}/start",
        f"https://management.azure.com{JOB}?x=1",
        f"http://management.azure.com{JOB}",
        JOB,
    ],
)
def test_another_address_gets_no_token(url: str) -> None:
    with pytest.raises(ConfigurationError, match="RETRAINING_JOB"):
        ContainerJobs(url, lambda audience: "t")


class Scripted:
    """Jobs that do what they are told next."""

    def __init__(self) -> None:
        self.outcome: Callable[[], str] = lambda: "run-1"
        self.starts = 0

    def start(self) -> str:
        name = self.outcome()
        self.starts += 1
        return name


def _raise(error: Exception) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail


def test_once_in_so_many_days_and_what_was_refused_does_not_count(store: SqliteStore) -> None:
    clock, jobs = VirtualClock(NOW), Scripted()
    retraining = Retraining(store, clock, jobs, least_days=14)
    assert last_start(store) is None
    jobs.outcome = _raise(JobRefused("HTTP 403"))
    refused = retraining.start("gru fails")
    assert refused is not None
    assert (refused.state, last_start(store)) == ("refused", refused)
    assert "not started: HTTP 403" in told(refused)

    jobs.outcome = lambda: "run-1"
    clock.sleep(86_400)
    first = retraining.start("gru fails")
    assert first is not None
    assert (first.state, first.execution, first.at) == ("started", "run-1", NOW + DAY)
    clock.sleep(13 * 86_400)
    assert retraining.start("gru fails") is None
    clock.sleep(86_400)
    jobs.outcome = _raise(JobUnknown("HTTP 500"))
    unknown = retraining.start("gru fails")
    assert unknown is not None
    assert unknown.state == "unknown"
    clock.sleep(86_400)
    assert retraining.start("gru fails") is None
    assert jobs.starts == 1


def test_a_crash_in_between_does_not_start_it_again(store: SqliteStore) -> None:
    clock, jobs = VirtualClock(NOW), Scripted()
    jobs.outcome = _raise(KeyboardInterrupt())
    retraining = Retraining(store, clock, jobs, least_days=14)
    with pytest.raises(KeyboardInterrupt):
        retraining.start("drift")
    found = last_start(store)
    assert found is not None
    assert found.state == "claimed"
    jobs.outcome = lambda: "run-2"
    assert retraining.start("drift") is None


def test_of_two_instances_one_starts_it(store: SqliteStore) -> None:
    clock, jobs = VirtualClock(NOW), Scripted()
    other = Retraining(store, clock, Scripted(), least_days=7)

    class Raced(SqliteStore):
        """Between our reading and writing, somebody else starts the job."""

        def create(self, container: str, body: Any, *, ttl: int | None = None) -> Any:
            assert other.start("theirs") is not None
            return store.create(container, body, ttl=ttl)

        def get(self, container: str, partition: str, id: str) -> Any:
            return store.get(container, partition, id)

    raced = Raced(":memory:", clock=clock)
    try:
        assert Retraining(raced, clock, jobs, least_days=7).start("ours") is None
    finally:
        raced.close()
    assert jobs.starts == 0
    found = last_start(store)
    assert found is not None
    assert found.reason == "theirs"


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(["ok", "refused", "unknown"])), max_size=20
    ),
    st.integers(1, 10),
)
def test_never_two_starts_within_the_days(steps: list[tuple[int, str]], least: int) -> None:
    clock = VirtualClock(NOW)
    store = SqliteStore(":memory:", clock=clock)
    happened: list[int] = []
    try:
        for days, outcome in steps:
            clock.sleep(days * 86_400)

            class Once:
                def start(self, outcome: str = outcome) -> str:
                    if outcome == "refused":
                        raise JobRefused("no")
                    happened.append(clock.now_ms())
                    if outcome == "unknown":
                        raise JobUnknown("perhaps")
                    return "run"

            Retraining(store, clock, Once(), least_days=least).start("drift")
    finally:
        store.close()
    assert all(b - a >= least * DAY for a, b in pairwise(happened))


def test_the_note_of_a_start_that_changed_meanwhile_is_not_overwritten(store: SqliteStore) -> None:
    clock, jobs = VirtualClock(NOW), Scripted()

    def meddle() -> str:
        found = store.get("models", "retraining", "start:last")
        assert found is not None
        store.replace("models", {**found.body, "reason": "changed"}, etag=found.etag)
        return "run-1"

    jobs.outcome = meddle
    with pytest.raises(Conflict):
        Retraining(store, clock, jobs, least_days=7).start("drift")
