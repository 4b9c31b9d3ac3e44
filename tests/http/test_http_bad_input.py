"""Anything may come in over HTTP: a clear answer, no crash, no state change."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.http.serving import Serving, problem

STOP = "/api/emergency-stop"
CLEAR = "/api/kill-switch/clear"
VIOLATION = "/api/compliance/violations/spoofing-BTCUSDT-1"
CLOSE = f"{VIOLATION}/close"
EVENTS = "/api/compliance/events"
APPROVAL = "/api/approvals/BTCUSDT-1m-1746352860000-v1"

BODIES = [
    # path, body, status, what the answer says
    (CLEAR, b'{"reason": "x"', 400, "truncated"),
    (CLEAR, b"reason=x", 400, "malformed"),
    (CLEAR, b"[]", 400, "Expected `object`, got `array`"),
    (CLEAR, b"null", 400, "Expected `object`, got `null`"),
    (CLEAR, b'{"code": "1", "reason": 5}', 400, "Expected `str`, got `int` - at `$.reason`"),
    (CLEAR, b'{"code": NaN}', 400, "malformed"),
    (CLEAR, b'{"code": "\xff"}', 400, "utf-8"),
    (CLEAR, b'{"codes": "x"}', 400, "unknown field `codes`"),
    (CLEAR, b'{"reason": "' + b"x" * 16_384 + b'"}', 413, "at most 16384 are read"),
    (CLEAR, b"", 400, "missing required field `code`"),
    (CLEAR, b'{"code": 123456, "reason": "r", "operator": "o"}', 400, "$.code"),
    (CLEAR, b'{"code": -1, "reason": "r", "operator": "o"}', 400, "$.code"),
    (CLEAR, b'{"code": "1", "reason": "r", "operator": null}', 400, "$.operator"),
    (
        CLEAR,
        b'{"code": "123456", "reason": "a good reason", "operator": "eva"}',
        400,
        "not latched",
    ),
    (APPROVAL, b'{"decision": "maybe", "nonce": "n", "operator": "o"}', 400, "$.decision"),
    (APPROVAL, b'{"decision": "approve"}', 400, "missing required field"),
    (APPROVAL, b'{"decision": "approve", "nonce": "n", "operator": "o"}', 404, "no approval"),
    (CLOSE, b'{"code": "123456", "reason": "r", "operator": "o"}', 404, "no violation"),
    (CLOSE, b'{"code": "123456", "operator": "o"}', 400, "missing required field `reason`"),
    (CLOSE, b'{"code": 1, "reason": "r", "operator": "o"}', 400, "$.code"),
    (f"{VIOLATION}/acknowledge", b"[]", 400, "Expected `object`, got `array`"),
    (f"{VIOLATION}/acknowledge", b'{"operator": 7}', 400, "$.operator"),
    (f"{VIOLATION}/acknowledge", b'{"operator": "o"}', 404, "no violation"),
    (EVENTS, b'{"symbol": "*"}', 400, "missing required field"),
    (EVENTS, b'{"symbol": "*", "beforeMinutes": 1.5}', 400, "$.beforeMinutes"),
    (f"{EVENTS}/..%2Fstage/remove", b'{"code": "1", "reason": "r", "operator": "o"}', 404, ""),
    ("/api/compliance/scan?from=never", b"", 400, "from is 'never'"),
    ("/api/approvals/'; DROP TABLE approvals; --", b'{"decision":', 400, "truncated"),
    (
        "/api/approvals/..%2F..%2Fcontrol",
        b'{"decision": "approve", "nonce": "n", "operator": "o"}',
        404,
        "",
    ),
]


@pytest.mark.parametrize(("path", "body", "status", "says"), BODIES)
def test_a_body_that_cannot_be_used_is_refused_and_changes_nothing(
    app: Serving, path: str, body: bytes, status: int, says: str
) -> None:
    before = app.state()
    answer = app.request("POST", path, body)
    assert answer.status_code == status, answer.text
    if says:
        assert says.lower() in problem(answer).lower()
    assert app.state() == before


QUERIES = [
    *[
        (f"/api/{name}?limit={limit}", "use a whole number from 1 to 1000")
        for name, limit in (
            ("orders", "0"),
            ("orders", "-1"),
            ("trades", "1001"),
            ("trades", "1e2"),
            ("trades", "NaN"),
            ("signals", "Infinity"),
            ("signals", "%D9%A3"),  # an Arabic three
            ("signals", "9" * 400),
            ("orders", "1;DROP TABLE orders"),
            ("orders", ""),
        )
    ],
    *[
        (f"/api/signals?symbol={symbol}", "unknown symbol")
        for symbol in ("DOGEUSDT", "btcusdt", "BTCUSDT'%20OR%201=1--", "%00", "BTCUSDT%2F..", "")
    ],
    ("/api/signals?kind=everything", "unknown kind"),
    ("/api/compliance/violations?limit=0", "use a whole number from 1 to 1000"),
    ("/api/compliance/violations?state=pending", "use one of open, acknowledged, closed"),
    ("/api/compliance/violations?continuation=garbage", "continuation"),
    ("/api/orders?continuation=garbage", "continuation"),
    ("/api/orders?continuation=%00%FF", "continuation"),
    ("/api/trades?continuation=eyJhIjoxfQ==", "continuation"),
    ("/api/trades?continuation=" + "A" * 4000, "continuation"),
    ("/api/signals?symbol=BTCUSDT&continuation=W10=", "continuation"),
]


@pytest.mark.parametrize(("path", "says"), QUERIES)
def test_a_parameter_that_cannot_be_used_is_refused(app: Serving, path: str, says: str) -> None:
    answer = app.request("GET", path)
    assert answer.status_code == 400, answer.text
    assert says in problem(answer)


def test_text_that_looks_like_sql_is_only_text(app: Serving) -> None:
    before = app.state()
    answer = app.request("GET", "/api/orders?decision=x'%20OR%20'1'='1';DROP%20TABLE%20orders;--")
    assert (answer.status_code, answer.json()["orders"]) == (200, [])
    assert app.state() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nope"),
        ("GET", "/api/positions/BTCUSDT"),
        ("GET", "/api/..%2Fadmin/host/keys"),
        ("GET", "/positions"),
        ("GET", STOP),
        ("PUT", STOP),
        ("DELETE", "/api/positions"),
        ("POST", "/api/status"),
        ("PATCH", CLEAR),
    ],
)
def test_routes_and_methods_that_do_not_exist_are_not_found(
    app: Serving, method: str, path: str
) -> None:
    before = app.state()
    assert app.request(method, path).status_code == 404
    assert app.state() == before


@pytest.mark.parametrize("key", [None, "wrong", "' OR 1=1", "x" * 5000, "durabletask_extension"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", STOP),
        ("POST", CLEAR),
        ("POST", APPROVAL),
        ("POST", CLOSE),
        ("POST", EVENTS),
        ("GET", "/api/compliance"),
        ("GET", "/api/compliance/violations"),
        ("GET", "/api/status"),
        ("GET", "/api/positions"),
        ("GET", "/api/orders"),
        ("GET", "/api/trades"),
        ("GET", "/api/signals"),
        ("GET", "/api/approvals"),
        ("GET", "/admin/host/status"),
        ("GET", "/admin/functions"),
        ("GET", "/runtime/webhooks/durabletask/instances"),
    ],
)
def test_without_the_right_key_nothing_opens(
    app: Serving, method: str, path: str, key: str | None
) -> None:
    before = app.state()
    body = b'{"reason": "x"}' if method == "POST" else None
    assert app.request(method, path, body, key=key).status_code == 401
    assert app.state() == before


def test_a_function_key_opens_functions_and_nothing_else(app: Serving) -> None:
    assert app.request("GET", "/api/status").status_code == 200
    assert app.request("GET", f"/api/status?code={app.key}", key=None).status_code == 200
    assert app.request("GET", "/admin/host/status").status_code == 403
    assert app.request("GET", "/api/../admin/host/keys").status_code == 403
    assert app.request("GET", "/admin/host/status", key=app.master).status_code == 200


def test_health_needs_no_key_and_tells_no_figure(app: Serving) -> None:
    answer = app.request("GET", "/api/health", key=None)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert not {"equity", "positions", "walletBalance"} & set(str(answer.json()).split("'"))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # a TLS hello
        b"GET /api/health HTTP/9.9\r\n\r\n",
        b"POST /api/emergency-stop HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/emergency-stop HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_even_http_is_refused_and_the_next_request_is_served(
    app: Serving, sent: bytes
) -> None:
    before = app.state()
    with socket.create_connection(("127.0.0.1", int(app.url.rpartition(":")[2])), 10) as raw:
        raw.sendall(sent)
        raw.settimeout(30)
        first = raw.recv(4096)
    assert first == b"" or b" 400 " in first.partition(b"\r\n")[0]
    assert app.request("GET", "/api/health").status_code == 200
    assert app.state() == before


def test_a_body_above_what_the_server_reads_is_refused(app: Serving) -> None:
    before = app.state()
    answer: Any = app.request("POST", CLEAR, b" " * 2_000_000)
    assert answer.status_code == 413
    assert app.state() == before


@pytest.mark.parametrize(
    ("body", "noted"),
    [
        (b'{"reason": "x"', "could not be read"),
        (b'{"reason": 5}', "could not be read"),
        (b"x" * 20_000, "could not be read"),
        (b"\xff\x00", "could not be read"),
        (b"", "not given"),
    ],
)
def test_an_emergency_stop_is_never_refused_over_its_body(
    fresh: Serving, body: bytes, noted: str
) -> None:
    answer = fresh.request("POST", STOP, body)
    assert (answer.status_code, answer.json()["state"]) == (202, "latched")
    switch = fresh.request("GET", "/api/status").json()["killSwitch"]
    assert switch["state"] == "latched"
    assert noted in switch["evidence"]["reason"]
