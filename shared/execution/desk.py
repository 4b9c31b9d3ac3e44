"""The desk: everything a use case needs, handed in by the composition root."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import msgspec

from shared.alerts import alert as alerts
from shared.audit.log import AuditLog
from shared.clock import Clock
from shared.compliance.stages import StageRules
from shared.execution.exchange import Exchange
from shared.execution.histories import Histories
from shared.risk.kill_switch import KillSwitch
from shared.risk.ledger import RiskLedger
from shared.risk.limits import Limits
from shared.risk.sizing import SizingConfig
from shared.risk.stops import StopRules
from shared.risk.triggers import ALWAYS_CLOSING, Thresholds
from shared.storage.store import Store
from shared.telemetry import record


@dataclass
class Outbox:
    """Events of one invocation; the trigger hands them to its output bindings."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    risk: list[dict[str, Any]] = field(default_factory=list)
    compliance: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Desk:
    """Ports and rules of one account, for one invocation.

    ``symbols`` are those traded now. ``recv_window_ms`` is how long a signed request stays
    executable; with it "not found" becomes conclusive. ``histories`` are the daily returns that the
    risk of the whole portfolio is measured by. ``stage_problems`` say why the stage may not
    open anything on its venue; closing is never refused. With ``settings_wrong`` defaults stand in
    for some settings, the stage perhaps among them. ``stops`` are the layers that new
    positions get; ``entry_style`` and ``chase_ms`` say how they are entered and for how long an
    entry may rest. ``stop_watch`` is the share of the stop distance within which a position is
    watched every few seconds; with ``watch_always`` every position is, and that is 0.
    ``closing_triggers`` are those of the kill switch that also close every position.
    ``violations_block`` says where a critical violation that is not closed declines entries,
    ``message_limit`` from how many order messages of ours within ten seconds on they are declined.
    ``environment`` is the venue's. ``deciding`` is the exchange as decisions about entries read it,
    after whatever protects and closes.
    """

    account: str
    symbols: tuple[str, ...]
    clock: Clock
    store: Store
    exchange: Exchange
    audit: AuditLog
    ledger: RiskLedger
    kill_switch: KillSwitch
    limits: Limits
    sizing: SizingConfig
    stage: StageRules
    recv_window_ms: int
    histories: Histories
    deciding: Exchange
    stage_problems: tuple[str, ...] = ()
    settings_wrong: bool = False
    environment: str = "simulated"
    stops: StopRules = field(default_factory=StopRules)
    stop_watch: Decimal = Decimal(0)
    watch_always: bool = False
    entry_style: Literal["ioc", "post_only"] = "ioc"
    chase_ms: int = 8_000
    thresholds: Thresholds = field(default_factory=Thresholds)
    closing_triggers: frozenset[str] = ALWAYS_CLOSING
    violations_block: Literal["symbol", "account", "off"] = "symbol"
    message_limit: int = 150
    outbox: Outbox = field(default_factory=Outbox)

    def note(self, kind: str, body: dict[str, Any], *, correlation: str) -> None:
        """Append to the audit chain, once per content however often the caller is repeated.

        Callers note what they observed *before* they change a record, so that a crash between
        the two repeats the note (same content, no second record) instead of losing it.
        """
        digest = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()[:32]
        self.audit.append(kind, body, correlation=correlation, key=f"{kind}:{correlation}:{digest}")

    def alert(
        self,
        severity: alerts.Severity,
        kind: str,
        title: str,
        text: str,
        *,
        correlation: str,
        once: str = "",
    ) -> str:
        """Raise an alert once: stored first, then sent as a risk event; returns its id."""
        alert = alerts.make(
            self.account,
            severity=severity,
            kind=kind,
            title=title,
            text=text,
            now_ms=self.clock.now_ms(),
            correlation=correlation,
            once=once,
        )
        if alerts.save(self.store, alert):
            record("borsa.alerts", kind=kind, severity=severity)
            self.outbox.risk.append(msgspec.to_builtins(alert))
        return alert.id
