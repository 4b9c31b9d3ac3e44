"""Timers that watch over the account."""

import logging
from typing import Any

import azure.functions as func

from functions.durable import df, start_once, starts_workflows
from functions.outputs import Events, emits, flush, shows, signalr
from functions.safety import STARTING, flatten_here
from functions.threads import in_thread
from functions.watch import watch_account, watch_position
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
        await in_thread(watch.wrong_settings, desk, services().for_exits().wrong_settings)
    except StoreError:
        # Positions do not wait for it; the next round tells it.
        logging.getLogger("borsa").exception("settings are wrong, and it could not be told")
    try:
        round_ = await in_thread(watch.guard, desk)
        # Plain orders are not asked for every minute: what was never verified may still rest.
        if round_.closing and (round_.positions or round_.permits or not round_.verified):
            await _resume_emergency(desk, client)
    except ExchangeError as error:
        # Not raised: the outputs of a function that raises are not sent.
        logging.getLogger("borsa").exception("the guardian cannot see the exchange")
        # Nobody knows what is open: whoever looks first when it is back sees it in a second.
        await watch_account(client)
        await in_thread(watch.blind, desk, error)
        flush(desk.outbox, executions, risk, compliance)
        return
    except StoreError:
        await watch_account(client)
        # The ledger, perhaps, which a stop that was latched does not need.
        await _resume_if_latched(desk, client)
        raise
    for symbol, decision in round_.near:
        await watch_position(client, symbol, decision)
    if round_.held:
        await watch_account(client)
    if watch.sweeps(desk):
        if services().for_exits().settings.alert_escalation:
            await in_thread(_escalate, desk)
        await in_thread(resend, desk)
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


async def _resume_if_latched(desk: Any, client: str) -> None:
    switch = await in_thread(desk.kill_switch.ensure)
    if switch.state == "latched" and switch.closing and switch.flat_at is None:
        await _resume_emergency(desk, client)


async def _resume_emergency(desk: Any, client: str) -> None:
    """Latched with something still open: the emergency workflow was lost, or has not begun."""
    from shared.execution import emergency

    workflow = await in_thread(emergency.workflow_id, desk)
    try:
        await start_once(client, "emergency_workflow", workflow, {"attempt": 0}, within=STARTING)
    except Exception:
        logging.getLogger("borsa").exception("emergency workflow not started; flattening here")
        await in_thread(flatten_here, desk, workflow)


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
