"""The account at a glance, for the API, the console and the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from shared.clock import iso
from shared.execution import drill
from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.risk.kill_switch import drawdown


def overview(desk: Desk) -> dict[str, Any]:
    """Equity, day, drawdown, kill switch, stage and the limits in force; money as strings."""
    account = desk.exchange.account()
    ledger = desk.ledger.read()
    switch = desk.kill_switch.ensure()
    return {
        "time": iso(desk.clock.now_ms()),
        "account": desk.account,
        "stage": desk.stage.name,
        "stageProblems": list(desk.stage_problems),
        "killSwitch": {
            "state": switch.state,
            "trigger": switch.trigger,
            "evidence": switch.evidence,
            "halt": None if switch.halt is None else msgspec.to_builtins(switch.halt),
            "closing": switch.state == "latched" and switch.closing,
            "outstandingPermits": len(switch.outstanding),
        },
        "drill": drill.told(desk),
        "equity": str(account.equity),
        "walletBalance": str(account.wallet_balance),
        "unrealizedPnl": str(account.unrealized_pnl),
        "availableBalance": str(account.available_balance),
        "equityPeak": str(ledger.equity_peak),
        "drawdown": str(drawdown(account.equity, ledger.equity_peak)),
        "day": ledger.day,
        "dayRealizedPnl": str(ledger.day_realized_pnl),
        "tradesToday": ledger.trades_today,
        "reserved": str(sum((r.notional for r in ledger.reservations.values()), start=Decimal(0))),
        "limits": {
            "maxLeverage": desk.limits.max_leverage,
            "maxPositionNotional": str(desk.limits.max_position_notional),
            "maxTotalNotional": str(desk.limits.max_total_notional),
            "maxDailyLoss": str(desk.limits.max_daily_loss),
            "maxDrawdown": str(desk.limits.max_drawdown),
        },
    }


def open_positions(desk: Desk) -> list[dict[str, Any]]:
    """The exchange's positions, each with our record of it; a foreign one has none."""
    records = positions.open_records(desk.store, desk.account)
    algos = desk.exchange.open_algo_orders()
    return [
        position_told(venue, records.get(venue.symbol), algos)
        for venue in desk.exchange.positions()
    ]


def position_told(
    venue: VenuePosition, record: PositionRecord | None, algos: Sequence[VenueAlgoOrder]
) -> dict[str, Any]:
    """One position as the API tells it; ``algos`` are the live conditional orders of any symbol."""
    return {
        "symbol": venue.symbol,
        "side": "BUY" if venue.quantity > 0 else "SELL",
        "quantity": str(abs(venue.quantity)),
        "entryPrice": str(venue.entry_price),
        "markPrice": str(venue.mark_price),
        "unrealizedPnl": str(venue.unrealized_pnl),
        "liquidationPrice": str(venue.liquidation_price),
        "decisionId": record.decision_id if record else None,
        "stopPrice": str(record.stop_price) if record else None,
        "takeProfitPrice": str(record.take_profit_price) if record else None,
        "timeExit": iso(record.time_exit) if record else None,
        "openedAt": iso(record.opened_at) if record else None,
        "ordersOnExchange": sum(a.symbol == venue.symbol for a in algos),
    }
