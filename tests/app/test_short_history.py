"""A contract whose history is too short for the shipped plan: told once, and not traded."""

from __future__ import annotations

from collections.abc import Callable

from desk import MIDNIGHT, Floor

Open = Callable[..., Floor]

HOUR_MS = 3_600_000
#: The floor's minutes begin 72 hours before 10:30; whole hours that closed by 10:00.
KNOWN = 71
NEEDED = 5928


def test_it_is_told_once_with_the_time_of_the_first_signal(open_floor: Open) -> None:
    floor = open_floor(
        {"BTCUSDT": ()}, settings={"TIMEFRAMES": "1h", "TRADING_PLAN": ""}, poll=True
    )
    floor.minutes(95)
    (alert,) = [a for a in floor.documents("alerts") if a["kind"] == "short-history"]
    assert alert["severity"] == "warning"
    assert alert["title"] == f"BTCUSDT 1h: {KNOWN} of 5,928 candles"
    from shared.clock import iso

    first = MIDNIGHT + 10 * HOUR_MS + (NEEDED - KNOWN) * HOUR_MS
    assert iso(first) in alert["text"]
    # It was sent, too, and two further hours changed nothing.
    assert [e["kind"] for e in floor.events("risk")].count("short-history") == 1
    assert floor.documents("signals", "BTCUSDT") == []
    assert floor.services.engine.history("BTCUSDT", "1h") == (KNOWN + 2, NEEDED)


def test_enough_history_is_not_told(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, poll=True)
    floor.minutes(6)
    assert "short-history" not in floor.alerts()
    assert floor.documents("signals", "BTCUSDT")
