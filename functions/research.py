"""Parameter sweeps: asked for over HTTP, spread over activities, results in the store."""

import asyncio
import logging
from typing import Any

import azure.functions as func

from functions.annotations import Payload
from functions.durable import df, start_once, starts_workflows
from functions.http import answer, answers, read, reply
from shared.bootstrap import services

bp = df.Blueprint()

#: Chunks that run at the same time.
WAVE = 8
#: For what passes: the venue or the store away for a moment.
RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=5000, max_number_of_attempts=3)
RETRY.backoff_coefficient = 2.0
#: Stages with real money: there the app trades and does nothing else.
_TRADING_ONLY = ("limited", "full")


@bp.route(route="research/sweeps", methods=["POST"])
@starts_workflows(bp)
async def start_sweep(req: func.HttpRequest, client: str) -> func.HttpResponse:
    """Backtest many parameter sets; asking for the same sweep twice is one sweep."""
    return await answer(_start(req, client))


async def _start(req: func.HttpRequest, client: str) -> func.HttpResponse:
    from shared.research import sweep
    from shared.research.sweep_plan import SweepRequest, planned

    _allowed()
    request = read(req, SweepRequest)
    own = services()
    plan = await asyncio.to_thread(planned, request, own.clock.now_ms())
    found, created = await asyncio.to_thread(sweep.create, own.store, plan)
    await _run(found, client)
    return reply(
        await asyncio.to_thread(sweep.view, own.store, found.sweep), 202 if created else 200
    )


@bp.route(route="research/sweeps/{id}", methods=["GET"])
@answers
def get_sweep(req: func.HttpRequest) -> Any:
    """State, progress and the best sets."""
    from shared.research import sweep

    return sweep.view(services().store, req.route_params["id"])


@bp.route(route="research/sweeps/{id}/results", methods=["GET"])
@answers
def sweep_results(req: func.HttpRequest) -> Any:
    """All sets that were run so far, in the order of the grid, a few chunks a page."""
    from shared.research import sweep
    from shared.storage.store import Where

    store, identity = services().store, req.route_params["id"]
    sweep.load(store, identity)
    page = store.query(
        sweep.CONTAINER,
        identity,
        where=[Where("kind", "=", "chunk")],
        order_by="number",
        limit=5,
        continuation=req.params.get("continuation") or None,
    )
    rows = [
        {key: value for key, value in row.items() if key != "returns"}
        for document in page.documents
        for row in document.body["rows"]
    ]
    return {"results": rows, "continuation": page.continuation}


@bp.route(route="research/sweeps/{id}/cancel", methods=["POST"])
@answers
def cancel_sweep(req: func.HttpRequest) -> Any:
    """No further chunk begins; those that run come to their end."""
    from shared.research import sweep

    own = services()
    sweep.cancel(own.store, own.clock, req.route_params["id"])
    return sweep.view(own.store, req.route_params["id"])


@bp.route(route="research/sweeps/{id}/resume", methods=["POST"])
@starts_workflows(bp)
async def resume_sweep(req: func.HttpRequest, client: str) -> func.HttpResponse:
    """Go on with a sweep that was cancelled or failed; finished chunks are not run again."""
    return await answer(_resume(req, client))


async def _resume(req: func.HttpRequest, client: str) -> func.HttpResponse:
    from shared.research import sweep

    _allowed()
    own, identity = services(), req.route_params["id"]
    found = await asyncio.to_thread(sweep.resume, own.store, own.clock, identity)
    await _run(found, client)
    return reply(await asyncio.to_thread(sweep.view, own.store, identity), 202)


def _allowed() -> None:
    from shared.errors import Conflict

    stage = services().settings.trading_stage
    if stage in _TRADING_ONLY:
        raise Conflict(
            f"no sweeps in stage {stage}: they would take processor time from trading; deploy a "
            "second app in stage paper for research"
        )


async def _run(found: Any, client: str) -> None:
    """Start the workflow, also where an earlier request stored the sweep and then died."""
    if found.state == "running":
        payload = {
            "sweep": found.sweep,
            "chunks": found.chunks,
            "sets": found.sets,
            "generation": found.generation,
        }
        await start_once(client, "sweep_workflow", found.workflow, payload)


@bp.orchestration_trigger(context_name="context")
def sweep_workflow(context: df.DurableOrchestrationContext) -> Any:
    """All chunks of a sweep, a wave at a time; progress in the custom status."""
    request = context.get_input()
    total = request["chunks"]
    done, best, state, problem = 0, None, "done", ""
    context.set_custom_status({"chunks": total, "done": 0, "best": None})
    while done < total and state == "done":
        wave = range(done, min(done + WAVE, total))
        tasks = [
            context.call_activity_with_retry(
                "run_sweep_chunk", RETRY, {"sweep": request["sweep"], "chunk": number}
            )
            for number in wave
        ]
        try:
            parts = yield context.task_all(tasks)
        except Exception as error:  # noqa: BLE001 - whatever an activity died of, it is told
            state, problem = "failed", str(error)
            break
        for part in parts:
            if part["state"] != "done":
                state, problem = part["state"], problem or part.get("problem", "")
            elif part["score"] is not None:
                best = part["score"] if best is None else max(best, part["score"])
        done = wave.stop
        context.set_custom_status({"chunks": total, "done": done, "best": best})
    ended = {
        "sweep": request["sweep"],
        "generation": request["generation"],
        "state": state,
        "problem": problem,
    }
    return (yield context.call_activity_with_retry("finish_sweep", RETRY, ended))


@bp.activity_trigger(input_name="payload")
def run_sweep_chunk(payload: Payload) -> dict[str, Any]:
    """One chunk; run twice, it finds its own result."""
    from shared.errors import ConfigurationError, InvalidInput, MarketDataError
    from shared.research import sweep

    own = services()
    try:
        return sweep.run_chunk(own.store, payload["sweep"], payload["chunk"], own.markets.of)
    except (ConfigurationError, InvalidInput, MarketDataError) as error:
        # Trying again would come to the same.
        logging.getLogger("borsa").warning("%s: %s", payload["sweep"], error)
        return {"state": "failed", "score": None, "problem": str(error)}


@bp.activity_trigger(input_name="payload")
def finish_sweep(payload: Payload) -> dict[str, Any]:
    """Note the end of a sweep, with the best sets when it is whole."""
    from shared.research import sweep

    own = services()
    ended = sweep.finish(
        own.store,
        own.clock,
        payload["sweep"],
        payload["generation"],
        state=payload["state"],
        problem=payload["problem"][:1000],
    )
    return {"sweep": ended.sweep, "state": ended.state}
