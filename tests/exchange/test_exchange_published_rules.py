"""Rules that Binance publishes or clients observed, each as a client sees it.

The expected values are those of the published documents and of the collected observations, not of
the exchange here.
"""

from __future__ import annotations

from typing import Any

import pytest
from exchange_world import MIDNIGHT, D, World, code, flat, in_process_client, refused

from local.exchange.events import user_event
from local.exchange.faults import ScriptedFaults, overload
from shared.simulation.core import VenueEvent
from shared.simulation.quantitative import Thresholds

BTC = "BTCUSDT"
LIMIT = {
    "symbol": BTC,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "99000",
    "quantity": "0.010",
}
ALGO = {
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP",
    "triggerPrice": "95000",
    "price": "94900",
    "quantity": "0.010",
}
DAY_MS = 86_400_000


@pytest.fixture
def world() -> World:
    return World({BTC: flat(100_000, 60)}, deposit="100000")


def listening(world: World) -> list[VenueEvent]:
    told: list[VenueEvent] = []
    assert world.account.cross_wallet  # opened, and its deposit told to nobody
    world.venue.on_event(told.append)
    return told


class TestPlainOrders:
    @pytest.mark.parametrize("match", ["OPPONENT_10", "OPPONENT_20"])
    def test_price_matches_suspended_since_2025_10_are_refused(
        self, world: World, match: str
    ) -> None:
        order = {k: v for k, v in LIMIT.items() if k != "price"}
        assert code(world.client.futures_create_order, **order, priceMatch=match) == -5037

    def test_plain_orders_name_one_of_three_prevention_modes(self, world: World) -> None:
        create = world.client.futures_create_order
        assert code(create, **LIMIT, selfTradePreventionMode="NONE") == -5039

    def test_an_invalid_position_side_has_its_own_code(self, world: World) -> None:
        assert code(world.client.futures_create_order, **LIMIT, positionSide="UP") == -4060

    @pytest.mark.parametrize(
        ("force", "status", "executed"),
        [("GTC", "NEW", "0"), ("IOC", "FILLED", "0.01"), ("FOK", "FILLED", "0.01")],
    )
    def test_result_is_final_only_for_orders_that_end_at_once(
        self, world: World, force: str, status: str, executed: str
    ) -> None:
        answer = world.client.futures_create_order(
            **{**LIMIT, "price": "100100", "timeInForce": force}, newOrderRespType="RESULT"
        )
        assert (answer["status"], answer["executedQty"]) == (status, executed)
        [row] = world.client.futures_get_all_orders(symbol=BTC)
        assert row["status"] == "FILLED"

    def test_a_good_till_date_counts_in_seconds(self, world: World) -> None:
        dated = {**LIMIT, "timeInForce": "GTD"}
        date = MIDNIGHT + 15 * 60_000
        row = world.client.futures_create_order(**dated, goodTillDate=date + 999)
        assert row["goodTillDate"] == date
        world.at_minute(15)
        assert world.client.futures_get_open_orders(symbol=BTC) == []

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"goodTillDate": MIDNIGHT + DAY_MS}, -1106),
            ({"timeInForce": "GTD", "goodTillDate": 253_402_300_799_000}, -5040),
            ({"timeInForce": "GTD", "goodTillDate": MIDNIGHT + 660_000}, -5040),
            ({"timeInForce": "GTD", "goodTillDate": MIDNIGHT + 660_001}, 0),
        ],
    )
    def test_only_dated_orders_have_a_date(
        self, world: World, change: dict[str, Any], expected: int
    ) -> None:
        assert code(world.client.futures_create_order, **{**LIMIT, **change}) == expected

    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            ({"stopPrice": "98000"}, -1106),
            ({"activationPrice": "98000"}, -1106),
            ({"callbackRate": "1"}, -1106),
            ({"closePosition": "true"}, -4136),
            ({"closePosition": "false"}, 0),
        ],
    )
    def test_what_only_conditional_orders_have_is_refused(
        self, world: World, extra: dict[str, str], expected: int
    ) -> None:
        """A stop sent as a limit order must not become one without its condition."""
        assert code(world.client.futures_create_order, **LIMIT, **extra) == expected

    def test_a_market_order_has_no_price_match(self, world: World) -> None:
        market = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        assert code(world.client.futures_create_order, **market, priceMatch="QUEUE") == -5038

    @pytest.mark.parametrize(("force", "reason"), [("GTC", 1), ("IOC", 3)])
    def test_why_a_self_trade_ended_the_taker(self, force: str, reason: int) -> None:
        world = World({BTC: flat(100_000, 3)}, deposit="10000000")
        create = world.client.futures_create_order
        create(
            **{**LIMIT, "side": "SELL", "timeInForce": "GTX", "price": "100001", "quantity": "1"}
        )
        told = listening(world)
        create(
            **{**LIMIT, "timeInForce": force, "price": "100100", "quantity": "30"},
            selfTradePreventionMode="EXPIRE_TAKER",
        )
        ended = [e.record for e in told if e.kind == "ORDER" and e.execution == "EXPIRED"]
        assert [(o.status, o.expiry_reason) for o in ended] == [("EXPIRED_IN_MATCH", reason)]

    def test_refused_orders_carry_no_order_count(self, world: World) -> None:
        world.client.futures_create_order(**LIMIT)
        assert world.client.response.headers["x-mbx-order-count-1m"] == "1"
        refused(world.client.futures_create_order, **{**LIMIT, "quantity": "0.0001"})
        assert "x-mbx-order-count-1m" not in world.client.response.headers
        world.client.futures_create_order(**LIMIT)
        # Counted all the same.
        assert world.client.response.headers["x-mbx-order-count-1m"] == "3"


