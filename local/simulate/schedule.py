"""Which fault strikes where: drawn from one seed, recorded, and replayable in part.

Every place where something can go wrong asks with the name of its boundary. The answer depends
only on the seed, the step and how often that boundary was asked within the step, never on what
else struck before. So one fault can be left out and the others stay where they are, which is what
shrinking a failing schedule needs.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from hashlib import blake2b

#: A fault's name with its probability per question.
Menu = Sequence[tuple[str, float]]

_SCALE = 1 / 2**64


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


class Schedule:
    """Draws faults.

    Parameters
    ----------
    seed : str
        One seed is one schedule.
    only : collection of str, optional
        Keys of the faults that may strike; everything else is quiet.

    Attributes
    ----------
    fired : list of str
        Keys of the faults that struck, in order.
    calm : bool
        While true nothing strikes: the application must be able to finish now.
    """

    def __init__(self, seed: str, only: Collection[str] | None = None) -> None:
        self._seed = seed
        self._only = None if only is None else frozenset(only)
        self._step = 0
        self._asked: dict[str, int] = {}
        self._paused = 0
        self.calm = False
        self.fired: list[str] = []

    def begin(self, step: int) -> None:
        """A new step: counting starts anew."""
        self._step = step
        self._asked.clear()

    def pause(self) -> None:
        """Nothing strikes until :meth:`resume`; may be nested."""
        self._paused += 1

    def resume(self) -> None:
        self._paused -= 1

    def draw(self, boundary: str, menu: Menu) -> tuple[str, random.Random] | None:
        """What strikes here and now, with a source of numbers for its details."""
        if self._paused or not menu:
            return None
        count = self._asked.get(boundary, 0)
        self._asked[boundary] = count + 1
        if self.calm:
            return None
        place = f"{self._step}.{boundary}.{count}"
        number = _hash(f"{self._seed}|{place}")
        at = number * _SCALE
        for name, rate in menu:
            if at < rate:
                key = f"{place}={name}"
                if self._only is not None and key not in self._only:
                    return None
                self.fired.append(key)
                return name, random.Random(number)
            at -= rate
        return None
