"""Whatever the inputs: an approved plan is within every ceiling, and odd inputs never raise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.compliance.stages import STAGES
from shared.market.instrument import Instrument
from shared.risk.decision import Decision, DecisionInputs, Exposure, canonical_json
from shared.risk.gate import decide
from shared.risk.limits import Limits, verify_plan
from shared.risk.sizing import SizingConfig
from tests.risk.scenario import BTC, NOW, TODAY, D, inputs, signal

QUIET = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def decimals(low: str, high: str, places: int = 4) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), allow_nan=False, allow_infinity=False, places=places)


def mostly(usual: Any, otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Usually a value that permits a trade; else anything."""
    return st.one_of(st.just(usual), st.just(usual), otherwise)


@st.composite
def instruments(draw: st.DrawFn) -> tuple[Instrument, Decimal]:
    """A contract and a price on its tick grid; a step is worth between 0.1 and 200 USDT."""
    tick = draw(st.sampled_from(["0.0001", "0.001", "0.01", "0.10", "1"]))
    price = D(tick) * draw(mostly(20_000, st.integers(30, 1_000_000)))
    worth = draw(st.sampled_from(["0.1", "1", "5", "50", "200"]))
    step = D(10) ** (D(worth) / price).adjusted()
    return msgspec.structs.replace(
        BTC,
        tick_size=D(tick),
        min_price=D(tick),
        market_step_size=step,
        market_min_quantity=step * draw(st.integers(1, 3)),
        market_max_quantity=step * draw(mostly(100_000, st.integers(3, 1000))),
        min_notional=D(draw(st.sampled_from(["5", "20", "50", "100"]))),
    ), price


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    low = draw(mostly(D("0.01"), decimals("0.01", "0.05")))
    return Limits(
        max_leverage=draw(st.integers(1, 10)),
        max_position_notional=draw(mostly(D(500), decimals("1", "500"))),
        max_total_notional=draw(mostly(D(5000), decimals("1", "5000"))),
        max_open_positions=draw(mostly(10, st.integers(1, 10))),
        min_stop_fraction=low,
        max_stop_fraction=draw(mostly(D("0.05"), decimals(str(low), "0.05"))),
        max_daily_loss=draw(mostly(D(1000), decimals("1", "1000"))),
        max_drawdown=draw(mostly(D("0.20"), decimals("0.01", "0.20"))),
        min_reward_risk=draw(mostly(D(2), decimals("2", "5"))),
    )


@st.composite
def situations(draw: st.DrawFn) -> DecisionInputs:
    """Plausible situations, many of them tradable, with every limit binding now and then."""
    instrument, price = draw(instruments())
    spread = instrument.tick_size * draw(st.integers(0, 3))
    side = draw(st.sampled_from(["BUY", "SELL"]))
    strength = draw(st.floats(0.3, 1.0))
    equity = draw(mostly(D(5000), decimals("50", "20000", 2)))
    lost = draw(mostly(D(0), decimals("0", "500", 2)))
    others = draw(
        mostly(
            [],
            st.lists(
                st.tuples(
                    st.sampled_from(["ETHUSDT", "XRPUSDT", "SOLUSDT"]),
                    st.sampled_from(["position", "open", "reserved"]),
                    decimals("0", "500", 2),
                ),
                max_size=4,
            ),
        )
    )
    return inputs(
        signal=signal(
            side,
            strength=strength if side == "BUY" else -strength,
            close=float(price),
            atr=float(price) * draw(st.floats(0.0001, 0.2)),
            volatility=draw(st.floats(1e-6, 0.01)),
        ),
        stage=draw(st.sampled_from(sorted(STAGES))),
        limits=draw(limits()),
        sizing=SizingConfig(
            risk_per_trade=draw(mostly(D("0.05"), decimals("0.0005", "0.05"))),
            target_volatility=draw(mostly(D(5), decimals("0.01", "5"))),
            atr_multiple=draw(decimals("0.1", "20")),
            reward_risk=draw(decimals("2", "5")),
            entry_slippage=draw(decimals("0", "0.01")),
        ),
        instrument=instrument,
        mark_price=instrument.round_price(price * draw(decimals("0.99", "1.01"))),
        bid_price=price,
        ask_price=price + spread,
        equity=equity,
        wallet_balance=equity,
        available_balance=min(equity, draw(mostly(D(20000), decimals("0", "500", 2)))),
        equity_peak=equity + lost,
        day_start_equity=equity + draw(mostly(D(0), decimals("-100", "100", 2))),
        day_realized_pnl=draw(mostly(D(0), decimals("-1000", "1000", 2))),
        exposures=tuple(
            Exposure(symbol=s, quantity=D(1), notional=n, kind=k)  # type: ignore[arg-type]
            for s, k, n in others
        ),
    )


