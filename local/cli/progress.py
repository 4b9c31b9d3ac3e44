"""The progress bar of long work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

#: Told how much is done, of how much, and what is to be said beside the bar.
Tell = Callable[[float, float, str], None]


@contextlib.contextmanager
def progress(name: str, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar on the error stream for work that knows its share; nothing when ``quiet``."""
    with _bar(name, quiet, "{task.percentage:>3.0f}%") as tell:
        yield lambda done, text: tell(done, 1.0, text)


@contextlib.contextmanager
def counted(name: str, quiet: bool, unit: str = "") -> Iterator[Tell]:
    """A bar on the error stream for work that counts; nothing when ``quiet``."""
    of = "{task.completed:,.0f} of {task.total:,.0f}"
    with _bar(name, quiet, f"{of} {unit}".rstrip()) as tell:
        yield tell


@contextlib.contextmanager
def _bar(name: str, quiet: bool, count: str) -> Iterator[Tell]:
    if quiet:
        yield lambda done, total, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn(name),
        BarColumn(),
        TextColumn(count),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(name, total=1.0, state="")
        yield lambda done, total, text: bar.update(task, completed=done, total=total, state=text)
