"""Binance's stream messages as candles, quotes and news of the account.

Fields that Binance adds are ignored. A message that cannot be understood is an error of its own,
never a guess: a closed candle that is lost that way is fetched by REST.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from shared.errors import InvalidInput
from shared.market.candle import Candle
from streamer.events import AccountNews, BookTicker, Depth, MarkPrice, Quote

#: Messages of the account's stream that say something new about orders, positions or margin.
#: TRADE_LITE repeats an ORDER_TRADE_UPDATE; grids and strategies are not the application's.
ACCOUNT_NEWS = frozenset({"ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE", "MARGIN_CALL"})
KEY_EXPIRED = "listenKeyExpired"


class Unreadable(InvalidInput):
    """A stream message that is not what its stream sends."""


class ClosedCandle(msgspec.Struct, frozen=True):
    """A candle that has closed."""

    candle: Candle


class _Combined(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Kline(msgspec.Struct):
    t: int
    s: str
    i: str
    o: float
    h: float
    l: float  # noqa: E741 - the venue's name
    c: float
    v: float
    x: bool


class _KlineMessage(msgspec.Struct):
    time: int = msgspec.field(name="E")
    k: _Kline = msgspec.field()


class _BookTicker(msgspec.Struct):
    time: int = msgspec.field(name="T")
    update: int = msgspec.field(name="u")
    s: str = msgspec.field()
    b: str = msgspec.field()
    bid_quantity: str = msgspec.field(name="B")
    a: str = msgspec.field()
    ask_quantity: str = msgspec.field(name="A")


class _Depth(msgspec.Struct):
    time: int = msgspec.field(name="T")
    s: str = msgspec.field()
    u: int = msgspec.field()
    b: list[tuple[str, str]] = msgspec.field()
    a: list[tuple[str, str]] = msgspec.field()


class _MarkPrice(msgspec.Struct):
    time: int = msgspec.field(name="E")
    s: str = msgspec.field()
    p: str = msgspec.field()
    i: str = msgspec.field()
    r: str = msgspec.field()
    next_funding: int = msgspec.field(name="T")


class _Account(msgspec.Struct):
    e: str
    time: int = msgspec.field(name="E")
    o: dict[str, Any] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    # Lax as the REST answers are read: numbers arrive as strings.
    return msgspec.json.Decoder(kind, strict=False)


_COMBINED = _decoder(_Combined)
_KLINE = _decoder(_KlineMessage)
_BOOK = _decoder(_BookTicker)
_DEPTH = _decoder(_Depth)
_MARK = _decoder(_MarkPrice)
_ACCOUNT = _decoder(_Account)
_ANY = msgspec.json.Decoder()


def _read(decoder: msgspec.json.Decoder[Any], body: bytes | str | msgspec.Raw) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def names(symbols: tuple[str, ...], details: tuple[str, ...]) -> list[str]:
    """Stream names such as ``btcusdt@kline_1h``."""
    return [f"{symbol.lower()}@{detail}" for symbol in symbols for detail in details]


def market_message(text: bytes | str) -> tuple[int, ClosedCandle | Quote | None]:
    """What a message of a combined stream says, and the venue's time in it (0: none).

    Returns
    -------
    tuple
        ``None`` as the second for a forming candle and for answers to subscriptions.

    Raises
    ------
    Unreadable
    """
    envelope = _read(_COMBINED, text)
    _, _, detail = envelope.stream.partition("@")
    if detail.startswith("kline_"):
        message = _read(_KLINE, envelope.data)
        return message.time, _closed(message.k)
    if detail == "bookTicker":
        b = _read(_BOOK, envelope.data)
        return b.time, BookTicker(
            symbol=b.s,
            time=b.time,
            update=b.update,
            bid=b.b,
            bid_quantity=b.bid_quantity,
            ask=b.a,
            ask_quantity=b.ask_quantity,
        )
    if detail.startswith("depth"):
        d = _read(_DEPTH, envelope.data)
        return d.time, Depth(symbol=d.s, time=d.time, update=d.u, bids=d.b, asks=d.a)
    if detail.startswith("markPrice"):
        m = _read(_MARK, envelope.data)
        return m.time, MarkPrice(
            symbol=m.s,
            time=m.time,
            mark_price=m.p,
            index_price=m.i,
            funding_rate=m.r,
            next_funding_time=m.next_funding,
        )
    return 0, None


def _closed(k: _Kline) -> ClosedCandle | None:
    if not k.x:
        return None
    return ClosedCandle(
        Candle(
            symbol=k.s,
            timeframe=k.i,
            open_time=k.t,
            open=k.o,
            high=k.h,
            low=k.l,
            close=k.c,
            volume=k.v,
        )
    )


def account_message(text: bytes | str) -> AccountNews | str | None:
    """What a message of the account's stream says.

    Returns
    -------
    AccountNews or str or None
        :data:`KEY_EXPIRED` when nothing more will come; ``None`` for what is of no interest.

    Raises
    ------
    Unreadable
    """
    body = text.encode() if isinstance(text, str) else text
    if body.startswith(b'{"stream"'):
        body = bytes(_read(_COMBINED, body).data)
    whole = _read(_ANY, body)
    if not isinstance(whole, dict) or not isinstance(whole.get("e"), str):
        return None
    if whole["e"] == KEY_EXPIRED:
        return KEY_EXPIRED
    if whole["e"] not in ACCOUNT_NEWS:
        return None
    message = _read(_ACCOUNT, body)
    # Sent times may differ between two connections; what happened does not.
    told = {name: value for name, value in whole.items() if name != "E"}
    digest = hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:24]
    symbol = message.o.get("s")
    return AccountNews(
        id=f"venue-{message.e.lower().replace('_', '-')}-{digest}",
        event=message.e,
        symbol=symbol if isinstance(symbol, str) else "",
        time=message.time,
        data=msgspec.Raw(body),
    )
