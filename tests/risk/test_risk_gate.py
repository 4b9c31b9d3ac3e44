"""The gate, one deviation from a sound situation at a time."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest

from shared.errors import InvalidInput
from shared.risk.decision import Cooldown, Decision, DecisionInputs, canonical_json
from shared.risk.gate import decide
from tests.risk.scenario import BAR_CLOSE, BTC, NOW, D, exposure, inputs, signal

NAN, INF = D("NaN"), D("Infinity")
FNAN, FINF = float("nan"), float("inf")

ETH = msgspec.structs.replace(
    BTC,
    symbol="ETHUSDT",
    tick_size=D("0.01"),
    min_price=D("39.86"),
    min_notional=D("20"),
)
#: ETH at 1,800 USDT: small enough a step that stages differ.
AT_1800: dict[str, Any] = {
    "instrument": ETH,
    "signal": signal(symbol="ETHUSDT", close=1800.0, atr=18.0),
    "mark_price": D("1800"),
    "bid_price": D("1799.99"),
    "ask_price": D("1800.01"),
}

#: what is different | first reason (None: approved)
SCENARIOS: list[tuple[str, dict[str, Any], str | None]] = [
    ("nothing", {}, None),
    ("a sell signal", {"signal": {"side": "SELL"}}, None),
    # signal
    ("no direction", {"signal": {"side": None}}, "signal_side"),
    ("strength at the threshold", {"signal": {"strength": 0.3}}, None),
    ("strength just below it", {"signal": {"strength": 0.2999}}, "signal_strength"),
    ("strength against the direction", {"signal": {"strength": -0.8}}, "signal_strength"),
    ("strength above 1", {"signal": {"strength": 1.01}}, "signal_strength"),
    ("strength not a number", {"signal": {"strength": FNAN}}, "signal_strength"),
    ("threshold not a number", {"signal": {"threshold": FNAN}}, "signal_strength"),
    ("ATR not a number", {"signal": {"atr": FNAN}}, "signal_figures"),
    ("ATR zero", {"signal": {"atr": 0.0}}, "signal_figures"),
    ("ATR infinite", {"signal": {"atr": FINF}}, "signal_figures"),
    ("volatility negative", {"signal": {"volatility": -0.1}}, "signal_figures"),
    ("volatility zero", {"signal": {"volatility": 0.0}}, "signal_figures"),
    ("close not a number", {"signal": {"close": FNAN}}, "signal_figures"),
    ("time frame unknown", {"signal": {"timeframe": "7m"}}, "signal_figures"),
    ("bar closed two minutes ago", {"signal": {"bar_close_time": NOW - 120_000}}, None),
    ("and one ms more", {"signal": {"bar_close_time": NOW - 120_001}}, "signal_age"),
    ("bar from the future", {"signal": {"bar_close_time": NOW + 1}}, "signal_age"),
    # market
    ("contract of another symbol", {"instrument": {"symbol": "ETHUSDT"}}, "instrument"),
    ("contract is settling", {"instrument": {"status": "SETTLING"}}, "instrument"),
    ("market data at its age limit", {"market_data_age_ms": 15_000}, None),
    ("market data too old", {"market_data_age_ms": 15_001}, "market_data_age"),
    ("market data of unknown age", {"market_data_age_ms": None}, "market_data_age"),
    ("market data from the future", {"market_data_age_ms": -1}, "market_data_age"),
    ("no mark price", {"mark_price": None}, "prices"),
    ("mark price not a number", {"mark_price": NAN}, "prices"),
    ("bid zero", {"bid_price": D(0)}, "prices"),
    ("ask infinite", {"ask_price": INF}, "prices"),
    ("book crossed", {"bid_price": D("40001")}, "prices"),
    ("spread at its limit", {"bid_price": D("39900"), "ask_price": D("40100")}, None),
    ("spread too wide", {"bid_price": D("39899.9"), "ask_price": D("40100.1")}, "spread"),
    ("mark price 2 % above the close", {"signal": {"close": 39_200.0}}, None),
    ("close further away", {"signal": {"close": 39_199.0}}, "price_deviation"),
    ("book far from the mark price", {"mark_price": D("41000")}, "price_deviation"),
    # account
    ("switch latched", {"kill_switch": "latched"}, "kill_switch"),
    ("switch unknown", {"kill_switch": ""}, "kill_switch"),
    ("account data at its age limit", {"account_data_age_ms": 30_000}, None),
    ("account data too old", {"account_data_age_ms": 30_001}, "account_data_age"),
    ("account data of unknown age", {"account_data_age_ms": None}, "account_data_age"),
    ("no equity", {"equity": None}, "balances"),
    ("equity not a number", {"equity": NAN}, "balances"),
    ("equity zero", {"equity": D(0)}, "balances"),
    ("wallet unknown", {"wallet_balance": None}, "balances"),
    ("more available than there is", {"available_balance": D("5001")}, "balances"),
    ("available not a number", {"available_balance": NAN}, "balances"),
    ("figures of yesterday", {"day": "2025-05-03"}, "ledger_day"),
    ("an exposure not a number", {"exposures": (exposure("ETHUSDT", "NaN"),)}, "exposures"),
    ("an exposure negative", {"exposures": (exposure("ETHUSDT", "-1"),)}, "exposures"),
    ("day's start unknown", {"day_start_equity": None}, "daily_loss"),
    ("day's P&L not a number", {"day_realized_pnl": NAN}, "daily_loss"),
    ("199.99 lost today leaves no room", {"day_realized_pnl": D("-199.99")}, "quantity"),
    ("the day's limit reached", {"day_realized_pnl": D("-200")}, "daily_loss"),
    ("lost by open positions", {"equity": D("4800")}, "daily_loss"),
    (
        "an open gain hides no booked loss",
        {"day_realized_pnl": D("-200"), "equity": D("5300"), "wallet_balance": D("5300")},
        "daily_loss",
    ),
    ("peak unknown", {"equity_peak": None}, "drawdown"),
    ("peak zero", {"equity_peak": D(0)}, "drawdown"),
    ("drawdown of 9 % still trades", {"equity_peak": D("5494.5")}, None),
    ("drawdown at its limit", {"equity_peak": D("5555.56")}, "drawdown"),
    ("the last trade of the day", {"trades_today": 49}, None),
    ("one too many", {"trades_today": 50}, "trades_today"),
    ("trades unknown", {"trades_today": None}, "trades_today"),
    (
        "a loss a minute ago, pause of two",
        {
            "limits": {"loss_cooldown_ms": 120_000},
            "cooldown": Cooldown(last_loss_at=NOW - 60_000, losses_in_a_row=1),
        },
        "cooldown",
    ),
    (
        "the pause is over",
        {
            "limits": {"loss_cooldown_ms": 120_000},
            "cooldown": Cooldown(last_loss_at=NOW - 120_000, losses_in_a_row=1),
        },
        None,
    ),
    (
        "three losses in a row triple it",
        {
            "limits": {"loss_cooldown_ms": 120_000},
            "cooldown": Cooldown(last_loss_at=NOW - 359_999, losses_in_a_row=3),
        },
        "cooldown",
    ),
    # exposure
    ("a position in the symbol", {"exposures": (exposure("BTCUSDT", "50"),)}, "symbol_free"),
    (
        "a reservation of another decision",
        {"exposures": (exposure("BTCUSDT", "50", kind="reserved", decision_id="other"),)},
        "symbol_free",
    ),
    (
        "five other symbols",
        {"exposures": tuple(exposure(s, "10") for s in ("A", "B", "C", "D", "E"))},
        "open_positions",
    ),
    ("four other symbols", {"exposures": tuple(exposure(s, "10") for s in "ABCD")}, None),
    ("1,500 in use leaves 500", {"exposures": (exposure("A", "1500"),)}, None),
    ("1,961 in use leaves less than a step", {"exposures": (exposure("A", "1961"),)}, "quantity"),
    ("more in use than allowed", {"exposures": (exposure("A", "2100"),)}, "total_notional"),
    (
        "open risk takes the day's room",
        {"exposures": (exposure("A", "100", kind="open", risk=D("199.9")),)},
        "quantity",
    ),
    # order
    ("30 USDT available, 150 USDT possible", {"available_balance": D("30")}, None),
    ("5 USDT available", {"available_balance": D("5")}, "quantity"),
    ("a position limit below a step", {"limits": {"max_position_notional": D("40")}}, "quantity"),
    (
        "a limit below the minimum notional",
        AT_1800 | {"limits": {"max_position_notional": D("15")}},
        "min_notional",
    ),
    ("tick too coarse for any stop", {"instrument": {"tick_size": D("5000")}}, "stop_distance"),
    (
        "stop below the venue's lowest price",
        {"instrument": {"min_price": D("39500")}},
        "plan_consistent",
    ),
    # stages
    ("limited: BTC at 40,000", {"stage": "limited"}, None),
    ("limited: ETH", AT_1800 | {"stage": "limited"}, None),
    (
        "limited: another symbol",
        {
            "stage": "limited",
            "instrument": {"symbol": "XRPUSDT"},
            "signal": signal(symbol="XRPUSDT"),
        },
        "stage_symbol",
    ),
    ("limited: the fifth trade", {"stage": "limited", "trades_today": 4}, None),
    ("limited: the sixth", {"stage": "limited", "trades_today": 5}, "trades_today"),
    (
        "limited: under 50 USDT",
        AT_1800 | {"stage": "limited", "limits": {"max_position_notional": D("49")}},
        "min_notional",
    ),
    ("limited: 1x configured", {"stage": "limited", "limits": {"max_leverage": 1}}, "leverage"),
    ("full: 5x", {"stage": "full"}, None),
    ("full: 4x configured", {"stage": "full", "limits": {"max_leverage": 4}}, "leverage"),
]


@pytest.mark.parametrize(
    ("different", "reason"), [s[1:] for s in SCENARIOS], ids=[s[0] for s in SCENARIOS]
)
def test_scenario(different: dict[str, Any], reason: str | None) -> None:
    decision = decide(inputs(**different))
    assert (decision.reasons[:1] or (None,)) == (reason,)
    assert (decision.outcome == "approved") == (reason is None) == (decision.plan is not None)


def test_every_check_is_listed_in_every_decision() -> None:
    listed = [[c.name for c in decide(inputs(**s[1])).checks] for s in SCENARIOS]
    assert len(listed[0]) == len(set(listed[0])) > 30
    assert all(names == listed[0] for names in listed)


def test_all_reasons_are_given_and_what_could_not_be_judged_is_not_one() -> None:
    decision = decide(inputs(kill_switch="latched", mark_price=None, trades_today=99))
    assert decision.reasons == ("prices", "price_deviation", "kill_switch", "trades_today")
    unjudged = [c for c in decision.checks if not c.judged]
    assert {c.name for c in unjudged} >= {"reward_risk", "position_notional", "margin"}
    assert not any(c.passed for c in unjudged)


def test_figures_of_the_sound_situation() -> None:
    """Computed by hand: 2 ATR of 400 on 40,000.1 is 2 %, 500 USDT buy 0.012 BTC."""
    plan = decide(inputs()).plan
    assert plan is not None
    assert plan.stop_price == D("39200.1")
    assert plan.take_profit_price == D("41600.1")
    assert plan.worst_price == D("40080.1")
    assert plan.quantity == D("0.012")
    assert plan.notional == D("480.0012")
    assert plan.worst_notional == D("480.9612")
    assert plan.margin == D("96.19224")
    assert plan.leverage == 5
    assert plan.time_exit_ms == NOW + 48 * 300_000
    assert plan.trail_activation_price == D("40800.1")
    # 480.9612 * (799.9... stop of 800 / 40000.1 + 0.15 % cost)
    assert plan.risk_amount == D("10.34064176")


def test_a_short_mirrors_the_long() -> None:
    plan = decide(inputs(signal=signal("SELL"))).plan
    assert plan is not None
    assert plan.side == "SELL"
    assert plan.reference_price == D("39999.9")
    # Two ATRs above the bid are 40799.9; rounding never takes the stop further away.
    assert D("40799.8") <= plan.stop_price <= D("40799.9")
    distance = plan.stop_price - plan.reference_price
    assert plan.take_profit_price == plan.reference_price - 2 * distance
    assert plan.trail_activation_price == plan.reference_price - distance
    assert plan.worst_price == D("39920.0")


#: Signal strength 0.8 over a threshold of 0.3 scales by 0.5 + 0.5 * 5/7.
SCALE = 0.5 + 0.5 * (0.8 - 0.3) / (1 - 0.3)
#: 2 ATR of 400 from 40,000.1 and 0.15 % of costs.
LOSS = 800 / 40_000.1 + 0.0015
BARS_PER_YEAR = 365 * 24 * 12
SMALL = {"equity": D("2000"), "equity_peak": D("2000"), "day_start_equity": D("2000")}


@pytest.mark.parametrize(
    ("different", "bound", "size"),
    [
        ({}, "position_limit", 500),
        (SMALL, "fixed_fractional", 2000 * 0.005 * SCALE / LOSS),
        ({"exposures": (exposure("A", "1700"),)}, "total_room", 300),
        ({"stage": "limited"}, "stage_limit", 100),
        ({"available_balance": D("40")}, "margin_room", 40 / (1 / 5 + 0.0015)),
        (
            {"signal": {"volatility": 0.02}},
            "volatility_target",
            5000 * 0.20 * SCALE / (0.02 * BARS_PER_YEAR**0.5),
        ),
        ({"day_realized_pnl": D("-195")}, "daily_loss_room", 5 / LOSS),
        (
            {"equity_peak": D("5550"), "sizing": {"drawdown_floor": D("1")}},
            "drawdown_room",
            (0.10 * 5550 - 550) / LOSS,
        ),
    ],
)
def test_the_smallest_size_decides(different: dict[str, Any], bound: str, size: float) -> None:
    """Expected sizes: the formulas of docs/risk.md, computed in floats."""
    sizes = decide(inputs(**different)).sizes
    assert (sizes["bound_by"], float(sizes[bound])) == (bound, pytest.approx(size, rel=1e-7))


def test_weaker_signals_and_drawdown_make_smaller_positions() -> None:
    def wanted(**changes: Any) -> Decimal:
        return D(decide(inputs(**changes)).sizes["fixed_fractional"])

    strong = wanted(signal={"strength": 1.0})
    assert wanted(signal={"strength": 0.3}) == pytest.approx(strong / 2, abs=D("1e-7"))
    # Half of the permitted drawdown used: half way from 1 to the floor of 0.25.
    halfway = wanted(signal={"strength": 1.0}, equity_peak=D(5000) / D("0.95"))
    assert halfway == pytest.approx(strong * D("0.625"), abs=D("1e-7"))


def test_approval_is_asked_for_where_the_stage_says_so() -> None:
    assert decide(inputs(stage="limited")).needs_approval
    assert not decide(inputs(stage="full")).needs_approval


def test_a_decision_and_its_inputs_survive_json_and_replay_to_the_same_bytes() -> None:
    for _, different, _ in SCENARIOS:
        given = inputs(**different)
        decision = decide(given)
        text = canonical_json(decision)
        again = msgspec.json.decode(text, type=Decision)
        assert again == decision
        assert canonical_json(again) == text
        try:
            stored = canonical_json(given)
        except InvalidInput:
            assert {"signal_strength", "signal_figures"} & set(decision.reasons)
            continue
        replayed = msgspec.json.decode(stored, type=DecisionInputs)
        assert canonical_json(replayed) == stored
        assert canonical_json(decide(replayed)) == text


def test_the_callers_decimal_context_changes_nothing() -> None:
    expected = canonical_json(decide(inputs()))
    with localcontext() as context:
        context.prec = 6
        assert canonical_json(decide(inputs())) == expected


def test_inputs_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        canonical_json(inputs(signal={"atr": FNAN}))


def test_the_decision_is_the_signals() -> None:
    decision = decide(inputs())
    assert decision.id == decision.signal_id == f"BTCUSDT-5m-{BAR_CLOSE}-v1"
    assert decision.decided_at == NOW
