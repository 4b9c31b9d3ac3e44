"""An exchange that answers at once, with prices of a while ago, is not traded on."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from desk import Floor

from local.exchange.faults import ApiResponse
from shared.bootstrap import Services
from shared.execution import assess, entry
from shared.risk.decision import Decision

D = Decimal
MARK = ("GET", "/fapi/v1/premiumIndex")
BOOK = ("GET", "/fapi/v1/ticker/bookTicker")
#: The longest a price may be old, milliseconds.
LIMIT = 15_000
BAR_MS = 300_000


def freeze(floor: Floor, what: tuple[str, str], **fields: object) -> None:
    """From now on the exchange gives the answer of this moment, at once."""
    status, headers, body = floor.api.handle(*what, query="symbol=BTCUSDT")
    assert status == 200
    frozen = json.dumps({**json.loads(body), **fields}).encode()
    floor.break_next(what, ApiResponse(200, dict(headers), frozen), times=10_000)


def decided(floor: Floor, side: str = "BUY", **fields: object) -> Decision:
    return assess.assess(floor.desk, "BTCUSDT", floor.signal("BTCUSDT", side, **fields).id)


def age_of(decision: Decision) -> int:
    (check,) = (c for c in decision.checks if c.name == "market_data_age")
    return int(check.value or -1)


@pytest.mark.parametrize("what", [MARK, BOOK], ids=["mark price", "book"])
@pytest.mark.parametrize(
    ("seconds", "outcome"), [(10, "approved"), (16, "declined"), (3600, "declined")]
)
def test_prices_are_as_old_as_the_exchange_says(
    open_floor: Callable[..., Floor], what: tuple[str, str], seconds: int, outcome: str
) -> None:
    floor = open_floor(durable=False)
    freeze(floor, what)
    floor.clock.sleep(seconds)
    decision = decided(floor)
    assert decision.outcome == outcome
    assert 1000 * seconds <= age_of(decision) <= 1000 * seconds + 1000
    if outcome == "declined":
        assert decision.reasons == ("market_data_age",)
    else:
        assert entry.open_position(floor.desk, "BTCUSDT", decision.id).status == "protected"


@pytest.mark.parametrize("skew", [600_000, -600_000, 2_500, -2_500])
@pytest.mark.parametrize("stale", [False, True])
def test_the_exchange_s_clock_counts_not_ours(
    open_floor: Callable[..., Floor], monkeypatch: pytest.MonkeyPatch, skew: int, stale: bool
) -> None:
    """Signed requests measure how far it is off; nothing of that is the age of a price."""
    floor = open_floor(durable=False)
    # The exchange's time never runs backward, so it is left behind first; and reading a price for
    # the signal must not bring it up to our clock.
    monkeypatch.setattr(floor, "price", lambda s: float(floor.venue.core.mark_price(s)))
    floor.clock.sleep(610)
    floor.api.clock_skew_ms = skew
    if stale:
        freeze(floor, MARK)
        floor.clock.sleep(20)
    # Candles are the exchange's: a bar closes by its clock.
    closed = (floor.clock.now_ms() + skew) // BAR_MS * BAR_MS
    decision = decided(floor, bar_open_time=closed - BAR_MS, bar_close_time=closed)
    assert decision.outcome == ("declined" if stale else "approved")
    assert age_of(decision) == pytest.approx(20_000 if stale else 0, abs=1_000)


def test_a_clock_that_jumps_between_two_decisions_is_measured_again(
    open_floor: Callable[..., Floor],
) -> None:
    floor = open_floor(durable=False)
    assert decided(floor).outcome == "approved"
    floor.api.clock_skew_ms = 120_000
    floor.clock.sleep(300)
    decision = decided(floor)
    assert "market_data_age" not in decision.reasons
    assert 0 <= age_of(decision) <= 1_000


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        pytest.param(MARK, {"time": 0}, id="a mark price of no time"),
        pytest.param(MARK, {"time": 4_102_444_800_000}, id="a mark price of the future"),
        pytest.param(BOOK, {"time": 4_102_444_800_000}, id="a book of the future"),
    ],
)
def test_what_cannot_be_dated_is_not_traded_on(
    open_floor: Callable[..., Floor], what: tuple[str, str], fields: dict[str, object]
) -> None:
    floor = open_floor(durable=False)
    freeze(floor, what, **fields)
    decision = decided(floor)
    assert decision.outcome == "declined"
    assert decision.reasons == ("market_data_age",)


def test_a_book_without_a_time_is_as_old_as_the_answer(open_floor: Callable[..., Floor]) -> None:
    floor = open_floor(durable=False)
    freeze(floor, BOOK, time=0)
    decision = decided(floor)
    assert decision.outcome == "approved"
    assert age_of(decision) <= 1_000


def test_a_balance_that_has_not_changed_for_days_is_no_old_one(
    open_floor: Callable[..., Floor],
) -> None:
    floor = open_floor(durable=False)
    floor.clock.sleep(48 * 3600)
    assert decided(floor).outcome == "approved"


@pytest.mark.parametrize(("seconds", "status"), [(0, "protected"), (16, "expired")])
def test_a_late_sale_does_not_trust_an_old_price(
    open_floor: Callable[..., Floor], seconds: int, status: str
) -> None:
    """It looks at the price again before it leaves: what it is shown must be one of now."""
    floor = open_floor(durable=False)
    decision = decided(floor, "SELL")
    assert decision.outcome == "approved"
    if seconds:
        freeze(floor, BOOK)
        floor.clock.sleep(seconds)
    else:
        floor.clock.sleep(10)
    result = entry.open_position(floor.desk, "BTCUSDT", decision.id)
    assert result.status == status
    assert bool(floor.held()) == (status == "protected")


def test_prices_grow_old_while_another_contract_s_past_is_read(
    open_floor: Callable[..., Floor],
) -> None:
    """The reservation of another instance asks for candles that nobody here has asked for yet."""
    floor = open_floor({"BTCUSDT": (), "ETHUSDT": ()}, durable=False)
    assert assess.assess(floor.desk, "ETHUSDT", floor.signal("ETHUSDT").id).outcome == "approved"
    other = Services(
        floor.settings, clock=floor.clock, store=floor.store, exchange_session=floor.session
    )
    asked: list[str] = []

    def slow(method: str, url: str) -> None:
        if "klines" in url:
            asked.append(url)
            if len(asked) == 2:
                floor.clock.sleep(20)

    floor.session.before = slow
    decision = assess.assess(other.desk(), "BTCUSDT", floor.signal("BTCUSDT").id)
    assert len(asked) == 2
    assert decision.reasons == ("market_data_age",)
    assert 20_000 <= age_of(decision) <= 21_000
