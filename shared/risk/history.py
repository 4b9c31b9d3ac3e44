"""Daily returns of the contracts held: what value at risk and correlations are judged by.

A decision carries the history it was judged by, so that it replays from its record alone. Returns
are whole numbers of :data:`UNIT`, and all that the gate does with them is arithmetic on whole
numbers and decimals: the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from math import isqrt
from operator import mul

import msgspec

from shared.errors import InvalidInput
from shared.market.candle import Candle
from shared.market.timeframe import DAY_MS

#: Days that are looked back upon: a year, so that a calm month does not hide a crash before it.
HISTORY_DAYS = 365
#: With fewer days than these nothing is concluded from a contract's own past.
MIN_DAYS = 180
#: Returns are counted in hundred-thousandths (0.001 %).
UNIT = 100_000
#: The newest day may be missing when another contract has it already: closed a moment ago.
MAX_LAG_MS = DAY_MS


class MarketHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Daily returns, and how they go together.

    Parameters
    ----------
    end : int
        UTC milliseconds at which the last day of every series closed.
    returns : dict
        Symbol -> simple daily returns in :data:`UNIT`, oldest first, separated by blanks: one
        text, not a list, because stores index every element of a list.
    correlations : dict
        ``"A B"`` (sorted) -> correlation of daily returns, four digits. Pairs without
        enough common days are not there.
    """

    end: int
    returns: dict[str, str] = {}
    correlations: dict[str, Decimal] = {}

    def series(self, symbol: str) -> tuple[int, ...] | None:
        """Returns of a symbol in :data:`UNIT`; ``None`` with fewer than :data:`MIN_DAYS`."""
        text = self.returns.get(symbol)
        if text is None:
            return None
        found = _numbers(text)
        return found if len(found) >= MIN_DAYS else None

    def correlation(self, one: str, other: str) -> Decimal | None:
        """Correlation of two symbols; ``None`` where it is unknown."""
        if one == other:
            return Decimal(1)
        return self.correlations.get(pair(one, other))


@lru_cache(maxsize=256)
def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split()))
    except ValueError:
        raise InvalidInput(f"returns are not whole numbers: {text[:40]!r}") from None


def pair(one: str, other: str) -> str:
    """The key of a pair of symbols."""
    return " ".join(sorted((one, other)))


def daily_returns(candles: Sequence[Candle]) -> tuple[int, tuple[int, ...]] | None:
    """When the last day closed, and returns of the unbroken run of days that leads up to it.

    Returns
    -------
    tuple or None
        ``None`` where there are no two days in a row or a price that is not above zero.
    """
    found: list[int] = []
    for newer, older in zip(reversed(candles), reversed(candles[:-1]), strict=False):
        if newer.open_time - older.open_time != DAY_MS or newer.close <= 0 or older.close <= 0:
            break
        found.append(round((newer.close / older.close - 1) * UNIT))
        if len(found) == HISTORY_DAYS:
            break
    if not found:
        return None
    return candles[-1].open_time + DAY_MS, tuple(reversed(found))


def history(series: Mapping[str, tuple[int, tuple[int, ...]]]) -> MarketHistory:
    """Bring series to one last day.

    Parameters
    ----------
    series : mapping
        Symbol -> what :func:`daily_returns` gave. A series that ends more than
        :data:`MAX_LAG_MS` before the newest is left out: its contract has stopped trading.
    """
    newest = max((end for end, _ in series.values()), default=0)
    near = {s: x for s, x in series.items() if newest - x[0] <= MAX_LAG_MS}
    end = min((end for end, _ in near.values()), default=0)
    aligned = {s: found[: len(found) - (e - end) // DAY_MS] for s, (e, found) in near.items()}
    return MarketHistory(
        end=end,
        returns={s: " ".join(map(str, aligned[s])) for s in sorted(aligned)},
        correlations=dict(_correlations(aligned)),
    )


def _correlations(
    series: Mapping[str, tuple[int, ...]],
) -> Iterable[tuple[str, Decimal]]:
    names = sorted(s for s, found in series.items() if len(found) >= MIN_DAYS)
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            found = _correlation(series[one], series[other])
            if found is not None:
                yield pair(one, other), found


@lru_cache(maxsize=1024)
def _correlation(one: tuple[int, ...], other: tuple[int, ...]) -> Decimal | None:
    """The same for series that are asked for again: every set of contracts has other pairs too."""
    return correlation(one, other)


def correlation(one: Sequence[int], other: Sequence[int]) -> Decimal | None:
    """Correlation (Pearson) of the days both have, four digits; ``None`` for a flat series."""
    n = min(len(one), len(other))
    a, b = one[-n:], other[-n:]
    sum_a, sum_b = sum(a), sum(b)
    covariance = n * sum(map(mul, a, b)) - sum_a * sum_b
    variances = (n * sum(map(mul, a, a)) - sum_a**2) * (n * sum(map(mul, b, b)) - sum_b**2)
    if variances <= 0:
        return None
    # Whole numbers: the square of the correlation in units of 1e-8, and its root.
    size = isqrt(covariance**2 * 10**8 // variances)
    return Decimal(size if covariance >= 0 else -size).scaleb(-4)
