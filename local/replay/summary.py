"""What a replay came to, from the exchange's own books."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from local.invariants import NAMES, Violation, Watch
from shared.clock import iso
from shared.execution.ids import leg_of
from shared.portfolio.trades import Trade
from shared.simulation.ledger import Ledger
from shared.simulation.venue import MAIN, Venue
from shared.storage.store import Where

if TYPE_CHECKING:
    from shared.bootstrap import Services


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """``summary.json``. Money in USDT as decimal strings, times in ISO 8601 UTC.

    Parameters
    ----------
    signals : int
        Signals computed (one per symbol, time frame and bar); ``actionable`` of them had a side.
    decisions : dict
        Decisions by outcome; ``declined_for`` counts the first reason of each declined one.
    orders : dict
        Orders at the exchange by kind: entry, stop, take_profit, close.
    gross_pnl, fees, funding, net_pnl : str
        Over the whole run, from the exchange's income ledger; fees positive when paid, funding
        positive when received. ``net_pnl`` is the change of equity, open positions at mark price.
    max_drawdown : str
        Largest fall of hourly equity from its peak, as a fraction.
    invariants : dict
        By number: what it says, how often it was checked, how often it was violated.
    audit_records, audit_verified, audit_head
        Length of the audit chain, whether it verifies, and its last hash.
    invocations, failed_invocations : dict, dict
        Functions that ran, by name, and those that raised.
    wall_seconds : float
        Real time the replay took; not part of what is deterministic.
    """

    seed: int
    symbols: list[str]
    timeframes: list[str]
    start: str
    end: str
    signals: int
    actionable: int
    decisions: dict[str, int]
    declined_for: dict[str, int]
    orders: dict[str, int]
    trades: int
    won: int
    open_positions: int
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    start_equity: Decimal
    end_equity: Decimal
    max_drawdown: float
    incidents: int
    dead_letters: int
    audit_records: int
    audit_verified: bool
    audit_head: str
    invariants: dict[str, dict[str, Any]]
    violations: list[Violation]
    invocations: dict[str, int]
    failed_invocations: dict[str, int]
    wall_seconds: float

    @property
    def good(self) -> bool:
        """Whether nothing was violated and the audit chain verifies."""
        return not self.violations and self.audit_verified


_LEGS = {"e": "entry", "s": "stop", "t": "take_profit", "x": "close"}


class Recorder:
    """Collects equity and invocations while the replay runs."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._account = venue.account(MAIN)
        self.equity: list[tuple[int, Decimal]] = [(venue.now, self._equity())]
        self.invocations: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.failures: list[str] = []
        self.trades: list[Trade] = []

    def _equity(self) -> Decimal:
        return self._venue.balances(self._account).margin_balance

    def on_invocation(self, invocation: Any) -> None:
        """Called by the host after every function."""
        self.invocations[invocation.function] += 1
        if invocation.error is not None:
            self.failed[invocation.function] += 1
            if len(self.failures) < 50:
                self.failures.append(f"{invocation.function}: {invocation.error!r}")

    def tick(self) -> None:
        """Note the equity now."""
        self.equity.append((self._venue.now, self._equity()))

    def line(self) -> str:
        """One line of state for a progress bar."""
        at, equity = self.equity[-1]
        return f"{iso(at)[:16]}Z  equity {equity:.2f}  fills {len(self._account.trades)}"

    def drawdown(self) -> float:
        """Largest fall from the peak, as a fraction."""
        peak, worst = Decimal(0), Decimal(0)
        for _, equity in self.equity:
            peak = max(peak, equity)
            worst = max(worst, (peak - equity) / peak if peak else Decimal(0))
        return float(worst)

    def summary(
        self,
        services: Services,
        watch: Watch,
        *,
        seed: int,
        symbols: tuple[str, ...],
        start_ms: int,
        end_ms: int,
        wall_seconds: float,
    ) -> Summary:
        """All figures; call when the application has stopped and before its store is closed."""
        from shared.audit.verify import verify
        from shared.portfolio.daily import trades_between

        desk = services.desk()
        self.trades = trades_between(desk, 0, end_ms + 10**12)
        self.tick()
        signals, actionable = _count_signals(services)
        outcomes, reasons = _count_decisions(services)
        ledger = self._venue.ledger(MAIN)
        orders = _count_orders(ledger)
        booked: defaultdict[str, Decimal] = defaultdict(Decimal)
        for entry in ledger.income:
            booked[entry.kind] += entry.amount
        report = verify(services.store, services.settings.account_id)
        head = services.audit.head()
        dead = services.store.query("deadletter", "market", limit=1000).documents
        return Summary(
            seed=seed,
            symbols=list(symbols),
            timeframes=list(services.settings.timeframes),
            start=iso(start_ms),
            end=iso(end_ms),
            signals=signals,
            actionable=actionable,
            decisions=dict(sorted(outcomes.items())),
            declined_for=dict(reasons.most_common()),
            orders=dict(sorted(orders.items())),
            trades=len(self.trades),
            won=sum(t.net_pnl > 0 for t in self.trades),
            open_positions=sum(bool(p.quantity) for p in ledger.positions),
            gross_pnl=booked["REALIZED_PNL"],
            fees=-booked["COMMISSION"],
            funding=booked["FUNDING_FEE"],
            net_pnl=self.equity[-1][1] - self.equity[0][1],
            start_equity=self.equity[0][1],
            end_equity=self.equity[-1][1],
            max_drawdown=self.drawdown(),
            incidents=sum(1 for _ in services.audit.records(kind="incident")),
            dead_letters=len(dead),
            audit_records=report.records,
            audit_verified=report.ok,
            audit_head=head.hash if head is not None else "",
            invariants={
                str(n): {
                    "says": NAMES[n],
                    "checked": watch.checked[n],
                    "violated": sum(v.invariant == n for v in watch.violations),
                }
                for n in sorted(watch.checked)
            },
            violations=watch.violations,
            invocations=dict(sorted(self.invocations.items())),
            failed_invocations=dict(sorted(self.failed.items())),
            wall_seconds=round(wall_seconds, 3),
        )


def _count_orders(ledger: Ledger) -> Counter[str]:
    """Orders sent, by kind; the plain orders that triggers produced are not sent by us."""
    sent = [o.client_order_id for o in ledger.orders if not o.algo_id]
    sent += [a.client_algo_id for a in ledger.algo_orders]
    return Counter(_LEGS.get(leg_of(id_) or "", "foreign") for id_ in sent)


def _count_signals(services: Services) -> tuple[int, int]:
    """Stored signals, and those with a side."""
    total = actionable = 0
    for body in _stored(services, "signal"):
        total += 1
        actionable += body["signal"]["side"] is not None
    return total, actionable


def _count_decisions(services: Services) -> tuple[Counter[str], Counter[str]]:
    """Decisions by outcome, and by the first reason of the declined ones.

    From the audit: the store keeps them for 90 days, a replay may be longer.
    """
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for record in services.audit.records(kind="decision"):
        decision = record.body["decision"]
        outcomes[decision["outcome"]] += 1
        if decision["outcome"] == "declined":
            reasons[decision["reasons"][0].split(":")[0]] += 1
    return outcomes, reasons


def _stored(services: Services, kind: str) -> Iterator[dict[str, Any]]:
    for symbol in services.settings.symbols:
        continuation: str | None = None
        while True:
            page = services.store.query(
                "signals",
                symbol,
                where=[Where("kind", "=", kind)],
                limit=1000,
                continuation=continuation,
            )
            for document in page.documents:
                yield document.body
            continuation = page.continuation
            if continuation is None:
                break
