"""When the automatic triggers fire, and when they must not."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.risk.triggers import (
    Thresholds,
    disconnection_evidence,
    drawdown,
    drawdown_evidence,
    refusal,
    suspicious_evidence,
    volatility_evidence,
)
from tests.risk.scenario import NOW, D

T = Thresholds()


@pytest.mark.parametrize(
    ("equity", "peak", "fraction"),
    [
        ("5000", "5000", "0"),
        ("4500", "5000", "0.1"),
        ("5001", "5000", "0"),
        ("1", "5000", "0.9998"),
        ("0", "5000", "0"),  # no reading
        ("-100", "5000", "0"),
        ("NaN", "5000", "0"),
        ("4500", "0", "0"),
        ("4500", "Infinity", "0"),
    ],
)
def test_drawdown(equity: str, peak: str, fraction: str) -> None:
    assert drawdown(D(equity), D(peak)) == D(fraction)


@settings(max_examples=200, derandomize=True)
@given(equity=st.decimals(), peak=st.decimals())
def test_drawdown_evidence_always_proves_itself(equity: Decimal, peak: Decimal) -> None:
    evidence = drawdown_evidence(equity=equity, peak=peak, limit=D("0.10"), at=NOW)
    if evidence is not None:
        assert refusal("max_drawdown", evidence, at=NOW, now_ms=NOW, armed_at=0) == ""
        assert 0 < equity <= peak * D("0.9") * (1 + D("1e-20"))


def returns(usual: float, latest: list[float], bars: int = 120) -> list[float]:
    return [usual if i % 2 else -usual for i in range(bars)] + latest


@pytest.mark.parametrize(
    ("what", "series", "fires"),
    [
        ("calm", returns(0.001, [0.001] * 5), False),
        ("eight times as wild", returns(0.001, [0.0081] * 5), True),
        ("seven times", returns(0.001, [0.007] * 5), False),
        ("one jump of 5 %", returns(0.001, [0.0, 0.0, -0.05, 0.0, 0.0]), True),
        ("fifty times of next to nothing", returns(0.0001, [0.005] * 5), False),
        ("too short a history", returns(0.001, [0.05] * 5, bars=59), False),
        ("a dead market wakes", returns(0.0, [0.01] * 5), False),
        ("a figure missing", returns(0.001, [0.05, math.nan, 0.05, 0.05, 0.05]), False),
        ("an infinite one", returns(0.001, [math.inf, 0.05, 0.05, 0.05, 0.05]), False),
        ("nothing", [], False),
    ],
)
def test_volatility(what: str, series: list[float], fires: bool) -> None:
    evidence = volatility_evidence(series, thresholds=T, at=NOW, bar_ms=60_000)
    assert (evidence is not None) is fires, what
    if evidence is not None:
        assert refusal("abnormal_volatility", evidence, at=NOW, now_ms=NOW, armed_at=0) == ""


@pytest.mark.parametrize(
    ("minutes", "move", "fires"),
    # 0.6 % times the square root of the minutes: 1.34 % at 5m, 4.65 % at 1h.
    [(5, 0.0134, False), (5, 0.0135, True), (60, 0.0464, False), (60, 0.0465, True)],
)
def test_longer_bars_may_move_more(minutes: int, move: float, fires: bool) -> None:
    series = returns(0.001, [move] * 5)
    evidence = volatility_evidence(series, thresholds=T, at=NOW, bar_ms=minutes * 60_000)
    assert (evidence is not None) is fires


@pytest.mark.parametrize(
    ("silent_s", "attempts", "fires"),
    [(299, 50, False), (300, 3, True), (300, 2, False), (3600, 0, False), (-5, 50, False)],
)
def test_disconnection(silent_s: int, attempts: int, fires: bool) -> None:
    evidence = disconnection_evidence(
        last_success_at=NOW - silent_s * 1000, failed_attempts=attempts, thresholds=T, at=NOW
    )
    assert (evidence is not None) is fires
    if evidence is not None:
        assert refusal("exchange_disconnection", evidence, at=NOW, now_ms=NOW, armed_at=0) == ""


def test_never_connected_is_not_disconnected() -> None:
    assert (
        disconnection_evidence(last_success_at=0, failed_attempts=99, thresholds=T, at=NOW) is None
    )


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ({}, None),
        ({"rejections": 19, "unknown_outcomes": 4, "foreign_orders": 2}, None),
        ({"rejections": 20}, "rejections"),
        ({"unknown_outcomes": 5}, "unknown_outcomes"),
        ({"foreign_orders": 3, "failed_logins": 10}, "foreign_orders"),
        ({"something_else": 999}, None),
        ({"rejections": -1}, None),
    ],
)
def test_suspicious_activity(counts: dict[str, int], kind: str | None) -> None:
    evidence = suspicious_evidence(counts, thresholds=T, at=NOW)
    assert (evidence or {}).get("kind") == kind
    if evidence is not None:
        assert refusal("suspicious_activity", evidence, at=NOW, now_ms=NOW, armed_at=0) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"volatility_ratio": D("1.5")},
        {"volatility_floor": D("NaN")},
        {"disconnection_seconds": 5},
        {"disconnection_attempts": 1},
        {"rejections": 0},
    ],
)
def test_thresholds_that_would_fire_at_nothing(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        Thresholds(**change)
