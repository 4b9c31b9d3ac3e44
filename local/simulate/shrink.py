"""The smallest schedule of faults that still breaks something."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def shrink(
    faults: Sequence[str], fails: Callable[[Sequence[str]], bool], budget: int = 60
) -> tuple[str, ...]:
    """Drop faults, in halves and then one by one, while the rest still fails.

    Parameters
    ----------
    faults : sequence of str
        A schedule that fails.
    fails : callable
        Whether a schedule fails.
    budget : int
        Trials at most.
    """
    kept = list(faults)
    if budget > 0 and kept and fails(()):
        return ()
    budget -= 1
    size = max(1, len(kept) // 2)
    while kept and budget > 0:
        at, dropped = 0, False
        while at < len(kept) and budget > 0:
            rest = kept[:at] + kept[at + size :]
            budget -= 1
            if fails(rest):
                kept, dropped = rest, True
            else:
                at += size
        if size == 1 and not dropped:
            break
        size = max(1, size // 2)
    return tuple(kept)
