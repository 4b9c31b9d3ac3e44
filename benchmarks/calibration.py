"""How fast the machine is at this moment: a loop that has nothing to do with the application."""

from __future__ import annotations

import time

from benchmarks.figure import Figure, Size

REPEATS: dict[Size, int] = {"full": 25, "quick": 9, "tiny": 1}
STEPS = 2_000_000


def _loop() -> float:
    began, total = time.process_time(), 0
    for number in range(STEPS):
        total += number * number % 7
    return (time.process_time() - began) * 1000


def measure(size: Size) -> list[Figure]:
    """Median processor time of the loop, beside its best: their ratio is what others take."""
    taken = sorted(_loop() for _ in range(REPEATS[size]))
    return [
        Figure(
            name="calibration: two million steps of a plain Python loop",
            value=taken[len(taken) // 2],
            unit="ms",
            peer="the best of the same run",
            peer_value=taken[0],
            note="far above the best: the machine is busy, and everything below reads too high",
        )
    ]
