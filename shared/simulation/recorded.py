"""A market from a recorded combined stream: real trades, real quotes, real depth.

Recorded are ``trade``, ``bookTicker`` and diff ``depth`` of one or more symbols. Takers meet the
recorded book: the touch from the quotes, behind it the levels the diffs have told so far. Resting
orders follow the venue's rule on very short bars made of the trades: last in the queue, filled
when trades go through the price, at most a tenth of a bar's volume. What we do changes nothing in
the recording. There is no mark price in it; mark is the contract price.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from shared.errors import MarketDataError
from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.simulation.source import Bar, Settlement, scheduled_settlement
from shared.simulation.tape import Print

if TYPE_CHECKING:
    from shared.simulation.contracts import Contract


class RecordedBook:
    """Bids and asks of one moment of the recording."""

    __slots__ = ("_behind", "_touch")

    def __init__(
        self,
        touch: tuple[str, str, str, str],
        behind: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]],
    ) -> None:
        self._touch = touch
        self._behind = behind

    @property
    def bid(self) -> Decimal:
        return Decimal(self._touch[0])

    @property
    def ask(self) -> Decimal:
        return Decimal(self._touch[2])

    def levels(self, buy: bool) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity of the levels a taker meets, best first; ``buy`` asks for offers."""
        bid, bid_quantity, ask, ask_quantity = map(Decimal, self._touch)
        if buy:
            yield ask, ask_quantity
            yield from sorted((p, q) for p, q in self._behind[1].items() if p > ask)
        else:
            yield bid, bid_quantity
            known = ((p, q) for p, q in self._behind[0].items() if p < bid)
            yield from sorted(known, reverse=True)


class _Recording:
    """One symbol's messages, in the order of exchange time."""

    def __init__(self) -> None:
        self.trades: list[Print] = []
        self.quote_times: list[int] = []
        self.quotes: list[tuple[str, str, str, str]] = []
        #: (update id, whether a whole book, time, bids, asks)
        self.depth: list[tuple[int, bool, int, Any, Any]] = []
        self.bars: list[Bar] = []
        self.start = 0
        self._applied = 0
        self._levels: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})

    def add(self, kind: str, data: dict[str, Any]) -> None:
        time = int(data["T"])
        if kind == "trade":
            # Trades of the insurance fund and of ADL are not market trades.
            if data.get("X", "MARKET") == "MARKET":
                price, quantity = Decimal(data["p"]), Decimal(data["q"])
                self.trades.append(Print(int(data["t"]), price, quantity, time, bool(data["m"])))
        elif kind == "bookTicker":
            self.quote_times.append(time)
            self.quotes.append((data["b"], data["B"], data["a"], data["A"]))
        elif kind == "depthUpdate":
            self.depth.append((int(data["u"]), False, time, data["b"], data["a"]))
        else:
            self.depth.append((int(data["lastUpdateId"]), True, time, data["bids"], data["asks"]))

    def finish(self, bar_ms: int) -> None:
        """Make the bars; they begin with the minute, flat until the first trade.

        Only trades make prices: a bar opens at its first trade, not where the last one closed.
        """
        self.trades.sort(key=lambda one: (one.time, one.number))
        # By update id: a whole book stands before the changes that are not in it yet.
        self.depth.sort(key=lambda one: (one[0], not one[1]))
        if not self.trades or not self.quotes:
            raise MarketDataError("a recording needs trades and quotes of every symbol")
        first = self.trades[0].time
        self.start = first - first % MINUTE_MS
        price = float(self.trades[0].price)
        at = 0
        for opened in range(self.start, self.trades[-1].time + 1, bar_ms):
            o = high = low = close = price
            volume = 0.0
            if at < len(self.trades) and self.trades[at].time < opened + bar_ms:
                o = high = low = float(self.trades[at].price)
            while at < len(self.trades) and self.trades[at].time < opened + bar_ms:
                close = float(self.trades[at].price)
                high, low = max(high, close), min(low, close)
                volume += float(self.trades[at].quantity)
                at += 1
            self.bars.append(Bar(opened, o, high, low, close, volume, o, high, low, close))
            price = close

    def book(self, now: int) -> RecordedBook:
        at = max(0, bisect_right(self.quote_times, now) - 1)
        return RecordedBook(self.quotes[at], self._depth_at(now))

    def _depth_at(self, now: int) -> tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]:
        if self._applied and self.depth[self._applied - 1][2] > now:
            self._applied, self._levels = 0, ({}, {})
        while self._applied < len(self.depth) and self.depth[self._applied][2] <= now:
            _, whole, _, bids, asks = self.depth[self._applied]
            if whole:
                self._levels = ({}, {})
            for side, changes in zip(self._levels, (bids, asks), strict=True):
                for price, quantity in changes:
                    level, amount = Decimal(price), Decimal(quantity)
                    if amount:
                        side[level] = amount
                    else:
                        side.pop(level, None)
            self._applied += 1
        return self._levels


