"""What the world is told about an opened position."""

from __future__ import annotations

import msgspec

from shared.execution import order_prices
from shared.execution.assess import load
from shared.execution.desk import Desk
from shared.portfolio import positions


def record_opened(desk: Desk, symbol: str, signal_id: str) -> str:
    """Audit and publish the opened position; returns its state ("open", "closed")."""
    stored = load(desk, symbol, signal_id)
    found = positions.load(desk.store, desk.account, symbol)
    if stored is None or found is None or found[0].decision_id != stored[1].id:
        return "closed"
    record = found[0]
    body = {
        "symbol": record.id,
        "side": record.side,
        "quantity": str(record.quantity),
        "entryPrice": str(record.entry_price),
        "stopPrice": str(record.stop_price),
        "takeProfitPrice": str(record.take_profit_price),
        "openedAt": record.opened_at,
        "timeExit": record.time_exit,
    }
    desk.note("position", body, correlation=record.decision_id)
    desk.outbox.executions.append(
        {
            **msgspec.to_builtins(record),
            "type": "opened",
            "id": f"opened-{record.decision_id}",
            "symbol": record.id,
        }
    )
    desk.alert(
        "info",
        "position-opened",
        f"{record.side} {record.quantity} {symbol} at {record.entry_price}",
        f"Stop {record.stop_price}, target {record.take_profit_price}, risk "
        f"{record.risk_amount} USDT.",
        correlation=record.decision_id,
    )
    order_prices.of_entry(desk, record.decision_id)
    return record.state
