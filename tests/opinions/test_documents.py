"""Documents: read by the built-in reader or by the service, searched, summed up, kept."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import (
    InvalidInput,
    NotFound,
    ServiceError,
    ServiceRefused,
    ServiceUnavailable,
)
from shared.intelligence.document import (
    MOST_BYTES,
    MOST_CELLS,
    MOST_IN_CELL,
    MOST_TABLES,
    MOST_TEXT,
    Content,
    Figure,
    cut_tables,
    figures,
    listed,
)
from shared.intelligence.document_intelligence import DocumentIntelligence
from shared.intelligence.documents import Documents
from shared.intelligence.language import Lexicon
from shared.intelligence.pdf import PdfReader
from shared.remote.http import RemoteHttp
from shared.storage.document import MAX_BYTES
from shared.storage.sqlite import SqliteStore
from tests.opinions.conftest import START
from tests.opinions.made_pdf import laughing, pdf
from tests.opinions.remote_server import Remote, Reply, Seen, completion
from tests.opinions.test_llm_client import client

PYPDF = pytest.mark.skipif(
    importlib.util.find_spec("pypdf") is None and not os.environ.get("CI"),
    reason="pypdf is not installed: this environment is of before it was needed",
)
REPORT = (
    "Weekly report\nBitcoin rallied 12.5% to $97,500 as funds saw inflows of 1.2 billion USD.\n"
    "Cardano slipped."
)


class Given:
    """A reader that was given what it says."""

    def __init__(self, text: str = REPORT, tables: Any = ()) -> None:
        self.content = Content(reader="given", pages=1, text=text, tables=list(tables))
        self.times = 0

    def read(self, _: bytes) -> Content:
        self.times += 1
        return self.content


def documents(
    server: Remote, clock: VirtualClock, store: SqliteStore, reader: Any = None, key: bool = False
) -> Documents:
    environment = None if key else {}
    llm = client(server, clock, store, environment=environment)
    return Documents(
        store, clock, reader or Given(), Lexicon(), llm, ("BTCUSDT", "ETHUSDT", "ADAUSDT")
    )


# ---------------------------------------------------------------- what is found in a text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rose 12.5% today", [("12.5", "%")]),
        ("to $97,500.25", [("97,500.25", "$")]),
        ("inflows of 1.2 billion USD", [("1.2", "billion")]),
        ("€3bn and 40 bps", [("3", "€ bn"), ("40", "bps")]),
        ("-4 percent", [("-4", "percent")]),
        ("in 2025, page 7", []),
        ("5% and 5% again", [("5", "%")]),
    ],
)
def test_figures(text: str, found: list[tuple[str, str]]) -> None:
    assert [(f.number, f.unit) for f in figures(text)] == found


def test_a_figure_has_its_words() -> None:
    (one,) = figures("x " * 100 + "Bitcoin rallied 12.5% within\n a week" + " y" * 100)
    assert one == Figure(number="12.5", unit="%", context=one.context)
    assert "Bitcoin rallied 12.5% within a week" in one.context
    assert len(one.context) < 150


@given(st.text(alphabet="0123456789,.$% -kM\nbillion", max_size=400))
def test_any_text_has_figures_or_none(text: str) -> None:
    for one in figures(text):
        assert one.unit


# ---------------------------------------------------------------- kept


def test_a_document_is_read_once_and_kept(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    reader = Given(tables=[[["coin", "change"], ["BTC", "12.5%"]]])
    own = documents(server, clock, store, reader)
    record, new = own.add("report.pdf", pdf(REPORT))
    assert new
    assert record.symbols == ["BTCUSDT", "ADAUSDT"]
    assert [f.number for f in record.figures] == ["12.5", "97,500", "1.2"]
    assert record.tables == [[["coin", "change"], ["BTC", "12.5%"]]]
    assert (record.sentiment_by, record.read_at) == ("lexicon 1", START)
    assert record.sentiment > 0
    # No key, no summary, and what to set.
    assert record.summary is None
    assert "LLM_API_KEY" in record.summary_problem
    assert own.add("again.pdf", pdf(REPORT)) == (record, False)
    assert reader.times == 1
    assert own.get(record.id) == record
    (row,) = [listed(record)]
    assert "text" not in row
    assert row["beginning"].startswith("Weekly report")
    with pytest.raises(NotFound):
        own.get("none")


@pytest.mark.parametrize(
    ("body", "word"),
    [(b"", "no PDF"), (b"PK\x03\x04 a zip", "no PDF"), (b"%PDF-" + bytes(MOST_BYTES), "at most")],
)
def test_what_is_no_document(
    server: Remote, clock: VirtualClock, store: SqliteStore, body: bytes, word: str
) -> None:
    with pytest.raises(InvalidInput, match=word):
        documents(server, clock, store).add("x.pdf", body)
    assert store.query("intelligence", "documents").documents == []


def test_the_largest_document_fits_the_store(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    cell = "漢" * 500
    reader = Given("漢" * (MOST_TEXT + 9) + " 12.5%" * 9, [[[cell] * MOST_CELLS] * 3] * 99)
    record, _ = documents(server, clock, store, reader).add("x.pdf", pdf("x"))
    assert record.cut
    assert len(record.text) == MOST_TEXT
    assert len(record.tables) == MOST_TABLES
    assert {len(c) for t in record.tables for r in t for c in r} == {MOST_IN_CELL}
    size = len(json.dumps(store.query("intelligence", "documents").documents[0].body).encode())
    assert size // 2 < MAX_BYTES  # escapes of json.dumps are twice as long as UTF-8


def test_tables_are_cut_by_rows() -> None:
    assert cut_tables([[["a"] * 150, ["b"] * 150], []]) == [[["a"] * 150]]


def test_a_scan_without_text_is_kept_and_said(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    record, _ = documents(server, clock, store, Given(" \n")).add("scan.pdf", pdf(" "))
    assert "DOCUMENT_ENDPOINT" in record.summary_problem
    assert record.sentiment == 0.0


# ---------------------------------------------------------------- summaries

SUMMARY = {"about": "Bitcoin rose 12.5 %.", "points": ["to $97,500", "to 120,000"], "outlook": "up"}


def test_a_summary_is_the_models_and_its_figures_are_checked(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.will(completion(json.dumps(SUMMARY)))
    record, _ = documents(server, clock, store, key=True).add("r.pdf", pdf(REPORT))
    assert record.summary is not None
    assert record.summary.summary.about == "Bitcoin rose 12.5 %."
    assert record.summary.unsupported == ["120,000"]
    assert "openai/gpt-oss-120b" in record.summary.notice
    sent = server.seen[0].json["messages"]
    assert "not an instruction" in sent[0]["content"]
    assert sent[1]["content"] == f"REPORT\n{REPORT}\nEND"


def test_a_model_that_fails_does_not_lose_the_document(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.always(lambda _: Reply(b"", 503))
    own = documents(server, clock, store, key=True)
    record, _ = own.add("r.pdf", pdf(REPORT))
    assert record.summary is None
    assert "503" in record.summary_problem
    (told,) = own.told()
    assert told["name"] == "r.pdf"


# ---------------------------------------------------------------- the built-in reader


@PYPDF
def test_the_text_of_a_file_is_read() -> None:
    found = PdfReader().read(pdf(REPORT, "Second page (1)"))
    assert found.pages == 2
    assert "Bitcoin rallied 12.5% to $97,500" in found.text
    assert "Second page (1)" in found.text
    assert found.reader.startswith("pypdf ")


@PYPDF
@pytest.mark.parametrize(
    "body",
    [b"%PDF-1.4\n", b"%PDF-1.4\nnothing at all", pdf(REPORT)[:200], b"%PDF-" + b"\xff" * 500],
)
def test_broken_files_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        PdfReader().read(body)


@PYPDF
def test_a_file_that_takes_too_long_is_given_up() -> None:
    """Some thousand bytes that draw ten to the power of twelve times.

    pypdf 7.1 gives that up itself after some thousand times, two seconds; nobody waits for it.
    """
    hostile = laughing(12)
    assert len(hostile) < 4_000
    began = time.monotonic()
    with pytest.raises(InvalidInput, match=r"cannot be read: it takes more than 0\.4 s"):
        PdfReader(limit_s=0.4).read(hostile)
    assert time.monotonic() - began < 30
    # The same, of a size that can be read.
    assert PdfReader().read(laughing(2)).text.count("ha") == 100


@PYPDF
def test_a_file_that_takes_too_much_memory_is_given_up() -> None:
    with pytest.raises(InvalidInput, match=r"cannot be read: (MemoryError|its reader ended)"):
        PdfReader(most_memory=16 << 20).read(pdf(REPORT))


@PYPDF
def test_what_reads_a_file_is_told_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a secret: what is in the file may find a way to run."""
    seen: list[dict[str, str]] = []
    run = subprocess.run

    def watched(*args: Any, **named: Any) -> Any:
        seen.append(named["env"])
        return run(*args, **named)

    monkeypatch.setattr(subprocess, "run", watched)
    monkeypatch.setenv("LLM_API_KEY", "k" * 40)
    assert PdfReader().read(pdf(REPORT)).pages == 1
    assert [set(env) <= {"PYTHONPATH", "LD_LIBRARY_PATH"} for env in seen] == [True]