_KINDS = frozenset({"trade", "bookTicker", "depthUpdate"})


class RecordedStream:
    """A market source from the lines of a recorded combined stream.

    Parameters
    ----------
    lines : iterable of str or bytes
        Each ends in the JSON of one combined stream message, or of a book as REST answers it;
        what stands before it (a local receive time) is ignored. All times are the exchange's.
    bar_ms : int
        Length of the bars that resting orders and triggers see.

    Raises
    ------
    MarketDataError
        A line is not a stream message, or a symbol lacks trades or quotes.
    """

    timeframe = "1m"

    def __init__(self, lines: Iterable[str | bytes], *, bar_ms: int = 100) -> None:
        if MINUTE_MS % bar_ms or bar_ms < 3:
            raise MarketDataError(f"bars of {bar_ms} ms do not divide a minute")
        self.bar_ms = bar_ms
        self._of: dict[str, _Recording] = {}
        decode = msgspec.json.Decoder().decode
        for number, line in enumerate(lines, 1):
            text = line.encode() if isinstance(line, str) else line
            try:
                self._add(decode(text[text.index(b"{") :]))
            except (ValueError, KeyError, TypeError, ArithmeticError) as error:
                raise MarketDataError(f"line {number} is not a stream message") from error
        if not self._of:
            raise MarketDataError("the recording is empty")
        for recording in self._of.values():
            recording.finish(bar_ms)

    def _add(self, message: dict[str, Any]) -> None:
        if "lastUpdateId" in message:
            # A whole book as REST answers it names no symbol: it is the only one's.
            [only] = self._of.values()
            only.add("book", message)
            return
        data = message["data"]
        if data["e"] in _KINDS:
            self._of.setdefault(data["s"], _Recording()).add(data["e"], data)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._of)

    @property
    def span(self) -> tuple[int, int]:
        """First and last trade of all symbols, UTC milliseconds."""
        return (
            max(r.trades[0].time for r in self._of.values()),
            min(r.trades[-1].time for r in self._of.values()),
        )

    def first_time(self, symbol: str) -> int:
        return self._of[symbol].start

    def older(self, symbol: str, timeframe: str) -> Columns | None:
        """None: the recording is all there is."""
        return None

    def bar(self, symbol: str, open_time: int) -> Bar:
        recording = self._of[symbol]
        index = (open_time - recording.start) // self.bar_ms
        if index >= len(recording.bars):
            return recording.bars[-1].flat(open_time)
        if index >= 0:
            return recording.bars[index]
        p = recording.bars[0].open
        return Bar(open_time, p, p, p, p, 0.0, p, p, p, p)

    def columns(self, symbol: str, start: int, stop: int, *, mark: bool = False) -> Columns:
        import numpy as np

        recording = self._of[symbol]
        begin = max(0, -(-(start - recording.start) // self.bar_ms))
        end = max(begin, -(-(stop - recording.start) // self.bar_ms))
        rows = np.array(recording.bars[begin:end], dtype=float).reshape(-1, len(Bar._fields))
        times, o, h, low, c, volume = rows.T[:6]
        shown = np.zeros(len(rows)) if mark else volume
        return Columns(symbol, self.timeframe, times.astype(np.int64), o, h, low, c, shown)

    def next_settlement(self, symbol: str, after: int) -> Settlement:
        return scheduled_settlement(after)

    def settlements(self, symbol: str, start: int, stop: int) -> list[Settlement]:
        found = []
        row = scheduled_settlement(max(start, self.first_time(symbol)) - 1)
        while row.time < stop:
            found.append(row)
            row = scheduled_settlement(row.time)
        return found

    # what only a recording knows

    def recorded_book(self, contract: Contract, now: int) -> RecordedBook:
        """The book as it was."""
        return self._of[contract.symbol].book(now)

    def recorded_prints(self, symbol: str, start: int, stop: int) -> list[Print]:
        """The trades as they were, ``start <= time < stop``."""
        trades = self._of[symbol].trades
        low = bisect_left(trades, start, key=lambda one: one.time)
        return trades[low : bisect_left(trades, stop, key=lambda one: one.time)]
