"""Defects that know the future by one bar, or live one bar in the past.

The simulation has no indicators, its signals come from the seed: the look-ahead detector and the
scenarios of what others reported have to find these.
"""

from __future__ import annotations

from defect import Defect

LOOK_AHEAD: tuple[Defect, ...] = (
    Defect(
        "a strategy reads the next bar",
        "shared/strategies/trend.py",
        '    (fast,) = frame.indicator("EMA", timeperiod=params.fast)\n',
        '    (fast,) = frame.indicator("EMA", timeperiod=params.fast)\n'
        "    if not isinstance(fast, float):\n"
        "        fast = __import__('numpy').append(fast[1:], fast[-1])\n",
        lookahead="trend",
    ),
    Defect(
        "every figure is that of the next bar",
        "shared/strategies/frame.py",
        "        if lag == 0:\n            return array\n",
        "        if lag == 0:\n            return np.append(array[1:], array[-1])\n",
        lookahead="all",
    ),
    Defect(
        "a live figure is that of the bar before",
        "shared/strategies/frame.py",
        "            place = len(array) - 1 - self._back - lag\n",
        "            place = len(array) - 2 - self._back - lag\n",
        lookahead="all",
    ),
    Defect(
        "the live window is off by one bar",
        "shared/strategies/engine.py",
        "signal_at_last(window.columns(), config, ",
        "signal_at_last(window.columns().window(0, len(window) - 1), config, ",
        tests=(
            "tests/app/test_failures_of_models.py"
            "::test_28_a_decision_is_of_the_bar_that_has_closed_and_of_no_neighbour",
        ),
    ),
    Defect(
        "a backtest decides one bar early",
        "shared/research/signals.py",
        '        "time": columns.open_time[at] + duration_ms(columns.timeframe),\n',
        '        "time": columns.open_time[at],\n',
        tests=(
            "tests/research/test_failures_of_research.py::test_27_a_backtest_that_knows_the_next_"
            "bar_is_told_and_an_honest_one_is_what_live_does",
        ),
    ),
)
