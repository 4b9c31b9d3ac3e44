"""What Binance answers about the market, as our records: candles, mark prices, best prices."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.execution.binance.answers.decoding import Raw, decimal, decode, decoder, listed, one
from shared.execution.exchange import BookTicker, MarkPrice
from shared.market.candle import Candle


class _Kline(msgspec.Struct, array_like=True):
    # Later elements (close time, quote volume, ...) are ignored.
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _PremiumIndex(Raw):
    symbol: str
    mark_price: Decimal
    index_price: Decimal
    next_funding_time: int
    time: int
    last_funding_rate: str = ""


class _BookTicker(Raw):
    symbol: str
    bid_price: Decimal
    bid_qty: Decimal
    ask_price: Decimal
    ask_qty: Decimal
    time: int = 0


_KLINES = decoder(list[_Kline])
_PREMIUM = decoder(list[_PremiumIndex])
_BOOK = decoder(list[_BookTicker])


def candles(body: bytes, symbol: str, timeframe: str) -> list[Candle]:
    """Klines as the exchange ordered them, the forming one included."""
    return [
        Candle(
            symbol=symbol,
            timeframe=timeframe,
            open_time=k.open_time,
            open=k.open,
            high=k.high,
            low=k.low,
            close=k.close,
            volume=k.volume,
        )
        for k in decode(_KLINES, body)
    ]


def mark_prices(body: bytes) -> list[MarkPrice]:
    return [
        MarkPrice(
            symbol=p.symbol,
            mark_price=p.mark_price,
            index_price=p.index_price,
            # Empty for delivery contracts, which have no funding.
            last_funding_rate=decimal(p.last_funding_rate or "0"),
            next_funding_time=p.next_funding_time,
            time=p.time,
        )
        for p in listed(_PREMIUM, body)
    ]


def book_ticker(body: bytes) -> BookTicker:
    b = one(listed(_BOOK, body))
    return BookTicker(
        symbol=b.symbol,
        bid_price=b.bid_price,
        bid_quantity=b.bid_qty,
        ask_price=b.ask_price,
        ask_quantity=b.ask_qty,
        time=b.time,
    )
