"""Closed candles and quotes out of the market streams, holes filled by REST."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from shared.errors import ExchangeError
from shared.market.candle import Candle
from shared.market.timeframe import MINUTE_MS, last_closed
from streamer.candles import CandleSequence
from streamer.events import MarkPrice, Quote, candle_event, quote_event
from streamer.figures import Figures
from streamer.messages import ClosedCandle, Unreadable, market_message
from streamer.outbox import Outbox
from streamer.rest import KLINES_PAGE, Rest
from streamer.timing import Backoff, Timing

log = logging.getLogger("streamer.feed")


class VenueTime:
    """The venue's clock as last seen, carried on by our own."""

    def __init__(self) -> None:
        self._seen: tuple[int, float] | None = None

    def observe(self, ms: int) -> None:
        """The venue said that it is so late, UTC milliseconds."""
        if ms > 0:
            self._seen = (ms, asyncio.get_running_loop().time())

    def now_ms(self) -> int | None:
        """UTC milliseconds, ``None`` before the first observation."""
        if self._seen is None:
            return None
        ms, at = self._seen
        return ms + int((asyncio.get_running_loop().time() - at) * 1000)


class MarketFeed:
    """Receives what the market connections say and puts events into the outbox.

    A closed candle is published once and after all before it. Whether one is missing is asked
    after every connection that was opened, when a later one has come, and when one is overdue;
    REST then tells what the stream did not.

    Parameters
    ----------
    plan : mapping
        Symbol -> time frames whose closed candles are published.
    rest : Rest
    outbox : Outbox
    timing : Timing
    figures : Figures
    catch_up_ms : int
        Candles that closed so long before the start, at least the newest, are published too.
    """

    def __init__(
        self,
        plan: Mapping[str, Iterable[str]],
        rest: Rest,
        outbox: Outbox,
        timing: Timing,
        figures: Figures,
        *,
        catch_up_ms: int,
    ) -> None:
        self.sequences = {
            (symbol, timeframe): CandleSequence(symbol, timeframe)
            for symbol, timeframes in plan.items()
            for timeframe in timeframes
        }
        self.time = VenueTime()
        self._rest = rest
        self._outbox = outbox
        self._timing = timing
        self._figures = figures
        self._catch_up_ms = catch_up_ms
        self._newest_quote: dict[tuple[str, str], int] = {}
        self._check = asyncio.Event()
        self._all = True
        #: Candles that REST did not have: when they are asked for again, and how patient we are.
        self._absent: dict[tuple[str, str], tuple[float, Backoff]] = {}

    def opened(self) -> None:
        """A connection was opened: what was said before it is asked for by REST."""
        self._all = True
        self._check.set()

    async def receive(self, connection: str, text: str) -> None:
        """Take a message; returns when there is room for the next."""
        try:
            at, said = market_message(text)
        except Unreadable as error:
            # A candle that was in it is overdue soon, and fetched.
            self._figures.count("unreadable", connection)
            log.warning("%s: unreadable message: %s", connection, error)
            return
        self.time.observe(at)
        if isinstance(said, ClosedCandle):
            self._closed(said.candle)
            await self._outbox.room()
        elif said is not None:
            self._quoted(said)

    def _closed(self, candle: Candle) -> None:
        sequence = self.sequences.get((candle.symbol, candle.timeframe))
        if sequence is None:
            return
        repeated, contradicted = sequence.repeated, sequence.contradicted
        ready = sequence.offer(candle)
        self._publish(ready, "stream")
        if sequence.repeated > repeated:
            self._figures.count("repeated")
        if sequence.contradicted > contradicted:
            self._figures.count("contradicted")
            log.error(
                "%s %s %d came again with other values",
                candle.symbol,
                candle.timeframe,
                candle.open_time,
            )
        if sequence.has_hole:
            self._check.set()

    def _quoted(self, quote: Quote) -> None:
        number = quote.time if isinstance(quote, MarkPrice) else quote.update
        place = (type(quote).__name__, quote.symbol)
        if number < self._newest_quote.get(place, 0):
            self._figures.count("quotes_late")
            return
        self._newest_quote[place] = number
        self._outbox.put(quote_event(quote))

    def _publish(self, candles: list[Candle], source: str) -> None:
        for candle in candles:
            self._outbox.put(candle_event(candle))
        if candles:
            self._figures.count("candles", source, len(candles))

    async def run(self) -> None:
        """Repair until cancelled."""
        backoff = Backoff(self._timing.first_wait, self._timing.longest_wait)
        while True:
            try:
                async with asyncio.timeout(self._timing.audit):
                    await self._check.wait()
            except TimeoutError:
                pass
            self._check.clear()
            everything, self._all = self._all, False
            lacking = list(self.sequences.values()) if everything else self._lacking()
            if not lacking:
                continue
            failure = await self._repair(lacking)
            if failure is None:
                backoff.reset()
                continue
            self._all = self._all or everything
            wait = max(backoff.next(), failure.retry_after)
            log.warning("candles not fetched: %s; again in %.1f s", failure, wait)
            await asyncio.sleep(wait)
            self._check.set()

    def _lacking(self) -> list[CandleSequence]:
        """Those with a hole, and those whose next candle is overdue."""
        now = self.time.now_ms()
        grace = int(self._timing.grace * 1000)
        here = asyncio.get_running_loop().time()
        return [
            s
            for place, s in self.sequences.items()
            if (s.has_hole or now is None or s.is_due(now, grace))
            and here >= self._absent.get(place, (0.0, None))[0]
        ]

    async def _repair(self, lacking: list[CandleSequence]) -> ExchangeError | None:
        """Ask REST for what these lack; the first failure, if any. The others are asked still."""
        self._figures.count("repairs")
        failure: ExchangeError | None = None
        try:
            # Asked before the candles: what is closed by this time is closed in their answer.
            now = await self._rest.time()
        except ExchangeError as error:
            self._figures.count("repair_failures")
            return error
        self.time.observe(now)
        for sequence in lacking:
            try:
                await self._fill(sequence, now)
            except ExchangeError as error:
                self._figures.count("repair_failures")
                failure = failure or error
        return failure

    async def _fill(self, sequence: CandleSequence, now: int) -> None:
        newest = last_closed(now, sequence.timeframe)
        if sequence.next is None:
            # Candles that closed within the time to catch up, or else the newest.
            closed_after = now - self._catch_up_ms
            first = min(newest, -(-closed_after // sequence.step) * sequence.step - sequence.step)
            self._publish(sequence.start(first), "stream")
        assert sequence.next is not None
        while sequence.next <= newest:
            missing = min(KLINES_PAGE, (newest - sequence.next) // sequence.step + 1)
            asked_from = sequence.next
            rows = await self._rest.candles(
                sequence.symbol, sequence.timeframe, start=asked_from, limit=missing
            )
            ready = sequence.fill([c for c in rows if c.open_time <= newest])
            self._publish(ready, "rest")
            if ready:
                log.info(
                    "%s %s: %d closed candles by REST",
                    sequence.symbol,
                    sequence.timeframe,
                    len(ready),
                )
            await self._outbox.room()
            if sequence.next == asked_from:
                self._wait_for(sequence)
                return
        self._absent.pop((sequence.symbol, sequence.timeframe), None)

    def _wait_for(self, sequence: CandleSequence) -> None:
        """REST has not got it: the answer lags behind, or the contract does not trade."""
        place = (sequence.symbol, sequence.timeframe)
        _, patience = self._absent.get(
            place, (0.0, Backoff(self._timing.first_wait, self._timing.longest_wait))
        )
        self._absent[place] = (asyncio.get_running_loop().time() + patience.next(), patience)


def plan_of(symbols: Iterable[str], timeframes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The application's plan: every symbol on every time frame."""
    return dict.fromkeys(symbols, tuple(timeframes))


def catch_up_ms(minutes: int) -> int:
    """Minutes in milliseconds."""
    return minutes * MINUTE_MS
