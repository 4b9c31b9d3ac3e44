"""Texts about symbols, each stored once with its score, and the sentiment they come to.

A text counts from the moment its score was stored, which is after it was first seen: at a bar's
close nothing counts that came later, whatever date it bears.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.clock import Clock, iso
from shared.errors import AlreadyExists, StoreError
from shared.intelligence.language import Judge
from shared.intelligence.mentions import mentioned
from shared.market.timeframe import DAY_MS
from shared.storage.patience import at_most
from shared.storage.records import readable
from shared.storage.store import Store, Where
from shared.strategies.sentiment import Reading

CONTAINER = "intelligence"
#: Texts of one symbol that are weighed; of more, the newest.
MOST = 200
#: Seconds that a signal waits for them.
PATIENCE = 1.0
#: Half-lives after which a text is forgotten.
MEMORY = 8
#: A text of no opinion that is always there: few or old texts say little.
PRIOR = 1.0
_SPACE = re.compile(r"\W+")


class NewText(msgspec.Struct, frozen=True, kw_only=True):
    """A text as it came. ``symbols`` empty: those that it names."""

    title: str
    body: str = ""
    url: str = ""
    source: str = ""
    published_at: int | None = None
    symbols: tuple[str, ...] = ()


class Text(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A stored text. Times in UTC milliseconds.

    Parameters
    ----------
    published_at : int, optional
        As the text says.
    seen_at : int
        When it came here first.
    scored_at : int
        When its score was stored: from then on it counts.
    by : str
        Who judged it.
    """

    id: str
    subject: str
    symbol: str
    title: str
    body: str
    url: str
    source: str
    published_at: int | None
    seen_at: int
    scored_at: int
    score: float
    by: str


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What became of texts that came: stored for so many symbols, known before, about nothing."""

    added: int = 0
    known: int = 0
    unrelated: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(
            added=self.added + other.added,
            known=self.known + other.known,
            unrelated=self.unrelated + other.unrelated,
        )


class Texts:
    """Takes texts in and tells what they come to.

    Parameters
    ----------
    store : Store
    clock : Clock
    judge : Judge
    symbols : sequence of str
        That texts can be about.
    half_life_ms : int
        Age at which a text counts half.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        judge: Judge,
        symbols: Sequence[str],
        half_life_ms: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._judge = judge
        self.symbols = tuple(symbols)
        self._half_life = half_life_ms

    def add(self, texts: Sequence[NewText], seen_at: int | None = None) -> Added:
        """Judge and store what is new.

        Parameters
        ----------
        texts : sequence of NewText
        seen_at : int, optional
            When they came, by default now.

        Raises
        ------
        StoreUnavailable
            What was stored before it stays; the same texts may be given again.
        """
        seen_at = self._clock.now_ms() if seen_at is None else seen_at
        known = unrelated = 0
        fresh: list[tuple[NewText, str, list[str]]] = []
        taken: set[tuple[str, str]] = set()
        for text in texts:
            named = mentioned(f"{text.title} {text.body}", self.symbols)
            about = text.symbols or named
            if not about:
                unrelated += 1
                continue
            key = identity(text)
            wanted = [
                symbol
                for symbol in about
                if (key, symbol) not in taken
                and self._store.get(CONTAINER, _subject(symbol), key) is None
            ]
            taken |= {(key, symbol) for symbol in wanted}
            known += len(about) - len(wanted)
            if wanted:
                fresh.append((text, key, wanted))
        judged = self._judge.judge([f"{t.title}. {t.body}" for t, _, _ in fresh])
        added = 0
        for (text, key, wanted), one in zip(fresh, judged, strict=True):
            for symbol in wanted:
                record = Text(
                    id=key,
                    subject=_subject(symbol),
                    symbol=symbol,
                    title=text.title,
                    body=text.body,
                    url=text.url,
                    source=text.source,
                    published_at=text.published_at,
                    seen_at=seen_at,
                    scored_at=self._clock.now_ms(),
                    score=one.score,
                    by=one.by,
                )
                try:
                    self._store.create(CONTAINER, msgspec.to_builtins(record))
                except AlreadyExists:
                    known += 1
                else:
                    added += 1
        return Added(added=added, known=known, unrelated=unrelated)

    def reading(self, symbol: str, at: int) -> Reading:
        """Sentiment of a symbol from what was known before ``at``; of nothing, no opinion.

        Never raises on account of the store: a signal is not held up by it, and says so.
        """
        try:
            with at_most(PATIENCE):
                found = self.known_before(symbol, at)
            return reading(found, at, self._half_life)
        except StoreError as error:
            return Reading(at=at, problem=f"{type(error).__name__}: {error}"[:200])

    def known_before(self, symbol: str, at: int) -> list[Text]:
        """Texts that count at a moment, the newest first.

        Raises
        ------
        StoreUnavailable
        """
        found: list[Text] = []
        continuation: str | None = None
        while len(found) < MOST:
            page = self._store.query(
                CONTAINER,
                _subject(symbol),
                where=[
                    Where("scoredAt", "<", at),
                    Where("scoredAt", ">=", at - MEMORY * self._half_life),
                ],
                order_by="scoredAt",
                descending=True,
                limit=MOST,
                continuation=continuation,
            )
            found += readable(page.documents, Text)
            continuation = page.continuation
            if continuation is None:
                break
        return found[:MOST]

    def told(self, symbol: str, rows: int = 10) -> dict[str, Any]:
        """Sentiment of a symbol now, with the newest texts, for people."""
        now = self._clock.now_ms()
        texts = self.known_before(symbol, now)
        found = reading(texts, now, self._half_life)
        return {
            "symbol": symbol,
            "time": iso(now),
            "score": found.score,
            "count": found.texts,
            "texts": [
                {
                    "title": t.title,
                    "source": t.source,
                    "url": t.url,
                    "publishedAt": None if t.published_at is None else iso(t.published_at),
                    "seenAt": iso(t.seen_at),
                    "score": t.score,
                    "by": t.by,
                }
                for t in texts[:rows]
            ],
        }


def reading(texts: Sequence[Text], at: int, half_life_ms: int) -> Reading:
    """What texts come to at a moment: their mean, weighed by age, drawn to 0 by one neutral text.

    The age is that of the publication, or of the first sight where that is earlier or unknown.
    """
    weights = []
    for text in texts:
        told = text.seen_at if text.published_at is None else text.published_at
        age = max(0, at - min(told, text.seen_at))
        weights.append(0.5 ** (age / half_life_ms))
    total = math.fsum(w * t.score for w, t in zip(weights, texts, strict=True))
    score = total / (PRIOR + math.fsum(weights))
    return Reading(at=at, score=max(-1.0, min(1.0, score)), texts=len(texts))


def identity(text: NewText) -> str:
    """The same for the same text from several feeds: its words, and the day it was published.

    Without a date, its address stands for the day, or nothing: then once is for ever.
    """
    words = _SPACE.sub(" ", text.title.lower()).strip()
    when = text.url if text.published_at is None else str(text.published_at // DAY_MS)
    return hashlib.sha256(f"{words}\n{when}".encode()).hexdigest()[:32]


def _subject(symbol: str) -> str:
    return f"texts:{symbol}"
