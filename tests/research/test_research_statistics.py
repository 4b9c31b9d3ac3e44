"""Figures of a backtest against values worked out by hand or by other means."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import HOUR, START, daily_result, random_result, row

from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.research.breakdown import breakdown
from shared.research.equity import curve, daily, daily_returns, drawdowns, longest_under_water
from shared.research.statistics import longest_streak, statistics, trade_statistics

ROOT = math.sqrt(365)


def test_ratios_worked_out_by_hand() -> None:
    # Returns +10 %, -5 %, +10 %, -5 %: mean 0.025; sample deviation sqrt(4 * 0.075**2 / 3).
    equity = [1100.0, 1045.0, 1149.5, 1092.025]
    found = statistics(daily_result(equity))
    deviation = math.sqrt(4 * 0.075**2 / 3)
    assert found.sharpe == pytest.approx(0.025 / deviation * ROOT, rel=1e-12)
    assert found.volatility == pytest.approx(deviation * ROOT, rel=1e-12)
    # Downside: two of four days at -5 %.
    assert found.sortino == pytest.approx(0.025 / math.sqrt(2 * 0.05**2 / 4) * ROOT, rel=1e-12)
    assert found.total_return == pytest.approx(0.092025, rel=1e-12)
    assert found.cagr == pytest.approx(1.092025 ** (365 / 4) - 1, rel=1e-9)
    assert found.max_drawdown == pytest.approx(0.05, rel=1e-12)
    assert found.calmar == pytest.approx((1.092025 ** (365 / 4) - 1) / 0.05, rel=1e-9)
    assert found.days == 4
    assert (found.best_day, found.worst_day) == (pytest.approx(0.1), pytest.approx(-0.05))
    assert found.skewness == pytest.approx(0.0, abs=1e-12)
    assert found.kurtosis == pytest.approx(1.0, rel=1e-12)


def test_the_risk_free_rate_is_taken_off() -> None:
    equity = [1010.0, 1005.0, 1020.0]
    r = np.array([0.01, 1005 / 1010 - 1, 1020 / 1005 - 1]) - (1.04 ** (1 / 365) - 1)
    found = statistics(daily_result(equity), risk_free=0.04)
    assert found.sharpe == pytest.approx(r.mean() / r.std(ddof=1) * ROOT, rel=1e-12)
    below = math.sqrt(sum(min(x, 0.0) ** 2 for x in r.tolist()) / 3)
    assert found.sortino == pytest.approx(r.mean() / below * ROOT, rel=1e-12)


def test_drawdown_times() -> None:
    # Peak on day 2 at 1200, trough on day 4 at 900, recovered on day 6; a shallow one at the end.
    found = statistics(daily_result([1100, 1200, 1000, 900, 1100, 1250, 1240, 1245]))
    assert found.max_drawdown == pytest.approx(0.25)
    assert found.max_drawdown_from == "2024-01-03T00:00:00.000Z"
    assert found.max_drawdown_to == "2024-01-05T00:00:00.000Z"
    assert found.max_drawdown_recovered == "2024-01-07T00:00:00.000Z"
    assert found.max_drawdown_days == 4.0


def test_a_fall_that_is_not_made_good_lasts_to_the_end() -> None:
    found = statistics(daily_result([900.0, 950.0, 940.0]))
    assert found.max_drawdown_recovered is None
    assert found.max_drawdown_days == 3.0
    assert found.max_drawdown == pytest.approx(0.1)


def test_the_start_counts_as_a_peak() -> None:
    assert statistics(daily_result([800.0])).max_drawdown == pytest.approx(0.2)


def test_hourly_samples_become_utc_days() -> None:
    time = START + 6 * HOUR + HOUR * np.arange(1, 49, dtype=np.int64)  # 07:00 to 06:00, two days
    equity = 1000.0 + np.arange(1.0, 49.0)
    result = replace(daily_result([1.0]), time=time, equity=equity, exposure=equity, wallet=equity)
    days = daily(curve(result))
    # Midnight closes a day: samples 18 (24:00), 42 (24:00) and the last.
    assert days.equity.tolist() == [1000.0, 1018.0, 1042.0, 1048.0]
    assert daily_returns(result) == pytest.approx([0.018, 1042 / 1018 - 1, 1048 / 1042 - 1])


def test_trades_worked_out_by_hand() -> None:
    at = START + DAY_MS
    rows = [
        row(10.0, at, fees=1.0, slippage=0.5, symbol=1),
        row(-4.0, at + HOUR, fees=1.0, funding=-0.5, side=-1, strategy=1),
        row(-6.0, at + 2 * HOUR, fees=1.0, funding=0.25),
        row(0.0, at + 3 * HOUR, fees=1.0, risk=0.0),
        row(5.0, at + 4 * HOUR, fees=1.0),
    ]
    result = daily_result([1000.0, 1005.0], rows, exposure=[500.0, 0.0])
    found = statistics(result)
    t = found.trading
    assert (t.trades, t.longs, t.won, t.lost) == (5, 4, 2, 2)
    assert t.win_rate == 0.4
    assert t.profit_factor == 1.5
    assert t.payoff == 1.5
    assert t.expectancy == 1.0
    # The trade without planned risk is left out: 5, -2, -3, 2.5.
    assert t.expectancy_r == pytest.approx(0.625)
    assert t.median_r == pytest.approx(0.25)
    assert (t.best, t.worst, t.longest_losing_streak, t.mean_hours) == (10.0, -6.0, 2, 4.0)
    assert (t.fees, t.funding, t.slippage, t.net) == (5.0, -0.25, 0.5, 5.0)
    assert t.gross == 10.25
    # Before any cost: gross 10.25 and slippage 0.5 back.
    assert found.costs.before == 10.75
    assert found.costs.fees_share == pytest.approx(5 / 10.75)
    assert found.costs.slippage_share == pytest.approx(0.5 / 10.75)
    assert found.costs.funding_share == pytest.approx(0.25 / 10.75)
    assert found.exposure == 0.5
    assert found.mean_leverage == 0.25
    notional = sum(100.0 + 100.0 + net for net in (10.0, -4.0, -6.0, 0.0, 5.0))
    assert found.turnover == pytest.approx(notional / 1002.5 / (2 / 365))
    assert found.risk_adjusted_return == pytest.approx((1.005 ** (365 / 2) - 1) / 0.25)


def test_groups_and_periods() -> None:
    january, march = START + 5 * DAY_MS, START + 65 * DAY_MS
    new_year = START + 366 * DAY_MS  # exactly midnight: still belongs to 2024
    rows = [
        row(10.0, january, symbol=0, strategy=0),
        row(-4.0, march, symbol=1, strategy=1, side=-1),
        row(2.0, new_year, symbol=1, strategy=0),
    ]
    equity = np.full(380, 1000.0)
    equity[4:] += 10.0
    equity[64:] -= 4.0
    equity[365:] += 2.0
    found = breakdown(daily_result(equity.tolist(), rows))
    by_symbol = {g.name: (g.statistics.net, g.share) for g in found.symbols}
    assert by_symbol == {"BTCUSDT": (10.0, 10 / 8), "ETHUSDT": (-2.0, -2 / 8)}
    assert {g.name: g.statistics.trades for g in found.strategies} == {"trend": 2, "breakout": 1}
    assert {g.name: g.statistics.net for g in found.sides} == {"long": 12.0, "short": -4.0}
    assert {g.name: g.statistics.trades for g in found.exits} == {"take profit": 2, "stop": 1}
    months = {p.name: p for p in found.months}
    assert len(months) == 13
    assert months["2024-01"].change == pytest.approx(0.01)
    assert (months["2024-01"].trades, months["2024-01"].won, months["2024-01"].net) == (1, 1, 10.0)
    assert months["2024-03"].change == pytest.approx(-4 / 1010)
    assert months["2024-03"].drawdown == pytest.approx(4 / 1010)
    assert (months["2024-02"].change, months["2024-02"].trades) == (0.0, 0)
    assert months["2024-12"].trades == 1
    years = {p.name: p for p in found.years}
    assert set(years) == {"2024", "2025"}
    assert years["2024"].change == pytest.approx(0.008)
    assert years["2024"].trades == 3


@pytest.mark.parametrize(
    ("case", "equity", "undefined"),
    [
        ("nothing happens", [1000.0, 1000.0, 1000.0], {"sharpe", "sortino", "calmar"}),
        ("only gains", [1010.0, 1030.0, 1040.0], {"sortino", "calmar"}),
        ("one day", [1010.0], {"sharpe", "sortino", "volatility", "calmar"}),
        ("equal gains", [1100.0, 1210.0, 1331.0], {"sharpe", "sortino", "calmar"}),
    ],
)
def test_what_is_not_defined_is_none(case: str, equity: list[float], undefined: set[str]) -> None:
    found = statistics(daily_result(equity))
    assert {
        n for n in ("sharpe", "sortino", "calmar", "volatility") if getattr(found, n) is None
    } == undefined
    assert found.trading.win_rate is None
    assert found.trading.profit_factor is None
    text = msgspec.json.encode(found)
    assert b"NaN" not in text
    assert b"Infinity" not in text


def test_an_account_that_was_lost() -> None:
    found = statistics(daily_result([500.0, -20.0, -20.0]))
    assert found.cagr == -1.0
    assert found.max_drawdown == pytest.approx(1.02)
    assert found.total_return == pytest.approx(-1.02)
    assert math.isfinite(found.sharpe or 0.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"time": np.array([], dtype=np.int64), "equity": np.array([])}, "no equity sample"),
        ({"equity": np.array([1.0, math.nan])}, "finite"),
        ({"time": np.array([START + 2, START + 1])}, "order"),
    ],
)
def test_unusable_equity_is_refused(change: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        statistics(replace(daily_result([1.0, 2.0]), **change))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=40))
def test_drawdown_and_time_under_water_against_exact_loops(values: list[int]) -> None:
    worst, longest = Fraction(0), 0
    path = [1000, *values]
    for i, peak in enumerate(path):
        for j in range(i + 1, len(path)):
            worst = max(worst, Fraction(peak - path[j], peak))
            if path[j] >= peak:
                break
            # Under water from i on; the end or the recovery closes it.
            until = j + 1 if j + 1 < len(path) else j
            longest = max(longest, until - i)
    of = curve(daily_result([float(v) for v in values]))
    assert float(drawdowns(of.equity).max()) == pytest.approx(float(worst), abs=1e-12)
    assert longest_under_water(of) == longest * DAY_MS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_streaks(hits: list[bool]) -> None:
    text = "".join("x" if hit else "." for hit in hits)
    assert longest_streak(np.array(hits, dtype=bool)) == max(map(len, text.split(".")))


def test_parts_add_up_to_the_whole() -> None:
    result = random_result(3)
    whole, parts = statistics(result), breakdown(result)
    for groups in (parts.symbols, parts.strategies, parts.sides, parts.exits):
        assert sum(g.statistics.trades for g in groups) == whole.trading.trades
        assert sum(g.statistics.net for g in groups) == pytest.approx(whole.trading.net)
        assert sum(g.share or 0.0 for g in groups) == pytest.approx(1.0)
    for periods in (parts.months, parts.years):
        growth = math.prod(1.0 + p.change for p in periods)
        assert growth - 1.0 == pytest.approx(whole.total_return)
        assert sum(p.trades for p in periods) == whole.trading.trades
    again = trade_statistics(result.trades.where(result.trades.net > -1e18))
    assert again == whole.trading
    costs = whole.costs
    assert costs.before - costs.fees - costs.slippage - costs.funding == pytest.approx(costs.net)
