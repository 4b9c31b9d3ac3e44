"""The pre-live checklist: twelve items, each answered by what the system itself has recorded.

Nobody ticks anything. What has no record has not passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shared.alerts.destinations import LOGIC_APP, Reach
from shared.audit.progress import verify_on
from shared.audit.verify import verify
from shared.clock import iso
from shared.compliance import progress, violations
from shared.compliance.progress import Run
from shared.compliance.stages import (
    LIMITED_DAYS,
    LIMITED_TRADES,
    TESTNET_DAYS,
    TESTNET_TRADES,
    ChecklistItem,
    StageEvidence,
)
from shared.errors import BorsaError
from shared.execution import drill, orders, protection, watch
from shared.execution.desk import Desk
from shared.execution.ids import leg_of
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.portfolio import positions, trades
from shared.storage.store import Where, every

#: Alerts that say that an invariant could not be kept without a last resort.
BREACHES = ("protection-failed", "close-failed")
#: Longest from a latch to a verified flat account (invariant 5), milliseconds.
STOP_MS = 30_000
#: A drill older than this proves nothing about what is deployed now.
DRILL_MS = 7 * DAY_MS
_NEEDED_DRILL = f"one that passed, at most {DRILL_MS // DAY_MS} days ago"
#: Days without a difference between our book and the exchange's.
CLEAN_DAYS = 7
#: How far our clock may be from the exchange's, milliseconds.
CLOCK_MS = 1_000
#: Part of entries and closes that may be refused or stay unknown.
ERROR_RATE = 0.02
#: An alert that is not delivered after this long is lost, milliseconds.
DELIVERED_MS = 10 * MINUTE_MS


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What only the composition root knows: where secrets and alerts go.

    ``secrets_missing`` names secrets that cannot be read; ``key_stated`` says whether the stored
    key names its own environment; ``alerts`` who is told.
    """

    vault: bool
    secrets_missing: tuple[str, ...]
    key_stated: bool
    alerts: Reach


