"""Operations on what charts show."""

from __future__ import annotations

from typing import Literal

from functions.charts import ChartRequest
from functions.openapi.operation import Operation, Parameter, Shape
from shared.intelligence.anomaly_watch import AnomalousBar
from shared.intelligence.chart_reading import ChartReading
from shared.intelligence.charts import ChartPatterns


class Anomalies(Shape):
    """Anomalous bars, and what ``ANOMALIES`` is set to."""

    watching: Literal["off", "record", "alert"]
    anomalies: list[AnomalousBar]
    continuation: str | None


OPERATIONS = (
    Operation(
        function="chart_patterns",
        method="GET",
        route="patterns/{symbol}",
        summary="Chart patterns of a symbol as of its last closed bar",
        query=(Parameter("timeframe", str, "of the bars; default: the first that is configured"),),
        answers={200: ChartPatterns},
        errors=(400, 429, 502),
    ),
    Operation(
        function="read_chart",
        method="POST",
        route="patterns/{symbol}/reading",
        summary="What a model that can see makes of the chart, beside the figures",
        body=ChartRequest,
        answers={200: ChartReading},
        errors=(429, 502),
    ),
    Operation(
        function="list_anomalies",
        method="GET",
        route="anomalies",
        summary="Anomalous bars as they were recorded, newest first",
        query=(
            Parameter("symbol", str, "of one contract; default: all"),
            Parameter("timeframe", str, "of the bars; default: all"),
            Parameter("limit", int, "rows of a page, 1 to 1000"),
            Parameter("continuation", str, "the answer's, for the next page"),
        ),
        answers={200: Anomalies},
        errors=(400,),
    ),
)
