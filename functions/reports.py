"""Daily report, and purging what nobody needs any more."""

import logging
from datetime import timedelta
from typing import Any

import azure.functions as func

from functions.durable import df
from functions.outputs import Events, emits, flush
from shared.bootstrap import services

bp = df.Blueprint()

#: Finished orchestrations are kept this long.
HISTORY_DAYS = 7


@bp.timer_trigger(schedule="0 5 0 * * *", arg_name="timer", use_monitor=True)
@emits(bp)
def daily_report(
    timer: func.TimerRequest, executions: Events, risk: Events, compliance: Events
) -> None:
    """Yesterday in figures, as an alert."""
    from shared.portfolio.daily import report

    desk = services().desk()
    report(desk)
    flush(desk.outbox, executions, risk, compliance)


@bp.timer_trigger(schedule="0 30 3 * * *", arg_name="timer", use_monitor=True)
@bp.durable_client_input(client_name="client")
async def purge_history(timer: func.TimerRequest, client: Any) -> None:
    """Remove finished orchestrations: the storage provider keeps them for ever otherwise."""
    from shared.clock import utc

    until = utc(services().clock.now_ms()) - timedelta(days=HISTORY_DAYS)
    result = await client.purge_instance_history_by(
        created_time_from=until - timedelta(days=60),
        created_time_to=until,
        runtime_status=[
            df.OrchestrationRuntimeStatus.Completed,
            df.OrchestrationRuntimeStatus.Failed,
            df.OrchestrationRuntimeStatus.Terminated,
        ],
    )
    logging.getLogger("borsa").info("purged %s orchestrations", result.instances_deleted)
