"""RSS and Atom feeds, read with care: they come from strangers.

The parser is expat with a few handlers. A document type is refused, and with it every entity that
could grow or reach out; depth, items and lengths are limited, and markup in texts is taken off.
"""

from __future__ import annotations

import contextlib
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any
from xml.parsers import expat

import msgspec

from shared.errors import InvalidInput

#: Items of one feed, nesting of its elements, characters of one element that are kept.
MOST_ITEMS, MOST_DEPTH, MOST_TEXT = 100, 40, 20_000
#: Characters of a text from which markup is taken off, which takes more time than in proportion.
MOST_MARKED = 4_000

_ITEM = frozenset({"item", "entry"})
_TITLE = frozenset({"title"})
_BODY = frozenset({"description", "summary", "content", "encoded"})
_WHEN = frozenset({"pubDate", "published", "date"})
_CHANGED = frozenset({"updated"})
_SPACE = re.compile(r"\s+")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One text of a feed, without markup. ``published_at``: UTC milliseconds, as it says."""

    title: str
    body: str
    url: str
    published_at: int | None


class _Refused(Exception):
    """Something in the document that is not read."""


class _Reader:
    """What expat tells, made into items."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._path: list[str] = []
        self._fields: dict[str, str] | None = None
        self._depth = 0
        self._text: list[str] = []
        self._size = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._path.append(local)
        if len(self._path) > MOST_DEPTH:
            raise _Refused(f"elements are nested more than {MOST_DEPTH} deep")
        if local in _ITEM and self._fields is None:
            self._fields, self._depth = {}, len(self._path)
        elif self._fields is not None and len(self._path) == self._depth + 1:
            self._text, self._size = [], 0
            if local == "link" and attributes.get("rel", "alternate") == "alternate":
                self._keep("link", attributes.get("href", ""))

    def characters(self, text: str) -> None:
        if self._fields is not None and self._size < MOST_TEXT:
            self._text.append(text[: MOST_TEXT - self._size])
            self._size += len(text)

    def end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        depth = len(self._path)
        self._path.pop()
        if self._fields is None:
            return
        if depth == self._depth:
            if len(self.items) < MOST_ITEMS:
                self.items.append(_item(self._fields))
            self._fields = None
        elif depth == self._depth + 1:
            self._keep(local, "".join(self._text))
            self._text, self._size = [], 0

    def _keep(self, name: str, text: str) -> None:
        assert self._fields is not None
        if text.strip():
            self._fields.setdefault(name, text)

    def refuse(self, *_: Any) -> None:
        raise _Refused("it has a document type; feeds with one are not read")


def parsed(body: bytes) -> list[Item]:
    """The items of a feed, in its order; those without a title are left out.

    Raises
    ------
    InvalidInput
        When it is not XML, no feed, or has a document type.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    root = re.search(rb"<\s*(?:[\w-]+:)?(rss|feed|RDF)\b", body[:4_096])
    if root is None:
        raise InvalidInput("this is no RSS or Atom feed")
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise InvalidInput(f"the feed is not well-formed XML: {error}") from None
    except (_Refused, ValueError, LookupError) as error:
        raise InvalidInput(f"the feed is not read: {error}") from None
    return [item for item in reader.items if item.title]


def _item(fields: dict[str, str]) -> Item:
    def first(names: frozenset[str]) -> str:
        return next((fields[name] for name in fields if name in names), "")

    link = fields.get("link", "").strip() or fields.get("guid", "").strip()
    return Item(
        title=without_markup(first(_TITLE))[:300],
        body=without_markup(first(_BODY))[:2_000],
        url=link[:1_000] if link.startswith(("https://", "http://")) else "",
        published_at=moment(first(_WHEN)) or moment(first(_CHANGED)),
    )


def moment(text: str) -> int | None:
    """A date of RFC 822 or ISO 8601 in UTC milliseconds; ``None`` where it is none."""
    text = text.strip()[:64]
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        seconds = found.timestamp()
    except (OverflowError, ValueError):
        return None
    return round(seconds * 1000) if math.isfinite(seconds) and seconds > 0 else None


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._silent += tag in ("script", "style")
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in ("script", "style")))
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def without_markup(text: str) -> str:
    """The words of a text that may have markup in it, on one line."""
    reader = _Text()
    # What the parser has no word for it asserts; the words before that are kept.
    with contextlib.suppress(AssertionError):
        reader.feed(text[:MOST_MARKED])
        reader.close()
    words = _SPACE.sub(" ", "".join(reader.parts)).strip()
    return "".join(c for c in words if c.isprintable())
