"""Sentiment as an input of the signal: a recorded reading that scales what the votes say.

It is no voter. It can strengthen or weaken a side that the votes take and has none of its own, so
news alone, or the lack of any, never opens a position. The readings are in the signal, and the
signal is computed from its candles and them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta


class SentimentUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the strength sentiment may add or take.

    Parameters
    ----------
    weight : float
        Part of the strength at a score of 1.
    min_texts : int
        Fewer texts than this say nothing.
    strengthen : bool
        Whether agreeing texts add; otherwise sentiment can only weaken.
    """

    weight: Annotated[float, Meta(gt=0, le=0.5)]
    min_texts: Annotated[int, Meta(ge=1, le=200)] = 3
    strengthen: bool = True


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Sentiment of a symbol at one moment.

    Parameters
    ----------
    at : int
        UTC milliseconds; only texts that were scored before it are in.
    score : float
        From -1 (bad) to 1 (good).
    texts : int
        How many are in it.
    problem : str
        Why there is none, where it could not be read.
    """

    at: int
    score: float = 0.0
    texts: int = 0
    problem: str = ""


#: Readings by their moment: the close of a bar.
Readings = Mapping[int, Reading]
NONE: Readings = {}


def scaled(
    strength: float, use: SentimentUse | msgspec.UnsetType, reading: Reading | None
) -> float:
    """A strength in [-1, 1] as sentiment has it; the side stays what it was."""
    if isinstance(use, msgspec.UnsetType) or reading is None or reading.texts < use.min_texts:
        return strength
    agreeing = use.weight * reading.score * (1.0 if strength > 0.0 else -1.0)
    if agreeing > 0.0 and not use.strengthen:
        return strength
    return max(-1.0, min(1.0, strength * (1.0 + agreeing)))
