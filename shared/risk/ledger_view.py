"""What the ledger holds, and whether there is room left: records and pure judgement."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from shared.errors import BorsaError
from shared.execution.exchange import Side
from shared.risk.checks import at_most, text
from shared.risk.exposure import committed_notional, committed_risk, open_symbols
from shared.risk.limits import MAX_POSITIONS_PER_SYMBOL, Limits
from shared.risk.plan import Check, Exposure, OrderPlan, StageRules

ZERO = Decimal(0)


class LimitReached(BorsaError):
    """A reservation would exceed a limit; nothing was reserved.

    ``checks`` are those that failed, with their figures.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)
        super().__init__("; ".join(f"{c.name} {c.value} exceeds {c.limit}" for c in self.checks))


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Room held for one decision. ``notional`` and ``risk`` in USDT at the worst entry price.

    ``state`` is ``reserved`` while the entry may still fill, ``open`` once its fill is known.
    """

    decision_id: str
    symbol: str
    side: Side
    quantity: Decimal
    notional: Decimal
    risk: Decimal
    state: Literal["reserved", "open"]
    at: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that is over, and whether its result was booked."""

    at: int
    booked: bool


class BalanceMark(msgspec.Struct, frozen=True, kw_only=True):
    """The last wallet balance that the income history explained.

    Parameters
    ----------
    wallet : Decimal
        USDT.
    cursor : int
        The exchange's time of the newest line that is part of it; later ones are not.
    peak : Decimal
        The equity peak at that moment; zero where it was unknown.
    odd_since : int
        Since when a later balance is not explained; zero where it is.
    """

    wallet: Decimal
    cursor: int
    peak: Decimal = ZERO
    odd_since: int = 0


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger as read at one moment. Unknown equity figures are zero.

    ``day`` is the UTC day of the daily figures; ``day_realized_pnl`` is net of fees and funding;
    ``day_start_at`` is when ``day_start_equity`` was read, of the day before where it was carried
    over, zero where nobody said; ``opened_today`` counts entries that filled. ``venue`` is where
    equity was read last; empty where nobody said. ``entries`` holds every live reservation by
    decision id.
    """

    day: str
    day_realized_pnl: Decimal = ZERO
    day_start_equity: Decimal = ZERO
    day_start_at: int = 0
    equity: Decimal = ZERO
    equity_at: int = 0
    equity_peak: Decimal = ZERO
    venue: str = ""
    opened_today: int = 0
    balance: BalanceMark | None = None
    entries: dict[str, Reservation] = {}
    settled: dict[str, Settled] = {}

    @property
    def reservations(self) -> dict[str, Reservation]:
        """Entries whose fill is not known yet."""
        return {k: r for k, r in self.entries.items() if r.state == "reserved"}

    @property
    def trades_today(self) -> int:
        """Entries filled today, plus those that may still fill."""
        return self.opened_today + len(self.reservations)

    @property
    def day_loss(self) -> Decimal:
        """The worse of what was booked today and what equity has lost since the day began."""
        by_equity = self.day_start_equity - self.equity if self.day_start_equity > 0 else ZERO
        return max(ZERO, -self.day_realized_pnl, by_equity)

    def exposures(self, *, exclude: str = "") -> tuple[Exposure, ...]:
        """The ledger's part of the exposure, without one decision's own."""
        return tuple(
            Exposure(
                symbol=r.symbol,
                quantity=r.quantity if r.side == "BUY" else -r.quantity,
                notional=r.notional,
                kind=r.state,
                decision_id=r.decision_id,
                risk=r.risk,
            )
            for r in self.entries.values()
            if r.decision_id != exclude
        )


def risk_room(view: LedgerView, limits: Limits) -> Decimal:
    """USDT that may still be lost before the day's limit or the drawdown limit is reached."""
    drawdown_room = (
        view.equity - view.equity_peak * (1 - limits.max_drawdown)
        if view.equity_peak > 0
        else limits.max_daily_loss
    )
    return min(limits.max_daily_loss - view.day_loss, drawdown_room)


def room_checks(
    plan: OrderPlan,
    limits: Limits,
    stage: StageRules | None,
    view: LedgerView,
    others: Sequence[Exposure],
) -> tuple[Check, ...]:
    """Every limit that another workflow may have used up since the plan was made."""
    committed, symbols = committed_notional(others), open_symbols(others)
    at_risk = committed_risk(others)
    trades = view.opened_today + sum(k != plan.decision_id for k in view.reservations)
    per_day = min(limits.max_trades_per_day, stage.max_trades_per_day if stage else 10**9)
    return (
        at_most(
            "symbol_free",
            sum(e.symbol == plan.symbol for e in others),
            MAX_POSITIONS_PER_SYMBOL - 1,
            "other exposure on the symbol",
        ),
        at_most(
            "open_positions",
            None if symbols is None else len(symbols | {plan.symbol}),
            limits.max_open_positions,
            "symbols with exposure, this one included",
        ),
        at_most("position_notional", plan.worst_notional, limits.max_position_notional, "USDT"),
        at_most(
            "total_notional",
            None if committed is None else sum(committed.values(), plan.worst_notional),
            limits.max_total_notional,
            "USDT over all symbols, this one included",
        ),
        at_most("trades_today", trades, per_day - 1, "entries filled or reserved today"),
        at_most(
            "risk_room",
            None if at_risk is None else at_risk + plan.risk_amount,
            risk_room(view, limits),
            f"USDT lost if every stop is hit; {text(view.day_loss)} lost today",
        ),
    )
