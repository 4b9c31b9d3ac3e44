"""Payloads of market and public streams, and which stream belongs on which host."""

from __future__ import annotations

import re
from typing import Any

from local.exchange.market_routes import kline_row
from local.exchange.views import Json, money
from shared.market.timeframe import TIMEFRAMES
from shared.simulation.filters import plain
from shared.simulation.klines import Row
from shared.simulation.venue import Venue

_KLINE = re.compile(r"([a-z0-9]+)@kline_([0-9]+[mhd])")
_MARK = re.compile(r"([a-z0-9]+)@markPrice(?:@1s)?")
_TRADE = re.compile(r"([a-z0-9]+)@aggTrade")
_BOOK = re.compile(r"([a-z0-9]+)@bookTicker")
_DEPTH = re.compile(r"([a-z0-9]+)@depth(5|10|20)(?:@(?:100|500)ms)?")


class MarketStream:
    """One subscribed stream; remembers what it has sent.

    Parameters
    ----------
    venue : Venue
    name : str
        As subscribed, for example ``btcusdt@kline_1m``.
    host : str
        ``market`` or ``public``: a stream on the wrong host stays silent.
    """

    #: Fields that change although nothing was quoted or traded.
    _volatile = frozenset({"E", "T", "u", "pu", "U", "f", "l"})

    def __init__(self, venue: Venue, name: str, host: str) -> None:
        self.name = name
        self._venue = venue
        self._kind = ""
        self._symbol = ""
        self._timeframe = ""
        self._levels = 0
        self._last: Any = None
        for kind, wanted, pattern in (
            ("kline", "market", _KLINE),
            ("mark", "market", _MARK),
            ("trade", "market", _TRADE),
            ("book", "public", _BOOK),
            ("depth", "public", _DEPTH),
        ):
            match = pattern.fullmatch(name)
            if match and host == wanted and match[1].upper() in venue.symbols:
                self._kind, self._symbol = kind, match[1].upper()
                if kind == "kline":
                    self._timeframe = match[2]
                    if self._timeframe not in TIMEFRAMES:
                        self._kind = ""
                elif kind == "depth":
                    self._levels = int(match[2])

    def due(self) -> list[Json]:
        """What there is to send now."""
        if not self._kind:
            return []
        if self._kind == "kline":
            return self._klines()
        payload: Json = getattr(self, f"_{self._kind}")()
        shown = {k: v for k, v in payload.items() if k not in self._volatile}
        if self._kind == "trade":
            del shown["a"]
        if shown == self._last:
            return []
        self._last = shown
        return [payload]

    def _klines(self) -> list[Json]:
        """The forming candle, and every candle that closed since, however fast time runs."""
        step = TIMEFRAMES[self._timeframe]
        now = self._venue.now
        seen = self._last if self._last is not None else now - now % step
        rows = self._venue.klines(self._symbol, self._timeframe, start=seen, limit=1500)
        if not rows:
            return []
        self._last = rows[-1][0]
        return [self._kline(row, step, closed=row[0] + step <= now) for row in rows]

    def _kline(self, row: Row, step: int, *, closed: bool) -> Json:
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
            "f": t // 1000,
            "L": t // 1000 + n,
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
        return {"e": "kline", "E": core.now, "s": self._symbol, "k": candle}

    def _mark(self) -> Json:
        core = self._venue.core
        mark = money(core.mark_price(self._symbol))
        upcoming = core.source.next_settlement(self._symbol, core.now)
        return {
            "e": "markPriceUpdate",
            "E": core.now,
            "s": self._symbol,
            "p": mark,
            "ap": mark,
            "i": mark,
            "P": mark,
            "r": money(upcoming.rate),
            "T": upcoming.time,
            "st": 1,
        }

    def _trade(self) -> Json:
        core = self._venue.core
        price = str(core.last_price(self._symbol))
        quantity = plain(core.contract(self._symbol).instrument.min_quantity)
        return {
            "e": "aggTrade",
            "E": core.now,
            "s": self._symbol,
            "a": core.now,
            "p": price,
            "q": quantity,
            "nq": quantity,
            "f": core.now,
            "l": core.now,
            "T": core.now,
            "m": False,
            "st": 1,
        }

    def _book(self) -> Json:
        core = self._venue.core
        book = core.book(self._symbol)
        bid, bid_quantity = next(book.levels(buy=False))
        ask, ask_quantity = next(book.levels(buy=True))
        return {
            "e": "bookTicker",
            "u": core.now,
            "E": core.now,
            "T": core.now,
            "s": self._symbol,
            "ps": self._symbol,
            "b": str(bid),
            "B": plain(bid_quantity),
            "a": str(ask),
            "A": plain(ask_quantity),
            "st": 1,
        }

    def _depth(self) -> Json:
        core = self._venue.core
        book = core.book(self._symbol)

        def side(buy: bool) -> list[list[str]]:
            return [[str(p), plain(q)] for p, q in book.levels(buy)][: self._levels]

        return {
            "e": "depthUpdate",
            "E": core.now,
            "T": core.now,
            "s": self._symbol,
            "U": core.now,
            "u": core.now,
            "pu": core.now - 1,
            "b": side(buy=False),
            "a": side(buy=True),
        }
