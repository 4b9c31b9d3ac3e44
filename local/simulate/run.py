"""Many episodes from one seed, their figures, and what to do about a violation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from local.invariants import NAMES, Violation
from local.simulate.figures import Figures, by_boundary, summed, together
from local.simulate.profiles import PROFILES, Profile
from local.simulate.result import Result
from local.simulate.shrink import shrink
from local.simulate.world import World
from shared.errors import InvalidInput

#: Decisions of one episode: long enough for trades to meet, short enough to replay at once.
EPISODE = 250

Progress = Callable[[Result, int], None]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A violation with everything needed to see it again."""

    episode: str
    profile: str
    decisions: int
    violations: tuple[Violation, ...]
    faults: tuple[str, ...]
    #: Whether ``faults`` are a part of what the episode has by itself.
    shrunk: bool = True

    @property
    def command(self) -> str:
        """The command line that replays it."""
        only = ""
        if self.shrunk:
            only = f" --only {','.join(self.faults)}" if self.faults else " --only none"
        return (
            f"./run simulate --profile {self.profile} --episode {self.episode} "
            f"--decisions {self.decisions}{only}"
        )


class Report(Figures, frozen=True, kw_only=True):
    """All episodes of one profile together."""

    seed: int
    profile: str
    episodes: int
    faults: dict[str, int]
    audits: tuple[str, ...]
    findings: tuple[Finding, ...]
    seconds: float
    cpu_seconds: float


def episode(
    name: str, profile: Profile, decisions: int, only: Sequence[str] | None = None
) -> Result:
    """One episode by its name; ``only`` these faults strike."""
    with _silence():
        return World(name, profile, only).run(decisions)


def simulate(
    decisions: int,
    seed: int,
    profile: str,
    *,
    progress: Progress = lambda result, done: None,
    stop_at_first: bool = False,
    shrinking: bool = True,
    per_episode: int = EPISODE,
) -> Report:
    """Run episodes until so many decisions were taken.

    Parameters
    ----------
    decisions : int
    seed : int
        Same seed, same result, to the byte.
    profile : str
        A name of :data:`~local.simulate.profiles.PROFILES`.
    progress : callable
        Told each episode's result and the decisions so far.
    stop_at_first : bool
        End with the first episode that violates something.
    shrinking : bool
        Whether to look for the smallest schedule of a violation.
    per_episode : int
        Decisions of one episode.

    Raises
    ------
    InvalidInput
        For a profile that does not exist, or fewer decisions than one.
    """
    chosen = PROFILES.get(profile)
    if chosen is None:
        raise InvalidInput(f"there is no profile {profile!r}; use {', '.join(PROFILES)}")
    if decisions < 1:
        raise InvalidInput(f"--decisions {decisions}: at least one")
    began = (time.perf_counter(), time.process_time())
    results: list[Result] = []
    findings: list[Finding] = []
    done = 0
    while done < decisions:
        name = f"{seed}.{len(results)}"
        wanted = min(per_episode, decisions - done)
        result = episode(name, chosen, wanted)
        results.append(result)
        done += max(1, result.decisions)
        if result.violations:
            findings.append(_finding(name, chosen, wanted, result, shrinking))
        progress(result, done)
        if findings and stop_at_first:
            break
    spent = (time.perf_counter() - began[0], time.process_time() - began[1])
    return _report(seed, profile, results, findings, spent)


def _finding(
    name: str, profile: Profile, decisions: int, result: Result, shrinking: bool
) -> Finding:
    broken = {v.invariant for v in result.violations}
    faults: Sequence[str] = result.fired

    def fails(schedule: Sequence[str]) -> bool:
        again = episode(name, profile, decisions, schedule)
        return bool(broken & {v.invariant for v in again.violations})

    if shrinking and fails(faults):
        faults = shrink(faults, fails)
        result = episode(name, profile, decisions, faults)
    return Finding(
        episode=name,
        profile=profile.name,
        decisions=decisions,
        violations=result.violations,
        faults=tuple(faults),
        shrunk=shrinking,
    )


def _report(
    seed: int,
    profile: str,
    results: list[Result],
    findings: list[Finding],
    seconds: tuple[float, float],
) -> Report:
    return Report(
        seed=seed,
        profile=profile,
        episodes=len(results),
        faults=together(by_boundary(r.fired) for r in results),
        audits=tuple(r.audit for r in results),
        findings=tuple(findings),
        seconds=seconds[0],
        cpu_seconds=seconds[1],
        **summed(results),
    )


def told(finding: Finding) -> Iterator[str]:
    """A finding in lines: what broke, the schedule, the command."""
    yield f"episode {finding.episode} ({finding.profile}):"
    for v in finding.violations[:5]:
        name = NAMES.get(v.invariant, "no unexpected error")
        yield f"  invariant {v.invariant} ({name})"
        yield f"    at {v.time}: {v.text}"
    if finding.shrunk:
        yield f"  faults needed ({len(finding.faults)}):"
        for fault in finding.faults[:20]:
            yield f"    {fault}"
    yield f"  replay: {finding.command}"


@contextmanager
def _silence() -> Iterator[None]:
    """The application reports every injected fault; here that is noise."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
