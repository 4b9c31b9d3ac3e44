"""The invariants of the architecture, checked against the exchange's own books while it runs.

Nothing here trusts the application: positions, orders and fills come from the venue; what the
application says about itself is only compared with that.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from shared.clock import Clock, iso
from shared.risk.limits import MAX_LEVERAGE, MAX_POSITION_NOTIONAL, Limits
from shared.simulation.core import VenueEvent
from shared.simulation.orders import AlgoOrder, Order, Position
from shared.simulation.venue import MAIN, Venue

if TYPE_CHECKING:
    from shared.bootstrap import Services

#: Exchange time a position may be without a full stop (invariant 4).
UNPROTECTED_MS = 5_000

#: Orders that the venue itself sends.
VENUE_ORDERS = ("autoclose", "adl", "settlement")

NAMES = {
    1: "no exposure without a permit, none while latched",
    2: "one decision executes at most once",
    3: "limits hold at every instant",
    4: "no position without a live stop for longer than 5 s",
    5: "flat within 30 s of an emergency stop",
    6: "the kill switch is cleared only by a human",
    7: "the audit chain holds everything and verifies",
    8: "the local book equals the exchange's",
    9: "no secret in state or audit",
    10: "every decision replays to the same bytes",
    11: "no stage is skipped",
}


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken invariant."""

    invariant: int
    time: str
    text: str


class Watch:
    """Watches one account of a venue.

    Parameters
    ----------
    venue : Venue
    limits : Limits
        Limits in force; the code's ceilings are checked as well.
    clock : Clock
    """

    def __init__(self, venue: Venue, limits: Limits, clock: Clock) -> None:
        self._venue = venue
        self._account = venue.account(MAIN)
        self._limits = limits
        self._clock = clock
        self._unprotected: dict[str, int] = {}
        self._entries: dict[str, set[int]] = defaultdict(set)
        self.latched_at: int | None = None
        #: A symbol in which only people trade.
        self.hand_symbol = ""
        #: Client ids of orders that people sent by hand.
        self.foreign: set[str] = set()
        self.violations: list[Violation] = []
        self.checked: dict[int, int] = defaultdict(int)
        venue.on_event(self._on_event)

    def broken(self, invariant: int, text: str, at: int) -> None:
        """Note a violation, each text once."""
        if not any(v.text == text for v in self.violations):
            self.violations.append(Violation(invariant=invariant, time=iso(at), text=text))

    # ------------------------------------------------------------------ while it runs

    def _on_event(self, event: VenueEvent) -> None:
        if event.account != MAIN:
            return
        if event.kind == "ORDER" and isinstance(event.record, Order):
            self._order(event)
        if event.kind in ("ORDER", "ALGO", "ACCOUNT"):
            self._protection(event.time)

    def _order(self, event: VenueEvent) -> None:
        order: Order = event.record
        if event.execution == "NEW":
            self.checked[2] += 1
            same = self._entries[order.client_order_id]
            same.add(order.order_id)
            if len(same) > 1:
                self.broken(
                    2,
                    f"client id {order.client_order_id} was executed as orders {same}",
                    event.time,
                )
            adds = not order.reduce_only and not order.algo_id and not _others(self, order)
            self.checked[1] += adds
            if adds and self.latched_at is not None and event.time > self.latched_at:
                self.broken(1, f"order {order.client_order_id} after the latch", event.time)
        if event.trade is not None:
            self._limits_hold(event.time)

    def _limits_hold(self, at: int) -> None:
        self.checked[3] += 1
        total = Decimal(0)
        for position in self._account.positions.values():
            if position.symbol == self.hand_symbol:
                continue
            notional = self._counted(position)
            total += notional
            ceiling = min(MAX_POSITION_NOTIONAL, self._limits.max_position_notional)
            if notional > ceiling:
                self.broken(3, f"{position.symbol}: {notional} USDT above {ceiling}", at)
            leverage = self._account.setting(position.symbol).leverage
            if leverage > min(MAX_LEVERAGE, self._limits.max_leverage):
                self.broken(3, f"{position.symbol}: leverage {leverage}", at)
        if total > self._limits.max_total_notional:
            self.broken(3, f"{total} USDT in all, above {self._limits.max_total_notional}", at)

    def _counted(self, position: Position) -> Decimal:
        """What a position counts for, USDT."""
        return abs(position.quantity) * position.entry_price

    def _protection(self, at: int) -> None:
        """Start and stop the clock of every unprotected position."""
        self.checked[4] += 1
        naked = set()
        for position in self._account.positions.values():
            if not self._protected(position.symbol, position.quantity):
                naked.add(position.symbol)
                self._unprotected.setdefault(position.symbol, at)
        for symbol in list(self._unprotected):
            since = self._unprotected[symbol]
            if at - since > UNPROTECTED_MS:
                self.broken(4, f"{symbol} was without a full stop since {iso(since)}", at)
            if symbol not in naked:
                del self._unprotected[symbol]

    def _protected(self, symbol: str, quantity: Decimal) -> bool:
        side = "SELL" if quantity > 0 else "BUY"
        covered = Decimal(0)
        for algo in self._account.open_algos.get(symbol, {}).values():
            if _stops(algo, side):
                if algo.close_position:
                    return True
                covered += algo.quantity
        return covered >= abs(quantity)

    def tick(self) -> None:
        """Once a simulated minute: what no event announces."""
        self._protection(self._venue.now)
        self.checked[7] += 1
        for problem in self._venue.ledger(MAIN).problems():
            self.broken(8, f"the exchange's books: {problem}", self._venue.now)


