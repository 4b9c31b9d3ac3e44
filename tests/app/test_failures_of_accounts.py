"""What other systems' users reported about limits, money, hosts and restarts, as scenarios.

The numbers are those of the table in ``docs/safety.md``.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from chased import begun, chasing
from desk import ORDER, START, UNKNOWN_503, Crash, Floor
from test_failures_of_others import restarted
from test_guardian_rounds import FULL, later, opened
from test_triggers import again
from test_unknown_outcomes import is_leg

from local.exchange.faults import ApiRequest, ApiResponse
from local.exchange.limits import Throttled
from local.platform import SIMULATED_KEY
from shared.bootstrap import Services
from shared.errors import ConfigurationError, ExchangeError, ExchangeThrottled
from shared.execution import assess, chase, emergency, entry
from shared.execution.guardian import guard
from shared.execution.ids import client_id
from shared.execution.reconcile import reconcile

D = Decimal
MINUTE = 60_000
ADDRESS = "127.0.0.1"


class Line:
    """From now on: what the exchange answered, and when. ``neighbour`` may use the line first."""

    def __init__(self, floor: Floor) -> None:
        self.answers: list[tuple[int, int]] = []
        self.neighbour: Any = lambda now: None
        before, after = floor.faults.before, floor.faults.after

        def first(request: ApiRequest) -> ApiResponse | None:
            self.neighbour(request.time)
            return before(request)

        def then(request: ApiRequest, response: ApiResponse) -> ApiResponse:
            self.answers.append((request.time, response.status))
            return after(request, response)

        floor.faults.before, floor.faults.after = first, then

    def refused(self, status: int) -> list[int]:
        return [at for at, told in self.answers if told == status]


def leave_only(floor: Floor, left: int) -> Any:
    """A neighbour who leaves so much of each minute's weight."""
    limits = floor.api.limits

    def use(now: int) -> None:
        more = limits.weight - limits.used(ADDRESS, now) - left
        if more > 0 and not minutes & {now // MINUTE}:
            minutes.add(now // MINUTE)
            limits.spend(ADDRESS, more, now)

    minutes: set[int] = set()
    return use


def test_19_a_neighbour_at_the_same_address_uses_up_the_weight(open_floor):
    """ccxt#14639, freqtrade#7187: -1003 from an address shared with others, then banned."""
    floor = open_floor()
    floor.trade()
    floor.run(10)
    (stop,) = floor.stops()
    line = Line(floor)
    line.neighbour = leave_only(floor, 0)
    floor.minutes(3)
    # One refusal in a minute is enough: nothing more is sent before the time it names.
    refused = line.refused(429)
    assert refused
    assert len({at // MINUTE for at in refused}) == len(refused)
    for at in refused:
        end = (at // MINUTE + 1) * MINUTE
        assert not [t for t, _ in line.answers if at < t < end]
    assert line.refused(418) == []
    assert "guardian-blind" in floor.alerts()
    # What protects meanwhile rests at the exchange.
    assert (floor.held(), floor.stops()) == (FULL, [stop])
    line.neighbour = lambda now: None
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    signal = floor.trade("ETHUSDT")
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "protected"


def test_19_what_a_neighbour_leaves_is_for_the_exits(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    line = Line(floor)
    signal, late = floor.signal("ETHUSDT"), floor.signal("XRPUSDT")
    assert assess.assess(floor.desk, "ETHUSDT", signal.id).outcome == "approved"
    line.neighbour = leave_only(floor, 600)
    floor.desk.exchange.positions()  # an answer that tells how much of the minute is used
    # Neither is anything decided, nor is what has been decided sent.
    with pytest.raises(ExchangeThrottled, match="budget for entry is used up"):
        assess.assess(floor.desk, "XRPUSDT", late.id)
    refused = entry.open_position(floor.desk, "ETHUSDT", signal.id)
    assert refused.status == "rejected"
    assert "budget for entry is used up" in refused.reason
    assert len(floor.entries()) == 1
    emergency.latch(floor.desk, "manual", {}, "test")
    assert emergency.flatten_account(floor.desk, "test").flat
    assert floor.held() == 0
    assert line.refused(429) == line.refused(418) == []
    # Booked when there is weight again: what that reads is not what protects.
    later(floor)
    emergency.settle_all(floor.desk)
    assert len(floor.trades()) == 1


@pytest.mark.parametrize("budget", ["own", "shared"])
def test_19_a_ban_is_sat_out_with_the_stops_in_place(open_floor, budget):
    """Whatever is sent during a ban makes it longer; one instance's ban is the other's."""
    floor = open_floor(settings={"RATE_BUDGET": budget}, durable=False)
    opened(floor)
    later(floor)
    other = again(floor).desk()
    guard(other)  # it knows the clock and the instruments, as one that has worked before
    later(floor)
    line = Line(floor)
    for _ in range(20):  # the neighbour goes on although it is refused
        with suppress(Throttled):
            floor.api.limits.spend(ADDRESS, 3_000, floor.clock.now_ms())
    with pytest.raises(ExchangeError):
        guard(floor.desk)
    assert len(line.answers) == len(line.refused(418)) == 1
    for _ in range(5):
        later(floor, 20)
        for desk in (floor.desk, *((other,) if budget == "shared" else ())):
            with pytest.raises(ExchangeError):
                guard(desk)
    assert len(line.answers) == 1
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
    later(floor, 60)
    guard(floor.desk)
    guard(other)
    assert line.refused(418) == line.refused(418)[:1]
    assert floor.held() == FULL


@pytest.mark.parametrize("rates", [(0.0005, 0.0003), (-0.0004, 0.0002)], ids=["paid", "mixed"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_21_funding_of_a_position_that_was_increased_between_two_settlements(
    open_floor, side, rates
):
    """freqtrade#13263, #9626, #7291: counted again for the whole when added to; wrong signs."""
    sign = 1 if side == "BUY" else -1
    floor = open_floor(
        {"BTCUSDT": [(340, 0), (345, -0.03 * sign), (900, -0.03 * sign)]},
        funding={"BTCUSDT": [(START + 90 * MINUTE, rates[0]), (START + 330 * MINUTE, rates[1])]},
        settings={"MAX_HOLDING_BARS": "1000"},
        durable=False,
    )
    floor.expected = {1, 3, 4, 7}  # somebody adds by hand, past every limit
    opened(floor, side=side)
    later(floor, 100 * 60)
    guard(floor.desk)
    floor.trade_by_hand("BTCUSDT", side, "0.001")
    for _ in range(2):
        later(floor)
        guard(floor.desk)
    reconcile(floor.desk)
    later(floor, 300 * 60)
    assert floor.held() == 0
    for _ in range(3):  # however often it is looked at
        guard(floor.desk)
        later(floor)
    [trade] = floor.trades()
    # 0.004 BTC over the first settlement, 0.005 over the second, at 100,000 USDT each; a long pays
    # a positive rate, a short receives it.
    paid = D("0.004") * D(str(rates[0])) + D("0.005") * D(str(rates[1]))
    assert D(trade["funding"]) == -sign * 100_000 * paid
    income = [i.amount for i in floor.venue.ledger().income if i.kind != "TRANSFER"]
    assert D(trade["netPnl"]) == sum(income, D(0))
    assert floor.services.ledger.read().day_realized_pnl == D(trade["netPnl"])


MIXED = {
    "demo with the live host": {
        "BINANCE_ENVIRONMENT": "demo",
        "BINANCE_BASE_URL": "https://fapi.binance.com",
        "TRADING_STAGE": "testnet",
        "BINANCE_API_KEY": "demo:K",
    },
    "simulated with the live host": {"BINANCE_BASE_URL": "https://fapi.binance.com"},
    "demo with a live key": {
        "BINANCE_ENVIRONMENT": "demo",
        "BINANCE_BASE_URL": "",
        "TRADING_STAGE": "testnet",
        "BINANCE_API_KEY": "production:K",
    },
    "live with a demo key": {
        "BINANCE_ENVIRONMENT": "production",
        "BINANCE_BASE_URL": "",
        "TRADING_STAGE": "limited",
        "BINANCE_API_KEY": "demo:K",
    },
    "live with a key that does not say so": {
        "BINANCE_ENVIRONMENT": "production",
        "BINANCE_BASE_URL": "",
        "TRADING_STAGE": "limited",
        "BINANCE_API_KEY": "K",
    },
}


@pytest.mark.parametrize("how", MIXED)
def test_23_a_host_and_a_key_of_different_environments_send_nothing(open_floor, how):
    """ccxt#26487: sandbox calls went to the live host."""
    floor = open_floor(durable=False)
    sent: list[str] = []
    floor.session.before = lambda method, url: sent.append(url)
    mixed = Services(
        {**floor.settings, **MIXED[how]},
        clock=floor.clock,
        store=floor.store,
        exchange_session=floor.session,
    )
    with pytest.raises(ConfigurationError):
        mixed.exchange.positions()
    assert sent == []


def test_23_every_request_of_a_trade_on_demo_goes_to_the_demo_host(open_floor):
    """python-binance decides by itself which host a call goes to; here each of them is seen."""
    floor = open_floor(
        {"BTCUSDT": [(2, 0), (6, -0.03)], "ETHUSDT": ()},
        settings={
            "BINANCE_ENVIRONMENT": "demo",
            "BINANCE_BASE_URL": "",
            "TRADING_STAGE": "testnet",
            "BINANCE_API_KEY": f"demo:{SIMULATED_KEY.partition(':')[2] or SIMULATED_KEY}",
        },
    )
    hosts: dict[str, set[str]] = {}

    def seen(method: str, url: str) -> None:
        parts = urlsplit(url)
        hosts.setdefault(f"{parts.scheme}://{parts.netloc}", set()).add(f"{method} {parts.path}")

    floor.session.before = seen
    first = floor.trade()
    floor.minutes(9)
    assert floor.outcome(first)["outcome"] == "protected"
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    second = floor.trade("ETHUSDT")
    floor.run(10)
    assert floor.outcome(second)["outcome"] == "protected"
    assert floor.http("POST", "/api/emergency-stop", {"reason": "the end"}).status == 202
    floor.run(10)
    assert floor.held("ETHUSDT") == 0
    assert list(hosts) == ["https://demo-fapi.binance.com"]
    asked = {request.rpartition("/")[2] for request in hosts["https://demo-fapi.binance.com"]}
    assert {"order", "algoOrder", "positionRisk", "userTrades", "income", "leverage"} <= asked


def suspended_open(floor: Floor) -> str:
    """A position with its bracket."""
    return opened(floor)


def suspended_unknown(floor: Floor) -> str:
    """An entry that was executed, whose answer never came."""
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    floor.break_next(ORDER, UNKNOWN_503, executed=True, where=is_leg("e"))
    _die_at(floor, "GET", lambda: entry.open_position(floor.desk, "BTCUSDT", signal.id))
    return signal.id


def suspended_resting(floor: Floor) -> str:
    """An entry that rests in the book."""
    signal = begun(floor)
    _die_at(floor, "GET", lambda: entry.open_position(floor.desk, "BTCUSDT", signal))
    assert len(floor.account.open_orders["BTCUSDT"]) == 1
    return signal


def _die_at(floor: Floor, verb: str, act: Any) -> None:
    """The process ends at its first look at an order."""

    def die(method: str, url: str) -> None:
        if method.upper() == verb and url.split("?")[0].endswith("/v1/order"):
            raise Crash

    floor.session.before = die
    with pytest.raises(Crash):
        act()
    floor.session.before = lambda method, url: None


SUSPENDED = {
    "position open": (suspended_open, [(60, 0.0)]),
    "stop fired meanwhile": (suspended_open, [(2, 0), (6, -0.03), (60, -0.03)]),
    "outcome unknown": (suspended_unknown, [(60, 0.0)]),
    "entry resting": (suspended_resting, [(60, 0.002)]),
    "entry filled meanwhile": (suspended_resting, [(5, 0.0), (6, -0.004), (7, 0.0), (60, 0.0)]),
}


@pytest.mark.parametrize("state", SUSPENDED)
def test_24_after_being_suspended_nothing_is_forgotten_and_nothing_is_sent_twice(open_floor, state):
    """hummingbot#2818, #3324: suspend and restore lost orders, and a position that was open."""
    suspend, path = SUSPENDED[state]
    floor = (
        chasing(open_floor, path)
        if suspend is suspended_resting
        else open_floor({"BTCUSDT": path}, durable=False)
    )
    floor.expected = {4}  # for an hour nobody is there to place a stop
    signal = suspend(floor)
    orders_before = {o.client_order_id for o in floor.orders()}
    algos_before = {a.client_algo_id for a in floor.algos()}
    later(floor, 3_600)
    held = floor.held()
    desk = restarted(floor)
    for _ in range(2):
        guard(desk)
        reconcile(desk)
        later(floor)
    assert floor.held() == held
    assert {o.client_order_id for o in floor.entries()} <= orders_before
    assert not any(floor.account.open_orders.values())
    [record] = floor.documents("positions")
    assert record["decisionId"] == signal
    if held:
        assert record["state"] == "open"
        assert [s.quantity for s in floor.stops()] == [held] == [D(record["quantity"])]
        assert algos_before <= {a.client_algo_id for a in floor.algos()}
        assert floor.leaked() == ({}, [signal])
    else:
        assert record["state"] == "closed"
        assert floor.algos() == []
        assert floor.leaked() == ({}, [])
        assert len(floor.trades()) == (state == "stop fired meanwhile")
    assert reconcile(desk).differences == ()
    sent = {k.id for k in chase.entry_orders(desk, signal) if k.attempts}
    assert sent == {client_id("main", signal, "e")}
