"""A bar out of the ordinary is recorded, told once and listed; off, nothing looks at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.exchange.faults import ApiRequest, ApiResponse
from tests.http.serving import NOW, Serving, problem

MINUTE = 60_000
#: Open of the bar before the one that NOW lies in.
NEWEST = NOW - NOW % MINUTE - MINUTE


def served(folder: Path, mode: str) -> Iterator[Serving]:
    # So slow that no timer is due by itself.
    found = Serving(folder, speed=0.001, ANOMALIES=mode)
    found.services.kill_switch.ensure()
    yield found
    found.close()


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Serving]:
    yield from served(tmp_path, "record")


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Serving]:
    yield from served(tmp_path, "alert")


def crash(app: Serving, at: int = NEWEST, by: float = 0.1) -> list[str]:
    """The exchange's bar that opened then closed far lower, with much volume; requests are kept."""
    asked: list[str] = []

    def after(request: ApiRequest, response: ApiResponse) -> ApiResponse:
        if request.path != "/fapi/v1/klines" or response.status != 200:
            return response
        asked.append(request.query)
        rows = json.loads(response.body)
        for row in rows:
            if row[0] == at and "BTCUSDT" in request.query:
                row[4] = f"{float(row[4]) * (1 - by):.1f}"
                row[3] = row[4]
                row[5] = f"{float(row[5]) * 500:.3f}"
        return replace(response, body=json.dumps(rows).encode())

    app.faults.after = after  # type: ignore[method-assign]
    return asked


def look(app: Serving) -> None:
    invocation = app.do(app.platform.host.invoke("watch_anomalies"))
    assert invocation.error is None, invocation.error


def told(app: Serving, path: str = "") -> list[dict[str, Any]]:
    answer = app.request("GET", f"/api/anomalies{path}")
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["anomalies"]
    return rows


def alerts(app: Serving) -> list[dict[str, Any]]:
    found = app.request("GET", "/api/alerts?kind=anomaly").json()["alerts"]
    return list(found)


def test_a_crash_is_recorded_once_and_listed(recording: Serving) -> None:
    crash(recording)
    look(recording)
    look(recording)
    (row,) = [r for r in told(recording, "?symbol=BTCUSDT") if r["time"] == NEWEST + MINUTE]
    kinds = {one["kind"]: one for one in row["anomalies"]}
    assert {"jump", "return", "volume"} <= set(kinds)
    assert kinds["jump"]["value"] < -0.09
    assert kinds["jump"]["figure"] >= kinds["jump"]["threshold"]
    assert row["id"] == f"anomaly-BTCUSDT-1m-{NEWEST + MINUTE}"
    # Of all symbols together it is there as well, and of another time frame it is not.
    assert row in told(recording)
    assert row not in told(recording, "?symbol=BTCUSDT&timeframe=5m")
    assert recording.request("GET", "/api/anomalies").json()["watching"] == "record"
    # Recording tells nobody, and what are signals is not what are anomalies.
    assert alerts(recording) == []
    assert recording.request("GET", "/api/signals?symbol=BTCUSDT").json()["signals"] == []


def test_told_once_in_six_hours_and_candles_are_read_once(telling: Serving) -> None:
    asked = crash(telling)
    look(telling)
    first = len(asked)
    assert first > 0
    look(telling)
    # The bar is known: nothing is asked again within it.
    assert len(asked) == first
    (alert,) = [a for a in alerts(telling) if "BTCUSDT" in a["title"]]
    assert alert["severity"] == "warning"
    assert "jump" in alert["title"]
    assert "-10" in alert["text"] or "-9" in alert["text"]
    # Another bar of the same market within six hours is a record and no alert.
    telling.pass_time(60)
    crash(telling, NEWEST + MINUTE, by=0.2)
    look(telling)
    bars = {r["time"] for r in told(telling, "?symbol=BTCUSDT")}
    assert {NEWEST + MINUTE, NEWEST + 2 * MINUTE} <= bars
    assert len([a for a in alerts(telling) if "BTCUSDT" in a["title"]]) == 1


def test_off_nothing_looks(app: Serving) -> None:
    asked = crash(app)
    look(app)
    assert asked == []
    answer = app.request("GET", "/api/anomalies").json()
    assert answer == {"watching": "off", "anomalies": [], "continuation": None}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("?symbol=DOGEUSDT", "unknown symbol 'DOGEUSDT'"),
        ("?timeframe=7m", "unknown time frame '7m'"),
        ("?limit=0", "limit is '0'"),
    ],
)
def test_what_cannot_be_asked(app: Serving, path: str, message: str) -> None:
    answer = app.request("GET", f"/api/anomalies{path}")
    assert answer.status_code == 400
    assert message in problem(answer)


def test_an_exchange_that_is_away_is_tried_again(recording: Serving) -> None:
    def before(request: ApiRequest) -> ApiResponse | None:
        if request.path == "/fapi/v1/klines":
            return ApiResponse(503, {}, b"{}")
        return None

    away = recording.faults.before
    recording.faults.before = before  # type: ignore[assignment, method-assign]
    look(recording)
    assert told(recording) == []
    recording.faults.before = away  # type: ignore[method-assign]
    crash(recording)
    look(recording)
    assert told(recording, "?symbol=BTCUSDT")
