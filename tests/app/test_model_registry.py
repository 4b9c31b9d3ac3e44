"""Champions at work: what a promotion does to a running application, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk import MIDNIGHT, START, Floor

from shared.bootstrap import Services
from shared.errors import CodeRefused, Conflict, InvalidInput, NotFound, StoreUnavailable
from shared.intelligence.features import FEATURE_SET
from shared.intelligence.labels import UP
from shared.intelligence.scores import BarScore, read_scores, save_score
from shared.intelligence.slots import NOTICE_MS, Tenure, promoted
from shared.market.candle import to_columns
from shared.operations.explained import explained
from shared.strategies.ensemble import signal_at_last
from shared.strategies.pinning import recorded
from shared.strategies.signal import Signal
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import constant, lstm, mlp, save, serving

Open = Callable[..., Floor]

MINUTE = 60_000
#: Always a little up and down, so that the market moves and nothing is stopped.
PATH = [(m / 2, 0.0006 if m % 2 else -0.0006) for m in range(1, 200)]
LONG, SHORT = constant(0.125, 0.25, 0.625), constant(0.625, 0.25, 0.125)
FLAT = constant(0.25, 0.5, 0.25)


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path) -> Iterator[Path]:
    save(tmp_path, "svm_rbf", FLAT)
    with serving(tmp_path):
        yield tmp_path


def plan(**params: Any) -> dict[str, str]:
    member = {"strategy": "svm_rbf", "params": params}
    told = {"default": {"members": [member], "threshold": 0.9, "crossing": False}}
    return {"TRADING_PLAN": json.dumps(told), "TIMEFRAMES": "1m", "MODEL_REGISTRY": "on"}


def register(services: Services, onnx: bytes, name: str = "svm_rbf", **changes: Any) -> str:
    made = card(onnx, name=name, **changes)
    return services.registry.register(made, onnx, "a test").version


def body(floor: Floor, **fields: Any) -> dict[str, Any]:
    floor.run(31)  # a code is good once
    return {
        "operator": "ada", "reason": "because of the test", "code": floor.totp(), **fields
    }  # fmt: skip


def ask(floor: Floor, method: str, path: str, sent: Any = None, status: int = 200) -> Any:
    answer = floor.http(method, f"/api/{path}", sent)
    assert answer.status == status, (path, answer.status, answer.body)
    return json.loads(answer.body)


def signals(floor: Floor) -> list[Signal]:
    rows = ask(floor, "GET", "signals?limit=1000")["signals"]
    return [msgspec.convert(row["signal"], Signal) for row in reversed(rows)]


def test_a_champion_votes_from_its_bar_on_and_a_rollback_takes_it_back(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(), poll=True)
    one = card(FLAT).version
    two = register(floor.services, LONG)
    floor.minutes(3)

    # Without evidence it takes an override, and nothing of the code is used up by the refusal.
    asked = body(floor, version=two)
    told = ask(floor, "POST", "models/svm_rbf/promote", asked, 409)
    assert "is not shown to be better" in told["error"]["message"]
    crowned = ask(floor, "POST", "models/svm_rbf/promote", asked | {"override": True})
    assert (crowned["version"], crowned["before"], crowned["how"]) == (two, one, "promotion")
    assert crowned["since"] - crowned["at"] == NOTICE_MS
    floor.minutes(5)
    rolled = ask(floor, "POST", "models/svm_rbf/rollback", body(floor))
    assert (rolled["version"], rolled["how"]) == (one, "rollback")
    floor.minutes(4)

    # Every bar says who voted, and it is who the record says.
    found = {s.bar_close_time: s.votes[0].model for s in signals(floor) if s.votes}
    assert set(found.values()) == {one, two}
    for closed, version in found.items():
        in_between = crowned["since"] <= closed < rolled["since"]
        assert version == (two if in_between else one), closed
    acting = [s for s in signals(floor) if s.side]
    assert {s.votes[0].model for s in acting} == {two}
    assert floor.held() > 0

    # What it decided is explained, and its vote made again, though it is no champion any more.
    first = acting[0]
    told = explained(floor.services.store, floor.services.audit, first.id)
    assert told.replays
    assert told.inputs.signal == first
    again = floor.services.champions.voting(  # type: ignore[union-attr]
        recorded(floor.services.plan["BTCUSDT"]["1m"], first.votes), START
    )
    candles = floor.services.exchange.candles("BTCUSDT", "1m", end=first.bar_close_time, limit=600)
    assert signal_at_last(to_columns(candles), again) == first

    actions = [record["action"] for record in floor.audit("model")]
    assert actions == ["registered", "registered", "promotion", "rollback"]
    assert floor.alerts().count("model-champion") == 2
    (slot,) = ask(floor, "GET", "models")["slots"]
    assert [t["how"] for t in slot["tenures"]] == ["shipped", "promotion", "rollback"]
    assert {v["version"]: v["state"] for v in slot["versions"].values()} == {
        one: "champion", two: "retired"
    }  # fmt: skip


def test_a_promotion_between_a_signal_and_its_order_changes_neither(open_floor: Open) -> None:
    """Just before the first order goes out its model is replaced by its reverse, without notice."""
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(), poll=True)
    two, three = register(floor.services, LONG), register(floor.services, SHORT)
    ask(floor, "POST", "models/svm_rbf/promote", body(floor, version=two, override=True))
    swapped: list[int] = []

    def swap(method: str, url: str) -> None:
        if method == "POST" and url.endswith("/fapi/v1/order") and not swapped:
            now = floor.clock.now_ms()
            swapped.append(now)
            tenure = Tenure(
                version=three, since=now, at=now, how="promotion", operator="ada", reason="a test"
            )
            floor.services.registry.change("svm_rbf", lambda slot: promoted(slot, tenure))

    floor.session.before = swap
    while not swapped:
        floor.run(1)
    (acting,) = [s for s in signals(floor) if s.side]
    assert acting.bar_close_time < swapped[0]
    floor.run(20)
    assert floor.outcome(acting)["outcome"] == "protected"
    (record,) = floor.audit("decision")
    assert record["inputs"]["signal"]["votes"][0]["model"] == two
    assert record["decision"]["outcome"] == "approved"
    assert floor.held() > 0
    floor.minutes(3)
    assert signals(floor)[-1].votes[0].model == three


def test_a_champion_that_reads_further_back_votes_without_a_missing_bar(
    open_floor: Open, shipped: Path
) -> None:
    save(shipped, "lstm", lstm())
    with serving(shipped):
        told = {"default": {"members": [{"strategy": "lstm"}], "threshold": 1.0}}
        wanted = plan() | {"TRADING_PLAN": json.dumps(told)}
        floor = open_floor({"BTCUSDT": PATH}, settings=wanted, poll=True)
        longer = register(
            floor.services, lstm(5, lookback=40), "lstm", kind="sequence", lookback=40
        )
        floor.minutes(3)
        ask(floor, "POST", "models/lstm/promote", body(floor, version=longer, override=True))
        floor.minutes(6)
        voted = [s for s in signals(floor) if s.votes]
        closes = [s.bar_close_time for s in voted]
        assert closes == list(range(closes[0], closes[-1] + MINUTE, MINUTE))
        assert voted[-1].votes[0].model == longer
        assert voted[0].votes[0].model != longer
        assert floor.documents("deadletter", "market") == []


def test_a_plan_that_pins_its_version_keeps_it(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(version=card(FLAT).version), poll=True)
    two = register(floor.services, LONG)
    ask(floor, "POST", "models/svm_rbf/promote", body(floor, version=two, override=True))
    floor.minutes(5)
    assert {v.model for s in signals(floor) for v in s.votes} == {card(FLAT).version}
    # Predictions are the champion's: they belong to no plan.
    (said,) = ask(floor, "POST", "predict", {"symbol": "BTCUSDT", "timeframe": "1m"})["models"]
    assert (said["version"], said["up"]) == (two, 0.625)


def test_a_registry_that_cannot_be_read_is_told_and_nothing_else_changes(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(), poll=True)
    floor.minutes(2)
    own = floor.services.registry

    def away() -> Any:
        raise StoreUnavailable("the container does not answer")

    own.slots = away  # type: ignore[method-assign]
    floor.minutes(3)
    assert floor.alerts().count("model-registry") == 1
    voted = [s.bar_close_time for s in signals(floor) if s.votes]
    assert voted[-1] >= START + 4 * MINUTE
    assert floor.documents("deadletter", "market") == []
    # Another process, that never knew anything: no signal, and a letter for each bar.
    del floor.services.champions
    del floor.services.engine
    floor.minutes(2)
    assert [s.bar_close_time for s in signals(floor) if s.votes] == voted
    assert (
        "the model registry cannot be read" in floor.documents("deadletter", "market")[0]["reason"]
    )


def test_a_process_that_starts_without_the_registry_does_what_needs_no_model(
    open_floor: Open,
) -> None:
    settings = plan()
    told = json.loads(settings["TRADING_PLAN"])
    told["symbols"] = {"ETHUSDT": {"1m": {"members": [{"strategy": "trend"}]}}}
    settings["TRADING_PLAN"] = json.dumps(told)
    floor = open_floor({"BTCUSDT": PATH, "ETHUSDT": PATH}, settings=settings, poll=True)
    own = floor.services.registry

    def away() -> Any:
        raise StoreUnavailable("the container does not answer")

    own.slots = away  # type: ignore[method-assign]
    floor.minutes(4)
    assert {s.symbol for s in signals(floor)} == {"ETHUSDT"}
    letters = floor.documents("deadletter", "market")
    assert letters
    assert all("the model registry cannot be read" in letter["reason"] for letter in letters)
    assert floor.alerts().count("model-registry") == 1


def test_an_alert_that_cannot_be_stored_costs_no_signal_its_workflow(
    open_floor: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(), poll=True)
    two = register(floor.services, LONG)
    ask(floor, "POST", "models/svm_rbf/promote", body(floor, version=two, override=True))
    floor.minutes(1)

    def away(*_: Any) -> Any:
        raise StoreUnavailable("the container does not answer")

    monkeypatch.setattr(floor.services.registry, "slots", away)
    create = floor.store.create

    def refused(container: str, *args: Any, **named: Any) -> Any:
        if container == "alerts" and args[0]["kind"] == "model-registry":
            raise StoreUnavailable("alerts cannot be stored")
        return create(container, *args, **named)

    monkeypatch.setattr(floor.store, "create", refused)
    floor.minutes(4)
    assert "model-registry" not in floor.alerts()
    assert floor.held() > 0


# ------------------------------------------------------------------ evidence


def evidence(floor: Floor, *sides: str, bars: int = 480) -> None:
    """Scores of bars at which the first version said what came and the second the reverse."""
    closed = floor.clock.now_ms()
    for bar in range(bars):
        closed += MINUTE
        score = BarScore(
            symbol="BTCUSDT",
            timeframe="1m",
            closed_at=closed,
            features=(),
            feature_set=FEATURE_SET,
            atr=1.0,
            horizon_bars=24,
            take_atr=2.0,
            stop_atr=2.0,
            probabilities={
                f"svm_rbf:{version}": (1 / 3 - more, 1 / 3, 1 / 3 + more)
                for version, more in zip(sides, (0.1 + bar % 3 / 100, -0.1), strict=True)
            },
            label=UP,
            pending=False,
        )
        assert save_score(floor.services.store, score)
    floor.clock.sleep(bars * 60 + 60)


def test_a_challenger_that_is_shown_to_be_better_is_promoted(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(), durable=False)
    models, desk, factor = floor.services.models, floor.desk, floor.services.second_factor
    said: Any = {"operator": "ada", "reason": "because of the test"}
    one, two, three = card(FLAT).version, *(register(floor.services, x) for x in (LONG, SHORT))
    models.change(desk, "svm_rbf", two, "challenger", **said)
    models.change(desk, "svm_rbf", three, "challenger", **said)
    evidence(floor, two, one, bars=479)

    def promote(version: str, **fields: Any) -> Any:
        return models.promote(desk, factor, "svm_rbf", version, **(said | fields))

    with pytest.raises(Conflict, match="not known: 479 bars of 480"):
        promote(two, code=floor.totp())
    evidence(floor, two, one, bars=1)
    with pytest.raises(CodeRefused):
        promote(two, code="000000")
    assert "code-refused" in floor.alerts()
    tenure = promote(two, code=floor.totp())
    assert tenure.override is False
    assert (tenure.evidence["verdict"], tenure.evidence["bars"]) == ("better", 480)
    (record,) = [r for r in floor.audit("model") if r["action"] == "promotion"]
    assert record["evidence"]["gain"] == tenure.evidence["gain"] > 0.3

    # The other one was never scored beside the new champion.
    floor.clock.sleep(31)
    with pytest.raises(Conflict, match="no bar with a label has both"):
        promote(three, code=floor.totp())
    # Nor is the one before better than it: the same bars, from the other side.
    models.change(desk, "svm_rbf", one, "challenger", **said)
    evidence(floor, two, one)
    with pytest.raises(Conflict, match="worse: more surprised"):
        promote(one, code=floor.totp())
    (found,) = [
        c
        for c in models.compare(floor.services.store, floor.clock.now_ms(), "svm_rbf")
        if c.challenger_version == one
    ]
    assert found.verdict == "worse"


def test_what_is_refused_changes_nothing_and_uses_no_code(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan(), durable=False)
    models, desk, factor = floor.services.models, floor.desk, floor.services.second_factor
    two = register(floor.services, LONG)
    hours = register(floor.services, SHORT, timeframe="1h")
    said: Any = {
        "operator": "ada", "reason": "because of the test", "code": floor.totp(), "override": True
    }  # fmt: skip
    for version, changed, error, told in (
        (two, {"operator": " "}, InvalidInput, "operator is empty"),
        (two, {"reason": "short"}, InvalidInput, "at least 10 characters"),
        ("f" * 12, {}, NotFound, "no version 'ffffffffffff'"),
        (hours, {}, Conflict, "votes on bars of 1h, the champion on those of 1m"),
    ):
        with pytest.raises(error, match=told):
            models.promote(desk, factor, "svm_rbf", version, **(said | changed))
    with pytest.raises(Conflict, match="no champion before"):
        models.roll_back(
            desk, factor, "svm_rbf", **{k: v for k, v in said.items() if k != "override"}
        )
    assert floor.services.registry.slot("svm_rbf").tenures == ()
    assert models.promote(desk, factor, "svm_rbf", two, **said).version == two

    off = Services(
        floor.settings | {"MODEL_REGISTRY": "off"}, clock=floor.clock, store=floor.store,
        exchange_session=floor.session,
    )  # fmt: skip
    with pytest.raises(Conflict, match="MODEL_REGISTRY is off"):
        off.models.promote(desk, factor, "svm_rbf", two, **said)
    assert off.champions is None
    assert off.engine._voting is None


# ------------------------------------------------------------------ the interface


def test_versions_are_challenged_withdrawn_and_rejected_over_http(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan())
    two = register(floor.services, LONG)
    why = {"version": two, "operator": "ada", "reason": "because of the test"}
    path = "models/svm_rbf"
    assert ask(floor, "POST", f"{path}/challenge", why)["state"] == "challenger"
    (found,) = ask(floor, "GET", f"{path}/comparison")["comparisons"]
    assert (found["challengerVersion"], found["verdict"]) == (two, "not known")
    assert ask(floor, "POST", f"{path}/withdraw", why)["state"] == "candidate"
    assert ask(floor, "GET", f"{path}/comparison")["comparisons"] == []
    assert len(ask(floor, "GET", f"{path}/comparison?version={two}")["comparisons"]) == 1
    assert ask(floor, "POST", f"{path}/reject", why)["state"] == "rejected"
    ask(floor, "POST", f"{path}/challenge", why, 409)
    ask(floor, "POST", f"{path}/challenge", why | {"version": "0" * 12}, 404)
    ask(floor, "POST", "models/moon/challenge", why, 400)
    ask(floor, "GET", "models/moon/comparison", status=400)
    ask(floor, "POST", f"{path}/rollback", body(floor), 409)
    ask(floor, "POST", f"{path}/promote", body(floor, version=two, override=True), 409)
    told = ask(floor, "GET", "models")
    assert (told["registry"], told["scoring"]) == ("on", "off")
    assert [r["action"] for r in floor.audit("model")] == [
        "registered", "challenger", "candidate", "rejected"
    ]  # fmt: skip


# ------------------------------------------------------------------ scores


def test_what_a_job_offers_is_taken_in_by_the_timer_and_audited(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan() | {"MODEL_SCORING": "on"})
    made = card(LONG, name="svm_rbf")
    floor.services.registry.offer(made, LONG, "a job", challenge=True)
    assert ask(floor, "GET", "models")["slots"] == []
    floor.timer("score_models")
    (slot,) = ask(floor, "GET", "models")["slots"]
    assert slot["versions"][made.version]["state"] == "challenger"
    (record,) = floor.audit("model")
    assert (record["action"], record["source"]) == ("registered", "a job")


def test_a_person_who_acts_on_an_offer_finds_it(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan())
    made = card(LONG, name="svm_rbf")
    floor.services.registry.offer(made, LONG, "a job")
    why = {"version": made.version, "operator": "ada", "reason": "because of the test"}
    assert ask(floor, "POST", "models/svm_rbf/challenge", why)["state"] == "challenger"


def test_nothing_is_scored_while_it_is_off(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan())
    floor.timer("score_models")
    assert list(read_scores(floor.services.store, MIDNIGHT, START + 10 * MINUTE)) == []


def test_champion_and_challenger_are_scored_at_every_bar_by_the_timer(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": PATH}, settings=plan() | {"MODEL_SCORING": "on"})
    moving = mlp()
    two = register(floor.services, moving)
    floor.minutes(2)
    why = {"version": two, "operator": "ada", "reason": "because of the test"}
    ask(floor, "POST", "models/svm_rbf/challenge", why)
    since = floor.clock.now_ms()
    floor.minutes(9)
    scores = list(read_scores(floor.services.store, MIDNIGHT, floor.clock.now_ms()))
    champion, challenger = f"svm_rbf:{card(FLAT).version}", f"svm_rbf:{two}"
    assert [s.closed_at for s in scores] == [
        scores[0].closed_at + MINUTE * n for n in range(len(scores))
    ]
    for score in scores:
        assert score.champions == (champion,)
        both = {champion, challenger} if score.closed_at >= since else {champion}
        assert set(score.probabilities) == both
    assert {len(s.probabilities) for s in scores} == {1, 2}
