"""What a chart shows: patterns and anomalies. For people, not on the way of an order."""

from typing import Any

import azure.functions as func
import msgspec

from functions.api import limit_of
from functions.durable import df
from functions.http import answers, read
from functions.outputs import CONNECTION, Events
from shared.bootstrap import services

bp = df.Blueprint()


class ChartRequest(msgspec.Struct, forbid_unknown_fields=True):
    """On which bars; by default the first of those that are traded."""

    timeframe: str = ""


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


@bp.route(route="patterns/{symbol}/reading", methods=["POST"])
@answers
def read_chart(req: func.HttpRequest) -> Any:
    """What a model that can see makes of the chart, beside what was found by figures."""
    from shared.intelligence import chart_reading, charts

    own = services()
    symbol = req.route_params["symbol"]
    charts.known_symbol(symbol, own.settings.symbols)
    timeframe = read(req, ChartRequest).timeframe or own.settings.timeframes[0]
    llm, model = own.opinions.llm, own.settings.services.llm_vision_model
    chart_reading.ready(llm, model)
    with own.opinions.llm_turn():
        return chart_reading.read_chart(llm, model, own.recent_candles, symbol, timeframe)


@bp.route(route="anomalies", methods=["GET"])
@answers
def list_anomalies(req: func.HttpRequest) -> Any:
    """Anomalous bars as they were recorded, newest first; of one symbol or of all."""
    from shared.intelligence import anomaly_watch, charts
    from shared.market.timeframe import duration_ms

    own, limit = services(), limit_of(req)
    watching = own.settings.anomalies
    symbol, timeframe = req.params.get("symbol"), req.params.get("timeframe")
    if timeframe is not None:
        duration_ms(timeframe)
    if symbol is not None:
        charts.known_symbol(symbol, own.settings.symbols)
        rows, continuation = anomaly_watch.listed(
            own.store, symbol, timeframe, limit, req.params.get("continuation") or None
        )
        return {"watching": watching, "anomalies": rows, "continuation": continuation}
    found = [
        row
        for one in own.settings.symbols
        for row in anomaly_watch.listed(own.store, one, timeframe, limit, None)[0]
    ]
    found.sort(key=lambda row: (row.time, row.id), reverse=True)
    return {"watching": watching, "anomalies": found[:limit], "continuation": None}


@bp.timer_trigger(schedule="30 */5 * * * *", arg_name="timer", use_monitor=True)
@bp.event_hub_output(arg_name="risk", event_hub_name="risk", connection=CONNECTION)
def watch_anomalies(timer: func.TimerRequest, risk: Events) -> None:
    """Record bars out of the ordinary, and tell them where that is wanted; off by default."""
    own = services().for_exits()
    if own.settings.anomalies == "off":
        return
    from shared.intelligence import anomaly_watch

    markets = [(s, t) for s in own.settings.symbols for t in own.settings.timeframes]
    fresh = anomaly_watch.watch(own.watched_candles, own.store, markets)
    if own.settings.anomalies == "alert" and fresh:
        desk = services().exit_desk()
        anomaly_watch.tell(desk, fresh)
        if desk.outbox.risk:
            risk.set([msgspec.json.encode(alert).decode() for alert in desk.outbox.risk])
