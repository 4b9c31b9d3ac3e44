"""What other systems' users reported about predictions, as scenarios of this application.

The number is that of the table in ``docs/safety.md``.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from desk import Floor
from test_guardian_rounds import later

from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.strategies.ensemble import Evaluation, ensemble
from shared.strategies.signal import Signal
from shared.strategies.window import CandleWindow
from tests.intelligence.made_onnx import MAKERS, save, serving

BAR = 5 * MINUTE_MS
#: A market that is never the same from one bar to the next.
RESTLESS = [(n, 0.01 * math.sin(n / 3) + 0.004 * math.sin(n / 7 + 1)) for n in range(0, 300, 5)]


def live_signals(floor: Floor, bars: int) -> list[Signal]:
    """What the application decides at each bar that closes, from the exchange's own candles."""
    found = []
    for _ in range(bars):
        later(floor, 300 - floor.clock.now_ms() / 1000 % 300 + 2)
        closed = floor.clock.now_ms() // BAR * BAR
        [candle] = floor.desk.exchange.candles("BTCUSDT", "5m", end=closed, limit=1)
        assert candle.close_time == closed
        signal = floor.services.engine.on_candle(candle)
        assert signal is not None
        found.append(signal)
    return found


def whole_history(floor: Floor) -> tuple[Columns, Evaluation]:
    """The same decisions over the history as training and backtests see it."""
    closed = floor.clock.now_ms() // BAR * BAR
    candles = floor.desk.exchange.candles("BTCUSDT", "5m", end=closed, limit=800)
    window = CandleWindow("BTCUSDT", "5m", len(candles))
    for candle in candles:
        window.append(candle)
    config = floor.services.engine.plan["BTCUSDT"]["5m"]
    return window.columns(), ensemble(config).evaluate(window.columns())


def plan_of(name: str) -> dict[str, str]:
    """Settings under which a model alone decides, or the configured strategies."""
    if name == "strategies":
        return {}
    default = {"members": [{"strategy": name}], "threshold": 0.3}
    return {"TRADING_PLAN": json.dumps({"default": default, "timeframes": {}})}


@pytest.mark.parametrize("who", ["strategies", "mlp", "lstm", "xgboost"])
def test_28_a_decision_is_of_the_bar_that_has_closed_and_of_no_neighbour(open_floor, tmp_path, who):
    """freqtrade PR#7737: predictions were attached to the candle beside theirs."""
    for name, make in MAKERS.items():
        save(tmp_path, name, make(), timeframe="5m")
    with serving(tmp_path):
        floor = open_floor({"BTCUSDT": RESTLESS}, settings=plan_of(who), durable=False)
        signals = live_signals(floor, 25)
        columns, whole = whole_history(floor)
    strength = dict(zip(columns.open_time.tolist(), whole.strength.tolist(), strict=True))
    side = dict(zip(columns.open_time.tolist(), whole.side.tolist(), strict=True))
    here, before, after = 0.0, 0.0, 0.0
    for signal in signals[:-1]:
        at = signal.bar_open_time
        assert signal.bar_close_time == at + BAR
        assert {"BUY": 1, "SELL": -1, None: 0}[signal.side] == side[at]
        here = max(here, abs(signal.strength - strength[at]))
        before = max(before, abs(signal.strength - strength[at - BAR]))
        after = max(after, abs(signal.strength - strength[at + BAR]))
    assert here < 1e-9
    # An offset of one bar, either way, would have been seen.
    assert min(before, after) > 0.01


@pytest.mark.parametrize("what", ["nothing traded", "price does not move"])
def test_28_bars_on_which_nothing_happened_take_no_others_with_them(open_floor, what):
    """freqtrade#11707: one figure without a number, and all of the data was dropped."""
    floor = open_floor({"BTCUSDT": RESTLESS}, durable=False)
    later(floor, 200 * 60)
    columns, known = whole_history(floor)
    quiet = slice(300, 340)
    values = {
        name: getattr(columns, name).copy() for name in ("open", "high", "low", "close", "volume")
    }
    values["volume"][quiet] = 0.0
    if what == "price does not move":
        for name in ("open", "high", "low", "close"):
            values[name][quiet] = columns.close[300]
    odd = Columns("BTCUSDT", "5m", columns.open_time, *values.values())
    engine = ensemble(floor.services.engine.plan["BTCUSDT"]["5m"])
    found = engine.evaluate(odd)
    # Only what comes before the first whole history is without a decision, as always.
    assert np.isnan(found.strength).tolist() == np.isnan(known.strength).tolist()
    assert np.isfinite(found.strength).sum() == len(columns) - engine.history + 1
    for end in range(engine.history, len(columns) + 1, 13):
        one = engine.signal(odd.window(end - engine.history, end))
        assert abs(one.strength - found.strength[end - 1]) < 1e-9
