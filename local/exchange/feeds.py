"""What a subscribed stream has to say: the feeds behind the stream names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from local.exchange.market_routes import day_figures, kline_row
from local.exchange.trade_routes import aggregate
from local.exchange.views import Json, money, price_text
from shared.market.timeframe import TIMEFRAMES
from shared.simulation.filters import plain
from shared.simulation.klines import Row
from shared.simulation.orders import Order
from shared.simulation.tape import Print, newest, number_at, prints
from shared.simulation.venue import Venue

#: Prints sent at most at one look; a clock that runs fast skips older ones.
_MOST_PRINTS = 1000
#: Levels that a diff depth stream watches.
_DIFF_LEVELS = 1000
#: Fields that change although nothing was quoted or traded.
_VOLATILE = frozenset({"E", "T", "u", "pu", "U", "O", "C", "F", "L", "n"})


class Feed(Protocol):
    """A source of messages; remembers what it has sent."""

    def due(self) -> list[Any]:
        """What there is to send now."""
        ...


class Silence:
    """A stream that does not exist here: acknowledged, and nothing follows."""

    def due(self) -> list[Any]:
        return []


class Changes:
    """A payload that is sent whenever what it tells has changed."""

    def __init__(self, payload: Callable[[], Json]) -> None:
        self._payload = payload
        self._last: Any = None

    def due(self) -> list[Any]:
        payload = self._payload()
        shown = {k: v for k, v in payload.items() if k not in _VOLATILE}
        if shown == self._last:
            return []
        self._last = shown
        return [payload]


class Regular:
    """A payload that is sent again after every interval of exchange time, changed or not."""

    def __init__(self, venue: Venue, payload: Callable[[], Json], every_ms: int) -> None:
        self._venue = venue
        self._payload = payload
        self._every = every_ms
        self._next = 0

    def due(self) -> list[Any]:
        now = self._venue.now
        if now < self._next:
            return []
        self._next = now - now % self._every + self._every
        return [self._payload()]


class Several:
    """The feeds of all symbols; ``together`` sends what changed as one array."""

    def __init__(self, feeds: list[Feed], *, together: bool) -> None:
        self._feeds = feeds
        self._together = together

    def due(self) -> list[Any]:
        found = [message for feed in self._feeds for message in feed.due()]
        return [found] if found and self._together else found


class Candles:
    """The forming candle, and every candle that closed since, however fast time runs."""

    def __init__(self, venue: Venue, symbol: str, timeframe: str, *, continuous: bool) -> None:
        self._venue = venue
        self._symbol = symbol
        self._timeframe = timeframe
        self._continuous = continuous
        self._seen: int | None = None

    def due(self) -> list[Any]:
        step = TIMEFRAMES[self._timeframe]
        now = self._venue.now
        seen = self._seen if self._seen is not None else now - now % step
        rows = self._venue.klines(self._symbol, self._timeframe, start=seen, limit=1500)
        if not rows:
            return []
        self._seen = rows[-1][0]
        return [self._message(row, step, closed=row[0] + step <= now) for row in rows]

    def _message(self, row: Row, step: int, *, closed: bool) -> Json:
        core = self._venue.core
        contract = core.contract(self._symbol)
        t, o, h, low, c, v, end, q, n, buy, buy_quote, _ = kline_row(
            row, step, contract.price_precision, contract.quantity_precision
        )
        candle = {
            "t": t,
            "T": end,
            "s": self._symbol,
            "i": self._timeframe,
            "f": number_at(core, self._symbol, t),
            "L": number_at(core, self._symbol, end),
            "o": o,
            "c": c,
            "h": h,
            "l": low,
            "v": v,
            "n": n,
            "x": closed,
            "q": q,
            "V": buy,
            "Q": buy_quote,
            "B": "0",
        }
        if not self._continuous:
            return {"e": "kline", "E": core.now, "s": self._symbol, "k": candle}
        del candle["s"]
        return {
            "e": "continuous_kline",
            "E": core.now,
            "ps": self._symbol,
            "ct": "PERPETUAL",
            "k": candle,
        }


class Trades:
    """The tape: every print since the last look."""

    def __init__(self, venue: Venue, symbol: str, write: Callable[[Venue, str, Print], Json]):
        self._venue = venue
        self._symbol = symbol
        self._write = write
        self._next: int | None = None

    def due(self) -> list[Any]:
        core = self._venue.core
        if self._next is None:
            # A new subscriber gets the newest print at once.
            found = newest(core, self._symbol, 1)
        else:
            found = prints(core, self._symbol, self._next, core.now + 1)[-_MOST_PRINTS:]
        self._next = core.now + 1
        return [self._write(self._venue, self._symbol, one) for one in found]


class Liquidations:
    """Forced orders of this venue's accounts: the newest of each second."""

    def __init__(self, venue: Venue, symbol: str) -> None:
        self._venue = venue
        self._symbol = symbol
        self._told = venue.now

    def due(self) -> list[Any]:
        now = self._venue.now
        if now - self._told < 1000:
            return []
        since, self._told = self._told, now
        forced = [
            order
            for account in self._venue.core.accounts.values()
            for order in reversed(account.orders.values())
            if order.symbol == self._symbol
            and since < order.time <= now
            and order.client_order_id.startswith("autoclose-")
        ]
        if not forced:
            return []
        return [_liquidation(max(forced, key=lambda order: order.time), now)]


