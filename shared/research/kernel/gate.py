"""The decision on a signal, as :mod:`shared.risk.gate` and :mod:`shared.risk.proposal` take it."""

from __future__ import annotations

import math

from shared.research.kernel.book import to_price
from shared.research.kernel.compiler import kernel
from shared.research.kernel.grid import down, up, whole_steps
from shared.research.kernel.records import REASONS
from shared.research.kernel.stops import bracket

YEAR_MS = 365 * 86_400_000
#: Room for the last digit of a float beside an exact decimal.
EPSILON = 1e-12
#: As in :mod:`shared.risk.gate`.
MAX_COOLDOWN_LOSSES = 6

STRENGTH = REASONS.index("signal_strength")
FIGURES = REASONS.index("signal_figures")
AGE = REASONS.index("signal_age")
SPREAD = REASONS.index("spread")
DEVIATION = REASONS.index("price_deviation")
STAGE_SYMBOL = REASONS.index("stage_symbol")
KILL_SWITCH = REASONS.index("kill_switch")
BALANCES = REASONS.index("balances")
DAILY_LOSS = REASONS.index("daily_loss")
DRAWDOWN = REASONS.index("drawdown")
TRADES_TODAY = REASONS.index("trades_today")
COOLDOWN = REASONS.index("cooldown")
LEVERAGE = REASONS.index("leverage")
STOP_SIDE = REASONS.index("stop_side")
STOP_DISTANCE = REASONS.index("stop_distance")
REWARD_RISK = REASONS.index("reward_risk")
SYMBOL_FREE = REASONS.index("symbol_free")
OPEN_POSITIONS = REASONS.index("open_positions")
POSITION_NOTIONAL = REASONS.index("position_notional")
TOTAL_NOTIONAL = REASONS.index("total_notional")
QUANTITY = REASONS.index("quantity")
MIN_NOTIONAL = REASONS.index("min_notional")
STOP_VERSUS_MARKET = REASONS.index("stop_versus_market")
MARK_NOTIONAL = REASONS.index("mark_notional")
MARGIN = REASONS.index("margin")
RISK_ROOM = REASONS.index("risk_room")
CONSISTENT = REASONS.index("plan_consistent")


