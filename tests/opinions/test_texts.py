"""Texts and their sentiment: nothing that came after a bar's close is in its reading."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import StoreUnavailable
from shared.intelligence import lexicon
from shared.intelligence.language import Judged, Lexicon
from shared.intelligence.mentions import base_of, mentioned
from shared.intelligence.texts import MEMORY, Added, NewText, Text, Texts, reading
from shared.storage.sqlite import SqliteStore
from shared.strategies.sentiment import Reading
from tests.opinions.conftest import START

HOUR = 3_600_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")


class Fixed:
    """Judges every text alike, and takes its time."""

    def __init__(self, score: float, clock: VirtualClock | None = None, seconds: float = 0) -> None:
        self.score = score
        self.clock = clock
        self.seconds = seconds
        self.asked: list[str] = []

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        self.asked += texts
        if self.clock is not None:
            self.clock.sleep(self.seconds)
        return [Judged(self.score, "fixed") for _ in texts]


def texts_of(store: SqliteStore, clock: VirtualClock, judge: object = None) -> Texts:
    return Texts(store, clock, judge or Lexicon(), SYMBOLS, 6 * HOUR)  # type: ignore[arg-type]


def test_a_text_is_stored_once_for_each_symbol_it_names(
    clock: VirtualClock, store: SqliteStore
) -> None:
    own = texts_of(store, clock)
    text = NewText(title="Bitcoin and Ethereum surge", source="a.example", published_at=START - 5)
    assert own.add([text]) == Added(added=2)
    # The same words of another feed on the same day, or twice in one batch.
    again = NewText(title="BITCOIN and ethereum surge!", source="b.example", published_at=START)
    assert own.add([again, again]) == Added(known=4)
    assert own.add([NewText(title="Rain tomorrow")]) == Added(unrelated=1)
    clock.sleep(1)
    told = own.told("BTCUSDT")
    assert told["count"] == 1
    assert told["texts"][0]["by"] == "lexicon 1"
    assert told["score"] > 0
    assert own.told("ADAUSDT")["count"] == 0


def test_a_text_without_a_date_is_one_by_its_address(
    clock: VirtualClock, store: SqliteStore
) -> None:
    own = texts_of(store, clock)
    assert own.add([NewText(title="Bitcoin wrap", url="https://a.example/1")]).added == 1
    clock.sleep(3 * 86_400)
    assert own.add([NewText(title="Bitcoin wrap", url="https://a.example/1")]).added == 0
    assert own.add([NewText(title="Bitcoin wrap", url="https://a.example/2")]).added == 1


def test_only_what_is_new_is_judged(clock: VirtualClock, store: SqliteStore) -> None:
    judge = Fixed(0.5)
    own = texts_of(store, clock, judge)
    own.add([NewText(title="Bitcoin rises", body="a bit", published_at=START)])
    own.add([NewText(title="Bitcoin rises", published_at=START), NewText(title="no coin")])
    assert judge.asked == ["Bitcoin rises. a bit"]


def test_what_came_after_the_close_does_not_count_whatever_date_it_bears(
    clock: VirtualClock, store: SqliteStore
) -> None:
    own = texts_of(store, clock, Fixed(1.0))
    close = START + HOUR
    clock.sleep(3_600)
    # Seen at the very moment of the close, and published long before it.
    own.add([NewText(title="Bitcoin surges", published_at=START - HOUR)])
    assert own.reading("BTCUSDT", close) == Reading(at=close)
    assert own.reading("BTCUSDT", close + 1).texts == 1


def test_a_text_that_was_judged_too_late_does_not_count(
    clock: VirtualClock, store: SqliteStore
) -> None:
    own = texts_of(store, clock, Fixed(1.0, clock, seconds=10))
    close = START + 5_000
    own.add([NewText(title="Bitcoin surges")])  # seen before the close, stored after it
    assert own.reading("BTCUSDT", close).texts == 0
    # Whenever it is asked again, the reading of that close is the same.
    clock.sleep(86_400)
    own.add([NewText(title="Bitcoin crashes", published_at=close - 1)])
    assert own.reading("BTCUSDT", close) == Reading(at=close)


@given(
    st.lists(st.tuples(st.integers(0, 40 * HOUR), st.floats(-1, 1)), max_size=12),
    st.integers(0, 40 * HOUR),
)
def test_no_reading_changes_with_what_comes_later(
    arrivals: list[tuple[int, float]], at: int
) -> None:
    clock = VirtualClock(START)
    store = SqliteStore(":memory:", clock=clock)
    try:
        judge = Fixed(0.0)
        own = texts_of(store, clock, judge)
        moment = START + at
        before = None
        for n, (offset, score) in enumerate(sorted(arrivals)):
            if offset >= at and before is None:
                before = own.reading("BTCUSDT", moment)
            clock.sleep((START + offset - clock.now_ms()) / 1000)
            judge.score = score
            own.add([NewText(title=f"Bitcoin {n}", published_at=START)])
        after = own.reading("BTCUSDT", moment)
        assert before is None or after == before
        assert -1 <= after.score <= 1
    finally:
        store.close()


def made(score: float, *, published: int | None, seen: int) -> Text:
    return Text(
        id="x",
        subject="s",
        symbol="BTCUSDT",
        title="t",
        body="",
        url="",
        source="",
        published_at=published,
        seen_at=seen,
        scored_at=seen,
        score=score,
        by="fixed",
    )


@pytest.mark.parametrize(
    ("texts", "score"),
    [
        ([], 0.0),
        # One fresh text beside the neutral one that is always there: half.
        ([made(1.0, published=0, seen=0)], 0.5),
        # After a half-life it weighs a half: 0.5 / 1.5.
        ([made(1.0, published=-6 * HOUR, seen=0)], 1 / 3),
        # A date in the future is that of the first sight.
        ([made(1.0, published=9 * HOUR, seen=-6 * HOUR)], 1 / 3),
        ([made(1.0, published=None, seen=-6 * HOUR)], 1 / 3),
        ([made(1.0, published=0, seen=0), made(-1.0, published=0, seen=0)], 0.0),
        ([made(0.8, published=0, seen=0)] * 3, 0.6),
    ],
)
def test_readings_by_hand(texts: list[Text], score: float) -> None:
    found = reading(texts, 0, 6 * HOUR)
    assert found.score == pytest.approx(score, abs=1e-12)
    assert found.texts == len(texts)


def test_old_texts_are_forgotten(clock: VirtualClock, store: SqliteStore) -> None:
    own = texts_of(store, clock, Fixed(1.0))
    own.add([NewText(title="Bitcoin surges")])
    end = START + MEMORY * 6 * HOUR
    assert own.reading("BTCUSDT", end).texts == 1
    assert own.reading("BTCUSDT", end + 1) == Reading(at=end + 1)


def test_a_store_that_cannot_be_read_is_said_and_holds_nothing_up(clock: VirtualClock) -> None:
    class Away:
        def query(self, *_: object, **__: object) -> None:
            raise StoreUnavailable("throttled")

    own = texts_of(Away(), clock)  # type: ignore[arg-type]
    found = own.reading("BTCUSDT", START)
    assert (found.score, found.texts) == (0.0, 0)
    assert "throttled" in found.problem


# ---------------------------------------------------------------- mentions and words


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("Bitcoin slides as miners sell", ("BTCUSDT",)),
        ("BTC/USDT, ETH-USD and $ada", SYMBOLS),
        ("Ether gains on ETHUSDT", ("ETHUSDT",)),
        ("ada lovelace wrote it", ()),
        ("The Netherlands together with ADAPT and WBTC", ()),
        ("Cardano's founder", ("ADAUSDT",)),
        ("bitcoiners", ()),
    ],
)
def test_mentions(text: str, symbols: tuple[str, ...]) -> None:
    assert mentioned(text, SYMBOLS) == symbols


def test_bases() -> None:
    assert [base_of(s) for s in ("BTCUSDT", "1000PEPEUSDT", "1INCHUSDT", "USDT")] == [
        "BTC",
        "PEPE",
        "1INCH",
        "USDT",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Bitcoin surges to an all-time-high as inflows jump",
        "Regulator approves the first fund; adoption grows",
        "Ethereum rallied strongly after the upgrade",
        "The exchange was not hacked",
    ],
)
def test_good_news(text: str) -> None:
    assert lexicon.score(text) > 0.1


@pytest.mark.parametrize(
    "text",
    [
        "Exchange hacked: millions stolen",
        "Bitcoin plunges, liquidations soar past a billion as panic selling spreads",
        "Court filings show fraud; the lender is insolvent",
        "No recovery in sight, outflows dropped the price heavily",
        "Prices fell sharply",
    ],
)
def test_bad_news(text: str) -> None:
    assert lexicon.score(text) < -0.1


def test_words_of_no_opinion_are_neutral_and_case_is_no_matter() -> None:
    assert lexicon.score("The meeting is on Tuesday") == 0.0
    assert lexicon.score("") == 0.0
    assert lexicon.score("SURGE") == lexicon.score("surge")
    assert lexicon.score("slightly lower") > lexicon.score("lower") > lexicon.score("sharply lower")


@given(st.text(max_size=300))
def test_a_score_is_a_score(text: str) -> None:
    assert -1.0 <= lexicon.score(text) <= 1.0
    assert not math.isnan(lexicon.score(text))


def test_no_word_is_both_good_and_bad() -> None:
    good = {w for words in lexicon._GOOD.values() for w in words.split()}
    bad = {w for words in lexicon._BAD.values() for w in words.split()}
    assert not good & bad
