"""The emergency stop before its script has come, and where it never comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.browser import Page, wait_for
from tests.http.serving import Serving

pytestmark = pytest.mark.xdist_group("dashboard")

DISABLED = "document.querySelector('#stop')?.disabled"
#: By the page's own style: before that has come everything is visible for a moment.
WARNED = """(style => style.animationName === 'come' && style.visibility === 'visible')(
    getComputedStyle(document.querySelector('#unwired')))"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    served = Serving(tmp_path_factory.mktemp("served"), speed=0.01)
    served.services.kill_switch.ensure()
    yield served
    served.close()


@pytest.mark.parametrize("missing", ["app.js", "risk.js"])
def test_a_stop_whose_script_is_on_the_way_says_so_until_it_works(
    app: Serving, page: Page, missing: str
) -> None:
    page.command("Fetch.enable", patterns=[{"urlPattern": f"*/api/ui/{missing}"}])
    page.open(f"{app.url}/api/ui#key={app.key}")
    held = wait_for(lambda: page.heard("Fetch.requestPaused"))
    page.wait(f"{DISABLED} && {WARNED}")
    said = page.text("#unwired")
    assert "Not connected" in said
    assert "close on the exchange" in said
    assert page.text("#clock") == "not connected"
    for event in held:
        page.command("Fetch.continueRequest", requestId=event["requestId"])
    page.command("Fetch.disable")
    page.wait(f"{DISABLED} === false")
    assert page.ask("document.querySelector('#unwired').hidden")
    page.click("#stop")
    page.wait_text("#stop", "Click again")


@pytest.mark.parametrize("missing", ["app.js", "risk.js"])
def test_a_stop_whose_script_does_not_come_is_none(app: Serving, page: Page, missing: str) -> None:
    page.command("Network.setBlockedURLs", urls=[f"*/api/ui/{missing}"])
    page.open(f"{app.url}/api/ui#key={app.key}")
    page.wait(f"document.readyState === 'complete' && {WARNED}")
    assert page.ask(DISABLED)
    assert "close on the exchange" in page.text("#unwired")


@pytest.mark.parametrize("width", [390, 1280])
def test_without_any_script_the_page_says_how_to_stop(app: Serving, page: Page, width: int) -> None:
    page.size(width, 844)
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    page.open(f"{app.url}/api/ui")
    page.wait(f"document.readyState === 'complete' && {WARNED}")
    said = page.text("#unwired")
    assert "POST /api/emergency-stop" in said
    assert "needs JavaScript" in said
    assert page.ask(DISABLED)