class TestConditionalOrders:
    def test_price_match_instead_of_a_price(self, world: World) -> None:
        create = world.client.futures_create_algo_order
        world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        order = {k: v for k, v in ALGO.items() if k != "price"}
        answer = create(**order, priceMatch="OPPONENT")
        assert (answer["priceMatch"], answer["price"]) == ("OPPONENT", "0")
        assert code(create, **ALGO, priceMatch="OPPONENT") == -1106
        assert code(create, **{**order, "type": "STOP_MARKET"}, priceMatch="OPPONENT") == -5038
        assert code(create, **order) == -1102

    def test_a_price_match_is_made_at_the_trigger(self) -> None:
        rows = [*flat(100_000, 3), (100_000, 100_000, 90_000, 90_000), *flat(90_000, 3)]
        world = World({BTC: rows}, deposit="100000")
        world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        order = {k: v for k, v in ALGO.items() if k != "price"}
        world.client.futures_create_algo_order(
            **order, priceMatch="OPPONENT", reduceOnly="true", clientAlgoId="s"
        )
        world.at_minute(6)
        done = world.client.futures_get_algo_order(clientAlgoId="s")
        assert done["algoStatus"] == "FINISHED"
        # The best bid at the trigger: at most the contract's spread below it.
        assert 94_000 < float(done["actualPrice"]) <= 95_000

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"timeInForce": "GTD"}, -1102),
            ({"workingType": "INDEX_PRICE"}, -4031),
            ({"callbackRate": "1"}, -1106),
            ({"activatePrice": "98000"}, -1106),
            ({"type": "STOP_MARKET"}, -1106),
            ({"timeInForce": "GTD", "goodTillDate": MIDNIGHT + 600_000}, -5040),
            ({"quantity": "0.0004"}, -1111),
            ({"quantity": "0.001", "triggerPrice": "49000", "price": "49000"}, -4164),
            ({"side": "BUY", "triggerPrice": "101000", "price": "106050.1"}, -4183),
            ({"side": "BUY", "triggerPrice": "101000", "price": "106050"}, 0),
            ({"price": "90249.9"}, -4184),
            ({"price": "90250"}, 0),
        ],
    )
    def test_filters(self, world: World, change: dict[str, Any], expected: int) -> None:
        assert code(world.client.futures_create_algo_order, **{**ALGO, **change}) == expected

    def test_percent_price_holds_at_the_trigger(self) -> None:
        """The contract price falls alone: 94,900 is more than 5 % under the mark by then."""
        rows = [*flat(100_000, 3), (100_000, 100_000, 94_000, 94_000), *flat(94_000, 3)]
        world = World({BTC: rows}, mark={BTC: flat(100_000, 7)}, deposit="100000")
        world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        told = listening(world)
        world.client.futures_create_algo_order(**ALGO, reduceOnly="true", clientAlgoId="s")
        world.at_minute(6)
        done = world.client.futures_get_algo_order(clientAlgoId="s")
        assert (done["algoStatus"], done["actualOrderId"]) == ("REJECTED", "")
        last = user_event(world.venue.core, told[-1])["o"]
        assert last["rm"] == "Limit price can't be lower than 95000."


