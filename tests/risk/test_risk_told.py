"""Why a decision was declined, in words with figures that are true."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.risk.checks import at_most, between, holds, not_judged
from shared.risk.plan import Check
from shared.risk.told import _WORDS, told

D = Decimal

#: A check as the gate judges it, and how a person reads it.
CHECKS = {
    "symbol_free": (
        at_most("symbol_free", 2, 0, "other exposure on the symbol, reserved or open"),
        "the symbol is taken: a position or an order under way is there already, "
        "1 per symbol is allowed",
    ),
    "kill_switch": (
        holds("kill_switch", False, "latched", "armed", "state"),
        "the kill switch is latched, it has to be armed",
    ),
    "trades_today": (
        between("trades_today", 5, 0, 5 - 1, "entries filled or reserved today"),
        "5 entries were made today, 5 are allowed",
    ),
    "signal_age": (
        between("signal_age", 45_500, 0, 30_000, "milliseconds since the bar closed"),
        "the signal is 45.5 s old, at most 30 s are allowed",
    ),
    "drawdown": (
        at_most("drawdown", D(1) / 8, D("0.10"), "fraction below the equity peak"),
        "equity is 12.5 % below its peak, the limit of 10 % is reached",
    ),
    "spread": (
        at_most("spread", D(1) / 3000, D("0.0002"), "spread over the middle of the book"),
        "the spread is 0.0333 % of the price, at most 0.02 % is allowed",
    ),
    "position_notional": (
        at_most("position_notional", D("612.5"), 500, "USDT at the worst entry price"),
        "the position is 612.5 USDT at the worst entry price, at most 500 USDT are allowed",
    ),
    "leverage": (
        between("leverage", 12, 2, 3, "leverage of the symbol"),
        "leverage 12, allowed is 2 to 3",
    ),
    # One that has no words of its own, one without a figure, one that was not judged.
    "value_at_risk": (
        at_most("value_at_risk", D("812.1234567"), 500, "USDT at 95 %, 1 d"),
        "USDT at 95 %, 1 d: 812.1235, limit 500",
    ),
    "a figure that is missing": (
        at_most("spread", None, D("0.0002"), "spread over the middle of the book"),
        "unknown: spread over the middle of the book",
    ),
    "not judged": (not_judged("heat", "not judged: no plan"), "not judged: no plan"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_in_words(name: str) -> None:
    check, words = CHECKS[name]
    assert not check.passed
    assert told(check) == words


@pytest.mark.parametrize("name", _WORDS)
def test_nothing_is_left_open(name: str) -> None:
    """Whatever figures a check has, its sentence is whole."""
    for value, limit in (("1", "0..4"), ("x", "y"), ("0.5", None)):
        words = told(Check(name=name, passed=False, value=value, limit=limit, detail="detail"))
        assert words
        assert "{" not in words
