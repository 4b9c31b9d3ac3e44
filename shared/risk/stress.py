"""What a scenario would do to the portfolio of now: stops that slip, margins that are used up.

Prices go from the mark price of now straight to the scenario's. On the way a stop triggers at its
price and is filled worse by ``stop_gap`` of what the price still moves; a target is filled at its
price. Whatever gets to its liquidation price first is liquidated: in isolated margin that costs
the whole margin balance and no more (fee included, the insurance fund carries the rest), in cross
margin the loss goes on to the scenario's price, and the fee comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

import msgspec

from shared.execution.exchange import MaintenanceBracket
from shared.risk.checks import exact
from shared.risk.correlation import beta
from shared.risk.history import MarketHistory
from shared.risk.scenarios import LOWEST, MARKET, Scenario

ZERO = Decimal(0)
CENT = Decimal("0.0001")
#: Beta of a contract without enough history: smaller coins have fallen harder than BTC.
UNKNOWN_BETA = Decimal("1.5")
#: Share of the move beyond a stop that its fill is worse by, unless asked otherwise.
STOP_GAP = Decimal("0.5")
TAKER_FEE = Decimal("0.0005")

Outcome = Literal["held", "stopped", "target", "liquidated"]


class StressPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position as it stands. ``quantity`` is signed, prices and money in USDT.

    ``isolated_wallet`` is ``None`` in cross margin. ``brackets`` may be empty: liquidation is then
    judged by the margin alone.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    isolated_wallet: Decimal | None
    stop_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    brackets: tuple[MaintenanceBracket, ...] = ()
    liquidation_fee: Decimal = Decimal("0.0125")

    def unrealized(self, price: Decimal) -> Decimal:
        """Profit at a price since entry."""
        return (price - self.entry_price) * self.quantity


class StressAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account and the limits that a loss would run into."""

    equity: Decimal
    wallet_balance: Decimal
    equity_peak: Decimal
    day_loss: Decimal
    max_drawdown: Decimal
    max_daily_loss: Decimal


class StressedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a position. ``pnl`` is from now on, what is unrealised already left out.

    ``shock_from`` says where the move comes from: ``scenario``, ``beta`` (measured) or
    ``assumed beta``. ``price`` is where it ended or was closed.
    """

    symbol: str
    shock: Decimal
    shock_from: str
    outcome: Outcome
    price: Decimal
    pnl: Decimal


class StressResult(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario's outcome, USDT. ``limits`` names what would latch or refuse afterwards."""

    scenario: Scenario
    pnl: Decimal
    pnl_without_stops: Decimal
    equity_after: Decimal
    drawdown_after: Decimal
    liquidated: tuple[str, ...]
    liquidated_without_stops: tuple[str, ...]
    limits: tuple[str, ...]
    positions: tuple[StressedPosition, ...]


def stress(
    scenario: Scenario,
    positions: Sequence[StressPosition],
    account: StressAccount,
    history: MarketHistory,
    *,
    stop_gap: Decimal = STOP_GAP,
) -> StressResult:
    """Play a scenario on the account.

    Parameters
    ----------
    stop_gap : Decimal
        0: stops fill at their price; 1: at the worst price of the scenario.
    """
    with exact():
        done = _play(scenario, positions, account, history, stop_gap)
        bare = _play(
            scenario,
            [msgspec.structs.replace(p, stop_price=None) for p in positions],
            account,
            history,
            stop_gap,
        )
        pnl = sum((p.pnl for p in done), ZERO)
        after = account.equity + pnl
        peak = max(account.equity_peak, account.equity)
        fall = (peak - after) / peak if peak > 0 else ZERO
        limits = []
        if fall >= account.max_drawdown:
            limits.append("max_drawdown: latches the kill switch, everything is closed")
        if account.day_loss - pnl >= account.max_daily_loss:
            limits.append("daily_loss: no entry for the rest of the UTC day")
        return StressResult(
            scenario=scenario,
            pnl=pnl,
            pnl_without_stops=sum((p.pnl for p in bare), ZERO),
            equity_after=after,
            drawdown_after=max(ZERO, fall).quantize(CENT),
            liquidated=_liquidated(done),
            liquidated_without_stops=_liquidated(bare),
            limits=tuple(limits),
            positions=tuple(done),
        )


def _liquidated(found: Sequence[StressedPosition]) -> tuple[str, ...]:
    return tuple(p.symbol for p in found if p.outcome == "liquidated")