class TestAccount:
    @pytest.mark.parametrize("query", ["futures_get_all_orders", "futures_account_trades"])
    def test_a_query_spans_seven_days_at_most(self, world: World, query: str) -> None:
        times = {"startTime": MIDNIGHT - 8 * DAY_MS, "endTime": MIDNIGHT}
        assert code(getattr(world.client, query), symbol=BTC, **times) == -4165
        times["startTime"] += DAY_MS
        assert code(getattr(world.client, query), symbol=BTC, **times) == 0

    def test_the_last_week_is_what_a_query_without_times_tells(self, world: World) -> None:
        assert code(world.client.futures_income_history, startTime=MIDNIGHT - 89 * DAY_MS) == 0

    def test_margin_type_waits_for_conditional_orders(self, world: World) -> None:
        world.client.futures_create_algo_order(**ALGO)
        change = world.client.futures_change_margin_type
        assert code(change, symbol=BTC, marginType="ISOLATED") == -4047

    def test_multi_assets_mode_and_isolated_margin_exclude_each_other(self, world: World) -> None:
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        change = world.client.futures_change_multi_assets_mode
        assert code(change, multiAssetsMargin=True) == -4167

    def test_the_asset_mode_does_not_change_with_open_orders(self, world: World) -> None:
        world.client.futures_create_order(**LIMIT)
        change = world.client.futures_change_multi_assets_mode
        assert code(change, multiAssetsMargin=True) == -4170

    def test_configuration_is_told(self, world: World) -> None:
        told = listening(world)
        world.client.futures_change_multi_assets_mode(multiAssetsMargin=True)
        world.client.futures_change_multi_assets_mode(multiAssetsMargin=False)
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        events = [user_event(world.venue.core, e) for e in told]
        assert [e.get("ai") for e in events] == [{"j": True}, {"j": False}, None]
        last = events[-1]
        assert (last["e"], last["a"]["m"]) == ("ACCOUNT_UPDATE", "MARGIN_TYPE_CHANGE")
        [position] = last["a"]["P"]
        assert (position["s"], position["pa"], position["mt"]) == (BTC, "0", "isolated")

    def test_adl_of_a_hedged_cross_position_is_one_for_both_sides(self, world: World) -> None:
        c = world.client
        c.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
        [row] = c.futures_adl_quantile_estimate()
        assert set(row["adlQuantile"]) == {"LONG", "SHORT", "BOTH"}
        c.futures_create_order(symbol=BTC, side="SELL", type="MARKET", quantity="0.01")
        c.futures_change_position_mode(dualSidePosition="true")
        market = {"symbol": BTC, "type": "MARKET", "quantity": "0.01"}
        c.futures_create_order(**market, side="BUY", positionSide="LONG")
        c.futures_create_order(**market, side="SELL", positionSide="SHORT")
        [row] = c.futures_adl_quantile_estimate()
        quantile = row["adlQuantile"]
        assert set(quantile) == {"LONG", "SHORT", "HEDGE"}
        assert quantile["LONG"] == quantile["SHORT"]
        assert quantile["HEDGE"] == 0

    def test_trading_hours_are_for_contracts_that_have_some(self, world: World) -> None:
        status, headers, body = world.api.handle("GET", "/fapi/v1/tradingSchedule")
        assert (status, headers["x-mbx-used-weight-1m"]) == (200, "5")
        assert b'"marketSchedules":{}' in body


