"""What other systems' users reported about training, as scenarios of this application.

The number is that of the table in ``docs/safety.md``.
"""

from __future__ import annotations

import numpy as np
from learnable import HOUR, tides

from shared.intelligence.features import feature_history, window
from shared.intelligence.labels import Barriers
from training.dataset import dataset

BARRIERS = Barriers(1.5, 1.0, 6)
LOOKBACK = 5
BARS = feature_history() + 120


def test_28_a_row_is_what_is_served_at_its_bar_and_at_no_neighbour() -> None:
    """freqtrade PR#7737: what was learnt of one candle was asked of the one beside it."""
    columns = tides(BARS)
    data = dataset({"BTCUSDT": [columns]}, BARRIERS, lookback=LOOKBACK)
    rows = np.arange(1, len(data) - 1, 7)
    for row, learnt in zip(rows, data.sequences(rows, LOOKBACK), strict=True):
        bar = int(data.bar[row])
        # Decided on when the bar closes, learnt from what comes after that.
        assert data.opened[row] == columns.open_time[bar] == data.time[row] - HOUR
        assert data.known[row] > data.time[row]
        served = {n: window(columns.window(0, bar + 1 + n), LOOKBACK) for n in (-1, 0, 1)}
        assert (learnt == served[0]).all()
        assert (learnt != served[-1]).any()
        assert (learnt != served[1]).any()


def test_28_a_candle_that_is_missing_takes_the_rows_around_it_and_no_more() -> None:
    """freqtrade#11707: one figure without a number, and all of the data was dropped."""
    whole = tides(3 * BARS)
    known = dataset({"BTCUSDT": [whole]}, BARRIERS, lookback=LOOKBACK)
    runs = [whole.window(0, BARS), whole.window(BARS + 1, 3 * BARS)]
    data = dataset({"BTCUSDT": runs}, BARRIERS, lookback=LOOKBACK)
    lost = set(known.opened.tolist()) - set(data.opened.tolist())
    # The bar itself, those whose label would reach over it, those whose history would.
    assert len(lost) == 1 + BARRIERS.horizon_bars + feature_history() - 1 + LOOKBACK - 1
    at = {int(t): n for n, t in enumerate(known.opened)}
    for row, opened in enumerate(data.opened.tolist()):
        assert data.label[row] == known.label[at[opened]]
    # A market without a trade for a day has rows all the same.
    still = tides(BARS)
    still.volume[-60:-30] = 0.0
    assert len(dataset({"BTCUSDT": [still]}, BARRIERS, lookback=LOOKBACK)) == len(
        dataset({"BTCUSDT": [tides(BARS)]}, BARRIERS, lookback=LOOKBACK)
    )
