"""What an order has to have behind it: published formulas, worked out by hand to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from exchange_world import World, code, flat

BTC, ETH = "BTCUSDT", "ETHUSDT"
D = Decimal


def place(world: World, symbol: str = BTC, **order: Any) -> int:
    limit = {"type": "LIMIT", "timeInForce": "GTC"} if "price" in order else {"type": "MARKET"}
    return code(world.client.futures_create_order, symbol=symbol, **{**limit, **order})


@pytest.mark.parametrize(
    ("side", "cost"),
    [
        # 9253.30 / 20, no open loss below the mark price; fee 9253.30 x 0.05 %.
        ("BUY", "467.29165"),
        # Assumed price 9258.99 x 1.0015 = 9272.878485: / 20, open loss 6.54, fee 0.05 %.
        ("SELL", "474.8203634925"),
    ],
)
def test_the_published_example(side: str, cost: str) -> None:
    """1 contract at 9253.30, last 9258.99, mark 9259.84, 20x: "cost to open a position"."""
    rows, mark = {ETH: flat(9258.99, 3)}, {ETH: flat(9259.84, 3)}
    order = {"symbol": ETH, "side": side, "price": "9253.30", "quantity": "1"}
    enough = D(cost).quantize(D("0.01"), rounding="ROUND_CEILING")
    assert place(World(rows, mark=mark, deposit=str(enough - D("0.01"))), **order) == -2019
    assert place(World(rows, mark=mark, deposit=str(enough)), **order) == 0


@pytest.mark.parametrize(
    ("order", "cost"),
    [
        # Through the book by 5 %: 1050 / 20 + a loss of 50 against the mark + 0.525 fee.
        ({"side": "BUY", "price": "105000"}, "103.025"),
        # Ask 100,000.1 + 0.15 %: 1001.501 / 20 + 1.501 loss + 0.50075 fee.
        ({"side": "BUY"}, "52.0768"),
        # Last 100,000 + 0.15 %: 1001.5 / 20 + 0.001 loss to the bid 99,999.9 + 0.50075 fee.
        ({"side": "SELL"}, "50.57675"),
    ],
    ids=["marketable limit", "market buy", "market sale"],
)
def test_orders_that_take(order: dict[str, str], cost: str) -> None:
    rows = {BTC: flat(100_000, 3)}
    enough = D(cost).quantize(D("0.01"), rounding="ROUND_CEILING")
    least = World(rows, deposit=str(enough - D("0.01")))
    assert place(least, quantity="0.010", **order) == -2019
    assert place(World(rows, deposit=str(enough)), quantity="0.010", **order) == 0


class TestHedgeMode:
    """Each position side margins its own orders."""

    @pytest.fixture
    def world(self) -> World:
        world = World({BTC: flat(100_000, 3)}, deposit="1000")
        world.client.futures_change_position_mode(dualSidePosition="true")
        # 0.05 BTC long: 250 USDT at 20x.
        assert place(world, side="BUY", quantity="0.050", positionSide="LONG") == 0
        return world

    def test_a_long_does_not_margin_an_order_for_a_short(self, world: World) -> None:
        short = {"side": "SELL", "price": "101000", "quantity": "0.050", "positionSide": "SHORT"}
        assert place(world, **short) == 0
        account = world.client.futures_account(version=3)
        # 5,050 / 20.
        assert D(account["totalOpenOrderInitialMargin"]) == D("252.5")
        rows = world.client.futures_position_information(symbol=BTC)
        asks = {row["positionSide"]: D(row["askNotional"]) for row in rows}
        assert asks == {"LONG": 0, "SHORT": 5050}
        # Another 0.10 BTC long would need 500 of the 495 that are left, short order or not.
        assert place(world, side="BUY", quantity="0.100", positionSide="LONG") == -2019

    def test_a_closing_order_reserves_nothing(self, world: World) -> None:
        close = {"side": "SELL", "price": "101000", "quantity": "0.050", "positionSide": "LONG"}
        assert place(world, **close) == 0
        account = world.client.futures_account(version=3)
        assert D(account["totalOpenOrderInitialMargin"]) == 0


class TestLeverageWithOpenOrders:
    def test_less_leverage_has_to_be_margined(self) -> None:
        world = World({BTC: flat(100_000, 3)}, deposit="100")
        change = world.client.futures_change_leverage
        change(symbol=BTC, leverage=10)
        # 495 USDT: 49.5 reserved; 99 at 5x, 123.75 at 4x.
        assert place(world, side="BUY", price="99000", quantity="0.005") == 0
        assert code(change, symbol=BTC, leverage=4) == -2028
        assert code(change, symbol=BTC, leverage=5) == 0

    def test_more_leverage_has_to_allow_what_the_orders_would_open(self) -> None:
        world = World({BTC: flat(100_000, 3)}, deposit="100000")
        # 396,000 USDT: the table allows 300,000 above 100x and 800,000 above 75x.
        assert place(world, side="BUY", price="99000", quantity="4") == 0
        change = world.client.futures_change_leverage
        assert code(change, symbol=BTC, leverage=101) == -2027
        assert code(change, symbol=BTC, leverage=100) == 0


def test_turning_an_isolated_position_counts_the_loss_it_realises() -> None:
    """Long 0.009 at 100,000 and 10x, now at 92,000: 90 locked, 72 lost, nine and a half free.

    Turned into as large a short: 82.9 locked, 0.8 fee; only 18 of the 90 come back.
    """
    world = World({BTC: [*flat(100_000, 2), *flat(92_000, 3)]}, deposit="100")
    c = world.client
    c.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    c.futures_change_leverage(symbol=BTC, leverage=10)
    assert place(world, side="BUY", quantity="0.009") == 0
    world.at_minute(3)
    assert place(world, side="SELL", quantity="0.018") == -2019
    assert world.position() == D("0.009")
    # A short of 0.001 locks 9.2.
    assert place(world, side="SELL", quantity="0.010") == 0
    assert world.position() == D("-0.001")
    assert world.account.cross_wallet > 0
    assert world.venue.ledger().problems() == []


class TestClosingBesideOpenOrders:
    """Long 0.009 at 10x with 100 USDT; a sale of 0.018 rests, which the position margins.

    Both together take 918 / 10, the sale alone 1,818 / 10: more than there is.
    """

    def world(self, rows: Any) -> World:
        world = World({BTC: rows}, deposit="100")
        world.client.futures_change_leverage(symbol=BTC, leverage=10)
        assert place(world, side="BUY", quantity="0.009") == 0
        rest = {"side": "SELL", "price": "101000", "quantity": "0.018"}
        assert place(world, **rest, newClientOrderId="rest") == 0
        return world

    def test_a_close_is_refused_until_the_other_order_is_gone(self) -> None:
        world = self.world(flat(100_000, 3))
        close = {"side": "SELL", "quantity": "0.009", "reduceOnly": "true"}
        assert place(world, **close) == -4118
        world.client.futures_cancel_order(symbol=BTC, origClientOrderId="rest")
        assert place(world, **close) == 0

    def test_a_stop_is_rejected_at_its_trigger(self) -> None:
        fall = [*flat(100_000, 3), (100_000, 100_000, 98_500, 98_500), *flat(98_500, 3)]
        world = self.world(fall)
        stop = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.009"}
        world.client.futures_create_algo_order(
            **stop, triggerPrice="99000", reduceOnly="true", clientAlgoId="s"
        )
        world.at_minute(5)
        found = world.client.futures_get_algo_order(clientAlgoId="s")
        assert found["algoStatus"] == "REJECTED"
        assert world.position() == D("0.009")
