"""Results made by hand: what an engine would leave behind, without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.market.timeframe import DAY_MS
from shared.research.result import EXIT_REASONS, Result, Trades

#: 2024-01-01T00:00Z
START = 1_704_067_200_000
HOUR = 3_600_000


def row(net: float, closed_at: int, **other: Any) -> dict[str, Any]:
    """One trade with that net result; without costs unless told."""
    fees, funding = other.get("fees", 0.0), other.get("funding", 0.0)
    return {
        "symbol": 0,
        "strategy": 0,
        "side": 1,
        "opened_at": closed_at - 4 * HOUR,
        "closed_at": closed_at,
        "quantity": 1.0,
        "entry_price": 100.0,
        "exit_price": 100.0 + net,
        "stop_price": 98.0,
        "gross": net + fees - funding,
        "fees": fees,
        "funding": funding,
        "slippage": 0.0,
        "net": net,
        "risk": 2.0,
        "best": max(net, 0.0),
        "worst": min(net, 0.0),
        "exit_reason": EXIT_REASONS.index("take profit" if net > 0 else "stop"),
    } | other


def daily_result(
    equity: Sequence[float],
    trades: Sequence[dict[str, Any]] = (),
    *,
    start_equity: float = 1000.0,
    exposure: Sequence[float] | None = None,
    start: int = START,
) -> Result:
    """One equity sample at the end of every day from ``start`` on."""
    values = np.array(equity, dtype=np.float64)
    held = np.zeros(len(values)) if exposure is None else np.array(exposure, dtype=np.float64)
    return Result(
        symbols=("BTCUSDT", "ETHUSDT"),
        strategies=("trend", "breakout"),
        timeframe="1d",
        time=start + DAY_MS * np.arange(1, len(values) + 1, dtype=np.int64),
        equity=values,
        wallet=values,
        exposure=held,
        start_equity=start_equity,
        trades=Trades.from_rows(list(trades)),
    )


def random_result(
    seed: int, *, days: int = 400, trades: int = 300, edge: float = 0.0, hourly: bool = True
) -> Result:
    """A record as a strategy leaves it: trades by chance, equity moving with them."""
    rng = np.random.default_rng(seed)
    step = HOUR if hourly else DAY_MS
    samples = days * (24 if hourly else 1)
    time = START + step * np.arange(1, samples + 1, dtype=np.int64)
    closes = np.sort(rng.choice(np.arange(10, samples), trades, replace=False))
    rows = []
    equity = 5000.0
    path = np.full(samples, equity)
    held = np.zeros(samples)
    for close in closes.tolist():
        opened = max(0, close - int(rng.integers(1, 9)))
        price = 100.0 * float(np.exp(rng.normal(0.0, 0.3)))
        risk = 0.005 * equity
        quantity = risk / (0.02 * price)
        side = int(rng.choice([-1, 1]))
        r = float(np.clip(rng.normal(edge, 1.0), -1.1, 4.0))
        fees, slippage = 0.0008 * quantity * price, 0.0002 * quantity * price
        funding = float(rng.normal(0.0, 0.05))
        net = r * risk - fees + funding
        rows.append(
            {
                "symbol": int(rng.integers(0, 2)),
                "strategy": int(rng.integers(0, 2)),
                "side": side,
                "opened_at": int(time[opened]),
                "closed_at": int(time[close]),
                "quantity": quantity,
                "entry_price": price,
                "exit_price": price + side * (net + fees - funding) / quantity,
                "stop_price": price * (1.0 - side * 0.02),
                "gross": net + fees - funding,
                "fees": fees,
                "funding": funding,
                "slippage": slippage,
                "net": net,
                "risk": risk,
                "best": max(net, 0.0) * 1.2,
                "worst": min(net, 0.0) * 1.1,
                "exit_reason": EXIT_REASONS.index("stop" if net < 0 else "take profit"),
            }
        )
        held[opened:close] = quantity * price
        equity += net
        path[close:] = equity
    wiggle = np.where(held > 0, rng.normal(0.0, 0.001, samples), 0.0)
    return Result(
        symbols=("BTCUSDT", "ETHUSDT"),
        strategies=("trend", "breakout"),
        timeframe="1h" if hourly else "1d",
        time=time,
        equity=path * (1.0 + wiggle),
        wallet=path,
        exposure=held,
        start_equity=5000.0,
        trades=Trades.from_rows(rows),
        decisions={"approved": trades, "exposure": 12},
        notes=(),
        settings={"seed": seed},
    )
