"""Closes that the exchange refuses for a reason that can be dealt with, instead of for ever."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from desk import LOST, ORDER, START, Floor
from outage import floor_with
from test_guardian_rounds import FULL, later, opened

from local.exchange.faults import ApiRequest, ApiResponse, error_answer
from local.exchange.parameters import parse_pairs
from shared.errors import InvalidInput, StoreUnavailable
from shared.execution import emergency, flatten, refused_close
from shared.execution.books import Books
from shared.execution.exchange import OrderRequest
from shared.execution.guardian import guard
from shared.execution.orders import Outcome
from shared.execution.sighting import held_position
from shared.portfolio import positions
from shared.simulation.orders import NewOrder, Order

D = Decimal
#: What a scenario with positions by hand breaks by itself.
BY_HAND = {1, 2, 3, 4, 7, 8}


def by_hand(floor: Floor, symbol: str, side: str, quantity: str, **fields: Any) -> Order:
    order = NewOrder(symbol=symbol, side=side, quantity=D(quantity), **fields)
    return floor.venue.place_order(floor.account, order)


@pytest.mark.parametrize("store", ["works", "fails"])
def test_an_emergency_stop_closes_both_sides_of_hedge_mode(open_floor, store):
    """A close without its position side is refused there (-4061), and one flagged reduce-only."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = BY_HAND
    floor.venue.set_hedge(floor.account, True)
    by_hand(floor, "ETHUSDT", "BUY", "0.3", type="MARKET", position_side="LONG")
    by_hand(floor, "ETHUSDT", "SELL", "0.1", type="MARKET", position_side="SHORT")
    emergency.latch(floor.desk, "manual", {}, "test")
    outage.fails = lambda: store == "fails"
    result = emergency.flatten_account(floor.desk, "test")
    assert not any(p.quantity for p in floor.account.positions.values())
    assert result.closed == ("ETHUSDT",)
    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "test", 1).flat
    closes = [o for o in floor.orders() if o.client_order_id.startswith("bq-x-")]
    assert sorted((o.position_side, o.side, o.quantity) for o in closes) == [
        ("LONG", "SELL", D("0.3")),
        ("SHORT", "BUY", D("0.1")),
    ]


def test_nothing_can_be_opened_with_a_position_side(open_floor):
    floor = open_floor(durable=False)
    with pytest.raises(InvalidInput):
        floor.desk.exchange.place_order(
            OrderRequest(
                symbol="BTCUSDT",
                side="BUY",
                type="MARKET",
                quantity=D("0.001"),
                client_order_id="bq-x-test",
                position_side="LONG",
            )
        )
    assert floor.orders() == []


@pytest.mark.parametrize("store", ["works", "fails"])
@pytest.mark.parametrize("beyond", ["0", "10.1", "2000000"])
def test_a_position_larger_than_one_market_order_is_closed_in_parts(open_floor, beyond, store):
    """MARKET_LOT_SIZE: -4005 for the whole, again and again, and the account never was flat."""
    floor, outage = floor_with(open_floor, durable=False, deposit="100000000")
    floor.expected = BY_HAND
    most = floor.desk.exchange.instruments()["XRPUSDT"].market_max_quantity
    for quantity in (str(most), beyond):
        if D(quantity):
            by_hand(floor, "XRPUSDT", "BUY", quantity, type="MARKET")
    emergency.latch(floor.desk, "manual", {}, "test")
    outage.fails = lambda: store == "fails"
    emergency.flatten_account(floor.desk, "test")
    assert floor.held("XRPUSDT") == 0
    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "test", 1).flat
    closes = [o.quantity for o in floor.orders() if o.reduce_only]
    assert sum(closes) == most + D(beyond)
    assert max(closes) <= most


def test_so_is_one_of_ours_that_somebody_has_enlarged(open_floor):
    floor = open_floor(durable=False, deposit="100000000")
    floor.expected = BY_HAND
    opened(floor, "XRPUSDT")
    later(floor)
    by_hand(floor, "XRPUSDT", "BUY", "2000000", type="MARKET")
    record, _ = positions.load(floor.store, "main", "XRPUSDT")
    assert flatten.close_position(floor.desk, record, "test")
    assert floor.held("XRPUSDT") == 0