def _liquidation(order: Order, now: int) -> Json:
    return {
        "e": "forceOrder",
        "E": now,
        "o": {
            "s": order.symbol,
            "S": order.side,
            "o": order.type,
            "f": order.time_in_force,
            "q": plain(order.quantity),
            "p": plain(order.price),
            "ap": price_text(order.average_price),
            "X": order.status,
            "l": plain(order.executed),
            "z": plain(order.executed),
            "T": order.update_time,
        },
        "ps": order.symbol,
        "st": 1,
    }


class DepthChanges:
    """Levels that changed since the last message; quantities are absolute, zero removes."""

    def __init__(self, venue: Venue, symbol: str) -> None:
        self._venue = venue
        self._symbol = symbol
        self._sides = self._levels()
        self._update = venue.now

    def due(self) -> list[Any]:
        core = self._venue.core
        if core.now == self._update:
            return []
        sides = self._levels()
        bids, asks = (_changes(old, new) for old, new in zip(self._sides, sides, strict=True))
        if not bids and not asks:
            return []
        previous, self._update, self._sides = self._update, core.now, sides
        return [
            {
                "e": "depthUpdate",
                "E": core.now,
                "T": core.now,
                "s": self._symbol,
                "ps": self._symbol,
                "U": previous + 1,
                "u": core.now,
                "pu": previous,
                "b": bids,
                "a": asks,
                "st": 1,
            }
        ]

    def _levels(self) -> tuple[dict[str, str], dict[str, str]]:
        return (
            dict(book_side(self._venue, self._symbol, False, _DIFF_LEVELS)),
            dict(book_side(self._venue, self._symbol, True, _DIFF_LEVELS)),
        )


def _changes(old: dict[str, str], new: dict[str, str]) -> list[list[str]]:
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[p, q] for p, q in new.items() if old.get(p) != q]


def book_side(venue: Venue, symbol: str, asks: bool, most: int) -> list[tuple[str, str]]:
    """Best first levels of one side as the venue writes them."""
    book = venue.core.book(symbol)
    return [(str(price), plain(q)) for price, q in book.levels(buy=asks)][:most]


def mark_price(venue: Venue, symbol: str) -> Json:
    core = venue.core
    mark = money(core.mark_price(symbol))
    upcoming = core.source.next_settlement(symbol, core.now)
    return {
        "e": "markPriceUpdate",
        "E": core.now,
        "s": symbol,
        "p": mark,
        "ap": mark,
        "i": mark,
        "P": mark,
        "r": money(upcoming.rate),
        "T": upcoming.time,
        "st": 1,
    }


def aggregate_trade(venue: Venue, symbol: str, one: Print) -> Json:
    return {"e": "aggTrade", "E": venue.now, "s": symbol, **aggregate(one), "st": 1}


def single_trade(venue: Venue, symbol: str, one: Print) -> Json:
    return {
        "e": "trade",
        "E": venue.now,
        "T": one.time,
        "s": symbol,
        "t": one.number,
        "p": str(one.price),
        "q": plain(one.quantity),
        "X": "MARKET",
        "m": one.buyer_is_maker,
        "st": 1,
    }


def book_ticker(venue: Venue, symbol: str) -> Json:
    core = venue.core
    book = core.book(symbol)
    bid, bid_quantity = next(book.levels(buy=False))
    ask, ask_quantity = next(book.levels(buy=True))
    return {
        "e": "bookTicker",
        "u": core.now,
        "E": core.now,
        "T": core.now,
        "s": symbol,
        "ps": symbol,
        "b": str(bid),
        "B": plain(bid_quantity),
        "a": str(ask),
        "A": plain(ask_quantity),
        "st": 1,
    }


def partial_depth(venue: Venue, symbol: str, levels: int) -> Json:
    now = venue.now
    return {
        "e": "depthUpdate",
        "E": now,
        "T": now,
        "s": symbol,
        "ps": symbol,
        "U": now,
        "u": now,
        "pu": now - 1,
        "b": book_side(venue, symbol, False, levels),
        "a": book_side(venue, symbol, True, levels),
        "st": 1,
    }


def mini_ticker(venue: Venue, symbol: str) -> Json:
    day = day_figures(venue, symbol)
    return {
        "e": "24hrMiniTicker",
        "E": venue.now,
        "s": symbol,
        "ps": symbol,
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
        "st": 1,
    }


def ticker(venue: Venue, symbol: str) -> Json:
    day = day_figures(venue, symbol)
    return {
        "e": "24hrTicker",
        "E": venue.now,
        "s": symbol,
        "ps": symbol,
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "c": day["lastPrice"],
        "Q": day["lastQty"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
        "O": day["openTime"],
        "C": day["closeTime"],
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
        "st": 1,
    }