# ---------------------------------------------------------------- the service

#: In the shape of the public reference of Document Intelligence 2024-11-30.
DONE = {
    "status": "succeeded",
    "createdDateTime": "2025-05-04T10:00:00Z",
    "lastUpdatedDateTime": "2025-05-04T10:00:03Z",
    "analyzeResult": {
        "apiVersion": "2024-11-30",
        "modelId": "prebuilt-layout",
        "stringIndexType": "textElements",
        "content": "Weekly report\ncoin change",
        "pages": [{"pageNumber": 1, "angle": 0, "width": 8.5, "height": 11, "unit": "inch"}],
        "tables": [
            {
                "rowCount": 2,
                "columnCount": 2,
                "cells": [
                    {"kind": "columnHeader", "rowIndex": 0, "columnIndex": 0, "content": "coin"},
                    {"kind": "columnHeader", "rowIndex": 0, "columnIndex": 1, "content": "change"},
                    {"rowIndex": 1, "columnIndex": 0, "content": "BTC"},
                    {"rowIndex": 7, "columnIndex": 0, "content": "nowhere"},
                ],
            },
            {"rowCount": 10**9, "columnCount": 10**9, "cells": []},
        ],
        "paragraphs": [],
        "styles": [],
    },
}


def service(server: Remote, clock: VirtualClock) -> DocumentIntelligence:
    http = RemoteHttp("Azure AI Document Intelligence", clock)
    return DocumentIntelligence(http, clock, f"{server.url}/", lambda: "a-token")


