"""Anomalies: by plain arithmetic, where they are planted, and live as on all of history."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from candle_series import series
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.indicators.anomalies import HISTORY, anomalies_at, scores, season, unusual
from shared.indicators.sensitivity import KINDS, Sensitivity
from shared.market.candle import Columns
from shared.market.timeframe import TIMEFRAMES, duration_ms
from shared.research.lookahead import look_ahead
from shared.strategies.config import EnsembleConfig, Member, decode_config
from shared.strategies.ensemble import ensemble
from shared.strategies.signal import Signal

HOUR = duration_ms("1h")


def hours(seed: int, bars: int, deviation: float = 0.005) -> Columns:
    """Hours of a market whose returns are independent and normal."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, deviation, bars)))
    opened = np.concatenate(([100.0], close[:-1]))
    reach = np.abs(random.normal(0.0, deviation / 2, (2, bars)))
    return Columns(
        "BTCUSDT",
        "1h",
        1_600_000_000_000 - 1_600_000_000_000 % HOUR + HOUR * np.arange(bars, dtype=np.int64),
        opened,
        np.maximum(opened, close) * (1.0 + reach[0]),
        np.minimum(opened, close) * (1.0 - reach[1]),
        close,
        np.exp(random.normal(3.0, 0.5, bars)),
    )


def test_the_jump_statistic_by_the_formulas_of_the_paper() -> None:
    bars = hours(1, HISTORY + 40)
    got = scores(bars)["jump"]
    logs = [math.log(c) for c in bars.close.tolist()]
    returns = [0.0] + [b - a for a, b in itertools.pairwise(logs)]
    n = 365 * 24
    window = math.ceil(math.sqrt(n))
    c = math.sqrt(2 / math.pi)
    root = math.sqrt(2 * math.log(n))
    c_n = root / c - (math.log(math.pi) + math.log(math.log(n))) / (2 * c * root)
    s_n = 1 / (c * root)
    for i in range(HISTORY - 1, len(bars)):
        bipower = math.fsum(abs(returns[j]) * abs(returns[j - 1]) for j in range(i - window + 2, i))
        statistic = abs(returns[i]) / math.sqrt(bipower / (window - 2))
        assert got[i] == pytest.approx((statistic - c_n) / s_n, rel=1e-6)
    # The critical value at one in a hundred that the paper names.
    assert Sensitivity().threshold("jump") == pytest.approx(4.6001, abs=1e-4)


def test_robust_deviations_by_plain_medians() -> None:
    bars = hours(2, HISTORY + 30)
    got = scores(bars)
    volumes = [math.log(v) for v in bars.volume.tolist()]
    for i in range(HISTORY - 1, len(bars)):
        # The same hour of the thirteen weeks before, and an hour to either side.
        others = [volumes[i - 168 * week + h] for week in range(1, 14) for h in (-1, 0, 1)]
        usual = statistics.median(others)
        spread = 1.4826 * statistics.median([abs(v - usual) for v in others])
        expected = (volumes[i] - usual) / spread
        assert got["volume"][i] == pytest.approx(expected, rel=1e-9)
        assert got["quiet"][i] == pytest.approx(-expected, rel=1e-9)
        assert got["volume.usual"][i] == pytest.approx(math.exp(usual))
        assert got["volume.value"][i] == bars.volume[i]


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_every_time_frame_has_enough_to_compare_with(timeframe: str) -> None:
    period, periods, around = season(timeframe)
    assert periods * (2 * around + 1) >= 39
    # Never a bar that is not over, and never more than is declared.
    assert around < period
    assert period * periods + around + 2 <= HISTORY
    day = 86_400_000 // duration_ms(timeframe)
    assert period % day == 0


@pytest.mark.parametrize("seed", range(3))
def test_live_equals_the_whole_history_bit_for_bit(seed: int) -> None:
    bars = series(seed, 3200)
    whole = scores(bars)
    for end in range(HISTORY, len(bars) + 1, 41):
        live = scores(bars.window(end - HISTORY, end), last=1)
        for name, values in live.items():
            assert values[0] == whole[name][end - 1], (name, end)
    assert all(np.isnan(values[: HISTORY - 1]).all() for values in whole.values())
    assert all(np.isfinite(whole[kind][HISTORY - 1 :]).all() for kind in KINDS)


def test_the_last_bars_are_those_of_all() -> None:
    bars = series(4, 2600)
    whole, some = scores(bars), scores(bars, last=100)
    for name in whole:
        np.testing.assert_array_equal(some[name], whole[name][-100:])


def test_no_figure_knows_the_future() -> None:
    found = look_ahead("anomalies", lambda c: scores(c), series(5, 2700), warmup=HISTORY, cuts=6)
    assert found.clean, found.worst()


def test_long_histories_are_judged_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = series(6, 3000)
    whole = scores(bars)
    monkeypatch.setattr("shared.indicators.anomalies.PIECE", 100)
    for name, values in scores(bars).items():
        np.testing.assert_array_equal(values, whole[name])


def test_a_market_without_jumps_has_few_alarms() -> None:
    # Five years, one false alarm in a hundred years expected of each.
    assert sum(int((scores(hours(s, 8760))["jump"] >= 4.6).sum()) for s in range(5)) <= 1


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    at=st.integers(HISTORY, HISTORY + 90),
    size=st.floats(12.0, 40.0),
    down=st.booleans(),
)
def test_a_planted_jump_is_found_at_its_bar_and_nowhere_else(
    seed: int, at: int, size: float, down: bool
) -> None:
    bars = hours(seed, HISTORY + 100)
    factor = math.exp((-1 if down else 1) * size * 0.005)
    after = np.where(np.arange(len(bars)) >= at, factor, 1.0)
    close = bars.close * after
    opened = np.concatenate((close[:1], close[:-1]))
    jumped = replace(
        bars,
        open=opened,
        close=close,
        high=np.maximum(bars.high * after, opened),
        low=np.minimum(bars.low * after, opened),
    )
    flagged = scores(jumped)["jump"] >= Sensitivity().threshold("jump")
    assert np.flatnonzero(flagged).tolist() == [at]
    (jump,) = [a for a in anomalies_at(scores(jumped), at, Sensitivity()) if a.kind == "jump"]
    # The jump and the noise of its bar; the deviation that it is measured in is the market's.
    assert (jump.value < 0) == down
    assert abs(abs(jump.value) - size * 0.005) < 0.03
    assert 0.003 < jump.usual < 0.008


