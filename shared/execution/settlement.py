"""A position has become flat: find out how, and write the trade.

Everything comes from the exchange's fills and income; our own records only say which decision it
was. Runs again after any crash with the same result.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.errors import AlreadyExists, ExchangeError
from shared.execution import entry, flatten, orders
from shared.execution.desk import Desk
from shared.execution.exchange import Fill
from shared.execution.ids import client_id
from shared.portfolio import positions, trades
from shared.portfolio.positions import PositionRecord
from shared.portfolio.trades import Trade
from shared.storage.store import Where

#: Fills are looked for from a little before the record: clocks differ.
LOOK_BACK_MS = 5_000

#: How long after an entry its absence from the fills is believed to be a lag.
SETTLE_MS = 60_000


def settle_closed(desk: Desk, record: PositionRecord) -> Trade | None:
    """Settle a record whose symbol is flat on the exchange.

    Returns
    -------
    Trade or None
        The trade; ``None`` while the fills are not complete yet, or when nothing was ever opened.
    """
    start = record.opened_at - LOOK_BACK_MS
    order = desk.exchange.order(record.id, client_id(desk.account, record.decision_id, "e"))
    fills = [f for f in desk.exchange.fills(record.id, start=start) if f.time >= start]
    if order is None or not order.executed_quantity:
        if any(order is not None and f.order_id == order.order_id for f in fills):
            return None
        if desk.clock.now_ms() - record.opened_at < SETTLE_MS:
            return None
        _never_opened(desk, record)
        return None
    mine = _after_entry(fills, order.order_id)
    income = desk.exchange.income(start=start)
    trade = trades.summarize(
        decision_id=record.decision_id,
        account=desk.account,
        symbol=record.id,
        side=record.side,
        opened_at=mine[0].time if mine else record.opened_at,
        risk_amount=record.risk_amount,
        exit_reason=record.exit_reason or _exit_reason(desk, record, mine),
        fills=mine,
        income=income,
    )
    if trade is None:
        return None
    flatten.cancel_leftovers(desk, record.id)
    desk.note("trade", msgspec.to_builtins(trade), correlation=record.decision_id)
    try:
        desk.store.create(trades.CONTAINER, msgspec.to_builtins(trade))
        desk.outbox.executions.append(
            {"type": "trade", "id": trade.id, **msgspec.to_builtins(trade)}
        )
    except AlreadyExists:
        pass
    desk.ledger.close(record.decision_id, net_pnl=trade.net_pnl, at=trade.closed_at)
    positions.change(
        desk.store,
        record,
        state="closed",
        exit_reason=trade.exit_reason,
        updated_at=desk.clock.now_ms(),
    )
    return trade


def _never_opened(desk: Desk, record: PositionRecord) -> None:
    """An entry that certainly does not exist: release what was held for it."""
    entry_id = client_id(desk.account, record.decision_id, "e")
    orders.settle(desk, entry_id, "cancelled", reason="never executed")
    entry.abandon(desk, record.id, record.decision_id, "no execution at the venue")


def _after_entry(fills: list[Fill], entry_order_id: int) -> list[Fill]:
    """From the entry's first fill until the position is flat: ownership by order, not by time."""
    start = next((i for i, f in enumerate(fills) if f.order_id == entry_order_id), None)
    if start is None:
        return []
    net = Decimal(0)
    for i, fill in enumerate(fills[start:], start):
        net += fill.quantity if fill.side == "BUY" else -fill.quantity
        if not net:
            return fills[start : i + 1]
    return fills[start:]


def _exit_reason(desk: Desk, record: PositionRecord, fills: list[Fill]) -> str:
    """Which of our orders closed it; else liquidation or somebody else's order."""
    if not fills:
        return "unknown"
    last = fills[-1].order_id
    page = desk.store.query(
        orders.CONTAINER,
        desk.account,
        where=[Where("decisionId", "=", record.decision_id)],
        limit=100,
    )
    for document in page.documents:
        known = msgspec.convert(document.body, orders.OrderRecord)
        if known.leg in ("s", "t") and known.state == "open":
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
                moved = record.stop_revision > 0
                return "take profit" if known.leg == "t" else ("trailing stop" if moved else "stop")
        if known.venue_id == last and known.leg == "x":
            return "closed"
    return "liquidated or closed by hand"
