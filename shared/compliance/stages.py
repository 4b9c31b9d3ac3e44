"""The stages of trading, and what must be proved before real money moves.

paper -> testnet -> limited -> full. A stage adds rules to the limits, never loosens them. The
venue of a stage is fixed here too, so that keys, stage and host cannot be combined by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.errors import ConfigurationError
from shared.market.timeframe import DAY_MS
from shared.risk.limits import MAX_LEVERAGE, MAX_POSITION_NOTIONAL, Limits
from shared.risk.plan import StageRules as StageRules

STAGES: dict[str, StageRules] = {
    stage.name: stage
    for stage in (
        StageRules(
            name="paper",
            environments=("simulated", "demo"),
            min_leverage=1,
            max_leverage=MAX_LEVERAGE,
            min_notional=Decimal(0),
            max_notional=MAX_POSITION_NOTIONAL,
            symbols=None,
            max_trades_per_day=1000,
            needs_approval=False,
        ),
        StageRules(
            name="testnet",
            environments=("simulated", "demo"),
            min_leverage=1,
            max_leverage=MAX_LEVERAGE,
            min_notional=Decimal(0),
            max_notional=MAX_POSITION_NOTIONAL,
            symbols=None,
            max_trades_per_day=1000,
            needs_approval=False,
        ),
        StageRules(
            name="limited",
            environments=("simulated", "production"),
            min_leverage=2,
            max_leverage=3,
            min_notional=Decimal(50),
            max_notional=Decimal(100),
            symbols=("BTCUSDT", "ETHUSDT"),
            max_trades_per_day=5,
            needs_approval=True,
        ),
        StageRules(
            name="full",
            environments=("simulated", "production"),
            min_leverage=5,
            max_leverage=7,
            min_notional=Decimal(0),
            max_notional=MAX_POSITION_NOTIONAL,
            symbols=None,
            max_trades_per_day=200,
            needs_approval=False,
        ),
    )
}

#: What the testnet must have shown before production: trades, days, and how fresh it is.
TESTNET_TRADES = 1000
TESTNET_DAYS = 7
#: What limited production must have shown before full production.
LIMITED_TRADES = 20
LIMITED_DAYS = 7
#: Evidence and checklist answers older than this prove nothing about the present system.
MAX_EVIDENCE_DAYS = 30
CHECKLIST_ITEMS = 12


class StageEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage has shown on its venue, gathered by the system. Times in UTC milliseconds."""

    stage: str
    environment: str
    trades: int
    started_at: int
    ended_at: int
    invariants_violated: int
    emergency_stops_tested: int
    audit_verified: bool


class ChecklistItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the pre-live checklist with the evidence that answered it."""

    id: str
    passed: bool
    evidence: str
    checked_at: int


def stage_rules(name: str, environment: str, limits: Limits) -> StageRules:
    """The rules of a stage on a venue, checked against the limits in force.

    Raises
    ------
    ConfigurationError
        Naming everything that does not fit together.
    """
    rules = STAGES.get(name)
    if rules is None:
        raise ConfigurationError([f"TRADING_STAGE is {name!r}; use {', '.join(STAGES)}"])
    problems = []
    if environment not in rules.environments:
        problems.append(
            f"stage {name} does not trade on {environment}; use {' or '.join(rules.environments)}"
        )
    if limits.max_leverage < rules.min_leverage:
        problems.append(
            f"MAX_LEVERAGE is {limits.max_leverage}, below the {rules.min_leverage}x that stage "
            f"{name} starts at; set {rules.min_leverage} or more"
        )
    if limits.max_position_notional < rules.min_notional:
        problems.append(
            f"MAX_POSITION_NOTIONAL is {limits.max_position_notional}, below the "
            f"{rules.min_notional} USDT that stage {name} starts at; set that or more"
        )
    if problems:
        raise ConfigurationError(problems)
    return rules


def production_problems(
    stage: str,
    environment: str,
    evidence: Sequence[StageEvidence],
    checklist: Sequence[ChecklistItem],
    now_ms: int,
    *,
    tested_at: int | None = None,
) -> tuple[str, ...]:
    """What still stands between a stage and its venue; empty when it may trade there.

    Production needs testnet evidence and the passed checklist, full production evidence of
    limited production as well: no stage is skipped. Other venues hold no real money and need
    nothing but a stage that is meant for them. ``tested_at`` is when the testnet evidence was
    judged fresh, where that was before: on the promotion to ``limited``.
    """
    rules = STAGES.get(stage)
    if rules is None:
        return (f"there is no stage {stage!r}",)
    if environment not in rules.environments:
        return (f"stage {stage} does not trade on {environment}",)
    if environment != "production":
        return ()
    fresh_at = now_ms if tested_at is None else tested_at
    problems = _evidence_problems(
        "testnet", "demo", TESTNET_TRADES, TESTNET_DAYS, evidence, fresh_at
    )
    if stage == "full":
        problems += _evidence_problems(
            "limited", "production", LIMITED_TRADES, LIMITED_DAYS, evidence, now_ms
        )
    return tuple(problems + _checklist_problems(checklist, now_ms))


def _evidence_problems(
    stage: str,
    environment: str,
    trades: int,
    days: int,
    evidence: Sequence[StageEvidence],
    now_ms: int,
) -> list[str]:
    """Complaints about the best evidence of a stage there is; none when one fulfils all."""
    mine = [e for e in evidence if e.stage == stage and e.environment == environment]
    if not mine:
        return [f"no evidence of stage {stage} on {environment} is stored"]
    fewest: list[str] | None = None
    for e in mine:
        problems = []
        if e.trades < trades:
            problems.append(f"{stage}: {e.trades} trades, {trades} needed")
        if e.ended_at - e.started_at < days * DAY_MS:
            lasted = (e.ended_at - e.started_at) / DAY_MS
            problems.append(f"{stage}: ran {lasted:.1f} days, {days} needed")
        if e.invariants_violated:
            problems.append(f"{stage}: {e.invariants_violated} invariants were violated")
        if e.emergency_stops_tested < 1:
            problems.append(f"{stage}: the emergency stop was never tested")
        if not e.audit_verified:
            problems.append(f"{stage}: its audit chain was not verified")
        if not 0 <= now_ms - e.ended_at <= MAX_EVIDENCE_DAYS * DAY_MS:
            problems.append(f"{stage}: its evidence is older than {MAX_EVIDENCE_DAYS} days")
        if fewest is None or len(problems) < len(fewest):
            fewest = problems
    return fewest or []


def _checklist_problems(checklist: Sequence[ChecklistItem], now_ms: int) -> list[str]:
    problems = []
    ids = {item.id for item in checklist}
    if len(ids) < CHECKLIST_ITEMS or len(checklist) != len(ids):
        problems.append(f"checklist: {len(ids)} items answered, {CHECKLIST_ITEMS} needed")
    for item in checklist:
        if not item.passed:
            problems.append(f"checklist: {item.id} did not pass")
        elif not item.evidence.strip():
            problems.append(f"checklist: {item.id} has no evidence")
        elif not 0 <= now_ms - item.checked_at <= MAX_EVIDENCE_DAYS * DAY_MS:
            problems.append(
                f"checklist: {item.id} was checked more than {MAX_EVIDENCE_DAYS} days ago"
            )
    return problems
