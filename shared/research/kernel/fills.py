"""What happens to the account: entry, exit, liquidation, funding, settlement."""

from __future__ import annotations

import numpy as np

from shared.research.kernel.book import take, to_price, touch
from shared.research.kernel.compiler import kernel
from shared.research.kernel.grid import cents
from shared.research.kernel.records import MAX_BRACKETS
from shared.research.kernel.stops import STOP_FRACTION_MAX, STOP_FRACTION_MIN, bracket
from shared.research.result import EXIT_REASONS

STOP = EXIT_REASONS.index("stop")
TRAILING = EXIT_REASONS.index("trailing stop")
TAKE_PROFIT = EXIT_REASONS.index("take profit")
TIME_EXIT = EXIT_REASONS.index("time exit")
LIQUIDATION = EXIT_REASONS.index("liquidation")
KILL = EXIT_REASONS.index("kill switch")
END = EXIT_REASONS.index("end of data")
UNPROTECTED = EXIT_REASONS.index("protection failed")


@kernel
def liquidation_price(contract, side, quantity, entry, locked):
    """Mark price at which an isolated position is liquidated; 0 where none is."""
    fallback = 0.0
    for i in range(MAX_BRACKETS):
        cap = contract.cap[i]
        if cap == 0:
            break
        floor = contract.cap[i - 1] if i > 0 else 0.0
        price = (locked + contract.cum[i] - side * quantity * entry) / (
            quantity * contract.rate[i] - side * quantity
        )
        if price <= 0:
            continue
        fallback = price
        if floor < quantity * price <= cap:
            return price
    return fallback


@kernel
def close(p, contract, a, now, price, bar_range, mark, reason):
    """Close a position at market; a liquidation loses at most its margin."""
    buy = p.side < 0
    bid, ask = touch(contract, price, bar_range)
    liquidated = reason == LIQUIDATION
    limit = mark * (1 + contract.take_bound if buy else 1 - contract.take_bound)
    if liquidated:
        limit = np.inf if buy else 0.0
    _, quote, last = take(contract, price, ask if buy else bid, p.steps, limit, buy, True)
    exit_price = quote / p.quantity
    if last == (ask if buy else bid):
        exit_price = to_price(contract, last)
    pnl = cents((quote - p.quantity * p.entry) * p.side)
    fee = 0.0 if liquidated else cents(quote * contract.taker_fee)
    p.gross += pnl
    p.fees += fee
    a.wallet += pnl - fee
    if liquidated:
        left = p.locked + pnl
        cleared = -left
        if left >= 0:
            cleared = -min(cents(quote * contract.liquidation_fee), left)
        p.cleared += cleared
        a.wallet += cleared
    p.slippage += (quote - p.quantity * price) * (1 if buy else -1)
    p.exit_price = exit_price
    p.closed_at = now
    p.reason = reason
    p.side = 0
    p.locked = 0.0


@kernel
def fund(p, contract, a, mark, rate):
    """Pay or receive funding; it moves the margin and so the liquidation price."""
    fee = cents(-p.side * p.quantity * mark * rate)
    if fee == 0:
        return
    p.funding += fee
    p.locked += fee
    a.wallet += fee
    p.liquidation = liquidation_price(contract, p.side, p.quantity, p.entry, p.locked)


