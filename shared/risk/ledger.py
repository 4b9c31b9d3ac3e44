"""The risk ledger: what is reserved and open, what the day has cost, where equity peaked.

One document under its ETag. Every change reads it, judges, and replaces exactly the version that
was judged, so concurrent workflows cannot exceed a limit together. An entry lives from
``reserve`` until its trade is closed (``close``) or is known never to have opened (``release``);
every operation may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal

import msgspec

from shared.clock import Clock, day
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from shared.market.timeframe import DAY_MS
from shared.risk.checks import exact, failures, finite
from shared.risk.history import MarketHistory
from shared.risk.ledger_view import BalanceMark as BalanceMark
from shared.risk.ledger_view import LedgerView as LedgerView
from shared.risk.ledger_view import LimitReached as LimitReached
from shared.risk.ledger_view import Reservation as Reservation
from shared.risk.ledger_view import Settled as Settled
from shared.risk.ledger_view import room_checks
from shared.risk.limits import Limits
from shared.risk.plan import Exposure, OrderPlan, StageRules
from shared.risk.portfolio_gate import portfolio_checks
from shared.storage.records import record_of
from shared.storage.store import Body, Document, Store

CONTAINER = "control"
LEDGER_ID = "risk-ledger"
#: How long a finished decision is remembered, so that a late repetition changes nothing.
REMEMBER_MS = 2 * DAY_MS
#: A last known equity older than this does not start a day.
CARRY_MS = DAY_MS
#: An equity that has not changed is written again after this long, so that its age stays true.
REFRESH_MS = 600_000
#: An entry this old without record or position was abandoned: decisions live for seconds.
ABANDONED_MS = 300_000
#: Lost races after which something else must be wrong.
ATTEMPTS = 500
ZERO = Decimal(0)


Change = Callable[[LedgerView], LedgerView]


class RiskLedger:
    """The ledger of one account.

    Parameters
    ----------
    store : Store
    clock : Clock
    account : str
        Scope of the document.
    """

    def __init__(self, store: Store, clock: Clock, account: str) -> None:
        self._store = store
        self._clock = clock
        self._account = account

    def read(self) -> LedgerView:
        """The ledger now; a day that has ended since the last write counts as ended."""
        return self._load()[0]

    def reserve(
        self,
        plan: OrderPlan,
        *,
        positions: Sequence[Exposure],
        limits: Limits,
        stage: StageRules | None = None,
        history: MarketHistory | None = None,
    ) -> LedgerView:
        """Hold room for a plan if every limit still has it, counting all other entries.

        Repeating it for a decision replaces its reservation; once that is ``open`` nothing
        changes.

        Parameters
        ----------
        positions : sequence of Exposure
            The exchange's positions. Exposure of other kinds is ignored: the ledger's own
            entries, read in the same step as they are judged, stand in its place.
        history : MarketHistory, optional
            What the decision judged the portfolio's risk by; without it that is not judged.

        Raises
        ------
        LimitReached
            Nothing was reserved.
        InvalidInput
            When the decision was over already.
        """
        held = [e for e in positions if e.kind == "position"]
        reservation = Reservation(
            decision_id=plan.decision_id,
            symbol=plan.symbol,
            side=plan.side,
            quantity=plan.quantity,
            notional=plan.worst_notional,
            risk=plan.risk_amount,
            state="reserved",
            at=self._clock.now_ms(),
        )

        def change(view: LedgerView) -> LedgerView:
            if plan.decision_id in view.settled:
                raise InvalidInput(f"decision {plan.decision_id} is over already")
            known = view.entries.get(plan.decision_id)
            if known is not None and known.state == "open":
                return view
            others = [*held, *view.exposures(exclude=plan.decision_id)]
            failed = failures(
                (
                    *room_checks(plan, limits, stage, view, others),
                    *portfolio_checks(plan, others, view.equity, history, limits.portfolio),
                )
            )
            if failed:
                raise LimitReached(failed)
            return _with_entry(view, reservation)

        return self._change(change)

    def convert(
        self,
        decision_id: str,
        *,
        filled_quantity: Decimal | None = None,
        filled_notional: Decimal | None = None,
    ) -> LedgerView:
        """The entry has filled, in part or in full, and fills no further.

        Given what was filled, the entry shrinks to it. An unknown decision changes nothing.
        """

        def change(view: LedgerView) -> LedgerView:
            known = view.entries.get(decision_id)
            if known is None or known.state == "open":
                return view
            quantity = known.quantity if filled_quantity is None else filled_quantity
            share = quantity / known.quantity if known.quantity else Decimal(1)
            notional = known.notional * share if filled_notional is None else filled_notional
            if finite(quantity) is None or quantity < 0 or notional < 0:
                raise InvalidInput(f"decision {decision_id}: filled {quantity} for {notional}")
            opened = msgspec.structs.replace(
                known, quantity=quantity, notional=notional, risk=known.risk * share, state="open"
            )
            return msgspec.structs.replace(
                _with_entry(view, opened), opened_today=view.opened_today + 1
            )

        return self._change(change)

    def release(self, decision_id: str) -> LedgerView:
        """The decision opened nothing, or nothing of it is left: free its room."""
        return self._change(lambda view: self._over(view, decision_id, booked=False))

    def close(self, decision_id: str, *, net_pnl: Decimal, at: int) -> LedgerView:
        """The decision's trade is over: free its room and book its result, once.

        Parameters
        ----------
        net_pnl : Decimal
            USDT, fees and funding included.
        at : int
            When the trade ended; a result of an earlier UTC day is not booked on this one.
        """
        if finite(net_pnl) is None:
            raise InvalidInput(f"decision {decision_id}: net P&L {net_pnl} is not a number")

        def change(view: LedgerView) -> LedgerView:
            before = view.settled.get(decision_id)
            if before is not None and before.booked:
                return view
            known = view.entries.get(decision_id)
            unseen = known is not None and known.state == "reserved"
            booked = net_pnl if day(at) == view.day else ZERO
            return msgspec.structs.replace(
                self._over(view, decision_id, booked=True),
                day_realized_pnl=view.day_realized_pnl + booked,
                opened_today=view.opened_today + int(unseen),
            )

        return self._change(change)

    def reconcile(
        self, positions: Sequence[Exposure], *, open_decisions: Collection[str]
    ) -> LedgerView:
        """Free entries that nothing stands behind any more.

        An entry goes when its decision has no open record, the exchange holds no position in its
        symbol, and it is older than anything that could still be under way.

        Parameters
        ----------
        positions : sequence of Exposure
            The exchange's positions, read just now.
        open_decisions : collection of str
            Decisions with a position record that is not closed.
        """
        held = {e.symbol for e in positions}

        def change(view: LedgerView) -> LedgerView:
            now = self._clock.now_ms()
            for entry in view.entries.values():
                if (
                    entry.decision_id not in open_decisions
                    and entry.symbol not in held
                    and now - entry.at > ABANDONED_MS
                ):
                    view = self._over(view, entry.decision_id, booked=False)
            return view

        return self._change(change)

    def update_equity(self, equity: Decimal, venue: str = "") -> LedgerView:
        """Note the account's equity (wallet balance plus unrealised P&L).

        An equity that is not a positive number is no reading at all: it neither starts a day nor
        makes a drawdown, and the ledger stays as it is.

        Parameters
        ----------
        equity : Decimal
            USDT.
        venue : str
            Where it was read. The equity of another account is no measure for this one: peak, start
            of the day and explained balance begin anew. What was booked and opened today stays.
        """
        number = finite(equity)
        now = self._clock.now_ms()
        if number is None or number <= 0:
            return self.read()

        def change(view: LedgerView) -> LedgerView:
            if venue and venue != view.venue:
                moved = bool(view.venue)
                view = msgspec.structs.replace(
                    view,
                    venue=venue,
                    equity_at=0,
                    equity_peak=ZERO if moved else view.equity_peak,
                    day_start_equity=ZERO if moved else view.day_start_equity,
                    balance=None if moved else view.balance,
                )
            start = view.day_start_equity
            known = view.equity == number and start > 0 and view.equity_peak >= number
            if known and 0 <= now - view.equity_at < REFRESH_MS:
                # Nothing new: a flat account would be written every minute.
                return view
            return msgspec.structs.replace(
                view,
                equity=number,
                equity_at=now,
                equity_peak=max(view.equity_peak, number),
                day_start_equity=start if start > 0 else number,
                day_start_at=view.day_start_at if start > 0 else now,
            )

        return self._change(change)

    def settle_balance(
        self,
        known: BalanceMark | None,
        mark: BalanceMark,
        *,
        moved: Decimal = ZERO,
        moved_today: Decimal = ZERO,
    ) -> LedgerView:
        """Note a wallet balance that is explained, and take transfers out of the figures.

        Money paid in or out is no profit, no loss and no drawdown: the peak moves along, from
        where it was before the transfer could be seen. Done once, however often it is repeated:
        only on the mark it was judged on.

        Parameters
        ----------
        known : BalanceMark, optional
            The mark that was judged on.
        mark : BalanceMark
            The new one; its ``peak`` is set here where the balance is explained.
        moved, moved_today : Decimal
            Transfers since ``known``, and those of them that the equity at the day's start does not
            know of; in positive.
        """

        def change(view: LedgerView) -> LedgerView:
            if view.balance != known:
                return view
            peak, start = view.equity_peak, view.day_start_equity
            if moved:
                peak = moved_peak(view, moved)
                start = start + moved_today if start + moved_today > 0 else start
            return msgspec.structs.replace(
                view,
                equity_peak=peak,
                day_start_equity=start,
                balance=mark if mark.odd_since else msgspec.structs.replace(mark, peak=peak),
            )

        return self._change(change)

    def rebase_peak(self) -> LedgerView:
        """Forget the equity peak and the explained balance: the next readings are the new ones.

        Clearing the kill switch does this, or what latched it would latch it again.
        """
        return self._change(
            lambda view: msgspec.structs.replace(view, equity_peak=ZERO, balance=None)
        )

    # ------------------------------------------------------------------ compare and swap

    def _over(self, view: LedgerView, decision_id: str, *, booked: bool) -> LedgerView:
        if decision_id in view.settled and not booked:
            return view
        now = self._clock.now_ms()
        settled = {k: s for k, s in view.settled.items() if now - s.at <= REMEMBER_MS}
        return msgspec.structs.replace(
            view,
            entries={k: r for k, r in view.entries.items() if k != decision_id},
            settled=settled | {decision_id: Settled(at=now, booked=booked)},
        )

    def _change(self, change: Change) -> LedgerView:
        for attempt in range(ATTEMPTS):
            view, document = self._load()
            with exact():
                changed = change(view)
            if document is not None and changed == view:
                return view
            try:
                if document is None:
                    self._store.create(CONTAINER, self._body(changed))
                else:
                    self._store.replace(CONTAINER, self._body(changed), etag=document.etag)
                return changed
            except (AlreadyExists, Conflict, NotFound):
                # Somebody else's change came first: judge again on what is there now.
                if attempt > 8:
                    self._clock.sleep(min(0.05, 0.001 * attempt))
        raise Conflict(f"risk ledger of {self._account}: {ATTEMPTS} attempts lost to others")

    def _load(self) -> tuple[LedgerView, Document | None]:
        document = self._store.get(CONTAINER, self._account, LEDGER_ID)
        now = self._clock.now_ms()
        if document is None:
            return LedgerView(day=day(now)), None
        view = record_of(document.body, LedgerView)
        return _rolled(view, now), document

    def _body(self, view: LedgerView) -> Body:
        body: Body = msgspec.to_builtins(view)
        return {**body, "id": LEDGER_ID, "scope": self._account}


def moved_peak(view: LedgerView, moved: Decimal) -> Decimal:
    """The equity peak once transfers that it does not know of yet are taken in.

    What was paid in has raised the peak already, because equity rose; so it is counted from the
    peak at the last explained balance.
    """
    before = view.balance.peak if view.balance is not None else ZERO
    if before <= 0:
        before = view.equity_peak - max(moved, ZERO)
    return max(before + moved, view.equity)


def _rolled(view: LedgerView, now: int) -> LedgerView:
    """The view on the present UTC day. A clock that runs behind never takes a day back."""
    today = day(now)
    if today <= view.day:
        return view
    carried = view.equity if now - view.equity_at <= CARRY_MS else ZERO
    return msgspec.structs.replace(
        view,
        day=today,
        day_realized_pnl=ZERO,
        day_start_equity=carried,
        day_start_at=view.equity_at if carried > 0 else 0,
        opened_today=0,
    )


def _with_entry(view: LedgerView, entry: Reservation) -> LedgerView:
    return msgspec.structs.replace(view, entries=view.entries | {entry.decision_id: entry})
