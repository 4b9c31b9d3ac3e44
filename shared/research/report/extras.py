"""What a report can show beside the result itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.market.candle import Columns
from shared.research.equity import Curve
from shared.research.luck import Luck
from shared.research.search import Search
from shared.research.statistics import Statistics
from shared.research.synthetic import Redrawn
from shared.research.walkforward import WalkForward


@dataclass(frozen=True, eq=False)
class Jitter:
    """The same backtest with every parameter moved a little.

    Attributes
    ----------
    width : float
        How far, as a fraction of the value.
    returns : sequence of float
        Total return of each variation.
    """

    width: float
    returns: Sequence[float]


@dataclass(frozen=True, eq=False)
class Extras:
    """Everything optional; a section whose data is missing is left out.

    Attributes
    ----------
    title : str
    prices : mapping of str to Columns
        Candles of the traded symbols, for the chart of trades.
    benchmarks : mapping of str to Curve
        What could have been done instead, from the same start equity.
    luck : Luck, optional
        Computed when missing.
    variations : mapping of str to Statistics
        The same backtest under another assumption: costs doubled, the other order of a bar's
        extremes.
    jitter : Jitter, optional
    redrawn : Redrawn, optional
        The backtest on synthetic markets.
    search : Search, optional
    unseen : bool
        Whether the result is of data that ``search`` had not seen.
    walk : WalkForward, optional
        Its ``result`` is the one reported.
    paths : int
        Monte Carlo paths when ``luck`` is computed.
    """

    title: str = ""
    prices: Mapping[str, Columns] = field(default_factory=dict)
    benchmarks: Mapping[str, Curve] = field(default_factory=dict)
    luck: Luck | None = None
    variations: Mapping[str, Statistics] = field(default_factory=dict)
    jitter: Jitter | None = None
    redrawn: Redrawn | None = None
    search: Search | None = None
    unseen: bool = False
    walk: WalkForward | None = None
    paths: int = 10_000
