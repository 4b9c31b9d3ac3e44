"""Compiling once: machine code is kept on disk, and never outlives any of its sources.

numba looks at the file of a function only, not at those of the functions it calls. The folder is
therefore named after the contents of all kernel files: an edit of any of them starts afresh.
``NUMBA_CACHE_DIR`` says where; by default the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


@cache
def cache_folder() -> str:
    """Where the machine code of these very sources is kept; empty when that cannot be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    base = (
        os.environ.get("NUMBA_CACHE_DIR")
        or os.environ.get("XDG_CACHE_HOME")
        or str(Path.home() / ".cache")
    )
    folder = Path(base) / "borsa-kernels" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder) if os.access(folder, os.W_OK) else ""


def is_cold() -> bool:
    """Whether nothing is compiled yet, so that the next call takes seconds longer."""
    folder = cache_folder()
    return not folder or not any(Path(folder).rglob("*.nbi"))


def kernel(function: F) -> F:
    """A compiled function; without a writable cache folder it is compiled in each process."""
    folder = cache_folder()
    before = numba.config.CACHE_DIR
    # Only while numba looks: other users of it in this process keep their own folder.
    numba.config.CACHE_DIR = folder
    try:
        compiled: F = numba.njit(cache=bool(folder), error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled
