"""What the account has come to with closed trades, in the figures of a backtest.

The curve is realised equity: the wallet as it would have been had every transfer been made before
the first trade. Ratios and falls are those of :mod:`shared.research.statistics` on it, so a live
figure and a backtest's are the same computation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.portfolio import realised
from shared.portfolio.daily import trades_between
from shared.portfolio.trades import Trade
from shared.research.backtest import FEW_TRADES, few_trades
from shared.research.equity import (
    DAYS_A_YEAR,
    Curve,
    daily,
    deepest,
    longest_under_water,
    returns,
)
from shared.research.result import EXIT_REASONS, Trades
from shared.research.sharpe import probabilistic_sharpe
from shared.research.statistics import (
    TradeStatistics,
    cagr,
    moments,
    sharpe,
    sortino,
    trade_statistics,
    volatility,
)

if TYPE_CHECKING:
    from shared.execution.desk import Desk

#: Shorter records say nothing about a year.
SHORT_DAYS = 30


def performance(
    trades: Sequence[Trade], *, wallet: Decimal, until_ms: int, since_ms: int | None = None
) -> dict[str, Any]:
    """Figures of closed trades; money as strings, ratios as numbers or ``None``.

    Parameters
    ----------
    trades : sequence of Trade
        Closed in the period, on one venue, ascending by closing time.
    wallet : Decimal
        Wallet balance at the end as closed trades have left it, USDT.
    until_ms : int
        End of the period, UTC milliseconds.
    since_ms : int, optional
        Its beginning; by default when the first of the trades was opened.
    """
    start = since_ms if since_ms is not None else min((t.opened_at for t in trades), default=None)
    before = wallet - sum((t.net_pnl for t in trades), Decimal(0))
    notes = ["open positions are not in these figures: profit and loss, fees and funding so far"]
    if not trades:
        notes = ["no trade was closed in this period"]
    elif len(trades) < FEW_TRADES:
        notes.append(few_trades(len(trades)))
    found: dict[str, Any] = {
        "since": None if start is None else iso(start),
        "until": iso(until_ms),
        "startEquity": str(before),
        "endEquity": str(wallet),
        **dict.fromkeys(_RATIOS),
    }
    if start is not None and trades and before > 0 and until_ms > start:
        whole = _curve(trades, float(before), start, until_ms)
        found.update(_ratios(whole))
        if whole.days < SHORT_DAYS:
            notes.append(f"{whole.days:.0f} days are too few for yearly figures")
    elif trades and before <= 0:
        notes.append(
            "the wallet holds less than these trades earned, so money was taken out; returns "
            "cannot be told"
        )
    by_symbol = _grouped(trades, lambda t: t.symbol)
    by_month = _grouped(trades, lambda t: iso(t.closed_at)[:7])
    return {
        **found,
        "trading": _trading(trades),
        "bySymbol": {name: _trading(some) for name, some in by_symbol.items()},
        "byMonth": {
            name: {"trades": len(some), "netPnl": _total(some, "net_pnl")}
            for name, some in by_month.items()
        },
        "notes": notes,
    }


def of_account(
    desk: Desk, since_ms: int | None = None, until_ms: int | None = None
) -> dict[str, Any]:
    """Figures of the trades that the account closed on its present venue.

    Trades of another venue are left out: they were made with other money.

    Raises
    ------
    InvalidInput
        When the period ends before it begins.
    """
    now = desk.clock.now_ms()
    until = now if until_ms is None else min(until_ms, now)
    if since_ms is not None and since_ms >= until:
        raise InvalidInput(f"from {iso(since_ms)} is not before to {iso(until)}")
    known = [
        t for t in trades_between(desk, since_ms or 0, now + 1) if t.venue in ("", desk.environment)
    ]
    later = sum((t.net_pnl for t in known if t.closed_at >= until), Decimal(0))
    wallet = realised.wallet(desk, known)
    found = performance(
        [t for t in known if t.closed_at < until],
        wallet=wallet - later,
        until_ms=until,
        since_ms=since_ms,
    )
    return {"account": desk.account, "venue": desk.environment, **found}


_RATIOS = (
    "days",
    "totalReturn",
    "cagr",
    "volatility",
    "sharpe",
    "sharpeAboveZero",
    "sortino",
    "calmar",
    "maxDrawdown",
    "maxDrawdownFrom",
    "maxDrawdownTo",
    "maxDrawdownRecovered",
    "maxDrawdownDays",
)


def _curve(trades: Sequence[Trade], before: float, start: int, until: int) -> Curve:
    """Realised equity at the start, every closing, every end of a UTC day, and the end."""
    closed = np.array([t.closed_at for t in trades], dtype=np.int64)
    gained = np.concatenate(([0.0], np.cumsum([float(t.net_pnl) for t in trades])))
    midnights = np.arange((start // DAY_MS + 1) * DAY_MS, until, DAY_MS, dtype=np.int64)
    inside = closed[(closed > start) & (closed < until)]
    time = np.unique(np.concatenate(([start], inside, midnights, [until])))
    return Curve(time, before + gained[np.searchsorted(closed, time, side="right")])


def _ratios(whole: Curve) -> dict[str, Any]:
    days = returns(daily(whole))
    fall, growth = deepest(whole), cagr(whole)
    ratio = sharpe(days)
    skewness, kurtosis = moments(days)
    sure = None
    if ratio is not None and skewness is not None and kurtosis is not None:
        sure = probabilistic_sharpe(
            ratio / math.sqrt(DAYS_A_YEAR), len(days), skewness=skewness, kurtosis=kurtosis
        )
    return {
        "days": whole.days,
        "totalReturn": float(whole.equity[-1] / whole.equity[0] - 1.0),
        "cagr": growth,
        "volatility": volatility(days),
        "sharpe": ratio,
        "sharpeAboveZero": sure,
        "sortino": sortino(days),
        "calmar": growth / fall.depth if growth is not None and fall.depth > 1e-15 else None,
        "maxDrawdown": fall.depth,
        "maxDrawdownFrom": iso(fall.peak_at),
        "maxDrawdownTo": iso(fall.trough_at),
        "maxDrawdownRecovered": None if fall.recovered_at is None else iso(fall.recovered_at),
        "maxDrawdownDays": longest_under_water(whole) / DAY_MS,
    }


def _trading(trades: Sequence[Trade]) -> dict[str, Any]:
    s: TradeStatistics = trade_statistics(_columns(trades))
    return {
        "trades": s.trades,
        "longs": s.longs,
        "won": s.won,
        "lost": s.lost,
        "winRate": s.win_rate,
        "profitFactor": s.profit_factor,
        "payoff": s.payoff,
        "expectancy": s.expectancy,
        "expectancyR": s.expectancy_r,
        "medianR": s.median_r,
        "best": s.best,
        "worst": s.worst,
        "longestLosingStreak": s.longest_losing_streak,
        "meanHours": s.mean_hours,
        "grossPnl": _total(trades, "gross_pnl"),
        "fees": _total(trades, "fees"),
        "funding": _total(trades, "funding"),
        "netPnl": _total(trades, "net_pnl"),
    }


def _columns(trades: Sequence[Trade]) -> Trades:
    """Columns of what is known of a trade; figures that only a backtest has are zero."""
    names = sorted({t.symbol for t in trades})
    reasons = {name: code for code, name in enumerate(EXIT_REASONS)}
    return Trades.from_rows(
        [
            {
                "symbol": names.index(t.symbol),
                "strategy": 0,
                "side": 1 if t.side == "BUY" else -1,
                "opened_at": t.opened_at,
                "closed_at": t.closed_at,
                "quantity": float(t.quantity),
                "entry_price": float(t.entry_price),
                "exit_price": float(t.exit_price),
                "stop_price": 0.0,
                "gross": float(t.gross_pnl),
                "fees": float(t.fees),
                "funding": float(t.funding),
                "slippage": 0.0,
                "net": float(t.net_pnl),
                "risk": float(t.net_pnl / t.r_multiple) if t.r_multiple else 0.0,
                "best": 0.0,
                "worst": 0.0,
                "exit_reason": reasons.get(t.exit_reason, 0),
            }
            for t in trades
        ]
    )


def _total(trades: Sequence[Trade], name: str) -> str:
    return str(sum((getattr(t, name) for t in trades), Decimal(0)))


def _grouped(trades: Sequence[Trade], name_of: Callable[[Trade], str]) -> dict[str, list[Trade]]:
    found: defaultdict[str, list[Trade]] = defaultdict(list)
    for trade in trades:
        found[name_of(trade)].append(trade)
    return dict(sorted(found.items()))
