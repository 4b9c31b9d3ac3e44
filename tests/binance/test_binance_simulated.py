"""The adapter against the simulated exchange, spoken to by the real python-binance client."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D
from itertools import pairwise

import pytest

from local.clock import ScaledClock, VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.faults import AnswerLost, Fault, ScriptedFaults, error_answer, on
from local.exchange.server import ExchangeServer
from local.exchange.session import InProcessSession
from shared.errors import ExchangeHalted, ExchangeRejected, ExchangeThrottled, OutcomeUnknown
from shared.execution.binance import BinanceExchange, Credentials, simulated
from shared.execution.exchange import AlgoOrderRequest, OrderRequest, Side
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

START_MS = 1_746_316_800_000
MINUTE = 60_000
BTC = "BTCUSDT"


class World:
    """A venue, its API in process, and the adapter with a key of its own."""

    def __init__(self, *, secret: str = "secret", skew_ms: int = 0, latency: float = 0.0) -> None:
        self.clock = VirtualClock(START_MS)
        self.venue = Venue(SyntheticMarket(7, [BTC, "ETHUSDT"]), start_ms=START_MS)
        self.faults = ScriptedFaults()
        self.api = BinanceApi(
            self.venue,
            self.clock,
            {"key": "secret"},
            faults=self.faults,
            clock_skew_ms=skew_ms,
        )
        self.exchange = BinanceExchange(
            simulated("http://exchange.test"),
            Credentials(environment="simulated", key="key", secret=secret),
            clock=self.clock,
            session=InProcessSession(self.api, latency=latency),
        )

    def open(self, quantity: str = "0.010", side: Side = "BUY", id: str = "e-1") -> None:
        self.exchange.set_isolated(BTC)
        self.exchange.place_order(market(quantity, side, id))

    def price(self, factor: str) -> D:
        mark = self.exchange.mark_price(BTC).mark_price
        return self.exchange.instruments()[BTC].round_price(mark * D(factor))

    def stop(self, factor: str = "0.98", id: str = "s-1") -> AlgoOrderRequest:
        return AlgoOrderRequest(
            symbol=BTC,
            side="SELL",
            type="STOP_MARKET",
            quantity=D("0.010"),
            client_algo_id=id,
            trigger_price=self.price(factor),
        )


def market(
    quantity: str, side: Side = "BUY", id: str = "e-1", *, reduce_only: bool = False
) -> OrderRequest:
    return OrderRequest(
        symbol=BTC,
        side=side,
        type="MARKET",
        quantity=D(quantity),
        client_order_id=id,
        reduce_only=reduce_only,
    )


def limit(world: World, factor: str, id: str = "l-1") -> OrderRequest:
    return OrderRequest(
        symbol=BTC,
        side="BUY",
        type="LIMIT",
        quantity=D("0.010"),
        price=world.price(factor),
        time_in_force="GTX",
        client_order_id=id,
    )


def test_a_round_trip() -> None:
    world = World()
    x = world.exchange
    x.ensure_one_way()
    x.set_isolated(BTC)
    x.set_isolated(BTC)
    x.set_leverage(BTC, 5)
    config = x.symbol_config(BTC)
    assert (config.margin_type, config.leverage) == ("ISOLATED", 5)
    before = x.account()

    entry = x.place_order(market("0.010"))
    assert (entry.status, entry.executed_quantity, entry.average_price) == (
        "FILLED",
        D("0.01"),
        None,
    )
    asked = x.order(BTC, "e-1")
    assert asked is not None
    assert asked.average_price == x.positions()[0].entry_price

    stop = x.place_algo_order(world.stop())
    assert stop.reduce_only
    assert [a.client_algo_id for a in x.open_algo_orders(BTC)] == ["s-1"]
    assert [a.client_algo_id for a in x.open_algo_orders()] == ["s-1"]
    assert x.open_orders() == [], "conditional orders are invisible to plain listings"

    world.clock.sleep(600)
    account, (position,) = x.account_and_positions()
    assert position.quantity == D("0.01")
    assert account.equity == account.wallet_balance + account.unrealized_pnl

    x.place_order(market("0.010", "SELL", "x-1", reduce_only=True))
    x.cancel_algo_order("s-1")
    x.cancel_algo_order("s-1")
    assert x.account_and_positions()[1] == []
    assert x.open_algo_orders() == []

    fills = x.fills(BTC, start=START_MS)
    assert [f.side for f in fills] == ["BUY", "SELL"]
    assert x.fills(BTC, from_id=fills[1].trade_id) == fills[1:]
    earned = sum(i.income for i in x.income(start=START_MS) if i.income_type != "TRANSFER")
    assert earned == sum(f.realized_pnl - f.commission for f in fills)
    assert x.account().wallet_balance == before.wallet_balance + earned
    assert world.venue.ledger().problems() == []


def test_resting_orders_are_found_and_cancelled() -> None:
    world = World()
    x = world.exchange
    placed = x.place_order(limit(world, "0.97"))
    assert (placed.status, placed.executed_quantity) == ("NEW", 0)
    assert [o.client_order_id for o in x.open_orders(BTC)] == ["l-1"]
    assert x.place_order(limit(world, "0.97")) == x.order(BTC, "l-1"), "adopted, not doubled"
    assert len(x.open_orders()) == 1
    x.cancel_order(BTC, "l-1")
    x.cancel_order(BTC, "l-1")
    x.cancel_order(BTC, "never-sent")
    assert x.order(BTC, "never-sent") is None
    found = x.order(BTC, "l-1")
    assert found is not None
    assert found.status == "CANCELED"
    x.place_order(limit(world, "0.97", "l-2"))
    x.cancel_all_orders(BTC)
    x.cancel_all_algo_orders(BTC)
    assert x.open_orders() == []


def test_a_triggered_stop_names_the_order_it_became() -> None:
    world = World()
    world.open()
    world.exchange.place_algo_order(world.stop("0.9995"))
    for _ in range(60 * 24):
        world.clock.sleep(60)
        stop = world.exchange.algo_order("s-1")
        assert stop is not None
        if stop.status == "FINISHED":
            break
    assert stop.order_id is not None
    assert [f.order_id for f in world.exchange.fills(BTC)][-1] == stop.order_id
    assert world.exchange.positions() == []
    world.exchange.cancel_algo_order("s-1")


@pytest.mark.parametrize("timeframe", ["1m", "15m", "1h"])
@pytest.mark.parametrize("skew_ms", [-45_000, 0, 45_000])
def test_candles_are_closed_consecutive_and_stay_as_they_are(timeframe: str, skew_ms: int) -> None:
    world = World(skew_ms=skew_ms, latency=0.2)
    world.clock.sleep(1801)
    candles = world.exchange.candles(BTC, timeframe, limit=200)
    assert len(candles) == 200
    gaps = {b.open_time - a.close_time for a, b in pairwise(candles)}
    assert gaps == {0}
    newest = candles[-1]
    assert 0 <= world.api.time() - newest.close_time < newest.close_time - newest.open_time
    world.clock.sleep(3600 * 4)
    again = world.exchange.candles(
        BTC, timeframe, start=candles[0].open_time, end=candles[-1].close_time
    )
    assert again == candles


def test_many_candles_cost_what_the_venue_charges() -> None:
    world = World()
    candles = world.exchange.candles(BTC, "1m", limit=3200)
    assert [c.open_time for c in candles] == [START_MS - i * MINUTE for i in range(3200, 0, -1)]
    used = world.exchange.budget.used()["weight_1m"]  # type: ignore[attr-defined]
    assert used == world.api.limits.used("127.0.0.1", world.venue.now)


def test_instruments_and_prices() -> None:
    world = World()
    found = world.exchange.instruments()
    assert set(found) == {BTC, "ETHUSDT"}
    assert (found[BTC].min_notional, found["ETHUSDT"].min_notional) == (D("50"), D("20"))
    marks = world.exchange.mark_prices()
    assert marks[BTC] == world.exchange.mark_price(BTC)
    assert marks[BTC].next_funding_time > START_MS
    book = world.exchange.book_ticker(BTC)
    assert book.bid_price < book.ask_price


@pytest.mark.parametrize(
    ("quantity", "code"),
    [("0.0105", -1111), ("120.001", -4005), ("0.0100001", -1111), ("0.0001", -1111)],
)
def test_filters_refuse(quantity: str, code: int) -> None:
    world = World()
    with pytest.raises(ExchangeRejected) as refused:
        world.exchange.place_order(market(quantity))
    assert refused.value.code == code
    assert world.exchange.positions() == []


def test_refusals_of_the_venue() -> None:
    world = World()
    x = world.exchange
    with pytest.raises(ExchangeRejected) as refused:
        x.mark_price("NOSUCHUSDT")
    assert refused.value.code == -1121
    with pytest.raises(ExchangeRejected) as refused:
        x.place_order(market("0.010", "SELL", "x-1", reduce_only=True))
    assert refused.value.code == -2022
    world.open()
    with pytest.raises(ExchangeRejected) as refused:
        x.place_algo_order(world.stop("1.02"))
    assert refused.value.code == -2021


def test_a_wrong_secret_halts_at_the_second_refusal() -> None:
    world = World(secret="another")
    with pytest.raises(ExchangeRejected):
        world.exchange.account()
    with pytest.raises(ExchangeHalted):
        world.exchange.account()


@pytest.mark.parametrize("how", ["timeout", "reset"])
@pytest.mark.parametrize("executed", [True, False])
def test_a_lost_answer_is_unknown_until_it_is_asked_for(how: str, executed: bool) -> None:
    world = World()
    lost = AnswerLost(how)  # type: ignore[arg-type]
    world.faults.add(Fault(on("POST", "/fapi/v1/order"), lost, executed=executed))
    with pytest.raises(OutcomeUnknown):
        world.exchange.place_order(market("0.010"))
    found = world.exchange.order(BTC, "e-1")
    assert (found is not None) is executed
    assert len(world.exchange.positions()) == int(executed)


def test_a_lost_answer_to_a_query_costs_nothing() -> None:
    world = World()
    world.open()
    path = "/fapi/v3/positionRisk"
    world.faults.add(Fault(on("GET", path), AnswerLost("reset"), times=2))
    assert len(world.exchange.positions()) == 1


def test_a_doubtful_503_sends_no_second_order() -> None:
    world = World()
    doubt = error_answer(503, 0, "Unknown error, please check your request or try again later.")
    world.faults.add(Fault(on("POST", "/fapi/v1/order"), doubt, executed=True))
    with pytest.raises(OutcomeUnknown):
        world.exchange.place_order(market("0.010"))
    (position,) = world.exchange.positions()
    assert position.quantity == D("0.01")


@pytest.mark.parametrize("skew_ms", [-20_000, 20_000])
def test_a_clock_that_jumps_costs_one_extra_request(skew_ms: int) -> None:
    world = World()
    world.open()
    world.clock.sleep(60)  # the venue's time cannot run backward beyond what it has seen
    world.api.clock_skew_ms = skew_ms
    world.exchange.place_order(market("0.010", "SELL", "x-1", reduce_only=True))
    assert world.exchange.positions() == []


def test_the_local_budget_refuses_before_the_venue_does() -> None:
    """Market data until refused: the venue never had to say 429."""
    world = World()
    for _ in range(204):  # ten each, up to 85 % of 2400
        world.exchange.mark_prices()
    with pytest.raises(ExchangeThrottled) as refused:
        world.exchange.mark_prices()
    assert refused.value.status == 0
    assert world.api.limits.used("127.0.0.1", world.venue.now) <= 0.85 * 2400
    assert world.exchange.positions() == [], "what protects still goes through"
    world.clock.sleep(60)
    assert world.exchange.mark_prices()


def test_over_http_with_a_session_of_its_own() -> None:
    """The same round trip through sockets, from several threads at once."""
    clock = ScaledClock(START_MS, speed=10.0)
    venue = Venue(SyntheticMarket(7, [BTC, "ETHUSDT"]), start_ms=START_MS)
    api = BinanceApi(venue, clock, {"key": "secret"})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> ExchangeServer:
        server = ExchangeServer(api)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    exchange = BinanceExchange(
        simulated(server.url),
        Credentials(environment="simulated", key="key", secret="secret"),
        clock=clock,
        # Generous: on this accelerated clock a second is a tenth.
        recv_window_ms=60_000,
    )
    try:
        exchange.set_isolated(BTC)
        with ThreadPoolExecutor(4) as pool:
            placed = list(
                pool.map(lambda i: exchange.place_order(market("0.001", id=f"e-{i}")), range(8))
            )
        assert {o.client_order_id for o in placed} == {f"e-{i}" for i in range(8)}
        assert {o.status for o in placed} == {"FILLED"}
        (position,) = exchange.positions()
        assert position.quantity == D("0.008")
        assert len(exchange.fills(BTC, start=START_MS)) == 8
        assert len(exchange.candles(BTC, "1m", limit=100)) == 100
    finally:
        exchange.close()
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
