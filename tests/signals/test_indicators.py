"""All functions of the installed TA-Lib: columns, incremental handles, declared history."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import talib
import talib.abstract
from candle_series import candle, series

from shared.errors import InvalidInput, MarketDataError
from shared.indicators.catalogue import catalogue, columns, lookback
from shared.indicators.history import INDEX_OUTPUTS, NEEDS_ALL, history, reason
from shared.indicators.streams import Panel, handle
from shared.market.candle import Columns

ROOT = Path(__file__).parents[2]
NAMES = talib.get_functions()


@cache
def market(seed: int, bars: int) -> Columns:
    return series(seed, bars)


def inputs(bars: Columns, source: slice = slice(None)) -> dict[str, np.ndarray]:
    names = ("open", "high", "low", "close", "volume")
    return {name: getattr(bars, name)[source] for name in names}


def test_the_catalogue_is_the_librarys_own_list() -> None:
    assert list(catalogue()) == NAMES
    assert len(NAMES) == 201


@pytest.mark.parametrize("name", NAMES)
def test_columns_equal_the_librarys_own_binding_of_names_to_inputs(name: str) -> None:
    bars = market(1, 600)
    ours = columns(name, bars)
    function = talib.abstract.Function(name)
    theirs = function({**inputs(bars), "periods": np.full(600, 30.0)})
    theirs = theirs if isinstance(theirs, list) else [theirs]
    assert list(ours) == function.output_names
    for got, expected in zip(ours.values(), theirs, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_handle_equals_the_columns_bar_by_bar(name: str) -> None:
    bars = market(2, 900)
    whole = columns(name, bars)
    opened = handle(name, bars.window(0, 600))
    assert opened.outputs == tuple(whole)
    for at in range(600, 900):
        bar = candle(bars, at)
        before = opened.values
        peeked = opened.peek(bar)
        np.testing.assert_array_equal(opened.values, before)
        got = opened.update(bar)
        expected = [column[at] for column in whole.values()]
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(peeked, expected)
        np.testing.assert_array_equal(opened.values, expected)


VARIANTS: list[tuple[str, dict[str, float]]] = [
    *((name, {}) for name in NAMES),
    *(
        ("MA", {"timeperiod": 21, "matype": kind})
        for kind in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13)
    ),
    ("EMA", {"timeperiod": 100}),
    ("EMA", {"timeperiod": 2}),
    ("RSI", {"timeperiod": 50}),
    ("ATR", {"timeperiod": 3}),
    ("ADX", {"timeperiod": 30}),
    ("MACD", {"fastperiod": 5, "slowperiod": 80, "signalperiod": 60}),
    ("MACDEXT", {"fastmatype": 1, "slowmatype": 3, "signalmatype": 1}),
    ("BBANDS", {"timeperiod": 30, "matype": 1}),
    ("STOCH", {"slowk_period": 9, "slowk_matype": 1, "slowd_period": 9, "slowd_matype": 13}),
    ("STOCHF", {"fastd_period": 9, "fastd_matype": 1}),
    ("STOCHRSI", {"timeperiod": 21, "fastd_period": 9, "fastd_matype": 1}),
    ("KDJ", {"slowk_period": 9, "slowk_matype": 1, "slowd_period": 9, "slowd_matype": 1}),
    ("APO", {"matype": 3}),
    ("PPO", {"fastperiod": 60, "slowperiod": 20, "matype": 1}),
    ("MAVP", {"matype": 1}),
    ("T3", {"timeperiod": 20}),
    ("TRIX", {"timeperiod": 10}),
    ("KC", {"timeperiod": 10, "atrperiod": 40}),
    ("SMI", {"fastperiod": 30, "slowperiod": 10, "signalperiod": 5}),
    ("TSI", {"firstperiod": 8, "secondperiod": 40}),
    ("SUM", {"timeperiod": 300}),
    ("LINEARREG", {"timeperiod": 200}),
    ("CORREL", {"timeperiod": 100}),
]


@cache
def whole_history(seed: int, name: str, params: tuple[tuple[str, float], ...]) -> list[np.ndarray]:
    return list(columns(name, market(seed, 8000), **dict(params)).values())


def error_of_window(
    name: str, params: dict[str, float], bars: int, *, seeds: tuple[int, ...] = (11, 12, 13)
) -> float:
    """Largest error, relative to the output's scale, of the value on only the last bars."""
    worst = 0.0
    for seed in seeds:
        market_ = market(seed, 8000)
        whole = whole_history(seed, name, tuple(params.items()))
        for end in (6700, 7001, 7403, 7777, 8000):
            window = columns(name, market_.window(end - bars, end), **params)
            for got, full in zip(window.values(), whole, strict=True):
                value, expected = float(got[-1]), float(full[end - 1])
                if name in INDEX_OUTPUTS:
                    value += end - bars
                if np.isnan(value) and np.isnan(expected):
                    continue
                finite = np.abs(full[np.isfinite(full)])
                scale = max(1e-12, float(finite.max(initial=0.0)))
                error = 0.0 if value == expected else abs(value - expected) / scale
                worst = max(worst, error if error == error else np.inf)
    return worst


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(("name", "params"), VARIANTS, ids=lambda v: str(v))
def test_the_declared_history_gives_the_full_history_value(
    name: str, params: dict[str, float]
) -> None:
    bars = history(name, **params)
    if bars is None:
        assert name in NEEDS_ALL
        return
    assert lookback(name, **params) < bars <= 6700
    assert error_of_window(name, params, bars) <= 1e-9


