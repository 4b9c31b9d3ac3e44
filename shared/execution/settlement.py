"""A position has become flat: find out how, and write the trade.

Everything comes from the exchange's fills and income; our own records only say which decision it
was. Runs again after any crash with the same result.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

import msgspec

from shared.errors import AlreadyExists, ExchangeError
from shared.execution import abandon, adopt, chase, fees, flatten, order_prices, orders, unmet
from shared.execution.absence import ABSENT, LOST_MS
from shared.execution.desk import Desk
from shared.execution.exchange import Fill, Income, VenueOrder
from shared.execution.ids import client_id, is_ours, leg_of
from shared.portfolio import positions, trades
from shared.portfolio.positions import PositionRecord
from shared.portfolio.trades import Trade
from shared.storage.records import readable
from shared.storage.store import Where, every

#: Fills are looked for from before the record, which has our time and they the exchange's: as far
#: as our clock may be ahead where they are known by their order, a little where only by their side.
LOOK_BACK_MS = 300_000
LOOK_BACK_BY_SIDE_MS = 5_000

#: How long after a fill the absence of its order, or of its income, is believed to be a lag.
SETTLE_MS = 60_000

#: What an exit is called by the leg of its order.
_EXITS = {"s": "stop", "t": "take profit"}


def settle_closed(desk: Desk, record: PositionRecord) -> Trade | None:
    """Settle a record whose symbol is flat on the exchange.

    Returns
    -------
    Trade or None
        The trade; ``None`` while the fills are not complete yet, or when nothing was ever opened.
    """
    entered = entry_orders(desk, record)
    # A late position begins with a fill that is known: what was before is another trade.
    look_back = LOOK_BACK_MS if entered else LOOK_BACK_BY_SIDE_MS
    start = record.opened_at - (0 if record.late_of else look_back)
    fills = [f for f in desk.exchange.fills(record.id, start=start) if f.time >= start]
    first = _first_fill(record, entered, fills)
    if first is None:
        # What was seen as a position, or is known to have executed, has fills: they come, however
        # late.
        held = record.state != "opening" or record.exit_reason or any(entered.values())
        if not held and _given_up(desk, record):
            _never_opened(desk, record)
        return None
    if not record.late_of and _incomplete(entered, fills):
        return None
    mine = fees.in_usdt(desk, round_trip(fills[first:], entered))
    why = _exit_reason(desk, record, mine, _all_orders(desk, record, start, fills[-1]))
    if why is None:
        return None
    income = desk.exchange.income(start=start)
    if _behind(desk, mine, income):
        return None
    trade = trades.summarize(
        decision_id=record.decision_id,
        account=desk.account,
        symbol=record.id,
        side=record.side,
        opened_at=mine[0].time if mine else record.opened_at,
        risk_amount=record.risk_amount,
        exit_reason=why,
        fills=mine,
        income=income,
        # A record of before says nothing: it was opened here, then.
        venue=record.venue or desk.environment,
        stage=record.stage or desk.stage.name,
    )
    if trade is None:
        return None
    flatten.cancel_leftovers(desk, record.id, record.decision_id)
    desk.note("trade", msgspec.to_builtins(trade), correlation=record.decision_id)
    try:
        desk.store.create(trades.CONTAINER, msgspec.to_builtins(trade))
        desk.outbox.executions.append(
            {"type": "trade", "id": trade.id, **msgspec.to_builtins(trade)}
        )
    except AlreadyExists:
        pass
    desk.alert(
        "info",
        "position-closed",
        f"{record.id} closed at {trade.exit_price}: {trade.net_pnl:+.2f} USDT",
        f"{trade.exit_reason}; entry {trade.entry_price}, fees {trade.fees:.2f}, funding "
        f"{trade.funding:+.2f}, {trade.r_multiple:+.2f} R.",
        correlation=record.decision_id,
    )
    desk.ledger.close(record.decision_id, net_pnl=trade.net_pnl, at=trade.closed_at)
    order_prices.of_trade(desk, record, mine)
    positions.change(
        desk.store,
        record,
        state="closed",
        exit_reason=trade.exit_reason,
        updated_at=desk.clock.now_ms(),
    )
    return trade


def _given_up(desk: Desk, record: PositionRecord) -> bool:
    """Whether an entry of which nothing is seen is old enough to have come to nothing."""
    sent = [k.sent_at for k in chase.entry_orders(desk, record.late_of or record.decision_id)]
    return desk.exchange.now_ms() - max(sent, default=record.opened_at) >= LOST_MS


def _never_opened(desk: Desk, record: PositionRecord) -> None:
    """An entry that certainly does not exist: release what was held for it."""
    entry_id = client_id(desk.account, record.decision_id, "e")
    orders.settle(desk, entry_id, "cancelled", reason=ABSENT)
    abandon.abandon(desk, record.id, record.decision_id, "no execution at the venue")


def entry_orders(desk: Desk, record: PositionRecord) -> dict[int, Decimal]:
    """The venue's ids of the entry's orders with what each executed; from our own records where it
    has forgotten, or does not answer and they are known to be over.

    Raises
    ------
    ExchangeError
        When one that may not be over cannot be looked up.
    """
    decision_id = record.late_of or record.decision_id
    recorded = {
        k.id: (k.venue_id, k.executed_quantity, k.state == "filled")
        for k in chase.entry_orders(desk, decision_id)
    }
    nothing = {client_id(desk.account, decision_id, "e"): (None, Decimal(0), False)}
    found: dict[int, Decimal] = {}
    for id_, (venue_id, executed, over) in (recorded or nothing).items():
        try:
            order = desk.exchange.order(record.id, id_)
        except ExchangeError:
            if venue_id is None or not over:
                raise
            order = None
        if order is not None:
            found[order.order_id] = order.executed_quantity
        elif venue_id is not None:
            found[venue_id] = executed
    return found


def _first_fill(
    record: PositionRecord, entry_orders: Collection[int], fills: Sequence[Fill]
) -> int | None:
    """Where the entry's fills begin: ownership by order; by side only where no order is known."""
    if entry_orders:
        return next((i for i, f in enumerate(fills) if f.order_id in entry_orders), None)
    if record.state == "opening":
        return None
    return next((i for i, f in enumerate(fills) if f.side == record.side), None)


