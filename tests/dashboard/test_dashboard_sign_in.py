"""Signing in and out of the dashboard, in a real browser, with a directory on another site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.browser import Page
from tests.access.people import Signing

pytestmark = pytest.mark.xdist_group("dashboard")

FIGURES = (
    "document.querySelector('#main')?.hidden === false && "
    "document.querySelectorAll('#figures .tile').length"
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Signing]:
    # localhost and 127.0.0.1 are two sites: cookies of one are not sent with requests of the other.
    one = Signing(tmp_path, site="localhost")
    yield one
    one.close()


def wants_sign_in(page: Page) -> str:
    page.wait("document.querySelector('#login')?.hidden === false")
    page.wait("document.querySelector('#entra')?.hidden === false")
    return page.text("#login-said")


def sign_in(world: Signing, page: Page) -> None:
    page.open(f"{world.app.url}/api/ui")
    wants_sign_in(page)
    page.click("#sign-in")
    page.wait(FIGURES)


def stop(page: Page) -> None:
    page.click("#stop")
    page.wait_text("#stop", "Click again")
    page.ask("new Promise(done => setTimeout(done, 400))")
    page.click("#stop")


def test_somebody_signs_in_stops_and_signs_out(world: Signing, page: Page) -> None:
    sign_in(world, page)
    assert "anna@example.com, operator" in page.text("#person")
    # Nothing of the sign-in is left where a script, the address or the history could show it.
    assert page.ask("location.href") == f"{world.app.url}/api/ui"
    assert page.ask("document.cookie") == ""
    assert page.ask("sessionStorage.getItem('borsa.key')") is None
    # It lives through a reload, and is known in a second tab of the same browser.
    page.open(f"{world.app.url}/api/ui")
    page.wait(FIGURES)
    stop(page)
    page.wait_text("#switch", "LATCHED")
    evidence = world.app.services.kill_switch.ensure().evidence
    assert evidence is not None
    assert evidence["operator"] == "anna@example.com"
    # The name is the session's: nobody types another.
    assert page.ask("document.querySelector('#clear [name=operator]').readOnly")
    assert page.ask("document.querySelector('#clear [name=operator]').value") == "anna@example.com"

    token = world.app.services.door.listed()
    assert [s.name for s in token] == ["anna@example.com"]
    page.click("#sign-out")
    # By way of the directory, and back to a page that shows nothing.
    wants_sign_in(page)
    assert page.ask("document.querySelector('#main').hidden")
    assert world.app.services.door.listed() == []
    assert ("GET", "/oauth2/v2.0/logout") in world.issuer.requests
    assert [c for c in page.complaints() if "/api/risk" not in c] == []


def test_who_cancels_or_has_no_role_is_told_and_sees_nothing(world: Signing, page: Page) -> None:
    world.issuer.asks = True
    page.open(f"{world.app.url}/api/ui")
    wants_sign_in(page)
    page.click("#sign-in")
    page.wait("!!document.querySelector('#no')")
    page.click("#no")
    page.wait_text("#login-said", "it was cancelled")
    world.issuer.user["roles"] = []
    page.click("#sign-in")
    page.wait("!!document.querySelector('#yes')")
    page.click("#yes")
    said = page.wait_text("#login-said", "has no role here")
    assert "anna@example.com" in said
    assert page.ask("document.querySelector('#main').hidden")
    # A key opens the page as ever.
    page.write("#key", world.app.key)
    page.click("#login [type=submit]")
    page.wait(FIGURES)


def test_a_session_that_is_ended_shows_nothing_and_one_that_ran_out_still_stops(
    world: Signing, page: Page
) -> None:
    sign_in(world, page)
    world.app.pass_time(31 * 60)
    assert "not used for too long" in page.wait_text("#login-said", "sign in again")
    assert page.ask("document.querySelector('#main').hidden")
    stop(page)
    page.wait_text("#said", "Stopped: the kill switch is latched")
    assert world.app.services.kill_switch.ensure().state == "latched"
    page.click("#sign-in")
    page.wait(FIGURES)
    (session,) = world.app.services.door.listed()
    world.app.services.door.end(world.app.services.exit_desk(), session.id, "root")
    page.wait_text("#login-said", "was ended by root")
    stop(page)
    page.wait_text("#said", "DID NOT GET THROUGH")


def test_a_viewer_sees_and_cannot_stop_and_a_key_in_the_tab_can(world: Signing, page: Page) -> None:
    world.issuer.user["roles"] = ["viewer"]
    sign_in(world, page)
    stop(page)
    assert "this takes operator" in page.wait_text("#said", "DID NOT GET THROUGH")
    assert world.app.services.kill_switch.ensure().state == "armed"
    page.ask(f"sessionStorage.setItem('borsa.key', {world.app.key!r})")
    stop(page)
    page.wait_text("#said", "Stopped: the kill switch is latched")
