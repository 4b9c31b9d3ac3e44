"""What the streamer publishes: one event, its hub, and the key that keeps its order."""

from __future__ import annotations

import msgspec

from shared.market.candle import Candle
from shared.market.events import encode

#: Closed candles, read by ``on_market``; exactly what ``poll_candles`` writes.
MARKET = "market"
#: What the account's own stream tells, read by ``on_execution``: the dashboard looks at once.
EXECUTIONS = "executions"
#: Mark price and order book, for consumers of one's own; no function reads it.
QUOTES = "quotes"


class Event(msgspec.Struct, frozen=True):
    """One event on its way.

    ``key`` is the partition key: events of one key keep their order. ``kind`` names what a newer
    event replaces while both wait; empty for events that are never dropped.
    """

    hub: str
    key: str
    body: bytes
    kind: str = ""


class BookTicker(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bookTicker"):
    """Best bid and ask. Prices and quantities as the venue wrote them, times in UTC ms."""

    symbol: str
    time: int
    update: int
    bid: str
    bid_quantity: str = msgspec.field(name="bidQuantity")
    ask: str
    ask_quantity: str = msgspec.field(name="askQuantity")


class Depth(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="depth"):
    """The best levels of both sides, best first, as (price, quantity): a whole book, no changes."""

    symbol: str
    time: int
    update: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="markPrice"):
    """Mark and index price, and the funding rate that is due next."""

    symbol: str
    time: int
    mark_price: str = msgspec.field(name="markPrice")
    index_price: str = msgspec.field(name="indexPrice")
    funding_rate: str = msgspec.field(name="fundingRate")
    next_funding_time: int = msgspec.field(name="nextFundingTime")


class AccountNews(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="venue"):
    """What the venue told about the account; ``data`` is its message.

    ``id`` is the same whenever the same message arrives, over whatever connection.
    """

    id: str
    event: str
    symbol: str
    time: int
    data: msgspec.Raw


Quote = BookTicker | Depth | MarkPrice

_encode = msgspec.json.Encoder().encode


def candle_event(candle: Candle) -> Event:
    """A closed candle: byte for byte the event that ``poll_candles`` publishes."""
    return Event(MARKET, candle.symbol, encode(candle))


def quote_event(quote: Quote) -> Event:
    """A quote; a newer one of its kind and symbol takes its place while it waits."""
    return Event(QUOTES, quote.symbol, _encode(quote), type(quote).__name__)


def account_event(news: AccountNews) -> Event:
    """News of the account; never dropped. All of it keeps one order."""
    return Event(EXECUTIONS, "account", _encode(news))
