"""Draining, verifying and holding a served application over its real HTTP interface."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.pipeline.release import Api, Refused, drain, hold, verify
from local.exchange.faults import Fault, error_answer
from shared.clock import iso
from shared.strategies.signal import Signal, signal_id
from tests.http.serving import Serving
from tests.http.test_http_trouble import exchange_down

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    running = Serving(tmp_path)
    running.services.kill_switch.ensure()
    yield running
    running.close()


class Said(list[str]):
    """What the script says; its waiting lets the application's time pass."""

    def __init__(self, served: Serving) -> None:
        self.api = Api(f"{served.url}/api", served.key)
        self.served = served
        self.then: Any = lambda: None

    def sleep(self, seconds: float) -> None:
        self.served.pass_time(seconds)
        self.then()

    def drain(self, patience: float = 120) -> bool:
        return drain(
            self.api,
            minutes=30,
            patience=patience,
            title="deployment 7",
            operator="pipeline",
            sleep=self.sleep,
            say=self.append,
        )

    def verify(self, patience: float = 30) -> bool:
        return verify(
            self.api, patience=patience, operator="pipeline", sleep=self.sleep, say=self.append
        )


def windows(served: Serving) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.request("GET", "/api/compliance/events").json()["events"]
    return found


def decided(served: Serving) -> dict[str, Any]:
    """The decision on a signal that would be traded at any other time."""
    now = served.clock.now_ms()
    end = now // 60_000 * 60_000
    close = float(served.services.exchange.book_ticker("ETHUSDT").ask_price)
    # On bars that the application does not look at: there it has signals of its own.
    name = signal_id("ETHUSDT", "5m", end, 1)
    served.services.engine.save(
        Signal(
            id=name,
            symbol="ETHUSDT",
            timeframe="5m",
            bar_open_time=end - 300_000,
            bar_close_time=end,
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
        f"/runtime/webhooks/durabletask/orchestrators/trade_workflow/{name}",
        json={"symbol": "ETHUSDT", "signal": name},
        key=served.master,
    )
    assert started.status_code == 202

    async def breathe() -> None:
        await asyncio.sleep(0.05)

    for _ in range(200):
        answer = served.request("GET", f"/api/decisions/{name}")
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()["decision"]
            return found
        served.do(breathe())
    raise AssertionError("nothing was decided")


def test_nothing_is_opened_while_it_is_drained(served: Serving) -> None:
    said = Said(served)
    began = served.clock.now_ms()
    assert said.drain()
    # It waited until what was decided before the window is over.
    (window,) = windows(served)
    assert window["symbol"] == "*"
    assert began + 60_000 < window["startsAt"] <= served.clock.now_ms()
    assert window["endsAt"] - window["startsAt"] == 30 * 60_000
    assert said[-1] == "drained: nothing is under way"
    decision = decided(served)
    assert decision["outcome"] == "declined"
    assert decision["reasons"] == ["restricted_window"]
    # Nothing was latched, and it ends by itself.
    status = served.request("GET", "/api/status").json()
    assert status["killSwitch"]["state"] == "armed"
    assert said.verify()
    assert said[-1] == f"entries are declined until {iso(window['endsAt'])}"


def test_an_order_under_way_is_waited_for(served: Serving) -> None:
    said = Said(served)
    switch = served.services.kill_switch

    # The guardian finds that there is no such order, and gives the permit back: taken once more.
    def sending() -> None:
        switch.acquire_permit("bq-e-under-way")

    sending()
    said.then = sending
    assert not said.drain(patience=90)
    assert "1 orders may still come to be" in said[-1]
    # Once it is known what became of it, a drain comes to its end.
    rounds = iter(range(100))
    said.then = lambda: sending() if next(rounds) < 20 else switch.release_permit("bq-e-under-way")
    assert said.drain()
    assert next(rounds) >= 20


def test_an_emergency_stop_is_not_deployed_over(served: Serving) -> None:
    served.services.kill_switch.latch("manual", {"operator": "eva"}, served.clock.now_ms())
    said = Said(served)
    # Nobody flattens here: as far as the application knows, positions may be open.
    assert not said.drain(patience=5)
    assert "an emergency stop is closing positions" in said[-1]


def test_an_application_that_is_not_healthy_does_not_pass(served: Serving) -> None:
    said = Said(served)
    with exchange_down(served):
        assert not said.verify()
        assert said[-1].startswith("NOT healthy after 30 s: 503, exchange")
        with pytest.raises(Refused, match="overloaded"):
            said.drain()
    assert said.verify()
    assert said[-1] == "no window declines entries"


def test_a_latched_switch_is_said(served: Serving) -> None:
    served.services.kill_switch.latch("manual", {"operator": "eva"}, served.clock.now_ms())
    said = Said(served)
    assert said.verify()
    assert "nothing is opened: the kill switch is latched" in said


def test_a_version_that_could_not_stop_does_not_pass(served: Serving) -> None:
    """Healthy, but the exchange refuses the order that would close: the drill says so."""
    refused = error_answer(400, -2015, "Invalid API-key, IP, or permissions for action.")
    served.faults.add(Fault(lambda r: r.path == "/fapi/v1/order/test", refused, times=10))
    said = Said(served)
    assert not said.verify()
    assert said[-1].startswith("drill of the emergency stop: closes:")


def test_a_failed_deployment_is_held_until_somebody_looks(served: Serving) -> None:
    said = Said(served)
    hold(said.api, hours=24, title="deployment 7 failed", operator="pipeline", say=said.append)
    (window,) = windows(served)
    assert window["startsAt"] <= served.clock.now_ms()
    assert window["endsAt"] - window["startsAt"] == 24 * 3_600_000
    assert window["id"] in said[-1]
    assert decided(served)["reasons"] == ["restricted_window"]


def test_the_script_as_a_pipeline_runs_it(served: Serving) -> None:
    def run(key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "infra/pipeline/release.py", *arguments],
            cwd=ROOT,
            env={"BORSA_API": f"{served.url}/api", "BORSA_KEY": key, "NO_PROXY": "*"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(served.key, "hold", "--hours", "1", "--title", "deployment 8")
    assert (done.returncode, done.stderr) == (0, "")
    assert [w["title"] for w in windows(served)] == ["deployment 8"]
    refused = run("wrong", "drain")
    assert refused.returncode == 1
    assert "GET status was answered with 401" in refused.stderr
    for text in (done.stdout, refused.stdout, refused.stderr):
        assert served.key not in text
    assert run("", "verify").returncode == 1


def test_times_are_those_of_the_application(served: Serving) -> None:
    """The clock of who deploys may be wrong; windows are judged by the application's."""
    hold(Api(f"{served.url}/api", served.key), hours=1, title="t", operator="o", say=str)
    (window,) = windows(served)
    told = datetime.fromisoformat(iso(window["startsAt"]))
    now = datetime.fromisoformat(iso(served.clock.now_ms()))
    assert abs(now - told) < timedelta(minutes=1)
