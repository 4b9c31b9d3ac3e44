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
from shared.portfolio.figures import fraction, plain
from shared.portfolio.positions import PositionRecord
from shared.risk.kill_switch import SwitchStatus, drawdown


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
        "killSwitch": switch_told(switch),
        "drill": drill.told(desk),
        "equity": plain(account.equity),
        "walletBalance": plain(account.wallet_balance),
        "unrealizedPnl": plain(account.unrealized_pnl),
        "availableBalance": plain(account.available_balance),
        "equityPeak": plain(ledger.equity_peak),
        "drawdown": fraction(drawdown(account.equity, ledger.equity_peak)),
        "day": ledger.day,
        "dayRealizedPnl": plain(ledger.day_realized_pnl),
        "tradesToday": ledger.trades_today,
        "reserved": plain(
            sum((r.notional for r in ledger.reservations.values()), start=Decimal(0))
        ),
        "limits": {
            "maxLeverage": desk.limits.max_leverage,
            "maxPositionNotional": str(desk.limits.max_position_notional),
            "maxTotalNotional": str(desk.limits.max_total_notional),
            "maxDailyLoss": str(desk.limits.max_daily_loss),
            "maxDrawdown": str(desk.limits.max_drawdown),
        },
    }


def switch_told(switch: SwitchStatus) -> dict[str, Any]:
    """The kill switch as the API tells it; ``closing`` until the account was verified flat."""
    latched = switch.state == "latched"
    return {
        "state": switch.state,
        "trigger": switch.trigger,
        "evidence": switch.evidence,
        "halt": None if switch.halt is None else msgspec.to_builtins(switch.halt),
        "latchedAt": switch.latched_at,
        "armedAt": switch.armed_at,
        "closing": latched and switch.closing and switch.flat_at is None,
        "flatAt": switch.flat_at if latched else None,
        "outstandingPermits": len(switch.outstanding),
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
        "quantity": plain(abs(venue.quantity)),
        "entryPrice": plain(venue.entry_price),
        "markPrice": plain(venue.mark_price),
        "unrealizedPnl": plain(venue.unrealized_pnl),
        "liquidationPrice": plain(venue.liquidation_price),
        "decisionId": record.decision_id if record else None,
        "stopPrice": plain(record.stop_price) if record else None,
        "takeProfitPrice": plain(record.take_profit_price) if record else None,
        "timeExit": iso(record.time_exit) if record else None,
        "openedAt": iso(record.opened_at) if record else None,
        "ordersOnExchange": sum(a.symbol == venue.symbol for a in algos),
    }
