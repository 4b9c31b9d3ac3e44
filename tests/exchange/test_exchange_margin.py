"""Margin mathematics against the exchange's published vectors and definitions."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.simulation import margin
from shared.simulation.contracts import DEFAULT_CONTRACTS
from shared.simulation.funding import funding_rate

BTC = DEFAULT_CONTRACTS["BTCUSDT"]
ETH = DEFAULT_CONTRACTS["ETHUSDT"]
ADA = DEFAULT_CONTRACTS["ADAUSDT"]


def near(value: D, expected: str, digits: int = 7) -> bool:
    return abs(value - D(expected)) <= D(10) ** -digits


def test_cum_of_every_btc_bracket_is_the_published_one() -> None:
    published = [0, 300, 1500, 12000, 132000, 482000, 2982000, 14482000]
    published += [26482000, 41482000, 121482000, 421482000]
    assert [row.cum for row in BTC.brackets] == [D(x) for x in published]


@pytest.mark.parametrize("contract", DEFAULT_CONTRACTS.values(), ids=lambda c: c.symbol)
def test_maintenance_is_continuous_where_brackets_meet(contract) -> None:
    for below, above in zip(contract.brackets, contract.brackets[1:], strict=False):
        assert below.cap == above.floor
        assert below.leverage > above.leverage
        left = below.cap * below.rate - below.cum
        assert left == below.cap * above.rate - above.cum


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("1", "57228.9156627"), ("-1", "62749.0039841")],
    ids=["A long", "B short"],
)
def test_isolated_liquidation_price(quantity: str, expected: str) -> None:
    price = margin.liquidation_price(
        BTC, quantity=D(quantity), entry_price=D(60000), wallet=D(3000)
    )
    assert near(price, expected)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("5", "58482.7309237"), ("-5", "61503.6815920")],
    ids=["C first bracket", "D moves to the second bracket"],
)
def test_cross_liquidation_price_with_a_second_position(quantity: str, expected: str) -> None:
    mark = D(3050)
    kept = margin.maintenance(ETH, 20 * mark)
    assert kept == 244
    price = margin.liquidation_price(
        BTC,
        quantity=D(quantity),
        entry_price=D(60000),
        wallet=D(10000),
        other_maintenance=kept,
        other_unrealized=-20 * (mark - 3000),
    )
    assert near(price, expected)


def test_documented_position_row() -> None:
    """Vector E: ADA 30 @ 0.385, mark 0.41047590, leverage 20."""
    notional = 30 * D("0.41047590")
    assert notional == D("12.31427700")
    assert near(margin.maintenance(ADA, notional), "0.08004280", 8)
    assert near(margin.initial(notional, 20), "0.61571385", 8)


def test_funding_vectors() -> None:
    assert margin.funding_fee(D(1), D(60000), D("0.0001")) == D("-6")
    assert margin.funding_fee(D(-1), D(60000), D("0.0001")) == D("6")
    assert funding_rate(D("0.0002"), D("0.0001"), 4) == D("0.00005")
    assert funding_rate(D("0.0012"), D("0.0001"), 8) == D("0.0007")


@settings(max_examples=200, deadline=None)
@given(
    quantity=st.integers(1, 4000),
    long=st.booleans(),
    entry=st.integers(20_000, 120_000),
    leverage=st.integers(2, 50),
)
def test_at_the_liquidation_price_margin_balance_is_maintenance(
    quantity: int, long: bool, entry: int, leverage: int
) -> None:
    q = D(quantity) / 1000 * (1 if long else -1)
    wallet = abs(q) * entry / leverage
    price = margin.liquidation_price(BTC, quantity=q, entry_price=D(entry), wallet=wallet)
    if price == 0:
        assert long
        return
    balance = wallet + q * (price - entry)
    assert abs(balance - margin.maintenance(BTC, abs(q) * price)) < D("1e-9") * entry


@pytest.mark.parametrize(
    ("held", "bids", "asks", "adds"),
    [
        ("0", "100", "0", "100"),
        ("0", "100", "60", "100"),
        ("50", "0", "40", "0"),
        ("50", "0", "130", "30"),
        ("50", "10", "0", "10"),
        ("-50", "130", "0", "30"),
    ],
)
def test_open_orders_margin_only_what_they_add(held: str, bids: str, asks: str, adds: str) -> None:
    assert margin.open_order_notional(D(held), D(bids), D(asks)) == D(adds)


def test_hedged_cross_positions_share_one_liquidation_price() -> None:
    price = margin.hedge_liquidation_price(
        BTC,
        long=(D(2), D(60000)),
        short=(D(1), D(61000)),
        wallet=D(5000),
        other_maintenance=D(0),
        other_unrealized=D(0),
    )
    balance = 5000 + 2 * (price - 60000) - (price - 61000)
    kept = margin.maintenance(BTC, 2 * price) + margin.maintenance(BTC, price)
    assert abs(balance - kept) < D("1e-9")


def test_sides_of_a_hedge_have_brackets_of_their_own() -> None:
    """Worked out by hand: long 4 stays below 300,000, short 20 is beyond 800,000.

    At P: 200,000 + 4 (P - 60,000) - 20 (P - 61,000) = 4P x 0.4 % + 20P x 0.65 % - 1,500,
    so 1,181,500 = 16.146 P.
    """
    price = margin.hedge_liquidation_price(
        BTC,
        long=(D(4), D(60000)),
        short=(D(20), D(61000)),
        wallet=D(200_000),
        other_maintenance=D(0),
        other_unrealized=D(0),
    )
    assert near(price, "73176.0188", 4)
    assert 4 * price < 300_000
    assert 800_000 < 20 * price < 3_000_000
