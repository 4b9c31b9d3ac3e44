"""The installed TA-Lib, imported on first use and without pandas.

``talib`` imports pandas whenever it is installed, only to accept Series. We pass arrays, so that
would be 0.2 s and 40 MB for nothing, plus a wrapper around every call.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

_FRAMES = ("pandas", "polars")


class _WithoutFrames(MetaPathFinder):
    """Says "not installed" for the data-frame libraries, to one thread only."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname in _FRAMES and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@cache
def talib() -> ModuleType:
    """The ``talib`` module with its ``abstract`` and ``stream`` modules loaded."""
    finder = _WithoutFrames()
    sys.meta_path.insert(0, finder)
    try:
        import talib
        import talib.abstract
        import talib.stream
    finally:
        sys.meta_path.remove(finder)
    return talib  # type: ignore[no-any-return, unused-ignore]