def _incomplete(entered: Mapping[int, Decimal], fills: Sequence[Fill]) -> bool:
    """Whether the list of fills lacks some of what the entry's orders are known to have executed:
    what is there could look like a round trip of its own."""
    listed = sum((f.quantity for f in fills if f.order_id in entered), Decimal(0))
    return listed < sum(entered.values(), Decimal(0))


def _behind(desk: Desk, fills: Sequence[Fill], income: Sequence[Income]) -> bool:
    """Whether the income history does not show the last fill yet, and so perhaps not the funding
    before it nor the fee of a liquidation; waited for as long as an order of a fill is."""
    if not fills or desk.exchange.now_ms() - fills[-1].time >= SETTLE_MS:
        return False
    last = str(fills[-1].trade_id)
    return not any(i.symbol == fills[-1].symbol and i.trade_id == last for i in income)


def round_trip(fills: list[Fill], entry_orders: Collection[int]) -> list[Fill]:
    """Fills until the position is flat and nothing of the entry follows."""
    net = Decimal(0)
    last = max((i for i, f in enumerate(fills) if f.order_id in entry_orders), default=0)
    for i, fill in enumerate(fills):
        net += fill.quantity if fill.side == "BUY" else -fill.quantity
        if not net and i >= last:
            return fills[: i + 1]
    return fills


def _all_orders(
    desk: Desk, record: PositionRecord, start: int, newest: Fill
) -> list[orders.OrderRecord]:
    """Our records of the trade's orders, those included that nobody has written down yet.

    Raises
    ------
    ExchangeError
        When the exchange does not list them, as long as that may pass.
    """
    known = _recorded(desk, record)
    try:
        if unmet.write_down(desk, record, start, known):
            known = _recorded(desk, record)
    except ExchangeError as error:
        if desk.exchange.now_ms() - newest.time < SETTLE_MS:
            raise
        # The day's loss, and the symbol, do not wait for it any longer.
        logging.getLogger("borsa").error(
            "%s: its orders are not listed, and perhaps not all recorded: %s", record.id, error
        )
    return known


def _recorded(desk: Desk, record: PositionRecord) -> list[orders.OrderRecord]:
    """All of them: a stop that trailed for days has hundreds."""
    mine = every(
        desk.store,
        orders.CONTAINER,
        desk.account,
        where=[Where("decisionId", "=", record.decision_id)],
    )
    return list(readable(mine, orders.OrderRecord))


def _exit_reason(
    desk: Desk,
    record: PositionRecord,
    fills: list[Fill],
    known_orders: Sequence[orders.OrderRecord],
) -> str | None:
    """Why it was closed, or which of our orders did it; else liquidation, or somebody else.

    ``None`` while the venue does not show the order that did: it may be one of ours of which
    nobody knows, and whoever settles the trade is the last one to ask.
    """
    if not fills:
        return record.exit_reason or "unknown"
    last = fills[-1].order_id
    if record.exit_reason:
        if not any(known.venue_id == last for known in known_orders):
            order = desk.exchange.order_behind(fills[-1])
            if _hidden(desk, fills[-1], order):
                return None
            _adopted(desk, record, order)
        return record.exit_reason
    stops = sorted((o for o in known_orders if o.leg == "s"), key=lambda o: o.created_at)
    initial = stops[0].trigger_price if stops else None
    for known in known_orders:
        # "filled" too: reconciliation, or this very step before a crash, may have seen it first.
        if known.leg in ("s", "t") and known.state not in ("cancelled", "rejected"):
            try:
                algo = desk.exchange.algo_order(known.id)
            except ExchangeError:
                algo = None
            if algo is not None and algo.order_id == last:
                orders.settle(
                    desk,
                    known.id,
                    "filled",
                    executed_quantity=algo.quantity,
                    reason=algo.status,
                )
                if known.leg == "t":
                    return "take profit"
                return "stop" if known.trigger_price == initial else "trailing stop"
        if known.venue_id == last and known.leg == "x":
            return "closed"
    order = desk.exchange.order_behind(fills[-1])
    if _hidden(desk, fills[-1], order):
        return None
    leg = _adopted(desk, record, order)
    return "liquidated or closed by hand" if leg is None else _EXITS.get(leg, "closed")


def _hidden(desk: Desk, fill: Fill, order: VenueOrder | None) -> bool:
    """Whether a fill has an order that is not shown yet: that it has none is not believed soon."""
    return order is None and desk.exchange.now_ms() - fill.time < SETTLE_MS


def _adopted(desk: Desk, record: PositionRecord, order: VenueOrder | None) -> str | None:
    """Leg of the order behind a fill if it is ours after all: one that went out while the store
    failed, whose sender died before the record."""
    if order is None or not is_ours(order.client_order_id):
        return None
    adopt.plain(desk, order, record.decision_id)
    return leg_of(order.client_order_id) or ""
