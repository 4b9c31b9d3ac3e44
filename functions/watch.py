"""Looks between the guardian's rounds: at the whole account, and at single positions."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from functions.annotations import Payload
from functions.durable import df, start_once, starts_workflows
from functions.outputs import Events, emits, flush
from functions.threads import in_thread
from shared.bootstrap import services

bp = df.Blueprint()


#: Seconds that who asks for the watch waits for it to be started: the answer of who has opened a
#: position, and the guardian, which has more to do.
ASKING = 2.0

#: The same for who has found a position that somebody has to see to now, and does it himself then:
#: a stop that has failed has five seconds, and two of them may have gone before it was seen.
STARTING = 1.0

#: Seconds after which a look that saw nothing open is no reason to end the watch: what has been
#: opened since asked for it in vain, as it was running.
LATE = 1.0


async def watch_account(client: str) -> bool:
    """Have all positions looked at every two seconds, if the settings say so and nobody does.

    Who has opened a position calls this, and the guardian, whatever became of the watch before.

    Returns
    -------
    bool
        Whether it was started, or is running.
    """
    desk = services().exit_desk()
    if not desk.watch_always:
        return False
    try:
        name = f"account-watch-{desk.account}"
        await start_once(client, "account_watch", name, {}, within=ASKING)
    except Exception:
        logging.getLogger("borsa").exception("the account's positions are not watched")
        return False
    return True


async def watch_opened(client: str, opened: dict[str, Any]) -> None:
    """The activity that has opened a position asks for the watch itself.

    Its workflow asks where this could not; but a run that comes late, on an instance that stood
    still, has no workflow any more: that ended with what another run had answered.
    """
    if opened.get("watch") is True and await watch_account(client):
        opened["watch"] = "asked"


async def watch_position(client: str, symbol: str, decision: str) -> list[dict[str, str]]:
    """Have a position looked at until it needs nobody any more.

    Returns
    -------
    list of dict
        What could not be started; empty if it was, or is running.
    """
    request = {"symbol": symbol, "decision": decision}
    try:
        await start_once(client, "stop_watch", f"watch-{decision}", request, within=STARTING)
    except Exception:
        logging.getLogger("borsa").exception("%s needs to be watched and is not", symbol)
        return [request]
    return []


@bp.activity_trigger(input_name="payload")
@starts_workflows(bp)
async def begin_watch(payload: Payload, client: str) -> dict[str, Any]:
    """A position has been opened: somebody looks at it from now on."""
    await watch_account(client)
    return {}


@bp.orchestration_trigger(context_name="context")
def account_watch(context: df.DurableOrchestrationContext) -> Any:
    """Look at all positions every two seconds as long as one of ours is open.

    Who needs to be seen to gets a watch of his own: this one waits for nobody, so that a close
    which takes its time keeps no other position from being looked at. Only where that could not
    be started it sees to him itself.
    """
    from shared.execution.stop_watch import WATCH_LOOKS
    from shared.execution.survey import SURVEY_EVERY

    for _ in range(WATCH_LOOKS):
        asked = context.current_utc_datetime
        try:
            seen = yield context.call_activity("survey_positions", {})
            if seen["left"]:
                looks = [context.call_activity("watch_stop", request) for request in seen["left"]]
                yield context.task_all(looks)
        except Exception:  # noqa: BLE001 - whatever became of that look, another one follows
            seen = {"again": True, "after": SURVEY_EVERY}
        late = context.current_utc_datetime - asked > timedelta(seconds=LATE)
        if not seen["again"] and not late:
            return {"open": False}
        wait = timedelta(seconds=seen["after"])
        yield context.create_timer(context.current_utc_datetime + wait)
    context.continue_as_new({})
    return None


@bp.activity_trigger(input_name="payload")
@starts_workflows(bp)
async def survey_positions(payload: Payload, client: str) -> dict[str, Any]:
    """One look at all positions; failing only means: again."""
    from shared.errors import BorsaError, ExchangeError
    from shared.execution.elapsed import Elapsed
    from shared.execution.survey import AGAIN, pause, survey

    desk = services().exit_desk()
    if not desk.watch_always:
        return {"again": False, "after": 0.0, "left": []}
    looked = Elapsed(desk.clock)
    try:
        seen = await in_thread(survey, desk)
    except BorsaError as error:
        logging.getLogger("borsa").error("survey: %s: %s", type(error).__name__, error)
        trouble = error if isinstance(error, ExchangeError) else None
        return {"again": True, "after": pause(looked, trouble), "left": []}
    left = await asyncio.gather(*(watch_position(client, *position) for position in seen.due))
    after = AGAIN if seen.blind else pause(looked)
    return {"again": seen.held, "after": after, "left": [r for requests in left for r in requests]}


@bp.orchestration_trigger(context_name="context")
def stop_watch(context: df.DurableOrchestrationContext) -> Any:
    """Look at one position every few seconds while its stop is near, or has failed.

    It goes on by itself: left to the guardian's next round it would end just after that round had
    found it running, and nobody would look for a minute.
    """
    from shared.execution.stop_watch import WATCH_EVERY, WATCH_LOOKS

    request = context.get_input()
    for _ in range(WATCH_LOOKS):
        try:
            seen = yield context.call_activity("watch_stop", request)
        except Exception:  # noqa: BLE001 - whatever became of that look, another one follows
            seen = {"again": True}
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
    """One look at a position whose stop is near or has failed; failing only means: again."""
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
