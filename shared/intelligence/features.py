"""What the models look at: scale-free figures of the last bars, the same in training and live.

Every figure is a function of a frame of candles, evaluated on all bars or on just those that it
reads; there is no second definition. Three rules make the two agree:

* Only what a window can give: finite windows, or smoothers that have forgotten their seed within
  :func:`feature_history` bars. Means and deviations are computed from each bar's own window, not
  as running sums, whose rounding errors depend on where they began.
* Nothing has a unit: distances are in ATRs, oscillators in [-1, 1], volumes in shares of others.
  Where a market stands still figures of prices fade to 0, since there they would be noise over
  nothing.
* The last step rounds to a grid of 2**-12. What differs between window and history is far below
  it, so a model sees the same numbers on both ways but for a value that lies on the edge between
  two grid points, which is once in millions of values (``docs/models.md`` has the measurement).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.intelligence.bars import Array, Asked, Bars
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.strategies.candlesticks import CONTINUATIONS, REVERSALS

#: Version of the definition, and a digest of what it gives on :func:`reference`. A model serves
#: only the features it was trained on, so whoever changes one changes this and trains again.
FEATURE_SET = "1-a2732081658d"

#: What the features are rounded to. 24 bits hold every rounded value exactly.
GRID = 2.0**-12
#: No feature is further from 0.
LIMIT = 20.0

_PATTERNS = tuple(REVERSALS | CONTINUATIONS)


def _share(a: Array, b: Array, otherwise: float = 0.0) -> Array:
    """``a / b`` where ``b`` is positive; NaN stays, nothing over nothing is ``otherwise``."""
    out = np.where(np.isnan(b) | np.isnan(a), np.nan, otherwise)
    np.divide(a, b, out=out, where=b > 0.0)
    return out


@dataclass(frozen=True)
class Feature:
    """One figure per bar.

    Parameters
    ----------
    name : str
    meaning : str
        What it is, for people.
    of : callable
        The figure at every bar, before it is limited and rounded.
    still : bool
        Whether it keeps its value where the market stands still.
    """

    name: str
    meaning: str
    of: Callable[[Bars], Array]
    still: bool = False


def _move(bars: int) -> Feature:
    def of(b: Bars) -> Array:
        apart: Array = b.column("close") - b.column("close", bars)
        return apart / (b.atr_above_none() * sqrt(bars))

    return Feature(f"move_{bars}", f"move of {bars} bars, in ATRs times root of {bars}", of)


def _ema(bars: int) -> Feature:
    def of(b: Bars) -> Array:
        (ema,) = b.indicator("EMA", timeperiod=bars)
        distance: Array = (b.column("close") - ema) / b.atr_above_none()
        return distance

    return Feature(f"ema_{bars}", f"close less EMA({bars}), in ATRs", of)


def _body(lag: int) -> Callable[[Bars], Array]:
    def of(b: Bars) -> Array:
        body: Array = b.column("close", lag) - b.column("open", lag)
        return body / b.atr_above_none()

    return of


def _upper_shadow(b: Bars) -> Array:
    top: Array = b.column("high") - np.maximum(b.column("open"), b.column("close"))
    return top / b.atr_above_none()


def _lower_shadow(b: Bars) -> Array:
    bottom: Array = np.minimum(b.column("open"), b.column("close")) - b.column("low")
    return bottom / b.atr_above_none()


def _place_in_bar(b: Bars) -> Array:
    """Where the bar closed: -1 at its low, 1 at its high."""
    high, low, close = b.column("high"), b.column("low"), b.column("close")
    return _share((close - low) - (high - close), high - low)


def _extremes(b: Bars, bars: int) -> tuple[Array, Array]:
    (top,) = b.indicator("MAX", on=("high",), timeperiod=bars)
    (bottom,) = b.indicator("MIN", on=("low",), timeperiod=bars)
    return top, bottom


def _channel(bars: int) -> Feature:
    def of(b: Bars) -> Array:
        top, bottom = _extremes(b, bars)
        close = b.column("close")
        return _share((close - bottom) - (top - close), top - bottom)

    meaning = f"close within the range of {bars} bars: -1 at its low, 1 at its high"
    return Feature(f"channel_{bars}", meaning, of)


def _width(bars: int) -> Feature:
    def of(b: Bars) -> Array:
        top, bottom = _extremes(b, bars)
        width: Array = (top - bottom) / (b.atr_above_none() * sqrt(bars))
        return width

    return Feature(f"width_{bars}", f"range of {bars} bars, in ATRs times root of {bars}", of)


def _directness(bars: int) -> Feature:
    def of(b: Bars) -> Array:
        close = b.column("close")
        way = b.windows(np.abs(close - b.column("close", 1)), bars).sum(axis=1)
        return _share(close - b.column("close", bars), way)

    meaning = f"move of {bars} bars over the way the closes went (efficiency ratio, with its sign)"
    return Feature(f"directness_{bars}", meaning, of)


def _deviation(b: Bars) -> Array:
    """Distance from the mean of 20 closes in their deviations."""
    close = b.column("close")
    rows = b.windows(close, 20)
    mean = rows.mean(axis=1)
    apart = rows - mean[:, None]
    deviation = np.sqrt((apart * apart).mean(axis=1))
    z: Array = (close - mean) / np.maximum(deviation, b.atr_above_none() * 0.01)
    return z


def _macd(b: Bars) -> Array:
    *_, histogram = b.indicator("MACD", fastperiod=12, slowperiod=26, signalperiod=9)
    scaled: Array = histogram / b.atr_above_none()
    return scaled


def _slope(b: Bars) -> Array:
    (slope,) = b.indicator("LINEARREG_SLOPE", timeperiod=24)
    scaled: Array = slope * sqrt(24.0) / b.atr_above_none()
    return scaled


def _rsi(b: Bars) -> Array:
    (rsi,) = b.indicator("RSI", timeperiod=14)
    scaled: Array = rsi / 50.0 - 1.0
    return scaled


def _adx(b: Bars) -> Array:
    (adx,) = b.indicator("ADX", timeperiod=14)
    scaled: Array = adx / 50.0 - 1.0
    return scaled


def _direction(b: Bars) -> Array:
    (up,) = b.indicator("PLUS_DI", timeperiod=14)
    (down,) = b.indicator("MINUS_DI", timeperiod=14)
    apart: Array = (up - down) / 50.0
    return apart


def _aroon(b: Bars) -> Array:
    (aroon,) = b.indicator("AROONOSC", timeperiod=25)
    scaled: Array = aroon / 100.0
    return scaled


def _atr_share(b: Bars) -> Array:
    share: Array = np.log(b.atr_above_none() / b.column("close"))
    return share


def _atr_ratio(b: Bars) -> Array:
    ratio: Array = np.log(b.atr_above_none(5) / b.atr_above_none())
    return ratio


def _atr_change(b: Bars) -> Array:
    change: Array = np.log(b.atr_above_none() / b.atr_above_none(lag=48))
    return change


def _volume(fast: int, slow: int) -> Feature:
    def of(b: Bars) -> Array:
        volume = b.column("volume")
        now = b.windows(volume, fast).mean(axis=1)
        usual = b.windows(volume, slow).mean(axis=1)
        return _share(now - usual, now + usual)

    of_what = "volume" if fast == 1 else f"mean volume of {fast} bars"
    meaning = f"{of_what} against the mean of {slow}: -1 none of it, 0 the same, 1 all of it"
    return Feature(f"volume_{fast}_{slow}", meaning, of, still=True)


def _flow(b: Bars) -> Array:
    """Volume by where its bar closed, over all volume: Chaikin's money flow."""
    volume = b.column("volume")
    placed = b.windows(volume * _place_in_bar(b), 20).sum(axis=1)
    return _share(placed, b.windows(volume, 20).sum(axis=1))


