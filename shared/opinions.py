"""Wiring of what gives opinions: language model, sentiment, documents. Lazy, like bootstrap.

Part of the composition root, apart from it because nothing that trades needs any of this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.errors import TooManyRequests

if TYPE_CHECKING:
    from shared.bootstrap import Services
    from shared.intelligence.assistant import Assistant
    from shared.intelligence.documents import Documents
    from shared.intelligence.facts import Facts
    from shared.intelligence.feed_reader import FeedReader
    from shared.intelligence.language import Judge
    from shared.intelligence.llm_budget import DailyBudget
    from shared.intelligence.llm_client import LlmClient
    from shared.intelligence.llm_redaction import Redaction
    from shared.intelligence.texts import Texts
    from shared.remote.http import RemoteHttp
    from shared.security.throttle import Throttle

#: Questions to a language model within a minute.
LLM_PER_MINUTE = 20
#: Of them under way at the same time, on one instance.
LLM_AT_ONCE = 4
#: Seconds after which one of them has likely ended.
LLM_TURN_S = 5.0
#: Texts and documents handed in within a minute.
TEXTS_PER_MINUTE = 30
#: A longer feed is not read.
MOST_FEED_BYTES = 2 << 20
#: What Document Intelligence says of a file names every word with its place.
MOST_RESULT_BYTES = 64 << 20


class Opinions:
    """Services that give opinions, built on first use and then kept.

    Parameters
    ----------
    services : Services
        Whose settings, clock, store and secrets are used.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turns = threading.BoundedSemaphore(LLM_AT_ONCE)
        self._redaction: tuple[int, Redaction] | None = None

    @cached_property
    def llm_budget(self) -> DailyBudget:
        from shared.intelligence.llm_budget import DailyBudget, Prices

        s = self._services.settings.services
        return DailyBudget(
            self._services.store,
            self._services.clock,
            tokens=s.llm_daily_tokens,
            cost=float(s.llm_daily_cost),
            prices=Prices(float(s.llm_price_prompt), float(s.llm_price_completion)),
        )

    @cached_property
    def llm(self) -> LlmClient:
        from shared.intelligence.llm_client import LlmClient, LlmConfig

        s = self._services.settings.services
        return LlmClient(
            LlmConfig(
                base_url=s.llm_base_url,
                model=s.llm_model,
                key_secret=s.llm_key_name,
                max_output_tokens=s.llm_max_output_tokens,
            ),
            self.http("the language model", limit_s=s.llm_timeout_seconds),
            self._llm_key,
            self.llm_budget,
            self.redaction,
        )

    def _llm_key(self) -> str:
        from azure.core.exceptions import AzureError

        from shared.errors import ServiceUnavailable

        try:
            return self._services.secrets.get(self._services.settings.services.llm_key_name)
        except AzureError as error:
            raise ServiceUnavailable(
                f"the vault with the language model's key cannot be read: {type(error).__name__}"
            ) from None

    @cached_property
    def llm_throttle(self) -> Throttle:
        """Of its own: whoever chats must not keep anybody from clearing."""
        from shared.security.throttle import Throttle

        return Throttle(self._services.clock, LLM_PER_MINUTE, "to a language model")

    def redaction(self) -> Redaction:
        """What takes secrets out of prompts, with their values as they are now.

        Kept as long as the secrets themselves are: asking a vault for those that it does not have
        is a request each.
        """
        from shared.intelligence.llm_redaction import Redaction
        from shared.security.secrets import CACHE_SECONDS

        services, now = self._services, self._services.clock.now_ms()
        kept = self._redaction
        if kept is None or not 0 <= now - kept[0] < CACHE_SECONDS * 1000 or kept[1].blind:
            key = services.settings.services.llm_key_name
            kept = (now, Redaction(services.environment, services.secrets, (key,)))
            self._redaction = kept
        return kept[1]

    @contextmanager
    def llm_turn(self) -> Iterator[None]:
        """A place among those who ask a language model at the same time.

        An answer may take a minute, and an exit must find a thread of the worker: most stay free.

        Raises
        ------
        TooManyRequests
            When every place is taken, or too much was asked within a minute.
        """
        self.llm_throttle.admit()
        if not self._turns.acquire(blocking=False):
            raise TooManyRequests(
                f"{LLM_AT_ONCE} questions to the language model are under way; wait a little",
                retry_after=LLM_TURN_S,
            )
        try:
            yield
        finally:
            self._turns.release()

    @cached_property
    def text_throttle(self) -> Throttle:
        """For texts and documents that are handed in."""
        from shared.security.throttle import Throttle

        return Throttle(self._services.clock, TEXTS_PER_MINUTE, "with texts or documents")

    @cached_property
    def judge(self) -> Judge:
        from shared.intelligence.language import AzureLanguage, Lexicon

        endpoint = self._services.settings.services.language_endpoint
        if not endpoint:
            return Lexicon()
        return AzureLanguage(self.http("Azure AI Language", limit_s=20.0), endpoint, self._identity)

    @cached_property
    def texts(self) -> Texts:
        from shared.intelligence.texts import Texts

        s = self._services.settings
        return Texts(
            self._services.store,
            self._services.clock,
            self.judge,
            s.symbols,
            round(s.services.sentiment_half_life_hours * 3_600_000),
        )

    @cached_property
    def feeds(self) -> FeedReader:
        from shared.intelligence.feed_reader import FeedReader

        return FeedReader(
            self.http("the feed", limit_s=15.0, most_bytes=MOST_FEED_BYTES),
            self.texts,
            self._services.store,
            self._services.clock,
            self._services.settings.services.sentiment_feeds,
        )

    @cached_property
    def documents(self) -> Documents:
        from shared.intelligence.document import Reader
        from shared.intelligence.documents import Documents

        services = self._services
        endpoint = services.settings.services.document_endpoint
        reader: Reader
        if endpoint:
            from shared.intelligence.document_intelligence import DocumentIntelligence

            reader = DocumentIntelligence(
                self.http(
                    "Azure AI Document Intelligence", limit_s=60.0, most_bytes=MOST_RESULT_BYTES
                ),
                services.clock,
                endpoint,
                self._identity,
            )
        else:
            from shared.intelligence.pdf import PdfReader

            reader = PdfReader()
        return Documents(
            services.store,
            services.clock,
            reader,
            self.judge,
            self.llm,
            services.settings.symbols,
        )

    @cached_property
    def facts(self) -> Facts:
        from shared.intelligence.facts import Facts

        services = self._services
        return Facts(
            desk=services.viewing_desk,
            dashboard=services.dashboard,
            predictor=services.predictor,
            candles=services.recent_candles,
            timeframes=services.settings.timeframes,
            texts=self.texts.told,
            documents=self.documents.told,
        )

    @cached_property
    def assistant(self) -> Assistant:
        from shared.intelligence.assistant import Assistant

        return Assistant(self.llm, self.facts, self._services.clock)

    @cached_property
    def _identity(self) -> Callable[[], str]:
        from shared.remote.identity import bearer

        return bearer(self._services.settings.azure_client_id)

    def http(self, service: str, **options: Any) -> RemoteHttp:
        """What asks an outside service."""
        from shared.remote.http import RemoteHttp

        return RemoteHttp(service, self._services.clock, **options)
