"""How many bars a value needs: the last ``history`` bars give what all bars give, within 1e-9.

Three families:

* finite windows read ``lookback + 1`` bars and nothing else: the default;
* recursive smoothing never quite forgets. A wrong seed fades by ``1 - alpha`` per bar, so the
  bars to wait follow from the smoothing constants; through ``k`` smoothers in a row what is left
  after ``n`` bars is the chance of fewer than ``k`` successes in ``n`` draws of ``alpha``;
* sums since the first bar, and states that only a market turn resets, need all bars: ``None``.

The error is relative to the scale of the output (its largest magnitude in the series).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import comb, exp, lgamma, log, log1p

from shared.indicators.catalogue import Number, indicator, lookback

#: Residue of the seed that we accept; two digits below the promise, since a seed may be off by
#: many times the scale of a difference of averages.
RESIDUE = 1e-12

#: Functions whose value needs every bar since the first, with the reason.
NEEDS_ALL: dict[str, str] = {
    "AD": "running sum of money flow since the first bar",
    "CUMSUM": "running sum since the first bar",
    "NVI": "running product since the first bar",
    "OBV": "running sum of signed volume since the first bar",
    "PVI": "running product since the first bar",
    "PVT": "running sum since the first bar",
    "VWAP": "volume-weighted mean since the first bar",
    "WAD": "running sum since the first bar",
    "SAR": "the side is carried from the first bar; only the next reversal makes two runs agree",
    "SAREXT": "the side is carried from the first bar; only the next reversal makes two runs agree",
    "SUPERTREND": "side and band are carried from the first bar until the close crosses the band",
}

#: Functions whose integer outputs count bars from the first one given: a window answers with the
#: same bar, numbered from the window's own start.
INDEX_OUTPUTS = frozenset({"MAXINDEX", "MININDEX", "MINMAXINDEX"})

#: Hilbert-transform filters feed their own period back with factors 0.2 and 0.33, and clamp it:
#: no closed form. Their runs agree to 1e-9 after about 300 bars on measured data.
HILBERT_BARS = 480


@lru_cache(maxsize=512)
def settle(alpha: float, stages: int = 1, residue: float = RESIDUE) -> int:
    """Bars after which ``stages`` smoothers of constant ``alpha`` have forgotten their seed."""
    if alpha >= 1.0:
        return stages
    high = 1
    while _left(high, alpha, stages) > residue:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if _left(middle, alpha, stages) > residue:
            low = middle
        else:
            high = middle
    return high


def _left(n: int, alpha: float, stages: int) -> float:
    """P(fewer than ``stages`` successes in ``n`` draws of probability ``alpha``)."""
    if n < stages:
        return 1.0
    if stages == 1:
        return exp(n * log1p(-alpha))
    total = 0.0
    for k in range(stages):
        ways = log(comb(n, k)) if n < 1000 else lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        total += exp(ways + k * log(alpha) + (n - k) * log1p(-alpha))
    return total


def _ema(period: Number) -> float:
    return 2.0 / (period + 1.0)


def _wilder(period: Number) -> float:
    return 1.0 / period


def _kama(_period: Number) -> float:
    # The slowest the adaptive constant gets, in a market without direction: (2 / 31) ** 2.
    return (2.0 / 31.0) ** 2


#: TA-Lib's ``MA_Type``: smoothing constant by period, and smoothers in a row. Types that are not
#: here (SMA, WMA, TRIMA, HMA, none) are finite windows.
_RECURSIVE_MA: dict[int, tuple[Callable[[Number], float], int]] = {
    1: (_ema, 1),
    3: (_ema, 2),
    4: (_ema, 3),
    6: (_kama, 1),
    8: (_ema, 6),
    12: (_ema, 1),
    13: (_wilder, 1),
}
_MAMA_TYPE = 7
_MA_DEFAULT_TYPE = 11

Params = Mapping[str, Number]


def _ma(period: Number, matype: Number) -> int:
    """Bars a moving average of that ``MA_Type`` takes to forget its seed."""
    if matype == _MAMA_TYPE:
        return HILBERT_BARS
    if matype == _MA_DEFAULT_TYPE:
        # The function's own choice; all of them are an SMA, EMA or Wilder average.
        return settle(_wilder(period))
    if int(matype) not in _RECURSIVE_MA:
        return 0
    constant, stages = _RECURSIVE_MA[int(matype)]
    return settle(constant(period), stages)


def _by(
    constant: Callable[[Number], float], *periods: str, stages: int = 1
) -> Callable[[Params], int]:
    """Rule: the slowest of the named periods, ``stages`` smoothers in a row."""

    def rule(p: Params) -> int:
        return settle(min(constant(p[name]) for name in periods), stages)

    return rule


def _hilbert(_p: Params) -> int:
    return HILBERT_BARS


def _macdext(p: Params) -> int:
    averages = max(_ma(p["fastperiod"], p["fastmatype"]), _ma(p["slowperiod"], p["slowmatype"]))
    return averages + _ma(p["signalperiod"], p["signalmatype"])


_RULES: dict[str, Callable[[Params], int]] = {
    # one smoother
    "EMA": _by(_ema, "timeperiod"),
    "ERI": _by(_ema, "timeperiod"),
    "EFI": _by(_ema, "timeperiod"),
    "CVI": _by(_ema, "timeperiod"),
    "ZLEMA": _by(_ema, "timeperiod"),
    "ADOSC": _by(_ema, "fastperiod", "slowperiod"),
    "KC": lambda p: max(settle(_ema(p["timeperiod"])), settle(_wilder(p["atrperiod"]))),
    "KAMA": _by(_kama, "timeperiod"),
    "RMA": _by(_wilder, "timeperiod"),
    "ATR": _by(_wilder, "timeperiod"),
    "NATR": _by(_wilder, "timeperiod"),
    "RSI": _by(_wilder, "timeperiod"),
    "CMO": _by(_wilder, "timeperiod"),
    "RVI": _by(_wilder, "timeperiod"),
    "DX": _by(_wilder, "timeperiod"),
    "PLUS_DI": _by(_wilder, "timeperiod"),
    "MINUS_DI": _by(_wilder, "timeperiod"),
    "PLUS_DM": _by(_wilder, "timeperiod"),
    "MINUS_DM": _by(_wilder, "timeperiod"),
    # Heikin-Ashi: the open is the mean of the previous open and close
    "HA": lambda p: settle(0.5),
    # several in a row
    "DEMA": _by(_ema, "timeperiod", stages=2),
    "TEMA": _by(_ema, "timeperiod", stages=3),
    "TRIX": _by(_ema, "timeperiod", stages=3),
    "T3": _by(_ema, "timeperiod", stages=6),
    "MASSI": _by(_ema, "fastperiod", stages=2),
    "ADX": _by(_wilder, "timeperiod", stages=2),
    "ADXR": _by(_wilder, "timeperiod", stages=2),
    "TSI": _by(_ema, "firstperiod", "secondperiod", stages=2),
    "SMI": _by(_ema, "fastperiod", "slowperiod", "signalperiod", stages=3),
    "MACD": _by(_ema, "fastperiod", "slowperiod", "signalperiod", stages=2),
    "MACDFIX": lambda p: settle(min(0.075, _ema(p["signalperiod"])), 2),
    # a moving average of the caller's choice
    "MA": lambda p: _ma(p["timeperiod"], p["matype"]),
    "MAVP": lambda p: _ma(p["maxperiod"], p["matype"]),
    "BBANDS": lambda p: _ma(p["timeperiod"], p["matype"]),
    "APO": lambda p: max(_ma(p["fastperiod"], p["matype"]), _ma(p["slowperiod"], p["matype"])),
    "PPO": lambda p: max(_ma(p["fastperiod"], p["matype"]), _ma(p["slowperiod"], p["matype"])),
    "PVO": lambda p: max(_ma(p["fastperiod"], p["matype"]), _ma(p["slowperiod"], p["matype"])),
    "MACDEXT": _macdext,
    "STOCH": lambda p: (
        _ma(p["slowk_period"], p["slowk_matype"]) + _ma(p["slowd_period"], p["slowd_matype"])
    ),
    "STOCHF": lambda p: _ma(p["fastd_period"], p["fastd_matype"]),
    "KDJ": lambda p: (
        _ma(p["slowk_period"], p["slowk_matype"]) + _ma(p["slowd_period"], p["slowd_matype"])
    ),
    "STOCHRSI": lambda p: (
        settle(_wilder(p["timeperiod"])) + _ma(p["fastd_period"], p["fastd_matype"])
    ),
    # Hilbert-transform family
    **dict.fromkeys(
        (
            "HT_DCPERIOD",
            "HT_DCPHASE",
            "HT_PHASOR",
            "HT_SINE",
            "HT_TRENDLINE",
            "HT_TRENDMODE",
            "MAMA",
        ),
        _hilbert,
    ),
}


@lru_cache(maxsize=1024)
def _history(name: str, items: tuple[tuple[str, Number], ...]) -> int | None:
    params = dict(items)
    bars = lookback(name, **params) + 1
    if name in NEEDS_ALL:
        return None
    rule = _RULES.get(name)
    return bars if rule is None else bars + rule(params)


def history(name: str, **params: Number) -> int | None:
    """Bars that give the last value within 1e-9 of the full-history one; ``None``: all of them.

    Raises
    ------
    InvalidInput
        For an unknown function or parameter, or a value outside the allowed range.
    """
    return _history(name, tuple(indicator(name).bound(params).items()))


def reason(name: str) -> str:
    """Why the function needs the history it declares, in one sentence."""
    spec = indicator(name)
    if name in NEEDS_ALL:
        return NEEDS_ALL[name]
    if _RULES.get(name) is _hilbert:
        return "adaptive Hilbert filter: measured, not derived"
    extra = (history(name) or 0) - lookback(name) - 1
    if name in INDEX_OUTPUTS:
        return "finite window; the index counts from the first bar given"
    if extra:
        return f"recursive smoothing: {extra} bars until its seed is below {RESIDUE:g}"
    return "finite window" if spec.parameters else "finite window of fixed length"
