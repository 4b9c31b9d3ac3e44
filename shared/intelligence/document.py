"""What a document is once it has been read, and what is found in its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

#: Bytes of a file; also what the free tier of Document Intelligence takes.
MOST_BYTES = 4 << 20
#: Pages that the built-in reader reads; characters, tables, cells of a table and figures kept. All
#: together stay below the 2 MB of a document of the store, whatever the script.
MOST_PAGES, MOST_TEXT, MOST_TABLES, MOST_CELLS, MOST_FIGURES = 200, 200_000, 30, 200, 120
MOST_IN_CELL = 60
#: Characters around a figure that are kept with it.
AROUND = 60

_UNIT = r"%|percent|per cent|bps|basis points|trillion|billion|million|thousand|bn|mn|[kKmMbB]\b"
_FIGURE = re.compile(
    rf"(?P<currency>[$€£]|USD[TC]?\s|EUR\s)?\s?(?<![\w.,])(?P<number>[-+]?\d{{1,3}}(?:,\d{{3}})+"
    rf"(?:\.\d+)?|[-+]?\d+(?:\.\d+)?)\s?(?P<unit>{_UNIT})?",
)
_SPACE = re.compile(r"\s+")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader made of a file."""

    reader: str
    pages: int
    text: str
    tables: list[list[list[str]]]


class Reader(Protocol):
    """Anything that reads PDF files."""

    def read(self, pdf: bytes) -> Content:
        """The content of a file."""
        ...


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with a currency or unit, and the words around it."""

    number: str
    unit: str
    context: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a language model makes of a document."""

    about: Annotated[str, Meta(min_length=1, max_length=600)]
    points: Annotated[list[Annotated[str, Meta(max_length=400)]], Meta(max_length=10)]
    outlook: Literal["up", "down", "mixed", "none"]


class Summarised(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A summary with whose it is. ``unsupported``: numbers in it that are not in the text."""

    summary: Summary
    model: str
    notice: str
    unsupported: list[str]


class DocumentRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A document as it is stored. Times in UTC milliseconds.

    Parameters
    ----------
    id : str
        32 hexadecimal digits of the SHA-256 of the file.
    text : str
        Its beginning, where it is very long (``cut``).
    sentiment : float
        From -1 to 1, of its beginning, judged by ``sentiment_by``.
    summary_problem : str
        Why there is no summary.
    """

    id: str
    subject: str
    name: str
    size: int
    pages: int
    reader: str
    read_at: int
    text: str
    cut: bool
    tables: list[list[list[str]]]
    symbols: list[str]
    figures: list[Figure]
    sentiment: float
    sentiment_by: str
    summary: Summarised | None
    summary_problem: str


def figures(text: str) -> list[Figure]:
    """Figures that bear a currency or a unit, each with the words around it, once."""
    found: dict[tuple[str, str], Figure] = {}
    for match in _FIGURE.finditer(text):
        currency = (match["currency"] or "").strip()
        unit = f"{currency} {match['unit'] or ''}".strip()
        if not unit:
            continue
        key = (match["number"], unit)
        if key not in found:
            start, end = max(0, match.start() - AROUND), match.end() + AROUND
            found[key] = Figure(
                number=match["number"], unit=unit, context=_SPACE.sub(" ", text[start:end]).strip()
            )
        if len(found) == MOST_FIGURES:
            break
    return list(found.values())


def cut_tables(tables: Sequence[Sequence[Sequence[str]]]) -> list[list[list[str]]]:
    """Tables small enough to keep."""
    kept = []
    for table in tables[:MOST_TABLES]:
        rows: list[list[str]] = []
        cells = 0
        for row in table:
            cells += len(row)
            if cells > MOST_CELLS:
                break
            rows.append([cell[:MOST_IN_CELL] for cell in row])
        if rows:
            kept.append(rows)
    return kept


def listed(record: DocumentRecord) -> dict[str, Any]:
    """A document in a list: without text, tables and figures."""
    told = msgspec.to_builtins(record)
    for name in ("subject", "text", "tables", "figures"):
        del told[name]
    told["characters"] = len(record.text)
    told["beginning"] = record.text[:300]
    told["tables"] = len(record.tables)
    return dict(told)
