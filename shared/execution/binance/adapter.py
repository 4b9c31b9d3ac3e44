"""Binance USD-M behind the exchange port, over the real python-binance client."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.errors import ExchangeRejected, InvalidInput
from shared.execution.binance import endpoints, history, instruments
from shared.execution.binance.algo_orders import AlgoOrders
from shared.execution.binance.answers import account, market, orders
from shared.execution.binance.budget import DEFAULT_LIMITS, LocalRateBudget, RateBudget
from shared.execution.binance.client import ClientPool, Session
from shared.execution.binance.endpoints import Priority
from shared.execution.binance.environment import Credentials, Environment
from shared.execution.binance.gateway import Gateway, unreadable
from shared.execution.binance.orders import Orders
from shared.execution.binance.server_clock import ServerClock
from shared.execution.exchange import (
    Account,
    AlgoOrderRequest,
    BookTicker,
    Exchange,
    Fill,
    Income,
    MaintenanceBracket,
    MarkPrice,
    OrderRequest,
    SymbolConfig,
    VenueAlgoOrder,
    VenueOrder,
    VenuePosition,
)
from shared.market.candle import Candle
from shared.market.instrument import Instrument
from shared.market.timeframe import duration_ms

#: How long instruments are believed without asking again, milliseconds.
INSTRUMENTS_MS = 3_600_000


class BinanceExchange:
    """The :class:`~shared.execution.exchange.Exchange` over Binance's REST interface.

    Safe for threads; each has a client of its own.

    Parameters
    ----------
    environment : Environment
        :data:`~shared.execution.binance.environment.DEMO`, ``PRODUCTION`` or ``simulated(url)``.
    credentials : Credentials or callable
        Must belong to ``environment``. A callable is asked when a client is made and again after
        the venue refused the key.
    clock : Clock
    session : Session, optional
        Replaces the HTTP session of every client.
    budget : callable, optional
        Makes the rate budget from the exchange's time; this process's own by default.
    recv_window_ms : int
        How late a signed request may arrive.
    timeout : tuple of float
        Connect and read timeout, seconds.

    Raises
    ------
    ConfigurationError
        When the keys are missing or belong to another environment.
    """

    def __init__(
        self,
        environment: Environment,
        credentials: Credentials | Callable[[], Credentials],
        *,
        clock: Clock,
        session: Session | None = None,
        budget: Callable[[Callable[[], int]], RateBudget] = LocalRateBudget,
        recv_window_ms: int = 3000,
        timeout: tuple[float, float] = (3.0, 7.0),
    ) -> None:
        if not 0 < recv_window_ms <= 60_000:
            raise InvalidInput("recv_window_ms must be between 1 and 60000")
        self.environment = environment
        self._clock = clock
        self._server = ServerClock(clock)
        self._clients = ClientPool(
            environment,
            credentials,
            self._server,
            session=session,
            recv_window_ms=recv_window_ms,
            timeout=timeout,
        )
        self.budget: RateBudget = budget(self._server.now_ms)
        self._gateway = Gateway(
            self._clients, clock, self._server, self.budget, on_stale_filters=self._forget_filters
        )
        self._orders = Orders(self._gateway, clock)
        self._algo_orders = AlgoOrders(self._gateway, clock)
        self._instruments: tuple[int, Mapping[str, Instrument]] | None = None
        self._instruments_lock = threading.Lock()

    def view(self, priority: Priority = Priority.VIEW) -> BinanceExchange:
        """This exchange for whoever only looks, over the same connections, clock and counts.

        By default served after everything else, so that looking as often as one likes takes
        nothing from entries and exits. Whatever would change the account is refused with
        :class:`~shared.errors.ExchangeRejected`, unsent.
        """
        view = copy.copy(self)
        view._gateway = Gateway(
            self._clients,
            self._clock,
            self._server,
            self.budget,
            on_stale_filters=view._forget_filters,
            views=priority,
        )
        view._orders = Orders(view._gateway, self._clock)
        view._algo_orders = AlgoOrders(view._gateway, self._clock)
        # Instruments of its own: an exit does not wait while somebody who looks asks for them.
        view._instruments_lock = threading.Lock()
        return view

    def close(self) -> None:
        """Close this exchange's connections."""
        self._clients.close()

    def _forget_filters(self) -> None:
        self._instruments = None

    # --- market data -----------------------------------------------------------------------

    def server_time(self) -> int:
        return self._gateway.synchronise()

    def now_ms(self) -> int:
        return self._server.now_ms()

    def earliest_ms(self) -> int:
        return self._server.signing_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        cached = self._instruments
        if cached is not None and self._clock.now_ms() < cached[0]:
            return cached[1]
        with self._instruments_lock:
            cached = self._instruments
            if cached is not None and self._clock.now_ms() < cached[0]:
                return cached[1]
            info = self._gateway.fetch(endpoints.EXCHANGE_INFO, instruments.parse)
            self.budget.limits(**{**DEFAULT_LIMITS, **info.limits})
            fresh = MappingProxyType(dict(info.instruments))
            self._instruments = (self._clock.now_ms() + INSTRUMENTS_MS, fresh)
            return fresh

    def candles(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
    ) -> list[Candle]:
        if limit < 1:
            raise InvalidInput("limit must be at least 1")
        step = duration_ms(timeframe)
        last = self._last_closed(step)
        if end is not None:
            last = min(last, (end - step) // step * step)
        # Rounded up to the grid: a candle opens on it or not at all.
        first = last - (limit - 1) * step if start is None else -(-start // step) * step
        found: list[Candle] = []
        while first <= last and len(found) < limit:
            missing = min(limit - len(found), (last - first) // step + 1)
            # Up to the venue's page one request; beyond, the page that is cheapest per candle.
            page = missing if missing <= endpoints.KLINES_PAGE else 1000
            rows = self._gateway.fetch(
                endpoints.KLINES,
                lambda body: market.candles(body, symbol, timeframe),
                {
                    "symbol": symbol,
                    "interval": timeframe,
                    "startTime": first,
                    "endTime": last,
                    "limit": page,
                },
                weight=endpoints.klines_weight(page),
            )
            rows = [c for c in rows if first <= c.open_time <= last]
            found += rows
            if len(rows) < page:
                break
            first = rows[-1].open_time + step
        return found[:limit]

    def _last_closed(self, step: int) -> int:
        """Open time of the newest candle that the exchange's own clock has closed.

        When a candle closed within the uncertainty of the measured clock, that moment is waited
        out (half a round trip at most) rather than trusted or the candle missed.
        """
        if not self._server.measured or self._server.stale:
            self._gateway.synchronise()
        now = self._server.now_ms()
        since_close = now % step
        doubt = self._server.uncertainty_ms
        if since_close < doubt:
            self._clock.sleep((doubt - since_close) / 1000)
        return now - since_close - step

    def mark_price(self, symbol: str) -> MarkPrice:
        endpoint = endpoints.PREMIUM_INDEX
        rows = self._gateway.fetch(endpoint, market.mark_prices, {"symbol": symbol})
        for row in rows:
            if row.symbol == symbol:
                return row
        raise unreadable(endpoint)

    def mark_prices(self) -> dict[str, MarkPrice]:
        endpoint = endpoints.PREMIUM_INDEX
        rows = self._gateway.fetch(endpoint, market.mark_prices, weight=endpoint.weight_all)
        return {row.symbol: row for row in rows}

    def book_ticker(self, symbol: str) -> BookTicker:
        return self._gateway.fetch(endpoints.BOOK_TICKER, market.book_ticker, {"symbol": symbol})

    # --- account ---------------------------------------------------------------------------

    def account(self) -> Account:
        return self._account()[0]

    def _account(self) -> tuple[Account, bool]:
        # Without a version the library asks v2, which lists every symbol of the venue.
        return self._gateway.fetch(endpoints.ACCOUNT, account.account, {"version": 3})

    def account_and_positions(self) -> tuple[Account, list[VenuePosition]]:
        # The account lists every position, without its prices; a flat account needs no second look.
        account, holds = self._account()
        return account, self.positions() if holds else []

    def positions(self) -> list[VenuePosition]:
        return self._gateway.fetch(endpoints.POSITION_RISK, account.positions)

    def account_positions(self) -> list[VenuePosition]:
        return self._gateway.fetch(endpoints.ACCOUNT, account.account_positions, {"version": 3})

    def symbol_config(self, symbol: str) -> SymbolConfig:
        return self._gateway.fetch(
            endpoints.SYMBOL_CONFIG,
            lambda body: account.symbol_config(body, symbol),
            {"symbol": symbol},
        )

    def maintenance_brackets(self, symbol: str) -> tuple[MaintenanceBracket, ...]:
        return self._gateway.fetch(
            endpoints.LEVERAGE_BRACKET,
            lambda body: account.maintenance_brackets(body, symbol),
            {"symbol": symbol},
        )

    def set_leverage(self, symbol: str, leverage: int) -> None:
        params = {"symbol": symbol, "leverage": leverage}
        got = self._gateway.fetch(endpoints.LEVERAGE, account.leverage, params)
        if got != leverage:
            raise ExchangeRejected(f"leverage of {symbol} is {got}, {leverage} was asked for")

    def set_isolated(self, symbol: str) -> None:
        self._gateway.call(endpoints.MARGIN_TYPE, {"symbol": symbol, "marginType": "ISOLATED"})

    def hedge_mode(self) -> bool:
        return self._gateway.fetch(endpoints.ACCOUNT_CONFIG, account.hedge_mode)

    def ensure_one_way(self) -> None:
        # Asked first (cheaply): the change itself is refused while anything is open.
        if self.hedge_mode():
            self._gateway.call(endpoints.POSITION_MODE, {"dualSidePosition": "false"})

    def fills(
        self, symbol: str, *, start: int | None = None, from_id: int | None = None
    ) -> list[Fill]:
        if from_id is not None:
            return self._fills_from(symbol, from_id, start)
        end = self._exchange_now()
        first = end - history.SPAN_MS + 1 if start is None else start
        # Both sides of a trade with oneself have one trade id.
        found: dict[tuple[int, int], Fill] = {}
        for rows in history.complete(
            lambda a, b: self._fills_page(symbol, startTime=a, endTime=b),
            first,
            end,
            endpoints.HISTORY_PAGE,
        ):
            if len(rows) >= endpoints.HISTORY_PAGE:
                # A millisecond with more fills than a page: only ids lead on.
                rows = self._fills_from(symbol, rows[0].trade_id, first)
                found |= {(f.trade_id, f.order_id): f for f in rows}
                break
            found |= {(f.trade_id, f.order_id): f for f in rows}
        return [found[i] for i in sorted(found)]

    def _fills_from(self, symbol: str, from_id: int, start: int | None) -> list[Fill]:
        found: list[Fill] = []
        while True:
            rows = self._fills_page(symbol, fromId=from_id)
            found += rows
            if len(rows) < endpoints.HISTORY_PAGE:
                return [f for f in found if start is None or f.time >= start]
            from_id = rows[-1].trade_id + 1

    def _fills_page(self, symbol: str, **where: int) -> list[Fill]:
        params = {"symbol": symbol, "limit": endpoints.HISTORY_PAGE, **where}
        rows = self._gateway.fetch(endpoints.USER_TRADES, orders.fills, params)
        return sorted(rows, key=lambda f: f.trade_id)

    def income(self, *, start: int, end: int | None = None) -> list[Income]:
        last = self._exchange_now() if end is None else end

        def page(a: int, b: int) -> list[Income]:
            params = {"startTime": a, "endTime": b, "limit": endpoints.HISTORY_PAGE}
            return self._gateway.fetch(endpoints.INCOME, account.incomes, params)

        found: list[Income] = []
        seen: set[tuple[str, int]] = set()
        for rows in history.complete(page, start, last, endpoints.HISTORY_PAGE):
            for row in rows:
                # Unique per type, but a transfer may carry 0.
                key = (row.income_type, row.transaction_id)
                if row.transaction_id and key in seen:
                    continue
                seen.add(key)
                found.append(row)
        return sorted(found, key=lambda i: (i.time, i.transaction_id))

    def _exchange_now(self) -> int:
        if not self._server.measured:
            self._gateway.synchronise()
        return self._server.now_ms() + self._server.uncertainty_ms

    # --- orders ----------------------------------------------------------------------------

    def place_order(self, request: OrderRequest, *, until: int | None = None) -> VenueOrder:
        """Place; an open order that already has this id and these terms is adopted."""
        return self._orders.place(request, until)

    def test_order(self, request: OrderRequest) -> None:
        self._orders.test(request)

    def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return self._orders.find(symbol, client_order_id)

    def order_behind(self, fill: Fill) -> VenueOrder | None:
        return self._orders.behind(fill.symbol, fill.order_id)

    def order_history(self, symbol: str, *, start: int) -> list[VenueOrder]:
        found: dict[int, VenueOrder] = {}
        for rows in history.complete(
            lambda first, last: self._orders.placed(symbol, first, last),
            start,
            self._exchange_now(),
            endpoints.HISTORY_PAGE,
        ):
            found |= {o.order_id: o for o in rows}
        return [found[i] for i in sorted(found)]

    def open_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        return self._orders.open(symbol)

    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        self._orders.cancel(symbol, client_order_id)

    def cancel_all_orders(self, symbol: str) -> None:
        self._orders.cancel_all(symbol)

    def place_algo_order(
        self, request: AlgoOrderRequest, *, until: int | None = None
    ) -> VenueAlgoOrder:
        """Place; an open order that already has this id and these terms is adopted."""
        return self._algo_orders.place(request, until)

    def algo_order(self, client_algo_id: str) -> VenueAlgoOrder | None:
        return self._algo_orders.find(client_algo_id)

    def algo_history(self, symbol: str, *, start: int) -> list[VenueAlgoOrder]:
        found: dict[int, VenueAlgoOrder] = {}
        for rows in history.complete(
            lambda first, last: self._algo_orders.placed(symbol, first, last),
            start,
            self._exchange_now(),
            endpoints.HISTORY_PAGE,
        ):
            found |= {a.algo_id: a for a in rows}
        return [found[i] for i in sorted(found)]

    def open_algo_orders(self, symbol: str | None = None) -> list[VenueAlgoOrder]:
        return self._algo_orders.open(symbol)

    def cancel_algo_order(self, client_algo_id: str) -> None:
        self._algo_orders.cancel(client_algo_id)

    def cancel_all_algo_orders(self, symbol: str) -> None:
        self._algo_orders.cancel_all(symbol)


if TYPE_CHECKING:

    def _implements_the_port(exchange: BinanceExchange) -> Exchange:
        return exchange
