"""A model that votes live: from candle to protected position, with its version in the records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from desk import START, Floor

from shared.market.candle import to_columns
from shared.risk.decision import Decision, DecisionInputs, canonical_json
from shared.risk.gate import decide
from shared.strategies.ensemble import required_history, signal_at_last
from shared.strategies.signal import Signal
from tests.intelligence.made_onnx import constant, save, serving

Open = Callable[..., Floor]

MINUTE = 60_000
#: Still until the third minute, then it moves: from there on a model has an opinion.
PATH = [(3, 0.0), (4, 0.002), (5, 0.001), (20, 0.004)]


def plan(name: str, version: str = "") -> dict[str, str]:
    member = {"strategy": name, "params": {"version": version}}
    plan = {"default": {"members": [member], "threshold": 0.9}}
    return {"TRADING_PLAN": json.dumps(plan), "TIMEFRAMES": "1m"}


def test_from_its_vote_to_a_protected_position(open_floor: Open, tmp_path: Path) -> None:
    card = save(tmp_path, "svm_rbf", constant(0.125, 0.25, 0.625))
    with serving(tmp_path):
        settings = plan("svm_rbf", card.version)
        floor = open_floor({"BTCUSDT": PATH}, settings=settings, poll=True)
        floor.minutes(8)
        rows = json.loads(floor.http("GET", "/api/signals").body)["signals"]
        signals = [msgspec.convert(row["signal"], Signal) for row in rows]
        (acting,) = [signal for signal in signals if signal.side]
        assert (acting.side, acting.strength) == ("BUY", 1.0)
        assert acting.bar_close_time == START + 4 * MINUTE
        (vote,) = acting.votes
        assert (vote.strategy, vote.model) == ("svm_rbf", card.version)
        assert vote.figures == {"p_down": 0.125, "p_flat": 0.25, "p_up": 0.625}
        # Before that the market stood still, and nobody had an opinion.
        assert [s.votes for s in signals if s.bar_close_time < acting.bar_close_time] != []
        assert not any(s.votes for s in signals if s.bar_close_time < acting.bar_close_time)

        assert floor.outcome(acting)["outcome"] == "protected"
        assert floor.held() > 0

        # The dashboard tells what the model of the newest bar, and of the decision, has said.
        shown = json.loads(floor.http("GET", "/api/dashboard").body)
        assert shown["models"] == ["svm_rbf"]
        (newest,), (decision,) = shown["signals"], shown["decisions"]
        said = {"strategy": "svm_rbf", "vote": 1.0, "weight": 1.0, "model": card.version}
        assert (newest["votes"], decision["votes"]) == ([said], [said])
        assert decision["id"] == acting.id

        # The record replays: the signal from its candles, the decision from what was recorded.
        config = floor.services.plan["BTCUSDT"]["1m"]
        candles = floor.services.exchange.candles(
            "BTCUSDT", "1m", end=acting.bar_close_time, limit=required_history(config)
        )
        assert signal_at_last(to_columns(candles), config) == acting
        (record,) = floor.audit("decision")
        inputs = msgspec.convert(record["inputs"], DecisionInputs)
        assert inputs.signal == acting
        recorded = msgspec.convert(record["decision"], Decision)
        assert canonical_json(decide(inputs)) == canonical_json(recorded)


def test_a_model_that_breaks_stops_entries_loudly_and_nothing_else(
    open_floor: Open, tmp_path: Path
) -> None:
    save(tmp_path, "svm_rbf", constant(float("nan"), 0.5, 0.5))
    with serving(tmp_path):
        floor = open_floor({"BTCUSDT": PATH}, settings=plan("svm_rbf"), poll=True)
        signal = floor.trade()
        floor.minutes(6)
        assert floor.outcome(signal)["outcome"] == "protected"
        assert len(floor.stops()) == 1
        dead = floor.documents("deadletter", "market")
        assert dead
        assert all("model svm_rbf" in letter["reason"] for letter in dead)
        assert all("no probabilities: [nan, 0.5, 0.5]" in letter["reason"] for letter in dead)
        assert "dead-letter" in floor.alerts()
        (stored,) = [s for s in floor.documents("signals", "BTCUSDT") if s["kind"] == "signal"]
        assert stored["id"] == signal.id
        assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
        floor.run(30)
        assert not floor.held()


def test_an_abnormal_market_is_seen_also_where_the_model_breaks(
    open_floor: Open, tmp_path: Path
) -> None:
    save(tmp_path, "svm_rbf", constant(float("nan"), 0.5, 0.5))
    shaken = [(float(m), (0.0005 if m % 2 else -0.0005) - 0.04 * (m > 20)) for m in range(1, 60)]
    with serving(tmp_path):
        floor = open_floor({"BTCUSDT": shaken}, settings=plan("svm_rbf"), poll=True)
        floor.minutes(18)
        assert floor.services.kill_switch.ensure().trigger is None
        floor.minutes(6)
        assert floor.services.kill_switch.ensure().trigger == "abnormal_volatility"
