"""Detectors: pure functions from the account's order flow to what looks like market abuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.compliance.detectors import ahead, ignition, spoofing, stuffing, wash
from shared.compliance.flow import Flow
from shared.compliance.rules import Hit, Thresholds

Detector = Callable[[Flow, Thresholds], list[Hit]]

DETECTORS: tuple[Detector, ...] = (
    spoofing.detect,
    stuffing.bursts,
    stuffing.ratios,
    ignition.detect,
    wash.matched,
    wash.prevented,
    wash.rounds,
    ahead.detect,
)


def detect(flow: Flow, thresholds: Thresholds | None = None) -> Sequence[Hit]:
    """Everything the detectors find, by time; each hit once."""
    limits = thresholds or Thresholds()
    found = {h.id: h for one in DETECTORS for h in one(flow, limits)}
    return sorted(found.values(), key=lambda h: (h.time, h.id))
