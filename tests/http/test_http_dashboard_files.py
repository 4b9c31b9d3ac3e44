"""The dashboard's files: served without a key, nothing else with them, and never old ones."""

from __future__ import annotations

import gzip
import re
import socket

import pytest
import requests

from functions.web import FILES, FOLDER, policy
from tests.http.serving import Serving


def fetch(app: Serving, name: str, **headers: str) -> requests.Response:
    return app.request("GET", f"/api/ui/{name}", key=None, headers=headers)


def test_every_file_of_the_folder_is_served_and_every_named_file_is_there(app: Serving) -> None:
    assert {p.name for p in FOLDER.iterdir()} == set(FILES)
    for name, kind in FILES.items():
        answer = fetch(app, name)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == kind
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["Content-Security-Policy"] == policy()
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert app.request("GET", "/api/ui", key=None).content == fetch(app, "index.html").content


def test_files_name_only_files_that_are_served() -> None:
    named = set()
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        named |= set(re.findall(r'"/api/ui/([^"]+)"', text))
        named |= set(re.findall(r'from "\./([^"]+)"', text))
        # Nothing from elsewhere, and nothing that the policy refuses.
        assert not re.findall(r"""(?:src|href|from|import)\s*[=(]?\s*["'](?:https?:)?//""", text)
        assert not re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text
        )
        assert path.suffix != ".html" or not re.findall(
            r"<script(?![^>]*src=)|\son\w+=|style=", text
        )
    assert named == set(FILES) - {"index.html"}


def test_a_kept_file_is_asked_for_again_and_not_sent_again(app: Serving) -> None:
    first = fetch(app, "app.js", **{"Accept-Encoding": "identity"})
    assert first.headers["Cache-Control"] == "no-cache"
    again = fetch(app, "app.js", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    listed = fetch(app, "app.js", **{"If-None-Match": f'"x", {first.headers["ETag"]}'})
    assert listed.status_code == 304
    assert fetch(app, "app.js", **{"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [("gzip, deflate, br", True), ("GZIP", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_compressed_for_who_takes_it(app: Serving, accepts: str, packed: bool) -> None:
    url = f"{app.url}/api/ui/style.css"
    with requests.get(url, headers={"Accept-Encoding": accepts}, stream=True, timeout=60) as answer:
        raw = answer.raw.read(decode_content=False)
        assert (answer.headers.get("Content-Encoding") == "gzip") is packed
        assert answer.headers["Vary"] == "Accept-Encoding"
    plain = (FOLDER / "style.css").read_bytes()
    assert (gzip.decompress(raw) if packed else raw) == plain
    assert not packed or len(raw) < len(plain) / 2


@pytest.mark.parametrize(
    "name",
    [
        "../function_app.py",
        "..%2ffunction_app.py",
        "%2e%2e/host.json",
        "....//host.json",
        "..\\host.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "app.js/../../host.json",
        "index.html%00.js",
        "APP.JS",
        "local.settings.json",
        ".",
        "..",
    ],
)
def test_what_is_not_named_does_not_exist(app: Serving, name: str) -> None:
    # Over a bare socket: clients tidy such paths up before they send them.
    with socket.create_connection(("127.0.0.1", int(app.url.rpartition(":")[2]))) as line:
        line.sendall(
            f"GET /api/ui/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        got = b"".join(iter(lambda: line.recv(65536), b""))
    status = int(got.split(b" ", 2)[1])
    assert status in (400, 404) or (name == "." and status == 200)
    assert b"root:" not in got
    assert b"extensionBundle" not in got


def test_files_hold_no_figure_and_no_key(app: Serving) -> None:
    for name in FILES:
        assert app.key.encode() not in fetch(app, name).content


def test_only_reading(app: Serving) -> None:
    assert app.request("POST", "/api/ui/app.js", b"x", key=None).status_code == 404


def test_the_policy_names_the_live_service_of_the_deployment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "connect-src 'self';" in policy()
    name = "AzureSignalRConnectionString__serviceUri"
    monkeypatch.setenv(name, "https://sigr-borsa-1.service.signalr.net")
    there = "https://sigr-borsa-1.service.signalr.net wss://sigr-borsa-1.service.signalr.net"
    assert f"connect-src 'self' {there};" in policy()
