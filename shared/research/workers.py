"""Trials on several processors, in processes that hold nothing but the market they are given.

The processes are started fresh, not forked, so nothing of the caller's memory is in them: what a
search must not see is not there. The market is handed over once, as a file, not with every trial.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType

from shared.errors import InvalidInput
from shared.research.evaluation import Job, Outcome, Runner, outcomes
from shared.research.result import Result
from shared.research.sealed import Market

#: Trials handed over at once: enough for a runner to share work among them.
CHUNK = 16


class Workers:
    """Runs jobs in this process (``count`` 0) or in so many others.

    Parameters
    ----------
    run : Runner
        Picklable when there are other processes.
    count : int
    """

    def __init__(self, run: Runner, count: int = 0) -> None:
        if not 0 <= count <= 64:
            raise InvalidInput(f"{count} workers; use 0 (this process) to 64")
        self._run = run
        self.count = count
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._pool: ProcessPoolExecutor | None = None
        self._market: Market | None = None
        self._shared = 0

    def __enter__(self) -> Workers:
        if self.count:
            self._folder = tempfile.TemporaryDirectory(prefix="borsa-search-")
            self._pool = ProcessPoolExecutor(
                self.count, multiprocessing.get_context("spawn"), initializer=_begin
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def seen_until(self) -> int:
        """Until when what runs has seen data before any search, UTC milliseconds; 0: never."""
        return int(getattr(self._run, "seen_until", 0))

    def use(self, market: Market) -> None:
        """The market of the jobs that follow."""
        self._market = market
        if self._folder is not None:
            self._shared += 1
            # What has begun may still read the one before this.
            self._path(self._shared - 2).unlink(missing_ok=True)
            self._path(self._shared).write_bytes(
                pickle.dumps((self._run, dict(market)), protocol=5)
            )

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / f"market-{number}.pickle"

    def _shown(self) -> str:
        return str(self._path(self._shared))

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[list[tuple[int, Outcome]]]:
        """Outcomes with the places of their jobs, as they come."""
        size = max(1, min(CHUNK, -(-len(jobs) // (4 * max(1, self.count)))))
        chunks = [range(at, min(at + size, len(jobs))) for at in range(0, len(jobs), size)]
        if self._pool is None:
            for chunk in chunks:
                found = outcomes(self._run, self._given(), [jobs[i] for i in chunk])
                yield list(zip(chunk, found, strict=True))
            return
        pending: dict[Future[list[Outcome]], range] = {
            self._pool.submit(_outcomes, self._shown(), [jobs[i] for i in chunk]): chunk
            for chunk in chunks
        }
        try:
            for future in as_completed(pending):
                yield list(zip(pending[future], future.result(), strict=True))
        finally:
            for future in pending:
                future.cancel()

    def result(self, job: Job) -> Result:
        """The whole result of one job."""
        return self.begin(job)()

    def begin(self, job: Job) -> Callable[[], Result]:
        """Begin one job; the answer waits for its whole result.

        Jobs of the market that is used next may begin meanwhile, of no later one.
        """
        if self._pool is None:
            result = next(iter(self._run(self._given(), [job])))
            return lambda: result
        return self._pool.submit(_result, self._shown(), job).result

    def _given(self) -> Market:
        if self._market is None:
            raise InvalidInput("the workers were given no market")
        return self._market


_loaded: tuple[str, Runner, Market] | None = None


def _begin() -> None:
    """Ctrl-C goes to every process of the terminal; the one that waits for us answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A caller that was killed takes its processes with it: nobody else would end them."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _load(path: str) -> tuple[Runner, Market]:
    global _loaded
    if _loaded is None or _loaded[0] != path:
        run, market = pickle.loads(Path(path).read_bytes())
        _loaded = (path, run, market)
    return _loaded[1], _loaded[2]


def _outcomes(path: str, jobs: list[Job]) -> list[Outcome]:
    run, market = _load(path)
    return outcomes(run, market, jobs)


def _result(path: str, job: Job) -> Result:
    run, market = _load(path)
    return next(iter(run(market, [job])))
