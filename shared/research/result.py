"""What a backtest leaves behind: trades and equity as columns, with what they were made from.

Everything downstream - statistics, walk-forward, Monte Carlo, reports, comparison - reads these
records and nothing else, whichever engine made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput

#: Why a trade ended; its place in this list is the code in :attr:`Trades.exit_reason`.
EXIT_REASONS = (
    "stop",
    "trailing stop",
    "take profit",
    "time exit",
    "liquidation",
    "kill switch",
    "end of data",
    "signal",
    "protection failed",
)


@dataclass(frozen=True, eq=False)
class Trades:
    """Closed round trips, one per row, ascending by ``closed_at``.

    Attributes
    ----------
    symbol, strategy : int16 arrays
        Places in :attr:`Result.symbols` and :attr:`Result.strategies`; the strategy is the voter
        that weighed most in the signal.
    side : int8 array
        1 long, -1 short.
    opened_at, closed_at : int64 arrays
        First and last fill, UTC milliseconds.
    quantity : float64 array
        Base asset.
    entry_price, exit_price, stop_price : float64 arrays
        Volume-weighted fill prices; the first protective stop.
    gross, fees, funding, slippage, net : float64 arrays
        USDT. ``gross`` from fill prices, ``fees`` positive when paid, ``funding`` positive when
        received, ``slippage`` what spread and depth cost against the undisturbed price (already
        inside ``gross``), ``net = gross - fees + funding``.
    risk : float64 array
        USDT at risk when the stop is hit, as planned.
    best, worst : float64 arrays
        Largest unrealised gain and loss on the way, USDT.
    exit_reason : int8 array
        Places in :data:`EXIT_REASONS`.
    """

    symbol: NDArray[np.int16]
    strategy: NDArray[np.int16]
    side: NDArray[np.int8]
    opened_at: NDArray[np.int64]
    closed_at: NDArray[np.int64]
    quantity: NDArray[np.float64]
    entry_price: NDArray[np.float64]
    exit_price: NDArray[np.float64]
    stop_price: NDArray[np.float64]
    gross: NDArray[np.float64]
    fees: NDArray[np.float64]
    funding: NDArray[np.float64]
    slippage: NDArray[np.float64]
    net: NDArray[np.float64]
    risk: NDArray[np.float64]
    best: NDArray[np.float64]
    worst: NDArray[np.float64]
    exit_reason: NDArray[np.int8]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in _COLUMNS}
        if len(set(lengths.values())) != 1:
            raise InvalidInput(f"trade columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.net)

    def where(self, chosen: NDArray[Any]) -> Trades:
        """Rows of a boolean mask or of indices."""
        return Trades(**{name: getattr(self, name)[chosen] for name in _COLUMNS})

    @classmethod
    def from_rows(cls, rows: list[Mapping[str, Any]]) -> Trades:
        """Columns from one mapping per trade."""
        return cls(
            **{name: np.array([r[name] for r in rows], dtype=_DTYPES[name]) for name in _COLUMNS}
        )


_DTYPES: dict[str, Any] = {
    "symbol": np.int16,
    "strategy": np.int16,
    "side": np.int8,
    "opened_at": np.int64,
    "closed_at": np.int64,
    "exit_reason": np.int8,
}
_COLUMNS = tuple(f.name for f in fields(Trades))
for _name in _COLUMNS:
    _DTYPES.setdefault(_name, np.float64)


@dataclass(frozen=True, eq=False)
class Result:
    """One backtest.

    Attributes
    ----------
    symbols, strategies : tuple of str
        Names behind the codes in :class:`Trades`.
    timeframe : str
        Bars on which decisions were made.
    time : int64 array
        Closing times of the equity samples, UTC milliseconds, ascending, evenly spaced.
    equity, wallet : float64 arrays
        USDT at those times, with and without unrealised P&L.
    exposure : float64 array
        Notional held at those times, USDT.
    start_equity : float
    trades : Trades
    decisions : mapping of str to int
        ``approved``, and declined ones by the name of the first check that failed.
    notes : tuple of str
        What a reader must know: replaced data, open position at the end, few bars.
    settings : mapping
        Everything the run depends on, JSON-able, so that it can be repeated.
    """

    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    timeframe: str
    time: NDArray[np.int64]
    equity: NDArray[np.float64]
    wallet: NDArray[np.float64]
    exposure: NDArray[np.float64]
    start_equity: float
    trades: Trades
    decisions: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
