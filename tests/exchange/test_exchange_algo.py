"""Conditional orders: the whole status life, triggers on the path, the known traps."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest
from exchange_world import MIDNIGHT, World, code, flat, refused

from shared.simulation.contracts import DEFAULT_CONTRACTS

BTC = "BTCUSDT"
#: Minutes 0-2 at 100000, minute 3 falls to 98000 and closes there.
FALL = [*flat(100000, 3), (100000, 100000, 98000, 98000), *flat(98000, 6)]
#: Minute 3 opens 3 % lower than minute 2 closed.
GAP = flat(100_000, 3) + flat(97_000, 6)


def algo(world: World, **p):
    base = {"symbol": BTC, "side": "SELL", "quantity": "0.010"}
    return world.client.futures_create_algo_order(**{**base, **p})


def stop(world: World, trigger: str, **p):
    return algo(world, type="STOP_MARKET", triggerPrice=trigger, **p)


def long(world: World, quantity: str = "0.010") -> None:
    world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity=quantity)


def get(world: World, client_id: str):
    return world.client.futures_get_algo_order(clientAlgoId=client_id)


def statuses(world: World) -> list[tuple[str, str]]:
    """What the venue will say about conditional orders, as it happens."""
    seen: list[tuple[str, str]] = []

    def listen(event) -> None:
        if event.kind == "ALGO":
            seen.append((event.record.client_algo_id, event.record.status))

    world.venue.on_event(listen)
    return seen


def test_the_life_of_a_stop_that_triggers() -> None:
    world = World({BTC: FALL})
    seen = statuses(world)
    long(world)
    placed = stop(world, "99000", reduceOnly="true", clientAlgoId="s")
    assert (placed["algoStatus"], placed["orderType"]) == ("NEW", "STOP_MARKET")
    assert [o["clientAlgoId"] for o in world.client.futures_get_open_algo_orders()] == ["s"]
    assert world.client.futures_get_open_orders(symbol=BTC) == []
    world.at_minute(5)
    assert seen == [("s", "NEW"), ("s", "TRIGGERING"), ("s", "TRIGGERED"), ("s", "FINISHED")]
    assert world.position() == 0
    done = get(world, "s")
    plain = world.client.futures_get_order(symbol=BTC, orderId=done["actualOrderId"])
    assert (plain["status"], plain["clientOrderId"], plain["origType"]) == (
        "FILLED",
        "s",
        "STOP_MARKET",
    )
    assert done["actualQty"] == "0.01"
    assert done["actualPrice"] == plain["avgPrice"]
    # A long meets the low first: a straight fall from 100000 to 98000 in the first 20 seconds.
    assert done["triggerTime"] == MIDNIGHT + 3 * 60_000 + 10_000
    assert D(plain["avgPrice"]) < 99_000
    assert D(plain["avgPrice"]) > 98_950
    assert code(world.client.futures_cancel_algo_order, clientAlgoId="s") == -2011


def test_a_gap_is_filled_at_the_worse_price() -> None:
    world = World({BTC: GAP})
    long(world)
    stop(world, "99000", reduceOnly="true", clientAlgoId="s")
    world.at_minute(4)
    done = get(world, "s")
    assert done["triggerTime"] == MIDNIGHT + 3 * 60_000
    assert 96_900 < D(done["actualPrice"]) < 97_000


def test_what_triggers_at_one_moment_does_so_in_the_same_order_in_every_process() -> None:
    """By name, whatever the hashes of the names are: episodes are replayed in other processes."""
    names = [f"{letters}USDT" for letters in ("ETC", "UNI", "LTC", "DOT", "SOL", "BCH", "TRX")]
    model = DEFAULT_CONTRACTS["ETHUSDT"]
    made = {
        name: msgspec.structs.replace(
            model, instrument=msgspec.structs.replace(model.instrument, symbol=name)
        )
        for name in names
    }
    falls = flat(2_500, 3) + flat(2_400, 6)
    world = World(dict.fromkeys(names, falls), contracts=made)
    seen = statuses(world)
    for name in names:
        stop(world, "2450", symbol=name, quantity="0.1", clientAlgoId=name)
    seen.clear()
    world.at_minute(5)
    assert [id_ for id_, status in seen if status == "TRIGGERING"] == sorted(names)


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "expected"),
    [
        ("STOP_MARKET", "SELL", "100000", -2021),
        ("STOP_MARKET", "SELL", "100500", -2021),
        ("STOP_MARKET", "BUY", "99000", -2021),
        ("TAKE_PROFIT_MARKET", "SELL", "99000", -2021),
        ("TAKE_PROFIT_MARKET", "BUY", "101000", -2021),
        ("STOP_MARKET", "SELL", "99000", 0),
        ("STOP_MARKET", "BUY", "101000", 0),
        ("TAKE_PROFIT_MARKET", "SELL", "101000", 0),
        ("TAKE_PROFIT_MARKET", "BUY", "99000", 0),
        ("STOP_MARKET", "SELL", "99000.05", -4014),
        ("STOP_MARKET", "SELL", "-1", -4006),
        ("STOP_MARKET", "SELL", None, -1102),
        ("MARKET", "SELL", "99000", -1116),
    ],
)
def test_acceptance(kind: str, side: str, trigger: str | None, expected: int) -> None:
    world = World({BTC: flat(100_000, 5)})
    parameters = {"type": kind, "side": side}
    if trigger:
        parameters["triggerPrice"] = trigger
    assert code(algo, world, **parameters) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"closePosition": "true"}, 0),
        ({"closePosition": "true", "quantity": "0.01"}, -4137),
        ({"closePosition": "true", "reduceOnly": "true"}, -1106),
        (
            {"quantity": "0.01", "reduceOnly": "true", "side": "BUY", "triggerPrice": "101000"},
            -2022,
        ),
        ({"closePosition": "true", "side": "BUY", "triggerPrice": "101000"}, -4509),
        ({"closePosition": "true", "type": "STOP", "price": "98000"}, -1106),
        ({}, -1102),
    ],
)
def test_close_position_and_reduce_only(change: dict, expected: int) -> None:
    world = World({BTC: flat(100_000, 5)})
    long(world)
    base = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "99000"}
    assert code(world.client.futures_create_algo_order, **{**base, **change}) == expected


def test_only_one_close_position_stop_per_direction() -> None:
    world = World({BTC: flat(100_000, 5)})
    long(world)
    place = world.client.futures_create_algo_order
    base = {"symbol": BTC, "side": "SELL", "closePosition": "true"}
    place(**base, type="STOP_MARKET", triggerPrice="99000", clientAlgoId="s1")
    assert code(place, **base, type="STOP_MARKET", triggerPrice="98000") == -4130
    assert code(place, **base, type="TAKE_PROFIT_MARKET", triggerPrice="102000") == 0
    assert code(stop, world, "98500", reduceOnly="true") == 0
    world.client.futures_cancel_algo_order(clientAlgoId="s1")
    assert code(place, **base, type="STOP_MARKET", triggerPrice="98000") == 0


def test_ids_are_unique_among_open_conditional_orders_only() -> None:
    world = World({BTC: flat(100_000, 5)})
    stop(world, "99000", clientAlgoId="s")
    assert code(stop, world, "98000", clientAlgoId="s") == -4116
    world.client.futures_cancel_algo_order(clientAlgoId="s")
    assert code(stop, world, "98000", clientAlgoId="s") == 0


def test_mark_and_contract_price_triggers_differ() -> None:
    """Only the contract price dips; a stop by mark price stays."""
    dip = [*flat(100000, 3), (100000, 100000, 98000, 100000), *flat(100000, 3)]
    world = World({BTC: dip}, mark={BTC: flat(100_000, 7)})
    long(world, "0.020")
    stop(world, "99000", reduceOnly="true", clientAlgoId="mark", workingType="MARK_PRICE")
    stop(world, "99000", reduceOnly="true", clientAlgoId="last")
    world.at_minute(5)
    assert get(world, "mark")["algoStatus"] == "NEW"
    assert get(world, "last")["algoStatus"] == "FINISHED"
    assert world.position() == D("0.010")


@pytest.mark.parametrize("on", ["MARK_PRICE", "CONTRACT_PRICE"])
@pytest.mark.parametrize(
    ("kind", "side", "trigger", "spike"),
    [
        ("STOP_MARKET", "BUY", "100100", (100_000, 100_200, 99_990, 100_000)),
        ("STOP_MARKET", "SELL", "99900", (100_000, 100_010, 99_800, 100_000)),
        ("TAKE_PROFIT_MARKET", "SELL", "100100", (100_000, 100_200, 99_990, 100_000)),
        ("TAKE_PROFIT_MARKET", "BUY", "99900", (100_000, 100_010, 99_800, 100_000)),
    ],
)
def test_a_spike_inside_one_bar_is_enough(
    kind: str, side: str, trigger: str, spike: tuple, on: str
) -> None:
    """Either extreme of either price, alone, within a bar that closes where it opened."""
    calm = flat(100_000, 9)
    moved = [*flat(100_000, 3), spike, *flat(100_000, 5)]
    last, mark = (calm, moved) if on == "MARK_PRICE" else (moved, calm)
    world = World({BTC: last}, mark={BTC: mark})
    order = {"type": kind, "side": side, "triggerPrice": trigger}
    algo(world, **order, workingType=on, clientAlgoId="hit")
    other = "CONTRACT_PRICE" if on == "MARK_PRICE" else "MARK_PRICE"
    algo(world, **order, workingType=other, clientAlgoId="missed")
    world.at_minute(7)
    assert get(world, "hit")["algoStatus"] == "FINISHED"
    assert get(world, "missed")["algoStatus"] == "NEW"


def test_after_the_position_is_flat_quantity_stops_stay_armed_and_closing_ones_expire() -> None:
    world = World({BTC: FALL})
    long(world)
    stop(world, "99000", reduceOnly="true", clientAlgoId="quantity")
    world.client.futures_create_algo_order(
        symbol=BTC,
        side="SELL",
        type="STOP_MARKET",
        triggerPrice="98500",
        closePosition="true",
        clientAlgoId="closing",
    )
    world.client.futures_create_order(symbol=BTC, side="SELL", type="MARKET", quantity="0.010")
    assert get(world, "closing")["algoStatus"] == "EXPIRED"
    assert get(world, "quantity")["algoStatus"] == "NEW"
    world.at_minute(5)
    assert get(world, "quantity")["algoStatus"] == "REJECTED"
    assert world.position() == 0


def test_a_stop_larger_than_the_position_only_closes_it() -> None:
    world = World({BTC: FALL})
    long(world, "0.020")
    stop(world, "99000", quantity="0.020", reduceOnly="true", clientAlgoId="s")
    world.client.futures_create_order(symbol=BTC, side="SELL", type="MARKET", quantity="0.015")
    world.at_minute(5)
    assert world.position() == 0
    done = get(world, "s")
    assert (done["algoStatus"], done["actualQty"]) == ("FINISHED", "0.005")


def test_margin_is_checked_only_at_the_trigger() -> None:
    world = World({BTC: FALL}, deposit="50")
    seen = statuses(world)
    algo(world, type="STOP_MARKET", triggerPrice="99000", quantity="1", clientAlgoId="big")
    world.at_minute(5)
    assert seen == [("big", "NEW"), ("big", "TRIGGERING"), ("big", "REJECTED")]
    assert world.position() == 0


def test_a_stop_limit_rests_after_its_trigger_and_finishes_when_cancelled() -> None:
    world = World({BTC: GAP})
    long(world)
    algo(
        world,
        type="STOP",
        triggerPrice="99000",
        price="99500",
        reduceOnly="true",
        clientAlgoId="s",
    )
    world.at_minute(5)
    triggered = get(world, "s")
    assert triggered["algoStatus"] == "TRIGGERED"
    [plain] = world.client.futures_get_open_orders(symbol=BTC)
    assert str(plain["orderId"]) == triggered["actualOrderId"]
    world.client.futures_cancel_order(symbol=BTC, origClientOrderId="s")
    done = get(world, "s")
    assert (done["algoStatus"], done["actualQty"]) == ("FINISHED", "0")


class TestTrailing:
    #: Up to 102000 and down to 99000; held long, so each bar's low comes first.
    rows = (
        *flat(100000, 3),
        (100000, 102000, 100000, 102000),
        (102000, 102000, 99000, 99000),
        *flat(99000, 4),
    )

    def test_follows_the_price_and_triggers_on_the_way_back(self) -> None:
        world = World({BTC: self.rows})
        long(world)
        algo(
            world,
            type="TRAILING_STOP_MARKET",
            callbackRate="1",
            reduceOnly="true",
            clientAlgoId="t",
        )
        world.at_minute(4)
        assert get(world, "t")["algoStatus"] == "NEW"
        world.at_minute(6)
        done = get(world, "t")
        assert done["algoStatus"] == "FINISHED"
        # 1 % below the high of 102000 is 100980, reached on the straight fall to 99000.
        share = (102_000 - 100_980) / 3_000
        assert done["triggerTime"] == MIDNIGHT + 4 * 60_000 + int(-(-share * 20_000 // 1))

    def test_remembers_the_best_price_over_bars(self) -> None:
        rows = (
            *flat(100_000, 3),
            (100_000, 102_000, 100_000, 101_500),
            (101_500, 101_500, 101_200, 101_200),
            (101_200, 101_200, 99_000, 99_000),
            *flat(99_000, 3),
        )
        world = World({BTC: rows})
        long(world)
        trail = {"type": "TRAILING_STOP_MARKET", "callbackRate": "1", "reduceOnly": "true"}
        algo(world, **trail, clientAlgoId="t")
        world.at_minute(7)
        share = (101_200 - 100_980) / 2_200
        assert get(world, "t")["triggerTime"] == MIDNIGHT + 5 * 60_000 + int(
            -(-share * 20_000 // 1)
        )

    def test_waits_for_its_activation_price(self) -> None:
        world = World({BTC: self.rows})
        long(world)
        trail = {"type": "TRAILING_STOP_MARKET", "callbackRate": "1", "reduceOnly": "true"}
        assert code(algo, world, **trail, activatePrice="99000") == -2021
        algo(world, **trail, activatePrice="103000", clientAlgoId="never")
        world.at_minute(8)
        assert get(world, "never")["algoStatus"] == "NEW"

    @pytest.mark.parametrize(("rate", "expected"), [("0.05", -2007), ("21", -2007), ("20", 0)])
    def test_callback_rate(self, rate: str, expected: int) -> None:
        world = World({BTC: flat(100_000, 3)})
        trail = {"type": "TRAILING_STOP_MARKET", "callbackRate": rate}
        assert code(algo, world, **trail) == expected
        assert code(algo, world, type="TRAILING_STOP_MARKET") == -1102


def test_cancelling_all_plain_orders_leaves_conditional_ones() -> None:
    world = World({BTC: flat(100_000, 5)})
    stop(world, "99000", clientAlgoId="a")
    stop(world, "98000", clientAlgoId="b")
    world.client.futures_cancel_all_open_orders(symbol=BTC)
    assert len(world.client.futures_get_open_algo_orders(symbol=BTC)) == 2
    answer = world.client.futures_cancel_all_algo_open_orders(symbol=BTC)
    assert answer["code"] == 200
    assert world.client.futures_get_open_algo_orders(symbol=BTC) == []
    rows = world.client.futures_get_all_algo_orders(symbol=BTC)
    assert [row["algoStatus"] for row in rows] == ["CANCELED", "CANCELED"]


def test_at_most_200_conditional_orders() -> None:
    world = World({BTC: flat(100_000, 5)})
    for n in range(200):
        stop(world, "99000", clientAlgoId=f"s{n}")
    assert code(stop, world, "99000") == -4045


def test_a_stuck_trigger_can_be_staged() -> None:
    """The demo exchange was seen to trigger a stop and never produce an order."""
    world = World({BTC: FALL})
    world.venue.core.forward_trigger = lambda order: False
    long(world)
    stop(world, "99000", reduceOnly="true", clientAlgoId="stuck")
    world.at_minute(6)
    assert get(world, "stuck")["algoStatus"] == "TRIGGERING"
    assert world.position() == D("0.010")
    refusal = refused(world.client.futures_cancel_algo_order, clientAlgoId="stuck")
    assert refusal.code == -2011


def test_python_binance_routes_conditional_types_itself() -> None:
    world = World({BTC: flat(100_000, 5)})
    answer = world.client.futures_create_order(
        symbol=BTC, side="SELL", type="STOP_MARKET", stopPrice="99000", quantity="0.01"
    )
    assert answer["triggerPrice"] == "99000"
    found = world.client.futures_get_order(symbol=BTC, algoId=answer["algoId"])
    assert found["algoStatus"] == "NEW"