def test_a_part_whose_answer_is_lost_is_waited_for_no_more_than_a_whole_close(open_floor):
    """The next attempt sends parts of its own, for what is still there."""
    floor = open_floor(durable=False, deposit="100000000")
    floor.expected = BY_HAND
    opened(floor, "XRPUSDT")
    later(floor)
    by_hand(floor, "XRPUSDT", "BUY", "2000000", type="MARKET")
    record, _ = positions.load(floor.store, "main", "XRPUSDT")
    most = floor.desk.exchange.instruments()["XRPUSDT"].market_max_quantity
    last = str(floor.held("XRPUSDT") - most)
    floor.break_next(
        ORDER, LOST, where=lambda r: parse_pairs(r.body.decode()).get("quantity") == last
    )
    assert flatten.close_position(floor.desk, record, "test", attempts=2)
    assert floor.held("XRPUSDT") == 0


def test_a_reduce_only_order_by_hand_does_not_keep_a_position_from_being_closed(open_floor):
    """It has the whole position reserved: the exchange refuses every further reducing order."""
    floor = open_floor(durable=False)
    floor.expected = {2, 7, 8}
    opened(floor)
    later(floor)
    rest = {"type": "LIMIT", "time_in_force": "GTC"}
    target = by_hand(
        floor, "BTCUSDT", "SELL", str(FULL), price=D(104_000), reduce_only=True, **rest
    )
    other = by_hand(floor, "BTCUSDT", "BUY", str(FULL), price=D(96_000), **rest)
    floor.expected.add(1)
    later(floor, 49 * 300)  # its time is up
    guard(floor.desk)
    assert floor.held() == 0
    # Only what stood in the way went, and its owner is told.
    assert not target.is_open
    assert other.is_open
    assert floor.alerts().count("reserving-order") == 1
    assert "close-failed" not in floor.alerts()
    later(floor)
    guard(floor.desk)
    [trade] = floor.trades()
    assert trade["exitReason"] == "time exit"
    floor.venue.cancel_order(floor.account, other)


def test_an_order_by_hand_without_margin_does_not_keep_a_position_from_being_closed(open_floor):
    """-4118: without the position, what rests would open more than there is margin for."""
    floor = open_floor(durable=False)
    floor.expected = {1, 2, 7, 8}
    opened(floor)
    later(floor)
    twice = str(2 * FULL)
    by_hand_sale = {"price": D(104_000), "type": "LIMIT", "time_in_force": "GTC"}
    target = by_hand(floor, "BTCUSDT", "SELL", twice, **by_hand_sale)
    floor.venue.transfer(floor.account, -floor.venue.balances(floor.account).available)
    later(floor, 49 * 300)  # its time is up
    guard(floor.desk)
    assert floor.held() == 0
    assert not target.is_open
    assert floor.alerts().count("reserving-order") == 1
    assert "close-failed" not in floor.alerts()


