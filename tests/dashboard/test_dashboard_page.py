"""The dashboard in a real browser, on the real application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from local.browser import Page
from local.platform import TOTP_SECRET
from tests.cli.command_line import Live
from tests.http.serving import NOW, Serving
from tests.opinions.remote_server import Remote, completion, remote

pytestmark = pytest.mark.xdist_group("dashboard")

HOSTILE = "<img src=x onerror='window.hit=1'><script>window.hit=2</script>"


@pytest.fixture(scope="module")
def model() -> Iterator[Remote]:
    """A language model that says what a test has it say."""
    with remote() as served:
        yield served


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, model: Remote) -> Iterator[Serving]:
    # So slow that nothing happens but what a test does.
    served = Serving(
        tmp_path_factory.mktemp("served"), speed=0.01, LLM_BASE_URL=model.url, LLM_KEY_NAME="none"
    )
    served.services.kill_switch.ensure()
    yield served
    served.close()


@pytest.fixture
def opened(app: Serving, page: Page) -> Page:
    """The dashboard with its figures, opened as `./run` prints its address."""
    page.open(f"{app.url}/api/ui#key={app.key}")
    page.wait("document.querySelectorAll('#figures .tile').length")
    return page


def test_a_running_application_is_shown_and_stopped_with_two_clicks(
    page: Page, tmp_path: Path
) -> None:
    live = Live(tmp_path, "--speed", "240", "--port", "0", "--page-port", "0")
    try:
        live.wait_for_line(" opened ")
        page.size(390, 844)  # on a phone
        page.open(live.announced()["page"])
        page.wait("document.querySelectorAll('#figures .tile').length")
        # The key is in the tab, no longer in its address.
        assert "key" not in page.ask("location.href")
        page.wait("document.querySelectorAll('#positions tbody tr').length")
        row = page.text("#positions tbody tr")
        assert "USDT" in row
        assert "long" in row or "short" in row

        page.click("#stop")
        page.wait_text("#stop", "Click again")
        assert live.api("GET", "status").json()["killSwitch"]["state"] == "armed"
        page.ask("new Promise(done => setTimeout(done, 400))")  # no double click stops
        page.click("#stop")
        page.wait_text("#switch", "LATCHED")
        page.wait_text("#latched-facts", "flat at")
        page.wait_text("#positions", "No open position")
        page.wait_text("#trades", "emergency stop")
        assert live.open_positions() == []
        assert page.ask("document.title").startswith("LATCHED")
    finally:
        live.close()


def test_no_key_and_a_wrong_key_show_nothing(app: Serving, page: Page) -> None:
    page.open(f"{app.url}/api/ui")
    page.wait("document.querySelector('#login')?.hidden === false")
    assert page.ask("document.querySelector('#main').hidden")
    page.write("#key", "wrong")
    page.click("#login [type=submit]")
    page.wait_text("#login-said", "refused")
    assert page.ask("sessionStorage.getItem('borsa.key')") is None
    # Stopping without a key says that it did not work.
    page.click("#stop")
    page.ask("new Promise(done => setTimeout(done, 400))")
    page.click("#stop")
    page.wait_text("#said", "DID NOT GET THROUGH")
    page.write("#key", app.key)
    page.click("#login [type=submit]")
    page.wait("document.querySelectorAll('#figures .tile').length")
    assert page.text("#figures b").replace(",", "") == "5000.00"
    # Nothing has run yet here: that is not told as health.
    assert page.text("#health-badge") == "market data?, guardian?, alerts"


def test_clearing_takes_the_right_code(app: Serving, opened: Page) -> None:
    app.services.kill_switch.latch("manual", {"operator": "ada", "at": 1}, app.clock.now_ms())
    opened.wait_text("#latched-title", "manual")
    for code, reason, says in (
        ("000000", "looked at everything", "the code is wrong"),
        (now_code(app), "short", "at least 10 characters"),
    ):
        opened.write("#clear [name=code]", code)
        opened.write("#clear [name=reason]", reason)
        opened.write("#clear [name=operator]", "ada")
        opened.click("#clear button")
        opened.wait_text("#clear-said", says)
        assert app.services.kill_switch.ensure().state == "latched"
    opened.write("#clear [name=code]", now_code(app))
    opened.write("#clear [name=reason]", "looked at everything")
    opened.click("#clear button")
    opened.wait_text("#switch", "armed")
    assert opened.ask("document.querySelector('#latched').hidden")
    assert app.services.kill_switch.ensure().history[-1]["operator"] == "ada"


def now_code(app: Serving) -> str:
    return pyotp.TOTP(TOTP_SECRET).generate_otp(app.clock.now_ms() // 30_000)


def test_a_request_for_approval_is_answered_once_with_a_name(app: Serving, opened: Page) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        app.store.create("approvals", approval(app, symbol))
    opened.wait("document.querySelectorAll('.approval').length === 2")
    first = ".approval[data-id='BTCUSDT-1']"
    opened.ask("document.querySelectorAll('.approval input').forEach(i => { i.value = ''; })")
    opened.click(f"{first} button")
    opened.wait_text(f"{first} output", "Say who you are")
    assert stored(app, "BTCUSDT-1")["state"] == "pending"
    opened.write(f"{first} input", "ada")
    opened.click(f"{first} button")
    opened.wait_text("#said", "BTCUSDT: approved")
    opened.wait("document.querySelectorAll('.approval').length === 1")
    second = ".approval[data-id='ETHUSDT-1']"
    opened.write(f"{second} input", "ada")
    opened.click(f"{second} button:nth-of-type(2)")
    opened.wait("document.querySelector('#approvals').hidden")
    approved, rejected = stored(app, "BTCUSDT-1"), stored(app, "ETHUSDT-1")
    assert (approved["state"], approved["operator"]) == ("approved", "ada")
    assert (rejected["state"], rejected["operator"]) == ("rejected", "ada")


def approval(app: Serving, symbol: str) -> dict[str, Any]:
    now = app.clock.now_ms()
    return {
        "id": f"{symbol}-1",
        "account": "main",
        "symbol": symbol,
        "nonce": "n" * 24,
        "state": "pending",
        "requestedAt": now,
        "expiresAt": now + 25_000,
        "summary": f"BUY 0.001 {symbol}",
        "operator": "",
    }


def stored(app: Serving, id_: str) -> dict[str, Any]:
    document = app.store.get("approvals", "main", id_)
    assert document is not None
    return document.body


def test_hostile_text_is_shown_as_text(app: Serving, opened: Page) -> None:
    bodies = {
        "alerts": {"severity": HOSTILE, "kind": HOSTILE, "title": HOSTILE, "text": HOSTILE}
        | {"time": "2025-05-04T10:01:00.000Z", "state": "raised"},
        "violations": {"kind": HOSTILE, "symbol": HOSTILE, "text": HOSTILE, "state": "open"}
        | {"time": NOW},
        "trades": {"symbol": HOSTILE, "side": "BUY", "quantity": "1", "entryPrice": "1"}
        | {"exitPrice": "1", "openedAt": NOW, "closedAt": NOW, "fees": "0", "grossPnl": "1"}
        | {"funding": "0", "netPnl": "1", "rMultiple": "1", "exitReason": HOSTILE, "fills": 2},
        "orders": {"clientOrderId": "h", "symbol": HOSTILE, "side": HOSTILE, "type": HOSTILE}
        | {"quantity": HOSTILE, "state": HOSTILE, "createdAt": NOW},
        "approvals": {"symbol": HOSTILE, "nonce": "n", "state": "pending", "requestedAt": NOW}
        | {"expiresAt": NOW + 10**9, "summary": HOSTILE, "operator": ""},
    }
    for container, body in bodies.items():
        app.store.create(container, {"id": f"hostile-{container}", "account": "main", **body})
    app.pass_time(5)  # past the look that is shared
    for panel in ("#alerts", "#violations", "#trades", "#orders", "#approvals-list"):
        opened.wait_text(panel, HOSTILE)
    # Also in the news of what was done.
    opened.write("#approvals-list input", "ada")
    opened.click("#approvals-list button")
    opened.wait_text("#said", f"{HOSTILE}: approved")
    assert opened.ask("document.querySelectorAll('img, body script').length") == 0
    assert opened.ask("window.hit ?? null") is None
    for container in bodies:
        app.store.delete(container, "main", f"hostile-{container}")


def test_what_a_model_says_is_shown_as_text(model: Remote, opened: Page) -> None:
    page = opened
    said = f"{HOSTILE} at 98,765.4"
    model.will(completion(calls=[("1", "account", "{}")]), completion(said))
    page.wait("document.querySelector('#assistant-panel').hidden === false")
    page.wait_text("body", "By method")  # the panels above it are filled
    page.write("#assistant input", "what do I hold?")
    page.click("#assistant-ask")
    page.wait_text("#assistant-said", said)
    page.wait_text("#assistant-said", "It was given: account.")
    page.wait_text("#assistant-said", "worked out or made up: 98,765.4")
    assert page.ask("document.querySelectorAll('img, body script').length") == 0
    assert page.ask("window.hit ?? null") is None
    model.will(completion("still nothing"))
    page.write("#assistant input", "and now?")
    page.click("#assistant-ask")
    page.wait_text("#assistant-said", "still nothing")
    turns = model.seen[-1].json["messages"]
    assert [t["role"] for t in turns] == ["system", "user", "assistant", "user"]
    page.write("#assistant input", "again?")
    page.click("#assistant-ask")
    page.wait_text("#assistant-state", "the language model answered 599")


def test_an_application_that_is_lost_is_not_shown_as_present(app: Serving, opened: Page) -> None:
    assert opened.ask("document.querySelector('#stale').hidden")
    offline(opened, True)
    # Later by a minute, without waiting for it.
    opened.ask("{ const real = Date.now; Date.now = () => real() + 60000; }")
    said = opened.wait_text("#stale", "NOT CURRENT")
    assert "2025-05-04" in said
    assert opened.ask("document.title").startswith("NOT CURRENT")
    figures = "getComputedStyle(document.querySelector('#figures'))"
    assert float(opened.ask(f"{figures}.opacity")) < 0.5
    offline(opened, False)
    opened.wait("document.querySelector('#stale').hidden && !document.body.matches('.stale')")


def offline(page: Page, value: bool) -> None:
    page.command(
        "Network.emulateNetworkConditions",
        offline=value,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )


def test_what_happens_is_shown_at_once(app: Serving, opened: Page) -> None:
    asked = "performance.getEntriesByType('resource').filter(r => /dashboard$/.test(r.name)).length"
    opened.wait_text("#footer", "told at once")
    # From here on the page never asks by itself again.
    before = opened.ask(f"window.setTimeout = () => 0, {asked}")
    opened.wait(f"{asked} > {before}")
    opened.ask("new Promise(done => requestIdleCallback(done))")
    resting = opened.ask(asked)

    async def tell() -> None:
        app.live.send("dashboard", [{"target": "alert", "arguments": [{}]}])

    app.do(tell())
    opened.wait(f"{asked} > {resting}")


def test_an_exchange_that_cannot_be_read_leaves_no_figure(app: Serving, opened: Page) -> None:
    from local.exchange.faults import Fault, error_answer

    gone = Fault(
        matches=lambda r: r.path.startswith("/fapi/v3/"),
        answer=error_answer(503, 0, "Service Unavailable."),
        times=10_000,
    )
    app.faults.add(gone)
    app.pass_time(5)  # past the look that is shared
    opened.wait_text("#stale", "positions and results are not known")
    assert set(opened.text("#figures").split()) & {"5,000.00", "0.00"} == set()
    opened.wait_text("#health-badge", "exchange")
    gone.times = 0


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_too_wide_or_unnamed_and_the_stop_is_in_sight(
    app: Serving, opened: Page, width: int
) -> None:
    opened.size(width, 844)
    opened.wait(f"innerWidth === {width}")
    assert opened.ask("document.documentElement.scrollWidth - innerWidth") <= 0
    for place in (0, 100_000):
        opened.ask(f"scrollTo(0, {place})")
        box = opened.ask(
            "(() => { const r = document.querySelector('#stop').getBoundingClientRect(); "
            "return [r.top, innerHeight - r.bottom, r.height]; })()"
        )
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] >= (48 if width < 700 else 24)
    # Everything that can be used has a name for who cannot see it, and can be reached by key.
    tree = opened.command("Accessibility.getFullAXTree")["nodes"]
    used = [n for n in tree if n.get("role", {}).get("value") in ("button", "textbox")]
    assert used
    assert [n for n in used if not n.get("name", {}).get("value")] == []
    known = {"/api/risk", "/api/compliance"}  # asked for, and hidden where they are not there
    complaints = [c for c in opened.complaints() if not any(k in c for k in known)]
    assert complaints == [], json.dumps(complaints)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_stage_is_in_sight_wherever_the_stop_is(app: Serving, opened: Page, width: int) -> None:
    opened.size(width, 844)
    opened.wait(f"innerWidth === {width}")
    assert opened.text("#stage") == "stage paper"
    for place in (0, 100_000):
        opened.ask(f"scrollTo(0, {place})")
        box = opened.ask(
            "(() => { const r = document.querySelector('#stage').getBoundingClientRect(); "
            "return [r.left, r.top, innerWidth - r.right, innerHeight - r.bottom, r.width]; })()"
        )
        assert min(box[:4]) >= 0
        assert box[4] > 40


def test_what_models_say_is_shown_and_that_they_are_off(app: Serving, opened: Page) -> None:
    """A default configuration has no model; here a signal is left by one that had two."""
    opened.wait_text("#models", "models: off")
    assert "AI" not in opened.text("#signals thead").split()
    votes = [
        {"strategy": "trend", "weight": 1.0, "vote": 1.0, "figures": {}},
        {"strategy": "svm_rbf", "weight": 3.0, "vote": -0.5, "figures": {}, "model": "v7"},
        {"strategy": "lstm", "weight": 1.0, "vote": 0.3, "figures": {}, "model": "v8"},
    ]
    signal = {"id": f"BTCUSDT-1m-{NOW}-v1", "symbol": "BTCUSDT", "bar_close_time": NOW}
    signal |= {"side": None, "strength": 0.1, "threshold": 0.3, "close": 1.0, "votes": votes}
    document = {"id": signal["id"], "symbol": "BTCUSDT", "kind": "signal", "time": NOW}
    app.store.create("signals", document | {"timeframe": "1m", "signal": signal})
    app.pass_time(5)  # past the look that is shared
    # By weight: (3 x -0.5 + 1 x 0.3) / 4; the formula is no part of it.
    opened.wait_text("#signals", "−0.30")
    assert opened.ask("document.querySelector('[data-name=AI] span').title").split("\n") == [
        "svm rbf v7: −0.50",
        "lstm v8: +0.30",
    ]
    app.store.delete("signals", "BTCUSDT", signal["id"])
