"""What a chart shows: patterns. For people, not on the way of an order."""

from typing import Any

import azure.functions as func

from functions.durable import df
from functions.http import answers
from shared.bootstrap import services

bp = df.Blueprint()


@bp.route(route="patterns/{symbol}", methods=["GET"])
@answers
def chart_patterns(req: func.HttpRequest) -> Any:
    """Chart patterns of a symbol as of its last closed bar."""
    from shared.intelligence import charts

    own = services()
    symbol = req.route_params["symbol"]
    charts.known_symbol(symbol, own.settings.symbols)
    own.prediction_throttle.admit()
    timeframe = req.params.get("timeframe") or own.settings.timeframes[0]
    return charts.chart_patterns(own.recent_candles, symbol, timeframe)