@pytest.mark.parametrize(
    ("kind", "times", "there"),
    [("volume", 30.0, True), ("volume", 2.0, False), ("quiet", 0.01, True), ("quiet", 0.6, False)],
)
def test_a_burst_of_volume_and_a_silence(kind: str, times: float, there: bool) -> None:
    bars = hours(8, HISTORY + 10)
    volume = bars.volume.copy()
    volume[-3] = times * math.exp(3.0)
    found = scores(replace(bars, volume=volume))
    kinds = {a.kind for a in anomalies_at(found, len(bars) - 3, Sensitivity())}
    assert (kind in kinds) == there


def test_a_bar_without_any_volume_is_quiet() -> None:
    bars = hours(9, HISTORY + 10)
    volume = bars.volume.copy()
    volume[-1] = 0.0
    found = scores(replace(bars, volume=volume), last=1)
    assert found["quiet"][0] == 1000.0
    assert found["volume"][0] == -1000.0


@pytest.mark.parametrize("often", [False, True])
def test_a_price_that_stands_still_where_that_is_not_usual(often: bool) -> None:
    bars = hours(10, HISTORY + 20)
    columns = {n: getattr(bars, n).copy() for n in ("open", "high", "low", "close")}

    def freeze(start: int, count: int) -> None:
        for values in columns.values():
            values[start : start + count] = columns["close"][start - 1]

    freeze(len(bars) - 4, 4)
    if often:
        for start in range(20, len(bars) - 20, 12):
            freeze(start, 2)
    found = scores(replace(bars, **columns))["frozen"]
    expected = [0, 0, 0, 0] if often else [1, 2, 3, 4]
    assert found[-4:].tolist() == expected
    assert found[-5] == 0


def test_a_market_that_never_moves_has_no_anomaly() -> None:
    bars = hours(11, HISTORY + 5)
    still = np.full(len(bars), 100.0)
    flat = replace(bars, open=still, high=still, low=still, close=still, volume=0.0 * still)
    assert not unusual(scores(flat), Sensitivity()).any()


# ---------------------------------------------------------------- the veto

EAGER = Sensitivity(alarm=0.9, returns=2.5, range=2.5, volume=2.5, quiet=2.5)


def vetoed(bars: int = 1, **changes: object) -> EnsembleConfig:
    veto = {**msgspec.to_builtins(EAGER), "bars": bars, **changes}
    return decode_config(
        {
            "default": {
                "members": [{"strategy": "momentum"}],
                "threshold": 0.1,
                "crossing": False,
                "veto": veto,
            }
        }
    ).default


PLAIN = EnsembleConfig(members=(Member(strategy="momentum"),), threshold=0.1, crossing=False)


@pytest.mark.parametrize("bars", [1, 3])
def test_no_entry_at_an_anomalous_bar_live_and_on_all_of_history(bars: int) -> None:
    market = series(12, 3000)
    config = vetoed(bars)
    ours, plain = ensemble(config), ensemble(PLAIN).evaluate(market)
    assert ours.history == HISTORY + bars - 1
    whole = ours.evaluate(market)
    odd = unusual(scores(market), EAGER)
    near = np.array([odd[max(0, i - bars + 1) : i + 1].any() for i in range(len(market))])
    ready = np.arange(len(market)) >= ours.history - 1
    np.testing.assert_array_equal(whole.side, np.where(near | ~ready, 0, plain.side))
    np.testing.assert_array_equal(whole.strength[ready], plain.strength[ready])
    taken_away = np.flatnonzero(ready & near & (plain.side != 0))
    assert len(taken_away) > 20
    for at in [*taken_away[:12].tolist(), *range(ours.history - 1, 3000, 97)]:
        live = ours.signal(market.window(0, at + 1))
        assert {"BUY": 1, "SELL": -1, None: 0}[live.side] == whole.side[at]
        assert isinstance(live.anomalies, list)
        assert bool(live.anomalies) == near[at]
        assert all(0 <= one.back < bars for one in live.anomalies)
        # What is recorded says why: the figure is beyond its threshold.
        assert all(one.figure >= one.threshold for one in live.anomalies)


def test_without_a_veto_nothing_is_written_of_it() -> None:
    market = series(13, 1200)
    signal = ensemble(PLAIN).signal(market)
    assert b"anomalies" not in msgspec.json.encode(signal)
    assert b"veto" not in msgspec.json.encode(PLAIN)
    assert ensemble(PLAIN).history < HISTORY
    with_one = ensemble(vetoed()).signal(series(13, 3000))
    again = msgspec.convert(msgspec.to_builtins(with_one), Signal)
    assert again == with_one


@pytest.mark.parametrize(
    ("veto", "message"),
    [
        ({"kinds": ["moon"]}, "unknown kind moon"),
        ({"bars": 0}, "bars"),
        ({"alarm": 2.0}, "alarm"),
        ({"mood": 1}, "mood"),
    ],
)
def test_a_wrong_veto_is_named(veto: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        decode_config({"default": {"members": [{"strategy": "trend"}], "veto": veto}})
