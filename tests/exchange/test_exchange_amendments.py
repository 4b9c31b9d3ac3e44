"""Amendments: PUT order and batches, their history and events."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from exchange_world import World, code, flat
from hypothesis import given, settings
from hypothesis import strategies as st

from local.exchange.events import user_events

BTC = "BTCUSDT"
D = Decimal


@pytest.fixture
def world() -> World:
    return World({BTC: [*flat(100_000, 3), *flat(98_000, 3), *flat(100_000, 60)]})


def rest(world: World, name: str = "r", **changes: Any) -> dict:
    order = {
        "symbol": BTC,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "99000",
        "quantity": "0.010",
        "newClientOrderId": name,
    }
    return world.client.futures_create_order(**{**order, **changes})


def amend(world: World, name: str = "r", **changes: Any) -> dict:
    wanted = {"symbol": BTC, "side": "BUY", "price": "98500", "quantity": "0.020"}
    return world.client.futures_modify_order(**{**wanted, "origClientOrderId": name, **changes})


def events(world: World) -> list[dict]:
    seen: list[dict] = []
    world.venue.on_event(lambda event: seen.extend(user_events(world.venue.core, event)))
    return seen


def test_price_and_quantity_change_and_the_order_stays_the_same(world: World) -> None:
    seen = events(world)
    placed = rest(world)
    changed = amend(world, modifyId=17)
    assert (changed["orderId"], changed["clientOrderId"]) == (placed["orderId"], "r")
    assert (changed["price"], changed["origQty"], changed["modifyId"]) == ("98500", "0.02", 17)
    assert changed["pair"] == BTC
    [shown] = world.client.futures_get_open_orders(symbol=BTC)
    assert (shown["price"], shown["origQty"], shown["status"]) == ("98500", "0.02", "NEW")
    told = seen[-1]["o"]
    assert (told["x"], told["X"], told["p"], told["q"], told["M"]) == (
        "AMENDMENT",
        "NEW",
        "98500",
        "0.02",
        17,
    )


def test_an_amendment_forgets_the_prevention_mode_and_keeps_the_time(world: World) -> None:
    placed = rest(world, selfTradePreventionMode="EXPIRE_BOTH")
    world.at_minute(2)
    amend(world)
    shown = world.client.futures_get_order(symbol=BTC, orderId=placed["orderId"])
    assert shown["selfTradePreventionMode"] == "NONE"
    assert shown["updateTime"] - shown["time"] == 60_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"price": "99000", "quantity": "0.010"}, -5027),
        ({"price": "98500.05"}, -4014),
        ({"price": "98500.123"}, -1111),
        ({"price": "106000"}, -4016),
        ({"quantity": "0.0001"}, -1111),
        ({"quantity": "2000"}, -4005),
        ({"quantity": "0"}, -4003),
        ({"price": "95000", "quantity": "0.000"}, -4003),
        ({"price": "40000", "quantity": "0.001"}, -5029),
        ({"side": "SELL"}, -1117),
        ({"reduceOnly": "true"}, -5047),
        ({"quantity": "1000", "price": "104900"}, -2027),
        ({"quantity": "2"}, -2019),
        ({"priceMatch": "QUEUE"}, -1106),
        ({"origClientOrderId": "nobody"}, -2013),
    ],
)
def test_refusals_leave_the_order_as_it_was(world: World, changes: dict, expected: int) -> None:
    rest(world)
    before = world.client.futures_get_open_orders(symbol=BTC)
    assert code(amend, world, **changes) == expected
    assert world.client.futures_get_open_orders(symbol=BTC) == before
    assert world.account.amendments == []


def test_only_what_rests_can_be_amended(world: World) -> None:
    world.client.futures_create_order(
        symbol=BTC, side="BUY", type="MARKET", quantity="0.010", newClientOrderId="m"
    )
    assert code(amend, world, "m") == -2013
    rest(world)
    world.client.futures_cancel_order(symbol=BTC, origClientOrderId="r")
    assert code(amend, world) == -2013


def test_a_matched_price_follows_the_book(world: World) -> None:
    rest(world)
    bid, _ = world.book()
    changed = world.client.futures_modify_order(
        symbol=BTC, side="BUY", quantity="0.010", priceMatch="QUEUE", origClientOrderId="r"
    )
    assert D(changed["price"]) == bid


def test_a_crossing_amendment_takes_and_a_post_only_one_ends(world: World) -> None:
    _, ask = world.book()
    rest(world)
    amend(world, price="100500", quantity="0.010")
    done = world.client.futures_get_order(symbol=BTC, origClientOrderId="r")
    assert (done["status"], D(done["avgPrice"])) == ("FILLED", ask)
    rest(world, "maker", timeInForce="GTX")
    ended = amend(world, "maker", price="100500")
    assert ended["status"] == "CANCELED"
    assert world.position() == D("0.010")


def test_less_than_executed_ends_the_order() -> None:
    # A bar trades 0.1 BTC and one resting order takes a tenth of it.
    world = World({BTC: [*flat(100_000, 3), *flat(98_000, 60)]}, volume=0.1)
    rest(world, quantity="0.030")
    world.at_minute(3.5)
    assert (
        world.client.futures_get_order(symbol=BTC, origClientOrderId="r")["executedQty"] == "0.01"
    )
    assert amend(world, price="97000", quantity="0.010")["status"] == "CANCELED"
    assert world.position() == D("0.010")
    assert world.venue.ledger().problems() == []


def test_reduce_only_orders_may_be_small_when_asked(world: World) -> None:
    world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
    rest(world, side="SELL", price="101000", reduceOnly="true")
    small = {"side": "SELL", "price": "101500", "quantity": "0.001"}
    # 101.5 USDT is above the smallest notional; it takes a symbol's own to go below.
    assert amend(world, **small, reduceOnly="true")["origQty"] == "0.001"
    assert amend(world, **{**small, "quantity": "0.002"})["reduceOnly"] is True


def test_a_reduce_only_order_is_cut_to_the_position_again(world: World) -> None:
    world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
    rest(world, side="SELL", price="101000", reduceOnly="true", quantity="0.004")
    assert amend(world, side="SELL", price="101500", quantity="0.050")["origQty"] == "0.01"


def test_history_is_newest_first(world: World) -> None:
    placed = rest(world)
    for number, price in enumerate(("98500", "98400", "98300"), 1):
        world.at_minute(1 + number / 10)
        amend(world, price=price, modifyId=number)
    rows = world.client.futures_v1_get_order_amendment(symbol=BTC, orderId=placed["orderId"])
    assert [r["amendment"]["count"] for r in rows] == [3, 2, 1]
    assert rows[0]["amendment"] == {
        "price": {"before": "98400", "after": "98300"},
        "origQty": {"before": "0.02", "after": "0.02"},
        "count": 3,
        "modifyId": 3,
    }
    assert rows[0]["orderId"] == placed["orderId"]
    limited = world.client.futures_v1_get_order_amendment(
        symbol=BTC, orderId=placed["orderId"], limit=1
    )
    assert limited == rows[:1]


def test_a_batch_answers_item_by_item(world: World) -> None:
    rest(world, "a")
    rest(world, "b")
    batch = [
        {
            "symbol": BTC,
            "side": "BUY",
            "quantity": "0.011",
            "price": "98000",
            "origClientOrderId": n,
        }
        for n in ("a", "gone", "b")
    ]
    answers = world.client._request_futures_api(
        "put", "batchOrders", True, data={"batchOrders": json.dumps(batch, separators=(",", ":"))}
    )
    assert [a.get("code") or a["price"] for a in answers] == ["98000", -2013, "98000"]
    too_many = json.dumps(batch * 2, separators=(",", ":"))
    call = world.client._request_futures_api
    assert code(call, "put", "batchOrders", True, data={"batchOrders": too_many}) == -4082


def test_the_amended_price_is_the_one_that_fills(world: World) -> None:
    rest(world, price="97000")
    amend(world, price="98500", quantity="0.010")
    world.at_minute(3.5)
    done = world.client.futures_get_order(symbol=BTC, origClientOrderId="r")
    assert (done["status"], done["avgPrice"]) == ("FILLED", "98500")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-8, 8), st.integers(1, 400), st.booleans()), min_size=1, max_size=8
    )
)
def test_any_sequence_keeps_the_books_and_the_margin(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is amended, money is conserved and no order exceeds what the margin allows."""
    world = World({BTC: [*flat(100_000, 2), (100_000, 100_900, 99_100, 100_000)] * 20})
    rest(world, price="99500")
    for minute, (ticks, lots, wait) in enumerate(steps, 2):
        price = D(100_000) + ticks * 100
        quantity = lots * D("0.001")
        answered = code(amend, world, price=str(price), quantity=str(quantity))
        assert answered in (0, -2013, -2019, -2027, -5027)
        if wait:
            world.at_minute(minute)
        balances = world.venue.balances(world.account)
        # Twenty times the wallet is the default leverage; a loss can only come from the market.
        exposed = balances.position_margin + balances.order_margin
        assert exposed <= balances.margin_balance + D(50)
        assert world.venue.ledger().problems() == []
