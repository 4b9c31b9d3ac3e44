"""Wiring of what gives opinions: language model, sentiment, documents. Lazy, like bootstrap.

Part of the composition root, apart from it because nothing that trades needs any of this.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.bootstrap import Services
    from shared.intelligence.llm_budget import DailyBudget
    from shared.intelligence.llm_client import LlmClient
    from shared.intelligence.llm_redaction import Redaction
    from shared.remote.http import RemoteHttp
    from shared.security.throttle import Throttle

#: Questions to a language model within a minute.
LLM_PER_MINUTE = 20


class Opinions:
    """Services that give opinions, built on first use and then kept.

    Parameters
    ----------
    services : Services
        Whose settings, clock, store and secrets are used.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
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
            lambda: self._services.secrets.get(s.llm_key_name),
            self.llm_budget,
            self.redaction,
        )

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

    def http(self, service: str, **options: Any) -> RemoteHttp:
        """What asks an outside service."""
        from shared.remote.http import RemoteHttp

        return RemoteHttp(service, self._services.clock, **options)