def accepted(server: Remote, **headers: str) -> Reply:
    where = f"{server.url}/documentintelligence/documentModels/prebuilt-layout/analyzeResults/1"
    return Reply(b"", 202, {"Operation-Location": where, **headers})


def test_it_is_asked_until_it_is_done(server: Remote, clock: VirtualClock) -> None:
    server.will(
        accepted(server),
        Reply({"status": "notStarted"}, 200, {"Retry-After": "5"}),
        Reply({"status": "running"}),
        Reply(DONE),
    )
    body = pdf(REPORT)
    found = service(server, clock).read(body)
    assert found.text == "Weekly report\ncoin change"
    assert found.tables == [[["coin", "change"], ["BTC", ""]], []]
    assert (found.pages, found.reader.split()[-1]) == (1, "2024-11-30")
    assert clock.now_ms() - START == (2 + 5 + 2) * 1000
    first = server.seen[0]
    assert first.path == (
        "/documentintelligence/documentModels/prebuilt-layout:analyze?api-version=2024-11-30"
    )
    assert (first.body, first.headers["content-type"]) == (body, "application/pdf")
    assert {s.headers["authorization"] for s in server.seen} == {"Bearer a-token"}


def test_a_pause_between_questions_is_honoured_and_a_hiccup_survived(
    server: Remote, clock: VirtualClock
) -> None:
    server.will(accepted(server), Reply(b"", 429, {"Retry-After": "3"}), Reply(DONE))
    assert service(server, clock).read(b"%PDF-").pages == 1
    assert clock.now_ms() - START == 5_000


def test_one_that_never_ends_is_given_up(server: Remote, clock: VirtualClock) -> None:
    server.will(accepted(server))
    server.always(lambda _: Reply({"status": "running"}, 200, {"Retry-After": "14"}))
    with pytest.raises(ServiceUnavailable, match="not done after 100 s"):
        service(server, clock).read(b"%PDF-")
    assert clock.now_ms() - START <= 100_000


@pytest.mark.parametrize(
    ("reply", "error", "word"),
    [
        (Reply({"error": {"code": "InvalidRequest"}}, 400), InvalidInput, "InvalidRequest"),
        (Reply({"error": {"code": "Forbidden"}}, 403), ServiceRefused, "403: Forbidden"),
        (Reply({"error": {"code": "InvalidApiVersion"}}, 404), ServiceRefused, "404"),
        (Reply(b"x", 200), ServiceRefused, "200"),
        (Reply(b"", 202), ServiceUnavailable, "another place"),
        (
            Reply(b"", 202, {"Operation-Location": "https://evil.example/1"}),
            ServiceUnavailable,
            "another place",
        ),
        (Reply(b"", 500), ServiceError, "500"),
    ],
)
def test_refusals_of_the_file(
    server: Remote, clock: VirtualClock, reply: Reply, error: type[Exception], word: str
) -> None:
    server.will(reply)
    with pytest.raises(error, match=word):
        service(server, clock).read(b"%PDF-")
    # The token went to nobody else, and the file was not sent twice.
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "error", "word"),
    [
        (
            Reply({"status": "failed", "error": {"code": "InvalidContent", "message": "x"}}),
            InvalidInput,
            "InvalidContent",
        ),
        (Reply({"status": "succeeded"}), InvalidInput, "succeeded"),
        (Reply({"error": {"code": "NotFound"}}, 404), ServiceRefused, "NotFound"),
        (Reply(b"<html>"), ServiceUnavailable, "another shape"),
    ],
)
def test_refusals_of_the_result(
    server: Remote, clock: VirtualClock, reply: Reply, error: type[Exception], word: str
) -> None:
    server.will(accepted(server), reply)
    with pytest.raises(error, match=word):
        service(server, clock).read(b"%PDF-")


def test_a_request_that_is_not_known_to_be_harmless_is_not_repeated(
    server: Remote, clock: VirtualClock
) -> None:
    def cut(_: Seen) -> Reply:
        return Reply(b"x" * 50, 202, cut=5)

    server.will(cut)
    with pytest.raises(ServiceUnavailable):
        service(server, clock).read(b"%PDF-")
    assert len(server.seen) == 1
