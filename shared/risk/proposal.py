"""What the inputs amount to: their usable figures, and the best order they permit.

The first half of the gate. A figure that is missing, not finite or out of its domain becomes
``None`` here, and nothing later has to ask again.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal

import msgspec

from shared.errors import InvalidInput
from shared.market.timeframe import duration_ms
from shared.risk.bracket import Bracket, bracket, stop_distance
from shared.risk.checks import finite, text
from shared.risk.decision import DecisionInputs, OrderPlan
from shared.risk.exposure import committed_notional, committed_risk
from shared.risk.sizing import SIZERS, SizingFacts, drawdown_scale, smallest, strength_scale

ZERO = Decimal(0)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs' figures once they are known to be usable; ``None`` where they are not."""

    bar_ms: int | None
    strength: Decimal | None
    threshold: Decimal | None
    close: Decimal | None
    atr: Decimal | None
    volatility: Decimal | None
    mark: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    reference: Decimal | None
    equity: Decimal | None
    available: Decimal | None
    day_loss: Decimal | None
    drawdown: Decimal | None
    peak: Decimal | None
    at_risk: Decimal | None
    committed: Decimal | None


def positive(value: Decimal | float | None) -> Decimal | None:
    """The value as a finite decimal above zero, or ``None``."""
    number = finite(value)
    return number if number is not None and number > 0 else None


def usable(inputs: DecisionInputs) -> Facts:
    """The figures that can be judged."""
    signal = inputs.signal
    try:
        bar_ms = duration_ms(signal.timeframe)
    except InvalidInput:
        bar_ms = None
    bid, ask = positive(inputs.bid_price), positive(inputs.ask_price)
    equity, peak = positive(inputs.equity), positive(inputs.equity_peak)
    start, realized = positive(inputs.day_start_equity), finite(inputs.day_realized_pnl)
    if equity is not None and peak is not None:
        # A peak read before this equity may lag behind it.
        peak = max(peak, equity)
    committed = committed_notional(inputs.exposures)
    threshold = finite(signal.threshold)
    return Facts(
        bar_ms=bar_ms,
        strength=finite(signal.strength),
        threshold=threshold if threshold is not None and 0 <= threshold <= 1 else None,
        close=positive(signal.close),
        atr=positive(signal.atr),
        volatility=positive(signal.volatility),
        mark=positive(inputs.mark_price),
        bid=bid,
        ask=ask,
        reference={"BUY": ask, "SELL": bid}.get(signal.side or ""),
        equity=equity,
        available=finite(inputs.available_balance),
        # The worse of what was booked and what equity shows: neither open losses nor losses
        # hidden behind open profits go uncounted.
        day_loss=None
        if equity is None or start is None or realized is None
        else max(ZERO, start - equity, -realized),
        drawdown=None if equity is None or peak is None else (peak - equity) / peak,
        peak=peak,
        at_risk=committed_risk(inputs.exposures),
        committed=None if committed is None else sum(committed.values(), ZERO),
    )


