"""What else could have happened: many reorderings and resamplings of one record.

Paths are drawn in blocks, so that ten thousand paths of a thousand trades need about a second and
little memory. Everything is deterministic from its seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.research.result import Trades

Floats = NDArray[np.float64]

#: Quantiles of the fan and of every distribution.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

#: Falls from the peak whose probability is told, as fractions.
FALLS = (0.1, 0.2, 0.3, 0.5)

#: Equity at or below this share of the start counts as ruin unless told otherwise.
RUIN = 0.5

#: Points of the fan along the path.
FAN_POINTS = 120

#: Returns handled at once.
_BLOCK = 2_000_000


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """Distribution of many paths. Fractions of the start; quantiles are :data:`QUANTILES`.

    Parameters
    ----------
    final : list of float
        Equity at the end.
    drawdown : list of float
        Deepest fall from the peak, on the points of the path.
    loss_probability : float
        Share of the paths that end below the start.
    ruin_probability : float
        Share that is at or below ``ruin`` at any time.
    falls : dict
        Depth in percent -> share of the paths that fall at least so far.
    fan_at : list of int
        Steps (trades or days) of the fan.
    fan : list of list of float
        Equity at those steps, one list for each quantile.
    rank_of_drawdown : float
        Share of the paths with a shallower deepest fall than the record's own; near 1 the record
        was unlucky in its order, near 0 lucky.
    """

    method: str
    paths: int
    steps: int
    seed: int
    final: list[float]
    drawdown: list[float]
    loss_probability: float
    ruin: float
    ruin_probability: float
    falls: dict[str, float]
    fan_at: list[int]
    fan: list[list[float]]
    own_final: float
    own_drawdown: float
    rank_of_drawdown: float


class CostStress(msgspec.Struct, frozen=True, kw_only=True):
    """The same trades with fees and slippage multiplied."""

    multiple: float
    net: float
    profit_factor: float | None
    won: int


def trade_returns(trades: Trades, start_equity: float) -> Floats:
    """Net result of each trade as a fraction of the equity realised before it closed.

    Raises
    ------
    InvalidInput
        When there is no trade, or the account was already lost before the last one.
    """
    if len(trades) == 0:
        raise InvalidInput("there is no trade to draw from")
    before = start_equity + np.concatenate(([0.0], np.cumsum(trades.net)[:-1]))
    if not np.all(before > 0.0):
        raise InvalidInput("the account was lost before its last trade; there is nothing to draw")
    return np.maximum(trades.net / before, -1.0)


def shuffled(returns: Floats, *, paths: int = 10_000, seed: int = 7, ruin: float = RUIN) -> Paths:
    """The same trades in another order: how deep it could have fallen on the way."""
    _usable(returns, paths)

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return rng.permuted(np.broadcast_to(returns, (count, len(returns))), axis=1)

    return _simulate("trades shuffled", returns, draw, paths, seed, ruin)


def resampled(returns: Floats, *, paths: int = 10_000, seed: int = 7, ruin: float = RUIN) -> Paths:
    """Trades drawn with replacement (Efron, 1979): how much of the result hangs on a few."""
    _usable(returns, paths)

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return returns[rng.integers(0, len(returns), (count, len(returns)))]

    return _simulate("trades resampled", returns, draw, paths, seed, ruin)


def block_bootstrap(
    returns: Floats,
    *,
    mean_block: float | None = None,
    paths: int = 10_000,
    seed: int = 7,
    ruin: float = RUIN,
) -> Paths:
    """Days drawn in blocks of random length, so that streaks and calm spells stay together.

    The stationary bootstrap of Politis and Romano (1994): every day either follows the day before
    it in the record or, with probability ``1 / mean_block``, starts somewhere else; the record is
    a circle.

    Parameters
    ----------
    mean_block : float, optional
        Mean block length in days; by default the cube root of the number of days, the order that
        keeps bias and variance in balance.
    """
    _usable(returns, paths)
    length = len(returns)
    mean = mean_block or max(1.0, round(length ** (1 / 3)))
    if mean < 1.0:
        raise InvalidInput(f"a block of {mean:g} days is shorter than one day")

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return returns[stationary(rng, count, length, mean)]

    return _simulate(f"days in blocks of {mean:g}", returns, draw, paths, seed, ruin)


def stationary(
    rng: np.random.Generator, count: int, length: int, mean_block: float
) -> NDArray[np.int64]:
    """Indices of the stationary bootstrap: ``count`` rows of ``length`` places in a record."""
    fresh = rng.random((count, length), dtype=np.float32) < 1.0 / mean_block
    fresh[:, 0] = True
    places = np.arange(length)
    began = np.maximum.accumulate(np.where(fresh, places, 0), axis=1)
    starts = rng.integers(0, length, (count, length))
    return np.asarray((np.take_along_axis(starts, began, axis=1) + places - began) % length)


def cost_stress(
    trades: Trades, multiples: Sequence[float] = (1.0, 1.5, 2.0, 3.0)
) -> list[CostStress]:
    """The trades as they were, with fees and slippage multiplied; sizes are held."""
    found = []
    for multiple in multiples:
        net = trades.net - (multiple - 1.0) * (trades.fees + trades.slippage)
        lost = float(-net[net < 0.0].sum())
        found.append(
            CostStress(
                multiple=multiple,
                net=float(net.sum()),
                profit_factor=float(net[net > 0.0].sum()) / lost if lost > 0.0 else None,
                won=int((net > 0.0).sum()),
            )
        )
    return found


def break_even_multiple(trades: Trades) -> float | None:
    """How many times the fees and slippage paid the result could bear before it is zero.

    ``None`` without costs, or when the result is negative even without them.
    """
    paid = float((trades.fees + trades.slippage).sum())
    left = float(trades.net.sum())
    return 1.0 + left / paid if paid > 0.0 and left + paid > 0.0 else None


def _usable(returns: Floats, paths: int) -> None:
    if len(returns) < 2:
        raise InvalidInput(f"{len(returns)} returns are too few to draw from")
    if not np.isfinite(returns).all() or (returns < -1.0).any():
        raise InvalidInput("a return is not a finite number of at least -1")
    if paths < 100:
        raise InvalidInput(f"{paths} paths say nothing about a tail; draw at least 100")


def _simulate(
    method: str,
    returns: Floats,
    draw: Callable[[np.random.Generator, int], Floats],
    paths: int,
    seed: int,
    ruin: float,
) -> Paths:
    steps = len(returns)
    at = np.unique(np.linspace(0, steps, min(FAN_POINTS, steps) + 1).round().astype(int))
    final, depth, low = np.empty(paths), np.empty(paths), np.empty(paths)
    fan = np.empty((paths, len(at)))
    for rows, rng in _blocks(paths, steps, seed):
        equity = np.empty((rows.stop - rows.start, steps + 1))
        equity[:, 0] = 1.0
        np.add(draw(rng, len(equity)), 1.0, out=equity[:, 1:])
        np.cumprod(equity, axis=1, out=equity)
        final[rows], low[rows] = equity[:, -1], equity.min(axis=1)
        fan[rows] = equity[:, at]
        peak = np.maximum.accumulate(equity, axis=1)
        np.divide(equity, peak, out=equity)
        depth[rows] = 1.0 - equity.min(axis=1)
    own = np.cumprod(np.concatenate(([1.0], 1.0 + returns)))
    own_depth = float(np.max(1.0 - own / np.maximum.accumulate(own)))
    return Paths(
        method=method,
        paths=paths,
        steps=steps,
        seed=seed,
        final=_quantiles(final),
        drawdown=_quantiles(depth),
        loss_probability=float((final < 1.0 - 1e-12).mean()),
        ruin=ruin,
        ruin_probability=float((low <= ruin).mean()),
        falls={f"{fall:.0%}": float((depth >= fall).mean()) for fall in FALLS},
        fan_at=[int(step) for step in at],
        fan=[[float(v) for v in row] for row in np.quantile(fan, QUANTILES, axis=0)],
        own_final=float(own[-1]),
        own_drawdown=own_depth,
        rank_of_drawdown=float((depth < own_depth - 1e-12).mean()),
    )


def _blocks(paths: int, steps: int, seed: int) -> Iterator[tuple[slice, np.random.Generator]]:
    """Slices of the paths, each with a generator of its own."""
    size = max(1, min(paths, _BLOCK // max(steps, 1)))
    seeds = np.random.SeedSequence(seed).spawn(math.ceil(paths / size))
    for number, child in enumerate(seeds):
        begin = number * size
        yield slice(begin, min(begin + size, paths)), np.random.Generator(np.random.SFC64(child))


def _quantiles(values: Floats) -> list[float]:
    return [float(q) for q in np.quantile(values, QUANTILES)]
