"""Sweeps: many backtests, spread over activities in chunks, their results in the store.

A sweep is one document, every chunk another, under the sweep's id as partition. Ids follow from
the request: asking for the same thing twice is the same sweep, and a chunk that runs twice finds
its own result. Whatever is lost - an activity, the host, the workflow - running the chunks again
completes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from shared.clock import Clock
from shared.errors import AlreadyExists, Conflict, NotFound
from shared.research.code import code_digest
from shared.research.config import BacktestConfig
from shared.research.evaluation import Job, Outcome, outcomes
from shared.research.runner import BacktestRunner
from shared.research.sealed import Market
from shared.research.sweep_plan import SWEEP, State, Sweep, configuration, points
from shared.storage.store import Document, Store

CONTAINER = "research"
#: Results kept at hand in the sweep's own document.
BEST = 20
#: Results of two versions of the code would stand beside each other.
_OTHER_CODE = "was begun by another version of the application; ask for the same again"
#: From where a sweep can be started again.
RESUMABLE = ("cancelled", "failed")


# ---------------------------------------------------------------- the document


def create(store: Store, sweep: Sweep) -> tuple[Sweep, bool]:
    """Store a new sweep; the stored one and false when it was asked for before."""
    try:
        store.create(CONTAINER, msgspec.to_builtins(sweep))
    except AlreadyExists:
        return load(store, sweep.sweep), False
    return sweep, True


def load(store: Store, identity: str) -> Sweep:
    """A sweep.

    Raises
    ------
    NotFound
        When there is none of that id.
    """
    return _read(store, identity)[0]


def _read(store: Store, identity: str) -> tuple[Sweep, Document]:
    document = store.get(CONTAINER, identity, SWEEP)
    if document is None:
        raise NotFound(f"there is no sweep {identity}")
    return msgspec.convert(document.body, Sweep), document


def _change(store: Store, identity: str, change: Callable[[Sweep], Sweep]) -> Sweep:
    """Apply a change to the version that is stored, again when somebody was faster."""
    while True:
        sweep, document = _read(store, identity)
        changed = change(sweep)
        if changed == sweep:
            return sweep
        try:
            store.replace(CONTAINER, msgspec.to_builtins(changed), etag=document.etag)
        except Conflict:
            continue
        return changed


def cancel(store: Store, clock: Clock, identity: str) -> Sweep:
    """Ask for an end; chunks that have not begun will not."""

    def change(sweep: Sweep) -> Sweep:
        if sweep.state != "running":
            return sweep
        return msgspec.structs.replace(sweep, state="cancelling", changed_at=clock.now_ms())

    return _change(store, identity, change)


def resume(store: Store, clock: Clock, identity: str) -> Sweep:
    """Make a sweep that was cancelled or failed run again; finished chunks stay.

    Raises
    ------
    Conflict
        When it is running or done, or other code began it.
    """

    def change(sweep: Sweep) -> Sweep:
        if sweep.state not in RESUMABLE:
            raise Conflict(f"{identity} is {sweep.state}; only cancelled and failed ones resume")
        if sweep.code != code_digest():
            raise Conflict(f"{identity} {_OTHER_CODE}")
        return msgspec.structs.replace(
            sweep,
            state="running",
            problem="",
            generation=sweep.generation + 1,
            changed_at=clock.now_ms(),
            finished_at=0,
        )

    return _change(store, identity, change)


# ---------------------------------------------------------------- the work


def chunk_id(number: int) -> str:
    """Id of a chunk's document."""
    return f"chunk-{number:05d}"


