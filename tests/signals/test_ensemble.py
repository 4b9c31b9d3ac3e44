"""The ensemble: one code for live and whole history, blind to the future (invariant 10)."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from candle_series import MINUTE, joined, series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import ConfigurationError, InvalidInput, MarketDataError
from shared.market.candle import Columns
from shared.strategies.config import (
    EnsembleConfig,
    Member,
    SignalConfig,
    decode_config,
    five_strategies,
)
from shared.strategies.ensemble import (
    Ensemble,
    ensemble,
    evaluate,
    required_history,
    signal_at_last,
)
from shared.strategies.frame import Frame
from shared.strategies.signal import Signal
from shared.strategies.strategy import Votes

REAL = Path(__file__).parents[2].parent / "shared" / "market"

#: Low thresholds, so that sides occur often in short series.
EAGER = five_strategies(0.25)


def side_of(signal: Signal) -> int:
    return {"BUY": 1, "SELL": -1, None: 0}[signal.side]


def differences(engine: Ensemble, bars: Columns, later: Columns, ends: list[int]) -> list[str]:
    """Where a live decision is not the whole-history one, or moves with data after its bar."""
    whole = engine.evaluate(bars)
    found = []
    for end in ends:
        live = engine.signal(bars.window(end - engine.history, end))
        if side_of(live) != whole.side[end - 1]:
            found.append(f"{end}: side {live.side}, in the whole history {whole.side[end - 1]}")
        if abs(live.strength - whole.strength[end - 1]) > 1e-9:
            found.append(f"{end}: strength {live.strength} and {whole.strength[end - 1]}")
        cut = engine.evaluate(bars.window(0, end))
        other = engine.evaluate(joined(bars.window(0, end), later))
        for name, changed in (("cut", cut), ("another", other)):
            same_side = changed.side[end - 1] == whole.side[end - 1]
            if not same_side or abs(changed.strength[end - 1] - whole.strength[end - 1]) > 1e-12:
                found.append(f"{end}: decided differently with the future {name}")
    return found


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    price=st.sampled_from([0.5, 100.0, 65_000.0]),
    data=st.data(),
)
def test_live_equals_whole_history_and_ignores_the_future(
    seed: int, price: float, data: st.DataObject
) -> None:
    tick = {0.5: 0.0001, 100.0: 0.01, 65_000.0: 0.1}[price]
    bars = series(seed, 1500, price=price, tick=tick)
    later = series(seed + 1, 300, price=price * 1.1, tick=tick)
    engine = ensemble(
        data.draw(st.sampled_from([EAGER, msgspec.structs.replace(EAGER, crossing=False)]))
    )
    first = data.draw(st.integers(engine.history, 1300))
    assert differences(engine, bars, later, list(range(first, 1500, 9))) == []


def test_every_single_bar_of_one_history() -> None:
    bars = series(77, 2000)
    engine = ensemble(EAGER)
    whole = engine.evaluate(bars)
    for end in range(engine.history, 2001):
        live = engine.signal(bars.window(0, end))
        assert side_of(live) == whole.side[end - 1], end
        assert live.strength == pytest.approx(whole.strength[end - 1], abs=1e-9)
    assert {-1, 1} <= set(whole.side.tolist())


@dataclass(frozen=True)
class Peeking:
    """A voter that knows one bar of the future wherever there is one: the classic bug."""

    name: str = "peeking"
    history: int = 20

    def votes(self, frame: Frame) -> Votes:
        close = frame.columns.close
        following = np.append(close[1:], close[-1])
        vote = np.sign(following - close)
        if isinstance(frame.column("close"), float):
            return Votes(float(vote[-1]), {})
        return Votes(vote, {})


def test_a_look_ahead_of_one_bar_is_caught_by_the_same_check() -> None:
    config = EnsembleConfig(members=(Member(strategy="peeking"),), threshold=0.5, crossing=False)
    engine = Ensemble(config, {"peeking": Peeking()})
    bars, later = series(5, 700), series(6, 100)
    found = differences(engine, bars, later, list(range(600, 650)))
    assert any("in the whole history" in line for line in found)
    assert any("future cut" in line for line in found)


def test_a_decision_is_bit_for_bit_that_of_its_window() -> None:
    bars = series(8, 2000)
    need = required_history(EAGER)
    for end in range(need, 2000, 97):
        long = signal_at_last(bars.window(0, end), EAGER)
        exact = signal_at_last(bars.window(end - need, end), EAGER)
        copied = signal_at_last(
            replace(
                bars.window(end - need, end),
                **{k: getattr(bars, k)[end - need : end].copy() for k in ("open", "high", "low")},
            ),
            EAGER,
        )
        assert msgspec.json.encode(long) == msgspec.json.encode(exact)
        assert msgspec.json.encode(long) == msgspec.json.encode(copied)


def test_the_digest_covers_exactly_the_window() -> None:
    bars = series(9, 1000)
    need = required_history(EAGER)
    window = bars.window(1000 - need, 1000)
    raw = struct.pack(f"<{need}q", *window.open_time.tolist())
    for name in ("open", "high", "low", "close", "volume"):
        raw += struct.pack(f"<{need}d", *getattr(window, name).tolist())
    signal = signal_at_last(bars, EAGER)
    assert signal.window_digest == hashlib.sha256(raw).hexdigest()
    volume = bars.volume.copy()
    volume[1000 - need] += 0.001
    assert signal_at_last(replace(bars, volume=volume), EAGER).window_digest != signal.window_digest


def test_the_signal_says_what_led_to_it() -> None:
    bars = series(10, 1000)
    signal = signal_at_last(bars, EAGER)
    opened = int(bars.open_time[-1])
    assert signal.id == f"BTCUSDT-1m-{opened + MINUTE}-v1"
    assert (signal.bar_open_time, signal.bar_close_time) == (opened, opened + MINUTE)
    assert [vote.strategy for vote in signal.votes] == [m.strategy for m in EAGER.members]
    weights = [vote.weight for vote in signal.votes]
    mean = sum(v.weight * v.vote for v in signal.votes) / sum(weights)
    assert signal.strength == pytest.approx(mean, abs=1e-15)
    assert all(vote.figures for vote in signal.votes)
    returns = np.diff(np.log(bars.close[-97:]))
    assert signal.volatility == pytest.approx(returns.std(ddof=1), rel=1e-12)
    assert signal.close == bars.close[-1]
    assert msgspec.json.decode(msgspec.json.encode(signal), type=Signal) == signal


@dataclass(frozen=True)
class Constant:
    """A voter that always says the same, as a stand-in for a model."""

    name: str
    value: float
    history: int = 1

    def votes(self, frame: Frame) -> Votes:
        return Votes(frame.column("close") * 0.0 + self.value, {"says": self.value})


NAN = math.nan
OPINIONS: list[tuple[str, list[tuple[float, float]], float, float, str | None]] = [
    # case, (weight, vote) of each voter, quorum, expected strength, side at threshold 0.5
    ("weighted mean", [(3.0, 1.0), (1.0, -1.0)], 0.5, 0.5, "BUY"),
    ("just below", [(3.0, 0.99), (1.0, -1.0)], 0.5, 0.4925, None),
    ("short", [(1.0, -0.5), (1.0, -0.7)], 0.5, -0.6, "SELL"),
    ("no opinion is left out", [(1.0, 0.8), (1.0, NAN)], 0.5, 0.8, "BUY"),
    ("too few opinions", [(1.0, 0.8), (1.1, NAN)], 0.5, 0.8, None),
    ("nobody", [(1.0, NAN), (1.0, NAN)], 0.5, 0.0, None),
    ("nobody, no quorum asked", [(1.0, NAN)], 0.0, 0.0, None),
    ("one of many, no quorum asked", [(1.0, 1.0), (9.0, NAN)], 0.0, 1.0, "BUY"),
]


@pytest.mark.parametrize(
    ("case", "opinions", "quorum", "strength", "side"), OPINIONS, ids=[o[0] for o in OPINIONS]
)
def test_votes_become_a_side(
    case: str,
    opinions: list[tuple[float, float]],
    quorum: float,
    strength: float,
    side: str | None,
) -> None:
    names = [f"model{i}" for i in range(len(opinions))]
    config = EnsembleConfig(
        members=tuple(
            Member(strategy=n, weight=w) for n, (w, _) in zip(names, opinions, strict=True)
        ),
        threshold=0.5,
        quorum=quorum,
        crossing=False,
    )
    models = {n: Constant(n, v) for n, (_, v) in zip(names, opinions, strict=True)}
    engine = Ensemble(config, models)
    bars = series(3, 600)
    signal, whole = engine.signal(bars), engine.evaluate(bars)
    assert signal.strength == pytest.approx(strength, abs=1e-15)
    assert signal.side == side
    assert side_of(signal) == whole.side[-1]
    assert signal.strength == whole.strength[-1]
    assert len(signal.votes) == sum(1 for _, v in opinions if v == v)


def test_one_move_makes_one_signal() -> None:
    bars = series(12, 3000)
    once = evaluate(bars, EAGER)
    every = evaluate(bars, msgspec.structs.replace(EAGER, crossing=False))
    expected, before = [], 0
    for state in every.side.tolist():
        expected.append(state if state != before else 0)
        before = state
    need = required_history(EAGER)
    assert once.side[need:].tolist() == expected[need:]
    assert 0 < np.count_nonzero(once.side) < np.count_nonzero(every.side) / 2


def test_bars_without_their_history_have_no_side() -> None:
    whole = evaluate(series(13, 900), EAGER)
    need = required_history(EAGER)
    assert np.isnan(whole.strength[: need - 1]).all()
    assert not whole.side[: need - 1].any()
    assert np.isfinite(whole.strength[need - 1 :]).all()


def broken(bars: Columns, **changes: object) -> Columns:
    columns = {}
    for name, (at, value) in changes.items():  # type: ignore[misc]
        column = getattr(bars, name).copy()
        column[at] = value
        columns[name] = column
    return replace(bars, **columns)


@pytest.mark.parametrize(
    ("bars", "error", "message"),
    [
        (series(1, 100), InvalidInput, "100 bars, a signal needs"),
        (broken(series(1, 800), close=(700, NAN)), MarketDataError, "not finite"),
        (broken(series(1, 800), volume=(790, math.inf)), MarketDataError, "not finite"),
        (
            joined(series(1, 400), series(1, 400)).window(0, 800),
            None,
            "",
        ),
        (
            replace(series(1, 800), open_time=series(1, 800).open_time * 2),
            MarketDataError,
            "not consecutive",
        ),
    ],
)
def test_windows_that_cannot_be_decided_upon(
    bars: Columns, error: type[Exception] | None, message: str
) -> None:
    if error is None:
        assert signal_at_last(bars, EAGER)
        return
    with pytest.raises(error, match=message):
        signal_at_last(bars, EAGER)
    with pytest.raises(error, match=message):
        evaluate(bars, EAGER)


def test_the_most_specific_configuration_counts() -> None:
    config = decode_config(
        b"""{
          "default": {"members": [{"strategy": "trend"}], "threshold": 0.1},
          "timeframes": {"1h": {"members": [{"strategy": "trend"}], "threshold": 0.2}},
          "symbols": {"BTCUSDT": {"1h": {"members": [{"strategy": "trend"}], "threshold": 0.3},
                                  "*": {"members": [{"strategy": "trend"}], "threshold": 0.4}}}
        }"""
    )
    got = {
        (symbol, timeframe): config.ensemble(symbol, timeframe).threshold
        for symbol in ("BTCUSDT", "ETHUSDT")
        for timeframe in ("1h", "5m")
    }
    assert got == {
        ("BTCUSDT", "1h"): 0.3,
        ("BTCUSDT", "5m"): 0.4,
        ("ETHUSDT", "1h"): 0.2,
        ("ETHUSDT", "5m"): 0.1,
    }


def test_an_empty_configuration_is_the_default_and_survives_json() -> None:
    config = decode_config(b"{}")
    assert config == SignalConfig()
    assert decode_config(msgspec.json.encode(config)) == config
    assert decode_config({}) == config
    # An EMA of 400 bars needs so many until nothing is left of where it began.
    assert required_history(config.ensemble("BTCUSDT", "1h")) == 5928
    assert required_history(five_strategies()) <= 600


WRONG: list[tuple[str, list[str]]] = [
    ("{", ["signal configuration"]),
    ('{"defualt": {}}', ["defualt"]),
    ('{"default": {"members": []}}', ["members"]),
    ('{"default": {"members": [{"strategy": "trend"}], "threshold": 0}}', ["threshold"]),
    ('{"default": {"members": [{"strategy": "trend", "weight": -1}]}}', ["weight"]),
    ('{"default": {"members": [{"strategy": "trend"}], "threshold": NaN}}', ["configuration"]),
    (
        '{"default": {"members": [{"strategy": "moon"}, {"strategy": "trend"},'
        ' {"strategy": "trend", "params": {"fast": 99}}]},'
        ' "timeframes": {"7m": {"members": [{"strategy": "breakout", "params": {"x": 1}}]}},'
        ' "symbols": {"BTCUSDT": {"1w": {"members": [{"strategy": "trend"}]}}}}',
        [
            "timeframes: unknown time frame '7m'",
            "symbols.BTCUSDT: unknown time frame '1w'",
            "default: trend is named twice",
            "default: unknown strategy 'moon'",
            "default: strategy trend",
            "timeframes.7m: strategy breakout",
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_every_problem_of_a_configuration_is_named(text: str, expected: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_config(text)
    assert len(caught.value.problems) == len(expected)
    for problem, part in zip(caught.value.problems, expected, strict=True):
        assert part in problem


def test_a_model_may_be_named_when_it_is_known() -> None:
    text = '{"default": {"members": [{"strategy": "oracle"}]}}'
    assert decode_config(text, models=frozenset({"oracle"})).default.members[0].strategy == "oracle"
    with pytest.raises(ConfigurationError, match="oracle"):
        Ensemble(decode_config(text, models=frozenset({"oracle"})).default)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real market data beside the checkout")
@settings(
    max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(start=st.integers(0, 36_000))
def test_parity_on_real_minutes(start: int) -> None:
    from shared.market.files import load_market

    may = load_market(REAL, ["BTCUSDT"], 1_746_403_200_000, 1_748_736_000_000)["BTCUSDT"].candles
    part = may.window(start, start + 1200)
    engine = ensemble(EAGER)
    ends = list(range(engine.history, 1200, 13))
    assert differences(engine, part, series(1, 50, price=90_000.0, tick=0.1), ends) == []
