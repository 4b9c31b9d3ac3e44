"""The risk gate: one pure function from inputs to a decision.

Every check is asked every time and listed with its figures, whether it passed or not. What
cannot be judged does not pass. Order matters only for reading: data first, then the state of the
account, then the order itself, so that the first reason is the cause.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal

import msgspec

from shared import clock
from shared.errors import InvalidInput
from shared.market.timeframe import duration_ms
from shared.risk.bracket import Bracket, bracket, stop_distance
from shared.risk.checks import (
    at_least,
    at_most,
    between,
    exact,
    finite,
    holds,
    not_judged,
    reasons,
    text,
)
from shared.risk.decision import Check, Decision, DecisionInputs, OrderPlan
from shared.risk.exposure import committed_notional, committed_risk
from shared.risk.limits import PLAN_CHECKS, STOP_FRACTION_MAX, plan_checks
from shared.risk.sizing import (
    SIZERS,
    SizingFacts,
    drawdown_scale,
    smallest,
    strength_scale,
)

ZERO = Decimal(0)
#: Bound on losses in a row that lengthen a cool-down.
MAX_COOLDOWN_LOSSES = 6


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
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


def decide(inputs: DecisionInputs) -> Decision:
    """Decide on a signal. Pure: the same inputs give the same bytes.

    Returns
    -------
    Decision
        ``approved`` with a plan only if every check passed.
    """
    with exact():
        return _decide(inputs)


def _decide(inputs: DecisionInputs) -> Decision:
    facts = _facts(inputs)
    plan, sizes, why = _plan(inputs, facts)
    checks = (
        *_signal_checks(inputs, facts),
        *_market_checks(inputs, facts),
        *_account_checks(inputs, facts),
        *_order_checks(inputs, facts, plan, why),
    )
    declined = reasons(checks)
    approved = all(c.passed for c in checks) and plan is not None
    return Decision(
        id=inputs.signal.id,
        account_id=inputs.account_id,
        signal_id=inputs.signal.id,
        symbol=inputs.signal.symbol,
        stage=inputs.stage.name,
        outcome="approved" if approved else "declined",
        reasons=declined,
        checks=checks,
        sizes=sizes,
        plan=plan if approved else None,
        needs_approval=inputs.stage.needs_approval,
        decided_at=inputs.now_ms,
    )


def _positive(value: Decimal | float | None) -> Decimal | None:
    number = finite(value)
    return number if number is not None and number > 0 else None


def _facts(inputs: DecisionInputs) -> _Facts:
    signal = inputs.signal
    try:
        bar_ms = duration_ms(signal.timeframe)
    except InvalidInput:
        bar_ms = None
    bid, ask = _positive(inputs.bid_price), _positive(inputs.ask_price)
    equity, peak = _positive(inputs.equity), _positive(inputs.equity_peak)
    start, realized = _positive(inputs.day_start_equity), finite(inputs.day_realized_pnl)
    if equity is not None and peak is not None:
        # A peak read before this equity may lag behind it.
        peak = max(peak, equity)
    committed = committed_notional(inputs.exposures)
    threshold = finite(signal.threshold)
    return _Facts(
        bar_ms=bar_ms,
        strength=finite(signal.strength),
        threshold=threshold if threshold is not None and 0 <= threshold <= 1 else None,
        close=_positive(signal.close),
        atr=_positive(signal.atr),
        volatility=_positive(signal.volatility),
        mark=_positive(inputs.mark_price),
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


def _signal_checks(inputs: DecisionInputs, facts: _Facts) -> tuple[Check, ...]:
    signal, limits = inputs.signal, inputs.limits
    strength, threshold = facts.strength, facts.threshold
    agrees = strength is not None and (
        strength > 0 if signal.side == "BUY" else strength < 0 if signal.side == "SELL" else False
    )
    figures = {
        "close": facts.close,
        "atr": facts.atr,
        "volatility": facts.volatility,
        "bar": facts.bar_ms,
    }
    bad = [name for name, value in figures.items() if value is None]
    return (
        holds("signal_side", signal.side is not None, signal.side, "BUY or SELL", "direction"),
        holds(
            "signal_strength",
            agrees
            and strength is not None
            and threshold is not None
            and threshold <= abs(strength) <= 1,
            text(strength),
            text(threshold),
            "agrees with the direction, at least the threshold, at most 1",
        ),
        holds(
            "signal_figures",
            not bad,
            ", ".join(bad) or "usable",
            "usable",
            "close, ATR and volatility positive and finite, time frame known",
        ),
        between(
            "signal_age",
            inputs.now_ms - signal.bar_close_time,
            0,
            limits.max_signal_age_ms,
            "milliseconds since the bar closed",
        ),
    )


def _market_checks(inputs: DecisionInputs, facts: _Facts) -> tuple[Check, ...]:
    limits, instrument, stage = inputs.limits, inputs.instrument, inputs.stage
    bid, ask, mark = facts.bid, facts.ask, facts.mark
    book = bid is not None and ask is not None and bid <= ask
    spread = deviation = None
    if bid is not None and ask is not None and book:
        middle = (bid + ask) / 2
        spread = (ask - bid) / middle
        if mark is not None and facts.close is not None:
            deviation = max(abs(middle - mark), abs(facts.close - mark)) / mark
    return (
        holds(
            "instrument",
            instrument.symbol == inputs.signal.symbol and instrument.status == "TRADING",
            f"{instrument.symbol} {instrument.status}",
            f"{inputs.signal.symbol} TRADING",
            "the signal's contract is trading",
        ),
        between(
            "market_data_age",
            inputs.market_data_age_ms,
            0,
            limits.max_market_data_age_ms,
            "milliseconds since mark price and book were read",
        ),
        holds(
            "prices",
            book and mark is not None,
            f"{text(inputs.bid_price)} / {text(inputs.ask_price)} / {text(inputs.mark_price)}",
            "bid <= ask, mark",
            "bid, ask and mark price positive and finite",
        ),
        at_most("spread", spread, limits.max_spread, "spread over the middle of the book"),
        at_most(
            "price_deviation",
            deviation,
            limits.max_price_deviation,
            "larger distance of book middle and signal close from the mark price",
        ),
        holds(
            "stage_symbol",
            stage.symbols is None or inputs.signal.symbol in stage.symbols,
            inputs.signal.symbol,
            "any" if stage.symbols is None else ", ".join(stage.symbols),
            f"symbols of stage {stage.name}",
        ),
    )


def _account_checks(inputs: DecisionInputs, facts: _Facts) -> tuple[Check, ...]:
    limits, stage = inputs.limits, inputs.stage
    today = clock.day(inputs.now_ms)
    wallet = _positive(inputs.wallet_balance)
    balances = (
        facts.equity is not None
        and wallet is not None
        and facts.available is not None
        and 0 <= facts.available <= max(wallet, facts.equity)
    )
    cooldown = inputs.cooldown
    losses = min(MAX_COOLDOWN_LOSSES, max(1, cooldown.losses_in_a_row))
    pause = limits.loss_cooldown_ms * losses
    since_loss = pause if cooldown.last_loss_at is None else inputs.now_ms - cooldown.last_loss_at
    return (
        holds("kill_switch", inputs.kill_switch == "armed", inputs.kill_switch, "armed", "state"),
        between(
            "account_data_age",
            inputs.account_data_age_ms,
            0,
            limits.max_account_data_age_ms,
            "milliseconds since account and positions were read",
        ),
        holds(
            "balances",
            balances,
            f"{text(inputs.equity)} / {text(inputs.wallet_balance)} / "
            f"{text(inputs.available_balance)}",
            "positive, available <= max(wallet, equity)",
            "equity, wallet and available balance known and consistent",
        ),
        holds("ledger_day", inputs.day == today, inputs.day, today, "UTC day of the daily figures"),
        holds(
            "exposures",
            facts.committed is not None and facts.at_risk is not None,
            text(facts.committed),
            "finite",
            "USDT committed before this order",
        ),
        _below("daily_loss", facts.day_loss, limits.max_daily_loss, "USDT lost today"),
        _below("drawdown", facts.drawdown, limits.max_drawdown, "fraction below the equity peak"),
        between(
            "trades_today",
            inputs.trades_today,
            0,
            min(limits.max_trades_per_day, stage.max_trades_per_day) - 1,
            "entries filled or reserved today",
        ),
        at_least("cooldown", since_loss, pause, "milliseconds since the last losing exit"),
    )


def _below(name: str, value: Decimal | None, limit: Decimal, detail: str) -> Check:
    """Reaching the limit is already too much."""
    passed = value is not None and value < limit
    return Check(name=name, passed=passed, value=text(value), limit=text(limit), detail=detail)


def _plan(inputs: DecisionInputs, facts: _Facts) -> tuple[OrderPlan | None, dict[str, str], str]:
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
    # Limits hold at whatever the entry may cost and at whatever it will be marked.
    dearest = max(price, worst, facts.mark)
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
    inputs: DecisionInputs, facts: _Facts, guard: Bracket, leverage: int, bar_ms: int
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
    )
    sizes = {method: SIZERS[method](config, sizing) for method in config.methods}
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


def _order_checks(
    inputs: DecisionInputs, facts: _Facts, plan: OrderPlan | None, why: str
) -> tuple[Check, ...]:
    config, limits = inputs.sizing, inputs.limits
    extra = ("stop_versus_market", "mark_notional", "margin", "risk_room")
    if plan is None:
        no_stop = why.startswith("no stop")
        return tuple(
            holds(name, False, None, f"..{text(STOP_FRACTION_MAX)}", why)
            if name == "stop_distance" and no_stop
            else not_judged(name, f"not judged: {why}")
            for name in (*PLAN_CHECKS, *extra)
        )
    stage, instrument = inputs.stage, inputs.instrument
    long = plan.side == "BUY"
    mark, bid, ask = facts.mark or ZERO, facts.bid or ZERO, facts.ask or ZERO
    clear = (
        plan.stop_price < min(mark, bid or mark) and plan.take_profit_price > max(mark, ask or mark)
        if long
        else plan.stop_price > max(mark, ask or mark)
        and plan.take_profit_price < min(mark, bid or mark)
    )
    room = None
    if facts.day_loss is not None and facts.peak is not None and facts.at_risk is not None:
        drawdown = facts.drawdown or ZERO
        room = (
            min(
                limits.max_daily_loss - facts.day_loss,
                (limits.max_drawdown - drawdown) * facts.peak,
            )
            - facts.at_risk
        )
    needed = plan.margin + plan.worst_notional * config.cost_fraction
    return (
        *plan_checks(plan, limits, instrument, inputs.exposures, stage),
        holds(
            "stop_versus_market",
            clear,
            f"{text(plan.stop_price)} / {text(plan.take_profit_price)}",
            f"{text(bid)} / {text(ask)} / {text(mark)}",
            "neither stop nor target would trigger at once, at book or mark price",
        ),
        at_least(
            "mark_notional",
            plan.quantity * mark,
            instrument.min_notional,
            "USDT at the mark price; the venue judges market orders by it",
        ),
        at_most(
            "margin",
            needed,
            facts.available if facts.available is not None else ZERO,
            "USDT of initial margin and costs, within the available balance",
        ),
        at_most(
            "risk_room",
            plan.risk_amount,
            room if room is not None else ZERO,
            "USDT lost at the stop, within what day and drawdown leave when every stop is hit",
        ),
    )
