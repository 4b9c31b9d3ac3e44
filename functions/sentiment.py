"""Texts about symbols and the sentiment they come to. Not on the way of an order."""

import logging
from typing import Annotated, Any

import azure.functions as func
import msgspec
from msgspec import Meta

from functions.durable import df
from functions.http import answers, read, reply
from shared.bootstrap import services
from shared.errors import BorsaError, InvalidInput

bp = df.Blueprint()


class PostedText(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A text about symbols; without ``symbols`` those that it names.

    ``publishedAt`` is ISO 8601, UTC where it has no offset.
    """

    title: Annotated[str, Meta(min_length=1, max_length=300)]
    body: Annotated[str, Meta(max_length=4_000)] = ""
    url: Annotated[str, Meta(max_length=1_000)] = ""
    published_at: str | None = None
    symbols: Annotated[list[str], Meta(max_length=20)] = []


class PostedTexts(msgspec.Struct, forbid_unknown_fields=True):
    """Up to twenty of them."""

    texts: Annotated[list[PostedText], Meta(min_length=1, max_length=20)]


@bp.timer_trigger(schedule="40 */10 * * * *", arg_name="timer", use_monitor=True)
def read_feeds(timer: func.TimerRequest) -> None:
    """Read the configured feeds, if any."""
    now = services().for_exits()
    if not now.settings.services.sentiment_feeds:
        return
    try:
        now.opinions.feeds.read()
    except BorsaError as error:
        # What was missed comes with the next reading.
        logging.getLogger("borsa.sentiment").warning("feeds: %s", error)


@bp.route(route="sentiment", methods=["GET"])
@answers
def sentiment(req: func.HttpRequest) -> Any:
    """Sentiment of every symbol now, or of one, with the newest texts and the state of feeds."""
    now = services()
    symbols = now.settings.symbols
    asked = req.params.get("symbol")
    if asked is not None:
        if asked not in symbols:
            raise InvalidInput(f"unknown symbol {asked!r}; use one of {', '.join(symbols)}")
        symbols = (asked,)
    opinions = now.opinions
    return {
        "halfLifeHours": str(now.settings.services.sentiment_half_life_hours),
        "sentiment": [opinions.texts.told(symbol) for symbol in symbols],
        "feeds": opinions.feeds.states(),
    }


@bp.route(route="sentiment", methods=["POST"])
@answers
def add_texts(req: func.HttpRequest) -> Any:
    """Take texts in. They count from now on, whatever date they bear."""
    from shared.intelligence.feeds import moment, without_markup
    from shared.intelligence.texts import NewText

    now = services()
    texts = []
    for one in read(req, PostedTexts).texts:
        if wrong := [s for s in one.symbols if s not in now.settings.symbols]:
            raise InvalidInput(f"unknown symbol {wrong[0]!r}")
        if one.url and not one.url.startswith(("https://", "http://")):
            raise InvalidInput("url must be an http(s) address")
        published = None if one.published_at is None else moment(one.published_at)
        if one.published_at is not None and published is None:
            raise InvalidInput(f"publishedAt is {one.published_at[:40]!r}; write 2026-01-31T12:00")
        title = without_markup(one.title)
        if not title:
            raise InvalidInput("title has no words")
        texts.append(
            NewText(
                title=title,
                body=without_markup(one.body)[:2_000],
                url=one.url,
                source="posted",
                published_at=published,
                symbols=tuple(dict.fromkeys(one.symbols)),
            )
        )
    now.opinions.text_throttle.admit()
    return reply(now.opinions.texts.add(texts), 201)
