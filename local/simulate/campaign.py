"""A long search: episodes over several processes, each logged when it ends, resumed from the log.

An episode follows from its name and profile alone, so whoever runs it, and in which order, makes
no difference. A log is one JSON line per finished episode; lines of other code than the present
are kept and not counted.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import msgspec

from local.invariants import Violation
from local.simulate.figures import Figures, by_boundary, summed, together
from local.simulate.profiles import ATTACKS, PROFILES
from local.simulate.run import EPISODE, Finding, episode
from shared.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]

#: What an episode's outcome depends on.
CODE = (
    "function_app.py",
    "host.json",
    "functions",
    "shared",
    "local",
    "configs/demonstration.json",
)

#: Episodes after which a process makes place for a fresh one: what libraries keep stays small.
PER_PROCESS = 40

#: Name of all attacking profiles in turn.
ALL = "all"


class Line(Figures, frozen=True, kw_only=True):
    """One finished episode as the log has it. ``cpu`` is processor time in seconds."""

    code: str
    episode: str
    profile: str
    wanted: int
    faults: dict[str, int]
    violations: tuple[Violation, ...]
    fired: tuple[str, ...]
    audit: str
    cpu: float


class Summary(Figures, frozen=True, kw_only=True):
    """All counted episodes together; ``wanted`` are the decisions asked for."""

    wanted: int
    episodes: int
    faults: int
    by_profile: dict[str, int]
    findings: tuple[Finding, ...]
    earlier: int
    other_code: int
    seconds: float
    cpu: float
    now_decisions: int


Told = Callable[[Line, int], None]


def code_digest(root: Path = ROOT) -> str:
    """Sixteen hexadecimal digits over the application and the simulation as they are."""
    digest = hashlib.sha256()
    for part in CODE:
        where = root / part
        files = sorted(where.rglob("*.py")) if where.is_dir() else [where]
        for file in files:
            digest.update(f"{file.relative_to(root)}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def profile_of(profile: str, index: int) -> str:
    """The profile of an episode: always the same, or all attacks in turn."""
    return ATTACKS[index % len(ATTACKS)] if profile == ALL else profile


def search(
    decisions: int,
    seed: int,
    profile: str,
    *,
    jobs: int = 1,
    log: Path | None = None,
    told: Told = lambda line, done: None,
    stop_at_first: bool = False,
    per_episode: int = EPISODE,
) -> Summary:
    """Run episodes until so many decisions were taken, those of the log included.

    Parameters
    ----------
    decisions, seed
        As for :func:`local.simulate.run.simulate`.
    profile : str
        One of the profiles, or :data:`ALL`.
    jobs : int
        Processes at the same time.
    log : Path, optional
        Where finished episodes are written, and read first.
    told : callable
        Told each episode that ends, with the decisions so far.
    stop_at_first : bool
        Start nothing more after a violation.

    Raises
    ------
    InvalidInput
        For a profile that does not exist, a log that is none, or numbers below one.
    """
    if profile != ALL and profile not in PROFILES:
        raise InvalidInput(f"there is no profile {profile!r}; use {', '.join((*PROFILES, ALL))}")
    if min(decisions, jobs, per_episode) < 1:
        raise InvalidInput("--decisions and --jobs: at least one")
    code = code_digest()
    logged = [] if log is None else list(read_log(log))
    kept = [x for x in logged if x.code == code and _belongs(x, seed, profile, per_episode)]
    lines = {line.episode: line for line in kept}
    before = sum(line.decisions for line in lines.values())
    began = time.perf_counter()
    done, at_work = before, 0
    waiting: set[Future[Line]] = set()
    indices = (i for i in range(10**9) if f"{seed}.{i}" not in lines)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=PER_PROCESS)
    try:
        found = False
        while True:
            # Never more at work than could be needed, judged by what an episode takes at least.
            while (
                len(waiting) < jobs
                and done + at_work * per_episode < decisions
                and not (found and stop_at_first)
            ):
                index = next(indices)
                at_work += 1
                waiting.add(
                    pool.submit(
                        run_one, code, f"{seed}.{index}", profile_of(profile, index), per_episode
                    )
                )
            if not waiting:
                break
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                line = future.result()
                at_work -= 1
                lines[line.episode] = line
                done += line.decisions
                found = found or bool(line.violations)
                if log is not None:
                    append(log, line)
                told(line, done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    seconds = time.perf_counter() - began
    return summarize(
        decisions, lines.values(), before, len(logged) - len(kept), seconds, done - before
    )


def _belongs(line: Line, seed: int, profile: str, per_episode: int) -> bool:
    """Whether a logged episode is one that this search would run."""
    of_seed, _, index = line.episode.partition(".")
    return (
        of_seed == str(seed)
        and line.wanted == per_episode
        and line.profile == profile_of(profile, int(index))
    )


def run_one(code: str, name: str, profile: str, decisions: int) -> Line:
    """One episode, in the process that is called."""
    began = time.process_time()
    result = episode(name, PROFILES[profile], decisions)
    return Line(
        code=code,
        episode=name,
        profile=profile,
        wanted=decisions,
        faults=by_boundary(result.fired),
        violations=result.violations,
        fired=result.fired if result.violations else (),
        audit=result.audit,
        cpu=round(time.process_time() - began, 3),
        **summed([result]),
    )


def read_log(log: Path) -> Iterator[Line]:
    """The episodes of a log; a last line that was cut off by a kill is left out."""
    if not log.exists():
        return
    text = log.read_bytes()
    rows = text.split(b"\n")
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        try:
            yield msgspec.json.decode(row, type=Line)
        except msgspec.DecodeError as error:
            if number == len(rows):
                return
            raise InvalidInput(f"{log} line {number} is no finished episode: {error}") from error


def append(log: Path, line: Line) -> None:
    """Add one episode; what a killed writer left unfinished is ended first."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.seek(0)
                whole = file.read().rpartition(b"\n")[0]
                file.truncate(len(whole) + bool(whole))
        file.write(msgspec.json.encode(line) + b"\n")


def summarize(
    wanted: int,
    lines: Iterable[Line],
    earlier: int,
    other_code: int,
    seconds: float,
    now_decisions: int,
) -> Summary:
    """Figures over all counted episodes."""
    all_lines: Sequence[Line] = list(lines)
    return Summary(
        wanted=wanted,
        episodes=len(all_lines),
        faults=sum(sum(x.faults.values()) for x in all_lines),
        by_profile=together({x.profile: x.decisions} for x in all_lines),
        findings=tuple(
            Finding(
                episode=x.episode,
                profile=x.profile,
                decisions=x.wanted,
                violations=x.violations,
                faults=x.fired,
                shrunk=False,
            )
            for x in all_lines
            if x.violations
        ),
        earlier=earlier,
        other_code=other_code,
        seconds=seconds,
        cpu=sum(x.cpu for x in all_lines),
        now_decisions=now_decisions,
        **summed(all_lines),
    )
