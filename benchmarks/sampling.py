"""What a program spends its processor time on, by sampling its own stack."""

from __future__ import annotations

import signal
from collections import Counter
from types import FrameType
from typing import Any

#: Processor seconds between two samples: rare enough not to be seen in what is measured.
INTERVAL_S = 0.005

#: Parts of the program by a piece of the source path; the first that fits counts.
PARTS: tuple[tuple[str, str], ...] = (
    ("/shared/simulation/", "simulated exchange"),
    ("/local/exchange/", "simulated exchange"),
    ("/site-packages/binance/", "python-binance"),
    ("/shared/execution/binance/", "Binance adapter"),
    ("/shared/storage/", "state store"),
    ("/shared/strategies/", "signals"),
    ("/shared/indicators/", "signals"),
    ("/shared/audit/", "audit"),
    ("/shared/", "trading rules"),
    ("/local/durable/", "durable task hub"),
    ("/azure/durable_functions/", "durable SDK"),
    ("/local/host/", "function host"),
    ("/azure/functions/", "functions SDK"),
    ("/local/eventlog", "event log"),
    ("/functions/", "functions"),
    ("/local/invariants", "invariant checks"),
    ("/local/replay/", "invariant checks"),
    ("/local/clock", "event loop"),
    ("/asyncio/", "event loop"),
    ("importlib", "imports"),
)

#: Triggers and orchestrations whose whole cost is told as well.
TRIGGERS = (
    "guardian",
    "poll_candles",
    "on_market",
    "reconcile",
    "assess",
    "open_position",
    "protect_position",
    "record_trade",
)


class Sampler:
    """Counts where the main thread is, every few milliseconds of processor time.

    Where the profile timer does not exist (Windows) nothing is counted.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.parts: Counter[str] = Counter()
        self.triggers: Counter[str] = Counter()
        self._before: Any = None

    def __enter__(self) -> Sampler:
        if hasattr(signal, "setitimer"):
            self._before = signal.signal(signal.SIGPROF, self._sample)
            signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, self._before or signal.SIG_DFL)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        self.samples += 1
        part = ""
        while frame is not None:
            path = frame.f_code.co_filename
            if not part:
                # Code of the standard library counts for whoever called it.
                part = next((name for piece, name in PARTS if piece in path), "")
            if "/functions/" in path and frame.f_code.co_name in TRIGGERS:
                self.triggers[frame.f_code.co_name] += 1
            frame = frame.f_back
        self.parts[part or "other"] += 1

    def shares(self) -> dict[str, float]:
        """Fraction of processor time by part, the largest first."""
        return {k: v / self.samples for k, v in self.parts.most_common()}

    def by_trigger(self) -> dict[str, float]:
        """Fraction spent inside each trigger, everything it calls included."""
        return {k: v / self.samples for k, v in self.triggers.most_common()}