def test_liquidation_expires_the_orders_with_its_reason() -> None:
    slide = [*flat(60_000, 10), (60_000, 60_000, 56_000, 56_000), *flat(56_000, 5)]
    world = World({BTC: slide}, deposit="10000")
    world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    create = world.client.futures_create_order
    create(symbol=BTC, side="BUY", type="MARKET", quantity="1.000")
    create(**{**LIMIT, "price": "57010"}, newClientOrderId="below")
    create(
        **{**LIMIT, "side": "SELL", "price": "62000"}, newClientOrderId="above", reduceOnly="true"
    )
    world.at_minute(12)
    row = world.client.futures_get_order(symbol=BTC, origClientOrderId="above")
    assert row["status"] == "EXPIRED"
    [order] = [o for o in world.venue.ledger().orders if o.client_order_id == "above"]
    assert order.expiry_reason == 5


def test_system_protection_lets_everything_through_that_reduces(world: World) -> None:
    c = world.client
    c.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.020")
    c.futures_create_order(**LIMIT, newClientOrderId="rests")
    world.api.faults = ScriptedFaults([overload()])
    sell = {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.010"}
    refusal = refused(c.futures_create_order, **sell)
    assert (refusal.status_code, refusal.code) == (503, -1008)
    assert code(c.futures_create_algo_order, **ALGO) == -1008
    assert code(c.futures_create_order, **sell, reduceOnly="true") == 0
    assert code(c.futures_create_algo_order, **ALGO, reduceOnly="true") == 0
    assert code(c.futures_cancel_order, symbol=BTC, origClientOrderId="rests") == 0
    assert code(c.futures_account_balance) == 0
    assert world.position() == D("0.010")


class TestQuantitativeRules:
    """Ten minutes of orders that almost all fail, with thresholds a test can reach."""

    @pytest.fixture
    def world(self) -> World:
        world = World({BTC: flat(100_000, 90)}, deposit="100000")
        world.venue.core.quantitative.thresholds = Thresholds(
            orders=20, cancels=10, expiries=10, ban_ms=600_000
        )
        return world

    def test_nothing_is_told_below_the_recording_threshold(self, world: World) -> None:
        world.client.futures_create_order(**LIMIT)
        world.at_minute(11)
        assert world.client.futures_api_trading_status()["indicators"] == {}

    def test_cancelling_almost_everything_at_once_locks_the_symbol(self, world: World) -> None:
        c = world.client
        for number in range(25):
            c.futures_create_order(**LIMIT, newClientOrderId=f"o{number}")
            c.futures_cancel_order(symbol=BTC, origClientOrderId=f"o{number}")
        assert code(c.futures_create_order, **LIMIT) == 0  # judged at the end of the cycle
        world.at_minute(10.5)
        told = c.futures_api_trading_status(symbol=BTC)["indicators"][BTC]
        shown = {row["indicator"]: row for row in told}
        # 25 of 26 orders cancelled within five seconds, nothing executed; notional far over 50.
        assert shown["UFR"]["value"] == 1.0
        assert shown["UFR"]["isLocked"] is True
        assert shown["GCR"]["value"] == pytest.approx(25 / 26, abs=1e-4)
        assert shown["GCR"]["isLocked"] is False
        assert "IFER" not in shown
        assert shown["UFR"]["plannedRecoverTime"] == MIDNIGHT + 1_200_000
        refusal = refused(c.futures_create_order, **LIMIT)
        assert refusal.code == -4400
        assert "only reduceOnly order is allowed" in refusal.message

    def test_a_locked_symbol_can_be_left_and_recovers(self, world: World) -> None:
        c = world.client
        c.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.001")
        ioc = {**LIMIT, "timeInForce": "IOC", "quantity": "9"}
        for _ in range(30):
            c.futures_create_order(**ioc)
        world.at_minute(10.5)
        shown = {
            row["indicator"]: row
            for row in c.futures_api_trading_status(symbol=BTC)["indicators"][BTC]
        }
        assert shown["IFER"]["value"] == 1.0
        assert code(c.futures_create_order, **LIMIT) == -4400
        other = in_process_client(world.api)
        sell = {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": "0.001"}
        assert code(other.futures_create_order, **sell) == -4400
        assert code(other.futures_create_order, **sell, reduceOnly="true") == 0
        world.at_minute(20.5)
        assert code(c.futures_create_order, **LIMIT) == 0
