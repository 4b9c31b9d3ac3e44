"""Up by a person with evidence and a second factor, down by itself (invariant 11).

A promotion is stored with the evidence it was judged on, and judged again whenever it is read:
what is not there, or does not prove itself, opens nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.clock import iso
from shared.compliance import evidence, progress
from shared.compliance.evidence import Deployment
from shared.compliance.operator import refusals_told
from shared.compliance.progress import Grant, Progress, Run, Withdrawal
from shared.compliance.stages import StageEvidence, production_problems
from shared.errors import Conflict, InvalidInput
from shared.execution.desk import Desk
from shared.market.timeframe import DAY_MS
from shared.risk.kill_switch import MIN_REASON
from shared.security.totp import SecondFactor

#: Stage -> the one it is reached from, and the venue on which that one runs.
FROM = {"limited": ("testnet", "demo"), "full": ("limited", "production")}


def problems(known: Progress, stage: str, environment: str) -> tuple[str, ...]:
    """What forbids a stage to open anything on its venue; empty when nothing does."""
    if environment != "production":
        return ()
    missing: list[str] = []
    for needed in ("limited", "full")[: 1 if stage == "limited" else 2]:
        grant = known.grants.get(needed)
        if grant is None:
            missing.append(_never(known, needed))
        else:
            missing += _judged(known, needed, grant)
    return tuple(missing)


def promote(
    desk: Desk,
    second_factor: SecondFactor,
    deployment: Deployment,
    *,
    stage: str,
    code: str,
    reason: str,
    operator: str,
) -> Grant:
    """Allow a stage to trade on production, on the evidence of the one that runs now.

    Raises
    ------
    InvalidInput
        No such promotion, no reason, no operator, or a code that is not accepted.
    Conflict
        Evidence is missing; names all of it. No code is used up.
    """
    if stage not in FROM:
        raise InvalidInput(f"stage is {stage!r}; use {' or '.join(FROM)}")
    if len(reason.strip()) < MIN_REASON:
        raise InvalidInput(f"give a reason of at least {MIN_REASON} characters")
    if not operator.strip():
        raise InvalidInput("name the operator who promotes")
    running = (desk.stage.name, desk.environment)
    if running != FROM[stage]:
        raise Conflict(
            f"{stage} is reached from {' on '.join(FROM[stage])}, this is {' on '.join(running)}: "
            "no stage is skipped"
        )
    known = progress.read(desk)
    below = known.grants.get("limited")
    if stage == "full" and below is None:
        raise Conflict(_never(known, "limited"))
    gathered = evidence.gather(desk, deployment, whole_audit=True)
    shown: tuple[StageEvidence, ...] = (gathered.evidence,)
    if stage == "full" and below is not None:
        shown = (*below.evidence, *shown)
    grant = Grant(
        stage=stage,
        at=desk.clock.now_ms(),
        operator=operator.strip()[:100],
        reason=reason.strip()[:500],
        evidence=shown,
        checklist=gathered.items,
    )
    missing = _judged(known, stage, grant)
    if missing:
        raise Conflict("; ".join(missing))
    switch = desk.kill_switch.ensure()
    if switch.state != "armed":
        raise Conflict(f"the kill switch is {switch.state}; clear it first")
    with refusals_told(desk, f"promote to {stage}", operator):
        second_factor.verify(code)
    desk.note("stage", {"promoted": msgspec.to_builtins(grant)}, correlation=f"stage-{grant.at}")
    # Before it counts: no stage is allowed of which nobody hears.
    desk.alert(
        "critical",
        "stage-promoted",
        f"Stage {stage} was allowed on production by {grant.operator}",
        f"Reason: {grant.reason}. Set TRADING_STAGE and BINANCE_ENVIRONMENT to use it.",
        correlation=f"stage-{grant.at}",
    )

    def change(known: Progress) -> Progress:
        if stage == "full" and known.grants.get("limited") != below:
            # Taken back meanwhile: once given anew, it would find this one standing.
            raise Conflict("limited is not what this was judged by any more; look again")
        # What the stage showed under an earlier promotion is not evidence of this one.
        runs = {k: r for k, r in known.runs.items() if k != progress.run_key(stage, "production")}
        return msgspec.structs.replace(known, runs=runs, grants={**known.grants, stage: grant})

    progress.change(desk, change)
    return grant


def watch(desk: Desk) -> str:
    """Note that this stage ran today; withdraw its promotion after a breach.

    Returns
    -------
    str
        The stage that was withdrawn just now, or empty.
    """
    if desk.settings_wrong:
        return ""  # which stage runs is not known: one that is not meant would end the run of ours
    known = progress.note_day(desk)
    if known.withdrawn and desk.clock.now_ms() - known.withdrawn[-1].at < DAY_MS:
        # Once more, in case that it could not be told then: the same alert is stored once.
        _tell_withdrawn(desk, known.withdrawn[-1])
    stage = desk.stage.name
    grant = known.grants.get(stage)
    if desk.environment != "production" or grant is None:
        return ""
    # A breach that has cost a stage already does not cost the one below as well.
    since = max(grant.at, *(w.at for w in known.withdrawn), 0)
    found = evidence.breaches_since(desk, since)
    return _withdraw(desk, stage, "; ".join(found[:3])) if found else ""


def _withdraw(desk: Desk, stage: str, reason: str) -> str:
    """Back to the stage below, which has to show everything anew; so has the stage itself."""
    now = desk.clock.now_ms()
    withdrawal = Withdrawal(stage=stage, at=now, reason=reason[:500])
    below = progress.run_key(*FROM[stage])

    def change(known: Progress) -> Progress:
        if stage not in known.grants:
            return known
        # Whoever falls from limited has no leave for full either.
        lost = {stage, "full"} if stage == "limited" else {stage}
        over = {progress.run_key(s, "production") for s in lost}
        return msgspec.structs.replace(
            known,
            grants={k: g for k, g in known.grants.items() if k not in lost},
            runs={k: r for k, r in known.runs.items() if k not in over} | {below: Run(since=now)},
            withdrawn=(*known.withdrawn, withdrawal)[-progress.WITHDRAWN :],
        )

    desk.note("stage", {"withdrawn": msgspec.to_builtins(withdrawal)}, correlation=f"stage-{now}")
    progress.change(desk, change)
    _tell_withdrawn(desk, withdrawal)
    return stage


def _tell_withdrawn(desk: Desk, withdrawal: Withdrawal) -> None:
    below, _ = FROM.get(withdrawal.stage, ("below", ""))
    desk.alert(
        "critical",
        "stage-demoted",
        f"Stage {withdrawal.stage} may not open anything any more",
        f"{withdrawal.reason}. Positions are looked after and closed as ever. Stage {below} has to "
        "show its evidence anew.",
        correlation=f"stage-{withdrawal.at}",
    )


def overview(desk: Desk, deployment: Deployment) -> dict[str, Any]:
    """The checklist as the API tells it."""
    gathered = evidence.gather(desk, deployment)
    known = progress.read(desk)
    here = (desk.stage.name, desk.environment)
    reached = next((s for s, below in FROM.items() if below == here), None)
    return {
        "stage": desk.stage.name,
        "environment": desk.environment,
        "next": reached,
        "counts": _counts(here, reached),
        "passed": gathered.passed,
        "items": gathered.items,
        "evidence": gathered.evidence,
        "promotions": {
            s: {"at": iso(g.at), "operator": g.operator} for s, g in known.grants.items()
        },
        "withdrawn": known.withdrawn,
        "problems": problems(known, desk.stage.name, desk.environment),
    }


def _counts(here: tuple[str, str], reached: str | None) -> str:
    """What this stage on this venue is good for, on the way to production."""
    if reached is not None:
        return f"what is shown here counts towards stage {reached}"
    if here == ("full", "production"):
        return "no stage follows"
    steps = "; ".join(
        f"stage {below} on {venue} counts towards stage {stage}"
        for stage, (below, venue) in FROM.items()
    )
    return f"nothing that stage {here[0]} on {here[1]} shows counts towards a promotion: {steps}"


def _judged(known: Progress, stage: str, grant: Grant) -> list[str]:
    """What the evidence of a promotion does not prove, judged at the moment it was given."""
    below = known.grants.get("limited")
    tested_at = below.at if stage == "full" and below is not None else None
    return list(
        production_problems(
            stage, "production", grant.evidence, grant.checklist, grant.at, tested_at=tested_at
        )
    )


def _never(known: Progress, stage: str) -> str:
    """Why there is no promotion to a stage."""
    last = next((w for w in reversed(known.withdrawn) if w.stage == stage), None)
    if last is None:
        return f"nobody has promoted to stage {stage}"
    return f"stage {stage} was withdrawn at {iso(last.at)}: {last.reason}"