class Gathered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The evidence of the running stage, with the checklist it answers."""

    evidence: StageEvidence
    items: tuple[ChecklistItem, ...]

    @property
    def passed(self) -> bool:
        """Whether every item passed."""
        return all(i.passed for i in self.items)


def gather(desk: Desk, deployment: Deployment, *, whole_audit: bool = False) -> Gathered:
    """Look at everything now; changes nothing but the mark of how far the audit was verified.

    Parameters
    ----------
    whole_audit : bool
        Verify the audit chain from its beginning, not from that mark.
    """
    now = desk.clock.now_ms()
    known = progress.read(desk)
    run = known.run(desk.stage.name, desk.environment) or Run(since=now)
    closed = _closed(desk, run.since)
    stops = _stops(desk, run.since)
    audit = (verify if whole_audit else verify_on)(desk.store, desk.account)
    breaches = [a for a in _alerts(desk, run.since) if a["kind"] in BREACHES]
    evidence = StageEvidence(
        stage=desk.stage.name,
        environment=desk.environment,
        trades=closed,
        started_at=run.since,
        ended_at=now,
        invariants_violated=len(breaches),
        emergency_stops_tested=len(stops),
        audit_verified=audit.ok,
    )
    limited = desk.stage.name == "limited"
    least, days = (LIMITED_TRADES, LIMITED_DAYS) if limited else (TESTNET_TRADES, TESTNET_DAYS)

    def item(id_: str, look: Callable[[], tuple[bool, str]]) -> ChecklistItem:
        try:
            passed, text = look()
        except BorsaError as error:
            passed, text = False, f"{type(error).__name__}: {error}"
        return ChecklistItem(id=id_, passed=passed, evidence=text, checked_at=now)

    items = (
        item("trades", lambda: _trades(closed, least, run)),
        item("days", lambda: _days(run, days, now)),
        item("invariants", lambda: _invariants(desk, breaches, run.since, now)),
        item("drill", lambda: _drill(desk, now)),
        item("emergency-stop", lambda: _stopped(stops)),
        item("stop-latency", lambda: _latency(stops)),
        item("reconciliation", lambda: _reconciliation(desk, run, now)),
        item("alerts", lambda: _delivered(desk, deployment, now)),
        item("audit", lambda: (audit.ok, f"{audit.records} records, {audit.found} problems")),
        item("secrets", lambda: _secrets(deployment)),
        item("clock", lambda: _clock(desk)),
        item("errors", lambda: _errors(desk, run)),
    )
    return Gathered(evidence=evidence, items=items)


def breaches_since(desk: Desk, at: int) -> list[str]:
    """Why a stage may not go on: what happened after ``at`` that must not happen in production."""
    found = [f"{a['kind']}: {a['title']}" for a in _alerts(desk, at) if a["kind"] in BREACHES]
    switch = desk.kill_switch.ensure()
    fired = [(switch.trigger, switch.latched_at or 0), *_repeated(switch.repeat_evidence)]
    for episode in switch.history:
        fired.append((episode["trigger"], episode["latched_at"]))
        fired += _repeated(episode.get("repeat_evidence", {}))
    found += [
        f"kill switch: {trigger}"
        for trigger, fired_at in fired
        if trigger in ("max_drawdown", "suspicious_activity") and fired_at >= at
    ]
    return found


def _repeated(evidence: Mapping[str, dict[str, Any]]) -> list[tuple[str, int]]:
    """What has fired while the switch was latched by something else, and when it did last."""
    return [(trigger, proof.get("observed_at", 0)) for trigger, proof in evidence.items()]


def _days(run: Run, least: int, now: int) -> tuple[bool, str]:
    lasted = (now - run.since) / DAY_MS
    passed = len(run.days) >= least and lasted >= least
    text = f"the guardian ran on {len(run.days)} days; {lasted:.1f} days have passed"
    return passed, f"{text}; needed: {least} of both"


def _trades(closed: int, least: int, run: Run) -> tuple[bool, str]:
    return closed >= least, f"{closed} closed since {iso(run.since)}; needed: {least}"


def _stopped(stops: Sequence[dict[str, Any]]) -> tuple[bool, str]:
    return bool(stops), f"{len(stops)} stops by hand verified flat and cleared; needed: 1"


def _invariants(
    desk: Desk, breaches: Sequence[dict[str, Any]], since: int, now: int
) -> tuple[bool, str]:
    """What was recorded in the stage, and what the exchange shows at this moment."""
    held, algos = desk.exchange.positions(), desk.exchange.open_algo_orders()
    records = positions.open_records(desk.store, desk.account)
    wrong = [f"{a['kind']} at {a['time']}" for a in breaches]
    wrong += [f"{p.symbol} without a full stop" for p in held if protection.uncovered(p, algos) > 0]
    wrong += [f"{p.symbol} is not ours" for p in held if p.symbol not in records]
    wrong += [
        f"permit {key} was never resolved"
        for key, at in desk.kill_switch.outstanding_permits().items()
        if now - at > drill.STALE_PERMIT_MS
    ]
    page = desk.store.query(
        violations.CONTAINER,
        desk.account,
        where=[Where("state", "!=", "closed"), Where("time", ">=", since)],
        limit=10,
    )
    wrong += [f"open violation {d.body['id']}" for d in page.documents]
    return not wrong, "; ".join(wrong[:5]) or f"{len(held)} positions, each with its full stop"


def _drill(desk: Desk, now: int) -> tuple[bool, str]:
    last = drill.last(desk)
    if last is None:
        return False, f"never drilled; needed: {_NEEDED_DRILL}"
    age = now - last.at
    text = f"{'passed' if last.passed else 'FAILED'} {age / DAY_MS:.1f} days ago"
    return last.passed and 0 <= age <= DRILL_MS, f"{text}; needed: {_NEEDED_DRILL}"


def _stops(desk: Desk, since: int) -> list[dict[str, Any]]:
    """Emergency stops by hand that were verified flat, oldest first."""
    return [
        e
        for e in desk.kill_switch.ensure().history
        if e["trigger"] == "manual" and e["latched_at"] >= since and e.get("flat_at")
    ]


def _latency(stops: Sequence[dict[str, Any]]) -> tuple[bool, str]:
    if not stops:
        return False, f"no stop by hand to measure; needed: one of at most {STOP_MS} ms"
    took = stops[-1]["flat_at"] - stops[-1]["latched_at"]
    return 0 <= took <= STOP_MS, (
        f"{took} ms from the latch to a verified flat account; needed: at most {STOP_MS} ms"
    )


def _reconciliation(desk: Desk, run: Run, now: int) -> tuple[bool, str]:
    since = now - CLEAN_DAYS * DAY_MS
    differences = [a for a in _alerts(desk, since) if a["kind"] == "reconciliation"]
    passed = not differences and run.since <= since
    text = f"{len(differences)} differences in the last {CLEAN_DAYS} days"
    age = (now - run.since) / DAY_MS
    return (
        passed,
        f"{text}, the stage has run for {age:.1f}; needed: none in {CLEAN_DAYS} days of it",
    )


def _delivered(desk: Desk, deployment: Deployment, now: int) -> tuple[bool, str]:
    """The drill's own alert has arrived with somebody, and none is stuck."""
    reach = deployment.alerts
    besides = "".join(f"; {note}" for note in reach.notes)
    if not reach.at_once:
        neither = "neither ALERT_LOGIC_APP_URL nor ALERT_CHANNELS leads to anybody"
        return False, f"{neither}: nobody is told at once{besides}"
    page = desk.store.query(
        "alerts",
        desk.account,
        where=[Where("state", "=", "raised"), Where("time", "<", iso(now - DELIVERED_MS))],
        order_by="time",
        limit=100,
    )
    last = drill.last(desk)
    found = desk.store.get("alerts", desk.account, last.alert_id) if last else None
    told: list[str] = []
    if found is not None and found.body["state"] == "delivered":
        # Of those that were there when it was sent: the settings may be others now.
        took = found.body.get("sent", [LOGIC_APP])
        told = [channel for channel in reach.at_once if channel in took]
    stuck = len(page.documents)
    text = f"goes to {_named(reach.at_once)}; {stuck} not delivered; the last drill's "
    text += f"was delivered to {_named(told)}" if told else "was not"
    return bool(told) and not stuck, text + besides


