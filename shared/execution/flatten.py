"""Closing: reduce-only at market, looked up before it is repeated, read back until flat.

Needs no permit: reducing exposure is always allowed.
"""

from __future__ import annotations

from shared.errors import ExchangeError
from shared.execution import orders
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest, VenuePosition
from shared.execution.ids import client_id, is_ours
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord

#: Attempts of one call; the guardian and the emergency workflow call again.
ATTEMPTS = 4
PAUSE = 0.2


def close_position(desk: Desk, record: PositionRecord, reason: str) -> bool:
    """Close one of our positions; ``True`` once the exchange shows it flat.

    Every attempt has its own deterministic id, counted in the position's record before it is
    sent, so that a crash repeats an attempt instead of adding one.
    """
    for _ in range(ATTEMPTS):
        venue = _held(desk, record.id)
        if venue is None:
            return True
        record = positions.change(
            desk.store, record, closes=record.closes, exit_reason=record.exit_reason or reason
        )
        close_id = client_id(desk.account, record.decision_id, "x", record.closes)
        outcome = orders.send(
            desk,
            OrderRequest(
                symbol=record.id,
                side="SELL" if venue.quantity > 0 else "BUY",
                type="MARKET",
                quantity=abs(venue.quantity),
                client_order_id=close_id,
                reduce_only=True,
            ),
            record.decision_id,
        )
        if outcome.state != "unknown":
            record = positions.change(desk.store, record, closes=record.closes + 1)
        desk.note(
            "position",
            {
                "symbol": record.id,
                "clientOrderId": close_id,
                "state": outcome.state,
                "reason": reason,
                "attempt": record.closes,
            },
            correlation=record.decision_id,
        )
        if _held(desk, record.id) is None:
            return True
        desk.clock.sleep(PAUSE)
    desk.alert(
        "critical",
        "close-failed",
        f"{record.id}: the position could not be closed",
        f"Tried {ATTEMPTS} times ({reason}). The guardian goes on every minute; look at it now.",
        correlation=record.decision_id,
        once=str(desk.clock.now_ms() // 60_000),
    )
    return False


def close_foreign(desk: Desk, venue: VenuePosition, correlation: str, attempt: int) -> None:
    """Close a position that no decision of ours explains: only an emergency stop does this."""
    what = f"{correlation}|{venue.symbol}|{venue.update_time}|{venue.quantity}"
    orders.send(
        desk,
        OrderRequest(
            symbol=venue.symbol,
            side="SELL" if venue.quantity > 0 else "BUY",
            type="MARKET",
            quantity=abs(venue.quantity),
            client_order_id=client_id(desk.account, what, "x", attempt),
            reduce_only=True,
        ),
        correlation,
    )


def cancel_leftovers(desk: Desk, symbol: str) -> int:
    """Cancel our conditional orders of a flat symbol: reduce-only orders stay armed otherwise."""
    cancelled = 0
    for algo in desk.exchange.open_algo_orders(symbol):
        if is_ours(algo.client_algo_id):
            desk.exchange.cancel_algo_order(algo.client_algo_id)
            orders.settle(desk, algo.client_algo_id, "cancelled", reason="position closed")
            cancelled += 1
    return cancelled


def _held(desk: Desk, symbol: str) -> VenuePosition | None:
    for _ in range(3):
        try:
            return next((p for p in desk.exchange.positions() if p.symbol == symbol), None)
        except ExchangeError:
            desk.clock.sleep(PAUSE)
    return next((p for p in desk.exchange.positions() if p.symbol == symbol), None)