@pytest.mark.parametrize("name", [n for n in NAMES if (history(n) or 0) > lookback(n) + 1])
def test_recursive_functions_really_need_more_than_their_lookback(name: str) -> None:
    assert error_of_window(name, {}, lookback(name) + 1) > 1e-9


@pytest.mark.parametrize("name", sorted(set(NEEDS_ALL) - {"SAR", "SAREXT", "SUPERTREND"}))
def test_running_sums_really_need_all_bars(name: str) -> None:
    assert error_of_window(name, {}, 6000) > 1e-9
    assert "since the first bar" in reason(name)


def test_what_the_library_calls_path_dependent_needs_all_bars() -> None:
    said = {name for name, spec in catalogue().items() if spec.path_dependent}
    # ADOSC subtracts two averages of the same running sum: where that began cancels.
    assert said - {"ADOSC"} == set(NEEDS_ALL)


def test_a_panel_of_everything_equals_the_columns() -> None:
    bars = market(3, 700)
    panel = Panel(bars.window(0, 600), [(name, {}) for name in NAMES])
    assert len(panel) == 201
    whole = {name: columns(name, bars) for name in NAMES}
    for at in range(600, 700):
        panel.update(candle(bars, at))
        got = panel.values()
        for name in NAMES:
            np.testing.assert_array_equal(got[name], [c[at] for c in whole[name].values()])


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bar_that_is_not_finite_changes_nothing(field: str, value: float) -> None:
    import msgspec

    bars = market(3, 700)
    panel = Panel(bars.window(0, 600), [("EMA", {}), ("OBV", {}), ("BOP", {})])
    single = handle("ATR", bars.window(0, 600))
    before, single_before = panel.values(), single.values
    bad = msgspec.structs.replace(candle(bars, 600), **{field: value})
    with pytest.raises(MarketDataError, match="not finite"):
        panel.update(bad)
    with pytest.raises(MarketDataError, match="not finite"):
        single.update(bad)
    assert panel.values() == before
    assert single.values == single_before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: columns("NOPE", b), "no function 'NOPE'"),
        (lambda b: columns("EMA", b, period=3), "no parameter period; it has timeperiod"),
        (lambda b: columns("EMA", b, timeperiod=0), "EMA"),
        (lambda b: columns("ATR", b, on=("close",)), "reads 3 columns"),
        (lambda b: columns("EMA", b, on=("price",)), "column 'price', which is not there"),
        (lambda b: columns("ADD", b, on=(b.high, b.low[1:])), "ADD"),
        (lambda b: lookback("SMA", timeperiod=-3), "SMA"),
        (lambda b: history("RSI", length=3), "no parameter length"),
        (lambda b: handle("EMA", b.window(0, 20)), "too few"),
        (lambda b: handle("EMA", b, on=("open_time",)), "no column 'open_time'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call(market(1, 600))  # type: ignore[operator]


def test_a_function_can_run_on_another_column() -> None:
    bars = market(1, 600)
    on_volume = columns("SMA", bars, on=("volume",), timeperiod=5)["real"]
    assert on_volume[-1] == pytest.approx(bars.volume[-5:].mean(), rel=1e-12)
    np.testing.assert_array_equal(
        columns("SMA", bars, on=(bars.high,))["real"], talib.SMA(bars.high)
    )


def test_mavp_takes_a_period_per_bar() -> None:
    bars = market(1, 600)
    periods = np.where(np.arange(600) % 2 == 0, 5.0, 20.0)
    got = columns("MAVP", {"close": bars.close, "periods": periods})["real"]
    assert got[500] == pytest.approx(bars.close[496:501].mean())
    assert got[501] == pytest.approx(bars.close[482:502].mean())


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_talib_comes_without_pandas_and_only_when_used() -> None:
    seen = run(
        "import sys, shared.strategies.ensemble, shared.indicators.streams\n"
        "print('talib' in sys.modules)\n"
        "from shared.indicators.catalogue import catalogue\n"
        "print(len(catalogue()), 'pandas' in sys.modules, 'polars' in sys.modules)\n"
        "import pandas; print(len(pandas.DataFrame({'a': [1]})))"
    )
    assert seen.split("\n") == ["False", "201 False False", "1"]


def test_replaced_columns_do_not_share_state() -> None:
    bars = market(1, 600)
    first = columns("EMA", bars)["real"]
    columns("EMA", replace(bars, close=bars.close * 2))
    np.testing.assert_array_equal(columns("EMA", bars)["real"], first)