def _patterns(weights: dict[str, float]) -> Callable[[Bars], Array]:
    def of(b: Bars) -> Array:
        found = dict(zip(_PATTERNS, b.patterns(_PATTERNS), strict=True))
        total: Array = sum((w * found[n] for n, w in weights.items()), np.zeros(len(b.columns)))
        return total / 100.0

    return of


def _clock(period_ms: int, wave: Callable[[Any], Any]) -> Callable[[Bars], Array]:
    def of(b: Bars) -> Array:
        angle: Array = wave((b.columns.open_time % period_ms) * (2.0 * pi / period_ms))
        return angle

    return of


_WEEK_MS = 7 * DAY_MS

#: In the order of the columns of a matrix.
FEATURES: tuple[Feature, ...] = (
    *(_move(bars) for bars in (1, 3, 6, 12, 24, 48, 96, 168)),
    Feature("body", "close less open, in ATRs", _body(0)),
    Feature("body_before", "the same of the bar before", _body(1)),
    Feature("upper_shadow", "high less the body's top, in ATRs", _upper_shadow),
    Feature("lower_shadow", "the body's bottom less the low, in ATRs", _lower_shadow),
    Feature("place_in_bar", "close within its bar: -1 at the low, 1 at the high", _place_in_bar),
    _ema(12),
    _ema(30),
    Feature("macd", "MACD(12, 26, 9) histogram, in ATRs", _macd),
    Feature("slope_24", "regression slope of 24 closes times root of 24, in ATRs", _slope),
    Feature("rsi_14", "RSI(14): -1 at 0, 1 at 100", _rsi),
    Feature("adx_14", "ADX(14): -1 at 0, 1 at 100", _adx),
    Feature("direction_14", "+DI(14) less -DI(14), over 50", _direction),
    Feature("aroon_25", "Aroon oscillator of 25 bars, over 100", _aroon),
    *(_channel(bars) for bars in (14, 48, 168)),
    *(_width(bars) for bars in (24, 96, 336)),
    *(_directness(bars) for bars in (24, 72)),
    Feature("deviation_20", "close less the mean of 20, in their deviations", _deviation),
    Feature("atr_share", "logarithm of ATR(14) over the close", _atr_share, still=True),
    Feature("atr_5_14", "logarithm of ATR(5) over ATR(14)", _atr_ratio),
    Feature("atr_change", "logarithm of ATR(14) over that of 48 bars before", _atr_change),
    _volume(1, 48),
    _volume(6, 96),
    Feature("flow_20", "Chaikin money flow of 20 bars", _flow),
    Feature("reversals", "weighted reversal patterns, up less down", _patterns(REVERSALS)),
    Feature("continuations", "weighted continuation patterns", _patterns(CONTINUATIONS)),
    Feature("day_sin", "time of day of the open, sine", _clock(DAY_MS, np.sin), still=True),
    Feature("day_cos", "time of day of the open, cosine", _clock(DAY_MS, np.cos), still=True),
    Feature("week_sin", "time of week of the open, sine", _clock(_WEEK_MS, np.sin), still=True),
    Feature("week_cos", "time of week of the open, cosine", _clock(_WEEK_MS, np.cos), still=True),
)

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


