"""The risk gate: one pure function from inputs to a decision.

Every check is asked every time and listed with its figures, whether it passed or not. What
cannot be judged does not pass. Order matters only for reading: data first, then the state of the
account, then the order itself, so that the first reason is the cause.
"""

from __future__ import annotations

from decimal import Decimal

from shared import clock
from shared.compliance import pretrade
from shared.risk.checks import at_least, at_most, between, exact, holds, not_judged, reasons, text
from shared.risk.decision import Check, Decision, DecisionInputs, OrderPlan
from shared.risk.limits import PLAN_CHECKS, STOP_FRACTION_MAX, plan_checks
from shared.risk.portfolio_gate import portfolio_checks
from shared.risk.proposal import Facts, positive, propose, usable

ZERO = Decimal(0)
#: Bound on losses in a row that lengthen a cool-down.
MAX_COOLDOWN_LOSSES = 6


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
    facts = usable(inputs)
    plan, sizes, why = propose(inputs, facts)
    checks = (
        *_signal_checks(inputs, facts),
        *_market_checks(inputs, facts),
        *_account_checks(inputs, facts),
        *_order_checks(inputs, facts, plan, why),
        *_compliance_checks(inputs, plan),
        *portfolio_checks(
            plan, inputs.exposures, facts.equity, inputs.history, inputs.limits.portfolio, why
        ),
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


def _signal_checks(inputs: DecisionInputs, facts: Facts) -> tuple[Check, ...]:
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


def _market_checks(inputs: DecisionInputs, facts: Facts) -> tuple[Check, ...]:
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


def _account_checks(inputs: DecisionInputs, facts: Facts) -> tuple[Check, ...]:
    limits, stage = inputs.limits, inputs.stage
    today = clock.day(inputs.now_ms)
    wallet = positive(inputs.wallet_balance)
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


def _compliance_checks(inputs: DecisionInputs, plan: OrderPlan | None) -> tuple[Check, ...]:
    if inputs.compliance is None:
        return ()
    return pretrade.checks(inputs.compliance, plan, inputs.now_ms)


def _below(name: str, value: Decimal | None, limit: Decimal, detail: str) -> Check:
    """Reaching the limit is already too much."""
    passed = value is not None and value < limit
    return Check(name=name, passed=passed, value=text(value), limit=text(limit), detail=detail)


def _order_checks(
    inputs: DecisionInputs, facts: Facts, plan: OrderPlan | None, why: str
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
