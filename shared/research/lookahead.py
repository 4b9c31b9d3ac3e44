"""Does a strategy or a feature know the future? Take the future away and see what changes.

At several bars the history is cut off, and in another run everything after the bar is shuffled.
Whatever changes at or before the bar was computed from bars after it. For strategies the live
decision at the bar, made from exactly the bars it declares to need, is compared as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.research.reorder import joined, reordered
from shared.strategies.frame import Frame
from shared.strategies.strategy import Voter

Floats = NDArray[np.float64]

#: Figures by name, one value per bar, from candles.
Feature = Callable[[Columns], Mapping[str, Floats]]

#: Difference that counts, relative to the largest magnitude of the figure.
TOLERANCE = 1e-9

#: Bars at which the future is taken away.
CUTS = 24


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that depends on bars after its own.

    Parameters
    ----------
    how : str
        ``truncated`` (bars after the cut removed), ``shuffled`` (those bars in another order) or
        ``live`` (whole history against the live window).
    cut : int
        Number of bars before the cut; the last one that may be known is ``cut - 1``.
    bar : int
        The first bar that changed.
    reach : int
        ``cut - bar``: how many bars ahead the figure looked at least.
    expected, found : float
        Value with the whole history, and with the future taken away.
    """

    figure: str
    how: str
    cut: int
    bar: int
    reach: int
    expected: float
    found: float


class LookAhead(msgspec.Struct, frozen=True, kw_only=True):
    """Verdict on one strategy or feature.

    ``checked`` counts compared values; ``empty`` are figures without a number on any bar, of which
    nothing is known.
    """

    name: str
    bars: int
    cuts: list[int]
    figures: list[str]
    checked: int
    leaks: list[Leak]
    empty: list[str] = []

    @property
    def clean(self) -> bool:
        """Whether nothing changed with the future."""
        return not self.leaks

    def worst(self) -> dict[str, Leak]:
        """The leak that reaches furthest, by figure."""
        found: dict[str, Leak] = {}
        for leak in self.leaks:
            if leak.figure not in found or leak.reach > found[leak.figure].reach:
                found[leak.figure] = leak
        return found


def look_ahead(
    name: str,
    feature: Feature,
    columns: Columns,
    *,
    warmup: int = 1,
    cuts: int = CUTS,
    seed: int = 7,
    tolerance: float = TOLERANCE,
) -> LookAhead:
    """Check a feature on one history.

    Parameters
    ----------
    warmup : int
        Bars the feature needs before its first value; no cut is made before them.
    cuts : int
        Bars at which the future is taken away; drawn from the seed, the last bars always among
        them.

    Raises
    ------
    InvalidInput
        When the history is too short, or the feature does not answer with one value per bar, or
        not twice with the same.
    """
    places = _places(len(columns), warmup, cuts, seed)
    whole = _values(name, feature, columns)
    scale = {key: _scale(values) * tolerance for key, values in whole.items()}
    again = _values(name, feature, columns)
    if whole.keys() != again.keys() or any(
        _first_difference(whole[key], again[key], scale[key]) is not None for key in whole
    ):
        raise InvalidInput(
            f"{name} gives other values when it is asked again on the same bars; what depends on "
            "chance or on earlier calls cannot be judged"
        )
    rng = np.random.default_rng(seed)
    leaks: list[Leak] = []
    checked = 0
    for cut in places:
        past = columns.window(0, cut)
        futures = {"truncated": past, "shuffled": _shuffled(columns, cut, rng)}
        for how, changed in futures.items():
            other = _values(name, feature, changed)
            for key, values in whole.items():
                checked += cut
                bar = _first_difference(values[:cut], other[key][:cut], scale[key])
                if bar is not None:
                    leaks.append(
                        Leak(
                            figure=key,
                            how=how,
                            cut=cut,
                            bar=bar,
                            reach=cut - bar,
                            expected=float(values[bar]),
                            found=float(other[key][bar]),
                        )
                    )
    return LookAhead(
        name=name,
        bars=len(columns),
        cuts=places,
        figures=sorted(whole),
        checked=checked,
        leaks=leaks,
        empty=sorted(key for key, values in whole.items() if not np.isfinite(values).any()),
    )


def look_ahead_of_voter(
    voter: Voter, columns: Columns, *, cuts: int = CUTS, seed: int = 7
) -> LookAhead:
    """Check a strategy or model: its vote and every figure behind it, and its live decision."""

    def feature(candles: Columns) -> Mapping[str, Floats]:
        votes = voter.votes(Frame(candles))
        arrays = {"vote": votes.vote, **votes.figures}
        return {k: np.broadcast_to(np.asarray(v, float), len(candles)) for k, v in arrays.items()}

    found = look_ahead(voter.name, feature, columns, warmup=voter.history, cuts=cuts, seed=seed)
    whole = feature(columns)["vote"]
    leaks = list(found.leaks)
    for cut in found.cuts:
        window = columns.window(max(0, cut - voter.history), cut)
        live = float(voter.votes(Frame(window, 1)).vote)
        expected = float(whole[cut - 1])
        if _first_difference(np.array([expected]), np.array([live]), TOLERANCE) is not None:
            leaks.append(
                Leak(
                    figure="vote",
                    how="live",
                    cut=cut,
                    bar=cut - 1,
                    reach=1,
                    expected=expected,
                    found=live,
                )
            )
    return msgspec.structs.replace(found, leaks=leaks, checked=found.checked + len(found.cuts))


def _places(bars: int, warmup: int, cuts: int, seed: int) -> list[int]:
    first = max(2, warmup)
    if bars < first + 10:
        raise InvalidInput(
            f"{bars} bars are too few: {first} are needed before the first value, and some after"
        )
    if cuts < 1:
        raise InvalidInput("at least one cut is needed")
    inside = np.random.default_rng(seed).choice(
        np.arange(first, bars - 1), min(cuts, bars - 1 - first), replace=False
    )
    # Close to the end a feature that centres a window has the least future left.
    return sorted({*inside.tolist(), bars - 1, bars - 2})


def _shuffled(columns: Columns, cut: int, rng: np.random.Generator) -> Columns:
    """The past as it is; the bars after the cut in another order."""
    order = rng.permutation(np.arange(1, len(columns) - cut + 1))
    future = reordered(columns.window(cut - 1, len(columns)), order)
    return joined(columns.window(0, cut), future.window(1, len(future)))


def _values(name: str, feature: Feature, columns: Columns) -> dict[str, Floats]:
    values = {key: np.asarray(v, dtype=np.float64) for key, v in feature(columns).items()}
    for key, array in values.items():
        if array.shape != (len(columns),):
            raise InvalidInput(
                f"{name}: {key} has shape {array.shape} for {len(columns)} bars; a feature has "
                "one value per bar"
            )
    if not values:
        raise InvalidInput(f"{name}: the feature has no figure")
    return values


def _scale(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.max(np.abs(finite))) if len(finite) else 1.0


def _first_difference(a: Floats, b: Floats, allowed: float) -> int | None:
    """The first place where two series are not the same; NaN equals NaN."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        same = (np.abs(a - b) <= allowed) | (np.isnan(a) & np.isnan(b)) | (a == b)
    wrong = np.flatnonzero(~same)
    return int(wrong[0]) if len(wrong) else None
