"""Stress tests worked by hand from brackets, and against the simulated venue's own formula."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.execution.exchange import MaintenanceBracket
from shared.risk.history import UNIT, MarketHistory, history
from shared.risk.scenarios import SCENARIOS, Scenario, asked, chosen
from shared.risk.stress import (
    StressAccount,
    StressPosition,
    StressResult,
    maintenance,
    shock_of,
    stress,
)
from shared.simulation import margin
from shared.simulation.contracts import DEFAULT_CONTRACTS

D = Decimal
EMPTY = MarketHistory(end=0)
ACCOUNT = StressAccount(
    equity=D(5000),
    wallet_balance=D(5000),
    equity_peak=D(5000),
    day_loss=D(0),
    max_drawdown=D("0.10"),
    max_daily_loss=D(200),
)


def table(symbol: str) -> tuple[MaintenanceBracket, ...]:
    return tuple(
        MaintenanceBracket(floor=b.floor, cap=b.cap, rate=b.rate, cum=b.cum)
        for b in DEFAULT_CONTRACTS[symbol].brackets
    )


def btc(**changes: object) -> StressPosition:
    """0.01 BTC long from 50,000 at 5x: 500 USDT with 100 of margin, 0.4 % maintenance."""
    fields: dict[str, object] = {
        "symbol": "BTCUSDT",
        "quantity": D("0.01"),
        "entry_price": D(50_000),
        "mark_price": D(50_000),
        "isolated_wallet": D(100),
        "brackets": table("BTCUSDT"),
    }
    return StressPosition(**(fields | changes))  # type: ignore[arg-type]


def run(move: str, *positions: StressPosition, gap: str = "0.5") -> StressResult:
    whole = {p.symbol: D(move) for p in positions}
    return stress(asked(whole, None), positions, ACCOUNT, EMPTY, stop_gap=D(gap))


# 100 + 0.01 (p - 50,000) = 0.004 * 0.01 p gives p = 40,160.64: a fall of 19.68 %.
@pytest.mark.parametrize(
    ("move", "outcome", "pnl"),
    [
        ("-0.1960", "held", "-98"),
        ("-0.1970", "liquidated", "-100"),
        ("-0.90", "liquidated", "-100"),  # no more than the margin, however far it falls
        ("0.30", "held", "150"),
    ],
)
def test_isolated_loses_its_margin_and_no_more(move: str, outcome: str, pnl: str) -> None:
    found = run(move, btc())
    assert (found.positions[0].outcome, found.pnl) == (outcome, D(pnl))
    assert found.equity_after == 5000 + D(pnl)


def test_what_is_unrealised_already_is_not_lost_twice() -> None:
    # 40 USDT in profit at 54,000: the margin balance is 140 now, and gone at 40,160.
    found = run("-0.30", btc(mark_price=D(54_000)))
    assert found.pnl == -140


def test_a_short_is_liquidated_by_a_rise() -> None:
    # 100 - 0.01 (p - 50,000) = 0.00004 p gives p = 59,760.96: a rise of 19.52 %.
    assert run("0.1950", btc(quantity=D("-0.01"))).positions[0].outcome == "held"
    found = run("0.1953", btc(quantity=D("-0.01")))
    assert (found.positions[0].outcome, found.pnl) == ("liquidated", -100)
    assert found.liquidated == ("BTCUSDT",)


# Stop at 48,500, fall to 45,000; fee 0.05 % of what is sold.
@pytest.mark.parametrize(
    ("gap", "price", "pnl"),
    [
        ("0", "48500", "-15.2425"),
        ("0.5", "46750", "-32.7338"),
        ("1", "45000", "-50.2250"),
    ],
)
def test_stops_slip_by_part_of_the_gap(gap: str, price: str, pnl: str) -> None:
    found = run("-0.10", btc(stop_price=D(48_500)), gap=gap)
    (one,) = found.positions
    assert (one.outcome, one.price, one.pnl) == ("stopped", D(price), D(pnl))
    assert found.pnl_without_stops == -50


def test_a_stop_that_slips_beyond_the_liquidation_price_comes_too_late() -> None:
    late = run("-0.35", btc(stop_price=D(48_500)), gap="0.6")
    assert (late.positions[0].outcome, late.pnl) == ("liquidated", -100)
    in_time = run("-0.35", btc(stop_price=D(48_500)), gap="0.5")
    # 48,500 less half of 16,000.
    assert (in_time.positions[0].outcome, in_time.positions[0].price) == ("stopped", 40_500)
    assert in_time.liquidated == ()
    assert in_time.liquidated_without_stops == ("BTCUSDT",)


def test_a_stop_that_is_not_reached_changes_nothing() -> None:
    found = run("-0.02", btc(stop_price=D(48_500)))
    assert (found.positions[0].outcome, found.pnl) == ("held", -10)


def test_gains_end_at_the_target() -> None:
    found = run("0.20", btc(take_profit_price=D(53_000)))
    # 30 less 0.05 % of 530.
    assert (found.positions[0].outcome, found.pnl) == ("target", D("29.735"))


def test_cross_margin_is_shared_and_its_loss_is_not_capped() -> None:
    small = StressAccount(
        equity=D(1000),
        wallet_balance=D(1000),
        equity_peak=D(1000),
        day_loss=D(0),
        max_drawdown=D("0.10"),
        max_daily_loss=D(200),
    )
    eth = StressPosition(
        symbol="ETHUSDT",
        quantity=D(1),
        entry_price=D(3000),
        mark_price=D(3000),
        isolated_wallet=None,
        brackets=table("ETHUSDT"),
    )
    held = (eth, btc())

    def at(move: str) -> StressResult:
        return stress(asked({"ETHUSDT": D(move)}, None), held, small, EMPTY)

    # 900 of cross wallet: 30 left against 8.52 of maintenance, and -30 against 8.28.
    assert (at("-0.29").positions[0].outcome, at("-0.29").pnl) == ("held", -870)
    gone = at("-0.31")
    assert gone.positions[0].outcome == "liquidated"
    assert gone.positions[0].pnl == -930 - D(2070) * D("0.0125")
    # The isolated position beside it is untouched.
    assert gone.positions[1].outcome == "held"


def test_a_larger_notional_needs_more_margin() -> None:
    rows = table("BTCUSDT")
    assert maintenance(rows, D(300_000)) == 1200
    # 0.5 % of all of it less 300: the first 300,000 keep their rate.
    assert maintenance(rows, D(400_000)) == 1700
    assert maintenance((), D(400_000)) == 0


@given(
    st.sampled_from(sorted(DEFAULT_CONTRACTS)),
    st.booleans(),
    st.integers(2, 20),
    st.decimals("0.2", "20000000", places=1),
)
def test_liquidated_where_the_venues_formula_says(
    symbol: str, long: bool, leverage: int, notional: Decimal
) -> None:
    price = D(100)
    size = notional / price * (1 if long else -1)
    wallet = notional / leverage
    contract = DEFAULT_CONTRACTS[symbol]
    at = margin.liquidation_price(contract, quantity=size, entry_price=price, wallet=wallet)
    position = StressPosition(
        symbol=symbol,
        quantity=size,
        entry_price=price,
        mark_price=price,
        isolated_wallet=wallet,
        brackets=table(symbol),
    )
    side = 1 if long else -1
    if (price - at) * side <= D("0.01"):
        return  # more leverage than a position of this size may have
    for nudge, outcome in ((D("1.0001"), "held"), (D("0.9999"), "liquidated")):
        end = at * nudge if long else at / nudge
        if (price - end) * side <= 0:
            continue
        found = run(str(end / price - 1), position)
        assert found.positions[0].outcome == outcome


def test_limits_that_would_latch() -> None:
    positions = tuple(btc(symbol=s) for s in ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT"))
    mild = run("-0.05", *positions)
    assert (mild.pnl, mild.limits) == (-100, ())
    worse = run("-0.10", *positions)
    assert worse.pnl == -200
    assert [x.split(":")[0] for x in worse.limits] == ["daily_loss"]
    worst = run("-0.50", *positions, btc(symbol="DOGEUSDT"))
    assert worst.pnl == -500
    assert [x.split(":")[0] for x in worst.limits] == ["max_drawdown", "daily_loss"]
    assert worst.drawdown_after == D("0.1")


def test_other_contracts_follow_with_their_beta() -> None:
    base = [round(x * UNIT) for x in np.random.default_rng(3).normal(0, 0.02, 200)]
    known = history({"BTCUSDT": (0, tuple(base)), "SOLUSDT": (0, tuple(2 * x for x in base))})
    crash = SCENARIOS["2024-08-05"]
    assert shock_of("ETHUSDT", crash, known) == (D("-0.2749"), "scenario")
    assert shock_of("SOLUSDT", crash, known) == (D("-0.3940"), "beta")
    assert shock_of("NEWUSDT", crash, known) == (D("-0.2955"), "assumed beta")
    # No price falls below zero.
    assert shock_of("SOLUSDT", SCENARIOS["2020-03-12"], known)[0] == D("-0.99")
    assert shock_of("SOLUSDT", asked({"ETHUSDT": D("-0.2")}, None), known)[0] == 0


@pytest.mark.parametrize(
    ("shocks", "market", "says"),
    [
        ({}, None, "at least one"),
        ({"BTCUSDT": D("-1")}, None, "move of BTCUSDT"),
        ({"BTCUSDT": D("NaN")}, None, "move of BTCUSDT"),
        ({}, D(11), "move of market"),
    ],
)
def test_moves_that_no_price_makes_are_refused(
    shocks: dict[str, Decimal], market: Decimal | None, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        asked(shocks, market)


def test_scenarios_by_id() -> None:
    assert chosen(()) == tuple(SCENARIOS.values())
    assert [s.id for s in chosen(("2022-11",))] == ["2022-11"]
    with pytest.raises(InvalidInput, match="2022-11"):
        chosen(("never",))


def test_every_scenario_says_where_it_is_from() -> None:
    for scenario in SCENARIOS.values():
        assert scenario.source
        assert scenario.shocks["BTCUSDT"] == scenario.market
    assert [s.id for s in SCENARIOS.values() if s.approximate] == ["2025-10-10"]


def test_nothing_held_nothing_lost() -> None:
    found = stress(Scenario(id="x", title="x", market=D("-0.5"), shocks={}), (), ACCOUNT, EMPTY)
    assert (found.pnl, found.equity_after, found.positions) == (0, 5000, ())


REAL = Path(__file__).resolve().parents[3] / "shared" / "market"
#: Span of each measured scenario, UTC: the open of its first hour, the extremes until its last.
SPANS = {
    "2020-03-12": ("2020-03-12T00", "2020-03-13T03"),
    "2021-02-08": ("2021-02-08T06", "2021-02-09T09"),
    "2021-05-19": ("2021-05-19T00", "2021-05-19T15"),
    "2022-06": ("2022-06-10T12", "2022-06-18T23"),
    "2022-11": ("2022-11-07T12", "2022-11-10T00"),
    "2023-07-13": ("2023-07-13T12", "2023-07-13T23"),
    "2024-08-05": ("2024-08-04T12", "2024-08-05T09"),
    "2025-02-03": ("2025-02-02T00", "2025-02-03T05"),
    "2025-03-02": ("2025-03-02T12", "2025-03-03T00"),
}


@pytest.mark.skipif(not REAL.exists(), reason="the recorded candles (../shared) are not here")
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT"])
def test_measured_moves_are_those_of_the_candles(symbol: str) -> None:
    import pyarrow.parquet as parquet

    assert set(SPANS) == {s.id for s in SCENARIOS.values() if not s.approximate}
    table = parquet.read_table(REAL / f"{symbol}-1h.parquet")
    time = table["open_time"].to_numpy()
    for name, span in SPANS.items():
        first, end = (
            round(datetime.fromisoformat(f"{x}:00").replace(tzinfo=UTC).timestamp() * 1000)
            for x in span
        )
        low, high = np.searchsorted(time, (first, end)).tolist()
        start = float(table["open"][low].as_py())
        known = SCENARIOS[name].shocks[symbol]
        column = table["low" if known < 0 else "high"].to_numpy()[low:high]
        worst = column.min() if known < 0 else column.max()
        assert float(known) == pytest.approx(worst / start - 1, abs=6e-5), name
