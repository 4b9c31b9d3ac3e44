"""The emergency stop, and the only way back."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import azure.functions as func
import msgspec

from functions.annotations import Payload
from functions.durable import df, start_once, starts_workflows
from functions.http import answer, failed, read, reply
from functions.outputs import Events, emits, flush
from functions.threads import in_thread
from shared.bootstrap import services

bp = df.Blueprint()

#: Runs of the flatten activity before the history is started anew.
ATTEMPTS_PER_GENERATION = 30
PAUSE_SECONDS = 2
LONGEST_PAUSE_SECONDS = 5

#: Seconds after which no further run begins where it has to be done without the workflow.
HERE_SECONDS = 25

#: Seconds that whoever stops waits for the workflow to be started, before he closes by himself.
STARTING = 3.0


class StopRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/emergency-stop``; everything is optional: stopping is never refused."""

    reason: str = "not given"
    operator: str = "not given"


class ClearRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/kill-switch/clear``."""

    code: str
    reason: str
    operator: str


@bp.route(route="emergency-stop", methods=["POST"])
@emits(bp)
@starts_workflows(bp)
async def emergency_stop(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events, client: str
) -> func.HttpResponse:
    """Latch the kill switch at once, then flatten the account until the exchange shows nothing.

    With ``?drill=true`` only prove that this would work.
    """
    desk = services().exit_desk()
    work = _stop if req.params.get("drill") in (None, "false") else _drill
    response = await answer(work(req, desk, client))
    flush(desk.outbox, executions, risk, compliance)
    return response


async def _drill(req: func.HttpRequest, desk: Any, client: str) -> func.HttpResponse:
    from shared.errors import InvalidInput
    from shared.execution import drill

    if req.params["drill"] != "true":
        # A misspelt drill must not close positions; whoever wants to stop names no drill.
        raise InvalidInput(f"drill is {req.params['drill']!r}; use true, or leave it out to stop")
    operator = read(req, StopRequest).operator[:100]
    services().throttle.admit()
    trouble = ""
    try:
        # The very workflow that a stop starts; told that it is a drill it ends at once.
        name = f"drill-{desk.clock.now_ms()}"
        await start_once(client, "emergency_workflow", name, {"drill": True}, within=STARTING)
    except Exception as error:  # noqa: BLE001 - it is what the drill is to find out
        trouble = f"the emergency workflow cannot be started: {error}"
    report = await in_thread(drill.run, desk, operator, trouble)
    return reply(
        {
            "drill": True,
            "passed": report.passed,
            "milliseconds": report.milliseconds,
            "steps": report.steps,
        }
    )


async def _stop(req: func.HttpRequest, desk: Any, client: str) -> func.HttpResponse:
    from shared.errors import BorsaError, InvalidInput, StoreError, StoreUnavailable
    from shared.execution import emergency, late_latch

    try:
        request = read(req, StopRequest)
    except InvalidInput as error:
        # Whoever asks to stop is never turned away over a typing error.
        request = StopRequest(reason=f"(the body could not be read: {error})")
    now = desk.clock.now_ms()
    evidence = {"operator": request.operator[:100], "reason": request.reason[:500], "at": now}
    try:
        first = await in_thread(late_latch.by_hand, desk, evidence, now)
    except StoreError as error:
        await _close_without_latch(desk, client, evidence, now)
        raise StoreUnavailable(
            f"the stop could not be stored: {error}. Positions are being closed all the same; "
            "repeat the request until it is answered with 202"
        ) from error
    try:
        # A stop during a stop joins the workflow that is at it.
        workflow = await in_thread(emergency.workflow_id, desk)
    except StoreError:
        workflow = f"emergency-{now}"
    # Closing comes first: audit and alert may be slow, or fail.
    answered: dict[str, Any] = {"state": "latched", "workflow": workflow}
    try:
        await start_once(client, "emergency_workflow", workflow, {"attempt": 0}, within=STARTING)
    except Exception:
        # Without Durable the stop still stops: flatten in this very request.
        logging.getLogger("borsa").exception("emergency workflow not started; flattening here")
        flat = await in_thread(flatten_here, desk, workflow)
        answered |= {"flat": flat, "workflow": None}
    tell = partial(
        emergency.tell_latched, desk, "manual", evidence, f"emergency-{now}", first=first
    )
    try:
        await in_thread(tell)
    except BorsaError:
        logging.getLogger("borsa").exception("emergency stop latched, not fully recorded")
    return reply(answered, 202)


async def _close_without_latch(desk: Any, client: str, evidence: dict[str, Any], now: int) -> None:
    """Close now and latch as soon as the store answers: no entry gets a permit before that."""
    from shared.execution import late_latch

    name = late_latch.workflow_id(now)
    pending = {"evidence": evidence, "at": now}
    try:
        request = {"attempt": 0, "latch": pending}
        await start_once(client, "emergency_workflow", name, request, within=STARTING)
    except Exception:
        logging.getLogger("borsa").exception("emergency workflow not started; flattening here")
        # While the store fails nothing can be verified; whoever pressed is to repeat it soon.
        await in_thread(flatten_here, desk, name, verified=False)


def flatten_here(desk: Any, workflow: str, *, verified: bool = True) -> bool:
    """Do what the emergency workflow would, where that cannot be started; whether all is closed.

    For as long as a request may take: the guardian, who goes on, comes once a minute. Not
    ``verified``: until the exchange shows nothing, whatever the store says of permits.
    """
    from shared.errors import BorsaError, ExchangeError
    from shared.execution import emergency
    from shared.execution.elapsed import Elapsed

    passed, attempt = Elapsed(desk.clock), 0
    while True:
        try:
            result = emergency.flatten_account(desk, workflow, attempt)
            if result.flat or not (verified or result.remaining):
                return True
        except BorsaError as error:
            logging.getLogger("borsa").error("flatten: %s: %s", type(error).__name__, error)
            if isinstance(error, ExchangeError):
                emergency.unreachable(desk, error, workflow, attempt)
        if passed.ms() > HERE_SECONDS * 1000:
            return False
        attempt += 1
        desk.clock.sleep(PAUSE_SECONDS)


@bp.route(route="kill-switch/clear", methods=["POST"])
@emits(bp)
def clear_kill_switch(
    req: func.HttpRequest, executions: Events, risk: Events, compliance: Events
) -> func.HttpResponse:
    """Arm trading again: a person, a second factor, a reason."""
    from shared.errors import BorsaError
    from shared.execution.clearing import clear

    desk = services().exit_desk()
    response = reply({"state": "armed"})
    try:
        request = read(req, ClearRequest)
        services().throttle.admit()
        clear(desk, code=request.code, reason=request.reason, operator=request.operator)
    except BorsaError as error:
        response = failed(error)
    flush(desk.outbox, executions, risk, compliance)
    return response


@bp.orchestration_trigger(context_name="context")
def emergency_workflow(context: df.DurableOrchestrationContext) -> Any:
    """Flatten, read back, repeat until the account is verified flat; then settle the trades."""
    request = context.get_input() or {}
    if request.get("drill"):
        return {"drill": True}
    attempt, pending = request.get("attempt", 0), request.get("latch")
    unwritten = set(request.get("unwritten", ()))
    while True:
        step = {"workflow": context.instance_id, "attempt": attempt}
        if pending:
            step["latch"] = pending
        try:
            result = yield context.call_activity("flatten_account", step)
        except Exception:  # noqa: BLE001 - whatever became of that run, another one follows
            result = {"flat": False}
        attempt += 1
        unwritten.update(result.get("unwritten", ()))
        if result.get("latched"):
            pending = None
        if result["flat"] and not pending:
            break
        wait = min(PAUSE_SECONDS + attempt // 2, LONGEST_PAUSE_SECONDS)
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=wait))
        if attempt % ATTEMPTS_PER_GENERATION == 0:
            again: dict[str, Any] = {"attempt": attempt}
            again |= {"latch": pending} if pending else {}
            again |= {"unwritten": sorted(unwritten)} if unwritten else {}
            context.continue_as_new(again)
            return None
    rest = {"unwritten": sorted(unwritten)} if unwritten else {}
    books = {"workflow": context.instance_id, **rest}
    for left in reversed(range(ATTEMPTS_PER_GENERATION)):
        try:
            settled = yield context.call_activity("settle_account", books)
            break
        except Exception:
            # The store, most likely. The account is flat, and the guardian books trades as well.
            if not left:
                raise
        pause = timedelta(seconds=LONGEST_PAUSE_SECONDS)
        yield context.create_timer(context.current_utc_datetime + pause)
    # A run of the version before says nothing of stuck orders.
    stuck = {"stuck": result["stuck"]} if result.get("stuck") else {}
    return {"flat": True, "attempts": attempt, "settled": settled["settled"], **stuck}


@bp.activity_trigger(input_name="payload")
@emits(bp)
def flatten_account(
    payload: Payload, executions: Events, risk: Events, compliance: Events
) -> dict[str, Any]:
    """Cancel and close everything, read back. Failing only means: again."""
    from shared.errors import BorsaError, ExchangeError
    from shared.execution import emergency, late_latch

    desk = services().exit_desk()
    # A stop that could not be stored when it was asked for is stored before anything else.
    late: dict[str, Any] = {}
    if pending := payload.get("latch"):
        late["latched"] = late_latch.late(
            desk, pending["evidence"], pending["at"], payload["attempt"]
        )
    # One that still could not be stored nobody has cleared, whatever was cleared shortly before.
    may_be_over = late.get("latched", payload["attempt"] > 0)
    try:
        if may_be_over and emergency.called_off(desk, payload["workflow"]):
            flush(desk.outbox, executions, risk, compliance)
            return {"flat": True, "remaining": [], **late}
        result = emergency.flatten_account(desk, payload["workflow"], payload["attempt"])
    except BorsaError as error:
        logging.getLogger("borsa").error("flatten: %s: %s", type(error).__name__, error)
        if isinstance(error, ExchangeError):
            emergency.unreachable(desk, error, payload["workflow"], payload["attempt"])
        flush(desk.outbox, executions, risk, compliance)
        return {"flat": False, "remaining": [], "error": str(error), **late}
    flush(desk.outbox, executions, risk, compliance)
    return {
        "flat": result.flat,
        "remaining": list(result.remaining),
        "stuck": result.stuck,
        **({"unwritten": list(result.unwritten)} if result.unwritten else {}),
        **late,
    }


@bp.activity_trigger(input_name="payload")
@emits(bp)
def settle_account(
    payload: Payload, executions: Events, risk: Events, compliance: Events
) -> dict[str, Any]:
    """Write the trades that the stop closed."""
    from shared.execution.emergency import settle_all

    desk = services().exit_desk()
    settled = settle_all(desk, payload.get("unwritten", ()))
    flush(desk.outbox, executions, risk, compliance)
    return {"settled": settled}
