"""Market data in, signals out, trade workflows started."""

import logging
from typing import Any

import azure.functions as func
import msgspec

from functions import deadletter
from functions.annotations import EventBatch
from functions.durable import df, start_once, starts_workflows
from functions.outputs import CONNECTION, Events
from functions.safety import STARTING
from functions.threads import in_thread
from shared.bootstrap import services

bp = df.Blueprint()

_published: dict[tuple[str, str], int] = {}


@bp.timer_trigger(schedule="2 * * * * *", arg_name="timer", use_monitor=True)
@bp.event_hub_output(arg_name="market", event_hub_name="market", connection=CONNECTION)
def poll_candles(timer: func.TimerRequest, market: Events) -> None:
    """Publish every candle that closed since the last poll, for each symbol and time frame."""
    from shared.market.poll import poll

    now = services()
    candles = poll(now.exchange, now.plan, now.clock, _published)
    if candles:
        from shared.market.events import encode

        market.set([encode(c).decode() for c in candles])


@bp.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="market",
    connection=CONNECTION,
    consumer_group="trader",
    cardinality=func.Cardinality.MANY,
)
@bp.event_hub_output(arg_name="risk", event_hub_name="risk", connection=CONNECTION)
@starts_workflows(bp)
async def on_market(events: EventBatch, risk: Events, client: str) -> None:
    """Compute the signal of each closed candle; start a trade workflow for those that act."""
    told: list[dict[str, Any]] = []
    signals, stop = await in_thread(_signals, events, told)
    if stop:
        try:
            await start_once(client, "emergency_workflow", stop, {"attempt": 0}, within=STARTING)
        except Exception:
            # Latched is latched: the guardian starts it within a minute.
            logging.getLogger("borsa").exception("%s: emergency workflow not started", stop)
    for signal in signals:
        request = {"symbol": signal.symbol, "signal": signal.id}
        try:
            await start_once(client, "trade_workflow", signal.id, request, within=STARTING)
        except Exception as error:  # noqa: BLE001 - one signal must not take the others along
            await in_thread(_not_started, signal, error, told)
    # Last: what it takes of the store's time, or that it fails, costs no signal its workflow.
    await in_thread(_champions_told, told)
    if told:
        risk.set([msgspec.json.encode(alert).decode() for alert in told])


def _signals(events: EventBatch, told: list[dict[str, Any]]) -> tuple[list[Any], str]:
    """Signals that act, and the emergency workflow that an abnormal market calls for, if any.

    Alerts are added to ``told``.
    """
    from shared.errors import ConfigurationError
    from shared.execution import emergency, short_history, watch
    from shared.market.events import decode

    engine, floor = services().engine, float(services().thresholds.volatility_floor)
    stops = set()

    def look(candle: Any) -> None:
        """Whether the market is abnormal."""
        candles = engine.candles(candle.symbol, candle.timeframe)
        if candles is not None and watch.moves_much(candles, floor):
            desk = services().desk()
            if watch.market(desk, candles) in desk.closing_triggers:
                stops.add(emergency.workflow_id(desk))
            told.extend(desk.outbox.risk)

    def process(body: bytes) -> Any:
        candle = decode(body)
        try:
            signal = engine.on_candle(candle)
        except ConfigurationError:
            # A model that cannot vote takes the signal away, not the eye on the market.
            look(candle)
            raise
        if signal is None:
            known, needed = engine.history(candle.symbol, candle.timeframe)
            if known < needed:
                desk = services().desk()
                short_history.tell(desk, candle, known, needed)
                told.extend(desk.outbox.risk)
            return None
        # Before the signal is acted upon: this move may be its reason.
        look(candle)
        return engine.save(signal)

    found = deadletter.each("market", events, process)
    return [s for s in found if s is not None and s.side is not None], "".join(stops)


def _champions_told(told: list[dict[str, Any]]) -> None:
    """Have people know that the registry of models cannot be read."""
    from shared.errors import BorsaError

    champions = services().champions
    if champions is None or not champions.trouble:
        return
    from shared.intelligence.champions import tell

    try:
        desk = services().desk()
        tell(desk, champions)
    except BorsaError as error:
        logging.getLogger("borsa").error("the model registry's trouble is not told: %s", error)
        return
    told.extend(desk.outbox.risk)


def _not_started(signal: Any, error: Exception, told: list[dict[str, Any]]) -> None:
    """The batch does not come again, so a person is told that this signal came to nothing."""
    said = f"did not start: {error}. Nothing was opened."
    if isinstance(error, TimeoutError):
        said = "may start late, or not at all: the task hub does not answer."
    logging.getLogger("borsa").error("%s: its workflow %s", signal.id, said)
    desk = services().desk()
    desk.alert(
        "critical",
        "workflow-not-started",
        f"{signal.symbol}: a signal could not be acted upon",
        f"The workflow of {signal.id} {said}",
        correlation=signal.id,
    )
    told.extend(desk.outbox.risk)
