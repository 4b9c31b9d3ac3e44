"""Keys, signatures, clocks, limits and faults of the REST face."""

from __future__ import annotations

import hashlib
import hmac

import pytest
import requests
from exchange_world import KEY, SECRET, START, World, code, flat, in_process_client, refused

from local.exchange.auth import HmacCredential, check_time
from local.exchange.faults import AnswerLost, Fault, ScriptedFaults, error_answer, on
from local.exchange.limits import RateLimits
from shared.simulation.refusal import VenueRefusal

BTC = "BTCUSDT"


@pytest.fixture
def world() -> World:
    return World({BTC: flat(100_000, 20)})


def market(world: World, **p):
    return world.client.futures_create_order(
        symbol=BTC, side="BUY", type="MARKET", quantity="0.010", **p
    )


def signed(world: World, *, key: str = KEY, window: int = 5000, ahead: int = 0) -> tuple[int, int]:
    """A hand-signed request; status and code."""
    query = f"recvWindow={window}&timestamp={world.clock.now_ms() + ahead}"
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    status, _, body = world.api.handle(
        "GET", "/fapi/v3/balance", f"{query}&signature={signature}", {"x-mbx-apikey": key}
    )
    return status, int(body.decode().split(":")[1].split(",")[0]) if status != 200 else 0


def test_official_signature_vector() -> None:
    secret = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
    payload = (
        b"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
        b"&recvWindow=5000&timestamp=1591702613943"
    )
    good = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    assert HmacCredential(secret).verifies(payload, good)
    assert not HmacCredential(secret).verifies(payload + b"0", good)


@pytest.mark.parametrize(
    ("ahead", "window", "expected"),
    [
        (0, 5000, 0),
        (999, 5000, 0),
        (1000, 5000, -1021),
        (-5000, 5000, 0),
        (-5001, 5000, -1021),
        (-59_000, 60_000, 0),
        (0, 60_001, -1131),
    ],
)
def test_timestamp_and_window(world: World, ahead: int, window: int, expected: int) -> None:
    assert signed(world, ahead=ahead, window=window)[1] == expected


@pytest.mark.parametrize(
    ("key", "status", "expected"),
    [
        ("", 401, -2014),
        ("k" * 200, 401, -2014),
        ("other", 401, -2015),
        ("demo-other", 401, -2008),
        (KEY, 200, 0),
    ],
)
def test_api_keys(world: World, key: str, status: int, expected: int) -> None:
    assert signed(world, key=key) == (status, expected)


def test_a_wrong_secret_is_a_wrong_signature(world: World) -> None:
    client = in_process_client(world.api, secret="wrong")
    refusal = refused(client.futures_account_balance)
    assert (refusal.status_code, refusal.code) == (400, -1022)


def test_ids_with_characters_that_are_encoded_pass_the_signature(world: World) -> None:
    """python-binance signs the plain text and sends it percent-encoded."""
    market(world, newClientOrderId="a:b/c")
    assert world.client.futures_get_order(symbol=BTC, origClientOrderId="a:b/c")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fapi/v1/nothing", 404),
        ("PATCH", "/fapi/v1/order", 405),
        ("GET", "/api/v3/order", 404),
    ],
)
def test_unknown_routes(world: World, method: str, path: str, status: int) -> None:
    assert world.api.handle(method, path)[0] == status


def test_clock_skew_is_seen_by_the_caller(world: World) -> None:
    ahead = World({BTC: flat(100_000, 20)}, clock_skew_ms=20_000)
    assert ahead.client.futures_time()["serverTime"] == START + 20_000
    assert code(ahead.client.futures_account_balance) == -1021
    ahead.client.skew_ms = 20_000
    assert code(ahead.client.futures_account_balance) == 0


class TestLimits:
    def limited(self, **limits: int) -> World:
        return World({BTC: flat(100_000, 20)}, limits=RateLimits(**limits))

    def test_weights_add_up_in_the_header(self, world: World) -> None:
        c = world.client
        used = []
        for call in (
            c.futures_time,
            c.futures_exchange_info,
            lambda: c.futures_klines(symbol=BTC, interval="1m", limit=500),
            lambda: c.futures_klines(symbol=BTC, interval="1m", limit=1500),
            c.futures_get_open_orders,
            lambda: c.futures_get_open_orders(symbol=BTC),
            c.futures_account,
            c.futures_income_history,
        ):
            call()
            used.append(int(c.response.headers["X-MBX-USED-WEIGHT-1M"]))
        assert used == [1, 2, 7, 17, 57, 58, 63, 93]
        c.futures_funding_rate(symbol=BTC)
        assert "X-MBX-USED-WEIGHT-1M" not in c.response.headers
        world.at_minute(2)
        c.futures_time()
        assert c.response.headers["x-mbx-used-weight-1m"] == "1"

    def test_429_then_418_then_free_again(self) -> None:
        world = self.limited(weight=10)
        for _ in range(10):
            world.client.futures_time()
        first = refused(world.client.futures_time)
        assert (first.status_code, first.code) == (429, -1003)
        assert int(first.response.headers["Retry-After"]) == 60
        for _ in range(10):
            last = refused(world.client.futures_time)
        assert (last.status_code, last.code) == (418, -1003)
        until = int(last.message.split("banned until ")[1].split(".")[0])
        assert until == START + 120_000
        world.at_minute(2.9)
        assert refused(world.client.futures_time).status_code == 418
        world.at_minute(3)
        assert code(world.client.futures_time) == 0

    def test_refusals_of_the_order_limit_lead_to_a_ban_too(self) -> None:
        world = self.limited(orders_10s=1)
        market(world)
        told = [refused(market, world) for _ in range(11)]
        assert [(r.status_code, r.code) for r in told] == [(429, -1015)] * 10 + [(418, -1003)]
        assert refused(world.client.futures_time).status_code == 418

    def test_nonsense_costs_and_is_refused_during_a_ban(self) -> None:
        world = self.limited(weight=2)
        klines = {"symbol": BTC, "interval": "1m", "limit": 1501}
        outcomes = [code(world.client.futures_klines, **klines) for _ in range(3)]
        assert outcomes == [-1130, -1130, -1003]

    def test_orders_are_counted_per_ten_seconds_and_minute(self) -> None:
        world = self.limited(orders_10s=3, orders_1m=5)
        outcomes = []
        for second in (0, 1, 2, 3, 10, 11, 12, 60):
            world.clock.advance_to(START + second * 1000)
            outcomes.append(code(market, world))
        assert outcomes == [0, 0, 0, -1015, 0, 0, -1015, 0]
        assert world.client.response.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        [ten, minute] = world.client.futures_v1_get_rate_limit_order()
        assert (ten["limit"], minute["limit"]) == (3, 5)


