"""Feeds as strangers write them, read over HTTP; and judged by a service that may fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import InvalidInput, ServiceUnavailable
from shared.intelligence import lexicon
from shared.intelligence.feed_reader import FeedReader
from shared.intelligence.feeds import MOST_DEPTH, MOST_ITEMS, Item, moment, parsed, without_markup
from shared.intelligence.language import AzureLanguage, Judged, Lexicon
from shared.intelligence.texts import Texts
from shared.remote.http import RemoteHttp
from shared.storage.sqlite import SqliteStore
from tests.opinions.conftest import START
from tests.opinions.remote_server import Remote, Reply, Seen

#: Shapes of RSS 2.0, Atom (RFC 4287) and RSS 1.0.
RSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>News</title><link>https://news.example</link>
<image><title>Logo</title><url>https://news.example/x.png</url></image>
<item><title>Bitcoin &amp; Ethereum surge</title><link>https://news.example/1</link>
<description><![CDATA[<p>Big <b>inflows</b>&nbsp;today.<script>alert(1)</script></p>]]>
</description>
<pubDate>Sun, 04 May 2025 09:30:00 GMT</pubDate><guid isPermaLink="false">id-1</guid></item>
<item><title>Cardano slumps</title><guid>https://news.example/2</guid></item>
<item><description>no title</description></item>
</channel></rss>"""
ATOM = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Blog</title>
<entry><title type="html">XRP &lt;i&gt;wins&lt;/i&gt;</title>
<link rel="self" href="https://blog.example/self"/><link href="https://blog.example/a"/>
<id>urn:1</id><updated>2025-05-04T11:00:00+02:00</updated>
<published>2025-05-04T10:00:00+02:00</published><summary>A court ruled.</summary></entry></feed>"""
RDF = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<item rdf:about="https://old.example/1"><title>Bitcoin falls</title>
<link>https://old.example/1</link><dc:date>2025-05-04T08:00:00Z</dc:date></item></rdf:RDF>"""


def test_the_three_forms() -> None:
    first, second = parsed(RSS)
    assert first == Item(
        title="Bitcoin & Ethereum surge",
        body="Big inflows today.",
        url="https://news.example/1",
        published_at=START - 30 * 60_000,
    )
    assert (second.url, second.published_at) == ("https://news.example/2", None)
    assert parsed(ATOM) == [
        Item(
            title="XRP wins",
            body="A court ruled.",
            url="https://blog.example/a",
            published_at=START - 2 * 3_600_000,
        )
    ]
    assert parsed(RDF)[0].published_at == START - 2 * 3_600_000


