"""Scenarios played on the account as it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from shared.clock import iso
from shared.errors import InvalidInput
from shared.execution.desk import Desk
from shared.portfolio import exposed
from shared.portfolio.exposed import Exposed
from shared.risk.checks import text
from shared.risk.scenarios import MARKET, Scenario
from shared.risk.stress import STOP_GAP, StressAccount, StressPosition, StressResult, stress


def report(
    desk: Desk, scenarios: Sequence[Scenario], stop_gap: Decimal | None = None
) -> dict[str, Any]:
    """What each scenario would do, the worst first; money as strings of USDT.

    Parameters
    ----------
    scenarios : sequence of Scenario
    stop_gap : Decimal, optional
        Share of the move beyond a stop by which it is filled worse.

    Raises
    ------
    InvalidInput
        For a gap that is not a share.
    """
    gap = STOP_GAP if stop_gap is None else stop_gap
    if not (gap.is_finite() and 0 <= gap <= 1):
        raise InvalidInput(f"stopGap is {gap}; use a share from 0 to 1")
    now = exposed.read(desk)
    positions = _positions(desk, now)
    account = _account(desk, now)
    # With the market's own past: whatever is held may follow it.
    past = desk.histories.of({MARKET, *(h.position.symbol for h in now.held)} if now.held else ())
    found = [stress(s, positions, account, past, stop_gap=gap) for s in scenarios]
    found.sort(key=lambda r: r.pnl)
    return {
        "time": iso(now.at),
        "account": desk.account,
        "venue": desk.environment,
        "equity": str(now.account.equity),
        "stopGap": str(gap),
        "results": [_told(one, now.account.equity) for one in found],
        "notes": [] if now.held else ["nothing is held"],
    }


def _positions(desk: Desk, now: Exposed) -> list[StressPosition]:
    instruments = desk.exchange.instruments() if now.held else {}
    found = []
    for held in now.held:
        p = held.position
        found.append(
            StressPosition(
                symbol=p.symbol,
                quantity=p.quantity,
                entry_price=p.entry_price,
                mark_price=p.mark_price,
                # The venue shows no wallet of its own for a position in cross margin.
                isolated_wallet=p.isolated_wallet if p.isolated_wallet > 0 else None,
                stop_price=held.stop_price,
                take_profit_price=held.take_profit_price,
                brackets=desk.exchange.maintenance_brackets(p.symbol),
                liquidation_fee=instruments[p.symbol].liquidation_fee,
            )
        )
    return found


def _account(desk: Desk, now: Exposed) -> StressAccount:
    ledger = now.ledger
    by_equity = (
        ledger.day_start_equity - now.account.equity if ledger.day_start_equity > 0 else Decimal(0)
    )
    return StressAccount(
        equity=now.account.equity,
        wallet_balance=now.account.wallet_balance,
        equity_peak=ledger.equity_peak,
        day_loss=max(Decimal(0), -ledger.day_realized_pnl, by_equity),
        max_drawdown=desk.limits.max_drawdown,
        max_daily_loss=desk.limits.max_daily_loss,
    )


def _told(one: StressResult, equity: Decimal) -> dict[str, Any]:
    scenario = one.scenario
    return {
        "id": scenario.id,
        "title": scenario.title,
        "approximate": scenario.approximate,
        "source": scenario.source,
        "pnl": text(one.pnl),
        "pnlOfEquity": round(float(one.pnl / equity), 6) if equity > 0 else None,
        "pnlWithoutStops": text(one.pnl_without_stops),
        "equityAfter": text(one.equity_after),
        "drawdownAfter": text(one.drawdown_after),
        "liquidated": list(one.liquidated),
        "liquidatedWithoutStops": list(one.liquidated_without_stops),
        "limits": list(one.limits),
        "positions": [
            {
                "symbol": p.symbol,
                "shock": text(p.shock),
                "shockFrom": p.shock_from,
                "outcome": p.outcome,
                "price": text(p.price),
                "pnl": text(p.pnl),
            }
            for p in one.positions
        ],
    }