@kernel
def open_position(
    p, plan, contract, s, a, now, price, bar_range, mark, available, strategy, bar_ms, atr_row
):
    """Send the entry of a plan; ``True`` when something was filled.

    Mirrors the venue's checks of a limit order that may be refused (smallest notional, margin),
    the fill at the plan's worst price or better, and stop and target around what was paid.
    """
    buy = plan.side > 0
    worst = to_price(contract, plan.worst_ticks)
    bid, ask = touch(contract, price, bar_range)
    best = ask if buy else bid
    quantity = plan.steps * contract.step_top / contract.step_bottom
    if quantity * worst < contract.min_notional * (1 - 1e-12):
        return False
    if worst > mark * contract.percent_up if buy else worst < mark * contract.percent_down:
        return False
    paid = min(worst, to_price(contract, ask)) if buy else max(worst, mark)
    loss = max(0.0, quantity * (paid - mark if buy else mark - paid))
    needed = quantity * paid / s.leverage + loss + quantity * paid * contract.taker_fee
    if needed > available + 1e-9:
        return False
    filled, quote, last = take(contract, price, best, plan.steps, worst, buy, False)
    if filled <= 0:
        return False
    quantity = filled * contract.step_top / contract.step_bottom
    ticks = last
    entry = to_price(contract, last)
    if last != best:
        entry = cents(quote / quantity)
        ticks = entry / contract.tick
    fee = cents(quote * contract.taker_fee)
    a.wallet -= fee
    p.used = True
    p.side = plan.side
    p.long = plan.side
    p.steps = filled
    p.quantity = quantity
    p.entry = entry
    p.entry_ticks = ticks
    p.locked = cents(quote / s.leverage)
    p.best = to_price(contract, plan.reference_ticks)
    p.stop_fraction = plan.stop_fraction
    p.trail_fraction = plan.trail_fraction
    p.activation_ticks = plan.activation_ticks
    p.time_exit = plan.time_exit
    p.bar_ms = bar_ms
    p.atr_row = atr_row
    p.pending = False
    p.opened_at = now
    p.strategy = strategy
    p.gross = 0.0
    p.fees = fee
    p.cleared = 0.0
    p.funding = 0.0
    p.slippage = (quote - quantity * price) * plan.side
    p.risk = plan.risk
    p.highest = mark
    p.lowest = mark
    p.entry_state = 2
    p.entry_notional = quote
    p.entry_risk = plan.risk * (filled / plan.steps)
    p.liquidation = liquidation_price(contract, p.side, quantity, entry, p.locked)
    a.used += 1
    a.opened_today += 1
    stop, target = plan.stop_ticks, plan.target_ticks
    if ticks != plan.reference_ticks:
        fraction = min(max(plan.stop_fraction, STOP_FRACTION_MIN), STOP_FRACTION_MAX)
        stop, target, _, _, _, _ = bracket(
            plan.side,
            ticks,
            fraction,
            plan.reward_risk,
            STOP_FRACTION_MIN,
            STOP_FRACTION_MAX,
            1.0,
        )
    p.stop_ticks = stop
    p.first_stop_ticks = stop
    p.target_ticks = target
    stop_price, target_price = to_price(contract, stop), to_price(contract, target)
    if stop == 0 or (mark <= stop_price if buy else mark >= stop_price):
        close(p, contract, a, now, price, bar_range, mark, UNPROTECTED)
        return True
    p.target_live = not (mark >= target_price if buy else mark <= target_price)
    return True


@kernel
def settle(p, symbol, contract, a, day, day_ms, trades):
    """The guardian finds the symbol flat: write the trade, free the ledger's room."""
    row = trades[a.trades]
    a.trades += 1
    net = p.gross - p.fees + p.funding + p.cleared
    if p.closed_at // day_ms == day:
        a.day_realized += net
    row.symbol = symbol
    row.strategy = p.strategy
    row.side = p.long
    row.exit_reason = p.reason
    row.opened_at = p.opened_at
    row.closed_at = p.closed_at
    row.quantity = p.quantity
    row.entry_price = p.entry
    row.exit_price = p.exit_price
    row.stop_price = to_price(contract, p.first_stop_ticks)
    row.gross = p.gross
    row.fees = p.fees - p.cleared
    row.funding = p.funding
    row.slippage = p.slippage
    row.net = net
    row.risk = p.risk
    up, under = (p.highest - p.entry) * p.quantity, (p.lowest - p.entry) * p.quantity
    row.best = max(0.0, up if p.long > 0 else -under)
    row.worst = min(0.0, under if p.long > 0 else -up)
    if net < 0:
        p.losses += 1
        p.last_loss = p.closed_at
    else:
        p.losses = 0
    p.used = False
    p.entry_state = 0
    p.entry_notional = 0.0
    p.entry_risk = 0.0
    a.used -= 1
