"""Operations on what gives opinions: language model, sentiment, documents."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from functions.assistant import AnalysisRequest, ChatRequest
from functions.openapi.operation import (
    PAGE,
    Continuation,
    Millis,
    Operation,
    Parameter,
    Shape,
    When,
)
from functions.sentiment import PostedTexts
from shared.intelligence.assistant import Analysed, Answered
from shared.intelligence.document import DocumentRecord, Summarised
from shared.intelligence.feed_reader import FeedState
from shared.intelligence.llm_budget import Spent
from shared.intelligence.texts import Added

Score = Annotated[float, Meta(ge=-1, le=1, description="-1 is bad for the price, 1 good")]


class AssistantState(Shape):
    """``problem`` says what to set where it is not ``ready``."""

    ready: bool
    problem: str
    provider: str
    model: str
    spent: Spent


class TextTold(Shape):
    title: str
    source: str
    url: str
    published_at: When | None
    seen_at: When
    score: Score
    by: str


class SymbolSentiment(Shape):
    symbol: str
    time: When
    score: Score
    count: int
    texts: list[TextTold]


class SentimentNow(Shape):
    half_life_hours: str
    sentiment: list[SymbolSentiment]
    feeds: list[FeedState]


class ListedDocument(Shape):
    """A document without its text; ``tables`` is how many it has."""

    id: str
    name: str
    size: int
    pages: int
    reader: str
    read_at: Millis
    cut: bool
    tables: int
    characters: int
    beginning: str
    symbols: list[str]
    sentiment: Score
    sentiment_by: str
    summary: Summarised | None
    summary_problem: str


class DocumentPage(Shape):
    documents: list[ListedDocument]
    continuation: Continuation


OPERATIONS = (
    Operation(
        function="assistant",
        method="GET",
        route="assistant",
        summary="Whether a language model is configured, which, and what it has used up today",
        answers={200: AssistantState},
        errors=(502,),
    ),
    Operation(
        function="chat",
        method="POST",
        route="assistant/chat",
        summary="A language model's answer about account and market, with the figures it was given",
        body=ChatRequest,
        answers={200: Answered},
        errors=(429, 502),
    ),
    Operation(
        function="analyse",
        method="POST",
        route="analysis/{symbol}",
        summary="A language model's opinion of a market, with the figures it was given",
        body=AnalysisRequest,
        body_required=False,
        answers={200: Analysed},
        errors=(429, 502),
    ),
    Operation(
        function="sentiment",
        method="GET",
        route="sentiment",
        summary="Sentiment of every symbol, or of one, with the newest texts and the feeds",
        query=(Parameter("symbol", str, "only this one"),),
        answers={200: SentimentNow},
        errors=(400,),
    ),
    Operation(
        function="add_texts",
        method="POST",
        route="sentiment",
        summary="Take texts about symbols in; they count from now on",
        body=PostedTexts,
        answers={201: Added},
        errors=(429,),
    ),
    Operation(
        function="add_document",
        method="POST",
        route="documents",
        summary="Read a PDF of at most 4 MiB, which is the body; 200 where it was read before",
        query=(Parameter("name", str, "what it is called"),),
        answers={200: DocumentRecord, 201: DocumentRecord},
        errors=(400, 413, 429, 502),
    ),
    Operation(
        function="list_documents",
        method="GET",
        route="documents",
        summary="Documents without their text, the newest first",
        query=PAGE,
        answers={200: DocumentPage},
        errors=(400,),
    ),
    Operation(
        function="get_document",
        method="GET",
        route="documents/{id}",
        summary="One document with its text, tables and figures",
        answers={200: DocumentRecord},
        errors=(404,),
    ),
)
