"""One trace from candle to fill, and the metrics of the table, through the OpenTelemetry SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from local.replay.run import replay
from shared import telemetry
from shared.market.timeframe import MINUTE_MS
from shared.simulation.synthetic import SyntheticMarket

START = 1_767_571_200_000
MEMBERS = '[{"strategy": "trend"}, {"strategy": "momentum"}]'
DEMONSTRATION = f'{{"timeframes": {{"1m": {{"threshold": 0.3, "members": {MEMBERS}}}}}}}'


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader]]:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    reader = InMemoryMetricReader()
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    telemetry._meter.cache_clear()
    replay(
        SyntheticMarket(7, ("BTCUSDT", "ETHUSDT")),
        symbols=("BTCUSDT", "ETHUSDT"),
        start_ms=START,
        end_ms=START + 60 * MINUTE_MS,
        seed=1,
        settings={
            "TIMEFRAMES": "1m",
            "BORSA_TELEMETRY": "true",
            "TRADING_PLAN": DEMONSTRATION,
            "MAX_HOLDING_BARS": "10",
        },
    )
    yield spans, reader
    telemetry.enable(False)


def test_one_trace_from_candle_to_fill(
    recorded: tuple[InMemorySpanExporter, InMemoryMetricReader],
) -> None:
    by_trace: dict[int, list[str]] = {}
    for span in recorded[0].get_finished_spans():
        by_trace.setdefault(span.context.trace_id, []).append(span.name)
    trades = [names for names in by_trace.values() if "open" in names]
    assert trades, "no trade was opened in an hour of the demonstration market"
    for names in trades:
        assert names == ["signal", "assess", "open", "protect", "record"]


def test_the_trace_id_follows_from_the_signal() -> None:
    assert telemetry.trace_id("a") == telemetry.trace_id("a") != telemetry.trace_id("b")


def test_the_metrics_of_the_table_are_recorded(
    recorded: tuple[InMemorySpanExporter, InMemoryMetricReader],
) -> None:
    data = recorded[1].get_metrics_data()
    assert data is not None
    names = {
        metric.name
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert names == set(telemetry.INSTRUMENTS)
