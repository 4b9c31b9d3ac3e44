"""Numbers in a model's text that are in none of the figures it was given.

A model that invents a price does it in the same voice as one that reads it. This finds what nobody
told it; a figure that it worked out itself, such as a difference, is found as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

#: A number as people write it. Not one that is a part of a word, a date, a time or an id.
_NUMBER = re.compile(
    r"(?<![\w.,:/-])[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,:/-])[-+]?\d+(?:\.\d+)?"
)
_AFTER = re.compile(r"[\w:/-]")
#: Fewer significant digits, below that number, are periods, counts and round words, not figures.
_DIGITS, _ROUND = 3, 1_000


def unsupported(text: str, figures: Any) -> list[str]:
    """Numbers of at least three significant digits, or from 1,000 on, that no given one rounds to.

    Parameters
    ----------
    text : str
        What the model wrote.
    figures : JSON value
        What it was given; numbers in texts count too.

    Returns
    -------
    list of str
        As they are written, each once.
    """
    given = [value for value in _values(figures) if value.is_finite()]
    found: dict[str, None] = {}
    for match in _NUMBER.finditer(text):
        written = match.group()
        after = text[match.end() : match.end() + 1]
        if after and _AFTER.match(after) and after not in "kKmM":
            continue
        number = Decimal(written.replace(",", ""))
        if abs(number) < _ROUND and len(_significant(number)) < _DIGITS:
            continue
        # Half a unit of the last digit that was written; a percentage of a fraction counts too.
        slack = Decimal(1).scaleb(int(number.as_tuple().exponent)) / 2
        if not any(
            abs(abs(number) - abs(value * scale)) <= slack for value in given for scale in (1, 100)
        ):
            found[written] = None
    return list(found)


def _significant(number: Decimal) -> str:
    return "".join(map(str, number.as_tuple().digits)).strip("0")


def _values(value: Any) -> Iterator[Decimal]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float | Decimal):
        yield Decimal(str(value))
    elif isinstance(value, str):
        yield from _written(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, Iterable):
        for item in value:
            yield from _values(item)


def _written(text: str) -> Iterator[Decimal]:
    for match in _NUMBER.finditer(text):
        try:
            yield Decimal(match.group().replace(",", ""))
        except InvalidOperation:
            continue
