"""What the streamer counts: for ``/metrics``, ``/healthz`` and a line of the log every minute."""

from __future__ import annotations

from collections import Counter

#: name -> (labels, meaning)
COUNTERS: dict[str, tuple[tuple[str, ...], str]] = {
    "messages": (("connection",), "stream messages received"),
    "unreadable": (("connection",), "messages that could not be understood"),
    "connects": (("connection",), "websockets opened"),
    "disconnects": (("connection",), "websockets that ended unasked"),
    "stalls": (("connection",), "websockets left because nothing came"),
    "candles": (("source",), "closed candles queued, by what told of them"),
    "repeated": ((), "closed candles that came again and were not published"),
    "contradicted": ((), "of these, candles that came again with other values"),
    "repairs": ((), "rounds in which REST was asked for candles"),
    "repair_failures": ((), "requests of these rounds that failed"),
    "quotes_replaced": ((), "quotes that a newer one replaced before they were sent"),
    "quotes_late": ((), "quotes older than one seen before, not published"),
    "account_repeated": ((), "news of the account that came again and was not published"),
    "sent": (("hub",), "events that Event Hubs has taken"),
    "send_failures": (("hub",), "sends that failed and were tried again"),
}


class Figures:
    """Counters by name and label."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, label: str = "", by: int = 1) -> None:
        """Add to a counter of :data:`COUNTERS`."""
        if bool(label) != bool(COUNTERS[name][0]):
            raise KeyError(f"{name} has the labels {COUNTERS[name][0]}, not {label!r}")
        self._counts[name, label] += by

    def get(self, name: str, label: str = "") -> int:
        """The value of a counter."""
        return self._counts[name, label]

    def flat(self) -> dict[str, int]:
        """Every counter that is not zero, ``name.label``."""
        return {f"{n}.{label}" if label else n: v for (n, label), v in sorted(self._counts.items())}

    def prometheus(self) -> str:
        """The counters in Prometheus' text format."""
        lines = []
        for name, (labels, meaning) in COUNTERS.items():
            lines += [
                f"# HELP borsa_streamer_{name}_total {meaning}",
                f"# TYPE borsa_streamer_{name}_total counter",
            ]
            found = {label: v for (n, label), v in self._counts.items() if n == name}
            for label, value in sorted(found.items() or ([("", 0)] if not labels else [])):
                shown = f'{{{labels[0]}="{label}"}}' if labels else ""
                lines.append(f"borsa_streamer_{name}_total{shown} {value}")
        return "\n".join(lines) + "\n"
