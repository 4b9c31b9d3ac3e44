"""What was tried: a file that is only ever appended to, one line a trial.

Whoever searches often enough finds something. So that the number of trials is known later, every
evaluated configuration is written down, by every search, the failed ones as well. The same file
lets an interrupted search go on where it was.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.research.space import Params, Value

Floats = NDArray[np.float64]
L = TypeVar("L")


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluated configuration.

    Parameters
    ----------
    study : str
        Digest of data, span and base configuration: trials of one study are comparable.
    base : str
        Digest of the base configuration alone, whatever the data and the span; with the parameters
        it is the configuration that was tried. Empty in files of earlier versions.
    code : str
        Digest of the code that made it, :func:`shared.research.code.code_digest`.
    params : dict
    symbols, timeframes : list of str
    start, end : int
        Span it was evaluated on, UTC milliseconds.
    figures : dict
        As in :class:`shared.research.evaluation.Outcome`; an undefined one is ``None``.
    returns : str
        Daily returns as float32, little-endian, base64; empty when it failed.
    problem : str
        Why it could not be evaluated; empty otherwise.
    at : int
        When, UTC milliseconds.
    """

    study: str
    params: dict[str, Value]
    symbols: list[str]
    timeframes: list[str]
    start: int
    end: int
    figures: dict[str, float | None] = {}
    returns: str = ""
    problem: str = ""
    at: int = 0
    base: str = ""
    code: str = ""

    @property
    def key(self) -> str:
        """The parameters, whatever their order."""
        return params_key(self.params)


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of a trial to count it; the rest of its line is passed over."""

    study: str
    params: dict[str, Value]
    symbols: list[str]
    start: int
    end: int
    figures: dict[str, float | None] = {}
    problem: str = ""
    base: str = ""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How much was tried on some symbols before.

    ``trials`` are distinct configurations: one that was run on many spans, as by a walk-forward,
    is one trial, because nothing more can be chosen from it. ``variance`` is that of their daily
    Sharpe ratios, each from the longest span it was run on, ``None`` below two; ``studies`` counts
    searches, each window of a walk-forward as one.
    """

    trials: int
    studies: int
    variance: float | None


def params_key(params: Params) -> str:
    """A canonical text of parameters."""
    return msgspec.json.encode(dict(params), order="sorted").decode()


def study_id(*parts: object) -> str:
    """A short digest of everything that makes trials comparable."""
    body = msgspec.json.encode(parts, order="sorted", enc_hook=str)
    return hashlib.blake2b(body, digest_size=8).hexdigest()


def packed(returns: Floats) -> str:
    """Daily returns as they are kept."""
    return base64.b64encode(returns.astype("<f4").tobytes()).decode()


def unpacked(text: str) -> Floats:
    """Daily returns from what is kept of them."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)


class Ledger:
    """The file of trials.

    Parameters
    ----------
    path : Path
        Made, with its folder, at the first trial.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, trials: Iterable[Trial]) -> None:
        """Write trials down, safe against other writers and a crash in between.

        Raises
        ------
        InvalidInput
            When the file cannot be written.
        """
        lines = b"".join(msgspec.json.encode(trial) + b"\n" for trial in trials)
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) and not self._ends_with_newline():
                    # A line that a crash cut short stays alone and is skipped.
                    lines = b"\n" + lines
                file.write(lines)
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be written: {error.strerror}") from error

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def trials(self) -> Iterator[Trial]:
        """All trials in the order they were made; a line that was cut short is skipped.

        Raises
        ------
        InvalidInput
            When a whole line is not a trial.
        """
        return self._trials(b"")

    def _trials(self, text: bytes) -> Iterator[Trial]:
        return self._lines(msgspec.json.Decoder(Trial), text)

    def _lines(self, decoder: msgspec.json.Decoder[L], text: bytes = b"") -> Iterator[L]:
        """Lines that hold a text, decoded."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if text not in line or not line.strip():
                    continue
                try:
                    yield decoder.decode(line)
                except msgspec.ValidationError as error:
                    raise InvalidInput(f"{self.path} line {number}: {error}") from error
                except msgspec.DecodeError:
                    continue

    def of_study(self, study: str) -> list[Trial]:
        """Trials of a study, by whatever version of the code."""
        return [t for t in self._trials(study.encode()) if t.study == study]

    def tried(self, symbols: Sequence[str]) -> Tried:
        """What was tried on any of these symbols, by whatever version of the code."""
        wanted = set(symbols)
        longest: dict[tuple[str, str], tuple[int, float | None]] = {}
        studies = set()
        for seen in self._lines(msgspec.json.Decoder(_Seen)):
            if seen.problem or not wanted & set(seen.symbols):
                continue
            studies.add(seen.study)
            key = (seen.base or seen.study, params_key(seen.params))
            span = seen.end - seen.start
            if key not in longest or span >= longest[key][0]:
                longest[key] = (span, seen.figures.get("sharpe_per_day"))
        ratios = [r for _, r in longest.values() if r is not None and math.isfinite(r)]
        return Tried(
            trials=len(longest),
            studies=len(studies),
            variance=float(np.var(ratios, ddof=1)) if len(ratios) > 1 else None,
        )