@kernel
def decide(
    plan,
    contract,
    s,
    a,
    now,
    signal,
    bar_ms,
    bid_ticks,
    ask_ticks,
    mark,
    equity,
    available,
    committed,
    at_risk,
    occupied,
    symbols_open,
    trades_today,
    losses,
    last_loss,
):
    """Fill in ``plan`` and its reason.

    Parameters
    ----------
    plan : record of PLAN
        ``row``, ``symbol`` and ``side`` are set.
    s, a : Settings, record of ACCOUNT
    signal : tuple
        Strength, threshold, close, ATR, volatility, time of the bar's close.
    committed, at_risk : float
        USDT committed over all symbols, and lost if every stop were hit.
    occupied : bool
        Whether the symbol carries exposure already.
    symbols_open : int
        Symbols with exposure, this one not counted.
    losses, last_loss : int
        Losing trades of the symbol in a row, and when the last of them ended.
    """
    strength, threshold, close, atr, volatility, closed = signal
    side = plan.side
    long = side > 0
    # Signal.
    if not (strength * side > 0 and threshold <= abs(strength) <= 1):
        return STRENGTH
    if not (close > 0 and atr > 0 and volatility > 0 and math.isfinite(close + atr + volatility)):
        return FIGURES
    if not 0 <= now - closed <= s.max_signal_age_ms:
        return AGE
    # Market.
    bid, ask = to_price(contract, bid_ticks), to_price(contract, ask_ticks)
    middle = (bid + ask) / 2
    if (ask - bid) / middle > s.max_spread:
        return SPREAD
    if max(abs(middle - mark), abs(close - mark)) / mark > s.max_price_deviation:
        return DEVIATION
    if not contract.stage_allows:
        return STAGE_SYMBOL
    # Account.
    if a.latched_at != 0:
        return KILL_SWITCH
    if not (equity > 0 and a.wallet > 0 and 0 <= available <= max(a.wallet, equity) + 1e-7):
        return BALANCES
    peak = max(a.peak, equity)
    day_loss = max(0.0, a.day_start - equity, -a.day_realized)
    drawdown = (peak - equity) / peak
    if day_loss >= s.max_daily_loss:
        return DAILY_LOSS
    if drawdown >= s.max_drawdown:
        return DRAWDOWN
    if trades_today > s.max_trades_per_day - 1:
        return TRADES_TODAY
    if losses > 0 and now - last_loss < s.loss_cooldown_ms * min(losses, MAX_COOLDOWN_LOSSES):
        return COOLDOWN
    # The order.
    ticks = ask_ticks if long else bid_ticks
    price = ask if long else bid
    fraction = min(s.max_stop, max(s.min_stop, s.atr_multiple * atr / price))
    wanted_ratio = max(s.reward_risk, s.min_reward_risk)
    stop, target, rounded, ratio, trail, activation = bracket(
        side, ticks, fraction, wanted_ratio, s.min_stop, s.max_stop, s.trail_activation
    )
    if stop == 0:
        return STOP_DISTANCE
    above = 1.0 if threshold >= 1 else (abs(strength) - threshold) / (1 - threshold)
    scale = s.strength_floor + (1 - s.strength_floor) * min(1.0, max(0.0, above))
    if threshold >= 1:
        scale = 1.0
    used = min(1.0, max(0.0, drawdown / s.max_drawdown))
    scale *= 1 - (1 - s.drawdown_floor) * used
    loss = rounded + s.cost_fraction
    size = min(s.max_position_notional, s.stage_max_notional)
    if s.fixed_fractional:
        size = min(size, equity * s.risk_per_trade * scale / loss)
    if s.volatility_target:
        annual = volatility * math.sqrt(YEAR_MS / bar_ms)
        size = min(size, equity * s.target_volatility * scale / annual)
    drawdown_room = (s.max_drawdown - drawdown) * peak - at_risk
    day_room = s.max_daily_loss - day_loss - at_risk
    size = min(size, s.max_total_notional - committed, day_room / loss, drawdown_room / loss)
    size = max(0.0, min(size, available / (1.0 / s.leverage + s.cost_fraction)))
    slip = s.entry_slippage
    worst = down(ticks * (1 + slip)) if long else up(ticks * (1 - slip))
    if worst <= 0:
        return STOP_DISTANCE
    dearest = max(to_price(contract, worst) if long else price * (1 + slip), price, mark)
    steps = min(whole_steps(size / dearest / contract.step), contract.max_steps)
    if steps < contract.min_steps:
        steps = 0.0
    quantity = steps * contract.step_top / contract.step_bottom
    worst_notional = quantity * dearest
    risk = math.ceil(worst_notional * loss * 1e8 - 1e-3) / 1e8
    margin = worst_notional / s.leverage
    plan.steps = steps
    plan.reference_ticks = ticks
    plan.worst_ticks = worst
    plan.stop_ticks = stop
    plan.target_ticks = target
    plan.stop_fraction = rounded
    plan.reward_risk = ratio
    plan.trail_fraction = trail
    plan.activation_ticks = activation
    plan.worst_notional = worst_notional
    plan.risk = risk
    plan.time_exit = now + s.max_holding_bars * bar_ms
    lowest, highest = min(stop, target), max(stop, target)
    if to_price(contract, lowest) < contract.min_price or (
        contract.max_price > 0 and to_price(contract, highest) > contract.max_price
    ):
        return CONSISTENT
    if not s.stage_min_leverage <= s.leverage <= s.stage_max_leverage:
        return LEVERAGE
    if not lowest < ticks < highest:
        return STOP_SIDE
    if ratio < s.min_reward_risk - EPSILON:
        return REWARD_RISK
    if occupied:
        return SYMBOL_FREE
    if symbols_open + 1 > s.max_open_positions:
        return OPEN_POSITIONS
    near = 1 + EPSILON
    if worst_notional > min(s.max_position_notional, s.stage_max_notional) * near:
        return POSITION_NOTIONAL
    if committed + worst_notional > s.max_total_notional * near:
        return TOTAL_NOTIONAL
    if steps <= 0:
        return QUANTITY
    if quantity * price < max(contract.min_notional, s.stage_min_notional) * (1 - EPSILON):
        return MIN_NOTIONAL
    stop_price, target_price = to_price(contract, stop), to_price(contract, target)
    if long:
        clear = stop_price < min(mark, bid) and target_price > max(mark, ask)
    else:
        clear = stop_price > max(mark, ask) and target_price < min(mark, bid)
    if not clear:
        return STOP_VERSUS_MARKET
    if quantity * mark < contract.min_notional * (1 - EPSILON):
        return MARK_NOTIONAL
    if margin + worst_notional * s.cost_fraction > available * near:
        return MARGIN
    if risk > min(day_room, drawdown_room) * near + 1e-8:
        return RISK_ROOM
    return 0
