"""What the application cannot use or loses: said over HTTP, survived, nothing half done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyotp
import pytest

from local.exchange.faults import Fault, error_answer
from local.platform import TOTP_SECRET, app_settings
from shared.bootstrap import Services
from shared.clock import utc
from shared.errors import ConfigurationError, StoreUnavailable
from shared.simulation.venue import MAIN
from shared.strategies.signal import Signal, signal_id
from tests.http.serving import NOW, Serving, problem

BAR_END = NOW // 60_000 * 60_000
SIGNAL = signal_id("BTCUSDT", "1m", BAR_END, 1)
CLEAR = "/api/kill-switch/clear"


# ---------------------------------------------------------------------- approvals


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Serving]:
    """An application of the stage that asks a person, with one trade waiting for the answer."""
    served = Serving(tmp_path, TRADING_STAGE="limited")
    close = float(served.services.exchange.book_ticker("BTCUSDT").ask_price)
    served.services.engine.save(
        Signal(
            id=SIGNAL,
            symbol="BTCUSDT",
            timeframe="1m",
            bar_open_time=BAR_END - 60_000,
            bar_close_time=BAR_END,
            side="BUY",
            strength=0.9,
            threshold=0.3,
            close=close,
            atr=close * 0.004,
            volatility=0.001,
            votes=[],
            window_digest="0" * 64,
        )
    )
    started = served.request(
        "POST",
        f"/runtime/webhooks/durabletask/orchestrators/trade_workflow/{SIGNAL}",
        json={"symbol": "BTCUSDT", "signal": SIGNAL},
        key=served.master,
    )
    assert started.status_code == 202, started.text
    wait_for(served, lambda: served.request("GET", "/api/approvals").json()["approvals"])
    yield served
    served.close()


def wait_for(served: Serving, condition: Any) -> Any:
    """Let the application run until the condition holds."""

    async def breathe() -> None:
        await asyncio.sleep(0.05)

    for _ in range(400):
        found = condition()
        if found:
            return found
        served.do(breathe())
    raise AssertionError("it did not happen")


def answer(served: Serving, **changes: Any) -> Any:
    (waiting,) = served.request("GET", "/api/approvals").json()["approvals"]
    body = {"decision": "approve", "nonce": waiting["nonce"], "operator": "eva", **changes}
    return served.request("POST", f"/api/approvals/{SIGNAL}", json=body)


def entries(served: Serving) -> int:
    """Orders that add exposure, in the exchange's own books."""
    return sum(not o.reduce_only for o in served.venue.ledger(MAIN).orders)


def test_an_approval_counts_once(asked: Serving) -> None:
    wrong = answer(asked, nonce="0" * 24)
    assert (wrong.status_code, "nonce" in problem(wrong)) == (400, True)
    assert answer(asked, operator="  ").status_code == 400
    assert entries(asked) == 0
    assert answer(asked).status_code == 200
    wait_for(asked, lambda: asked.request("GET", "/api/positions").json()["positions"])
    assert answer(asked).status_code == 200
    for other in ({"decision": "reject"}, {"operator": "adam"}):
        turned = answer(asked, **other)
        told = "this request is approved already, by eva; that holds"
        assert (turned.status_code, problem(turned)) == (409, told)
    assert entries(asked) == 1


def test_an_approval_that_comes_too_late_opens_nothing(asked: Serving) -> None:
    asked.pass_time(26)
    late = answer(asked)
    assert late.status_code == 409
    assert "expired" in problem(late)
    listed = wait_for(
        asked,
        lambda: [
            a
            for a in asked.request("GET", "/api/approvals").json()["approvals"]
            if a["state"] == "expired"
        ],
    )
    assert len(listed) == 1
    assert entries(asked) == 0
    assert asked.services.ledger.read().reservations == {}


# ---------------------------------------------------------------------- the exchange is down


DOWN = error_answer(503, -1008, "Server is currently overloaded with other requests.")


@contextmanager
def exchange_down(served: Serving) -> Iterator[None]:
    fault = Fault(lambda request: True, DOWN, times=10**9)
    served.faults.add(fault)
    try:
        yield
    finally:
        fault.times = 0


def test_an_exchange_that_is_down_is_named_and_survived(fresh: Serving) -> None:
    assert fresh.request("GET", "/api/health").status_code == 200
    with exchange_down(fresh):
        health = fresh.request("GET", "/api/health")
        assert (health.status_code, health.json()["status"]) == (503, "failing")
        checks = health.json()["checks"]
        assert not checks["exchange"]["ok"]
        assert "overloaded" in checks["exchange"]["error"]
        assert checks["store"]["ok"]
        for path in ("/api/status", "/api/positions"):
            failed = fresh.request("GET", path)
            assert (failed.status_code, "overloaded" in problem(failed)) == (502, True)
        for path in ("/api/orders", "/api/trades", "/api/signals", "/api/approvals"):
            assert fresh.request("GET", path).status_code == 200
        # Two rounds of every timer while nothing answers.
        fresh.pass_time(120)
        assert fresh.request("GET", "/api/health").status_code == 503
    wait_for(fresh, lambda: fresh.request("GET", "/api/health").status_code == 200)
    fresh.pass_time(60)
    wait_for(fresh, lambda: fresh.request("GET", "/api/signals").json()["signals"])
    assert entries(fresh) == 0


def test_an_emergency_stop_is_taken_while_the_exchange_is_down(fresh: Serving) -> None:
    with exchange_down(fresh):
        stopped = fresh.request("POST", "/api/emergency-stop", json={"reason": "test"})
        assert (stopped.status_code, stopped.json()["state"]) == (202, "latched")
        cleared = fresh.request(
            "POST",
            CLEAR,
            json={"code": code(fresh), "reason": "exchange is down", "operator": "eva"},
        )
        assert cleared.status_code == 502
    status = wait_for(fresh, lambda: fresh.request("GET", "/api/status").json().get("killSwitch"))
    assert (status["state"], status["trigger"]) == ("latched", "manual")


