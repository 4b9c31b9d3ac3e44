"""Timers that watch over the account."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import azure.functions as func

from functions.annotations import Payload
from functions.durable import df, start_once, starts_workflows
from functions.outputs import Events, emits, flush, shows, signalr
from shared.bootstrap import services

bp = df.Blueprint()


@bp.timer_trigger(schedule="20 * * * * *", arg_name="timer", use_monitor=True)
@emits(bp)
@shows(bp)
@starts_workflows(bp)
async def guardian(
    timer: func.TimerRequest,
    executions: Events,
    risk: Events,
    compliance: Events,
    dashboard: func.Out[str],
    client: str,
) -> None:
    """Stops, trailing, time exits, settlement, foreign positions, drawdown; every minute."""
    from shared.alerts.resend import resend
    from shared.errors import ExchangeError, StoreError
    from shared.execution import guardian as watch

    desk = services().exit_desk()
    try:
        await asyncio.to_thread(watch.wrong_settings, desk, services().for_exits().wrong_settings)
    except StoreError:
        # Positions do not wait for it; the next round tells it.
        logging.getLogger("borsa").exception("settings are wrong, and it could not be told")
    try:
        round_ = await asyncio.to_thread(watch.guard, desk)
        # Plain orders are not asked for every minute: what was never verified may still rest.
        if round_.closing and (round_.positions or round_.permits or not round_.verified):
            await _resume_emergency(desk, client)
    except ExchangeError as error:
        # Not raised: the outputs of a function that raises are not sent.
        logging.getLogger("borsa").exception("the guardian cannot see the exchange")
        await asyncio.to_thread(watch.blind, desk, error)
        flush(desk.outbox, executions, risk, compliance)
        return
    except StoreError:
        # The ledger, perhaps, which a stop that was latched does not need.
        await _resume_if_latched(desk, client)
        raise
    for symbol, decision in round_.near:
        await _watch(client, symbol, decision)
    if watch.sweeps(desk):
        if services().for_exits().settings.alert_escalation:
            await asyncio.to_thread(_escalate, desk)
        await asyncio.to_thread(resend, desk)
    flush(desk.outbox, executions, risk, compliance)
    dashboard.set(
        signalr(
            "status",
            {
                "equity": str(round_.equity),
                "drawdown": str(round_.drawdown),
                "positions": round_.positions,
                "latched": bool(round_.latched),
            },
        )
    )


def _escalate(desk: Any) -> None:
    """A step further with alerts that nobody acknowledged."""
    from shared.alerts.escalation import escalate
    from shared.errors import StoreError

    settings = services().for_exits().settings
    try:
        escalate(desk, len(settings.alert_escalation), settings.alert_escalation_minutes)
    except StoreError:
        logging.getLogger("borsa").exception("alerts were not escalated; the next sweep does it")


async def _watch(client: str, symbol: str, decision: str) -> None:
    """A price close to its stop: look every two seconds until the next round."""
    request = {"symbol": symbol, "decision": decision}
    try:
        await start_once(client, "stop_watch", f"watch-{decision}", request)
    except Exception:
        logging.getLogger("borsa").exception("%s is near its stop and is not watched", symbol)


@bp.orchestration_trigger(context_name="context")
def stop_watch(context: df.DurableOrchestrationContext) -> Any:
    """Look at one position every few seconds while its stop is near.

    It goes on by itself: left to the guardian's next round it would end just after that round had
    found it running, and nobody would look for a minute.
    """
    from shared.execution.stop_watch import WATCH_EVERY, WATCH_LOOKS

    request = context.get_input()
    for _ in range(WATCH_LOOKS):
        seen = yield context.call_activity("watch_stop", request)
        if not seen["again"]:
            return {"near": False}
        # A look of the version before does not say when the next one is due.
        wait = timedelta(seconds=seen.get("after", WATCH_EVERY))
        yield context.create_timer(context.current_utc_datetime + wait)
    context.continue_as_new(request)
    return None


@bp.activity_trigger(input_name="payload")
@emits(bp)
def watch_stop(
    payload: Payload, executions: Events, risk: Events, compliance: Events
) -> dict[str, Any]:
    """One look at a position near its stop; failing only means: again."""
    from shared.errors import BorsaError
    from shared.execution.stop_watch import WATCH_EVERY, look

    desk = services().exit_desk()
    try:
        after = look(desk, payload["symbol"], payload["decision"])
    except BorsaError as error:
        logging.getLogger("borsa").error("watch: %s: %s", type(error).__name__, error)
        after = WATCH_EVERY
    flush(desk.outbox, executions, risk, compliance)
    return {"again": bool(after), "after": after}


async def _resume_if_latched(desk: Any, client: str) -> None:
    switch = await asyncio.to_thread(desk.kill_switch.ensure)
    if switch.state == "latched" and switch.closing and switch.flat_at is None:
        await _resume_emergency(desk, client)


async def _resume_emergency(desk: Any, client: str) -> None:
    """Latched with something still open: the emergency workflow was lost, or has not begun."""
    from shared.execution import emergency

    workflow = emergency.workflow_id(desk)
    try:
        await start_once(client, "emergency_workflow", workflow, {"attempt": 0})
    except Exception:
        logging.getLogger("borsa").exception("emergency workflow not started; flattening here")
        await asyncio.to_thread(emergency.flatten_account, desk, workflow)


@bp.timer_trigger(schedule="40 */5 * * * *", arg_name="timer", use_monitor=True)
@emits(bp)
def reconcile(
    timer: func.TimerRequest, executions: Events, risk: Events, compliance: Events
) -> None:
    """Compare our book with the exchange's; the exchange wins, differences become incidents."""
    from shared.errors import BorsaError
    from shared.execution.reconcile import reconcile as compare

    desk = services().exit_desk()
    try:
        report = compare(desk)
    except BorsaError:
        # Not raised: the outputs of a function that raises are not sent, and one order that cannot
        # be dealt with fails every comparison, after all that it has found.
        logging.getLogger("borsa").exception("reconciliation could not be finished")
        flush(desk.outbox, executions, risk, compliance)
        return
    flush(desk.outbox, executions, risk, compliance)
    if report.differences:
        logging.getLogger("borsa").warning("reconciliation: %s", "; ".join(report.differences))
