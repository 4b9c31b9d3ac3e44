"""What a backtest came to, in the figures of the field. Every definition is in docs/research.md.

Ratios are from daily returns (UTC days) and annualised with 365 days; drawdowns from every equity
sample; trade figures net of all costs. A figure that is not defined (no loss to divide by, no
trade, one day) is ``None``, never a made-up number.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.market.timeframe import DAY_MS
from shared.research.equity import (
    DAYS_A_YEAR,
    Curve,
    curve,
    daily,
    deepest,
    drawdowns,
    longest_under_water,
    returns,
)
from shared.research.result import Result, Trades

Floats = NDArray[np.float64]


class TradeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a set of closed trades. Money in USDT.

    Parameters
    ----------
    won : int
        Trades with ``net > 0``; one that ends at exactly zero is neither won nor lost.
    win_rate : float
        ``won / trades``.
    profit_factor : float
        Sum of winning ``net`` over the absolute sum of losing ones.
    payoff : float
        Mean win over mean loss.
    expectancy : float
        Mean ``net``.
    expectancy_r, median_r, deviation_r : float
        Of ``net / risk``, the R multiple; trades without planned risk are left out.
    longest_losing_streak : int
        Losing trades in a row, by closing time.
    mean_hours : float
        Between first and last fill.
    """

    trades: int
    longs: int
    won: int
    lost: int
    win_rate: float | None
    profit_factor: float | None
    payoff: float | None
    expectancy: float | None
    expectancy_r: float | None
    median_r: float | None
    deviation_r: float | None
    best: float | None
    worst: float | None
    longest_losing_streak: int
    mean_hours: float | None
    gross: float
    fees: float
    funding: float
    slippage: float
    net: float


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Where the gross result went.

    ``before`` is the result at undisturbed prices: ``gross + slippage``. The shares are of it,
    and ``None`` when it is not positive; ``funding`` is positive when it cost.
    """

    before: float
    fees: float
    slippage: float
    funding: float
    net: float
    fees_share: float | None
    slippage_share: float | None
    funding_share: float | None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a whole backtest. Fractions, not percent; times ISO 8601 UTC.

    Parameters
    ----------
    sharpe, sortino : float
        Mean daily return above the risk-free one, over the standard (downside) deviation, times
        the root of 365.
    cagr : float
        Growth per 365 days.
    calmar : float
        ``cagr / max_drawdown``.
    risk_adjusted_return : float
        ``cagr`` per unit of average exposure (``cagr / mean_leverage``).
    max_drawdown_days : float
        The longest time between an equity peak and the next equity as high, or the end.
    ulcer_index : float
        Root mean square of all drawdowns of daily equity (Martin, 1987).
    skewness, kurtosis : float
        Of daily returns; a normal distribution has 0 and 3.
    value_at_risk, expected_shortfall : float
        Loss of a day exceeded on one day in twenty, and the mean loss of those days.
    exposure : float
        Share of the samples with a position.
    mean_leverage : float
        Mean of notional over equity at all samples.
    turnover : float
        Notional bought and sold per year over mean equity.
    """

    start: str
    end: str
    days: float
    risk_free: float
    start_equity: float
    end_equity: float
    total_return: float
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    risk_adjusted_return: float | None
    max_drawdown: float
    max_drawdown_from: str
    max_drawdown_to: str
    max_drawdown_recovered: str | None
    max_drawdown_days: float
    ulcer_index: float
    skewness: float | None
    kurtosis: float | None
    value_at_risk: float | None
    expected_shortfall: float | None
    best_day: float | None
    worst_day: float | None
    exposure: float
    mean_leverage: float
    turnover: float | None
    trading: TradeStatistics
    costs: Costs


def statistics(result: Result, *, risk_free: float = 0.0) -> Statistics:
    """All figures of a result.

    Parameters
    ----------
    risk_free : float
        Yearly rate as a fraction.

    Raises
    ------
    InvalidInput
        When the result has no usable equity.
    """
    whole = curve(result)
    by_day = daily(whole)
    day_returns = returns(by_day)
    fall = deepest(whole)
    growth = cagr(whole)
    leverage = _leverage(result)
    trades = result.trades
    years = whole.days / DAYS_A_YEAR
    mean_equity = float(result.equity.mean())
    falls = drawdowns(by_day.equity)
    notional = float((trades.quantity * (trades.entry_price + trades.exit_price)).sum())
    skewness, kurtosis = moments(day_returns)
    return Statistics(
        start=iso(int(whole.time[0])),
        end=iso(int(whole.time[-1])),
        days=whole.days,
        risk_free=risk_free,
        start_equity=float(whole.equity[0]),
        end_equity=float(whole.equity[-1]),
        total_return=float(whole.equity[-1] / whole.equity[0] - 1.0),
        cagr=growth,
        volatility=volatility(day_returns),
        sharpe=sharpe(day_returns, risk_free=risk_free),
        sortino=sortino(day_returns, risk_free=risk_free),
        calmar=_over(growth, fall.depth),
        risk_adjusted_return=_over(growth, leverage),
        max_drawdown=fall.depth,
        max_drawdown_from=iso(fall.peak_at),
        max_drawdown_to=iso(fall.trough_at),
        max_drawdown_recovered=None if fall.recovered_at is None else iso(fall.recovered_at),
        max_drawdown_days=longest_under_water(whole) / DAY_MS,
        ulcer_index=float(np.sqrt(np.mean(falls**2))),
        skewness=skewness,
        kurtosis=kurtosis,
        value_at_risk=_tail(day_returns)[0],
        expected_shortfall=_tail(day_returns)[1],
        best_day=float(np.max(day_returns)) if len(day_returns) else None,
        worst_day=float(np.min(day_returns)) if len(day_returns) else None,
        exposure=float((result.exposure > 0.0).mean()),
        mean_leverage=leverage,
        turnover=notional / mean_equity / years if mean_equity > 0.0 and years > 0.0 else None,
        trading=trade_statistics(trades),
        costs=costs(trades),
    )


