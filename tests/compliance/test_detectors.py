"""Each detector on flows that are, and on flows that just are not, what it looks for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.compliance.calendar import Event
from shared.compliance.detectors import detect, restricted
from shared.compliance.flow import Flow, KnownOrder, flow
from shared.compliance.rules import RULES, Hit
from shared.execution.exchange import Fill, VenueOrder
from tests.compliance.flows import BTC, START, fill, order

D = Decimal
Parts = tuple[list[VenueOrder], list[Fill]]


def rules(parts: Parts, decisions: dict[str, str] | None = None) -> list[str]:
    return [h.rule for h in detect(flow(*parts, decisions))]


# ---------------------------------------------------------------- spoofing and layering


def spoofed(**bait: Any) -> Parts:
    """3 to buy shown for 2 s while 1 is sold, then withdrawn."""
    shown = {"side": "BUY", "quantity": "3", "at": 0.0, "gone": 2.0, **bait}
    return (
        [order(1, **shown), order(2, "SELL", "1", at=1, tif="IOC")],
        [fill(1, 2, "SELL", "1", at=1)],
    )


SPOOFING = {
    "withdrawn 1 s after the sale": (spoofed(), ["spoofing"]),
    "at the last moment that counts": (spoofed(gone=6.0), ["spoofing"]),
    "a millisecond later": (spoofed(gone=6.001), []),
    "withdrawn before the sale": (spoofed(gone=0.999), []),
    "placed after the sale": (spoofed(at=1.001), []),
    "it lived a minute": (spoofed(at=-58.0, gone=2.0), ["spoofing"]),
    "it lived a minute up to the sale": (spoofed(at=-59.0, gone=1.0), ["spoofing"]),
    "it lived longer": (spoofed(at=-58.001, gone=2.0), []),
    "post-only": (spoofed(tif="GTX"), ["spoofing"]),
    "it could not rest": (spoofed(tif="IOC"), []),
    "reduce-only": (spoofed(reduce_only=True), []),
    "a tenth of it executed": (spoofed(quantity="3.4", executed="0.34"), ["spoofing"]),
    "more of it executed": (spoofed(quantity="3.4", executed="0.35"), []),
    "less than three times the sale": (spoofed(quantity="2.999"), []),
    "it expired by itself": (spoofed(status="EXPIRED"), []),
    "worth less than 100 USDT": (spoofed(price="33.3"), []),
    "it still rests": (spoofed(status="NEW"), []),
    "in another symbol": (spoofed(symbol="ETHUSDT"), []),
    "on the side of the execution": (spoofed(side="SELL"), []),
}


@pytest.mark.parametrize("case", SPOOFING)
def test_spoofing(case: str) -> None:
    parts, found = SPOOFING[case]
    assert rules(parts) == found


def layered(prices: list[str], quantity: str = "0.7", gone: float = 3.0) -> Parts:
    baits = [order(10 + i, "BUY", quantity, p, at=0, gone=gone) for i, p in enumerate(prices)]
    return [*baits, order(2, "SELL", "1", at=1, tif="IOC")], [fill(1, 2, "SELL", "1", at=1)]


LAYERING = {
    "three prices, twice the sale": (layered(["99", "98", "97"]), ["layering"]),
    "two prices": (layered(["99", "98", "98"]), []),
    "two prices, three times the sale": (layered(["99", "98", "98"], "1"), ["spoofing"]),
    "less than twice": (layered(["99", "98", "97"], "0.6"), []),
    "withdrawn too late": (layered(["99", "98", "97"], gone=6.5), []),
}


@pytest.mark.parametrize("case", LAYERING)
def test_layering(case: str) -> None:
    parts, found = LAYERING[case]
    assert rules(parts) == found


def test_an_entry_that_is_chased_and_stopped_is_one_decision() -> None:
    """A part of a post-only entry fills and is stopped while the rest still rests."""
    orders = [
        order(1, "BUY", "0.05", at=0, executed="0.05", status="FILLED", client="bq-e-1", tif="GTX"),
        order(2, "BUY", "0.95", "1000", at=1, gone=3, client="bq-e-2", tif="GTX"),
        order(3, "SELL", "0.05", at=2, client="bq-s-1", reduce_only=True, type="MARKET"),
    ]
    fills = [fill(1, 1, "BUY", "0.05", at=0.5), fill(2, 3, "SELL", "0.05", at=2)]
    mine = {"bq-e-1": "d1", "bq-e-2": "d1", "bq-s-1": "d1"}
    assert rules((orders, fills), mine) == []
    assert rules((orders, fills), {**mine, "bq-s-1": "d2"}) == ["spoofing"]


def test_an_order_that_executes_for_long_is_judged_piece_by_piece() -> None:
    orders, fills = spoofed()
    much_later = [fill(i, 2, "SELL", "9", at=60 + 66 * i) for i in range(2, 5)]
    assert rules((orders, [*fills, *much_later])) == ["spoofing"]
    soon = fill(2, 2, "SELL", "9", at=60)
    assert rules((orders, [*fills, soon])) == []


def test_the_evidence_names_orders_times_and_figures() -> None:
    (found,) = detect(flow(*spoofed()))
    assert found.id == "spoofing-BTCUSDT-2-1"
    assert found.time == START + 2000
    assert found.severity == "critical"
    assert found.evidence["bait"][0]["orderId"] == 1
    assert found.evidence["executedOrderId"] == 2
    assert D(found.evidence["ratio"]) == 3


# ---------------------------------------------------------------- quote stuffing


def storm(pairs: int, seconds: float) -> list[VenueOrder]:
    """Orders placed and withdrawn at once, evenly over a time."""
    step = seconds / pairs
    return [
        order(i + 1, "BUY", "1", at=i * step, gone=i * step + 0.001, price="90")
        for i in range(pairs)
    ]


def test_messages_within_ten_seconds() -> None:
    assert rules((storm(50, 9.9), [])) == ["quote-stuffing"]
    assert rules((storm(49, 9.9), [])) == []
    assert rules((storm(50, 12), [])) == []


def test_an_episode_is_one_and_the_next_is_another() -> None:
    one = storm(120, 12)
    later = [
        msgspec.structs.replace(
            o,
            order_id=o.order_id + 1000,
            placed_at=o.placed_at + 60_000,
            update_time=o.update_time + 60_000,
        )
        for o in one
    ]
    assert rules((one, [])) == ["quote-stuffing"]
    assert rules((one + later, [])) == ["quote-stuffing"] * 2


def slow(count: int, executed: int) -> list[VenueOrder]:
    """Orders of ten minutes, of which the first so many were executed; two seconds apart."""
    return [
        order(i + 1, "BUY", "1", at=i * 1.9, executed="1", status="FILLED")
        if i < executed
        else order(i + 1, "BUY", "1", at=i * 1.9, status="EXPIRED", tif="IOC")
        for i in range(count)
    ]


RATIOS = [(300, 3, True), (300, 4, False), (299, 0, False)]


@pytest.mark.parametrize(("count", "executed", "told"), RATIOS)
def test_orders_that_come_to_nothing(count: int, executed: int, told: bool) -> None:
    assert START % 600_000 == 0
    assert rules((slow(count, executed), [])) == (["order-to-trade"] if told else [])


# ---------------------------------------------------------------- momentum ignition


def ignited(
    pushes: int = 5,
    last: str = "100.3",
    back: str = "2.5",
    got: str = "100.2",
    apart: float = 10,
    reversed_after: float = 60,
    maker: bool = False,
) -> Parts:
    """So many buys of 1, the first at 100, all between at 100.1; then a sale."""
    prices = ["100", *["100.1"] * (pushes - 2), last]
    fills = [
        fill(i + 1, i + 1, "BUY", "1", p, at=i * apart, maker=maker) for i, p in enumerate(prices)
    ]
    fills.append(fill(99, 99, "SELL", back, got, at=(pushes - 1) * apart + reversed_after))
    orders = [order(i + 1, "BUY", "1", type="MARKET") for i in range(pushes)]
    return [*orders, order(99, "SELL", back, type="MARKET")], fills


IGNITION = {
    "five buys, 0.3 %, half of it sold higher": (ignited(), True),
    "four buys": (ignited(pushes=4, back="2"), False),
    "less of a move": (ignited(last="100.29"), False),
    "less than half came back": (ignited(back="2.49"), False),
    "it came back at a loss": (ignited(got="100.1"), False),
    "it came back too late": (ignited(reversed_after=301), False),
    "as makers, who push nothing": (ignited(maker=True), False),
    "the burst took longer than a minute": (ignited(apart=16), False),
}


@pytest.mark.parametrize("case", IGNITION)
def test_momentum_ignition(case: str) -> None:
    parts, told = IGNITION[case]
    assert rules(parts) == (["momentum-ignition"] if told else [])


def test_a_burst_of_sales_is_one_too() -> None:
    prices = ["100", "99.9", "99.9", "99.9", "99.7"]
    fills = [fill(i + 1, i + 1, "SELL", "1", p, at=i) for i, p in enumerate(prices)]
    fills.append(fill(9, 9, "BUY", "3", "99.8", at=30))
    (found,) = detect(flow([], fills))
    assert found.rule == "momentum-ignition"
    assert found.time == START + 30_000


# ---------------------------------------------------------------- wash trading


def test_both_sides_of_a_trade() -> None:
    orders = [order(1, "BUY", "1"), order(2, "SELL", "1")]
    assert rules((orders, [fill(7, 1, "BUY", "1", maker=True), fill(7, 2, "SELL", "1")])) == [
        "self-trade"
    ]
    # Without a common id: the same moment, price and quantity, maker and taker.
    assert rules((orders, [fill(7, 1, "BUY", "1", maker=True), fill(8, 2, "SELL", "1")])) == [
        "self-trade"
    ]
    near_misses = [
        fill(8, 2, "SELL", "1", maker=True),
        fill(8, 2, "SELL", "1", "100.1"),
        fill(8, 2, "SELL", "0.9"),
        fill(8, 2, "SELL", "1", at=0.001),
    ]
    for other in near_misses:
        assert rules((orders, [fill(7, 1, "BUY", "1", maker=True), other])) == []


def test_what_the_exchange_prevented() -> None:
    resting = order(1, "SELL", "1", "101", at=0, gone=5, status="EXPIRED_IN_MATCH")
    taker = order(2, "BUY", "1", "101", at=5, executed="1", status="FILLED", tif="IOC")
    (found,) = detect(flow([resting, taker], []))
    assert (found.rule, found.severity) == ("self-trade-prevented", "warning")
    assert found.evidence["otherOrderIds"] == [2]
    expired = msgspec.structs.replace(resting, status="EXPIRED")
    assert rules(([expired, taker], [])) == []


def turns(count: int, apart: float = 5, price: str = "100.05", quantity: str = "1") -> list[Fill]:
    """Buys at 100 and sales, in turn: ``count`` turns."""
    return [
        fill(i + 1, i + 1, "BUY", "1", "100", at=i * apart)
        if i % 2 == 0
        else fill(i + 1, i + 1, "SELL", quantity, price, at=i * apart)
        for i in range(count + 1)
    ]


ROUNDS = {
    "three round trips": (turns(6), True),
    "two and a half": (turns(5), False),
    "prices that differ": (turns(6, price="100.051"), False),
    "quantities that differ": (turns(6, quantity="1.02"), False),
    "too far apart": (turns(6, apart=10.001), False),
}


@pytest.mark.parametrize("case", ROUNDS)
def test_round_trips_for_nothing(case: str) -> None:
    fills, told = ROUNDS[case]
    assert rules(([], fills)) == (["wash-rounds"] if told else [])


def test_entries_and_their_own_stops_are_no_round_trips() -> None:
    fills = turns(6)
    orders = [order(f.order_id, f.side, "1", client=f"bq-{f.order_id}") for f in fills]
    by_pairs = {f"bq-{i}": f"d{(i + 1) // 2}" for i in range(1, 8)}
    assert rules((orders, fills), by_pairs) == []


# ---------------------------------------------------------------- front-running


def known(at: float, quantity: str = "1", side: str = "BUY") -> KnownOrder:
    return KnownOrder(
        decision_id="d1",
        symbol=BTC,
        side=side,  # type: ignore[arg-type]
        quantity=D(quantity),
        known_at=START + round(at * 1000),
    )


def ahead(
    at: float = 5, quantity: str = "0.5", side: str = "BUY", decided: KnownOrder | None = None, **o
) -> list[Hit]:
    """A decision of 1 to buy, known at 0, executed at 20 s; somebody trades by hand."""
    orders = [
        order(1, "BUY", "1", at=20, client="bq-e-1", status="FILLED", executed="1", tif="IOC"),
        order(2, side, quantity, at=at, status="FILLED", type="MARKET", **o),  # type: ignore[arg-type]
    ]
    fills = [
        fill(1, 1, "BUY", "1", at=20),
        fill(2, 2, side, quantity, at=at),  # type: ignore[arg-type]
    ]
    return list(detect(flow(orders, fills, {"bq-e-1": "d1"}, [decided or known(0)])))


def test_a_purchase_ahead_of_a_larger_decided_one() -> None:
    (found,) = ahead()
    assert found.rule == "front-running"
    assert found.time == START + 20_000
    assert found.evidence["orderId"] == 2
    assert found.evidence["decisionId"] == "d1"


def test_what_is_not_ahead_of_it() -> None:
    assert ahead(at=-0.001) == []  # before anybody knew
    assert ahead(at=20.001) == []  # after it was executed
    assert ahead(side="SELL") == []
    assert ahead(quantity="1") == []  # not smaller than the known one
    assert ahead(reduce_only=True) == []  # it covered a short position
    assert ahead(at=5, decided=known(-200)) != []
    late = [f for f in ahead(at=-105, decided=known(-200)) if f.rule == "front-running"]
    assert late == []  # more than two minutes before the execution


# ---------------------------------------------------------------- restricted windows


def event(start: float, end: float, symbol: str = BTC, listed: float = -1000) -> Event:
    return Event(
        id="event-1",
        symbol=symbol,
        kind="unlock",
        title="tokens unlock",
        at=START + round(end * 1000),
        starts_at=START + round(start * 1000),
        ends_at=START + round(end * 1000),
        created_at=START + round(listed * 1000),
        operator="ada",
    )


WINDOWS = {
    "in the window": (event(0, 10), {}, ["critical"]),
    "at its first moment": (event(5, 10), {}, ["critical"]),
    "at its last": (event(0, 5), {}, ["critical"]),
    "before it": (event(5.001, 10), {}, []),
    "after it": (event(0, 4.999), {}, []),
    "of all symbols": (event(0, 10, "*"), {}, ["critical"]),
    "of another symbol": (event(0, 10, "ETHUSDT"), {}, []),
    "listed afterwards": (event(0, 10, listed=6), {}, ["warning"]),
    "it reduced": (event(0, 10), {"reduce_only": True}, []),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_restricted_windows(case: str) -> None:
    window, fields, found = WINDOWS[case]
    parts = flow([order(1, "BUY", "1", at=4, **fields)], [fill(1, 1, "BUY", "1", at=5)])
    assert [h.severity for h in restricted.detect(parts, [window])] == found


def test_a_fill_that_realises_a_result_has_closed() -> None:
    parts = flow([order(1, "BUY", "1")], [fill(1, 1, "BUY", "1", at=5, pnl="-3")])
    assert restricted.detect(parts, [event(0, 10)]) == []


# ---------------------------------------------------------------- all of them


EVERYTHING: list[Parts] = [
    spoofed(),
    layered(["99", "98", "97"]),
    (storm(60, 9), []),
    (slow(300, 0), []),
    ignited(),
    ([], turns(8)),
    ([order(1, "SELL", "1", gone=5, status="EXPIRED_IN_MATCH")], []),
]


@settings(deadline=None, max_examples=60)
@given(which=st.sampled_from(range(len(EVERYTHING))), data=st.data())
def test_neither_order_nor_repetition_matters(which: int, data: st.DataObject) -> None:
    orders, fills = EVERYTHING[which]
    doubled_orders = data.draw(st.permutations(orders + orders[: data.draw(st.integers(0, 3))]))
    doubled_fills = data.draw(st.permutations(fills + fills[: data.draw(st.integers(0, 3))]))
    first = detect(flow(orders, fills))
    assert first
    assert detect(flow(doubled_orders, doubled_fills)) == first


@settings(deadline=None, max_examples=60)
@given(shift=st.integers(0, 10**9), which=st.sampled_from(range(len(EVERYTHING))))
def test_a_hit_lies_within_its_flow(shift: int, which: int) -> None:
    """Its time is that of the last thing it is made of, so that a scan up to there is complete."""
    orders, fills = EVERYTHING[which]
    times = [o.update_time for o in orders] + [f.time for f in fills]
    for found in detect(flow(orders, fills)):
        # A cycle of ten minutes is over at its end.
        assert found.time <= max(times) or found.rule == "order-to-trade"
        assert found.rule in RULES


def test_an_older_view_of_an_order_changes_nothing() -> None:
    orders, fills = spoofed()
    before = msgspec.structs.replace(orders[0], status="NEW", update_time=orders[0].placed_at)
    assert detect(flow([before, *orders], fills)) == detect(flow([*orders, before], fills))
    assert rules(([before, *orders], fills)) == ["spoofing"]


def test_what_the_venue_does_itself_is_nobodys_conduct() -> None:
    orders, fills = spoofed()
    forced = [orders[0], msgspec.structs.replace(orders[1], client_order_id="autoclose-17")]
    assert rules((forced, fills)) == []


def test_nothing_is_found_in_nothing() -> None:
    assert detect(flow([], [])) == []
    assert isinstance(flow([], []), Flow)
