"""Signals in, trades out, on the compiled core: moving-average crosses, sweeps, comparisons.

No gate, no wallet limits, no guardian: what bar backtesters do, to be held against them and to
sweep parameters by the thousand. A strategy that is meant to be traded belongs in
:func:`shared.research.backtest.run`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.market.timeframe import duration_ms
from shared.research.result import EXIT_REASONS, Result, Trades

if TYPE_CHECKING:
    from shared.market.candle import Columns

_REASONS = ("signal", "stop", "take profit", "end of data")
#: What :func:`sweep` says about each pair.
SUMMARY = np.dtype(
    [
        ("fast", np.int64),
        ("slow", np.int64),
        ("equity", np.float64),
        ("trades", np.int64),
        ("max_drawdown", np.float64),
        ("mean", np.float64),
        ("deviation", np.float64),
    ]
)


def ema_cross(columns: Columns, fast: int, slow: int) -> NDArray[np.int8]:
    """1 after the fast average crossed above the slow one, -1 after below, 0 before either.

    Raises
    ------
    InvalidInput
        For periods that are not ``1 <= fast < slow``, and candles that cannot be used.
    """
    from shared.research.kernel.crosses import ema_crosses

    check(columns)
    _pair(fast, slow)
    want = np.zeros(len(columns), np.int8)
    ema_crosses(columns.close, fast, slow, want)  # type: ignore[no-untyped-call]
    return want


def trade(
    columns: Columns,
    want: NDArray[np.int8],
    *,
    quantity: float = 1.0,
    fee: float = 0.0,
    slippage: float = 0.0,
    stop: float = 0.0,
    target: float = 0.0,
    cash: float = 1e8,
) -> Result:
    """Hold what is wanted, from the open after it is wanted; closed at the last close.

    Parameters
    ----------
    want : int8 array
        1 long, -1 short, 0 flat, at the close of each bar.
    quantity : float
        Base asset per position.
    fee, slippage : float
        Fractions of an order's value and of its price.
    stop, target : float
        Distances from the entry as fractions of it; 0 for none.
    cash : float
        USDT at the beginning; it is not checked whether it suffices.

    Raises
    ------
    InvalidInput
        For candles or figures that cannot be used, naming them.
    """
    from shared.research.kernel.crosses import follow

    check(columns)
    if len(want) != len(columns):
        raise InvalidInput(f"{len(want)} signals for {len(columns)} bars")
    _figures(quantity=quantity, cash=cash)
    _fractions(fee=fee, slippage=slippage, stop=stop)
    if not 0 <= target < 100:
        raise InvalidInput(f"target is {target}; set a fraction of the price from 0")
    wanted = np.ascontiguousarray(want, dtype=np.int8)
    # A trade ends at a change of what is wanted, or at a stop that is not taken up before one.
    room = int(np.count_nonzero(np.diff(wanted))) + 2
    rows, figures = np.zeros((room, 4), np.int64), np.zeros((room, 4))
    curves = np.empty((3, len(columns)))
    count = follow(  # type: ignore[no-untyped-call]
        columns.open,
        columns.high,
        columns.low,
        columns.close,
        wanted,
        float(quantity),
        float(fee),
        float(slippage),
        float(stop),
        float(target),
        float(cash),
        curves,
        rows,
        figures,
    )
    return _result(columns, rows[:count], figures[:count], curves, quantity, slippage, stop, cash)


def sweep(
    columns: Columns,
    pairs: Sequence[tuple[int, int]],
    *,
    first: int = 0,
    until: int | None = None,
    quantity: float = 1.0,
    fee: float = 0.0,
    slippage: float = 0.0,
    stop: float = 0.0,
    cash: float = 1e8,
) -> NDArray[Any]:
    """EMA crosses of many pairs; one row of :data:`SUMMARY` each, nothing else is kept.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Fast and slow periods.
    first, until : int
        Bars that are traded, the averages beginning with the first of them; all by default.
    """
    from shared.research.kernel.crosses import sweep_crosses

    check(columns)
    stop_at = len(columns) if until is None else until
    if not 0 <= first < stop_at <= len(columns):
        raise InvalidInput(f"bars {first} to {stop_at} are not within the {len(columns)} there are")
    for fast, slow in pairs:
        _pair(fast, slow)
    _figures(quantity=quantity, cash=cash)
    _fractions(fee=fee, slippage=slippage, stop=stop)
    out = np.zeros((len(pairs), 5))
    given = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    sweep_crosses(  # type: ignore[no-untyped-call]
        columns.open,
        columns.high,
        columns.low,
        columns.close,
        first,
        stop_at,
        given,
        float(quantity),
        float(fee),
        float(slippage),
        float(stop),
        float(cash),
        out,
    )
    found = np.zeros(len(pairs), SUMMARY)
    found["fast"], found["slow"] = given.T
    for i, name in enumerate(("equity", "trades", "max_drawdown", "mean", "deviation")):
        found[name] = out[:, i]
    return found


def has_numba() -> bool:
    """Whether machine code can be made here; an app may be deployed without."""
    try:
        return importlib.util.find_spec("numba") is not None
    except ValueError:  # it was taken out of this process
        return False


def first_wrong(
    time: NDArray[np.int64],
    step: int,
    o: NDArray[np.float64],
    h: NDArray[np.float64],
    low: NDArray[np.float64],
    c: NDArray[np.float64],
) -> tuple[int, int]:
    """As the kernel of that name, without it."""
    wrong = np.zeros((len(time), 5), np.bool_)
    wrong[1:, 0] = np.diff(time) != step
    for place, prices in enumerate((o, h, low, c), 1):
        wrong[:, place] = ~((prices > 0.0) & (prices < np.inf))
    rows, columns = np.nonzero(wrong)
    return (int(rows[0]), int(columns[0])) if len(rows) else (-1, 0)


def check(columns: Columns) -> None:
    """Candles that a kernel may be given.

    Raises
    ------
    InvalidInput
        Saying which row is empty, out of order, missing or not a number.
    """
    where = f"{columns.symbol} {columns.timeframe}"
    if not len(columns):
        raise InvalidInput(f"{where}: no candle")
    find: Any = first_wrong
    if has_numba():
        from shared.research.kernel.crosses import first_wrong as compiled

        find = compiled
    row, column = find(
        columns.open_time,
        duration_ms(columns.timeframe),
        columns.open,
        columns.high,
        columns.low,
        columns.close,
    )
    if row >= 0 and column == 0:
        raise InvalidInput(f"{where}: row {row + 1} does not follow the one before it")
    if row >= 0:
        name = ("open", "high", "low", "close")[column - 1]
        raise InvalidInput(f"{where}: {name} of row {row + 1} is no price")


def _pair(fast: int, slow: int) -> None:
    if not 1 <= fast < slow:
        raise InvalidInput(f"periods {fast} and {slow}: the fast one is at least 1 and shorter")


def _figures(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise InvalidInput(f"{name} is {value}; set a number above 0")


def _fractions(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < 1:
            raise InvalidInput(f"{name} is {value}; set a fraction from 0 to 1")


def _result(
    columns: Columns,
    rows: NDArray[np.int64],
    figures: NDArray[np.float64],
    curves: NDArray[np.float64],
    quantity: float,
    slippage: float,
    stop: float,
    cash: float,
) -> Result:
    step = duration_ms(columns.timeframe)
    codes = np.array([EXIT_REASONS.index(name) for name in _REASONS], dtype=np.int8)
    count = len(rows)
    side, reason = rows[:, 2], codes[rows[:, 3]]
    entry, left, fees, net = figures.T
    # A signal is filled at a bar's open, the rest within it or at its close.
    closed = columns.open_time[rows[:, 1]] + np.where(rows[:, 3] == 0, 0, step)
    zeros = np.zeros(count)
    trades = Trades(
        symbol=np.zeros(count, np.int16),
        strategy=np.zeros(count, np.int16),
        side=side.astype(np.int8),
        opened_at=columns.open_time[rows[:, 0]],
        closed_at=closed,
        quantity=np.full(count, quantity),
        entry_price=entry.copy(),
        exit_price=left.copy(),
        stop_price=entry * (1 - side * stop) if stop else zeros,
        gross=net + fees,
        fees=fees.copy(),
        funding=zeros,
        slippage=slippage * quantity * (entry + left),
        net=net.copy(),
        risk=entry * stop * quantity,
        best=np.full(count, np.nan),
        worst=np.full(count, np.nan),
        exit_reason=reason,
    )
    return Result(
        symbols=(columns.symbol,),
        strategies=("signals",),
        timeframe=columns.timeframe,
        time=columns.open_time + step,
        equity=curves[0],
        wallet=curves[1],
        exposure=curves[2],
        start_equity=cash,
        trades=trades,
    )
