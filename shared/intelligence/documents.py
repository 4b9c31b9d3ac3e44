"""Market reports: read once, searched for symbols and figures, judged, summed up, and stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from shared.clock import Clock, iso
from shared.errors import (
    AlreadyExists,
    ConfigurationError,
    InvalidInput,
    NotFound,
    ServiceError,
    TooManyRequests,
)
from shared.intelligence.document import (
    MOST_BYTES,
    MOST_TEXT,
    Content,
    DocumentRecord,
    Reader,
    Summarised,
    Summary,
    cut_tables,
    figures,
)
from shared.intelligence.facts import UNTRUSTED
from shared.intelligence.language import LONGEST, Judge
from shared.intelligence.llm_client import LlmClient
from shared.intelligence.llm_messages import system, user
from shared.intelligence.mentions import mentioned
from shared.intelligence.unsupported import unsupported
from shared.storage.records import record_of
from shared.storage.store import Page, Store

CONTAINER = "intelligence"
SUBJECT = "documents"
#: Characters that a language model is given.
SUMMED_UP = 24_000

_RULES = f"""\
You sum up a market report for a trader of crypto futures. The report follows between the lines
REPORT and END. {UNTRUSTED} Say only what is in it, and no figure that is not."""


class Documents:
    """Takes documents in and gives them out.

    Parameters
    ----------
    store : Store
    clock : Clock
    reader : Reader
    judge : Judge
    llm : LlmClient
        Asked for a summary where it is configured.
    symbols : sequence of str
        That documents can be about.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        reader: Reader,
        judge: Judge,
        llm: LlmClient,
        symbols: Sequence[str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._reader = reader
        self._judge = judge
        self._llm = llm
        self._symbols = tuple(symbols)

    def add(self, name: str, pdf: bytes) -> tuple[DocumentRecord, bool]:
        """The document as it is stored, and whether it is new.

        Raises
        ------
        InvalidInput
            When it is too large, no PDF, or cannot be read.
        ServiceError
            When the service that reads does not.
        """
        if len(pdf) > MOST_BYTES:
            raise InvalidInput(f"the document has {len(pdf)} bytes; at most {MOST_BYTES} are read")
        # A PDF may have a few bytes before its header.
        if b"%PDF-" not in pdf[:1024]:
            raise InvalidInput("this is no PDF")
        id_ = hashlib.sha256(pdf).hexdigest()[:32]
        known = self._store.get(CONTAINER, SUBJECT, id_)
        if known is not None:
            return record_of(known.body, DocumentRecord), False
        record = self._made(id_, name, len(pdf), self._reader.read(pdf))
        try:
            self._store.create(CONTAINER, msgspec.to_builtins(record))
        except AlreadyExists:
            return self.get(id_), False
        return record, True

    def get(self, id_: str) -> DocumentRecord:
        """One document, whole.

        Raises
        ------
        NotFound
        """
        found = self._store.get(CONTAINER, SUBJECT, id_)
        if found is None:
            raise NotFound(f"there is no document {id_}")
        return record_of(found.body, DocumentRecord)

    def page(self, limit: int, continuation: str | None = None) -> Page:
        """Documents, the newest first."""
        return self._store.query(
            CONTAINER,
            SUBJECT,
            order_by="readAt",
            descending=True,
            limit=limit,
            continuation=continuation,
        )

    def told(self, limit: int = 5) -> list[dict[str, object]]:
        """The newest documents as a language model is told of them."""
        found = []
        for document in self.page(limit).documents:
            record = record_of(document.body, DocumentRecord)
            found.append(
                {
                    "name": record.name,
                    "readAt": iso(record.read_at),
                    "symbols": record.symbols,
                    "sentiment": record.sentiment,
                    "summary": None if record.summary is None else record.summary.summary,
                    "beginning": record.text[:800],
                }
            )
        return found

    def _made(self, id_: str, name: str, size: int, content: Content) -> DocumentRecord:
        text = "".join(c for c in content.text if c in "\n\t" or c.isprintable())
        (judged,) = self._judge.judge([text[:LONGEST]])
        summary, problem = self._summary(text)
        return DocumentRecord(
            id=id_,
            subject=SUBJECT,
            name=name,
            size=size,
            pages=content.pages,
            reader=content.reader,
            read_at=self._clock.now_ms(),
            text=text[:MOST_TEXT],
            cut=len(text) > MOST_TEXT,
            tables=cut_tables(content.tables),
            symbols=list(mentioned(text, self._symbols)),
            figures=figures(text),
            sentiment=judged.score,
            sentiment_by=judged.by,
            summary=summary,
            summary_problem=problem,
        )

    def _summary(self, text: str) -> tuple[Summarised | None, str]:
        """A summary, or why there is none: the document is kept in any case."""
        if not text.strip():
            return None, "there is no text in it; a scan needs DOCUMENT_ENDPOINT"
        given = text[:SUMMED_UP]
        try:
            self._llm.ready()
            summary, answer = self._llm.structured(
                [system(_RULES), user(f"REPORT\n{given}\nEND")], Summary
            )
        except (ConfigurationError, ServiceError, TooManyRequests) as error:
            return None, str(error)[:400]
        words = " ".join((summary.about, *summary.points))
        return (
            Summarised(
                summary=summary,
                model=answer.model,
                notice=f"A summary by {answer.model} at {self._llm.provider}; check it against "
                "the text.",
                unsupported=unsupported(words, given),
            ),
            "",
        )
