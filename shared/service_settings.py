"""Settings of outside services that give opinions: language model, sentiment, documents.

A part of :mod:`shared.settings`, which reads them with all others. Nothing here is needed to
trade, and without a key or an address none of it is asked.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from shared.setting_reader import Reader


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What these services are and what they may use up.

    Prices are USD for a million tokens. ``language_endpoint`` and ``document_endpoint`` empty mean
    the built-in lexicon and reader; ``llm_vision_model`` empty, that no chart is read.
    """

    llm_base_url: str
    llm_model: str
    llm_vision_model: str
    llm_key_name: str
    llm_timeout_seconds: int
    llm_max_output_tokens: int
    llm_daily_tokens: int
    llm_daily_cost: Decimal
    llm_price_prompt: Decimal
    llm_price_completion: Decimal
    language_endpoint: str
    sentiment_feeds: tuple[str, ...]
    sentiment_half_life_hours: Decimal
    document_endpoint: str


#: Name, default and meaning of each.
SERVICE_SETTINGS: tuple[tuple[str, str, str], ...] = (
    ("LLM_BASE_URL", "https://api.groq.com/openai/v1", "OpenAI-compatible endpoint"),
    ("LLM_MODEL", "openai/gpt-oss-120b", "model that is asked there"),
    ("LLM_VISION_MODEL", "", "model there that can see, to read charts; empty: none is asked"),
    ("LLM_KEY_NAME", "llm-api-key", "name of the secret with its key; none: it needs no key"),
    ("LLM_TIMEOUT_SECONDS", "60", "for one answer of the model, 5-120"),
    ("LLM_MAX_OUTPUT_TOKENS", "4000", "tokens of one answer, thoughts included, 100-8000"),
    ("LLM_DAILY_TOKENS", "300000", "tokens of a UTC day, read and written; 0: none"),
    ("LLM_DAILY_COST", "1", "USD of a UTC day, at most 100; 0: none"),
    ("LLM_PRICE_PROMPT", "0.15", "USD for a million tokens read"),
    ("LLM_PRICE_COMPLETION", "0.6", "USD for a million tokens written"),
    ("LANGUAGE_ENDPOINT", "", "Azure AI Language; empty: the built-in lexicon"),
    ("SENTIMENT_FEEDS", "", "RSS or Atom addresses, separated by commas; empty: no feed is read"),
    ("SENTIMENT_HALF_LIFE_HOURS", "6", "after which a text counts half"),
    ("DOCUMENT_ENDPOINT", "", "Azure AI Document Intelligence; empty: the built-in reader"),
)

#: Secrets with a purpose of their own, which no language model's endpoint is ever sent.
_OTHERS = re.compile(r"binance|totp|twilio|webhook|push|telegram", re.IGNORECASE)
_SECRET = re.compile(r"[A-Za-z0-9-]{1,127}")
#: Feeds that are read at most.
MOST_FEEDS = 20


def read_services(read: Reader) -> ServiceSettings:
    """These settings out of the environment; what is wrong is noted in ``read.problems``."""
    return ServiceSettings(
        llm_base_url=read.url("LLM_BASE_URL"),
        llm_model=read.text("LLM_MODEL"),
        llm_vision_model=read.text("LLM_VISION_MODEL"),
        llm_key_name=read.parse(
            "LLM_KEY_NAME",
            _secret,
            "none",
            "the name of a secret of its own (letters, digits, dashes), or none",
        ),
        llm_timeout_seconds=read.integer("LLM_TIMEOUT_SECONDS", 5, 120),
        llm_max_output_tokens=read.integer("LLM_MAX_OUTPUT_TOKENS", 100, 8_000),
        llm_daily_tokens=read.integer("LLM_DAILY_TOKENS", 0, 100_000_000),
        llm_daily_cost=read.optional("LLM_DAILY_COST", "100"),
        llm_price_prompt=read.optional("LLM_PRICE_PROMPT", "1000"),
        llm_price_completion=read.optional("LLM_PRICE_COMPLETION", "1000"),
        language_endpoint=read.url("LANGUAGE_ENDPOINT"),
        sentiment_feeds=_feeds(read),
        sentiment_half_life_hours=read.number("SENTIMENT_HALF_LIFE_HOURS", "0.1", "168"),
        document_endpoint=read.url("DOCUMENT_ENDPOINT"),
    )


def _secret(value: str) -> str:
    if not _SECRET.fullmatch(value) or _OTHERS.search(value):
        raise ValueError(value)
    return value


def _feeds(read: Reader) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(x.strip() for x in read.text("SENTIMENT_FEEDS").split(",")))
    found = tuple(x for x in found if x)
    if len(found) > MOST_FEEDS or not all(x.startswith(("https://", "http://")) for x in found):
        # Not shown: an address may hold a token.
        read.problems.append(
            f"SENTIMENT_FEEDS must be http(s) addresses, at most {MOST_FEEDS}, or empty"
        )
        return ()
    return found
