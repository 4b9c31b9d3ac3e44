"""The ceilings, the configuration below them, the re-check, and the bracket's geometry."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.compliance.stages import STAGES
from shared.errors import ConfigurationError
from shared.risk import limits as rules
from shared.risk.bracket import bracket, stop_distance
from shared.risk.decision import DecisionInputs, canonical_json
from shared.risk.exposure import committed_notional, committed_risk
from shared.risk.gate import decide
from shared.risk.limits import PLAN_CHECKS, Limits, plan_checks, verify_plan
from shared.risk.plan import StageRules
from shared.risk.sizing import SIZERS, SizingConfig, SizingFacts, sizer
from tests.risk.scenario import BTC, D, exposure, good_plan, inputs


def test_r1_is_in_the_code() -> None:
    """The numbers of the requirement, once more, so that changing one is a deliberate act."""
    assert rules.MAX_LEVERAGE == 10
    assert rules.MAX_POSITION_NOTIONAL == 500
    assert (D("0.01"), D("0.05")) == (rules.STOP_FRACTION_MIN, rules.STOP_FRACTION_MAX)
    assert rules.MAX_DAILY_LOSS == 1000
    assert D("0.20") == rules.MAX_DRAWDOWN
    assert rules.MIN_REWARD_RISK == 2
    assert rules.MAX_POSITIONS_PER_SYMBOL == 1


#: field | loosest accepted value | just beyond it
CEILINGS: list[tuple[str, Any, Any]] = [
    ("max_leverage", 10, 11),
    ("max_leverage", 1, 0),
    ("max_position_notional", D(500), D("500.01")),
    ("max_position_notional", D("0.01"), D(0)),
    ("max_total_notional", D(5000), D("5000.01")),
    ("max_open_positions", 10, 11),
    ("max_trades_per_day", 1000, 1001),
    ("min_stop_fraction", D("0.01"), D("0.0099")),
    ("max_stop_fraction", D("0.05"), D("0.0501")),
    ("max_daily_loss", D(1000), D("1000.01")),
    ("max_daily_loss", D("0.01"), D("-1")),
    ("max_drawdown", D("0.20"), D("0.2001")),
    ("min_reward_risk", D(2), D("1.99")),
    ("max_signal_age_ms", 300_000, 300_001),
    ("max_market_data_age_ms", 300_000, 300_001),
    ("max_account_data_age_ms", 300_000, 0),
    ("max_spread", D("0.02"), D("0.021")),
    ("max_price_deviation", D("0.05"), D("NaN")),
    ("loss_cooldown_ms", 86_400_000, -1),
]


@pytest.mark.parametrize(("field", "accepted", "beyond"), CEILINGS)
def test_configuration_can_only_be_stricter(field: str, accepted: Any, beyond: Any) -> None:
    assert getattr(Limits(**{field: accepted}), field) == accepted
    with pytest.raises(ConfigurationError, match=field):
        Limits(**{field: beyond})


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limits(max_leverage=20, max_drawdown=D("0.5"), max_daily_loss=D("NaN"))
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigurationError, match="min_stop_fraction"):
        Limits(min_stop_fraction=D("0.04"), max_stop_fraction=D("0.03"))
    with pytest.raises(ConfigurationError) as caught:
        SizingConfig(methods=("astrology",), risk_per_trade=D("0.06"), reward_risk=D(1))
    assert len(caught.value.problems) == 3


def test_looser_limits_cannot_be_smuggled_in_through_a_record() -> None:
    text = canonical_json(inputs()).replace(b'"max_leverage":5', b'"max_leverage":50')
    with pytest.raises(ConfigurationError, match="max_leverage"):
        msgspec.json.decode(text, type=DecisionInputs)


#: change to a sound plan | the check that sees it, and only it unless more are named
TAMPERED: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"leverage": 6}, {"leverage"}),
    ({"leverage": 0}, {"leverage"}),
    ({"worst_notional": D("500.01"), "risk_amount": D(11)}, {"position_notional"}),
    ({"quantity": D("0.0125")}, {"plan_consistent", "quantity"}),
    ({"quantity": D("-0.012")}, {"plan_consistent", "quantity"}),
    ({"quantity": D("NaN")}, {"plan_consistent", "quantity"}),
    ({"notional": D("49.99")}, {"min_notional"}),
    ({"stop_price": D("39199.9")}, {"plan_consistent"}),
    ({"stop_price": D("40800.1")}, {"stop_side"}),
    ({"stop_price": D("39200.15")}, {"plan_consistent"}),
    ({"stop_price": D("NaN")}, {"plan_consistent", "stop_side"}),
    ({"take_profit_price": D("40000.1")}, {"plan_consistent", "stop_side"}),
    ({"stop_fraction": D("0.0099")}, {"plan_consistent", "stop_distance"}),
    ({"stop_fraction": D("0.0501")}, {"plan_consistent", "stop_distance"}),
    ({"reward_risk": D("1.99")}, {"plan_consistent", "reward_risk"}),
    ({"risk_amount": D(1)}, {"plan_consistent"}),
    ({"symbol": "ETHUSDT"}, {"plan_consistent"}),
    ({"worst_notional": D("NaN")}, {"plan_consistent", "position_notional", "total_notional"}),
]


@pytest.mark.parametrize(("change", "seen"), TAMPERED)
def test_the_recheck_sees_what_was_changed(change: dict[str, Any], seen: set[str]) -> None:
    checks = plan_checks(good_plan(**change), Limits(), BTC, ())
    assert tuple(c.name for c in checks) == PLAN_CHECKS
    assert {c.name for c in checks if not c.passed} == seen
    assert len(verify_plan(good_plan(**change), Limits(), BTC, ())) == len(seen)


def test_the_recheck_counts_others_but_not_the_plans_own_reservation() -> None:
    plan = good_plan()
    own = exposure("BTCUSDT", "480", kind="reserved", decision_id=plan.decision_id)
    assert verify_plan(plan, Limits(), BTC, [own]) == ()
    (problem,) = verify_plan(plan, Limits(), BTC, [exposure("BTCUSDT", "480")])
    assert problem.startswith("symbol_free: 1, limit 0")
    full = [exposure("A", "1519.04")]
    (problem,) = verify_plan(plan, Limits(), BTC, full)
    assert problem.startswith("total_notional: 2000.0012, limit 2000")


@pytest.mark.parametrize(
    ("held", "notional", "risk"),
    [
        ([], "0", "0"),
        ([("position", "100", None)], "100", "5"),
        ([("reserved", "100", "2")], "100", "2"),
        ([("open", "100", "2"), ("position", "103", None)], "103", "2.15"),
        ([("open", "100", "2"), ("position", "90", None)], "100", "2"),
        ([("open", "100", "2")], "100", "2"),
        ([("reserved", "100", "2"), ("position", "40", None)], "140", "4"),
        ([("reserved", "100", None)], "100", "5"),
    ],
)
def test_exposure_is_never_counted_too_low(
    held: list[tuple[str, str, str | None]], notional: str, risk: str
) -> None:
    exposures = [exposure("A", n, kind=k, risk=None if r is None else D(r)) for k, n, r in held]
    assert sum((committed_notional(exposures) or {}).values()) == D(notional)
    assert committed_risk(exposures) == D(risk)


# ---------------------------------------------------------------- stop and target


@pytest.mark.parametrize(
    ("atr", "fraction"),
    [
        ("1", "0.01"),  # 0.02 % is clamped to the smallest distance
        ("50", "0.01"),
        ("50.5", "0.0101"),
        ("150", "0.03"),
        ("250", "0.05"),
        ("9000", "0.05"),  # and a wild market to the largest
    ],
)
def test_two_atr_clamped(atr: str, fraction: str) -> None:
    distance = stop_distance(D(atr), D(10_000), D(2), D("0.01"), D("0.05"))
    assert distance == D(fraction)


@pytest.mark.parametrize(
    ("side", "price", "fraction", "tick", "stop", "target"),
    [
        ("BUY", "100", "0.02", "0.1", "98.0", "104.0"),
        ("SELL", "100", "0.02", "0.1", "102.0", "96.0"),
        # 97.96 rounds towards the entry; the target is 2 x 2.0 from 100
        ("BUY", "100", "0.0204", "0.1", "98.0", "104.0"),
        ("SELL", "100", "0.0204", "0.1", "102.0", "96.0"),
        # 98.96 towards the entry would be 99.0: still 1 %
        ("BUY", "100", "0.0104", "0.1", "99.0", "102.0"),
        # 1 % of 10.05 is 9.9495: 9.95 would be closer than 1 %, so one tick away
        ("BUY", "10.05", "0.01", "0.01", "9.94", "10.27"),
        ("SELL", "10.05", "0.01", "0.01", "10.16", "9.83"),
        # neither 95 nor 90 is between 1 % and 5 % of 99
        ("BUY", "99", "0.05", "5", "95", "107"),
        ("BUY", "99", "0.05", "10", None, None),
    ],
)
def test_rounding(
    side: Any, price: str, fraction: str, tick: str, stop: str | None, target: str | None
) -> None:
    instrument = msgspec.structs.replace(BTC, tick_size=D(tick), min_price=D(0))
    made = bracket(side, D(price), D(fraction), D(2), instrument, low=D("0.01"), high=D("0.05"))
    if stop is None or target is None:
        assert made is None
        return
    assert made is not None
    if tick == "5":  # 107 is rounded away to the grid
        target = "110"
    assert (made.stop_price, made.take_profit_price) == (D(stop), D(target))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    side=st.sampled_from(["BUY", "SELL"]),
    ticks=st.integers(5, 10_000_000),
    offset=st.decimals("0", "0.99", places=2),
    tick=st.sampled_from(["0.0001", "0.01", "0.1", "1", "5"]),
    fraction=st.decimals("0.01", "0.05", places=6),
    ratio=st.decimals("2", "10", places=3),
)
def test_rounding_never_breaks_a_promise(
    side: Any, ticks: int, offset: Decimal, tick: str, fraction: Decimal, ratio: Decimal
) -> None:
    """Also around an average fill price, which lies between ticks."""
    instrument = msgspec.structs.replace(BTC, tick_size=D(tick), min_price=D(0))
    price = (ticks + offset) * D(tick)
    low, high = D("0.01"), D("0.05")
    made = bracket(side, price, fraction, ratio, instrument, low=low, high=high)
    if made is None:
        # Only where the grid is as coarse as the permitted range, or the target meets zero.
        assert D(tick) >= price * (high - low) / 2 or ratio * high >= 1 - D(tick) / price
        return
    sign = 1 if side == "BUY" else -1
    distance = (price - made.stop_price) * sign
    assert low * price <= distance <= high * price
    assert (made.take_profit_price - price) * sign >= ratio * distance
    assert made.stop_price % D(tick) == made.take_profit_price % D(tick) == 0
    # Away from the entry only where towards it would be closer than permitted.
    wanted = fraction * price
    assert distance <= wanted or distance - D(tick) < low * price
    assert D("0.001") <= made.trail_fraction <= max(made.stop_fraction, D("0.001"))


# ---------------------------------------------------------------- sizing


FACTS = SizingFacts(
    equity=D(10_000),
    stop_fraction=D("0.02"),
    volatility=D("0.01"),
    bar_ms=86_400_000,
    scale=D(1),
)


def test_the_two_methods() -> None:
    config = SizingConfig(
        risk_per_trade=D("0.01"), cost_fraction=D("0.005"), target_volatility=D("0.1")
    )
    # 100 USDT at risk over 2.5 % of loss
    assert SIZERS["fixed_fractional"](config, FACTS) == 4000
    # 1 % a day is 19.1 % a year; 1,000 USDT of volatility wanted
    target = SIZERS["volatility_target"](config, FACTS)
    assert float(target) == pytest.approx(1000 / (0.01 * 365**0.5))


def test_another_method_is_one_function() -> None:
    @sizer("test_fixed")
    def fixed(config: SizingConfig, facts: SizingFacts) -> Decimal:
        return D(123) * facts.scale

    try:
        config = SizingConfig(methods=("test_fixed",), strength_floor=D(1))
        sizes = decide(inputs(sizing=config)).sizes
        assert (sizes["bound_by"], sizes["test_fixed"]) == ("test_fixed", "123")
        assert "fixed_fractional" not in sizes
    finally:
        del SIZERS["test_fixed"]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_no_stage_is_looser_than_the_ceilings(stage: str) -> None:
    found: StageRules = STAGES[stage]
    assert 1 <= found.min_leverage <= found.max_leverage <= 10
    assert found.min_notional <= found.max_notional <= 500
    assert found.max_trades_per_day <= rules.MAX_TRADES_PER_DAY