def cagr(of: Curve) -> float | None:
    """Growth per 365 days; -1 when nothing was left, ``None`` for less than a day."""
    if of.days < 1.0 or of.equity[0] <= 0.0:
        return None
    ratio = float(of.equity[-1] / of.equity[0])
    if ratio <= 0.0:
        return -1.0
    exponent = math.log(ratio) * DAYS_A_YEAR / of.days
    return math.expm1(exponent) if exponent < 700.0 else None


def _daily_rate(risk_free: float) -> float:
    return float((1.0 + risk_free) ** (1.0 / DAYS_A_YEAR) - 1.0)


def volatility(day_returns: Floats) -> float | None:
    """Sample standard deviation of daily returns times the root of 365."""
    if len(day_returns) < 2:
        return None
    return float(day_returns.std(ddof=1)) * math.sqrt(DAYS_A_YEAR)


def sharpe(day_returns: Floats, *, risk_free: float = 0.0) -> float | None:
    """Sharpe ratio of daily returns, annualised (Sharpe, 1994)."""
    if len(day_returns) < 2:
        return None
    spread = float(day_returns.std(ddof=1))
    excess = float(day_returns.mean()) - _daily_rate(risk_free)
    return _over(excess * math.sqrt(DAYS_A_YEAR), spread)


def sortino(day_returns: Floats, *, risk_free: float = 0.0) -> float | None:
    """Sortino ratio: downside deviation over all days (Sortino and Price, 1994)."""
    if len(day_returns) < 2:
        return None
    excess = day_returns - _daily_rate(risk_free)
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return _over(float(excess.mean()) * math.sqrt(DAYS_A_YEAR), downside)


def moments(values: Floats) -> tuple[float | None, float | None]:
    """Skewness and kurtosis (3 for a normal distribution), from population moments."""
    apart = values - values.mean() if len(values) else values
    variance = float(np.mean(apart**2)) if len(values) > 1 else 0.0
    if variance < 1e-30:
        return None, None
    return (
        float(np.mean(apart**3)) / variance**1.5,
        float(np.mean(apart**4)) / variance**2,
    )


def trade_statistics(trades: Trades) -> TradeStatistics:
    """Figures of some trades."""
    net, count = trades.net, len(trades)
    wins, losses = net[net > 0.0], net[net < 0.0]
    planned = trades.risk > 0.0
    r = net[planned] / trades.risk[planned]
    hours = (trades.closed_at - trades.opened_at) / 3_600_000
    return TradeStatistics(
        trades=count,
        longs=int((trades.side > 0).sum()),
        won=len(wins),
        lost=len(losses),
        win_rate=len(wins) / count if count else None,
        profit_factor=_over(float(wins.sum()), float(-losses.sum())),
        payoff=_over(float(wins.mean()), float(-losses.mean()))
        if len(wins) and len(losses)
        else None,
        expectancy=_mean(net),
        expectancy_r=_mean(r),
        median_r=float(np.median(r)) if len(r) else None,
        deviation_r=float(r.std(ddof=1)) if len(r) > 1 else None,
        best=float(np.max(net)) if count else None,
        worst=float(np.min(net)) if count else None,
        longest_losing_streak=longest_streak(net < 0.0),
        mean_hours=_mean(hours),
        gross=float(trades.gross.sum()),
        fees=float(trades.fees.sum()),
        funding=float(trades.funding.sum()),
        slippage=float(trades.slippage.sum()),
        net=float(net.sum()),
    )


def costs(trades: Trades) -> Costs:
    """Gross at undisturbed prices, and what was taken from it."""
    slippage, fees = float(trades.slippage.sum()), float(trades.fees.sum())
    funding = -float(trades.funding.sum())
    before = float(trades.gross.sum()) + slippage
    return Costs(
        before=before,
        fees=fees,
        slippage=slippage,
        funding=funding,
        net=float(trades.net.sum()),
        fees_share=_over(fees, max(before, 0.0)),
        slippage_share=_over(slippage, max(before, 0.0)),
        funding_share=_over(funding, max(before, 0.0)),
    )


def longest_streak(hit: NDArray[Any]) -> int:
    """Length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hit.astype(np.int8), [0]))))
    return int(np.max(edges[1::2] - edges[::2])) if len(edges) else 0


def _over(a: float | None, b: float) -> float | None:
    # Below: the standard deviation of equal returns is not exactly zero in floating point.
    return a / b if a is not None and b > 1e-15 else None


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _tail(day_returns: Floats, share: float = 0.05) -> tuple[float | None, float | None]:
    """Loss at the quantile (between two days: interpolated) and mean loss at or beyond it."""
    if len(day_returns) < 20:
        return None, None
    edge = float(np.quantile(day_returns, share))
    return -edge, -float(day_returns[day_returns <= edge].mean())


def _leverage(result: Result) -> float:
    some = result.equity > 0.0
    return float((result.exposure[some] / result.equity[some]).mean()) if some.any() else 0.0
