"""The invariants under faults: what the venue sees is judged at the moment it happens.

The judge reads the venue's own books and the bare store, past everything that fails. Time in
which nobody could have acted (the process was down, an answer did not come) does not count
against the application, everything else does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from local.invariants import UNPROTECTED_MS, VENUE_ORDERS, Watch, final_checks
from local.platform import SIMULATED_SECRET, TOTP_SECRET
from local.simulate.arrivals import OVERDUE_MS, conditional, entry, intent_of, touched
from local.simulate.excuses import Excuses
from local.simulate.latches import Latches
from local.simulate.prices import Prices
from local.simulate.reckoning import reckon
from local.simulate.switch_watch import SwitchWatch
from local.simulate.vigil import Vigil
from shared.bootstrap import Services
from shared.clock import Clock, iso
from shared.execution.ids import is_ours, leg_of
from shared.risk.limits import Limits
from shared.risk.plan import StageRules
from shared.simulation.core import VenueEvent
from shared.simulation.orders import AlgoOrder, Order, Position
from shared.simulation.venue import MAIN, Venue
from shared.storage.store import Store, Where

ACCOUNT = "main"

#: A position that is being flattened in time may take so long: a close whose answer was lost is
#: sent again when its absence is conclusive.
FLATTENING_MS = 20_000

#: A position by hand that was there for so long must have been reported.
REPORTED_MS = 190_000


class Judge(Watch):
    """Watches one episode.

    Parameters
    ----------
    venue, limits, clock
        As for :class:`local.invariants.Watch`.
    store : Store
        The state itself, not a process's way to it.
    triggers : collection of str
        Triggers that may latch the switch here, besides a drawdown and a person.
    latches : callable, optional
        Makes the judge of automatic latches from the ids of what people send.
    by_hand : str
        A symbol in which only people trade.
    stage : StageRules, optional
        A stage in which a person approves every trade.
    always : bool
        Whether every position is watched, so that five seconds hold for any stop that fails.
    """

    def __init__(
        self,
        venue: Venue,
        limits: Limits,
        clock: Clock,
        store: Store,
        *,
        triggers: Collection[str] = (),
        latches: Callable[[Collection[str]], Latches] | None = None,
        by_hand: str = "",
        stage: StageRules | None = None,
        always: bool = False,
    ) -> None:
        super().__init__(venue, limits, clock)
        self.store = store
        self.switch = SwitchWatch(
            self, triggers, None if latches is None else latches(self.foreign)
        )
        self.hand_symbol = by_hand
        self._stage = stage
        self._hands = 0
        self._foreign_since: int | None = None
        self._hand_traded = 0
        #: What a person answered: decision -> "sent" (yes, perhaps not arrived) or "rejected".
        self.verdicts: dict[str, str] = {}
        self._excuses = Excuses()
        self.vigil = Vigil(always=always)
        #: Until when something that was made to go wrong has an effect.
        self.disturbed_until = 0
        self._naked: dict[str, int] = {}
        self._closing: dict[str, int] = {}
        #: Best bid of a symbol when the last order that adds left for the venue.
        self._left_at: dict[str, Decimal] = {}
        #: What the application was shown of the market, where old prices are served.
        self.prices: Prices | None = None
        #: Sales above a limit only because the price rose while the order was on its way.
        self.risen: dict[str, Decimal] = {}
        self._decision_entries: dict[str, dict[str, Order]] = defaultdict(dict)
        self._store_failed_at = -OVERDUE_MS
        #: Orders that came before their record, with the time.
        self._unrecorded: dict[str, int] = {}
        self._conditionals: list[str] = []
        #: Since when the store takes nothing, where it can be away.
        self.away_since: Callable[[], int | None] = lambda: None

    # ------------------------------------------------------------------ what excuses

    def blocked(self, ms: int, since: int | None = None) -> None:
        """Nobody could act for so long, from now on or from ``since``."""
        start = self._clock.now_ms() if since is None else since
        self._excuses.blocked(start, start + ms)
        self.disturbed(start + ms)

    def unseen(self, symbol: str, until: int) -> None:
        """Nobody can see anything of a symbol until then."""
        self._excuses.unseen(symbol, self._clock.now_ms(), until)

    def slept(self, symbol: str, ms: int) -> None:
        """An activity waited on behalf of a symbol.

        Here activities run one after the other, deployed they run side by side: nobody else's
        position waits for that one.
        """
        now = self._clock.now_ms()
        self._excuses.slept(symbol, now, now + ms)

    def served(self, symbol: str, start: int, end: int) -> None:
        """A request of an activity of one symbol was on its way: as :meth:`slept`."""
        self._excuses.slept(symbol, start, end)

    @contextmanager
    def frozen(self, symbol: str) -> Iterator[None]:
        """The process stands still for what happens inside: another sees to a symbol."""
        began = self._clock.now_ms()
        self._excuses.begin(symbol, began)
        try:
            yield
        finally:
            now = self._clock.now_ms()
            self._excuses.end(now)
            if now > began:
                self.store_failed()

    def closing(self, symbol: str) -> None:
        """A close of a position was sent, whatever becomes of it: it is being flattened."""
        self._closing.setdefault(symbol, self._venue.now)

    def store_failed(self) -> None:
        """The application's store failed just now."""
        self._store_failed_at = self._clock.now_ms()

    def disturbed(self, until: int) -> None:
        """Something was made to go wrong whose effect lasts until then."""
        self.disturbed_until = max(self.disturbed_until, until)

    # ------------------------------------------------------------------ orders, as they arrive

    def _order(self, event: VenueEvent) -> None:
        super()._order(event)
        order: Order = event.record
        touched(self, order.client_order_id, order.symbol, order.status, event.time)
        if event.execution != "NEW" or order.algo_id:
            return
        if order.client_order_id in self.foreign:
            return
        if not is_ours(order.client_order_id):
            if not order.client_order_id.startswith(VENUE_ORDERS):
                self.broken(2, f"order {order.client_order_id} is nobody's", event.time)
            return
        intent = intent_of(self, order.client_order_id, event.time)
        if leg_of(order.client_order_id) == "e":
            entry(self, order, intent, event.time)
        elif not order.reduce_only:
            self.broken(1, f"{order.client_order_id} closes without reduce-only", event.time)

    def held(self, symbol: str) -> Decimal:
        """Signed quantity at the venue."""
        return sum(
            (p.quantity for p in self._account.positions.values() if p.symbol == symbol),
            Decimal(0),
        )

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """What happens inside, a person does."""
        self._hands += 1
        try:
            yield
        finally:
            self._hands -= 1

    def held_at_all(self) -> bool:
        """Whether there is a position."""
        return bool(self._account.positions)

    def naked_at_all(self) -> bool:
        """Whether a position is without its full stop right now."""
        return any(
            not self._protected(p.symbol, p.quantity) for p in self._account.positions.values()
        )

    def _on_event(self, event: VenueEvent) -> None:
        super()._on_event(event)
        if event.trade is not None and event.trade.symbol == self.hand_symbol:
            self._hand_traded = self._clock.now_ms()
        if event.account == MAIN and event.kind == "ALGO":
            algo: AlgoOrder = event.record
            if algo.status in ("TRIGGERING", "REJECTED") and leg_of(algo.client_algo_id) == "s":
                self.vigil.triggered(algo.symbol, event.time)
            touched(self, algo.client_algo_id, algo.symbol, algo.status, event.time)
            if algo.client_algo_id in self.foreign:
                return
            if algo.status == "NEW" and algo.create_time == event.time:
                self._conditionals.append(algo.client_algo_id)
                intent_of(self, algo.client_algo_id, event.time)
                conditional(self, algo, event.time)

    def leaves(self, symbol: str) -> None:
        """An order that adds is on its way to the venue from now on."""
        self._left_at[symbol] = self._venue.core.book(symbol).bid

    def _counted(self, position: Position) -> Decimal:
        """A sale that fills above the bid at which it was sent is larger by what no order can
        bound; everything up to that bid counts."""
        notional = super()._counted(position)
        left_at = self._left_at.get(position.symbol)
        if position.quantity >= 0 or left_at is None or left_at >= position.entry_price:
            return notional
        counted = -position.quantity * left_at
        if notional > self._limits.max_position_notional >= counted:
            self.risen[f"{position.symbol} {position.entry_price}"] = notional
        return counted

    def _too_large(self) -> set[str]:
        """Sales that have become larger than a limit on their way: to be closed like naked ones."""
        real = {
            p.symbol: abs(p.quantity) * p.entry_price
            for p in self._account.positions.values()
            if p.symbol != self.hand_symbol
        }
        over_all = sum(real.values()) > self._limits.max_total_notional
        return {
            p.symbol
            for p in self._account.positions.values()
            if p.symbol in real
            and p.quantity < 0
            and (
                real[p.symbol] > self._limits.max_position_notional
                or (over_all and self._left_at.get(p.symbol, p.entry_price) < p.entry_price)
            )
        }

    def _limits_hold(self, at: int) -> None:
        super()._limits_hold(at)
        held = sum(p.symbol != self.hand_symbol for p in self._account.positions.values())
        if held > self._limits.max_open_positions:
            self.broken(3, f"{held} positions at once", at)

    # ------------------------------------------------------------------ protection

    def _protection(self, at: int) -> None:
        self.checked[4] += 1
        held = {p.symbol for p in self._account.positions.values()}
        self.vigil.held(held - {self.hand_symbol}, at)
        naked = {
            p.symbol
            for p in self._account.positions.values()
            if p.symbol != self.hand_symbol and not self._protected(p.symbol, p.quantity)
        } | self._too_large()
        for symbol in naked:
            self._naked.setdefault(symbol, at)
        for symbol, since in list(self._naked.items()):
            excused = self._excuses.within(symbol, since, at)
            leeway = self.vigil.leeway(symbol, since)
            begun = self._begun(symbol, since, leeway)
            allowed = leeway + (FLATTENING_MS if begun else UNPROTECTED_MS)
            if at - since - excused > allowed:
                self.broken(
                    4,
                    f"{symbol} was without a full stop since {iso(since)}, for {at - since} ms of "
                    f"which {excused} are excused",
                    at,
                )
            if symbol not in naked:
                del self._naked[symbol]
        self._closing = {s: t for s, t in self._closing.items() if s in naked}

    def _begun(self, symbol: str, since: int, leeway: int) -> bool:
        """Whether a close was sent in time."""
        sent = self._closing.get(symbol)
        if sent is None:
            return False
        excused = self._excuses.within(symbol, since, sent)
        return sent - since - excused <= UNPROTECTED_MS + leeway

    # ------------------------------------------------------------------ looks

    def now(self) -> int:
        """The time that passes, UTC ms."""
        return self._clock.now_ms()

    def flat(self) -> bool:
        """Whether the venue shows nothing that anybody can still end.

        A conditional order that triggered and got stuck can neither be cancelled nor do anything.
        """
        account = self._account
        return not (
            account.positions
            or any(account.open_orders.values())
            or any(a.status == "NEW" for book in account.open_algos.values() for a in book.values())
        )

    def _reported(self, now: int) -> None:
        """A position by hand is told to the owner."""
        if not self.hand_symbol or not self.held(self.hand_symbol):
            self._foreign_since = None
            return
        if self._foreign_since is None:
            # When it was opened, not when this look at last came: it may be told already.
            self._foreign_since = min(now, self._hand_traded)
        if now - self._foreign_since > REPORTED_MS:
            self.checked[8] += 1
            told = [a for a in self.all("alerts") if a["kind"] == "foreign-position"]
            if not any(a["time"] >= iso(self._foreign_since) for a in told):
                self.broken(8, "a position by hand was never reported", now)

    def round(self, began: int, share: Decimal) -> None:
        """The guardian has looked at everything since ``began``; see :class:`.vigil.Vigil`."""
        if self.disturbed_until < began:
            now = self._clock.now_ms()
            self.vigil.round(self._account, self._venue.core, began, now, share)

    def tick(self) -> None:
        now = self._clock.now_ms()
        for symbol in self.vigil.forgotten(now, self.disturbed_until, self._excuses.within):
            self.broken(4, f"{symbol} is to be watched and nobody looks", now)
        self._reported(now)
        self._protection(self._venue.now)
        self.switch.look(now)

    def books(self) -> None:
        """The venue's own books, which must never contradict one another."""
        self.checked[8] += 1
        for problem in self._venue.ledger(MAIN).problems():
            self.broken(8, f"the exchange's books: {problem}", self._venue.now)

    # ------------------------------------------------------------------ when all is quiet

    def finished(self, services: Services) -> bool:
        """Whether nothing is under way any more, so that waiting longer would show nothing."""
        return not (
            not self.flat()
            or self.switch.stopped_at is not None
            or services.ledger.read().entries
            or services.kill_switch.outstanding_permits()
            or any(body["state"] != "closed" for body in self.all("positions"))
            or any(
                self.all("orders", (Where("state", "=", state),))
                for state in ("intent", "unknown", "open")
            )
        )

    def quiescent(self, services: Services) -> None:
        """After every fault is over and everything had time to finish."""
        now = self._clock.now_ms()
        self.books()
        if not self.flat():
            self.broken(8, "the account is not flat long after the last fault", now)
        reckon(self, services, now)
        final_checks(self, services, (SIMULATED_SECRET, TOTP_SECRET))

    def all(self, container: str, where: tuple[Where, ...] = ()) -> list[dict[str, Any]]:
        """Every document of the account, from the bare store."""
        found: list[dict[str, Any]] = []
        continuation: str | None = None
        while True:
            page = self.store.query(
                container, ACCOUNT, where=where, limit=1000, continuation=continuation
            )
            found += [d.body for d in page.documents]
            continuation = page.continuation
            if continuation is None:
                return found
