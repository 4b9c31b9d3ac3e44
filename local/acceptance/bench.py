"""What a card works with: the adapter, raw requests, checks, observations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, TypeVar

from local.acceptance.evidence import Evidence, plain
from local.acceptance.recorder import RecordingSession
from local.acceptance.venues import Place, Stream
from local.configuration import DEMONSTRATION, configuration
from shared.bootstrap import Services
from shared.errors import BorsaError, ExchangeError, ExchangeUnavailable
from shared.execution.binance import BinanceExchange, Credentials
from shared.execution.binance.client import ClientPool
from shared.execution.binance.server_clock import ServerClock
from shared.execution.desk import Desk
from shared.execution.exchange import (
    AlgoOrderRequest,
    OrderRequest,
    Side,
    VenueAlgoOrder,
    VenueOrder,
    VenuePosition,
)
from shared.market.instrument import Instrument
from shared.storage.sqlite import SqliteStore

T = TypeVar("T")

#: Seconds between looks at the venue while something is waited for.
PAUSE = 0.25
#: Seconds within which queries show what has happened.
SETTLED = 10.0
#: Share of the weight limit at which raw requests wait for the next minute.
_CAREFUL = 0.6


class Skip(BorsaError):
    """A card cannot be run here; the text says why."""


@dataclass(frozen=True)
class Reply:
    """A raw answer: the card judges it."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> int:
        """Binance's error code, 0 without one."""
        code = self.body.get("code", 0) if isinstance(self.body, dict) else 0
        return int(code) if int(code) < 0 else 0