def _stops(algo: AlgoOrder, side: str) -> bool:
    """Whether a conditional order would close: one that has triggered is at work or has failed."""
    kinds = ("STOP_MARKET", "STOP", "TRAILING_STOP_MARKET")
    return algo.side == side and algo.type in kinds and algo.status == "NEW"


# ---------------------------------------------------------------------- when it has ended


def final_checks(watch: Watch, services: Services, secrets: tuple[str, ...]) -> None:
    """What can be judged only over the whole run: audit, permits, books, replayed decisions."""
    now = services.clock.now_ms()
    for check in (_audit, _permits, _books, _decisions):
        check(watch, services, now)
    _secrets(watch, services, secrets, now)


def _audit(watch: Watch, services: Services, now: int) -> None:
    from shared.audit.verify import verify

    watch.checked[7] += 1
    report = verify(services.store, services.settings.account_id)
    for problem in report.problems:
        watch.broken(7, f"audit: {problem}", now)
    intents = {r.body["clientOrderId"] for r in services.audit.records(kind="intent")}
    for order in watch._venue.ledger(MAIN).orders:
        if not order.algo_id and order.client_order_id not in intents and not _others(watch, order):
            watch.broken(7, f"order {order.client_order_id} has no intent in the audit", now)


def _permits(watch: Watch, services: Services, now: int) -> None:
    permits = {r.body["clientOrderId"] for r in services.audit.records(kind="permit")}
    for order in watch._venue.ledger(MAIN).orders:
        adds = not order.reduce_only and not order.algo_id and not _others(watch, order)
        watch.checked[1] += adds
        if adds and order.client_order_id not in permits:
            watch.broken(1, f"order {order.client_order_id} was sent without a permit", now)


def _others(watch: Watch, order: Order) -> bool:
    """Sent by a person, or by the venue itself (a liquidation)."""
    return order.client_order_id in watch.foreign or order.client_order_id.startswith(VENUE_ORDERS)


def _books(watch: Watch, services: Services, now: int) -> None:
    from shared.portfolio.positions import open_records

    watch.checked[8] += 1
    venue = {p.symbol: abs(p.quantity) for p in watch._venue.ledger(MAIN).positions if p.quantity}
    ours = {
        s: r.quantity for s, r in open_records(services.store, services.settings.account_id).items()
    }
    if venue != ours:
        watch.broken(8, f"the exchange holds {venue}, our book says {ours}", now)


def _decisions(watch: Watch, services: Services, now: int) -> None:
    from shared.risk.decision import Decision, DecisionInputs, canonical_json
    from shared.risk.gate import decide

    for record in services.audit.records(kind="decision"):
        watch.checked[10] += 1
        inputs = msgspec.convert(record.body["inputs"], DecisionInputs)
        stored = msgspec.convert(record.body["decision"], Decision)
        if canonical_json(decide(inputs)) != canonical_json(stored):
            watch.broken(10, f"decision {stored.id} does not replay to the same bytes", now)


def _secrets(watch: Watch, services: Services, secrets: tuple[str, ...], now: int) -> None:
    watch.checked[9] += 1
    for record in services.audit.records():
        text = msgspec.json.encode(record.body)
        for secret in secrets:
            if secret.encode() in text:
                watch.broken(9, f"audit record {record.seq} holds a secret", now)
