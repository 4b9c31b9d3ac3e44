"""Sweeps: many backtests, spread over activities in chunks, their results in the store.

A sweep is one document, every chunk another, under the sweep's id as partition. Ids follow from
the request: asking for the same thing twice is the same sweep, and a chunk that runs twice finds
its own result. Whatever is lost - an activity, the host, the workflow - running the chunks again
completes it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from shared.clock import Clock
from shared.errors import AlreadyExists, ConfigurationError, Conflict, InvalidInput, NotFound
from shared.market.timeframe import duration_ms
from shared.research.config import BacktestConfig, from_environment
from shared.research.evaluation import Job, Outcome, known_objective, outcomes
from shared.research.runner import BacktestRunner, with_params
from shared.research.sealed import Market
from shared.research.space import Params, Value, from_mapping
from shared.storage.store import Document, Store

CONTAINER = "research"
SWEEP = "sweep"
#: Results kept at hand in the sweep's own document.
BEST = 20
#: Most parameter sets of one sweep, and of one chunk.
MAX_SETS, MAX_CHUNK = 10_000, 200
#: Bars of all symbols times parameter sets: of one sweep, and about so many of one chunk.
MAX_WORK = {"compiled": 20_000_000_000, "exact": 50_000_000}
CHUNK_WORK = {"compiled": 100_000_000, "exact": 100_000}
#: Chunks of one sweep; each is an activity in the workflow's history.
MAX_CHUNKS = 500

State = Literal["running", "cancelling", "cancelled", "failed", "done"]
#: From where a sweep can be started again.
RESUMABLE = ("cancelled", "failed")


class SweepRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/research/sweeps``.

    Either ``grid`` (name -> values, or ``from:to:step``) or ``sets`` (a list of name -> value).
    Names are those of :mod:`shared.research.runner`. ``start`` and ``end`` are dates, UTC, end
    exclusive; ``settings`` are application settings that hold for all sets. With ``chunk_size`` 0
    a chunk takes about a minute.
    """

    symbols: list[str]
    start: str
    end: str
    timeframes: list[str] = msgspec.field(default_factory=lambda: ["1h"])
    grid: dict[str, Any] | None = None
    sets: list[dict[str, Value]] | None = None
    settings: dict[str, str] = {}
    deposit: Decimal = Decimal(5000)
    costs: Decimal = Decimal(1)
    engine: Literal["compiled", "exact"] = "compiled"
    objective: str = "sharpe"
    minimum_trades: int = 20
    chunk_size: int = 0


class Sweep(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A sweep as it is stored; times are UTC milliseconds."""

    id: str
    sweep: str
    kind: Literal["sweep"] = "sweep"
    state: State
    request: dict[str, Any]
    start_ms: int
    end_ms: int
    sets: int
    chunks: int
    chunk_size: int
    generation: int = 1
    created_at: int
    changed_at: int
    finished_at: int = 0
    problem: str = ""
    failed_sets: int = 0
    deflated_sharpe: float | None = None
    best: list[dict[str, Any]] = []

    @property
    def workflow(self) -> str:
        """Instance id of the orchestration; a resumed sweep has a new one."""
        return f"{self.sweep}-{self.generation}"


# ---------------------------------------------------------------- asking


def planned(request: SweepRequest, now_ms: int) -> Sweep:
    """The sweep that a request asks for, checked as far as it can be without a market.

    Raises
    ------
    InvalidInput
        When it is too large, or something in it cannot be.
    """
    try:
        return _planned(request, now_ms)
    except ConfigurationError as error:
        raise InvalidInput(str(error)) from error


def _planned(request: SweepRequest, now_ms: int) -> Sweep:
    known_objective(request.objective)
    start, end = _moment("start", request.start), _moment("end", request.end)
    if start >= end:
        raise InvalidInput(f"start {request.start} is not before end {request.end}")
    if end > now_ms:
        raise InvalidInput(f"end {request.end} is in the future")
    body = msgspec.to_builtins(request)
    config = configuration(body, start, end)
    count = _checked_sets(request, config)
    bars = len(config.symbols) * sum(
        (end - start) // duration_ms(timeframe) for timeframe in config.timeframes
    )
    work = bars * count
    if work > MAX_WORK[request.engine]:
        raise InvalidInput(
            f"{count:,} sets on {bars:,} bars are {work:,} bars to test; at most "
            f"{MAX_WORK[request.engine]:,} with the {request.engine} engine. Take fewer sets, a "
            "shorter range or longer bars"
        )
    if not 0 <= request.chunk_size <= MAX_CHUNK:
        raise InvalidInput(f"chunk_size is {request.chunk_size}; use 0 to {MAX_CHUNK}")
    size = request.chunk_size or max(1, min(MAX_CHUNK, CHUNK_WORK[request.engine] // max(1, bars)))
    size = max(size, -(-count // MAX_CHUNKS))
    identity = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()
    return Sweep(
        id=SWEEP,
        sweep=f"sweep-{identity[:20]}",
        state="running",
        request=body,
        start_ms=start,
        end_ms=end,
        sets=count,
        chunks=-(-count // size),
        chunk_size=size,
        created_at=now_ms,
        changed_at=now_ms,
    )


def _moment(name: str, text: str) -> int:
    from datetime import UTC, datetime

    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{name} {text!r} is no date; write 2025-05-04") from None
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return int(value.timestamp() * 1000)


def configuration(request: Mapping[str, Any], start_ms: int, end_ms: int) -> BacktestConfig:
    """What all sets of a request have in common."""
    return from_environment(
        request["settings"],
        symbols=tuple(request["symbols"]),
        timeframes=tuple(request["timeframes"]),
        start_ms=start_ms,
        end_ms=end_ms,
        deposit=Decimal(str(request["deposit"])),
        costs=Decimal(str(request["costs"])),
        engine=request["engine"],
    )


def _checked_sets(request: SweepRequest, config: BacktestConfig) -> int:
    """Number of sets; every value is tried on the configuration once."""
    if (request.grid is None) == (request.sets is None):
        raise InvalidInput("give either grid or sets")
    if request.sets is not None:
        if not request.sets:
            raise InvalidInput("sets is empty; give at least one")
        if len(request.sets) > MAX_SETS:
            raise InvalidInput(f"{len(request.sets):,} sets; at most {MAX_SETS:,} are taken")
        for params in request.sets:
            with_params(config, params, request.settings)
        return len(request.sets)
    space = from_mapping(request.grid or {})
    space.grid(MAX_SETS)  # refuses what is too large or has no steps, before anything is made
    for parameter in space.parameters:
        for value in parameter.values:
            with_params(config, {parameter.name: value}, request.settings)
    return space.size or 0


def points(request: Mapping[str, Any]) -> list[Params]:
    """All sets of a request, always in the same order."""
    if request["sets"] is not None:
        return list(request["sets"])
    return list(from_mapping(request["grid"]).grid(MAX_SETS))


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
        When it is running or done.
    """

    def change(sweep: Sweep) -> Sweep:
        if sweep.state not in RESUMABLE:
            raise Conflict(f"{identity} is {sweep.state}; only cancelled and failed ones resume")
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
        ``state`` (``done`` or ``cancelled``) and the chunk's best ``score``.
    """
    sweep = load(store, identity)
    stored = store.get(CONTAINER, identity, chunk_id(number))
    if stored is not None:
        return {"state": "done", "score": stored.body["score"]}
    if sweep.state != "running":
        return {"state": "cancelled", "score": None}
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