def _named(channels: Sequence[str]) -> str:
    """Channels for people."""
    said = ("the Logic App (mail, Telegram)" if c == LOGIC_APP else c for c in channels)
    return ", ".join(said)


def _secrets(deployment: Deployment) -> tuple[bool, str]:
    if not deployment.vault:
        return False, "KEY_VAULT_URI is empty: secrets come from the environment"
    if deployment.secrets_missing:
        return False, f"cannot be read: {', '.join(deployment.secrets_missing)}"
    if not deployment.key_stated:
        return False, "binance-api-key does not name its environment; store it as demo:KEY"
    return True, "all in Key Vault; the exchange key names its environment"


def _clock(desk: Desk) -> tuple[bool, str]:
    offset = desk.exchange.server_time() - desk.clock.now_ms()
    return abs(offset) <= CLOCK_MS, (
        f"the exchange's clock is {offset:+d} ms from ours; needed: at most {CLOCK_MS} ms"
    )


def _errors(desk: Desk, run: Run) -> tuple[bool, str]:
    total = wrong = 0
    for body in _all(desk, orders.CONTAINER, [Where("createdAt", ">=", run.since)], "createdAt"):
        if leg_of(body["id"]) not in ("s", "t"):
            total += 1
            state = body.get("state", "unknown")
            wrong += watch.failed(state, body.get("reason", "")) or state == "unknown"
    text = f"{wrong} of {total} entries and closes refused or unknown"
    text += f"; needed: at most {ERROR_RATE:.0%} of at least one"
    return total > 0 and wrong <= ERROR_RATE * total, text


def _alerts(desk: Desk, since: int) -> list[dict[str, Any]]:
    return list(_all(desk, "alerts", [Where("time", ">=", iso(since))], "time"))


def _closed(desk: Desk, since: int) -> int:
    """Trades of the running stage on its venue that ended since.

    Those of before trades said so count by their time: a run begins anew after another.
    """
    return sum(
        body.get("venue", "") in ("", desk.environment)
        and body.get("stage", "") in ("", desk.stage.name)
        for body in _all(desk, trades.CONTAINER, [Where("closedAt", ">=", since)], "closedAt")
    )


def _all(
    desk: Desk, container: str, where: Sequence[Where], order_by: str
) -> Iterator[dict[str, Any]]:
    found = every(desk.store, container, desk.account, where=where, order_by=order_by)
    yield from (d.body for d in found)