class Bench:
    """One run's tools. ``evidence`` is the running card's.

    Parameters
    ----------
    place : Place
    symbol, second : str
        Traded, and one more for questions about two symbols.
    max_notional : Decimal
        USDT that one order may be worth at most.
    """

    def __init__(self, place: Place, symbol: str, second: str, max_notional: Decimal) -> None:
        self.place = place
        self.clock = place.clock
        self.symbol = symbol
        self.second = second
        self.max_notional = max_notional
        self.session = RecordingSession(place.session(), place.clock)
        self.exchange = BinanceExchange(
            place.environment, place.credentials, clock=place.clock, session=self.session
        )
        self._server = ServerClock(place.clock)
        self._clients = self._pool(self._server)
        self.evidence = Evidence()
        self._run = _base36(place.clock.now_ms())
        self._names = 0
        self._stores: list[SqliteStore] = []

    def _pool(self, server: ServerClock) -> ClientPool:
        return ClientPool(
            self.place.environment,
            self.place.credentials,
            server,
            session=self.session,
            recv_window_ms=5_000,
            timeout=(5.0, 10.0),
        )

    def close(self) -> None:
        self.exchange.close()
        self._clients.close()
        self.session.close()
        for store in self._stores:
            store.close()

    # judging

    def check(self, what: str, expected: Any, found: Any) -> bool:
        """Found has to equal expected."""
        return self._judge(what, expected, found, expected == found)

    def ensure(self, what: str, ok: bool, found: Any = None) -> bool:
        """A condition has to hold."""
        return self._judge(what, True, ok if found is None else found, ok)

    def _judge(self, what: str, expected: Any, found: Any, ok: bool) -> bool:
        row = {"what": what, "expected": plain(expected), "found": plain(found), "ok": ok}
        self.evidence.checks.append(row)
        return ok

    def observe(self, what: str, found: Any) -> None:
        """Something nobody could tell beforehand: kept, not judged."""
        self.evidence.observations[what] = plain(found)

    # asking

    def raw(
        self,
        method: str,
        path: str,
        *,
        version: int = 1,
        signed: bool = True,
        server: ServerClock | None = None,
        **parameters: Any,
    ) -> Reply:
        """One request as python-binance sends it, whatever the answer.

        Parameters
        ----------
        server : ServerClock, optional
            Signs by another idea of the exchange's time.
        """
        self._spare()
        pool = self._clients if server is None else self._pool(server)
        if server is None and self._server.stale:
            self.learn(self._server)
        try:
            answer = pool.get()._request_futures_api(
                method.lower(), path, signed, version, data=parameters
            )
        except OSError as error:
            # Its text holds the signed address.
            raise ExchangeUnavailable(f"{method} {path}: {type(error).__name__}") from None
        if server is not None:
            # The session is the bench's; the pool has no connection of its own to close.
            pool.renew()
        try:
            body = json.loads(answer.body)
        except ValueError:
            body = answer.body[:300].decode("utf-8", "replace")
        return Reply(answer.status, body, {k.lower(): v for k, v in answer.headers.items()})

    def credentials_probe(self) -> Reply:
        """The answer to a key that nobody has."""
        stranger = Credentials(
            environment=self.place.environment.name, key="x" * 64, secret="nothing"
        )
        pool = ClientPool(
            self.place.environment,
            stranger,
            self._server,
            session=self.place.session(),
            recv_window_ms=5_000,
            timeout=(5.0, 10.0),
        )
        client = pool.get()
        try:
            answer = client._request_futures_api("get", "balance", True, 3, data={})
        finally:
            client.session.close()
        return Reply(answer.status, json.loads(answer.body), {})

    def desk(self) -> Desk:
        """A desk as the application's, with a store of its own and this venue."""
        environment = self.place.environment
        store = SqliteStore(":memory:", clock=self.clock)
        self._stores.append(store)
        services = Services(
            {
                **configuration(DEMONSTRATION).settings,
                "BINANCE_ENVIRONMENT": environment.name,
                "BINANCE_BASE_URL": environment.base_url if environment.name == "simulated" else "",
                "BINANCE_API_KEY": self.place.credentials.key,
                "BINANCE_API_SECRET": self.place.credentials.secret,
                "TRADING_STAGE": "testnet",
                "BORSA_TELEMETRY": "false",
            },
            clock=self.clock,
            store=store,
            exchange_session=self.session,
        )
        return services.desk()

    def learn(self, server: ServerClock, ahead_ms: int = 0) -> None:
        """Measure the exchange's clock, or believe it is ``ahead_ms`` from that."""
        sent = self.clock.now_ms()
        now = self.exchange.server_time()
        server.learn(sent=sent, received=self.clock.now_ms(), server_time=now + ahead_ms)

    def _spare(self) -> None:
        """Wait for the next minute before the address runs out of weight."""
        last = self.session.requests[-1] if self.session.requests else {}
        used = int(last.get("headers", {}).get("x-mbx-used-weight-1m", 0))
        if used > _CAREFUL * 2400:
            self.clock.sleep(60 - self.clock.now_ms() % 60_000 / 1000)

    def wait(self, look: Callable[[], T | None], seconds: float, pause: float = PAUSE) -> T | None:
        """The first answer that is not nothing, within that time."""
        until = self.clock.now_ms() + seconds * 1000
        while True:
            found = look()
            if found or self.clock.now_ms() >= until:
                return found or None
            self.clock.sleep(pause)

    def find(self, name: str, status: str = "") -> VenueOrder | None:
        """A plain order, as soon as queries show it, and with that status if one is named."""

        def look() -> VenueOrder | None:
            found = self.exchange.order(self.symbol, name)
            return found if found is not None and (not status or found.status == status) else None

        return self.wait(look, SETTLED) or self.exchange.order(self.symbol, name)

    def check_position(self, what: str, expected: Decimal) -> bool:
        """The position has to become what is expected; queries may lag behind trades."""
        self.wait(lambda: self.position() == expected, SETTLED)
        return self.check(what, expected, self.position())

    # trading

    def raw_limit(self, symbol: str, quantity: Decimal, price: Decimal, name: str) -> Reply:
        """A resting purchase as python-binance sends it, whatever the answer."""
        return self.raw(
            "POST",
            "order",
            symbol=symbol,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity=format(quantity, "f"),
            price=format(price, "f"),
            newClientOrderId=name,
        )

    def name(self) -> str:
        """A client id that no other run has."""
        self._names += 1
        return f"tc-{self._run}-{self._names}"

    @property
    def instrument(self) -> Instrument:
        return self.exchange.instruments()[self.symbol]

    def mark(self, symbol: str | None = None) -> Decimal:
        return self.exchange.mark_price(symbol or self.symbol).mark_price

    def far(self, side: Side, symbol: str | None = None) -> Decimal:
        """A valid limit price that no market reaches while a card runs."""
        i = self.exchange.instruments()[symbol or self.symbol]
        share = Decimal("0.9") if side == "BUY" else Decimal("1.1")
        return i.round_price(self.mark(symbol) * share, up=side == "SELL")

    def quantity(self, symbol: str | None = None) -> Decimal:
        """The smallest quantity that also a price a tenth lower makes worth enough.

        Raises
        ------
        Skip
            It is worth more than an order may be.
        """
        i = self.exchange.instruments()[symbol or self.symbol]
        mark = self.mark(symbol)
        step = max(i.step_size, i.market_step_size)
        least = max(i.min_quantity, i.market_min_quantity, i.min_notional / (mark * 9 / 10))
        found = (least / step).to_integral_value(ROUND_UP) * step
        if found * mark > self.max_notional:
            raise Skip(f"{found} {i.symbol} is worth more than --max-notional {self.max_notional}")
        return found

    def market(
        self, side: Side, quantity: Decimal | None = None, *, reduce_only: bool = False
    ) -> VenueOrder:
        """A market order through the adapter."""
        return self.exchange.place_order(
            OrderRequest(
                symbol=self.symbol,
                side=side,
                type="MARKET",
                quantity=quantity or self.quantity(),
                client_order_id=self.name(),
                reduce_only=reduce_only,
            )
        )

    def limit(
        self,
        side: Side,
        price: Decimal,
        *,
        force: Any = "GTC",
        quantity: Decimal | None = None,
        name: str | None = None,
        reduce_only: bool = False,
    ) -> VenueOrder:
        """A limit order through the adapter."""
        return self.exchange.place_order(
            OrderRequest(
                symbol=self.symbol,
                side=side,
                type="LIMIT",
                quantity=quantity or self.quantity(),
                client_order_id=name or self.name(),
                price=price,
                time_in_force=force,
                reduce_only=reduce_only,
            )
        )

    def conditional(
        self,
        kind: Any,
        trigger: Decimal,
        quantity: Decimal,
        *,
        side: Side = "SELL",
        name: str | None = None,
        working_type: Any = "MARK_PRICE",
    ) -> VenueAlgoOrder:
        """A reduce-only conditional order through the adapter."""
        return self.exchange.place_algo_order(
            AlgoOrderRequest(
                symbol=self.symbol,
                side=side,
                type=kind,
                quantity=quantity,
                client_algo_id=name or self.name(),
                trigger_price=trigger,
                working_type=working_type,
            )
        )

    def refusal(self, act: Callable[[], object]) -> int:
        """The code an act through the adapter is refused with, 0 when it is not."""
        try:
            act()
        except ExchangeError as error:
            return error.code
        return 0

    def held(self) -> VenuePosition | None:
        return next((p for p in self.exchange.positions() if p.symbol == self.symbol), None)

    def position(self) -> Decimal:
        held = self.held()
        return held.quantity if held else Decimal(0)

    def listen(self, key: str) -> Stream:
        return self.place.listen(key)

    def clean(self) -> None:
        """Nothing of the symbols' orders and no position remains."""
        for symbol in (self.symbol, self.second):
            self.exchange.cancel_all_orders(symbol)
            self.exchange.cancel_all_algo_orders(symbol)
        for position in self.exchange.positions():
            if position.symbol in (self.symbol, self.second):
                self.exchange.place_order(
                    OrderRequest(
                        symbol=position.symbol,
                        side="SELL" if position.quantity > 0 else "BUY",
                        type="MARKET",
                        quantity=abs(position.quantity),
                        client_order_id=self.name(),
                        reduce_only=True,
                    )
                )


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = ""
    while number:
        number, rest = divmod(number, 36)
        out = digits[rest] + out
    return out
