"""Who judges texts: Azure AI Language, or the lexicon where there is none or it does not answer.

The synchronous call of the REST API, https://learn.microsoft.com/rest/api/language/analyze-text:
at most ten documents of 5,120 characters for sentiment analysis.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from shared.errors import ServiceError, ServiceRefused, ServiceUnavailable
from shared.intelligence import lexicon
from shared.remote.http import RemoteHttp

API = "2023-04-01"
BATCH, LONGEST = 10, 5_120

_log = logging.getLogger("borsa.sentiment")


class Judged(msgspec.Struct, frozen=True):
    """A score from -1 (bad) to 1 (good), and who gave it."""

    score: float
    by: str


class Judge(Protocol):
    """Anything that judges texts."""

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        """A judgement for each text, in their order."""
        ...


class Lexicon:
    """The built-in one."""

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        return [Judged(lexicon.score(text), lexicon.VERSION) for text in texts]


class _Confidence(msgspec.Struct):
    positive: float
    neutral: float
    negative: float


class _Document(msgspec.Struct, rename="camel"):
    id: str
    confidence_scores: _Confidence


class _Results(msgspec.Struct, rename="camel"):
    documents: list[_Document]
    model_version: str = ""


class _Response(msgspec.Struct):
    results: _Results


class AzureLanguage:
    """Azure AI Language with the application's identity.

    Parameters
    ----------
    http : RemoteHttp
    endpoint : str
        ``https://NAME.cognitiveservices.azure.com``.
    token : callable
        Gives a bearer token.
    language : str
        Of the texts, ISO 639-1.
    """

    def __init__(
        self, http: RemoteHttp, endpoint: str, token: Callable[[], str], language: str = "en"
    ) -> None:
        self._http = http
        self._url = f"{endpoint.rstrip('/')}/language/:analyze-text?api-version={API}"
        self._token = token
        self._language = language
        self._otherwise = Lexicon()

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        """A judgement for each text; the lexicon's where the service gives none."""
        found: list[Judged] = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            try:
                scores = self._asked(batch)
            except ServiceError as error:
                _log.warning("texts are judged by the lexicon: %s", error)
                scores = {}
            plain = self._otherwise.judge(batch)
            found += [scores.get(place, plain[place]) for place in range(len(batch))]
        return found

    def _asked(self, batch: Sequence[str]) -> dict[int, Judged]:
        body = {
            "kind": "SentimentAnalysis",
            "parameters": {"modelVersion": "latest", "loggingOptOut": True},
            "analysisInput": {
                "documents": [
                    {"id": str(place), "language": self._language, "text": text[:LONGEST]}
                    for place, text in enumerate(batch)
                ]
            },
        }
        answer = self._http.ask(
            "POST",
            self._url,
            headers={
                "Authorization": f"Bearer {self._token()}",
                "Content-Type": "application/json",
            },
            body=msgspec.json.encode(body),
        )
        if answer.status != 200:
            raise ServiceRefused(
                f"{self._http.service} refused with {answer.status}: {error_code(answer.body)}",
                status=answer.status,
            )
        try:
            results = msgspec.json.decode(answer.body, type=_Response).results
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServiceUnavailable(
                f"{self._http.service} answered in another shape: {error}", status=200, sent=True
            ) from None
        by = f"Azure AI Language {results.model_version}".strip()
        found = {}
        for one in results.documents:
            value = one.confidence_scores.positive - one.confidence_scores.negative
            if one.id.isascii() and one.id.isdigit() and -1.0 <= value <= 1.0:
                found[int(one.id)] = Judged(value, by)
        return found


class _Problem(msgspec.Struct):
    code: str = ""


class _Failure(msgspec.Struct):
    error: _Problem


def error_code(body: bytes) -> str:
    """The code of an error of Azure AI services; its message is left out, it may quote a text."""
    try:
        return msgspec.json.decode(body, type=_Failure).error.code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "no reason given"
