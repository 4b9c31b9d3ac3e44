"""Layout of what the kernels work on: contracts, settings, positions, plans, trades."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Rows of a maintenance table; unused ones have a cap of 0.
MAX_BRACKETS = 16

#: One contract. Prices are counted in ticks and quantities in steps; ``ticks * tick_top /
#: tick_bottom`` is the price, correctly rounded.
CONTRACT = np.dtype(
    [
        ("tick", np.float64),
        ("tick_top", np.float64),
        ("tick_bottom", np.float64),
        ("step_top", np.float64),
        ("step_bottom", np.float64),
        ("step", np.float64),
        ("min_price", np.float64),
        ("max_price", np.float64),
        ("min_steps", np.float64),
        ("max_steps", np.float64),
        ("min_notional", np.float64),
        ("take_bound", np.float64),
        ("percent_up", np.float64),
        ("percent_down", np.float64),
        ("spread_bps", np.float64),
        ("range_share", np.float64),
        ("depth_per_bps", np.float64),
        ("taker_fee", np.float64),
        ("liquidation_fee", np.float64),
        ("stage_allows", np.bool_),
        ("cap", np.float64, (MAX_BRACKETS,)),
        ("rate", np.float64, (MAX_BRACKETS,)),
        ("cum", np.float64, (MAX_BRACKETS,)),
    ]
)

#: A position of ours from entry to settlement. Prices in ticks where the name says so.
POSITION = np.dtype(
    [
        ("used", np.bool_),  # our record: from the entry until the guardian settled it
        ("side", np.int64),  # 0: flat, and not settled yet
        ("steps", np.float64),
        ("quantity", np.float64),
        ("entry", np.float64),
        ("entry_ticks", np.float64),
        ("stop_ticks", np.float64),
        ("first_stop_ticks", np.float64),
        ("target_ticks", np.float64),
        ("target_live", np.bool_),
        ("liquidation", np.float64),
        ("locked", np.float64),
        ("best", np.float64),
        ("stop_fraction", np.float64),
        ("trail_fraction", np.float64),
        ("activation_ticks", np.float64),
        ("time_exit", np.int64),
        ("bar_ms", np.int64),
        ("atr_row", np.int64),
        ("pending", np.bool_),
        ("opened_at", np.int64),
        ("closed_at", np.int64),
        ("long", np.int64),
        ("strategy", np.int64),
        ("exit_price", np.float64),
        ("gross", np.float64),
        ("fees", np.float64),
        ("cleared", np.float64),
        ("funding", np.float64),
        ("slippage", np.float64),
        ("risk", np.float64),
        ("highest", np.float64),
        ("lowest", np.float64),
        ("reason", np.int64),
        # The ledger's entry: 0 none, 1 reserved, 2 open.
        ("entry_state", np.int64),
        ("entry_notional", np.float64),
        ("entry_risk", np.float64),
        # Of the symbol, over all its positions.
        ("losses", np.int64),  # in a row
        ("last_loss", np.int64),
    ]
)

#: What the gate decided; ``reason`` is a place in ``REASONS``, 0 approved.
PLAN = np.dtype(
    [
        ("reason", np.int64),
        ("row", np.int64),
        ("symbol", np.int64),
        ("side", np.int64),
        ("steps", np.float64),
        ("reference_ticks", np.float64),
        ("worst_ticks", np.float64),
        ("stop_ticks", np.float64),
        ("target_ticks", np.float64),
        ("stop_fraction", np.float64),
        ("reward_risk", np.float64),
        ("trail_fraction", np.float64),
        ("activation_ticks", np.float64),
        ("worst_notional", np.float64),
        ("risk", np.float64),
        ("time_exit", np.int64),
    ]
)

TRADE = np.dtype(
    [
        ("symbol", np.int16),
        ("strategy", np.int16),
        ("side", np.int8),
        ("exit_reason", np.int8),
        ("opened_at", np.int64),
        ("closed_at", np.int64),
        ("quantity", np.float64),
        ("entry_price", np.float64),
        ("exit_price", np.float64),
        ("stop_price", np.float64),
        ("gross", np.float64),
        ("fees", np.float64),
        ("funding", np.float64),
        ("slippage", np.float64),
        ("net", np.float64),
        ("risk", np.float64),
        ("best", np.float64),
        ("worst", np.float64),
    ]
)

#: The account and the ledger's day. One row.
ACCOUNT = np.dtype(
    [
        ("wallet", np.float64),
        ("peak", np.float64),
        ("equity", np.float64),
        ("day", np.int64),
        ("day_start", np.float64),
        ("day_realized", np.float64),
        ("opened_today", np.int64),
        ("latched_at", np.int64),  # 0: armed
        ("closing", np.bool_),
        ("armed_at", np.int64),
        ("alarm", np.int64),  # the next one to be judged
        ("latches", np.int64),
        ("used", np.int64),
        ("trades", np.int64),
    ]
)

#: Names of the gate's checks by reason code, in the order in which they are asked.
REASONS = (
    "approved",
    "signal_strength",
    "signal_figures",
    "signal_age",
    "prices",
    "spread",
    "price_deviation",
    "stage_symbol",
    "kill_switch",
    "balances",
    "daily_loss",
    "drawdown",
    "trades_today",
    "cooldown",
    "leverage",
    "stop_side",
    "stop_distance",
    "reward_risk",
    "symbol_free",
    "open_positions",
    "position_notional",
    "total_notional",
    "quantity",
    "min_notional",
    "stop_versus_market",
    "mark_notional",
    "margin",
    "risk_room",
    "plan_consistent",
)


class Settings(NamedTuple):
    """Limits, sizing and stop rules as numbers; the same for a whole run."""

    start_ms: int
    end_ms: int
    base_ms: int
    sample_first: int
    sample_ms: int
    order: int  # 0 rule, 1 adverse first, 2 favourable first
    deposit: float
    leverage: int
    stage_min_leverage: int
    stage_max_leverage: int
    stage_min_notional: float
    stage_max_notional: float
    max_trades_per_day: int
    max_position_notional: float
    max_total_notional: float
    max_open_positions: int
    min_stop: float
    max_stop: float
    max_daily_loss: float
    max_drawdown: float
    min_reward_risk: float
    max_signal_age_ms: int
    max_spread: float
    max_price_deviation: float
    loss_cooldown_ms: int
    fixed_fractional: bool
    volatility_target: bool
    risk_per_trade: float
    target_volatility: float
    atr_multiple: float
    reward_risk: float
    strength_floor: float
    drawdown_floor: float
    cost_fraction: float
    entry_slippage: float
    max_holding_bars: int
    trail_activation: float
    break_even_at: float
    break_even_cost: float
    trail_atr: float
    clear_after_ms: int
    volatility_floor: float
    volatility_ratio: float
    volatility_closes: bool