def run_chunk(
    store: Store, identity: str, number: int, market: Callable[[BacktestConfig], Market]
) -> dict[str, Any]:
    """Run one chunk and store its result, or find what was stored before.

    Parameters
    ----------
    market : callable
        Gives the market of a configuration; it must give the same one every time.

    Returns
    -------
    dict
        ``state`` (``done``, ``cancelled`` or, with a ``problem``, ``failed``) and the chunk's best
        ``score``.
    """
    sweep = load(store, identity)
    stored = store.get(CONTAINER, identity, chunk_id(number))
    if stored is not None:
        return {"state": "done", "score": stored.body["score"]}
    if sweep.state != "running":
        return {"state": "cancelled", "score": None}
    if sweep.code != code_digest():
        return {"state": "failed", "score": None, "problem": f"{identity} {_OTHER_CODE}"}
    config = configuration(sweep.request, sweep.start_ms, sweep.end_ms)
    first = number * sweep.chunk_size
    wanted = points(sweep.request)[first : first + sweep.chunk_size]
    jobs = [Job(params=dict(p), start=sweep.start_ms, end=sweep.end_ms) for p in wanted]
    runner = BacktestRunner(config, sweep.request["settings"])
    found = outcomes(runner, market(config), jobs)
    scores = [_score(o, sweep) for o in found]
    ranked = sorted(
        (i for i, s in enumerate(scores) if s is not None), key=lambda i: (-(scores[i] or 0.0), i)
    )
    rows = [
        {
            "index": first + i,
            "params": dict(o.params),
            "figures": o.figures,
            "score": scores[i],
            "problem": o.problem,
            # Only what can be the best of all is needed later, for its luck.
            "returns": o.returns if ranked[:1] == [i] else "",
        }
        for i, o in enumerate(found)
    ]
    score = scores[ranked[0]] if ranked else None
    body = {
        "id": chunk_id(number),
        "sweep": identity,
        "kind": "chunk",
        "number": number,
        "score": score,
        "rows": rows,
    }
    with contextlib.suppress(AlreadyExists):  # it ran twice; both came to the same
        store.create(CONTAINER, body)
    return {"state": "done", "score": score}


def _score(outcome: Outcome, sweep: Sweep) -> float | None:
    return outcome.score(sweep.request["objective"], sweep.request["minimum_trades"])


def chunks(store: Store, identity: str) -> list[dict[str, Any]]:
    """The stored chunks, in order."""
    from shared.storage.store import Where

    found: list[dict[str, Any]] = []
    continuation = None
    while True:
        page = store.query(
            CONTAINER,
            identity,
            where=[Where("kind", "=", "chunk")],
            order_by="number",
            limit=50,
            continuation=continuation,
        )
        found += [d.body for d in page.documents]
        continuation = page.continuation
        if continuation is None:
            return found


def finish(
    store: Store, clock: Clock, identity: str, generation: int, *, state: State, problem: str = ""
) -> Sweep:
    """Note how a workflow ended, and with ``done`` what came out."""
    summary: dict[str, Any] = {}
    if state == "done":
        rows = [row for chunk in chunks(store, identity) for row in chunk["rows"]]
        ranked = sorted(
            (r for r in rows if r["score"] is not None), key=lambda r: (-r["score"], r["index"])
        )
        summary = {
            "best": [{k: v for k, v in r.items() if k != "returns"} for r in ranked[:BEST]],
            "failed_sets": sum(bool(r["problem"]) for r in rows),
            "deflated_sharpe": _deflated(rows, ranked),
        }

    def change(sweep: Sweep) -> Sweep:
        if sweep.generation != generation or sweep.state in ("done", *RESUMABLE):
            return sweep
        ended = "cancelled" if sweep.state == "cancelling" and state != "done" else state
        now = clock.now_ms()
        return msgspec.structs.replace(
            sweep, state=ended, problem=problem, finished_at=now, changed_at=now, **summary
        )

    return _change(store, identity, change)


def _deflated(rows: list[dict[str, Any]], ranked: list[dict[str, Any]]) -> float | None:
    """Probability that the best set's Sharpe ratio is real, after trying all of them."""
    import numpy as np

    from shared.research.sharpe import deflated_sharpe
    from shared.research.statistics import moments
    from shared.research.trials import unpacked

    ratios = [r["figures"].get("sharpe_per_day") for r in rows if not r["problem"]]
    known = [x for x in ratios if x is not None]
    best = ranked[0] if ranked else None
    if best is None or len(known) < 2 or not best["returns"]:
        return None
    returns = unpacked(best["returns"])
    skewness, kurtosis = moments(returns)
    ratio = best["figures"].get("sharpe_per_day")
    if skewness is None or kurtosis is None or ratio is None or len(returns) < 3:
        return None
    return deflated_sharpe(
        ratio,
        len(returns),
        trials=len(known),
        variance=float(np.var(known, ddof=1)),
        skewness=skewness,
        kurtosis=kurtosis,
    )


def view(store: Store, identity: str) -> dict[str, Any]:
    """A sweep for people, with how far it is."""
    sweep = load(store, identity)
    done = sweep.chunks if sweep.state == "done" else len(chunks(store, identity))
    body: dict[str, Any] = msgspec.to_builtins(sweep)
    body["id"] = body.pop("sweep")
    del body["kind"]
    return {**body, "workflow": sweep.workflow, "chunksDone": done}