@pytest.mark.parametrize("what", ["store", "alerts"])
def test_nor_while_the_store_fails(open_floor, what):
    """The order was cancelled, then telling so failed, and with it the close."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 7, 8}
    opened(floor)
    later(floor)
    rest = {"type": "LIMIT", "time_in_force": "GTC"}
    by_hand(floor, "BTCUSDT", "SELL", str(FULL), price=D(104_000), reduce_only=True, **rest)
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    until = floor.clock.now_ms() + 1_000
    outage.concerns = lambda container, *_: what in ("store", container)
    outage.fails = lambda: floor.clock.now_ms() < until
    assert flatten.close_position(floor.desk, record, "test")
    assert floor.fills()[-1].time <= until
    assert floor.held() == 0
    assert floor.alerts().count("reserving-order") == 1
    later(floor)
    guard(floor.desk)


def test_one_order_that_cannot_be_cancelled_is_no_reason_to_leave_the_others(open_floor):
    floor = open_floor(durable=False)
    floor.expected = {1, 2, 7, 8}
    opened(floor)
    later(floor)
    rest = {"type": "LIMIT", "time_in_force": "GTC", "reduce_only": True}
    stays = by_hand(floor, "BTCUSDT", "SELL", "0.001", price=D(104_000), **rest)
    goes = by_hand(floor, "BTCUSDT", "SELL", "0.003", price=D(104_500), **rest)
    floor.break_next(
        ("DELETE", "/fapi/v1/order"),
        error_answer(400, -2011, "Unknown order sent."),
        where=lambda r: stays.client_order_id in r.query + r.body.decode(),
        times=1000,
    )
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    flatten.close_position(floor.desk, record, "test")
    assert not goes.is_open
    assert floor.held() <= D("0.001")


def test_nothing_of_others_is_cancelled_where_less_is_held_than_was_to_be_closed(open_floor):
    """A close that another one has overtaken is refused as well; that is nobody's order's doing."""
    floor = open_floor(durable=False)
    floor.expected = {1, 2, 7, 8}
    opened(floor)
    later(floor)
    held = held_position(floor.desk, "BTCUSDT")
    rest = {"type": "LIMIT", "time_in_force": "GTC", "reduce_only": True}
    theirs = by_hand(floor, "BTCUSDT", "SELL", "0.001", price=D(104_000), **rest)
    request = flatten.market_close(held, "bq-x-test")
    refused = Outcome(state="rejected", reason="-2022 ReduceOnly Order is rejected.")
    by_hand(floor, "BTCUSDT", "SELL", "0.001", type="MARKET", reduce_only=True)
    assert refused_close.instead(floor.desk, request, refused, Books(floor.clock)) == []
    assert theirs.is_open
    assert "reserving-order" not in floor.alerts()


def test_a_close_that_found_no_counterparty_is_not_taken_for_the_next_one(open_floor):
    """The store fails, so the close has no record: its id follows from what is to be closed. The
    first one expires in an empty book; looked up under its id it would be found for ever."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor)
    later(floor)
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    expired: list[ApiResponse] = []
    ids: set[str] = set()

    def before(request: ApiRequest) -> ApiResponse | None:
        sent = parse_pairs(request.query) | parse_pairs(request.body.decode())
        id_ = sent.get("newClientOrderId", sent.get("origClientOrderId", ""))
        if request.path != "/fapi/v1/order" or not id_.startswith("bq-x-"):
            return None
        if request.method == "POST" and not ids:
            ids.add(id_)
            expired.append(_expired(id_))
        return expired[0] if id_ in ids else None

    floor.faults.before = before  # type: ignore[method-assign]
    outage.fails = lambda: True
    began = floor.clock.now_ms()
    with pytest.raises(StoreUnavailable):
        flatten.close_position(floor.desk, record, "test")
    assert ids
    assert floor.held() == 0
    assert floor.clock.now_ms() - began < 5_000
    outage.fails = lambda: False
    later(floor)
    guard(floor.desk)


def _expired(id_: str) -> ApiResponse:
    body = {
        "symbol": "BTCUSDT",
        "orderId": 99,
        "clientOrderId": id_,
        "side": "SELL",
        "type": "MARKET",
        "status": "EXPIRED",
        "origQty": str(FULL),
        "executedQty": "0",
        "price": "0",
        "avgPrice": "0",
        "reduceOnly": True,
        "updateTime": START,
    }
    return ApiResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize("way", ["guardian", "emergency stop", "without the store"])
def test_a_position_off_a_new_grid_is_closed(open_floor, way):
    """The symbol's step has become coarser while the position was held."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8} if way != "guardian" else set()
    opened(floor, "XRPUSDT")
    later(floor)
    held = floor.held("XRPUSDT")
    contract = floor.venue.core.contract("XRPUSDT")
    rules = contract.instrument
    step = D(1)
    assert held % step
    floor.venue.core.contracts["XRPUSDT"] = msgspec.structs.replace(
        contract,
        quantity_precision=0,
        instrument=msgspec.structs.replace(
            rules,
            step_size=step,
            min_quantity=step,
            market_step_size=step,
            market_min_quantity=step,
        ),
    )
    if way == "guardian":
        later(floor, 49 * 300)
        guard(floor.desk)
    else:
        emergency.latch(floor.desk, "manual", {}, "test")
        outage.fails = lambda: way == "without the store"
        emergency.flatten_account(floor.desk, "test")
        outage.fails = lambda: False
    assert floor.held("XRPUSDT") == 0
    later(floor)
    guard(floor.desk)
    assert len(floor.trades()) == 1