# ---------------------------------------------------------------------- the only way back


def code(served: Serving) -> str:
    return pyotp.TOTP(TOTP_SECRET).at(utc(served.clock.now_ms()))


def test_arming_takes_a_fresh_code_and_a_reason(fresh: Serving) -> None:
    def clear(**changes: Any) -> Any:
        body = {"code": code(fresh), "reason": "looked at it, all is well", "operator": "eva"}
        return fresh.request("POST", CLEAR, json={**body, **changes})

    assert fresh.request("POST", "/api/emergency-stop").status_code == 202
    for changes, says in (
        ({"reason": "short"}, "reason"),
        ({"operator": ""}, "operator"),
        ({"code": "000000"}, "code is wrong"),
        ({"code": "' OR 1"}, "code is wrong"),
    ):
        refused = clear(**changes)
        assert (refused.status_code, says in problem(refused)) == (400, True), refused.text
    used = code(fresh)
    assert clear(code=used).status_code == 200
    assert fresh.request("POST", "/api/emergency-stop").status_code == 202
    again = clear(code=used)
    assert (again.status_code, "used already" in problem(again)) == (400, True)


# ---------------------------------------------------------------------- the disk is full


def _fill(store: Any) -> None:
    for number in range(100_000):
        store.create("leases", {"id": f"filler-{number}", "text": "x" * 400})


@contextmanager
def disk_full(served: Serving) -> Iterator[None]:
    """SQLite may not take one page more, and has none to spare."""
    store = served.store
    with store._lock:
        connection = store._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        _fill(store)
    try:
        yield
    finally:
        with store._lock:
            connection.execute("PRAGMA max_page_count = 1073741823")


def test_a_full_disk_is_a_clear_error_and_nothing_is_half_done(fresh: Serving) -> None:
    assert fresh.request("GET", "/api/status").status_code == 200
    with disk_full(fresh):
        before = fresh.state()
        for index in range(3):
            failed = fresh.request(
                "POST",
                CLEAR if index else "/api/approvals/none",
                json={"code": "1", "reason": "no reason at all", "operator": "eva"}
                if index
                else {"decision": "approve", "nonce": "n", "operator": "eva"},
            )
            assert failed.status_code in (400, 404)
        # Minutes pass: signals cannot be kept, so nothing is traded on them.
        fresh.pass_time(180)
        assert fresh.request("GET", "/api/orders").status_code == 200
        after = fresh.state()
        assert after["exchange"] == before["exchange"]
        assert after["signals"] == before["signals"]
        assert after["orders"] == before["orders"]
    fresh.pass_time(60)
    wait_for(fresh, lambda: fresh.request("GET", "/api/signals").json()["signals"])
    assert fresh.request("GET", "/api/health").status_code == 200


def test_an_emergency_stop_closes_positions_even_when_nothing_can_be_written(
    asked: Serving,
) -> None:
    assert answer(asked).status_code == 200
    wait_for(asked, lambda: asked.request("GET", "/api/positions").json()["positions"])
    with disk_full(asked):
        stopped = asked.request(
            "POST", "/api/emergency-stop", json={"reason": "r" * 400, "operator": "o" * 90}
        )
        assert stopped.status_code == 202, stopped.text
        wait_for(asked, lambda: not [p for p in held(asked) if p])
    assert entries(asked) == 1


def held(served: Serving) -> list[bool]:
    """Per position of the exchange's books, whether it is open."""
    return [bool(p.quantity) for p in served.venue.ledger(MAIN).positions]


# ---------------------------------------------------------------------- settings


def test_every_wrong_setting_is_named_at_once() -> None:
    settings = app_settings(
        "http://exchange.invalid",
        TRADING_STAGE="yolo",
        SYMBOLS="btc usdt",
        TIMEFRAMES="7m",
        MAX_LEVERAGE="125",
        MAX_DAILY_LOSS="NaN",
        RISK_PER_TRADE="-1",
        ALERT_LOGIC_APP_URL="ftp://x",
    )
    with pytest.raises(ConfigurationError) as told:
        _ = Services(settings).settings
    named = {p.split(" ")[0] for p in told.value.problems}
    assert named == {
        "TRADING_STAGE",
        "SYMBOLS",
        "TIMEFRAMES",
        "MAX_LEVERAGE",
        "MAX_DAILY_LOSS",
        "RISK_PER_TRADE",
        "ALERT_LOGIC_APP_URL",
    }
    for text in told.value.problems:
        assert "must be" in text


def test_an_application_with_wrong_settings_answers_and_says_so(tmp_path: Path) -> None:
    served = Serving(tmp_path, MAX_LEVERAGE="125", RISK_PER_TRADE="2")
    try:
        health = served.request("GET", "/api/health")
        assert health.status_code == 503
        told = health.json()["checks"]["settings"]["error"]
        assert "MAX_LEVERAGE" in told
        assert "RISK_PER_TRADE" in told
        for path in ("/api/status", "/api/orders", "/api/signals"):
            refused = served.request("GET", path)
            assert (refused.status_code, "MAX_LEVERAGE" in problem(refused)) == (503, True)
        served.pass_time(120)
        assert served.request("GET", "/api/health").status_code == 503
    finally:
        served.close()


def test_a_function_that_cannot_be_indexed_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "function_app.py").write_text("raise ValueError('broken on purpose')\n")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    monkeypatch.setattr("local.platform.ROOT", tmp_path)
    with pytest.raises(ConfigurationError):
        Serving(tmp_path)