@cache
def feature_history() -> int:
    """Bars, the last one included, that a row of features is computed from."""
    bars = Asked(reference(16))
    for feature in FEATURES:
        feature.of(bars)
    bars.moving()
    return bars.reads


def values(columns: Columns) -> dict[str, Array]:
    """Every feature at every bar before it is rounded, by name; NaN where bars are missing."""
    bars = Bars(columns)
    moving = bars.moving()
    found = {}
    for feature in FEATURES:
        value = feature.of(bars)
        found[feature.name] = np.clip(value if feature.still else value * moving, -LIMIT, LIMIT)
    return found


def matrix(columns: Columns) -> NDArray[np.float32]:
    """Features of consecutive candles.

    Returns
    -------
    float32 array of shape (bars, features)
        The columns are those of :data:`FEATURES`. Rows before the first with its whole history
        are NaN; all others are finite.
    """
    out = np.full((len(columns), len(FEATURES)), np.nan, dtype=np.float32)
    first = feature_history() - 1
    if len(columns) > first:
        for place, value in enumerate(values(columns).values()):
            out[first:, place] = np.rint(value[first:] / GRID) * GRID
    return out


def window(columns: Columns, lookback: int = 1) -> NDArray[np.float32]:
    """Features of the last ``lookback`` bars, from exactly the bars they read.

    Raises
    ------
    InvalidInput
        When there are fewer bars than :func:`feature_history` and ``lookback`` - 1.
    """
    needed = feature_history() + lookback - 1
    if lookback < 1 or len(columns) < needed:
        raise InvalidInput(
            f"{columns.symbol} {columns.timeframe}: {len(columns)} bars, the features of the last "
            f"{lookback} need {needed}"
        )
    return matrix(columns.window(len(columns) - needed, len(columns)))[-lookback:]


def reference(bars: int) -> Columns:
    """Candles that any machine makes alike: whole ticks from a counter, for :func:`digest`."""
    state, price = 20_260_101, 10_000
    rows: list[Any] = []
    for _ in range(bars):
        draws = []
        for _ in range(4):
            state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
            draws.append(state >> 40)
        opened, price = price, max(1_000, price + draws[0] % 201 - 100)
        high = max(opened, price) + draws[1] % 60
        low = min(opened, price) - draws[2] % 60
        rows.append((opened / 100, high / 100, low / 100, price / 100, draws[3] % 5_000 / 10))
    times = 1_735_689_600_000 + 15 * MINUTE_MS * np.arange(bars, dtype=np.int64)
    return Columns("BTCUSDT", "15m", times, *np.array(rows).T.copy())


def digest() -> str:
    """What :data:`FEATURE_SET` has to be: names, and values on :func:`reference`."""
    found = hashlib.sha256("\n".join(NAMES).encode())
    found.update(np.ascontiguousarray(matrix(reference(700)), dtype="<f4").tobytes())
    return f"1-{found.hexdigest()[:12]}"
