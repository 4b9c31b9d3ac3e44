"""The trade workflow: assess -> approve (by stage) -> open -> protect -> record."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from functions.annotations import Payload
from functions.durable import df, starts_workflows
from functions.outputs import Events, emits, flush
from functions.threads import in_thread
from functions.watch import watch_account, watch_opened
from shared.bootstrap import services

bp = df.Blueprint()

T = TypeVar("T")

#: An activity that failed runs again at once: behind it may be an order whose stop is missing,
#: and a position may be without one for five seconds.
RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=300, max_number_of_attempts=4)
RETRY.backoff_coefficient = 2.0


@bp.orchestration_trigger(context_name="context")
def trade_workflow(context: df.DurableOrchestrationContext) -> Any:
    """One signal, from the gate to a protected and recorded position.

    One hop leads to the order: where nobody is asked, ``assess`` opens what it has approved. Every
    activity may run twice: each looks for what an earlier run did before it does anything.
    """
    request = context.get_input()
    decision = yield context.call_activity_with_retry("assess", RETRY, request)
    if decision["outcome"] != "approved":
        return decision
    step = {"symbol": request["symbol"], "signal": request["signal"]}
    opened = decision.pop("opened", None)
    if decision["needsApproval"]:
        deadline = context.current_utc_datetime + timedelta(seconds=decision["approvalSeconds"])
        answer = context.wait_for_external_event(decision["approvalEvent"])
        timer = context.create_timer(deadline)
        first = yield context.task_any([answer, timer])
        if first == answer:
            timer.cancel()
        # Who answered and what counts only as the store has it: events may be lost or doubled.
        verdict = yield context.call_activity_with_retry("settle_approval", RETRY, step)
        if verdict["state"] != "approved":
            return {**decision, "outcome": verdict["state"]}
    if opened is None:
        opened = yield context.call_activity_with_retry("open_position", RETRY, step)
    # A run of the version before says nothing of it, and goes on as it was.
    watched = opened.pop("watch", False)
    if watched is True:
        # Nobody could be asked for it where the position was opened.
        yield context.call_activity("begin_watch", step)
    if opened["status"] not in ("protected", "flat"):
        return {**decision, "outcome": opened["status"], "reason": opened["reason"]}
    protected = yield context.call_activity_with_retry("protect_position", RETRY, step)
    recorded = yield context.call_activity_with_retry("record_trade", RETRY, step)
    if watched:
        # Once more: one that was about to end when it was asked for is over by now.
        yield context.call_activity("begin_watch", step)
    if not context.is_replaying:
        logging.getLogger("borsa").info("trade %s: %s", request["signal"], recorded["state"])
    return {**decision, "outcome": opened["status"], "protected": protected["protected"]}


@bp.activity_trigger(input_name="payload")
@starts_workflows(bp)
@emits(bp)
async def assess(
    payload: Payload, executions: Events, risk: Events, compliance: Events, client: str
) -> dict[str, Any]:
    """Snapshot, gate, reservation, stored decision; and its order, unless a person is asked first.

    In one activity: a hop between the two is time in which a decision ages, and with many signals
    at once every order would queue behind the assessment of all others.
    """
    result, outbox = await _watched(client, _assess, payload)
    flush(outbox, executions, risk, compliance)
    await watch_opened(client, result.get("opened", {}))
    return result


def _assess(desk: Any, payload: Any) -> dict[str, Any]:
    from shared.compliance.approval import request_approval
    from shared.errors import ExchangeError
    from shared.execution.assess import assess as decide_on
    from shared.telemetry import span

    try:
        with span("assess", payload["signal"]):
            decision = decide_on(desk, payload["symbol"], payload["signal"])
    except ExchangeError as error:
        # An answer, because the outputs of a function that raises are not sent.
        return {"id": payload["signal"], "outcome": "undecided", "reasons": [str(error)]}
    result: dict[str, Any] = {
        "id": decision.id,
        "symbol": payload["symbol"],
        "outcome": decision.outcome,
        "reasons": list(decision.reasons),
        "needsApproval": decision.needs_approval,
    }
    if decision.outcome == "approved":
        if decision.needs_approval:
            result |= request_approval(desk, payload["symbol"], decision)
        else:
            result["opened"] = _open(desk, payload)
    return result


@bp.activity_trigger(input_name="payload")
@emits(bp)
def settle_approval(
    payload: Payload, executions: Events, risk: Events, compliance: Events
) -> dict[str, Any]:
    """What a person decided, or that the time is up."""
    from shared.compliance.approval import settle

    desk = services().desk()
    state = settle(desk, payload["symbol"], payload["signal"])
    flush(desk.outbox, executions, risk, compliance)
    return {"state": state}


@bp.activity_trigger(input_name="payload")
@starts_workflows(bp)
@emits(bp)
async def open_position(
    payload: Payload, executions: Events, risk: Events, compliance: Events, client: str
) -> dict[str, Any]:
    """Permit, intent, entry order, stop, of a decision that a person has approved."""
    opened, outbox = await _watched(client, _open, payload)
    flush(outbox, executions, risk, compliance)
    await watch_opened(client, opened)
    return opened


def _open(desk: Any, payload: Any) -> dict[str, Any]:
    from shared.execution.entry import open_position as open_it
    from shared.telemetry import span

    with span("open", payload["signal"]):
        result = open_it(desk, payload["symbol"], payload["signal"])
    opened: dict[str, Any] = {"status": result.status, "reason": result.reason}
    return opened | ({"watch": True} if desk.watch_always else {})


@bp.activity_trigger(input_name="payload")
@emits(bp)
def protect_position(
    payload: Payload, executions: Events, risk: Events, compliance: Events
) -> dict[str, Any]:
    """See with the exchange's eyes that the stop is live; place it or flatten otherwise."""
    protected, outbox = _seen_through(_protect, payload)
    flush(outbox, executions, risk, compliance)
    return {"protected": protected}


def _protect(desk: Any, payload: Any) -> bool:
    from shared.execution.guardian import confirm_protection
    from shared.telemetry import span

    with span("protect", payload["signal"]):
        return confirm_protection(desk, payload["symbol"], payload["signal"])


async def _watched(
    client: str, work: Callable[[Any, Any], dict[str, Any]], payload: Any
) -> tuple[dict[str, Any], Any]:
    """Do what opens a position; should it fail after that, somebody looks at it all the same."""
    try:
        done: tuple[dict[str, Any], Any] = await in_thread(_seen_through, work, payload)
    except Exception:
        # The store, most likely, and its workflow may fail with it.
        await watch_account(client)
        raise
    return done


def _seen_through(work: Callable[[Any, Any], T], payload: Any) -> tuple[T, Any]:
    """Do what may leave a position behind; with it the events of the run that came to its end.

    A failing store is waited out here, each time with a desk of its own as after a failure that
    the task hub knows of: until that has heard of it a position might have no stop.
    """
    from shared.execution.again import again

    def attempt() -> tuple[T, Any]:
        desk = services().desk()
        return work(desk, payload), desk.outbox

    return again(services().clock, attempt)


@bp.activity_trigger(input_name="payload")
@emits(bp)
def record_trade(
    payload: Payload, executions: Events, risk: Events, compliance: Events
) -> dict[str, Any]:
    """Tell the world that a position was opened."""
    from shared.execution.journal import record_opened
    from shared.telemetry import span

    desk = services().desk()
    with span("record", payload["signal"]):
        state = record_opened(desk, payload["symbol"], payload["signal"])
    flush(desk.outbox, executions, risk, compliance)
    return {"state": state}
