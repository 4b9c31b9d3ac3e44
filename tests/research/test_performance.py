"""Figures of executed trades, against values worked out by hand and the standard library."""

from __future__ import annotations

import math
import statistics as stdlib
from decimal import Decimal

import pytest

from shared.market.timeframe import DAY_MS
from shared.portfolio.trades import Trade
from shared.research.performance import performance

START = 1_767_571_200_000  # 2026-01-05
HOUR = 3_600_000


def trade(opened: float, closed: float, net: str, symbol: str = "BTCUSDT", r: str = "1") -> Trade:
    """Times in days after START; fees of 1 and funding of -0.5 inside ``net``."""
    return Trade(
        id=f"{symbol}-{closed}",
        account="main",
        symbol=symbol,
        side="BUY",
        quantity=Decimal(1),
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        opened_at=START + round(opened * DAY_MS),
        closed_at=START + round(closed * DAY_MS),
        gross_pnl=Decimal(net) + Decimal("1.5"),
        fees=Decimal(1),
        funding=Decimal("-0.5"),
        net_pnl=Decimal(net),
        r_multiple=Decimal(r),
        exit_reason="stop",
        fills=2,
        venue="simulated",
        stage="paper",
    )


#: Equity 1000 -> 1100 (day 1), 1045 (day 2), 1045 (day 3), 990 and back to 1050 (day 4).
TRADES = [
    trade(0.25, 0.5, "100", r="2"),
    trade(1.1, 1.5, "-55", "ETHUSDT", r="-1"),
    trade(3.1, 3.2, "-55", r="-1"),
    trade(3.3, 3.9, "60", "ETHUSDT", r="1.2"),
]


def test_figures_worked_out_by_hand() -> None:
    found = performance(TRADES, wallet=Decimal(1050), since_ms=START, until_ms=START + 4 * DAY_MS)
    assert (found["startEquity"], found["endEquity"], found["days"]) == ("1000", "1050", 4.0)
    assert found["totalReturn"] == pytest.approx(0.05)
    days = [0.1, 1045 / 1100 - 1, 0.0, 1050 / 1045 - 1]
    ratio = stdlib.mean(days) / stdlib.stdev(days) * math.sqrt(365)
    downside = math.sqrt(sum(min(d, 0.0) ** 2 for d in days) / 4)
    assert found["sharpe"] == pytest.approx(ratio)
    assert found["sortino"] == pytest.approx(stdlib.mean(days) / downside * math.sqrt(365))
    # The fall inside day 4 counts, though the day ended higher.
    assert found["maxDrawdown"] == pytest.approx(1 - 990 / 1100)
    assert found["maxDrawdownFrom"] == "2026-01-06T00:00:00.000Z"
    assert found["maxDrawdownTo"].startswith("2026-01-08T04:48")
    assert found["maxDrawdownRecovered"] is None
    assert found["cagr"] == pytest.approx(1.05 ** (365 / 4) - 1)
    assert found["calmar"] == pytest.approx(found["cagr"] / 0.1)
    t = found["trading"]
    assert (t["trades"], t["won"], t["lost"], t["longestLosingStreak"]) == (4, 2, 2, 2)
    assert t["winRate"] == 0.5
    assert t["profitFactor"] == pytest.approx(160 / 110)
    assert t["payoff"] == pytest.approx(80 / 55)
    assert t["expectancy"] == pytest.approx(12.5)
    assert t["expectancyR"] == pytest.approx(0.3)
    assert (t["netPnl"], t["fees"], t["funding"], t["grossPnl"]) == ("50", "4", "-2.0", "56.0")
    assert found["bySymbol"]["ETHUSDT"]["netPnl"] == "5"
    assert found["byMonth"] == {"2026-01": {"trades": 4, "netPnl": "50"}}
    assert any("4 trades are too few" in note for note in found["notes"])
    assert any("too few for yearly figures" in note for note in found["notes"])


def test_the_beginning_is_the_first_opening_unless_told() -> None:
    found = performance(TRADES, wallet=Decimal(1050), until_ms=START + 4 * DAY_MS)
    assert found["since"] == "2026-01-05T06:00:00.000Z"
    assert found["startEquity"] == "1000"


def test_nothing_that_is_not_defined_is_made_up() -> None:
    none = performance([], wallet=Decimal(1000), until_ms=START)
    assert (none["since"], none["sharpe"], none["maxDrawdown"]) == (None, None, None)
    assert none["trading"]["trades"] == 0
    assert none["trading"]["winRate"] is None
    assert none["notes"] == ["no trade was closed in this period"]
    # The profit was taken out: there is no equity to divide by.
    out = performance(TRADES, wallet=Decimal(50), until_ms=START + 4 * DAY_MS)
    assert (out["sharpe"], out["totalReturn"]) == (None, None)
    assert out["trading"]["netPnl"] == "50"
    assert any("money was taken out" in note for note in out["notes"])
    won = performance(TRADES[:1], wallet=Decimal(1100), until_ms=START + DAY_MS)
    assert won["trading"]["profitFactor"] is None


def test_a_day_without_a_trade_is_a_day() -> None:
    quiet = performance(TRADES, wallet=Decimal(1050), since_ms=START, until_ms=START + 10 * DAY_MS)
    days = [0.1, 1045 / 1100 - 1, 0.0, 1050 / 1045 - 1, *[0.0] * 6]
    ratio = stdlib.mean(days) / stdlib.stdev(days) * math.sqrt(365)
    assert quiet["sharpe"] == pytest.approx(ratio)
