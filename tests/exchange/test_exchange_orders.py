"""Plain orders: fills, kinds, identity, reduce-only, self-trades."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from exchange_world import MIDNIGHT, World, code, flat, http_client, refused

BTC = "BTCUSDT"


def order(world: World, **p):
    return world.client.futures_create_order(symbol=BTC, **p)


@pytest.fixture(params=["in process", "http"])
def lifecycle_client(request):
    world = World({BTC: flat(100_000, 30)})
    if request.param == "in process":
        yield world, world.client
    else:
        with http_client(world.api) as client:
            yield world, client


def test_one_trade_from_entry_to_exit_over_both_transports(lifecycle_client) -> None:
    world, client = lifecycle_client
    bid, ask = world.book()
    client.futures_change_leverage(symbol=BTC, leverage=10)
    client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    entry = client.futures_create_order(
        symbol=BTC, side="BUY", type="MARKET", quantity="0.010", newClientOrderId="entry-1"
    )
    assert (entry["status"], entry["executedQty"]) == ("NEW", "0")
    assert "avgPrice" not in entry
    assert "cumQuote" not in entry
    seen = client.futures_get_order(symbol=BTC, origClientOrderId="entry-1")
    assert (seen["status"], D(seen["avgPrice"])) == ("FILLED", ask)
    stop = client.futures_create_order(
        symbol=BTC,
        side="SELL",
        type="STOP_MARKET",
        stopPrice="99000",
        quantity="0.010",
        reduceOnly="true",
        workingType="MARK_PRICE",
        clientAlgoId="stop-1",
    )
    assert stop["algoStatus"] == "NEW"
    [position] = client.futures_position_information(symbol=BTC)
    assert D(position["positionAmt"]) == D("0.010")
    assert D(position["entryPrice"]) == ask
    assert D(position["isolatedWallet"]) == D("0.010") * ask / 10
    client.futures_cancel_order(symbol=BTC, clientAlgoId="stop-1")
    closed = client.futures_create_order(
        symbol=BTC,
        side="SELL",
        type="MARKET",
        quantity="0.010",
        reduceOnly="true",
        newOrderRespType="RESULT",
    )
    assert (closed["status"], closed["executedQty"]) == ("FILLED", "0.01")
    assert client.futures_position_information() == []
    fees = (D("0.010") * ask * D("0.0005")) + (D("0.010") * bid * D("0.0005"))
    expected = 5000 + D("0.010") * (bid - ask) - fees
    [balance] = client.futures_account_balance()
    assert D(balance["balance"]) == expected
    trades = client.futures_account_trades(symbol=BTC)
    assert [t["buyer"] for t in trades] == [True, False]
    kinds = [row["incomeType"] for row in client.futures_income_history()]
    assert sorted(kinds) == ["COMMISSION", "COMMISSION", "REALIZED_PNL", "TRANSFER"]
    assert world.venue.ledger().problems() == []


def test_answers_carry_the_average_price_again_when_asked() -> None:
    world = World({BTC: flat(100_000, 3)}, average_price_in_answers=True)
    got = order(world, side="BUY", type="MARKET", quantity="0.01", newOrderRespType="RESULT")
    assert D(got["avgPrice"]) == world.book()[1]
    assert D(got["cumQuote"]) == world.book()[1] * D("0.01")


def test_a_large_market_order_walks_the_book() -> None:
    world = World({BTC: flat(100_000, 3)}, deposit="10000000")
    _, ask = world.book()
    levels = world.client.futures_order_book(symbol=BTC, limit=1000)["asks"]
    order(world, side="BUY", type="MARKET", quantity="60", newClientOrderId="big")
    fills = world.venue.ledger().fills
    left, expected = D(60), []
    for price, offered in levels:
        part = min(left, D(offered))
        expected.append((D(price), part))
        left -= part
        if not left:
            break
    assert [(f.price, f.quantity) for f in fills] == expected
    assert len(fills) > 3
    assert fills[0].price == ask < fills[-1].price


def test_orders_of_one_moment_share_one_book() -> None:
    """Ten small orders at once pay what one large order pays; a moment later the book is whole."""
    rows = {BTC: flat(100_000, 3)}
    one, many = (World(rows, deposit="10000000") for _ in range(2))
    order(one, side="BUY", type="MARKET", quantity="60")
    for _ in range(10):
        order(many, side="BUY", type="MARKET", quantity="6")
    taken = sum(f.quantity * f.price for f in one.venue.ledger().fills)
    assert taken == sum(f.quantity * f.price for f in many.venue.ledger().fills)
    # Who looks at that moment sees what is left.
    assert D(many.client.futures_order_book(symbol=BTC)["asks"][0][0]) == many.book()[1] > 100_001
    many.at_minute(1.1)
    assert many.book()[1] == D("100000.1")


def test_a_market_order_stops_at_the_take_bound() -> None:
    """Mark 5 % below contract price: nothing on offer within the bound."""
    rows = {BTC: flat(100_000, 3)}
    near = World(rows, mark={BTC: flat(95_230, 3)}, deposit="1000000")
    assert code(order, near, side="BUY", type="MARKET", quantity="0.01") == -4131
    assert code(order, near, side="SELL", type="MARKET", quantity="0.01") == 0


class TestResting:
    """A limit order rests until the path trades through it."""

    rows = (*flat(100000, 3), (100000, 100050, 99900, 100020), *flat(100020, 3))

    @pytest.mark.parametrize(
        ("price", "filled"), [("99950", True), ("99900.1", True), ("99900", False)]
    )
    def test_fills_only_when_traded_through(self, price: str, filled: bool) -> None:
        world = World({BTC: self.rows})
        order(
            world,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price=price,
            quantity="0.010",
            newClientOrderId="rest",
        )
        world.at_minute(3)
        assert world.position() == 0
        world.at_minute(5)
        assert world.position() == (D("0.010") if filled else 0)
        if filled:
            [fill] = world.venue.ledger().fills
            assert fill.maker
            assert fill.price == D(price)
            assert fill.commission == D(price) * D("0.010") * D("0.0002")

    @pytest.mark.parametrize(
        ("price", "filled"), [("100030", True), ("100049.9", True), ("100050", False)]
    )
    def test_sells_fill_on_the_way_up(self, price: str, filled: bool) -> None:
        world = World({BTC: self.rows})
        order(
            world,
            side="SELL",
            type="LIMIT",
            timeInForce="GTX",
            price=price,
            quantity="0.010",
        )
        world.at_minute(3.99)
        assert world.position() == (-D("0.010") if filled else 0)

    def test_fills_at_the_moment_the_path_gets_there(self) -> None:
        """The bar closes above its open: open 100000, low 99900 after 20 s, in a straight line."""
        world = World({BTC: self.rows})
        order(
            world,
            side="BUY",
            type="LIMIT",
            timeInForce="GTX",
            price="99950",
            quantity="0.010",
        )
        world.at_minute(6)
        [fill] = world.venue.ledger().fills
        through = (100_000 - 99_949.95) / 100 * 20_000
        assert fill.time == MIDNIGHT + 3 * 60_000 + int(-(-through // 1))

    def test_takes_at_most_a_share_of_the_volume_per_bar(self) -> None:
        rows = flat(100_000, 2) + [(99_000, 99_000, 99_000, 99_000)] * 6
        world = World({BTC: rows}, volume=0.05)
        order(
            world,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="99500",
            quantity="0.012",
            newClientOrderId="slow",
        )
        seen = []
        for minute in (2.5, 3.5, 4.5):
            world.at_minute(minute)
            row = world.client.futures_get_order(symbol=BTC, origClientOrderId="slow")
            seen.append((row["status"], row["executedQty"]))
        assert seen == [
            ("PARTIALLY_FILLED", "0.005"),
            ("PARTIALLY_FILLED", "0.01"),
            ("FILLED", "0.012"),
        ]

    def test_orders_of_one_side_share_it(self) -> None:
        """A tenth of 0.05 is 0.005 a bar, for one order as for three; sales have their own."""
        rows = flat(100_000, 2) + [(99_000, 101_000, 99_000, 99_000)] * 3
        world = World({BTC: rows}, volume=0.05)
        rest = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.004"}
        for number, price in enumerate(("99500", "99400", "99300")):
            order(world, side="BUY", price=price, newClientOrderId=f"b{number}", **rest)
        order(world, side="SELL", price="100500", newClientOrderId="s", **rest)
        world.at_minute(2.99)
        done = {o.client_order_id: o.executed for o in world.venue.ledger().orders}
        assert done == {"b0": D("0.004"), "b1": D("0.001"), "b2": 0, "s": D("0.004")}
        world.at_minute(3.99)
        done = {o.client_order_id: o.executed for o in world.venue.ledger().orders}
        assert done == {"b0": D("0.004"), "b1": D("0.004"), "b2": D("0.002"), "s": D("0.004")}


@pytest.mark.parametrize(
    ("force", "price", "status", "executed"),
    [
        ("IOC", "100010", "FILLED", "0.01"),
        ("IOC", "99990", "EXPIRED", "0"),
        ("FOK", "100010", "FILLED", "0.01"),
        ("GTX", "99990", "NEW", "0"),
        ("GTC", "100010", "FILLED", "0.01"),
        ("GTC", "99990", "NEW", "0"),
    ],
)
def test_time_in_force(force: str, price: str, status: str, executed: str) -> None:
    world = World({BTC: flat(100_000, 3)})
    answer = order(
        world,
        side="BUY",
        type="LIMIT",
        timeInForce=force,
        price=price,
        quantity="0.010",
        newOrderRespType="RESULT",
    )
    found = world.client.futures_get_order(symbol=BTC, orderId=answer["orderId"])
    assert (found["status"], found["executedQty"]) == (status, executed)


def test_an_order_expires_at_its_date() -> None:
    world = World({BTC: flat(100_000, 30)})
    until = MIDNIGHT + 15 * 60_000
    order(
        world,
        side="BUY",
        type="LIMIT",
        timeInForce="GTD",
        goodTillDate=until,
        price="99000",
        quantity="0.01",
        newClientOrderId="dated",
    )
    world.at_minute(20)
    row = world.client.futures_get_order(symbol=BTC, origClientOrderId="dated")
    assert (row["status"], row["updateTime"]) == ("EXPIRED", until)


class TestIdentity:
    """Client ids are unique among open orders only."""

    def test_a_resting_id_is_refused_a_finished_one_executes_again(self) -> None:
        world = World({BTC: flat(100_000, 3)})
        rest = {
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "price": "99000",
            "quantity": "0.01",
            "newClientOrderId": "same",
        }
        order(world, **rest)
        assert code(order, world, **rest) == -4116
        world.client.futures_cancel_order(symbol=BTC, origClientOrderId="same")
        order(world, **rest)
        market = {"side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "m"}
        order(world, **market)
        order(world, **market)
        assert world.position() == D("0.02")

    def test_cancel_is_refused_the_second_time(self) -> None:
        world = World({BTC: flat(100_000, 3)})
        order(
            world,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="99000",
            quantity="0.01",
            newClientOrderId="c",
        )
        cancelled = world.client.futures_cancel_order(symbol=BTC, origClientOrderId="c")
        assert cancelled["status"] == "CANCELED"
        refusal = refused(world.client.futures_cancel_order, symbol=BTC, origClientOrderId="c")
        assert (refusal.code, refusal.message) == (-2011, "Unknown order sent.")

    def test_cancelled_orders_are_forgotten_after_three_days_filled_ones_are_not(self) -> None:
        world = World({BTC: flat(100_000, 3)})
        order(
            world,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="99000",
            quantity="0.01",
            newClientOrderId="gone",
        )
        world.client.futures_cancel_order(symbol=BTC, origClientOrderId="gone")
        order(world, side="BUY", type="MARKET", quantity="0.01", newClientOrderId="kept")
        world.at_minute(2 * 1440)
        get = world.client.futures_get_order
        assert code(get, symbol=BTC, origClientOrderId="gone") == 0
        world.at_minute(4 * 1440)
        assert code(get, symbol=BTC, origClientOrderId="gone") == -2013
        assert code(get, symbol=BTC, origClientOrderId="kept") == 0


class TestReduceOnly:
    def test_needs_an_opposite_position(self) -> None:
        world = World({BTC: flat(100_000, 3)})
        sell = {"side": "SELL", "type": "MARKET", "quantity": "0.01", "reduceOnly": "true"}
        assert code(order, world, **sell) == -2022
        order(world, side="SELL", type="MARKET", quantity="0.01")
        assert code(order, world, **sell) == -2022

    def test_is_cut_to_the_position(self) -> None:
        """As seen on the venue: the order itself gets the position's quantity."""
        world = World({BTC: flat(100_000, 3)})
        order(world, side="BUY", type="MARKET", quantity="0.01")
        reducing = {"side": "SELL", "quantity": "0.05", "reduceOnly": "true"}
        limit = {"type": "LIMIT", "timeInForce": "GTC", "price": "101000"}
        resting = order(world, **{**reducing, "quantity": "0.004"}, **limit)
        assert resting["origQty"] == "0.004"
        answer = order(world, **reducing, type="MARKET", newOrderRespType="RESULT")
        # What the resting order has reserved is not there for another.
        assert (answer["status"], answer["origQty"], answer["executedQty"]) == (
            "FILLED",
            "0.006",
            "0.006",
        )
        assert world.position() == D("0.004")
        world.client.futures_cancel_order(symbol=BTC, orderId=resting["orderId"])
        assert order(world, **reducing, **limit)["origQty"] == "0.004"

    def test_resting_reduce_only_orders_reserve_the_position_and_go_with_it(self) -> None:
        world = World({BTC: flat(100_000, 3)})
        order(world, side="BUY", type="MARKET", quantity="0.01")
        rest = {
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "price": "101000",
            "quantity": "0.01",
            "reduceOnly": "true",
        }
        order(world, newClientOrderId="first", **rest)
        assert code(order, world, newClientOrderId="second", **rest) == -2022
        order(world, side="SELL", type="MARKET", quantity="0.01")
        row = world.client.futures_get_order(symbol=BTC, origClientOrderId="first")
        assert row["status"] == "EXPIRED"

    def test_is_exempt_from_the_minimum_notional(self) -> None:
        world = World({"ETHUSDT": flat(3_000, 3)})
        place = world.client.futures_create_order
        place(symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.010")
        tiny = {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.001"}
        assert code(place, **tiny) == -4164
        assert code(place, **tiny, reduceOnly="true") == 0


class TestMargin:
    def test_an_order_beyond_the_free_balance_is_refused(self) -> None:
        world = World({BTC: flat(100_000, 3)}, deposit="100")
        world.client.futures_change_leverage(symbol=BTC, leverage=10)
        assert code(order, world, side="BUY", type="MARKET", quantity="0.010") == -2019
        assert code(order, world, side="BUY", type="MARKET", quantity="0.009") == 0
        assert code(order, world, side="BUY", type="MARKET", quantity="0.001") == -2019
        # Closing and turning around need no more than what is released.
        assert code(order, world, side="SELL", type="MARKET", quantity="0.010") == 0

    def test_resting_orders_reserve_margin_until_cancelled(self) -> None:
        world = World({BTC: flat(100_000, 3)}, deposit="100")
        world.client.futures_change_leverage(symbol=BTC, leverage=10)
        rest = {"type": "LIMIT", "timeInForce": "GTC", "price": "99000", "quantity": "0.010"}
        order(world, side="BUY", newClientOrderId="r", **rest)
        account = world.client.futures_account(version=3)
        assert D(account["totalOpenOrderInitialMargin"]) == 99
        assert D(account["availableBalance"]) == 1
        assert code(order, world, side="BUY", newClientOrderId="s", **rest) == -2019
        world.client.futures_cancel_all_open_orders(symbol=BTC)
        assert code(order, world, side="BUY", newClientOrderId="s", **rest) == 0

    def test_leverage_and_margin_type_rules(self) -> None:
        world = World({BTC: flat(100_000, 3)})
        c = world.client
        c.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        c.futures_change_leverage(symbol=BTC, leverage=5)
        order(world, side="BUY", type="MARKET", quantity="0.01")
        change = c.futures_change_margin_type
        assert code(change, symbol=BTC, marginType="CROSSED") == -4048
        assert code(c.futures_change_leverage, symbol=BTC, leverage=4) == -4161
        assert code(c.futures_change_leverage, symbol=BTC, leverage=6) == 0
        assert code(c.futures_change_position_mode, dualSidePosition="true") == -4068
        add = c.futures_change_position_margin
        assert code(add, symbol=BTC, amount="10", type=1) == 0
        assert code(add, symbol=BTC, amount="100000", type=1) == -4050
        assert code(add, symbol=BTC, amount="100000", type=2) == -4051
        [config] = c.futures_symbol_config(symbol=BTC)
        assert (config["marginType"], config["leverage"]) == ("ISOLATED", 6)
        assert world.venue.ledger().problems() == []


def test_countdown_cancels_plain_orders_and_keeps_stops() -> None:
    world = World({BTC: flat(100_000, 30)})
    order(world, side="BUY", type="MARKET", quantity="0.01")
    order(world, side="BUY", type="LIMIT", timeInForce="GTC", price="99000", quantity="0.01")
    order(
        world,
        side="SELL",
        type="STOP_MARKET",
        stopPrice="90000",
        quantity="0.01",
        reduceOnly="true",
        clientAlgoId="s",
    )
    world.client.futures_countdown_cancel_all(symbol=BTC, countdownTime=120_000)
    world.at_minute(2.5)
    assert len(world.client.futures_get_open_orders(symbol=BTC)) == 1
    world.client.futures_countdown_cancel_all(symbol=BTC, countdownTime=120_000)
    world.at_minute(4)
    assert len(world.client.futures_get_open_orders(symbol=BTC)) == 1
    world.at_minute(4.6)
    ledger = world.venue.ledger()
    assert (len(ledger.open_orders), len(ledger.open_algo_orders)) == (0, 1)


def test_batch_orders_answer_in_order_each_for_itself() -> None:
    world = World({BTC: flat(100_000, 3)})
    rest = {
        "symbol": BTC,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "99000",
        "quantity": "0.01",
    }
    answers = world.client.futures_place_batch_order(
        batchOrders=[
            {**rest, "newClientOrderId": "b1"},
            {**rest, "quantity": "0"},
            {**rest, "newClientOrderId": "b1"},
        ]
    )
    assert [a.get("code", a.get("status")) for a in answers] == ["NEW", -4003, -4116]
    cancelled = world.client.futures_cancel_orders(
        symbol=BTC, origclientorderidlist=["b1", "nothing"]
    )
    assert [a.get("code", a.get("status")) for a in cancelled] == ["CANCELED", -2011]
    cancel = world.client.futures_cancel_orders
    names = [f"n{number}" for number in range(11)]
    assert code(cancel, symbol=BTC, origclientorderidlist=names) == -4032


@pytest.mark.parametrize(
    ("mode", "resting", "taker"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "FILLED"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
    ],
)
def test_self_trades_are_prevented(mode: str, resting: str, taker: str) -> None:
    world = World({BTC: flat(100_000, 3)}, deposit="10000000")
    order(
        world,
        side="SELL",
        type="LIMIT",
        timeInForce="GTX",
        price="100001",
        quantity="0.010",
        newClientOrderId="mine",
    )
    order(
        world,
        side="BUY",
        type="MARKET",
        quantity="30",
        selfTradePreventionMode=mode,
        newClientOrderId="taker",
    )
    get = world.client.futures_get_order
    assert get(symbol=BTC, origClientOrderId="mine")["status"] == resting
    assert get(symbol=BTC, origClientOrderId="taker")["status"] == taker


def test_hedge_mode_holds_both_sides() -> None:
    world = World({BTC: flat(100_000, 3)})
    world.client.futures_change_position_mode(dualSidePosition="true")
    assert code(order, world, side="BUY", type="MARKET", quantity="0.01") == -4061
    order(world, side="BUY", type="MARKET", quantity="0.02", positionSide="LONG")
    order(world, side="SELL", type="MARKET", quantity="0.01", positionSide="SHORT")
    close = {"side": "SELL", "type": "MARKET", "positionSide": "LONG"}
    assert code(order, world, quantity="0.03", **close) == -2022
    assert code(order, world, quantity="0.01", reduceOnly="true", **close) == -1106
    order(world, quantity="0.01", **close)
    rows = world.client.futures_position_information(symbol=BTC)
    held = {row["positionSide"]: row["positionAmt"] for row in rows}
    assert held == {"LONG": "0.01", "SHORT": "-0.01"}
    assert world.venue.ledger().problems() == []
