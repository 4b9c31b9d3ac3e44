"""What is where on the dashboard: every limit in one place, whole entries, nothing dangling."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.browser import Page
from tests.http.serving import Serving

pytestmark = pytest.mark.xdist_group("dashboard")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    served = Serving(tmp_path_factory.mktemp("served"), speed=0.01)
    served.services.kill_switch.ensure()
    for i in range(9):
        alert = {"severity": "info", "kind": "report", "title": f"Alert {i}", "state": "delivered"}
        alert |= {"time": f"2025-05-04T0{i}:01:00.000Z", "text": "Some words of it. " * (3 + i)}
        served.store.create("alerts", {"id": f"a{i}", "account": "main", **alert})
    yield served
    served.close()


@pytest.fixture
def opened(app: Serving, page: Page) -> Page:
    page.open(f"{app.url}/api/ui#key={app.key}")
    page.wait("document.querySelectorAll('#figures .tile').length")
    page.wait("document.querySelector('#risk-panel').hidden === false")
    return page


def test_every_limit_stands_among_the_limits(opened: Page) -> None:
    said = opened.wait_text("#gauges", "heat")
    for name in (
        "loss today",
        "drawdown",
        "exposure, all symbols",
        "value at risk",
        "expected shortfall",
        "added to it by one position",
        "largest cluster, net",
        "heat",
    ):
        assert name in said
    # 7.5 % of 5,000 USDT, of at most 15 %.
    assert "0.00 of 375.00" in said
    titles = opened.ask("[...document.querySelectorAll('#gauges .gauge')].map(g => g.title)")
    assert "in code, never looser than 750.00" in titles
    assert "portfolio as of" in opened.text("#limits-at")
    assert "Limits" not in opened.text("#risk")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_list_of_alerts_ends_with_a_whole_one(opened: Page, width: int) -> None:
    opened.size(width, 844)
    opened.wait(f"innerWidth === {width}")
    opened.wait_text("#alerts-more", "of 9: scroll")
    inside = opened.wait(
        "(() => { const box = document.querySelector('#alerts').getBoundingClientRect(); "
        "const rows = [...document.querySelectorAll('#alerts li')].map(e => "
        "e.getBoundingClientRect()); const cut = rows.filter(r => r.top < box.bottom - 1 && "
        "r.bottom > box.bottom + 1); "
        "return cut.length ? 0 : rows.filter(r => r.bottom <= box.bottom + 1).length; })()",
        "an alert is cut in two",
    )
    assert 1 <= inside < 9
    assert opened.text("#alerts-more") == f"newest {inside} of 9: scroll"


def test_equity_that_was_seen_for_a_moment_is_a_point_and_no_line(opened: Page) -> None:
    """Hours are drawn, of which this page has seen seconds."""
    hours = "[[0, 5000], [7200000, 5010], [14400000, 5005]]"
    made = (
        "import('/api/ui/chart.js').then(({curve}) => [[[14399000, 5006], [14400000, 5007]], "
        f"[[10800000, 5006], [14400000, 5007]]].map(seen => {{ const {{picture, says}} = curve("
        f"{hours}, seen); return [says, picture.querySelectorAll('path.seen').length, "
        "picture.querySelectorAll('.point').length]; }))"
    )
    assert opened.ask(made) == [
        ["steps: realised · point: with what is open now", 0, 1],
        ["steps: realised · line: with what is open", 1, 0],
    ]
    opened.wait_text("#curve-says", "with what is open")


def test_it_is_said_that_this_is_a_demonstration(opened: Page) -> None:
    said = opened.wait_text("#simulated", "simulated exchange")
    assert "Demonstration" in said
    assert "no real money" in said
    assert opened.ask("document.querySelector('#simulated').hidden") is False
