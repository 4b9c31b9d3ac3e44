"""A client of any endpoint that speaks OpenAI's chat completions, Groq's by default.

https://platform.openai.com/docs/api-reference/chat and https://console.groq.com/docs/api-reference.
Nothing is streamed. Every request is redacted, counted against the day's budget before it is sent,
and its text is never logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from shared.errors import (
    BorsaError,
    ConfigurationError,
    ServiceError,
    ServiceRefused,
    ServiceThrottled,
    ServiceUnavailable,
)
from shared.intelligence.llm_budget import DailyBudget
from shared.intelligence.llm_messages import Completion, Message, Tool, ToolCall, Usage, user
from shared.intelligence.llm_redaction import Redaction
from shared.remote.http import Answer, RemoteHttp

T = TypeVar("T")

#: Bytes counted as one token before the endpoint has counted: English has about four, JSON with
#: many figures about three.
BYTES_PER_TOKEN = 2
#: Tokens that an image counts for at most.
IMAGE_TOKENS = 3_000
#: Where a key may go without TLS: this machine.
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
#: Codes of a model that is not there, or not any more.
_NO_MODEL = frozenset({"model_not_found", "model_decommissioned"})
#: Models that are named then, at most.
_MODELS_TOLD = 20
#: Codes of a 400 that the model itself caused, and may not cause again: Groq's for a tool call or
#: JSON that it did not manage to write.
_OWN_FAULT = frozenset({"tool_use_failed", "json_validate_failed"})


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None


class _Counted(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Response(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    usage: _Counted | None = None


class _Error(msgspec.Struct):
    message: str = ""
    code: str | int | None = None
    type: str | None = None


class _Failure(msgspec.Struct):
    error: _Error


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class LlmConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoint and model, and how much it may write.

    Parameters
    ----------
    base_url : str
        Up to and without ``/chat/completions``.
    model : str
    key_secret : str
        Name of the secret with the API key; ``none`` for an endpoint that needs none.
    max_output_tokens : int
        Of one answer.
    """

    base_url: str
    model: str
    key_secret: str
    max_output_tokens: int