BOMB = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><rss><channel><item><title>&b;</title></item>
</channel></rss>"""
REACH = b"""<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<rss><channel><item><title>&x;</title></item></channel></rss>"""


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "no RSS"),
        (b"<html><body>moved</body></html>", "no RSS"),
        (b"\x00\xff<rss", "not well-formed"),
        (b"<rss><channel><item><title>cut", "not well-formed"),
        (BOMB, "document type"),
        (REACH, "document type"),
        (b'<!DOCTYPE rss PUBLIC "x" "http://dtd.example/rss.dtd"><rss></rss>', "document type"),
        (b"<rss>" + b"<a>" * (MOST_DEPTH + 1), "nested more than"),
        (b'<?xml version="1.0" encoding="x-none"?><rss></rss>', "encoding"),
    ],
)
def test_what_is_not_read(body: bytes, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        parsed(body)


def test_too_much_is_cut() -> None:
    item = b"<item><title>" + b"x" * 50_000 + b"</title></item>"
    found = parsed(b"<rss><channel>" + item * (MOST_ITEMS + 20) + b"</channel></rss>")
    assert len(found) == MOST_ITEMS
    assert {len(one.title) for one in found} == {300}


@given(st.binary(max_size=200))
def test_any_bytes_are_items_or_refused(body: bytes) -> None:
    for text in (body, b"<rss>" + body, RSS[:200] + body + RSS[400:]):
        try:
            parsed(text)
        except InvalidInput:
            continue


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sun, 04 May 2025 10:00:00 GMT", START),
        ("Sun, 04 May 2025 12:00:00 +0200", START),
        ("2025-05-04T10:00:00Z", START),
        ("2025-05-04 10:00", START),
        ("yesterday", None),
        ("", None),
        ("Sun, 99 May 2025 10:00:00 GMT", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_moments(text: str, found: int | None) -> None:
    assert moment(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [("Up <![<x and on", "Up"), ("one <b>two" + " " * 5_000 + "three", "one two")],
    ids=["what the parser asserts never comes", "what is too long is cut before it is read"],
)
def test_markup_that_is_none(text: str, words: str) -> None:
    assert without_markup(text) == words


@given(st.text(max_size=200))
def test_no_markup_is_left(text: str) -> None:
    found = without_markup(f"<p>{text}</p>")
    assert all(c.isprintable() for c in found)


# ---------------------------------------------------------------- the reader


def reader(
    server: Remote, clock: VirtualClock, store: SqliteStore, *paths: str
) -> tuple[FeedReader, Texts]:
    texts = Texts(store, clock, Lexicon(), ("BTCUSDT", "ADAUSDT"), 6 * 3_600_000)
    feeds = [f"{server.url}{path}" for path in paths]
    return FeedReader(RemoteHttp("the feed", clock), texts, store, clock, feeds), texts


def test_feeds_become_texts_once(server: Remote, clock: VirtualClock, store: SqliteStore) -> None:
    server.always(lambda _: Reply(RSS))
    own, texts = reader(server, clock, store, "/rss?token=hidden")
    (state,) = own.read()
    assert (state.items, state.added, state.problem) == (2, 2, "")
    assert (own.read()[0].added, len(server.seen)) == (0, 2)
    clock.sleep(1)
    (told,) = texts.told("BTCUSDT")["texts"]
    assert told["source"] == "127.0.0.1"
    assert told["publishedAt"] == "2025-05-04T09:30:00.000Z"
    assert told["seenAt"] == "2025-05-04T10:00:00.000Z"
    # An address may hold a token, and states are shown.
    assert "hidden" not in json.dumps([d.body for d in _documents(store, "feeds")])


def test_one_feed_that_fails_does_not_keep_the_others(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    def answer(seen: Seen) -> Reply:
        return {
            "/moved": Reply(b"", 301, {"Location": "https://new.example/feed?token=1"}),
            "/gone": Reply(b"", 404),
            "/page": Reply(b"<html></html>"),
            "/down": Reply(b"", 503),
        }.get(seen.path, Reply(RSS))

    server.always(answer)
    own, _ = reader(server, clock, store, "/moved", "/gone", "/page", "/down", "/rss")
    problems = [state.problem for state in own.read()]
    assert problems[0].startswith("moved to https://new.example;")
    assert "token" not in problems[0]
    assert "404" in problems[1]
    assert "no RSS" in problems[2]
    assert "503" in problems[3]
    assert problems[4] == ""
    assert [s.problem for s in own.states()] == problems


def _documents(store: SqliteStore, subject: str) -> Any:
    return store.query("intelligence", subject).documents


# ---------------------------------------------------------------- Azure AI Language


def language(server: Remote, clock: VirtualClock) -> AzureLanguage:
    http = RemoteHttp("Azure AI Language", clock)
    return AzureLanguage(http, f"{server.url}/", lambda: "a-token")


def sentiments(seen: Seen, scores: dict[str, tuple[float, float, float]]) -> Reply:
    """In the shape of the public reference of analyze-text 2023-04-01."""
    documents = [
        {
            "id": d["id"],
            "sentiment": "mixed",
            "confidenceScores": dict(
                zip(("positive", "neutral", "negative"), scores[d["text"]], strict=True)
            ),
            "sentences": [],
            "warnings": [],
        }
        for d in seen.json["analysisInput"]["documents"]
        if d["text"] in scores
    ]
    errors = [
        {"id": d["id"], "error": {"code": "InvalidDocument", "message": "..."}}
        for d in seen.json["analysisInput"]["documents"]
        if d["text"] not in scores
    ]
    return Reply(
        {
            "kind": "SentimentAnalysisResults",
            "results": {"documents": documents, "errors": errors, "modelVersion": "2022-11-01"},
        }
    )


def test_what_the_service_is_asked_and_what_it_says(server: Remote, clock: VirtualClock) -> None:
    server.will(lambda seen: sentiments(seen, {"good": (0.9, 0.1, 0.0), "bad": (0.0, 0.2, 0.8)}))
    found = language(server, clock).judge(["good", "bad", "a crash that it refused"])
    by = "Azure AI Language 2022-11-01"
    assert found[:2] == [Judged(0.9, by), Judged(-0.8, by)]
    # What it has no score for, the lexicon judges.
    assert found[2] == Judged(lexicon.score("a crash that it refused"), lexicon.VERSION)
    (seen,) = server.seen
    assert seen.path == "/language/:analyze-text?api-version=2023-04-01"
    assert seen.headers["authorization"] == "Bearer a-token"
    assert seen.json["kind"] == "SentimentAnalysis"
    assert seen.json["analysisInput"]["documents"][0] == {
        "id": "0",
        "language": "en",
        "text": "good",
    }


def test_ten_at_a_time_and_no_longer_than_it_takes(server: Remote, clock: VirtualClock) -> None:
    server.always(lambda seen: sentiments(seen, {}))
    language(server, clock).judge(["x" * 9_000] * 23)
    sizes = [[len(d["text"]) for d in s.json["analysisInput"]["documents"]] for s in server.seen]
    assert list(map(len, sizes)) == [10, 10, 3]
    assert {n for batch in sizes for n in batch} == {5_120}


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"error": {"code": "401", "message": "denied, text was: crash"}}, 401),
        Reply({"error": {"code": "Forbidden", "message": "no role"}}, 403),
        Reply(b"", 503),
        Reply(b"", 429, {"Retry-After": "600"}),
        Reply(b"not json"),
        Reply({"results": {"documents": [{"id": "0"}]}}),
        Reply(b"x" * 100, cut=3),
    ],
)
def test_when_it_fails_the_lexicon_judges_and_says_so(
    server: Remote, clock: VirtualClock, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    server.always(lambda _: reply)
    text = "a crash of prices"
    assert language(server, clock).judge([text]) == [Judged(lexicon.score(text), lexicon.VERSION)]
    assert "judged by the lexicon" in caplog.text
    assert "text was" not in caplog.text


def test_scores_out_of_range_and_strange_ids_are_not_believed(
    server: Remote, clock: VirtualClock
) -> None:
    def strange(_: Seen) -> Reply:
        scores = {"positive": 7.0, "neutral": 0.0, "negative": 0.0}
        documents = [
            {"id": "0", "confidenceScores": scores},
            {"id": "²", "confidenceScores": scores},
        ]
        return Reply({"results": {"documents": documents}})

    server.will(strange)
    (found,) = language(server, clock).judge(["a crash"])
    assert found.by == lexicon.VERSION


def test_without_a_token_the_lexicon_judges(server: Remote, clock: VirtualClock) -> None:
    def none() -> str:
        raise ServiceUnavailable("no token")

    own = AzureLanguage(RemoteHttp("Azure AI Language", clock), server.url, none)
    assert own.judge(["a crash"])[0].by == lexicon.VERSION
    assert server.seen == []
