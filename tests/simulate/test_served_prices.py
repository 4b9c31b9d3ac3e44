"""Old prices: served only when they are too old to be traded on, and known to who judges."""

from __future__ import annotations

from local.exchange.faults import ApiResponse
from local.simulate.prices import OLD_MS, Prices

MARK, BOOK = "/fapi/v1/premiumIndex", "/fapi/v1/ticker/bookTicker"


def answer(text: str) -> ApiResponse:
    return ApiResponse(200, {}, text.encode())


def test_what_is_true_is_served_and_held_only_when_it_is_old() -> None:
    prices = Prices()
    assert prices.serve(MARK, "BTCUSDT", 1_000, answer("1")).body == b"1"
    prices.hold(100_000)
    # Too young to be called old: the limits would allow it.
    assert prices.serve(MARK, "BTCUSDT", 2_000, answer("2")).body == b"2"
    assert prices.serve(MARK, "BTCUSDT", 1_000 + OLD_MS, answer("3")).body == b"1"
    assert prices.serve(MARK, "BTCUSDT", 99_999, answer("4")).body == b"1"
    # Another symbol, and another answer, had none before.
    assert prices.serve(MARK, "ETHUSDT", 50_000, answer("5")).body == b"5"
    assert prices.serve(BOOK, "BTCUSDT", 50_000, answer("6")).body == b"6"
    assert prices.serve(MARK, "BTCUSDT", 100_000, answer("7")).body == b"7"


def test_age_is_that_of_the_older_one_of_what_was_shown_last() -> None:
    prices = Prices()
    assert prices.age("BTCUSDT", 5_000) == 0
    prices.serve(MARK, "BTCUSDT", 10_000, answer("1"))
    prices.hold(100_000)
    prices.serve(MARK, "BTCUSDT", 70_000, answer("2"))
    prices.serve(BOOK, "BTCUSDT", 70_100, answer("3"))
    assert prices.age("BTCUSDT", 10_000) == 0
    assert prices.age("BTCUSDT", 70_200) == 60_200
    prices.serve(MARK, "BTCUSDT", 100_000, answer("4"))
    assert prices.age("BTCUSDT", 100_000) == 29_900
    assert prices.age("BTCUSDT", 70_200) == 60_200, "a later answer changes nothing before"
