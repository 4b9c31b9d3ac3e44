"""Post-trade surveillance on the running application: what people do by hand on the account."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from desk import START, Floor

from shared.clock import iso
from shared.compliance import surveillance
from shared.errors import ExchangeThrottled
from shared.simulation.orders import NewOrder, Order

D = Decimal


def rest(floor: Floor, side: str, quantity: str, factor: float, symbol: str = "BTCUSDT") -> Order:
    """Somebody places a limit order by hand, some way off the mark price."""
    floor.api.advance()
    tick = floor.venue.core.contract(symbol).instrument.tick_size
    price = (D(str(floor.price(symbol) * factor)) / tick).to_integral_value() * tick
    return floor.venue.place_order(
        floor.account,
        NewOrder(
            symbol=symbol,
            side=side,
            type="LIMIT",
            time_in_force="GTC",
            quantity=D(quantity),
            price=price,
        ),
    )


def spoof(floor: Floor, sold: str = "0.01") -> None:
    """0.1 to buy is shown for two seconds while a tenth of it is sold."""
    bait = rest(floor, "BUY", "0.1", 0.99)
    floor.run(1)
    floor.trade_by_hand("BTCUSDT", "SELL", sold)
    floor.run(1)
    floor.api.advance()
    floor.venue.cancel_order(floor.account, bait)


def watched(open_floor: Any, **settings: str) -> Floor:
    """A floor whose surveillance has begun, and on which people trade by hand."""
    floor = open_floor(settings=settings)
    floor.expected = {1, 3, 4, 7, 8}  # what they do is not ours to answer for
    floor.timer("surveil")
    return floor


def found(floor: Floor) -> list[dict[str, Any]]:
    return [v for v in floor.documents("violations") if not v["kind"].startswith("foreign")]


def asked(floor: Floor, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = floor.http(method, f"/api/compliance{path}", body)
    assert answer.status == status, answer.body
    return json.loads(answer.body)


def test_a_spoof_by_hand_is_found_once_told_and_kept(open_floor: Any) -> None:
    floor = watched(open_floor)
    spoof(floor)
    floor.minutes(20)
    (violation,) = found(floor)
    assert (violation["kind"], violation["severity"]) == ("spoofing", "critical")
    assert violation["state"] == "open"
    assert D(violation["evidence"]["bait"][0]["quantity"]) == D("0.1")
    assert floor.alerts().count("compliance-violation") == 1
    published = [e for e in floor.events("compliance") if e["kind"] == "spoofing"]
    assert [e["id"] for e in published] == [violation["id"]]
    (noted,) = [b for b in floor.audit("violation") if b["kind"] == "spoofing"]
    assert noted["evidence"] == violation["evidence"]
    # Asked again for the same piece of history: the same violation.
    again = asked(floor, "POST", f"/scan?from={iso(START)}&to={iso(START + 600_000)}")
    assert (again["violations"], again["fresh"]) == ([violation["id"]], 0)
    assert len(found(floor)) == 1


@pytest.mark.parametrize("container", ["orders", "signals"])
def test_a_record_that_cannot_be_read_does_not_end_the_watch(
    open_floor: Any, container: str
) -> None:
    floor = watched(open_floor)
    signal = floor.trade("ETHUSDT")
    floor.run(20)
    spoof(floor)
    partition = "main" if container == "orders" else "ETHUSDT"
    (entry,) = [o["id"] for o in floor.documents("orders") if o["id"].startswith("bq-e-")]
    id_ = entry if container == "orders" else f"decision-{signal.id}"
    document = floor.store.get(container, partition, id_)
    changed = (
        {"state": "?"}
        if container == "orders"
        else {"decision": {**document.body["decision"], "outcome": "?"}}
    )
    spoilt = floor.store.replace(container, {**document.body, **changed}, etag=document.etag)
    floor.minutes(20)
    assert [v["kind"] for v in found(floor)] == ["spoofing"]
    floor.store.replace(container, document.body, etag=spoilt.etag)


def test_a_cursor_that_cannot_be_read_is_told(open_floor: Any) -> None:
    floor = watched(open_floor)
    found_ = floor.store.get("control", "main", "compliance")
    floor.store.replace("control", {**found_.body, "scannedTo": "?"}, etag=found_.etag)
    floor.minutes(11)
    assert floor.alerts().count("surveillance-gap") == 1


def test_what_just_is_no_spoof_is_left_alone(open_floor: Any) -> None:
    floor = watched(open_floor)
    spoof(floor, sold="0.034")
    floor.minutes(20)
    assert found(floor) == []


def test_the_exchange_away_for_a_while_loses_nothing(open_floor: Any) -> None:
    floor = watched(open_floor)
    spoof(floor)
    floor.break_next(("GET", "/fapi/v1/allOrders"), error_503(), times=1000, seconds=1500)
    floor.minutes(20)
    assert found(floor) == []
    before = surveillance.cursor(floor.desk)
    floor.minutes(20)
    after = surveillance.cursor(floor.desk)
    assert before is not None
    assert after is not None
    assert after.scanned_to > before.scanned_to
    assert "surveillance-gap" not in floor.alerts()
    assert [v["kind"] for v in found(floor)] == ["spoofing"]


def test_a_history_that_cannot_be_read_for_an_hour_is_told(open_floor: Any) -> None:
    floor = watched(open_floor)
    floor.break_next(("GET", "/fapi/v1/allOrders"), error_503(), times=10_000)
    floor.minutes(50)
    assert "surveillance-gap" not in floor.alerts()
    floor.minutes(20)
    assert floor.alerts().count("surveillance-gap") == 1


def error_503() -> Any:
    from local.exchange.faults import error_answer

    return error_answer(503, -1008, "Request throttled by system-level protection.")


def test_killed_between_what_was_found_and_its_cursor(open_floor: Any) -> None:
    floor = watched(open_floor)
    spoof(floor)
    floor.clock.sleep(900)
    floor.api.advance()

    def die(name: str, args: tuple[Any, ...]) -> None:
        if name == "replace" and args[0] == "control" and args[1]["id"] == "compliance":
            raise Killed

    floor.store.before = die
    with pytest.raises(Killed):
        surveillance.advance(floor.desk)
    floor.store.before = lambda name, args: None
    (first,) = found(floor)
    done = surveillance.advance(floor.desk)
    assert done is not None
    assert (done.violations, done.fresh) == ((first["id"],), 0)
    assert floor.alerts().count("compliance-violation") == 1


class Killed(BaseException):
    """The process dies here."""


def test_the_exchange_prevents_a_self_trade_and_somebody_is_told(open_floor: Any) -> None:
    floor = watched(open_floor)
    resting = rest(floor, "SELL", "0.01", 1.0)
    assert resting.is_open
    floor.trade_by_hand("BTCUSDT", "BUY", "0.01")
    floor.minutes(20)
    assert {v["kind"] for v in found(floor)} == {"self-trade-prevented"}
    assert "compliance-violation" not in floor.alerts()
    assert floor.alerts().count("compliance-warning") == 1


def test_in_pieces_or_at_once_the_same_is_found(open_floor: Any) -> None:
    floor = watched(open_floor)
    began = floor.clock.now_ms()
    for _ in range(3):
        spoof(floor)
        floor.run(200)
    for _ in range(4):
        floor.trade_by_hand("ETHUSDT", "BUY", "0.1")
        floor.run(2)
        floor.trade_by_hand("ETHUSDT", "SELL", "0.1")
        floor.run(2)
    for _ in range(60):
        order = rest(floor, "BUY", "0.01", 0.97)
        floor.run(0.05)
        floor.api.advance()
        floor.venue.cancel_order(floor.account, order)
    floor.minutes(25)
    end = floor.clock.now_ms() - surveillance.LAG_MS
    whole = surveillance.scan(floor.desk, began, end).violations
    assert {id_.rsplit("USDT", 1)[0] for id_ in whole} == {
        "spoofing-BTC",
        "wash-rounds-ETH",
        "quote-stuffing-BTC",
    }
    assert sorted(v["id"] for v in found(floor)) == sorted(whole)
    for step in (37_000, 61_111, 240_000):
        pieces: list[str] = []
        at = began
        while at < end:
            pieces += surveillance.scan(floor.desk, at, min(at + step, end)).violations
            at += step
            floor.clock.sleep(4)  # the rate budget
        assert sorted(pieces) == sorted(whole)


@pytest.mark.parametrize("sold_again", [True, False])
def test_a_purchase_ahead_of_an_approval(open_floor: Any, sold_again: bool) -> None:
    """A person sees the request, buys for themselves, and approves."""
    floor = watched(open_floor, TRADING_STAGE="limited", MAX_LEVERAGE="3")
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    request = json.loads(floor.http("GET", "/api/approvals").body)["approvals"][0]
    floor.trade_by_hand("ETHUSDT", "BUY", "0.01")
    floor.run(2)
    if sold_again:
        floor.trade_by_hand("ETHUSDT", "SELL", "0.01")
    answer = {"decision": "approve", "nonce": request["nonce"], "operator": "eve"}
    assert floor.http("POST", f"/api/approvals/{signal.id}", answer).status == 200
    floor.minutes(20)
    if sold_again:
        (violation,) = found(floor)
        assert violation["kind"] == "front-running"
        assert violation["evidence"]["decisionId"] == signal.id
        assert D(violation["evidence"]["quantity"]) == D("0.01")
    else:
        # The symbol is taken: there is no larger order any more that was run ahead of.
        assert floor.outcome(signal)["outcome"] == "declined"
        assert found(floor) == []


def test_a_window_listed_before_or_after_the_trade(open_floor: Any) -> None:
    floor = watched(open_floor)
    now = floor.clock.now_ms()
    event = {
        "symbol": "XRPUSDT",
        "kind": "unlock",
        "title": "a billion is unlocked",
        "at": iso(now + 3_600_000),
        "operator": "ada",
    }
    asked(floor, "POST", "/events", event, 201)
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    floor.trade_by_hand("ETHUSDT", "BUY", "0.1")
    floor.minutes(20)
    (listed,) = found(floor)
    assert (listed["kind"], listed["severity"]) == ("restricted-window", "critical")
    assert listed["symbol"] == "XRPUSDT"
    asked(floor, "POST", "/events", {**event, "symbol": "ETHUSDT"}, 201)
    floor.minutes(10)
    late = [v for v in found(floor) if v["symbol"] == "ETHUSDT"]
    assert [v["severity"] for v in late] == ["warning"]
    floor.minutes(20)
    assert len(found(floor)) == 2


def test_what_people_trade_elsewhere_is_seen_as_well(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": (), "XRPUSDT": ()}, settings={"SYMBOLS": "BTCUSDT"})
    floor.expected = {1, 3, 4, 7, 8}
    floor.timer("surveil")
    for _ in range(3):
        floor.trade_by_hand("XRPUSDT", "BUY", "100")
        floor.run(1)
        floor.trade_by_hand("XRPUSDT", "SELL", "100")
        floor.run(1)
    floor.minutes(20)
    kinds = {v["kind"] for v in found(floor)}
    assert kinds <= {"wash-rounds"}
    done = asked(floor, "POST", f"/scan?from={iso(START)}&to={iso(START + 600_000)}")
    assert done["symbols"] == ["BTCUSDT", "XRPUSDT"]
    assert done["fills"] >= 6


def test_own_trades_are_no_violations(open_floor: Any) -> None:
    """Entries, trailing stops, targets, time exits and an emergency stop, as they are every day."""
    moves = {"BTCUSDT": ((0, 0.0), (30, 0.05), (60, -0.02)), "ETHUSDT": (), "XRPUSDT": ()}
    floor = open_floor(moves, settings={"ENTRY_STYLE": "post_only"})
    floor.timer("surveil")
    for symbol, side in (("BTCUSDT", "BUY"), ("ETHUSDT", "SELL"), ("XRPUSDT", "BUY")):
        floor.trade(symbol, side)
    floor.minutes(45)
    floor.trade("ETHUSDT", "SELL")
    floor.minutes(5)
    assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.minutes(20)
    assert floor.trades()
    assert floor.documents("violations") == []


def test_a_scan_that_cannot_be_is_refused(open_floor: Any) -> None:
    floor = watched(open_floor)
    now = floor.clock.now_ms()
    for query, says in {
        "": "from is missing",
        f"?from={iso(now)}&to={iso(now - 1)}": "not after the beginning",
        f"?from={iso(now - 8 * 86_400_000)}&to={iso(now - 400_000)}": "at most 7 days",
        f"?from={iso(now - 1000)}&to={iso(now)}": "cannot be judged yet",
    }.items():
        answer = floor.http("POST", f"/api/compliance/scan{query}")
        assert answer.status == 400
        assert says in json.loads(answer.body)["error"]["message"]
    floor.break_next(("GET", "/fapi/v1/income"), error_503(), times=100, seconds=60)
    with pytest.raises(ExchangeThrottled):
        surveillance.scan(floor.desk, now - 1_000_000, now - 400_000)
