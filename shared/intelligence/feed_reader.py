"""Reads the configured feeds, one after another; one that fails does not keep the others."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from shared.clock import Clock
from shared.errors import InvalidInput, ServiceError
from shared.intelligence.feeds import parsed
from shared.intelligence.texts import CONTAINER, NewText, Texts
from shared.remote.http import RemoteHttp
from shared.storage.records import readable
from shared.storage.store import Store, put

SUBJECT = "feeds"
_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8"

_log = logging.getLogger("borsa.sentiment")


class FeedState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the last reading of a feed went. ``host`` only: an address may hold a token."""

    id: str
    subject: str
    host: str
    read_at: int
    items: int
    added: int
    problem: str


class FeedReader:
    """Reads feeds into texts.

    Parameters
    ----------
    http : RemoteHttp
    texts : Texts
    store : Store
    clock : Clock
    feeds : sequence of str
        Addresses.
    """

    def __init__(
        self,
        http: RemoteHttp,
        texts: Texts,
        store: Store,
        clock: Clock,
        feeds: Sequence[str],
    ) -> None:
        self._http = http
        self._texts = texts
        self._store = store
        self._clock = clock
        self._feeds = tuple(feeds)

    def read(self) -> list[FeedState]:
        """Read every feed once.

        Raises
        ------
        StoreUnavailable
            When texts cannot be stored; the next reading takes them again.
        """
        return [self._one(url) for url in self._feeds]

    def states(self) -> list[FeedState]:
        """How the last reading of each configured feed went."""
        found = [self._store.get(CONTAINER, SUBJECT, _id(url)) for url in self._feeds]
        return list(readable([d for d in found if d is not None], FeedState))

    def _one(self, url: str) -> FeedState:
        host = urlsplit(url).hostname or ""
        items = added = 0
        problem = ""
        seen_at = self._clock.now_ms()
        try:
            found = parsed(self._fetched(url))
            items = len(found)
            new = [
                NewText(
                    title=item.title,
                    body=item.body,
                    url=item.url,
                    source=host,
                    published_at=item.published_at,
                )
                for item in found
            ]
            added = self._texts.add(new, seen_at).added
        except (ServiceError, InvalidInput) as error:
            problem = str(error)[:300]
            _log.warning("feed of %s: %s", host, problem)
        state = FeedState(
            id=_id(url),
            subject=SUBJECT,
            host=host,
            read_at=self._clock.now_ms(),
            items=items,
            added=added,
            problem=problem,
        )
        put(self._store, CONTAINER, SUBJECT, msgspec.to_builtins(state))
        return state

    def _fetched(self, url: str) -> bytes:
        answer = self._http.ask("GET", url, headers={"Accept": _ACCEPT})
        if answer.status in (301, 302, 303, 307, 308):
            there = urlsplit(answer.headers.get("location", ""))
            raise InvalidInput(
                f"moved to {there.scheme}://{there.hostname}; set its new address in "
                "SENTIMENT_FEEDS"
            )
        if answer.status != 200:
            raise InvalidInput(f"answered {answer.status}")
        return answer.body


def _id(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
