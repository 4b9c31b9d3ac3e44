"""Shadow scoring: every champion and challenger is asked at every closed bar, off the order path.

What comes out is :mod:`shared.intelligence.scores`; no vote, no signal. A model that cannot be
asked is noted in the score and takes nothing from the others.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from shared.errors import BorsaError, ConfigurationError, ExchangeError, MarketDataError, StoreError
from shared.intelligence.features import FEATURE_SET, feature_history, window
from shared.intelligence.labels import ATR, NONE, Barriers, outcomes
from shared.intelligence.library import SLOTS, Library
from shared.intelligence.model import OnnxModel
from shared.intelligence.registry import Registry
from shared.intelligence.scores import (
    BarScore,
    find_score,
    model_key,
    save_label,
    save_score,
    unlabelled,
)
from shared.intelligence.slots import Slot
from shared.market.candle import Columns, to_columns
from shared.market.timeframe import DAY_MS, duration_ms, last_closed
from shared.strategies.frame import Frame
from shared.strategies.window import CandleWindow

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.execution.exchange import Exchange
    from shared.storage.store import Store

#: Bars that are scored after the fact when nobody did in time.
CATCH_UP = 24
#: Candles of one request for labels, and requests of one round.
PAGE, REQUESTS = 499, 20
#: A label whose candles are still not to be had after so long is given up.
GIVEN_UP_MS = 7 * DAY_MS

_log = logging.getLogger("borsa.models")


class Round(msgspec.Struct, kw_only=True):
    """What one round did: bars scored, labels added, and what was in the way."""

    scored: int = 0
    labelled: int = 0
    troubles: list[str] = []


class Scorer:
    """Scores bars as they close, and labels them when their horizon is over.

    Parameters
    ----------
    registry, store, exchange, clock
    serving : Library
        The shipped files; versions of the registry are put into it.
    symbols : sequence of str
    by_registry : bool
        Whether the registry says who is champion; else the shipped files are.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        exchange: Exchange,
        clock: Clock,
        serving: Library,
        symbols: Sequence[str],
        *,
        by_registry: bool,
    ) -> None:
        self._registry = registry
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._serving = serving
        self._symbols = tuple(symbols)
        self._by_registry = by_registry
        #: Close of the last bar that is known to be scored.
        self._done: dict[tuple[str, str, Barriers], int] = {}

    def run(self) -> Round:
        """One round; a symbol that is in trouble does not hold the others up.

        Raises
        ------
        StoreError
            When the registry or the scores cannot be read.
        """
        done = Round()
        slots = self._registry.slots()
        for (timeframe, barriers), group in self._grouped(slots, done).items():
            for symbol in self._symbols:
                try:
                    self._score(symbol, timeframe, barriers, group, slots, done)
                except (ExchangeError, MarketDataError) as error:
                    _trouble(done, f"{symbol} {timeframe}: {error}")
        self._label(done)
        return done

    # ------------------------------------------------------------------ scores

    def _grouped(
        self, slots: dict[str, Slot], done: Round
    ) -> dict[tuple[str, Barriers], list[OnnxModel]]:
        """Every version that could be asked, by the bars and the labels it was trained on."""
        now = self._clock.now_ms()
        found: dict[tuple[str, Barriers], list[OnnxModel]] = defaultdict(list)
        for name in SLOTS:
            slot = slots.get(name, Slot(model=name))
            wanted = [*self._champions(slot, now), *slot.challengers(now)]
            for version in dict.fromkeys(wanted):
                try:
                    model = self._model(name, version)
                except (ConfigurationError, StoreError) as error:
                    _trouble(done, f"model {name} {version or 'as shipped'}: {error}")
                    continue
                card = model.card
                barriers = Barriers(card.take_atr, card.stop_atr, card.horizon_bars)
                found[card.timeframe, barriers].append(model)
        return found

    def _champions(self, slot: Slot, now: int) -> list[str]:
        """Versions that vote or may have voted in the bars that are looked at; empty: shipped."""
        tenures = slot.tenures if self._by_registry else ()
        recent = [t.version for t in tenures if t.since > now - 2 * DAY_MS]
        first = self._champion(slot, now - 2 * DAY_MS)
        if not first and slot.model not in self._serving.names():
            return recent
        return [first, *recent]

    def _champion(self, slot: Slot, closed_at: int) -> str:
        return slot.champion(closed_at) if self._by_registry else ""

    def _model(self, name: str, version: str) -> OnnxModel:
        if version and not self._serving.holds(name, version):
            self._serving.hold(self._registry.model(name, version))
        return self._serving.model(name, version)

    def _score(
        self,
        symbol: str,
        timeframe: str,
        barriers: Barriers,
        group: list[OnnxModel],
        slots: dict[str, Slot],
        done: Round,
    ) -> None:
        due = self._due(symbol, timeframe, barriers)
        if not due:
            return
        step = duration_ms(timeframe)
        needed = feature_history() + max(m.card.lookback for m in group) - 1
        bars = needed + (due[-1] - due[0]) // step
        columns = self._columns(symbol, timeframe, due[-1], bars)
        for closed_at in due:
            last = _place(columns, closed_at - step)
            if last is None or last + 1 < needed:
                continue  # too young a contract, or the exchange is late
            past = columns.window(last + 1 - needed, last + 1)
            score = self._asked(past, closed_at, barriers, group, slots)
            if score is not None:
                done.scored += save_score(self._store, score)
            self._done[symbol, timeframe, barriers] = closed_at

    def _due(self, symbol: str, timeframe: str, barriers: Barriers) -> list[int]:
        """Closes of the bars that nobody has scored yet, oldest first."""
        step = duration_ms(timeframe)
        newest = last_closed(self._clock.now_ms(), timeframe) + step
        known = self._done.get((symbol, timeframe, barriers))
        due: list[int] = []
        for back in range(CATCH_UP):
            closed_at = newest - back * step
            if known is not None and closed_at <= known:
                break
            # Known by nobody here: another process may have been at it.
            if find_score(self._store, symbol, timeframe, closed_at, barriers) is not None:
                self._done[symbol, timeframe, barriers] = max(known or 0, closed_at)
                break
            due.append(closed_at)
        return due[::-1]

    def _columns(self, symbol: str, timeframe: str, end: int, bars: int) -> Columns:
        candles = self._exchange.candles(symbol, timeframe, end=end, limit=bars)
        if not candles:
            raise MarketDataError("the exchange has no candles")
        read = CandleWindow(symbol, timeframe, bars)
        for candle in candles:
            read.append(candle)
        return read.columns()

    def _asked(
        self,
        past: Columns,
        closed_at: int,
        barriers: Barriers,
        group: list[OnnxModel],
        slots: dict[str, Slot],
    ) -> BarScore | None:
        """What those say that were champion or challenger at that bar; ``None`` where none was."""
        probabilities: dict[str, tuple[float, float, float]] = {}
        champions: list[str] = []
        refused: dict[str, str] = {}
        for model in group:
            card = model.card
            slot = slots.get(card.name, Slot(model=card.name))
            voted = self._champion(slot, closed_at) or self._shipped(card.name)
            key = model_key(card.name, card.version)
            if card.version == voted:
                champions.append(key)
            elif card.version not in slot.challengers(closed_at):
                continue
            rows = window(past, card.lookback)
            try:
                (row,) = model.probabilities(rows[None] if card.kind == "sequence" else rows)
            except BorsaError as error:
                refused[key] = str(error)[:300]
                _log.error("not scored: %s", error)
                continue
            down, flat, up = row.tolist()
            probabilities[key] = (down, flat, up)
        if not probabilities and not refused:
            return None
        atr = float(Frame(past, 1).atr(ATR))
        still = math.isnan(atr)
        return BarScore(
            symbol=past.symbol,
            timeframe=past.timeframe,
            closed_at=closed_at,
            features=tuple(window(past)[-1].tolist()),
            feature_set=FEATURE_SET,
            atr=None if still else atr,
            horizon_bars=barriers.horizon_bars,
            take_atr=barriers.take_atr,
            stop_atr=barriers.stop_atr,
            probabilities=probabilities,
            champions=tuple(champions),
            refused=refused,
            pending=not still,
        )

    def _shipped(self, name: str) -> str:
        return self._serving.card(name).version if name in self._serving.names() else ""

    # ------------------------------------------------------------------ labels

    def _label(self, done: Round) -> None:
        groups: dict[tuple[str, str], list[BarScore]] = defaultdict(list)
        for score in unlabelled(self._store, self._clock.now_ms()):
            groups[score.symbol, score.timeframe].append(score)
        requests = 0
        for (symbol, timeframe), scores in groups.items():
            for page in _pages(scores, duration_ms(timeframe)):
                if requests == REQUESTS:
                    return
                requests += 1
                try:
                    self._labelled(symbol, timeframe, page, done)
                except (ExchangeError, MarketDataError) as error:
                    _trouble(done, f"{symbol} {timeframe}: {error}")
                    self._give_up(page)
                    break

    def _labelled(self, symbol: str, timeframe: str, scores: list[BarScore], done: Round) -> None:
        step = duration_ms(timeframe)
        first = scores[0].closed_at - step
        last = max(score.known_at for score in scores)
        candles = self._exchange.candles(
            symbol, timeframe, start=first, end=last, limit=(last - first) // step
        )
        by_open = {candle.open_time: candle for candle in candles}
        missing = []
        for score in scores:
            opens = range(score.closed_at - step, score.known_at, step)
            run = [by_open[at] for at in opens if at in by_open]
            if len(run) < len(opens) or score.atr is None:
                missing.append(score)
                continue
            columns = to_columns(run)
            atr = np.full(len(columns), score.atr)
            label = int(outcomes(columns, atr, score.barriers).outcome[0])
            done.labelled += save_label(self._store, score, None if label == NONE else label)
        self._give_up(missing)

    def _give_up(self, scores: Iterable[BarScore]) -> None:
        for score in scores:
            if self._clock.now_ms() - score.known_at > GIVEN_UP_MS:
                save_label(self._store, score, None)


def _trouble(done: Round, text: str) -> None:
    _log.error("scoring: %s", text)
    done.troubles.append(text)


def _place(columns: Columns, open_time: int) -> int | None:
    """Where a bar is."""
    found = int(np.searchsorted(columns.open_time, open_time))
    if found < len(columns) and int(columns.open_time[found]) == open_time:
        return found
    return None


def _pages(scores: list[BarScore], step: int) -> Iterable[list[BarScore]]:
    """Scores whose candles come with one request, oldest first."""
    page: list[BarScore] = []
    for score in sorted(scores, key=lambda s: s.closed_at):
        if page and (score.known_at - page[0].closed_at) // step + 1 > PAGE:
            yield page
            page = []
        page.append(score)
    if page:
        yield page
