"""Models as voters: blind to the future, live what a backtest computes, and never a silent none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.bootstrap import Services
from shared.errors import ConfigurationError
from shared.intelligence.features import feature_history, window
from shared.intelligence.library import SHIPPED, Library
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.research.backtest import run
from shared.research.breakdown import breakdown
from shared.research.caveats import caveats
from shared.research.config import BacktestConfig
from shared.research.lookahead import look_ahead_of_voter
from shared.research.luck import assess
from shared.research.runner import BacktestRunner
from shared.research.seen import is_seen_note, seen
from shared.research.signals import live_signal, signals
from shared.research.statistics import statistics
from shared.research.votes import VoteBook
from shared.simulation.synthetic import SyntheticMarket
from shared.strategies import ai
from shared.strategies.config import EnsembleConfig, Member, SignalConfig, decode_config
from shared.strategies.ensemble import Ensemble, ensemble, signal_at_last
from shared.strategies.frame import Frame
from shared.strategies.registry import FORMULAS, STRATEGIES, available, strategy
from shared.strategies.signal import Signal, Vote
from tests.intelligence.made_onnx import LOOKBACK, MAKERS, lstm, mlp, save, serving

START = 1_746_316_800_000
BARS = SyntheticMarket(21).columns("BTCUSDT", START, START + 900 * 60_000)
HISTORY = feature_history()
MADE = (*MAKERS, "ai_ensemble")


@pytest.fixture(autouse=True)
def made(tmp_path: Path) -> Iterator[Library]:
    for name, make in MAKERS.items():
        save(tmp_path, name, make())
    with serving(tmp_path) as library:
        yield library


def config(*names: str, threshold: float = 0.3, **fields: Any) -> EnsembleConfig:
    members = tuple(Member(strategy=name) for name in names)
    return EnsembleConfig(members=members, threshold=threshold, **fields)


@pytest.mark.parametrize("name", MADE)
def test_no_model_knows_the_future(name: str) -> None:
    found = look_ahead_of_voter(strategy(name).with_params({}), BARS, cuts=3)
    assert found.clean, found.worst()
    assert set(found.figures) == {"vote", "p_down", "p_flat", "p_up"}
    assert found.empty == []


@pytest.mark.parametrize("name", MADE)
def test_one_bar_equals_all_bars_bit_for_bit(name: str) -> None:
    bound = strategy(name).with_params({})
    whole = bound.votes(Frame(BARS))
    assert np.isnan(whole.vote[: bound.history - 1]).all()
    assert np.isfinite(whole.vote[bound.history - 1 :]).all()
    assert 0.1 < np.nanmax(np.abs(whole.vote)) <= 1.0
    for end in range(bound.history + 2, 901, 11):
        live = bound.votes(Frame(BARS.window(end - bound.history, end), 1))
        assert live.vote == whole.vote[end - 1]
        assert live.figures == {k: v[end - 1] for k, v in whole.figures.items()}
        assert live.model == whole.model
        earlier = bound.votes(Frame(BARS.window(end - bound.history - 2, end), 3).at(2))
        assert earlier.vote == whole.vote[end - 3]


def test_history_is_that_of_the_features_and_the_look_back() -> None:
    histories = {name: strategy(name).with_params({}).history for name in MADE}
    assert histories == {
        "mlp": HISTORY, "xgboost": HISTORY,
        "lstm": HISTORY + LOOKBACK - 1, "ai_ensemble": HISTORY + LOOKBACK - 1,
    }  # fmt: skip


def test_a_vote_is_the_difference_of_two_probabilities(made: Library) -> None:
    rows = window(BARS, LOOKBACK)
    tabular = [made.model(name).probabilities(rows[-1:])[0] for name in ("mlp", "xgboost")]
    recurrent = made.model("lstm").probabilities(rows[None])[0]
    frame = Frame(BARS, 1)
    for name, (down, flat, up) in zip(("mlp", "xgboost"), tabular, strict=True):
        for full in (0.2, 1.0):
            found = strategy(name).with_params({"full_vote": full}).votes(frame)
            assert found.vote == max(-1.0, min(1.0, (up - down) / full))
            assert found.figures == {"p_down": down, "p_flat": flat, "p_up": up}
    mean = np.mean([recurrent, *tabular], axis=0)
    together = strategy("ai_ensemble").with_params({"full_vote": 1.0}).votes(frame)
    assert together.vote == pytest.approx(mean[2] - mean[0], abs=1e-15)
    two = strategy("ai_ensemble").with_params({"models": ["mlp", "xgboost"], "full_vote": 1.0})
    mean = np.mean(tabular, axis=0)
    assert two.votes(frame).vote == pytest.approx(mean[2] - mean[0], abs=1e-15)
    assert two.history == HISTORY


@pytest.mark.parametrize("name", MADE)
def test_a_market_that_stands_still_gets_no_vote(name: str) -> None:
    flat = np.full(600, 100.0)
    still = replace(BARS.window(0, 600), open=flat, high=flat, low=flat, close=flat)
    bound = strategy(name).with_params({})
    assert math.isnan(bound.votes(Frame(still, 1)).vote)
    assert np.isnan(bound.votes(Frame(still)).vote).all()


# ------------------------------------------------------------------ the ensemble and its records


@pytest.mark.parametrize("crossing", [True, False])
def test_live_equals_the_whole_history(crossing: bool) -> None:
    engine = ensemble(config("mlp", "lstm", "trend", crossing=crossing))
    whole = engine.evaluate(BARS)
    for end in range(engine.history, 901, 5):
        live = engine.signal(BARS.window(0, end))
        assert {"BUY": 1, "SELL": -1, None: 0}[live.side] == whole.side[end - 1]
        assert live.strength == pytest.approx(whole.strength[end - 1], abs=1e-9)
    assert {-1, 0, 1} == set(whole.side.tolist())


def test_a_decision_is_bit_for_bit_that_of_its_window() -> None:
    chosen = config("ai_ensemble", "xgboost", "trend")
    need = ensemble(chosen).history
    for end in range(need, 900, 83):
        long = signal_at_last(BARS.window(0, end), chosen)
        copied = BARS.window(end - need, end)
        copied = replace(
            copied, **{k: getattr(copied, k).copy() for k in ("open", "high", "low", "close")}
        )
        ensemble_again = Ensemble(chosen)
        assert msgspec.json.encode(long) == msgspec.json.encode(ensemble_again.signal(copied))


def test_the_record_names_the_version_that_voted(made: Library, tmp_path: Path) -> None:
    signal = signal_at_last(BARS, config("mlp", "ai_ensemble", "trend"))
    by_name = {vote.strategy: vote for vote in signal.votes}
    version = made.card("mlp").version
    assert by_name["mlp"].model == version
    together = by_name["ai_ensemble"].model
    pinned, _, members = together.partition(": ")
    assert members == ", ".join(f"{n} {made.card(n).version}" for n in sorted(MAKERS))
    assert by_name["trend"].model == ""
    stored = json.loads(msgspec.json.encode(signal))
    assert [set(vote) for vote in stored["votes"]] == [
        {"strategy", "weight", "vote", "figures", *({"model"} if v.model else ())}
        for v in signal.votes
    ]
    assert msgspec.convert(msgspec.to_builtins(signal), Signal) == signal
    # What was written before there were models reads as it was.
    old = {"strategy": "trend", "weight": 1.0, "vote": 0.5, "figures": {}}
    assert msgspec.to_builtins(msgspec.convert(old, Vote)) == old

    # The versions of the record, pinned, give the same votes; with other files they are refused.
    text = {
        "default": {
            "members": [
                {"strategy": "mlp", "params": {"version": version}},
                {"strategy": "ai_ensemble", "params": {"version": pinned}},
                {"strategy": "trend"},
            ],
            "threshold": 0.3,
        }
    }
    assert signal_at_last(BARS, decode_config(text).default).votes == signal.votes
    save(tmp_path, "mlp", mlp(8))
    with serving(tmp_path), pytest.raises(ConfigurationError) as error:
        decode_config(text)
    first, second = error.value.problems
    assert f"default: model mlp: version {version} is asked for" in first
    assert f"default: ai_ensemble: version {pinned} is asked for" in second


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ({"strategy": "gru"}, r"default: model gru: models/gru\.json is not there; train it"),
        ({"strategy": "mlp", "params": {"version": "abc"}}, "version"),
        ({"strategy": "mlp", "params": {"full_vote": 0.0}}, "full_vote"),
        ({"strategy": "mlp", "params": {"seed": 1}}, "has no parameter seed; it has version"),
        ({"strategy": "ai_ensemble", "params": {"models": ["mlp", "gru"]}}, "gru.json"),
        ({"strategy": "ai_ensemble", "params": {"models": ["mlp", "moon"]}}, "model 'moon'"),
        ({"strategy": "ai_ensemble", "params": {"models": ["mlp", "mlp"]}}, "mlp is named twice"),
        ({"strategy": "moon"}, "use one of .*, lstm, mlp, xgboost, ai_ensemble"),
    ],
)
def test_what_cannot_vote_cannot_be_configured(member: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        decode_config({"default": {"members": [member]}})


def test_without_models_none_can_be_named(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    with serving(nothing):
        formulas = [formula.name for formula in FORMULAS]
        assert available() == formulas
        assert len(STRATEGIES) == len(formulas) + 16
        for name in ai.NAMES:
            with pytest.raises(ConfigurationError, match="train"):
                decode_config({"default": {"members": [{"strategy": name}]}})
        assert decode_config("{}").default.members[0].strategy == "trend"


def test_a_broken_model_stops_the_signal_and_does_not_vote_nothing(tmp_path: Path) -> None:
    save(tmp_path, "mlp", b"no model at all")
    chosen = config("mlp", "trend", quorum=0.1)
    with serving(tmp_path):
        engine = ensemble(chosen)  # Its digest is that of its card.
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"model mlp .*onnxruntime cannot use"):
                engine.signal(BARS)
        with pytest.raises(ConfigurationError, match="model mlp"):
            engine.evaluate(BARS)
        save(tmp_path, "mlp", mlp(), feature_set="1-0123456789ab")
    with serving(tmp_path), pytest.raises(ConfigurationError, match="feature set 1-0123456789ab"):
        ensemble(chosen)


def test_a_model_votes_on_its_time_frame_only(tmp_path: Path) -> None:
    hours = told_as(BARS, "1h")
    told = "model mlp was trained on bars of 1m and does not vote on those of 1h"
    for name in ("mlp", "ai_ensemble"):
        bound = strategy(name).with_params({})
        assert not bound.refusal("1m")
        assert told in bound.refusal("1h")
        for frame in (Frame(hours), Frame(hours, 1)):
            with pytest.raises(ConfigurationError, match=told):
                bound.votes(frame)
    plan = SignalConfig(default=config("mlp"), timeframes={"5m": config("trend")})
    span = {"start_ms": START, "end_ms": START + 3_600_000, "signals": plan}
    BacktestConfig(symbols=("BTCUSDT",), timeframes=("1m", "5m"), **span)
    with pytest.raises(ConfigurationError, match=told):
        BacktestConfig(symbols=("BTCUSDT",), timeframes=("1m", "1h"), **span)


@pytest.mark.parametrize(("timeframes", "good"), [("1m", True), ("1m,1h", False)])
def test_the_application_is_not_ready_with_a_model_on_other_bars(
    timeframes: str, good: bool
) -> None:
    services = Services(
        {
            "BINANCE_BASE_URL": "http://exchange.invalid",
            "TRADING_PLAN": '{"default": {"members": [{"strategy": "mlp"}]}}',
            "TIMEFRAMES": timeframes,
        }
    )
    if good:
        assert services.plan["BTCUSDT"]["1m"].members[0].strategy == "mlp"
        return
    with pytest.raises(ConfigurationError, match="does not vote on those of 1h"):
        _ = services.plan


# ------------------------------------------------------------------ backtests


def backtest(engine: Any, **fields: Any) -> BacktestConfig:
    chosen = config("ai_ensemble", "lstm", threshold=fields.pop("threshold", 0.3), crossing=False)
    return BacktestConfig(
        symbols=("BTCUSDT", "ETHUSDT"),
        timeframes=("1m",),
        start_ms=START + 480 * 60_000,
        end_ms=START + 900 * 60_000,
        signals=SignalConfig(default=chosen),
        engine=engine,
        **fields,
    )


def test_both_engines_make_the_same_trades_and_the_live_decisions() -> None:
    source = SyntheticMarket(21, ("BTCUSDT", "ETHUSDT"))
    exact, compiled = (run(source, backtest(engine)) for engine in ("exact", "compiled"))
    assert len(exact.trades) > 3
    for column in ("symbol", "opened_at", "closed_at", "quantity", "exit_reason"):
        assert (getattr(exact.trades, column) == getattr(compiled.trades, column)).all(), column
    np.testing.assert_allclose(exact.equity, compiled.equity, atol=1e-6)
    table = signals(source, backtest("exact"))
    assert len(table) > 20
    for row in range(0, len(table), max(1, len(table) // 12)):
        live = live_signal(source, backtest("exact"), table, row)
        assert live.strength == pytest.approx(table.strength[row], abs=1e-9)
        assert {"BUY": 1, "SELL": -1}[live.side or ""] == table.side[row]


def test_a_backtest_says_what_a_model_had_seen(tmp_path: Path) -> None:
    """The card of these models ends on the last day of 2024, with labels of 24 bars more."""
    source = SyntheticMarket(21, ("BTCUSDT", "ETHUSDT"))
    last_bar = 1_735_686_000_000  # 2024-12-31T23:00:00Z
    until = last_bar + 25 * 60_000
    assert seen(backtest("exact")) == {"ai_ensemble": until, "lstm": until}
    assert not [n for n in signals(source, backtest("exact")).notes if is_seen_note(n)]
    save(tmp_path, "lstm", lstm(), trained_to="2025-05-04T08:00:00Z")
    with serving(tmp_path):
        fresh = backtest("exact")
        # The range begins at 8:00; the last label looked until 8:25.
        (note, other) = [n for n in signals(source, fresh).notes if is_seen_note(n)]
        assert note.startswith("ai_ensemble was trained on bars until 2025-05-04T08:25:00.000Z")
        assert other.startswith("lstm was trained on bars until")
        assert BacktestRunner(fresh).seen_until == START + (8 * 60 + 25) * 60_000
        result = run(source, fresh)
        found = caveats(result, statistics(result), breakdown(result), assess(result, paths=200))
        (one,) = [c for c in found if c.title == "A model has seen these bars"]
        assert one.level == "serious"
        assert "not out of sample" in one.text
    assert BacktestRunner(backtest("exact")).seen_until < START
    formulas = replace_signals(backtest("exact"), config("trend"))
    assert BacktestRunner(formulas).seen_until == 0


def replace_signals(chosen: BacktestConfig, members: EnsembleConfig) -> BacktestConfig:
    return msgspec.structs.replace(chosen, signals=SignalConfig(default=members))


def test_a_sweep_asks_a_model_once(made: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    source, book = SyntheticMarket(21, ("BTCUSDT", "ETHUSDT")), VoteBook()
    first = signals(source, backtest("compiled"), book)
    plain = signals(source, backtest("compiled"))
    assert (first.time == plain.time).all()
    assert (first.strength == plain.strength).all()

    def asked_again(*_: Any) -> None:
        raise AssertionError("a model was asked again")

    for name in MAKERS:
        monkeypatch.setattr(made.model(name), "probabilities", asked_again)
    fewer = signals(source, backtest("compiled", threshold=0.6), book)
    assert 0 < len(fewer) < len(first)


# ------------------------------------------------------------------ what lies in models/


def told_as(bars: Columns, timeframe: str) -> Columns:
    step = duration_ms(timeframe)
    return replace(
        bars, timeframe=timeframe, open_time=START + step * np.arange(len(bars), dtype=np.int64)
    )


def test_no_shipped_model_knows_the_future() -> None:
    with serving(SHIPPED) as library:
        for name in ai.names():
            bound = strategy(name).with_params({})
            timeframe = library.card(library.names()[0] if name == ai.ENSEMBLE else name).timeframe
            bars = told_as(BARS, timeframe).window(0, bound.history + 99)
            found = look_ahead_of_voter(bound, bars, cuts=2)
            assert found.clean, found.worst()
            whole = bound.votes(Frame(bars)).vote
            for end in range(bound.history, len(bars) + 1, 29):
                live = bound.votes(Frame(bars.window(end - bound.history, end), 1)).vote
                assert live == whole[end - 1], name