def shock_of(symbol: str, scenario: Scenario, history: MarketHistory) -> tuple[Decimal, str]:
    """The move of a symbol in a scenario, and where it comes from."""
    known = scenario.shocks.get(symbol)
    if known is not None:
        return known, "scenario"
    if not scenario.market:
        return ZERO, "scenario"
    measured = beta(symbol, MARKET, history)
    slope = UNKNOWN_BETA if measured is None else measured
    move = max(LOWEST, slope * scenario.market).quantize(CENT)
    return move, "assumed beta" if measured is None else "beta"


def maintenance(brackets: Sequence[MaintenanceBracket], notional: Decimal) -> Decimal:
    """Margin in USDT below which a position of this notional is liquidated; 0 without a table."""
    for row in brackets:
        if notional <= row.cap:
            return notional * row.rate - row.cum
    return notional * brackets[-1].rate - brackets[-1].cum if brackets else ZERO


def _play(
    scenario: Scenario,
    positions: Sequence[StressPosition],
    account: StressAccount,
    history: MarketHistory,
    gap: Decimal,
) -> list[StressedPosition]:
    found: list[StressedPosition] = []
    for position in positions:
        shock, origin = shock_of(position.symbol, scenario, history)
        outcome, price, pnl = _alone(position, shock, gap)
        found.append(
            StressedPosition(
                symbol=position.symbol,
                shock=shock,
                shock_from=origin,
                outcome=outcome,
                price=price,
                pnl=_cents(pnl),
            )
        )
    return _with_cross(positions, found, account)


def _alone(
    position: StressPosition, shock: Decimal, gap: Decimal
) -> tuple[Outcome, Decimal, Decimal]:
    """Outcome, price and profit of a position for itself; cross margin is looked at later."""
    mark, quantity = position.mark_price, position.quantity
    side = 1 if quantity > 0 else -1
    end = mark * (1 + shock)
    stop, target = position.stop_price, position.take_profit_price
    if (end - mark) * side >= 0:
        if target is not None and (end - target) * side >= 0:
            # A price that is beyond its target already is closed where it is.
            price = target if (target - mark) * side > 0 else mark
            return "target", price, _closed(position, price)
        return "held", end, (end - mark) * quantity
    if stop is not None and (end - stop) * side <= 0:
        trigger = stop if (stop - mark) * side < 0 else mark
        price = trigger + gap * (end - trigger)
        if not _margin_gone(position, price):
            return "stopped", price, _closed(position, price)
    elif not _margin_gone(position, end):
        return "held", end, (end - mark) * quantity
    # Isolated: what the position is worth now is gone, and nothing else.
    wallet = position.isolated_wallet or ZERO
    return "liquidated", end, -max(ZERO, wallet + position.unrealized(mark))


def _closed(position: StressPosition, price: Decimal) -> Decimal:
    fee = abs(position.quantity) * price * TAKER_FEE
    return (price - position.mark_price) * position.quantity - fee


def _margin_gone(position: StressPosition, price: Decimal) -> bool:
    """Whether an isolated position has been liquidated once the price is here."""
    if position.isolated_wallet is None:
        return False
    needed = maintenance(position.brackets, abs(position.quantity) * price)
    return position.isolated_wallet + position.unrealized(price) <= needed


def _with_cross(
    positions: Sequence[StressPosition],
    found: list[StressedPosition],
    account: StressAccount,
) -> list[StressedPosition]:
    """Liquidate what is held in cross margin if together it has too little of it."""
    cross = [n for n, p in enumerate(positions) if p.isolated_wallet is None]
    open_ = [n for n in cross if found[n].outcome == "held"]
    if not open_:
        return found
    isolated = sum((p.isolated_wallet or ZERO for p in positions), ZERO)
    balance = account.wallet_balance - isolated
    for n in cross:
        balance += positions[n].unrealized(positions[n].mark_price) + found[n].pnl
    needed = sum(
        (
            maintenance(positions[n].brackets, abs(positions[n].quantity) * found[n].price)
            for n in open_
        ),
        ZERO,
    )
    if balance > needed:
        return found
    for n in open_:
        position, one = positions[n], found[n]
        fee = abs(position.quantity) * one.price * position.liquidation_fee
        found[n] = msgspec.structs.replace(one, outcome="liquidated", pnl=_cents(one.pnl - fee))
    return found


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)
