"""Orders of one account that would trade with each other, in and around the spread."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from exchange_world import World, code, flat

BTC, ADA = "BTCUSDT", "ADAUSDT"
D = Decimal


@pytest.fixture
def world() -> World:
    """ADA at 0.5: bid 0.4999, ask 0.5001, an own offer of 100 between them."""
    world = World({ADA: flat(0.5, 3)})
    assert world.book(ADA) == (D("0.4999"), D("0.5001"))
    place(world, side="SELL", timeInForce="GTX", newClientOrderId="mine")
    return world


def place(world: World, **order: Any) -> dict[str, Any]:
    base = {"symbol": ADA, "type": "LIMIT", "price": "0.5000", "quantity": "100"}
    return world.client.futures_create_order(**{**base, **order})


def status(world: World, name: str, symbol: str = ADA) -> str:
    row = world.client.futures_get_order(symbol=symbol, origClientOrderId=name)
    return str(row["status"])


@pytest.mark.parametrize(
    ("mode", "mine", "other"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
    ],
)
def test_inside_the_spread(world: World, mode: str, mine: str, other: str) -> None:
    place(
        world,
        side="BUY",
        timeInForce="GTC",
        selfTradePreventionMode=mode,
        newClientOrderId="other",
    )
    assert (status(world, "mine"), status(world, "other")) == (mine, other)
    assert world.venue.ledger().fills == ()


@pytest.mark.parametrize(("force", "expected"), [("GTX", -5022), ("FOK", -5021)])
def test_refused_where_prevention_does_not_work(world: World, force: str, expected: int) -> None:
    assert code(place, world, side="BUY", timeInForce=force) == expected
    assert status(world, "mine") == "NEW"


def test_a_post_only_order_amended_into_an_own_one_is_cancelled(world: World) -> None:
    place(world, side="BUY", timeInForce="GTX", price="0.4990", newClientOrderId="bid")
    world.client.futures_modify_order(
        symbol=ADA, side="BUY", origClientOrderId="bid", price="0.5000", quantity="100"
    )
    assert (status(world, "mine"), status(world, "bid")) == ("NEW", "CANCELED")


def test_a_taker_trades_with_others_until_it_meets_its_own() -> None:
    world = World({BTC: flat(100_000, 3)}, deposit="10000000")
    sell = {"symbol": BTC, "side": "SELL", "timeInForce": "GTX", "quantity": "0.010"}
    place(world, **sell, price="100001", newClientOrderId="mine")
    asks = world.client.futures_order_book(symbol=BTC, limit=1000)["asks"]
    before = sum(D(q) for price, q in asks if D(price) <= 100_001)
    assert 0 < before < 30
    world.client.futures_create_order(
        symbol=BTC,
        side="BUY",
        type="MARKET",
        quantity="30",
        selfTradePreventionMode="EXPIRE_TAKER",
        newClientOrderId="taker",
    )
    row = world.client.futures_get_order(symbol=BTC, origClientOrderId="taker")
    assert (row["status"], D(row["executedQty"])) == ("EXPIRED_IN_MATCH", before)
    assert status(world, "mine", BTC) == "NEW"
    assert world.position() == before