@QUIET
@given(situations())
def test_an_approved_plan_exceeds_nothing(given_: DecisionInputs) -> None:
    """Judged from the prices and the rules alone, not from the gate's own checks."""
    decision = decide(given_)
    plan = decision.plan
    if plan is None:
        assert decision.outcome == "declined"
        assert decision.reasons
        return
    long = plan.side == "BUY"
    reference = plan.reference_price
    worst = plan.quantity * max(reference, given_.mark_price or D(0), plan.worst_price)
    # R1, whatever the configuration says
    assert 1 <= plan.leverage <= 10
    assert worst <= 500
    risk = (reference - plan.stop_price) * (1 if long else -1)
    gain = (plan.take_profit_price - reference) * (1 if long else -1)
    assert D("0.01") * reference <= risk <= D("0.05") * reference
    assert gain >= 2 * risk > 0
    # and the configuration in force
    limits_, stage = given_.limits, given_.stage
    assert stage.min_leverage <= plan.leverage <= min(limits_.max_leverage, stage.max_leverage)
    assert worst <= min(limits_.max_position_notional, stage.max_notional)
    assert limits_.min_stop_fraction * reference <= risk <= limits_.max_stop_fraction * reference
    assert gain >= limits_.min_reward_risk * risk
    held: dict[str, Decimal] = {}
    for e in given_.exposures:
        held[e.symbol] = max(held.get(e.symbol, D(0)), e.notional)
    assert sum(held.values(), worst) <= limits_.max_total_notional
    assert len(set(held) | {plan.symbol}) <= limits_.max_open_positions
    assert plan.symbol not in held
    # the venue's filters
    instrument = given_.instrument
    assert plan.quantity % instrument.market_step_size == 0
    assert instrument.market_min_quantity <= plan.quantity <= instrument.market_max_quantity
    assert plan.quantity * reference >= instrument.min_notional
    assert plan.quantity * (given_.mark_price or D(0)) >= instrument.min_notional
    assert plan.stop_price % instrument.tick_size == 0
    assert plan.take_profit_price % instrument.tick_size == 0
    # losing it all at the stop stays within day, drawdown and balance
    equity, start = given_.equity or D(0), given_.day_start_equity or D(0)
    booked = given_.day_realized_pnl or D(0)
    lost = max(D(0), start - equity, -booked)
    at_stop = plan.quantity * risk
    assert lost + at_stop <= limits_.max_daily_loss
    assert (given_.equity_peak or D(0)) - equity + at_stop <= limits_.max_drawdown * max(
        given_.equity_peak or D(0), equity
    )
    assert worst / plan.leverage <= (given_.available_balance or D(0))
    assert verify_plan(plan, limits_, instrument, given_.exposures, stage) == ()


def test_the_property_sees_approvals() -> None:
    """The property above is about something: a fair share of its situations trades."""
    seen = []

    @QUIET
    @given(situations())
    def look(given_: DecisionInputs) -> None:
        seen.append(decide(given_).outcome)

    look()
    assert seen.count("approved") > len(seen) / 20
    assert seen.count("declined") > len(seen) / 20


odd_decimals = st.one_of(
    st.none(),
    st.decimals(allow_nan=False),
    st.sampled_from([D("NaN"), D("-0"), D("1E+40"), D("1E-40"), D("0.1")]),
)
odd_floats = st.floats()


@QUIET
@given(
    fields=st.fixed_dictionaries(
        dict.fromkeys(
            (
                "mark_price",
                "bid_price",
                "ask_price",
                "equity",
                "wallet_balance",
                "available_balance",
                "day_realized_pnl",
                "equity_peak",
                "day_start_equity",
            ),
            odd_decimals,
        )
    ),
    figures=st.fixed_dictionaries(
        dict.fromkeys(("strength", "threshold", "close", "atr", "volatility"), odd_floats)
    ),
    notional=st.decimals(),
    keep=st.sets(st.sampled_from(["prices", "account", "signal"])),
)
def test_nonsense_is_declined_not_raised(
    fields: dict[str, Any], figures: dict[str, float], notional: Decimal, keep: set[str]
) -> None:
    if "prices" in keep:
        for name in ("mark_price", "bid_price", "ask_price"):
            del fields[name]
    if "account" in keep:
        for name in list(fields):
            if "price" not in name:
                del fields[name]
    if "signal" in keep:
        figures = {}
    odd = inputs(
        **fields,
        signal=signal(**figures),
        exposures=(Exposure(symbol="ETHUSDT", quantity=D(1), notional=notional, kind="position"),),
    )
    decision = decide(odd)
    assert msgspec.json.decode(canonical_json(decision), type=Decision) == decision
    if decision.plan is not None:
        assert decision.plan.worst_notional <= 500
    assert (odd.day, odd.now_ms) == (TODAY, NOW)
