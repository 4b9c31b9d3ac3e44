"""OpenTelemetry: spans from candle to fill under one trace id, and the metrics of the docs.

The trace id is derived from the signal id, so spans of separate functions, processes and retries
of one signal meet in one trace without anything having to be passed along. Nothing is exported
here: the Functions worker configures Azure Monitor when Application Insights is set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

INSTRUMENTS = {
    "borsa.signals": ("counter", "signals computed, by symbol and side"),
    "borsa.decisions": ("counter", "decisions by outcome and first reason"),
    "borsa.orders": ("counter", "orders by leg and outcome"),
    "borsa.order.latency": ("histogram", "decision to exchange acknowledgement, ms"),
    "borsa.data.age": ("gauge", "age of the newest closed candle, s"),
    "borsa.equity": ("gauge", "wallet balance plus unrealised P&L, USDT"),
    "borsa.drawdown": ("gauge", "fraction below the equity peak"),
    "borsa.positions.unprotected": ("gauge", "positions without a full live stop"),
    "borsa.kill_switch.latched": ("gauge", "1 while latched"),
    "borsa.alerts": ("counter", "alerts by kind and severity"),
    "borsa.guardian.heartbeat": ("counter", "completed guardian rounds"),
}

_enabled = True


def enable(on: bool) -> None:
    """Switch recording on or off for this process."""
    global _enabled
    _enabled = on


@lru_cache(maxsize=1)
def _meter() -> dict[str, Any]:
    from opentelemetry import metrics

    meter = metrics.get_meter("borsa")
    make: dict[str, Any] = {
        "counter": meter.create_counter,
        "histogram": meter.create_histogram,
        "gauge": meter.create_gauge,
    }
    return {n: make[kind](n, description=text) for n, (kind, text) in INSTRUMENTS.items()}


def record(name: str, value: float = 1, **attributes: str) -> None:
    """Record one figure of the table above."""
    if not _enabled:
        return
    instrument = _meter()[name]
    kind = INSTRUMENTS[name][0]
    if kind == "counter":
        instrument.add(value, attributes)
    elif kind == "histogram":
        instrument.record(value, attributes)
    else:
        instrument.set(value, attributes)


def trace_id(correlation: str) -> int:
    """The 128-bit trace id of a signal."""
    return int.from_bytes(hashlib.sha256(correlation.encode()).digest()[:16]) or 1


@contextmanager
def span(name: str, correlation: str, **attributes: str) -> Iterator[None]:
    """A span in the trace of ``correlation`` (a signal id)."""
    if not _enabled:
        yield
        return
    from opentelemetry import trace

    digest = hashlib.sha256(correlation.encode()).digest()
    parent = trace.SpanContext(
        trace_id=trace_id(correlation),
        span_id=int.from_bytes(digest[16:24]) or 1,
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    tracer = trace.get_tracer("borsa")
    with tracer.start_as_current_span(name, context=context, attributes=attributes):
        yield
