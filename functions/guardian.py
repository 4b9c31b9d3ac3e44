"""Timers that watch over the account."""

import asyncio
import logging
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from functions.market import start_once
from functions.outputs import SIGNALR_CONNECTION, SIGNALR_HUB, Events, emits, flush, signalr
from shared.bootstrap import services

bp = df.Blueprint()


@bp.timer_trigger(schedule="20 * * * * *", arg_name="timer", use_monitor=True)
@emits(bp)
@bp.generic_output_binding(
    arg_name="dashboard",
    type="signalR",
    hub_name=SIGNALR_HUB,
    connection=SIGNALR_CONNECTION,
)
@bp.durable_client_input(client_name="client")
async def guardian(
    timer: func.TimerRequest,
    executions: Events,
    risk: Events,
    compliance: Events,
    dashboard: func.Out[str],
    client: Any,
) -> None:
    """Stops, trailing, time exits, settlement, foreign positions, drawdown; every minute."""
    from shared.execution.guardian import guard

    desk = services().desk()
    round_ = await asyncio.to_thread(guard, desk)
    flush(desk.outbox, executions, risk, compliance)
    if round_.latched and round_.positions:
        # Latched with something still open: the emergency workflow has been lost or not begun.
        await start_once(client, "emergency_workflow", "emergency-guardian", {"attempt": 0})
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


@bp.timer_trigger(schedule="40 */5 * * * *", arg_name="timer", use_monitor=True)
@emits(bp)
def reconcile(
    timer: func.TimerRequest, executions: Events, risk: Events, compliance: Events
) -> None:
    """Compare our book with the exchange's; the exchange wins, differences become incidents."""
    from shared.execution.reconcile import reconcile as compare

    desk = services().desk()
    report = compare(desk)
    flush(desk.outbox, executions, risk, compliance)
    if report.differences:
        logging.getLogger("borsa").warning("reconciliation: %s", "; ".join(report.differences))
