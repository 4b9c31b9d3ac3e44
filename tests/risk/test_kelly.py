"""The Kelly fraction against its closed form, and the heat of a portfolio."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.risk.gate import decide
from shared.risk.heat import heat, risk_to_stop
from shared.risk.holdings import holdings
from shared.risk.kelly import (
    MAX_KELLY,
    RECORD_TRADES,
    TradeRecord,
    full_kelly,
    trade_record,
)
from shared.risk.sizing import SizingConfig
from tests.risk.scenario import exposure, inputs

D = Decimal


@pytest.mark.parametrize(
    ("won", "lost", "payoff"), [(55, 45, 1.0), (40, 60, 2.0), (30, 70, 3.0), (12, 8, 1.0)]
)
def test_two_outcomes_have_a_closed_form(won: int, lost: int, payoff: float) -> None:
    p = won / (won + lost)
    expected = p - (1 - p) / payoff
    found = full_kelly([payoff] * won + [-1.0] * lost)
    assert float(found) == pytest.approx(min(expected, float(MAX_KELLY)), abs=2e-6)


def test_no_edge_no_size() -> None:
    assert full_kelly([]) == 0
    assert full_kelly([1.0, -1.0]) == 0
    assert full_kelly([2.0, -1.0, -1.0, -1.0]) == 0


def test_a_record_without_a_loss_is_capped() -> None:
    assert full_kelly([0.5] * 20) == MAX_KELLY


@given(st.lists(st.floats(-5, 10).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=60))
def test_no_other_fraction_grows_faster(multiples: list[float]) -> None:
    found = float(full_kelly(multiples))
    assert 0 <= found <= float(MAX_KELLY)

    def growth(f: float) -> float:
        return math.fsum(math.log1p(f * r) if 1 + f * r > 0 else -math.inf for r in multiples)

    best = growth(found)
    for step in range(26):
        assert growth(step / 100) <= best + 1e-4


def test_the_record_is_of_the_newest_trades_with_a_risk() -> None:
    told = [D("0"), D("NaN"), *([D(2), D(-1)] * 200)]
    found = trade_record(told)
    assert found.trades == RECORD_TRADES
    assert found.kelly == full_kelly([2.0, -1.0] * 150)
    assert trade_record([]).trades == 0


def test_heat_counts_every_stop_and_the_widest_where_there_is_none() -> None:
    known = (
        exposure("BTCUSDT", "500", kind="open", decision_id="a", risk=D(10)),
        exposure("BTCUSDT", "500"),
        exposure("ETHUSDT", "200", kind="reserved", decision_id="b", risk=D(6)),
        exposure("XRPUSDT", "100"),
    )
    found = heat(known, D(1000))
    assert found is not None
    assert found.open_risk == 10 + 6 + 5
    assert found.fraction == D("0.021")
    assert found.by_symbol == {"BTCUSDT": 10, "ETHUSDT": 6, "XRPUSDT": 5}
    assert heat(known, D(0)).fraction is None  # type: ignore[union-attr]
    assert heat((exposure("BTCUSDT", "NaN"),), D(1000)) is None


@pytest.mark.parametrize(
    ("quantity", "mark", "stop", "risk"),
    [
        ("2", "100", "95", "10.3"),
        ("-2", "100", "105", "10.3"),
        ("2", "100", "110", "0"),  # trailed into profit
        ("2", "100", None, "10"),
    ],
)
def test_risk_to_the_stop_as_it_stands(
    quantity: str, mark: str, stop: str | None, risk: str
) -> None:
    price = None if stop is None else D(stop)
    assert risk_to_stop(D(quantity), D(mark), price, D("0.0015")) == D(risk)


def test_what_is_reserved_may_come_or_not() -> None:
    found = holdings(
        (
            exposure("A", "500", quantity=D(-3)),
            exposure("A", "510", quantity=D(-3), kind="open", decision_id="a"),
            exposure("B", "200", quantity=D(1), kind="reserved", decision_id="b"),
            exposure("C", "100"),
        )
    )
    assert found is not None
    held, coming = found
    assert held == {"A": D(-510), "B": D(0), "C": D(100)}
    assert coming == {"A": D(-510), "B": D(200), "C": D(100)}
    assert holdings((exposure("A", "-1"),)) is None


WITH_KELLY = {"methods": ("fixed_fractional", "volatility_target", "kelly")}


@pytest.mark.parametrize(
    ("record", "size"),
    [
        (None, None),
        (TradeRecord(trades=99, kelly=D("0.1")), None),
        # 5,000 x 0.25 x 0.01 at risk, at the signal's scale, over stop and costs of 2.15 %.
        (TradeRecord(trades=100, kelly=D("0.01")), D(5000) * D("0.0025") / D("0.0215")),
        (TradeRecord(trades=300, kelly=D(0)), D(0)),
    ],
)
def test_kelly_is_one_of_the_sizes(record: TradeRecord | None, size: Decimal | None) -> None:
    decision = decide(
        inputs(record=record, sizing=WITH_KELLY | {"strength_floor": D(1)}, history=None)
    )
    if size is None:
        assert "kelly" not in decision.sizes
        assert decision.outcome == "approved"
        return
    assert D(decision.sizes["kelly"]) == pytest.approx(size, rel=D("1e-4"))
    if size:
        assert decision.outcome == "approved"
    else:
        assert decision.sizes["bound_by"] == "kelly"
        assert decision.reasons[0] == "quantity"


def test_a_good_record_makes_nothing_larger_than_the_rest_allow() -> None:
    rich = inputs(record=TradeRecord(trades=300, kelly=MAX_KELLY), sizing=WITH_KELLY)
    assert decide(rich).plan == decide(inputs()).plan


def test_kelly_alone_is_no_way_of_sizing() -> None:
    with pytest.raises(ConfigurationError, match="kelly alone"):
        SizingConfig(methods=("kelly",))
    with pytest.raises(ConfigurationError, match="kelly_fraction"):
        SizingConfig(kelly_fraction=D("0.51"))
