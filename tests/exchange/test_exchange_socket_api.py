"""Requests over the websocket interface: identity, errors, limits, lost answers."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from exchange_world import KEY, MIDNIGHT, SECRET, D, World, code, flat

from local.exchange.auth import HmacCredential, PublicKeyCredential
from local.exchange.endpoints import TABLE
from local.exchange.faults import AnswerLost, Fault, ScriptedFaults, on
from local.exchange.market_streams import feed_of
from local.exchange.socket_api import METHODS, SocketApi
from shared.simulation.orders import NewOrder

BTC = "BTCUSDT"


class Wire:
    """One connection, without a socket."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.api = SocketApi(world.api)
        self.session = self.api.open_session()

    def raw(self, text: str) -> dict[str, Any]:
        return json.loads(json.dumps(self.api.answer(self.session, text), default=_raw))

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.raw(json.dumps({"id": "1", "method": method, "params": params}))

    def signed(self, method: str, key: str = KEY, secret: str = SECRET, **params: Any) -> Any:
        params = {**params, "apiKey": key, "timestamp": self.world.clock.now_ms()}
        # Binance's rule: all parameters sorted by name, joined as in a query, not encoded.
        text = "&".join(f"{k}={v}" for k, v in sorted(params.items()))
        signature = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
        return self.ask(method, **params, signature=signature)


def _raw(value: Any) -> Any:
    return json.loads(bytes(value))


@pytest.fixture
def wire() -> Wire:
    return Wire(World({BTC: flat(100_000, 60)}))


def test_every_method_has_an_endpoint() -> None:
    assert set(METHODS.values()) <= set(TABLE)


def test_an_order_and_what_it_costs(wire: Wire) -> None:
    answer = wire.signed("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
    assert (answer["id"], answer["status"]) == ("1", 200)
    assert answer["result"]["symbol"] == BTC
    assert [tuple(row.values()) for row in answer["rateLimits"]] == [
        ("ORDERS", "SECOND", 10, 300, 1),
        ("ORDERS", "MINUTE", 1, 1200, 1),
        ("REQUEST_WEIGHT", "MINUTE", 1, 2400, 0),
    ]
    held = wire.signed("v2/account.position")
    assert held["result"][0]["positionAmt"] == "0.01"
    assert held["rateLimits"][0]["count"] == 5
    quiet = wire.signed("v2/account.position", returnRateLimits="false")
    assert "rateLimits" not in quiet


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"secret": "another"}, 400, -1022),
        ({"key": "nobody"}, 401, -2015),
        ({"key": ""}, 401, -2014),
    ],
)
def test_identity(wire: Wire, change: dict[str, str], status: int, code: int) -> None:
    answer = wire.signed("v2/account.balance", **change)
    assert (answer["status"], answer["error"]["code"]) == (status, code)


def test_what_cannot_be_understood(wire: Wire) -> None:
    assert wire.raw("nonsense")["error"]["code"] == -1135
    assert wire.raw('["order.place"]')["error"]["code"] == -1135
    for method in ("order.dance", "session.dance"):
        answer = wire.ask(method)
        assert (answer["status"], answer["error"]["code"]) == (400, -1000)
    assert wire.ask("order.place", apiKey=KEY)["error"]["code"] == -1102
    late = wire.signed("order.status", symbol=BTC, origClientOrderId="none")
    assert late["error"] == {"code": -2013, "msg": "Order does not exist."}


def test_market_data_needs_no_key(wire: Wire) -> None:
    assert wire.ask("ticker.book", symbol=BTC)["result"]["bidPrice"] == "99999.90"
    assert len(wire.ask("depth", symbol=BTC, limit=5)["result"]["asks"]) == 5


def test_log_on_is_for_ed25519_keys(wire: Wire) -> None:
    assert wire.signed("session.logon")["error"]["code"] == -4056
    private = ed25519.Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    wire.world.api.keys._known["ed"] = PublicKeyCredential(pem.decode())
    now = wire.world.clock.now_ms()
    text = f"apiKey=ed&timestamp={now}"
    signature = b64encode(private.sign(text.encode())).decode()
    before = wire.ask("v2/account.balance", timestamp=now)
    assert before["error"]["code"] == -2014
    old = f"apiKey=ed&timestamp={now - 5001}"
    stale = b64encode(private.sign(old.encode())).decode()
    answer = wire.ask("session.logon", apiKey="ed", timestamp=now - 5001, signature=stale)
    assert answer["error"]["code"] == -1021
    answer = wire.ask("session.logon", apiKey="ed", timestamp=now, signature=signature)
    assert answer["result"]["apiKey"] == "ed"
    # From now on neither key nor signature; the time still counts.
    assert wire.ask("v2/account.balance", timestamp=now)["status"] == 200
    assert wire.ask("v2/account.balance", timestamp=now - 60_000)["error"]["code"] == -1021
    assert wire.ask("session.status")["result"]["authorizedSince"] == now
    wire.ask("session.logout")
    assert wire.ask("v2/account.balance", timestamp=now)["error"]["code"] == -2014
    assert wire.api.open_session().key == ""


def test_limits_are_those_of_the_address(wire: Wire) -> None:
    wire.world.api.limits.weight = 12
    for status in (200, 200, 429):
        assert wire.signed("v2/account.status")["status"] == status
    error = wire.signed("v2/account.status")["error"]
    assert error["code"] == -1003
    # The clock stands at the full minute.
    now = wire.world.clock.now_ms()
    assert error["data"] == {"serverTime": now, "retryAfter": now + 60_000}


def test_an_answer_can_be_lost_after_the_order_was_placed(wire: Wire) -> None:
    lost = Fault(on("POST", "/fapi/v1/order"), AnswerLost("timeout"), executed=True)
    wire.world.api.faults = ScriptedFaults([lost])
    with pytest.raises(AnswerLost):
        wire.signed("order.place", symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
    assert str(wire.world.position()) == "0.010"


def test_liquidations_are_told_to_the_market() -> None:
    slide = [*flat(60_000, 10), (60_000, 60_000, 56_000, 56_000), *flat(56_000, 5)]
    world = World({BTC: slide}, deposit="10000")
    world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
    account = world.account
    wanted = NewOrder(symbol=BTC, side="BUY", type="MARKET", quantity=D(1))
    world.venue.place_order(account, wanted)
    one, all_ = (
        feed_of(world.venue, n, "market") for n in ("btcusdt@forceOrder", "!forceOrder@arr")
    )
    assert one.due() == []
    world.at_minute(12)
    [told] = one.due()
    assert told == all_.due()[0]
    assert (told["e"], told["o"]["S"], told["o"]["q"], told["o"]["X"]) == (
        "forceOrder",
        "SELL",
        "1",
        "FILLED",
    )
    assert MIDNIGHT + 600_000 <= told["o"]["T"] < MIDNIGHT + 660_000
    assert one.due() == []
    assert isinstance(world.api.keys.identify(KEY), HmacCredential)


def test_a_query_by_id_forgets_conditional_orders_the_history_does_not() -> None:
    world = World({BTC: flat(100_000, 4 * 1440 + 9)})
    create = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010"}
    placed = world.client.futures_create_algo_order(**create, triggerPrice="90000")
    world.client.futures_cancel_algo_order(algoId=placed["algoId"])
    world.at_minute(4 * 1440)
    world.client.REQUEST_RECVWINDOW = 60_000
    assert code(world.client.futures_get_algo_order, algoId=placed["algoId"]) == -2013
    found = world.client.futures_get_all_algo_orders(symbol=BTC, algoId=placed["algoId"], limit=1)
    assert [a["algoId"] for a in found] == [placed["algoId"]]
