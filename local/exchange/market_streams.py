"""Stream names of the market and public hosts, and the feed each stands for."""

from __future__ import annotations

import re
from collections.abc import Callable

from local.exchange import feeds
from local.exchange.feeds import Changes, Feed, Several, Silence
from local.exchange.views import Json
from shared.market.timeframe import TIMEFRAMES
from shared.simulation.venue import Venue

_Payload = Callable[[Venue, str], Json]
_Make = Callable[[Venue, str, str], Feed]


def _changes(payload: _Payload) -> _Make:
    return lambda venue, symbol, detail: Changes(lambda: payload(venue, symbol))


def _candles(continuous: bool) -> _Make:
    def make(venue: Venue, symbol: str, timeframe: str) -> Feed:
        if timeframe not in TIMEFRAMES:
            return Silence()
        return feeds.Candles(venue, symbol, timeframe, continuous=continuous)

    return make


def _mark_price(venue: Venue, symbol: str, speed: str) -> Feed:
    every = 1000 if speed else 3000
    return feeds.Regular(venue, lambda: feeds.mark_price(venue, symbol), every)


def _depth(venue: Venue, symbol: str, levels: str) -> Feed:
    most = int(levels)
    return Changes(lambda: feeds.partial_depth(venue, symbol, most))


#: (host, name after the symbol, feed); the first group of a name is its detail.
_OF_SYMBOL: tuple[tuple[str, re.Pattern[str], _Make], ...] = tuple(
    (host, re.compile(name), make)
    for host, name, make in (
        ("market", r"@kline_([0-9]+[mhd])", _candles(continuous=False)),
        ("market", r"_perpetual@continuousKline_([0-9]+[mhd])", _candles(continuous=True)),
        ("market", r"@markPrice((?:@1s)?)", _mark_price),
        ("market", r"@miniTicker()", _changes(feeds.mini_ticker)),
        ("market", r"@ticker()", _changes(feeds.ticker)),
        (
            "market",
            r"@aggTrade()",
            lambda venue, symbol, _: feeds.Trades(venue, symbol, feeds.aggregate_trade),
        ),
        (
            "public",
            r"@trade()",
            lambda venue, symbol, _: feeds.Trades(venue, symbol, feeds.single_trade),
        ),
        ("public", r"@bookTicker()", _changes(feeds.book_ticker)),
        ("public", r"@depth(5|10|20)(?:@(?:100|250|500)ms)?", _depth),
        (
            "public",
            r"@depth(?:@(?:0|100|250|500)ms)?()",
            lambda venue, symbol, _: feeds.DepthChanges(venue, symbol),
        ),
        (
            # Retail price improvement orders would be in it; there are none here.
            "public",
            r"@rpiDepth@500ms()",
            lambda venue, symbol, _: feeds.DepthChanges(venue, symbol),
        ),
        (
            "market",
            r"@forceOrder()",
            lambda venue, symbol, _: feeds.Liquidations(venue, symbol),
        ),
    )
)
#: (host, name, feed of one symbol, its detail, whether one array holds all).
_OF_ALL: tuple[tuple[str, str, _Make, str, bool], ...] = (
    ("market", "!markPrice@arr", _mark_price, "", True),
    ("market", "!markPrice@arr@1s", _mark_price, "@1s", True),
    ("market", "!miniTicker@arr", _changes(feeds.mini_ticker), "", True),
    ("market", "!ticker@arr", _changes(feeds.ticker), "", True),
    ("public", "!bookTicker", _changes(feeds.book_ticker), "", False),
    (
        "market",
        "!forceOrder@arr",
        lambda venue, symbol, _: feeds.Liquidations(venue, symbol),
        "",
        False,
    ),
)


def feed_of(venue: Venue, name: str, host: str) -> Feed:
    """The feed of a stream; silence for an unknown name or one of another host.

    Parameters
    ----------
    venue : Venue
    name : str
        As subscribed, for example ``btcusdt@kline_1m``.
    host : str
        ``market`` or ``public``.
    """
    for wanted, known, make, detail, together in _OF_ALL:
        if host == wanted and name == known:
            return Several([make(venue, s, detail) for s in venue.symbols], together=together)
    for symbol in venue.symbols:
        if not name.startswith(symbol.lower()):
            continue
        rest = name[len(symbol) :]
        for wanted, pattern, make in _OF_SYMBOL:
            match = pattern.fullmatch(rest)
            if match and host == wanted:
                return make(venue, symbol, match[1])
    return Silence()