class TestFaults:
    def faulty(self, *rules: Fault) -> World:
        return World({BTC: flat(100_000, 20)}, faults=ScriptedFaults(list(rules)))

    def test_an_answer_lost_after_executing(self) -> None:
        lost = Fault(on("POST", "/fapi/v1/order"), AnswerLost("timeout"), executed=True)
        world = self.faulty(lost)
        before = world.clock.now_ms()
        with pytest.raises(requests.exceptions.ReadTimeout):
            market(world, newClientOrderId="x")
        assert world.clock.now_ms() == before + 10_000
        found = world.client.futures_get_order(symbol=BTC, origClientOrderId="x")
        assert found["status"] == "FILLED"

    def test_a_request_lost_before_executing(self) -> None:
        world = self.faulty(Fault(on("POST", "/fapi/v1/order"), AnswerLost("reset")))
        with pytest.raises(requests.exceptions.ConnectionError):
            market(world, newClientOrderId="x")
        assert code(world.client.futures_get_order, symbol=BTC, origClientOrderId="x") == -2013

    @pytest.mark.parametrize("executed", [True, False])
    def test_unknown_outcome(self, executed: bool) -> None:
        answer = error_answer(503, -1007, "Timeout waiting for response from backend server.")
        world = self.faulty(Fault(on("POST", "/fapi/v1/order"), answer, executed=executed))
        refusal = refused(market, world)
        assert (refusal.status_code, refusal.code) == (503, -1007)
        assert (world.position() != 0) is executed
        assert code(market, world) == 0

    def test_delayed_visibility_for_a_while(self) -> None:
        hidden = Fault(
            on("GET", "/fapi/v1/order"),
            error_answer(400, -2013, "Order does not exist."),
            times=100,
            until=START + 3_000,
        )
        world = self.faulty(hidden)
        market(world, newClientOrderId="x")
        get = world.client.futures_get_order
        assert code(get, symbol=BTC, origClientOrderId="x") == -2013
        world.clock.advance_to(START + 3_001)
        assert code(get, symbol=BTC, origClientOrderId="x") == 0


@pytest.mark.parametrize(
    ("call", "parameters", "keys"),
    [
        ("futures_account_balance", {}, {"asset", "balance", "availableBalance"}),
        ("futures_position_information", {}, {"liquidationPrice", "isolatedWallet"}),
        ("futures_symbol_config", {}, {"marginType", "leverage"}),
        ("futures_account_trades", {"symbol": BTC}, {"realizedPnl", "commission", "id"}),
        ("futures_income_history", {}, {"incomeType", "tranId"}),
        ("futures_leverage_bracket", {}, {"brackets"}),
        ("futures_funding_rate", {"symbol": BTC, "startTime": 1}, {"fundingRate", "rateType"}),
    ],
)
def test_lists_have_the_documented_fields(
    world: World, call: str, parameters: dict, keys: set[str]
) -> None:
    market(world)
    rows = getattr(world.client, call)(**parameters)
    assert rows
    assert all(keys <= row.keys() for row in rows)


@pytest.mark.parametrize(
    ("call", "parameters", "expected"),
    [
        ("futures_ping", {}, {}),
        ("futures_get_position_mode", {}, {"dualSidePosition": False}),
        ("futures_get_multi_assets_mode", {}, {"multiAssetsMargin": False}),
        ("futures_account_config", {}, {"tradeGroupId": -1}),
        ("futures_commission_rate", {"symbol": BTC}, {"takerCommissionRate": "0.0005"}),
        ("futures_leverage_bracket", {"symbol": BTC}, {"symbol": BTC}),
        ("futures_symbol_ticker", {"symbol": BTC}, {"price": "100000.00"}),
        ("futures_orderbook_ticker", {"symbol": BTC}, {"symbol": BTC}),
        ("futures_ticker", {"symbol": BTC}, {"lastPrice": "100000.00"}),
        ("futures_mark_price", {"symbol": BTC}, {"markPrice": "100000.00000000"}),
        ("futures_account", {"version": 3}, {"totalWalletBalance": "5000.00000000"}),
        ("futures_account", {"version": 2}, {"canTrade": True}),
    ],
)
def test_answers(world: World, call: str, parameters: dict, expected: dict) -> None:
    answer = getattr(world.client, call)(**parameters)
    assert expected.items() <= answer.items()


@pytest.mark.parametrize(
    ("timestamp", "window", "expected"),
    [("²", None, -1102), ("1000", "5_000", -1130), ("1000", "²", -1130), ("1000", "60001", -1131)],
)
def test_times_are_plain_digits(timestamp: str, window: str | None, expected: int) -> None:
    with pytest.raises(VenueRefusal) as refusal:
        check_time(1000, timestamp, window)
    assert refusal.value.code == expected
