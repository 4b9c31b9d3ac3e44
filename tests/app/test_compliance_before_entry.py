"""Entries that conduct forbids are declined; exits never are."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from desk import Floor
from test_surveillance import rest
from test_violations import closing, event, raised

from shared.compliance import before_entry, violations
from shared.compliance.calendar import NewEvent, add
from shared.compliance.rules import hit
from shared.execution.assess import load
from shared.execution.guardian import guard
from shared.risk.decision import canonical_json
from shared.risk.gate import decide

D = Decimal
Open = Callable[..., Floor]


def declined(floor: Floor, symbol: str = "BTCUSDT", side: str = "BUY") -> tuple[str, ...]:
    """Why a signal comes to nothing; empty where it is traded. Its decision replays."""
    signal = floor.trade(symbol, side)
    floor.run(5)
    stored = load(floor.desk, symbol, signal.id)
    assert stored is not None
    inputs, decision = stored
    again = msgspec.json.decode(msgspec.json.encode(inputs), type=type(inputs))
    assert canonical_json(decide(again)) == canonical_json(decision)
    assert bool(floor.held(symbol)) == (decision.outcome == "approved")
    return decision.reasons


@pytest.mark.parametrize(
    ("side", "hand", "factor", "reasons"),
    [
        ("BUY", "SELL", 1.0015, ("own_orders",)),
        ("BUY", "SELL", 1.01, ()),
        ("BUY", "BUY", 0.99, ()),
        ("SELL", "BUY", 0.9985, ("own_orders",)),
        ("SELL", "BUY", 0.99, ()),
    ],
)
def test_an_own_order_in_the_way(
    open_floor: Open, side: str, hand: str, factor: float, reasons: tuple[str, ...]
) -> None:
    floor = open_floor()
    floor.expected = {1, 7}  # the order by hand has neither permit nor intent
    floor.desk.exchange.set_isolated("BTCUSDT")  # refused while an order rests
    floor.desk.exchange.set_leverage("BTCUSDT", 5)
    order = rest(floor, hand, "0.01", factor)
    assert declined(floor, side=side) == reasons
    assert order.is_open
    if reasons:
        # In another symbol there is nothing in the way.
        assert declined(floor, "ETHUSDT", side) == ()


def window(floor: Floor, **fields: Any) -> None:
    add(floor.desk, msgspec.convert(event(floor, **fields), NewEvent))


def test_a_restricted_window_declines_entries_and_no_exit(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ((0, 0.0), (20, 0.0), (24, -0.04)), "ETHUSDT": ()})
    assert declined(floor) == ()
    window(floor)
    assert declined(floor, "ETHUSDT") == ()
    stops, targets = floor.stops(), floor.targets()
    assert len(stops) == len(targets) == 1
    # Its stop lost, its target lost: both are put back within the window, and the stop closes.
    floor.api.advance()
    floor.venue.cancel_algo_order(floor.account, stops[0])
    floor.venue.cancel_algo_order(floor.account, targets[0])
    floor.expected = {4}
    guard(floor.desk)
    assert len(floor.stops()) == len(floor.targets()) == 1
    floor.minutes(30)
    assert floor.held() == 0
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]
    assert declined(floor) == ("restricted_window",)


def test_an_emergency_stop_within_a_window_closes_everything(open_floor: Open) -> None:
    floor = open_floor()
    assert declined(floor) == ()
    window(floor, symbol="*")
    raised(floor)
    assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.run(20)
    assert floor.held() == 0


def test_a_window_that_is_over_or_not_yet_there(open_floor: Open) -> None:
    floor = open_floor()
    window(floor, beforeMinutes=58)
    window(floor, at="2025-01-01T00:00")
    assert declined(floor) == ()


@pytest.mark.parametrize(
    ("setting", "same", "other"),
    [("symbol", True, False), ("account", True, True), ("off", False, False)],
)
def test_a_critical_violation_declines_until_it_is_closed(
    open_floor: Open, setting: str, same: bool, other: bool
) -> None:
    floor = open_floor(settings={"VIOLATIONS_BLOCK": setting})
    id_ = raised(floor)
    raised(floor, "self-trade-prevented")
    assert declined(floor) == (("open_violations",) if same else ())
    assert declined(floor, "ETHUSDT") == (("open_violations",) if other else ())
    if same:
        path = f"/api/compliance/violations/{id_}"
        assert floor.http("POST", f"{path}/acknowledge", {"operator": "bob"}).status == 200
        floor.minutes(5)
        assert declined(floor) == ("open_violations",)
        assert floor.http("POST", f"{path}/close", closing(floor)).status == 200
        floor.minutes(5)
        assert declined(floor) == ()


def test_a_window_that_is_about_to_begin(open_floor: Open) -> None:
    """What is decided now would open within it."""
    floor = open_floor()
    window(floor, beforeMinutes=59)
    assert declined(floor) == ("restricted_window",)


def test_too_many_messages(open_floor: Open) -> None:
    """Each entry leaves three orders: itself, its stop, its target."""
    floor = open_floor(
        {f"{s}USDT": () for s in ("BTC", "ETH", "XRP")}, settings={"MESSAGE_LIMIT": "20"}
    )
    now = floor.clock.now_ms()
    for n in range(21):
        body = {
            "id": f"bq-s-{n}",
            "account": "main",
            "clientOrderId": f"bq-s-{n}",
            "decisionId": "d",
            "state": "cancelled" if n < 7 else "open",
            "createdAt": now - (30_000 if n < 7 else 1000),
            "updatedAt": now - 1000,
        }
        floor.services.store.create("orders", body)
    assert declined(floor) == ("message_rate",)
    floor.minutes(5)
    assert declined(floor) == ()


def test_what_cannot_be_read_declines(open_floor: Open) -> None:
    from local.exchange.faults import error_answer

    floor = open_floor()
    floor.break_next(("GET", "/fapi/v1/openOrders"), error_answer(503, -1008, "busy"), times=50)
    signal = floor.trade()
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "undecided"
    assert floor.held() == 0


def test_a_violation_is_not_missed_behind_many_of_another_symbol(open_floor: Open) -> None:
    floor = open_floor(durable=False)
    now = floor.clock.now_ms()
    for n, symbol in enumerate(["ETHUSDT"] * 25 + ["BTCUSDT"]):
        violations.raise_(floor.desk, hit("spoofing", symbol, n, now - 1000 + n, "it happened", {}))
    assert before_entry.read(floor.desk, "BTCUSDT").violations == ("spoofing-BTCUSDT-25",)
    assert before_entry.read(floor.desk, "XRPUSDT").violations == ()
    violations.keep(floor.desk, {"id": "x", "kind": "k", "text": "t", "severity": "critical"})
    assert before_entry.read(floor.desk, "XRPUSDT").violations == ("x",)
