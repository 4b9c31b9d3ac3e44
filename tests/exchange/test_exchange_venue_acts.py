"""What the venue does to an account by itself: calls, deleveraging, forced orders; and keys."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from exchange_world import SECRET, START, World, code, flat, in_process_client

from local.exchange.api import BinanceApi
from local.exchange.auth import PublicKeyCredential
from local.exchange.events import user_events
from local.exchange.faults import stuck_triggering
from local.exchange.session import InProcessSession
from shared.errors import InvalidInput

BTC = "BTCUSDT"
D = Decimal


def market(world: World, side: str = "BUY", quantity: str = "0.100", **more: Any) -> dict:
    return world.client.futures_create_order(
        symbol=BTC, side=side, type="MARKET", quantity=quantity, **more
    )


def told(world: World) -> list[dict]:
    seen: list[dict] = []
    world.venue.on_event(lambda event: seen.extend(user_events(world.venue.core, event)))
    return seen


def isolated(world: World, leverage: int = 20) -> None:
    world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    world.client.futures_change_leverage(symbol=BTC, leverage=leverage)


class TestMarginCall:
    def test_isolated_once_until_the_danger_is_over(self) -> None:
        # 20x long from 100,000: liquidation near 95,380. At 95,500 maintenance takes 382 / 500.
        prices = [100_000, 96_500, 95_450, 95_460, 97_000, 95_440]
        world = World({BTC: [row for p in prices for row in flat(p, 2)]})
        isolated(world)
        market(world)
        seen = told(world)
        calls = []
        for i in range(len(prices)):
            world.at_minute(2 * i + 1)
            calls.append(len([m for m in seen if m["e"] == "MARGIN_CALL"]))
        assert calls == [0, 0, 1, 1, 1, 2]
        call = next(m for m in seen if m["e"] == "MARGIN_CALL")
        assert "cw" not in call
        [row] = call["p"]
        assert (row["s"], row["mt"], row["pa"], D(row["mp"])) == (BTC, "ISOLATED", "0.1", 95_450)
        # 0.1 BTC at 95,450 with 0.4 % maintenance.
        assert D(row["mm"]) == D("9545") * D("0.004")

    def test_cross_counts_the_whole_wallet(self) -> None:
        world = World(
            {BTC: [*flat(100_000, 2), *flat(95_500, 4), *flat(50_300, 4)]}, deposit="5000"
        )
        market(world)
        seen = told(world)
        world.at_minute(3)
        assert [m for m in seen if m["e"] == "MARGIN_CALL"] == []
        world.at_minute(7)
        call = next(m for m in seen if m["e"] in ("MARGIN_CALL", "ORDER_TRADE_UPDATE"))
        # 5,000 less fees less a loss of 4,970 leave 25, of which maintenance takes 20.
        assert call["e"] == "MARGIN_CALL"
        assert D(call["cw"]) == world.account.cross_wallet
        assert call["p"][0]["mt"] == "CROSSED"


class TestDeleveraging:
    def test_the_position_shrinks_at_the_mark_without_a_fee(self) -> None:
        world = World({BTC: [*flat(100_000, 2), *flat(103_000, 60)]})
        market(world)
        world.client.futures_create_order(
            symbol=BTC,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="99000",
            quantity="0.010",
            newClientOrderId="rest",
        )
        world.at_minute(3)
        entry = world.account.position(BTC).entry_price
        wallet = world.account.wallet_balance()
        seen = told(world)
        world.venue.deleverage(world.account, BTC, D("0.040"))
        assert world.position() == D("0.060")
        assert world.account.wallet_balance() - wallet == D("0.040") * (103_000 - entry)
        assert world.client.futures_get_open_orders(symbol=BTC) == []
        trade = next(m["o"] for m in seen if m.get("o", {}).get("x") == "CALCULATED")
        assert (trade["c"], trade["S"], trade["X"]) == ("adl_autoclose", "SELL", "FILLED")
        assert not [m for m in seen if m["e"] == "TRADE_LITE"]
        assert world.venue.ledger().problems() == []

    def test_more_than_there_is_cannot_go(self) -> None:
        world = World({BTC: flat(100_000, 60)})
        market(world, quantity="0.010")
        with pytest.raises(InvalidInput):
            world.venue.deleverage(world.account, BTC, D("0.011"))


def test_forced_orders_are_listed_by_cause() -> None:
    world = World({BTC: [*flat(100_000, 2), *flat(100_500, 2), *flat(94_000, 60)]})
    isolated(world)
    market(world)
    world.at_minute(3)
    world.venue.deleverage(world.account, BTC, D("0.040"))
    world.at_minute(6)
    assert world.position() == 0
    rows = world.client.futures_liquidation_orders()
    assert [r["clientOrderId"][:9] for r in rows] == ["autoclose", "adl_autoc"]
    assert (rows[0]["status"], rows[0]["executedQty"], rows[0]["type"]) == (
        "FILLED",
        "0.06",
        "LIMIT",
    )
    for cause, expected in (("ADL", [rows[1]]), ("LIQUIDATION", [rows[0]])):
        assert world.client.futures_liquidation_orders(autoCloseType=cause) == expected
    assert code(world.client.futures_liquidation_orders, autoCloseType="WHIM") == -1130
    # The insurance fund's fee is the last of it: 1.25 % of the notional or what is left.
    kinds = {r["incomeType"] for r in world.client.futures_income_history()}
    assert "INSURANCE_CLEAR" in kinds
    assert world.venue.ledger().problems() == []


def test_margin_moves_are_remembered() -> None:
    world = World({BTC: flat(100_000, 60)})
    isolated(world)
    market(world)
    move = world.client.futures_change_position_margin
    move(symbol=BTC, amount="25", type=1)
    world.at_minute(2)
    move(symbol=BTC, amount="10", type=2)
    assert code(move, symbol=BTC, amount="100000", type=1) == -4050
    history = world.client.futures_position_margin_history
    rows = history(symbol=BTC)
    assert [(r["type"], r["amount"], r["deltaType"]) for r in rows] == [
        (1, "25", "USER_ADJUST"),
        (2, "10", "USER_ADJUST"),
    ]
    assert history(symbol=BTC, type=2) == rows[1:]
    assert history(symbol=BTC, startTime=START + 1) == rows[1:]


def test_fee_burn_is_kept_but_nothing_is_burnt_without_bnb() -> None:
    world = World({BTC: flat(100_000, 60)})
    c = world.client
    assert c.futures_v1_get_fee_burn() == {"feeBurn": False}
    c.futures_v1_post_fee_burn(feeBurn="true")
    assert c.futures_v1_get_fee_burn() == {"feeBurn": True}
    assert c.futures_account()["feeBurn"] is True
    market(world)
    [trade] = c.futures_account_trades(symbol=BTC)
    assert D(trade["commission"]) == D(trade["quoteQty"]) * D("0.0005")


STOP = {
    "symbol": BTC,
    "side": "SELL",
    "type": "STOP_MARKET",
    "triggerPrice": "99000",
    "quantity": "0.100",
    "reduceOnly": "true",
    "clientAlgoId": "stop",
}


def test_queries_of_conditional_orders_lag_but_the_orders_work() -> None:
    world = World({BTC: [*flat(100_000, 2), *flat(98_000, 60)]}, algo_query_lag_ms=5000)
    market(world)
    c = world.client
    placed = c.futures_create_algo_order(**STOP)
    assert code(c.futures_get_algo_order, clientAlgoId="stop") == -2013
    assert c.futures_get_open_algo_orders(symbol=BTC) == []
    assert c.futures_get_all_algo_orders(symbol=BTC) == []
    # A second with the same id is refused although the first cannot be seen.
    assert code(c.futures_create_algo_order, **STOP) == -4116
    world.at_minute(1.1)
    assert c.futures_get_algo_order(clientAlgoId="stop")["algoId"] == placed["algoId"]
    world.at_minute(3)
    assert world.position() == 0


def test_good_till_executed_lives_with_the_position() -> None:
    world = World({BTC: flat(100_000, 60)})
    c = world.client
    leaning = {**STOP, "timeInForce": "GTE_GTC"}
    assert code(c.futures_create_algo_order, **leaning) == -4509
    assert code(c.futures_create_algo_order, **{**leaning, "reduceOnly": "false"}) == -4509
    market(world)
    c.futures_create_algo_order(**leaning)
    c.futures_create_algo_order(**{**STOP, "clientAlgoId": "stays"})
    market(world, "SELL", reduceOnly="true")
    found = {a["clientAlgoId"]: a["algoStatus"] for a in c.futures_get_all_algo_orders(symbol=BTC)}
    assert found == {"stop": "EXPIRED", "stays": "NEW"}


def test_a_stuck_trigger_never_ends_and_cannot_be_cancelled() -> None:
    world = World({BTC: [*flat(100_000, 2), *flat(98_000, 60)]})
    market(world)
    c = world.client
    c.futures_create_algo_order(**STOP)
    c.futures_create_algo_order(**{**STOP, "clientAlgoId": "other", "triggerPrice": "98500"})
    end = stuck_triggering(world.venue, lambda algo: algo.client_algo_id == "stop")
    world.at_minute(10)
    assert c.futures_get_algo_order(clientAlgoId="stop")["algoStatus"] == "TRIGGERING"
    assert code(c.futures_cancel_algo_order, clientAlgoId="stop") == -2011
    assert c.futures_get_algo_order(clientAlgoId="other")["algoStatus"] == "FINISHED"
    end()
    assert world.venue.core.forward_trigger is None


class TestPublicKeys:
    @pytest.fixture(params=["ed25519", "rsa"])
    def pair(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        """PEM of a private and a public key."""
        key = (
            ed25519.Ed25519PrivateKey.generate()
            if request.param == "ed25519"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return private.decode().strip(), public.decode()

    def client(self, world: World, private: str) -> Any:
        from binance.client import Client

        class Keyed(type(world.client)):  # type: ignore[misc]
            def __init__(self) -> None:
                Client.__init__(self, "public-key", private_key=private, ping=False)
                if not self.loop.is_running():
                    self.loop.close()

        import asyncio

        keyed = Keyed()
        asyncio.set_event_loop(None)
        keyed.clock = world.clock
        real = keyed.session
        keyed.session = InProcessSession(world.api, real.headers)
        real.close()
        return keyed

    def test_requests_signed_with_it_are_accepted(self, pair: tuple[str, str]) -> None:
        private, public = pair
        world = World({BTC: flat(100_000, 60)})
        world.api = BinanceApi(
            world.venue, world.clock, {"public-key": PublicKeyCredential(public), "k": SECRET}
        )
        client = self.client(world, private)
        client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
        [position] = client.futures_position_information()
        assert position["positionAmt"] == "0.01"
        # Another key's signature is not this one's.
        stranger = in_process_client(world.api, "public-key", "x")
        assert code(stranger.futures_account_balance) == -1022
        assert code(in_process_client(world.api, "k").futures_account_balance) == 0

    def test_a_changed_request_is_refused(self, pair: tuple[str, str]) -> None:
        private, public = pair
        world = World({BTC: flat(100_000, 60)})
        credential = PublicKeyCredential(public)
        world.api = BinanceApi(world.venue, world.clock, {"public-key": credential})
        client = self.client(world, private)
        send = client.session.request

        def bend(method: str, url: str, **p: Any) -> Any:
            return send(method, url, **{**p, "params": p["params"].replace("BTC", "ETH")})

        client.session.get = lambda url, **p: bend("GET", url, **p)
        with pytest.raises(BinanceAPIException) as refusal:
            client.futures_get_all_orders(symbol=BTC)
        assert refusal.value.code == -1022


def test_no_other_kind_of_key() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from shared.errors import ConfigurationError

    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ConfigurationError, match="Ed25519 or RSA"):
        PublicKeyCredential(pem)


def test_state_keeps_amendments_moves_and_fee_burn(tmp_path: Any) -> None:
    from local.exchange.state import StateFile
    from shared.simulation.venue import Venue

    world = World({BTC: flat(100_000, 60)})
    state = StateFile(tmp_path / "s.db", {})
    world.api._save = lambda: state.save(world.venue)
    isolated(world)
    market(world)
    c = world.client
    c.futures_change_position_margin(symbol=BTC, amount="25", type=1)
    c.futures_v1_post_fee_burn(feeBurn="true")
    limit = {"symbol": BTC, "side": "BUY", "quantity": "0.010"}
    c.futures_create_order(
        **limit, type="LIMIT", timeInForce="GTC", price="99000", newClientOrderId="r"
    )
    c.futures_modify_order(**limit, price="98000", origClientOrderId="r", modifyId=3)
    again = StateFile(tmp_path / "s.db", {})
    venue = Venue(world.venue.core.source, start_ms=again.saved_time() or 0)
    again.load(venue)
    assert venue.ledger() == world.venue.ledger()
    assert venue.account().amendments == world.account.amendments != []
    assert venue.account().margin_moves == world.account.margin_moves != []
    assert venue.account().fee_burn is True
    assert venue.core.next_id("amendment") == world.venue.core.next_id("amendment")
    state.close()
    again.close()


def test_funding_rates_have_a_pool_of_their_own() -> None:
    from local.exchange.limits import RateLimits

    world = World({BTC: flat(100_000, 60)}, limits=RateLimits(weight=10, pool=3))
    for _ in range(2):
        world.client.futures_funding_rate(symbol=BTC)
    world.client.futures_v1_get_funding_info()
    with pytest.raises(BinanceAPIException) as refusal:
        world.client.futures_funding_rate(symbol=BTC)
    assert (refusal.value.status_code, refusal.value.code) == (429, -1003)
    assert "retry-after" in refusal.value.response.headers
    # The other endpoints do not feel it, and five minutes later it is over.
    assert world.client.futures_ping() == {}
    world.at_minute(6)
    world.client.futures_funding_rate(symbol=BTC)
