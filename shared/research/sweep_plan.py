"""What a sweep is asked for, and the sweep that follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from shared.errors import ConfigurationError, InvalidInput
from shared.market.timeframe import duration_ms
from shared.research.code import code_digest
from shared.research.config import BacktestConfig, from_environment
from shared.research.crosses import has_numba
from shared.research.evaluation import known_objective
from shared.research.fits import check_fit
from shared.research.runner import with_params
from shared.research.space import Params, Value, from_mapping
from shared.research.switch import CLEAR_AFTER_HOURS

HOUR_MS = 3_600_000
#: A hundred years.
MAX_HOURS = 876_000
SWEEP = "sweep"
#: Most parameter sets of one sweep, and of one chunk.
MAX_SETS, MAX_CHUNK = 10_000, 200
#: Bars of all symbols times parameter sets: of one sweep, and about so many of one chunk.
MAX_WORK = {"compiled": 20_000_000_000, "exact": 50_000_000}
CHUNK_WORK = {"compiled": 100_000_000, "exact": 100_000}
#: Chunks of one sweep; each is an activity in the workflow's history.
MAX_CHUNKS = 500

State = Literal["running", "cancelling", "cancelled", "failed", "done"]


class SweepRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/research/sweeps``.

    Either ``grid`` (name -> values, or ``from:to:step``) or ``sets`` (a list of name -> value).
    Names are those of :mod:`shared.research.runner`. ``start`` and ``end`` are dates, UTC, end
    exclusive; ``settings`` are application settings that hold for all sets; ``clear_after`` are
    hours, as in :class:`shared.research.config.BacktestConfig`. With ``chunk_size`` 0 a chunk takes
    about a minute.
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
    clear_after: Annotated[float, msgspec.Meta(ge=0, le=MAX_HOURS)] = CLEAR_AFTER_HOURS
    engine: Literal["compiled", "exact"] = "compiled"
    objective: str = "sharpe"
    minimum_trades: int = 20
    chunk_size: int = 0


class Sweep(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A sweep as it is stored; times are UTC milliseconds, ``code`` the digest of what made it."""

    id: str
    sweep: str
    kind: Literal["sweep"] = "sweep"
    state: State
    request: dict[str, Any]
    code: str = ""
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
    if request.engine == "compiled" and not has_numba():
        raise InvalidInput(
            "the compiled engine needs numba, which is not deployed here; ask for the exact one"
        )
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
    asked = {**body, "code": code_digest()}
    identity = hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()
    return Sweep(
        id=SWEEP,
        sweep=f"sweep-{identity[:20]}",
        state="running",
        request=body,
        code=asked["code"],
        start_ms=start,
        end_ms=end,
        sets=count,
        chunks=-(-count // size),
        chunk_size=size,
        created_at=now_ms,
        changed_at=now_ms,
    )


def _moment(name: str, text: str) -> int:
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
        clear_after_ms=round(request["clear_after"] * HOUR_MS),
        engine=request["engine"],
    )


def _checked_sets(request: SweepRequest, config: BacktestConfig) -> int:
    """Number of sets; every value is tried on the configuration."""
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
    check_fit(config, space, request.settings, every=True)
    return space.size or 0


def points(request: Mapping[str, Any]) -> list[Params]:
    """All sets of a request, always in the same order."""
    if request["sets"] is not None:
        return list(request["sets"])
    return list(from_mapping(request["grid"]).grid(MAX_SETS))