def propose(inputs: DecisionInputs, facts: Facts) -> tuple[OrderPlan | None, dict[str, str], str]:
    """The best order the inputs permit, the candidate sizes, and why there is no order."""
    signal, limits, config, stage = inputs.signal, inputs.limits, inputs.sizing, inputs.stage
    price, bar_ms = facts.reference, facts.bar_ms
    if signal.side is None or price is None or facts.mark is None:
        return None, {}, "no direction or no price"
    if facts.atr is None or facts.volatility is None or bar_ms is None:
        return None, {}, "no ATR, volatility or time frame"
    if facts.strength is None or facts.threshold is None:
        return None, {}, "no signal strength"
    guard = bracket(
        signal.side,
        price,
        stop_distance(
            facts.atr,
            price,
            config.atr_multiple,
            limits.min_stop_fraction,
            limits.max_stop_fraction,
        ),
        max(config.reward_risk, limits.min_reward_risk),
        inputs.instrument,
        low=limits.min_stop_fraction,
        high=limits.max_stop_fraction,
        trail_activation=config.trail_activation,
    )
    if guard is None:
        return None, {}, "no stop on the tick grid within the permitted distances"
    leverage = min(limits.max_leverage, stage.max_leverage)
    candidates = _sizes(inputs, facts, guard, leverage, bar_ms)
    if candidates is None:
        return None, {}, "equity, balances or exposure unknown"
    bound, size = smallest(candidates)
    long = signal.side == "BUY"
    slip = config.entry_slippage
    worst = inputs.instrument.round_price(price * (1 + slip if long else 1 - slip), up=not long)
    if worst <= 0:
        return None, {}, "no price on the tick grid"
    # Limits hold at whatever the entry may cost and at whatever it will be marked. A sale has no
    # upper price: the better it fills, the larger it is, so it gets the same room upwards.
    dearest = max(worst if long else price * (1 + slip), price, facts.mark)
    quantity = inputs.instrument.round_quantity(size / dearest)
    worst_notional = quantity * dearest
    sizes = {name: _readable(value) for name, value in candidates.items()}
    plan = OrderPlan(
        decision_id=signal.id,
        symbol=signal.symbol,
        side=signal.side,
        quantity=quantity,
        reference_price=price,
        worst_price=worst,
        leverage=leverage,
        stop_price=guard.stop_price,
        take_profit_price=guard.take_profit_price,
        stop_fraction=guard.stop_fraction,
        reward_risk=guard.reward_risk,
        notional=quantity * price,
        worst_notional=worst_notional,
        margin=_cents(worst_notional / leverage),
        risk_amount=_cents(worst_notional * (guard.stop_fraction + config.cost_fraction)),
        time_exit_ms=inputs.now_ms + config.max_holding_bars * bar_ms,
        trail_fraction=guard.trail_fraction,
        trail_activation_price=guard.trail_activation_price,
    )
    return plan, {**sizes, "bound_by": bound}, ""


def _readable(size: Decimal) -> str:
    """A candidate size for the record: 8 decimals, and nothing beyond any account."""
    bounded = max(-(Decimal(10) ** 12), min(Decimal(10) ** 12, size))
    return text(bounded.quantize(Decimal("1e-8"), ROUND_DOWN)) or ""


def _cents(amount: Decimal) -> Decimal:
    """An amount at risk on Binance's grid of 8 decimals, never rounded down."""
    return amount.quantize(Decimal("1e-8"), ROUND_UP)


def _sizes(
    inputs: DecisionInputs, facts: Facts, guard: Bracket, leverage: int, bar_ms: int
) -> dict[str, Decimal] | None:
    """Every candidate size in USDT by name: what methods want, and what limits leave."""
    limits, config, stage = inputs.limits, inputs.sizing, inputs.stage
    if (
        facts.equity is None
        or facts.volatility is None
        or facts.strength is None
        or facts.threshold is None
        or facts.drawdown is None
        or facts.peak is None
        or facts.day_loss is None
        or facts.at_risk is None
        or facts.committed is None
        or facts.available is None
    ):
        return None
    scale = strength_scale(facts.strength, facts.threshold, config.strength_floor)
    scale *= drawdown_scale(facts.drawdown, limits.max_drawdown, config.drawdown_floor)
    sizing = SizingFacts(
        equity=facts.equity,
        stop_fraction=guard.stop_fraction,
        volatility=facts.volatility,
        bar_ms=bar_ms,
        scale=scale,
        record=inputs.record,
    )
    asked = {method: SIZERS[method](config, sizing) for method in config.methods}
    sizes = {method: size for method, size in asked.items() if size is not None}
    loss = guard.stop_fraction + config.cost_fraction
    # If every stop is hit, this one included, the day and the peak must still be within limits.
    day_room = limits.max_daily_loss - facts.day_loss - facts.at_risk
    drawdown_room = (limits.max_drawdown - facts.drawdown) * facts.peak - facts.at_risk
    return sizes | {
        "position_limit": limits.max_position_notional,
        "stage_limit": stage.max_notional,
        "total_room": limits.max_total_notional - facts.committed,
        "daily_loss_room": day_room / loss,
        "drawdown_room": drawdown_room / loss,
        "margin_room": facts.available / (Decimal(1) / leverage + config.cost_fraction),
    }