class LlmClient:
    """Asks a language model.

    Parameters
    ----------
    config : LlmConfig
    http : RemoteHttp
    key : callable
        Gives the API key; a ``ConfigurationError`` says what to set.
    budget : DailyBudget
    redaction : callable
        Makes a :class:`Redaction` that knows the secrets as they are now.
    """

    def __init__(
        self,
        config: LlmConfig,
        http: RemoteHttp,
        key: Callable[[], str],
        budget: DailyBudget,
        redaction: Callable[[], Redaction],
    ) -> None:
        self.config = config
        self.budget = budget
        self._http = http
        self._key = key
        self._redaction = redaction

    @property
    def provider(self) -> str:
        """Host of the endpoint."""
        return urlsplit(self.config.base_url).hostname or ""

    def ready(self) -> None:
        """Find out whether there is a key, before anything is gathered for a request.

        Raises
        ------
        ConfigurationError
            Saying what to set.
        """
        self._headers()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        json: bool = False,
        model: str = "",
        max_tokens: int = 0,
    ) -> Completion:
        """One answer of the model.

        Parameters
        ----------
        tools : sequence of Tool
            What it may ask to have called.
        json : bool
            Whether the answer has to be a JSON object (a message must say so too).
        model : str
            Another than the configured one, for example one that can see.
        max_tokens : int
            Of the answer; by default, and at most, what is configured.

        Raises
        ------
        ConfigurationError
            When there is no key, or it would go out unencrypted.
        TooManyRequests
            When the day's budget does not have enough left.
        ServiceRefused, ServiceThrottled, ServiceUnavailable
            When the endpoint does not answer as it should.
        """
        headers = self._headers()
        limit = min(max_tokens or self.config.max_output_tokens, self.config.max_output_tokens)
        body: dict[str, Any] = {
            "model": model or self.config.model,
            "messages": self._redaction().messages(messages),
            "max_completion_tokens": limit,
            "temperature": 0,
        }
        if tools:
            body["tools"] = [{"type": "function", "function": tool} for tool in tools]
        if json:
            body["response_format"] = {"type": "json_object"}
        encoded = msgspec.json.encode(body)
        for last in (False, True):
            try:
                return self._counted(encoded, headers, _prompt_tokens(messages, encoded), limit)
            except _Again as again:
                if last:
                    raise ServiceUnavailable(str(again), status=400, sent=True) from None
        raise AssertionError("unreachable")

    def structured(
        self, messages: Sequence[Message], type_: type[T], *, model: str = "", max_tokens: int = 0
    ) -> tuple[T, Completion]:
        """An answer of a given shape, asked for as JSON and checked; asked again once.

        JSON mode and not a schema on the endpoint's side: not every model has more than that, and
        what comes is checked here in any case.

        Raises
        ------
        ServiceUnavailable
            When the answer has not that shape, twice.
        """
        schema = msgspec.json.encode(msgspec.json.schema(type_)).decode()
        asked = [
            *messages,
            user(f"Answer with one JSON object and nothing else. It has this schema: {schema}"),
        ]
        used = Usage()
        problem = ""
        for _ in range(2):
            answer = self.complete(asked, json=True, model=model, max_tokens=max_tokens)
            used += answer.usage
            try:
                found = msgspec.json.decode(unfenced(answer.text), type=type_)
            except (msgspec.MsgspecError, UnicodeError) as error:
                problem = str(error)
                asked += [
                    Message(role="assistant", content=answer.text),
                    user(f"That cannot be used: {problem}. Answer again, with the JSON only."),
                ]
                continue
            return found, msgspec.structs.replace(answer, usage=used)
        raise ServiceUnavailable(
            f"{self.config.model} did not answer in the shape that was asked for: {problem}",
            sent=True,
        )

    def _counted(
        self, encoded: bytes, headers: dict[str, str], prompt: int, limit: int
    ) -> Completion:
        reserved = self.budget.reserve(prompt, limit)
        try:
            answer = self._http.ask(
                "POST",
                f"{self.config.base_url.rstrip('/')}/chat/completions",
                headers=headers,
                body=encoded,
                # A lost answer may have been paid for.
                repeatable=False,
            )
        except (ServiceThrottled, ServiceUnavailable) as error:
            if not error.sent:
                self.budget.release(reserved)
            raise
        if answer.status != 200:
            self.budget.release(reserved)
            raise self._refusal(answer, headers)
        try:
            found = msgspec.json.decode(answer.body, type=_Response)
            said = found.choices[0]
        except (msgspec.MsgspecError, UnicodeDecodeError, IndexError) as error:
            # Done and paid for, so the reservation stays.
            raise ServiceUnavailable(
                f"{self._http.service} answered with something else than a chat completion: "
                f"{type(error).__name__}",
                status=200,
                sent=True,
            ) from None
        usage = (
            None
            if found.usage is None
            else Usage(
                prompt_tokens=max(0, found.usage.prompt_tokens),
                completion_tokens=max(0, found.usage.completion_tokens),
            )
        )
        return Completion(
            text=said.message.content or "",
            tool_calls=said.message.tool_calls or (),
            model=found.model or self.config.model,
            finish=said.finish_reason or "",
            usage=self.budget.settle(reserved, usage),
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.config.key_secret == "none":
            return headers
        parts = urlsplit(self.config.base_url)
        if parts.scheme != "https" and parts.hostname not in _HERE:
            raise ConfigurationError(
                ["LLM_BASE_URL is not https: the key would be readable on its way"]
            )
        try:
            key = self._key()
        except ConfigurationError as error:
            raise ConfigurationError(
                [
                    f"no language model is configured: {error}; LLM_BASE_URL and LLM_MODEL say "
                    f"where it is asked ({self.provider}, {self.config.model})"
                ]
            ) from None
        return headers | {"Authorization": f"Bearer {key}"}

    def _refusal(self, answer: Answer, headers: Mapping[str, str]) -> BorsaError:
        try:
            error = msgspec.json.decode(answer.body, type=_Failure).error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            error = _Error()
        kind = error.code or error.type or ""
        service = self._http.service
        if answer.status == 400 and kind in _OWN_FAULT:
            return _Again(f"{service}: the model's answer could not be used ({kind}), twice")
        told = self._redaction().text(error.message)[:200]
        if answer.status in (401, 403):
            # Some endpoints repeat a part of the key in this message.
            told = f"secret {self.config.key_secret} is not taken there"
        if kind in _NO_MODEL:
            told = f"{told} {self._served(headers)}"
        return ServiceRefused(
            f"{service} refused with {answer.status} {kind}: {told}".strip(": "),
            status=answer.status,
        )

    def _served(self, headers: Mapping[str, str]) -> str:
        """What to set instead of a model that is not served there: providers retire theirs."""
        said = "Set LLM_MODEL to one that is served there"
        try:
            answer = self._http.ask(
                "GET", f"{self.config.base_url.rstrip('/')}/models", headers=headers
            )
            names = [one.id for one in msgspec.json.decode(answer.body, type=_Models).data]
        except (ServiceError, msgspec.MsgspecError, UnicodeDecodeError):
            return f"{said}."
        known = ", ".join(sorted(n[:60] for n in names if n.isprintable())[:_MODELS_TOLD])
        return f"{said}: {known}." if known else f"{said}."


class _Again(BorsaError):
    """The model spoilt its own answer; another try may not."""


def unfenced(text: str) -> str:
    """JSON without the fence of a code block that models like to put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        _, _, text = text[3:-3].partition("\n")
    return text


def _prompt_tokens(messages: Sequence[Message], encoded: bytes) -> int:
    """Tokens of a request, rather too many than too few."""
    images = [
        part.image_url.url
        for message in messages
        if isinstance(message.content, tuple)
        for part in message.content
        if part.image_url is not None
    ]
    text = len(encoded) - sum(map(len, images))
    return text // BYTES_PER_TOKEN + 1 + IMAGE_TOKENS * len(images)
