"""Stages: what each allows, and what production needs first (invariant 11)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.compliance.stages import (
    STAGES,
    ChecklistItem,
    StageEvidence,
    production_problems,
    stage_rules,
)
from shared.errors import ConfigurationError
from shared.market.timeframe import DAY_MS
from shared.risk.limits import Limits
from tests.risk.scenario import NOW, D

TESTNET = StageEvidence(
    stage="testnet",
    environment="demo",
    trades=1000,
    started_at=NOW - 10 * DAY_MS,
    ended_at=NOW - 3 * DAY_MS,
    invariants_violated=0,
    emergency_stops_tested=1,
    audit_verified=True,
)
LIMITED = msgspec.structs.replace(TESTNET, stage="limited", environment="production", trades=20)
CHECKLIST = tuple(
    ChecklistItem(id=f"item-{n}", passed=True, evidence="log 4711", checked_at=NOW - DAY_MS)
    for n in range(12)
)


def changed(record: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(record, **changes)


def test_the_limited_stage_is_the_required_one() -> None:
    limited = STAGES["limited"]
    assert (limited.min_leverage, limited.max_leverage) == (2, 3)
    assert (limited.min_notional, limited.max_notional) == (50, 100)
    assert limited.symbols == ("BTCUSDT", "ETHUSDT")
    assert limited.max_trades_per_day == 5
    assert limited.needs_approval
    full = STAGES["full"]
    assert (full.min_leverage, full.max_leverage, full.needs_approval) == (5, 7, False)


@pytest.mark.parametrize(
    ("stage", "environment", "allowed"),
    [
        ("paper", "simulated", True),
        ("paper", "demo", True),
        ("paper", "production", False),
        ("testnet", "simulated", True),
        ("testnet", "demo", True),
        ("testnet", "production", False),
        ("limited", "simulated", True),
        ("limited", "demo", False),
        ("limited", "production", True),
        ("full", "simulated", True),
        ("full", "demo", False),
        ("full", "production", True),
        ("full", "mars", False),
        ("fuller", "production", False),
    ],
)
def test_where_a_stage_trades(stage: str, environment: str, allowed: bool) -> None:
    proofs = (TESTNET, LIMITED)
    assert (not production_problems(stage, environment, proofs, CHECKLIST, NOW)) is allowed
    if allowed:
        assert stage_rules(stage, environment, Limits()).name == stage
    else:
        with pytest.raises(ConfigurationError):
            stage_rules(stage, environment, Limits())


#: what is there | what is said about it (empty: production is open)
PROOFS: list[tuple[str, str, tuple[StageEvidence, ...], tuple[ChecklistItem, ...], str]] = [
    ("all of it", "limited", (TESTNET,), CHECKLIST, ""),
    ("all of it", "full", (TESTNET, LIMITED), CHECKLIST, ""),
    ("nothing", "limited", (), (), "no evidence of stage testnet on demo"),
    ("testnet on the simulator", "limited", (changed(TESTNET, environment="simulated"),),
     CHECKLIST, "no evidence of stage testnet on demo"),
    ("paper only", "limited", (changed(TESTNET, stage="paper"),), CHECKLIST, "no evidence"),
    ("999 trades", "limited", (changed(TESTNET, trades=999),), CHECKLIST, "999 trades"),
    ("six days", "limited", (changed(TESTNET, started_at=NOW - 9 * DAY_MS),), CHECKLIST,
     "6.0 days"),
    ("a violation", "limited", (changed(TESTNET, invariants_violated=1),), CHECKLIST,
     "1 invariants"),
    ("stop untested", "limited", (changed(TESTNET, emergency_stops_tested=0),), CHECKLIST,
     "never tested"),
    ("chain unverified", "limited", (changed(TESTNET, audit_verified=False),), CHECKLIST,
     "not verified"),
    ("a month ago", "limited",
     (changed(TESTNET, started_at=NOW - 60 * DAY_MS, ended_at=NOW - 31 * DAY_MS),), CHECKLIST,
     "older than 30 days"),
    ("tomorrow", "limited", (changed(TESTNET, ended_at=NOW + DAY_MS),), CHECKLIST, "older"),
    ("a bad run and a good one", "limited", (changed(TESTNET, trades=1), TESTNET), CHECKLIST, ""),
    ("eleven items", "limited", (TESTNET,), CHECKLIST[:11], "11 items"),
    ("one item twice", "limited", (TESTNET,), (*CHECKLIST[:11], CHECKLIST[0]), "11 items"),
    ("an item failed", "limited", (TESTNET,), (changed(CHECKLIST[0], passed=False),
     *CHECKLIST[1:]), "item-0 did not pass"),
    ("an item without evidence", "limited", (TESTNET,), (changed(CHECKLIST[0], evidence=" "),
     *CHECKLIST[1:]), "item-0 has no evidence"),
    ("an old item", "limited", (TESTNET,), (changed(CHECKLIST[0], checked_at=NOW - 31 * DAY_MS),
     *CHECKLIST[1:]), "item-0 was checked"),
    ("full without limited", "full", (TESTNET,), CHECKLIST, "no evidence of stage limited"),
    ("full after 19 trades", "full", (TESTNET, changed(LIMITED, trades=19)), CHECKLIST,
     "19 trades"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "evidence", "checklist", "said"),
    [p[1:] for p in PROOFS],
    ids=[f"{p[1]}-{p[0]}" for p in PROOFS],
)
def test_invariant_11_production_needs_proof(
    stage: str,
    evidence: tuple[StageEvidence, ...],
    checklist: tuple[ChecklistItem, ...],
    said: str,
) -> None:
    problems = production_problems(stage, "production", evidence, checklist, NOW)
    assert (not problems) == (not said)
    assert said in "; ".join(problems)


def test_limits_too_strict_for_a_stage_are_named_at_the_start() -> None:
    strict = Limits(max_leverage=1, max_position_notional=D(20))
    with pytest.raises(ConfigurationError) as caught:
        stage_rules("limited", "demo", strict)
    assert len(caught.value.problems) == 3
