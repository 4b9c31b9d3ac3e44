"""Operations on what charts show."""

from __future__ import annotations

from functions.openapi.operation import Operation, Parameter
from shared.intelligence.charts import ChartPatterns

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
)
