"""Which code a backtest was made by: its results are not those of another."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHARED = Path(__file__).resolve().parent.parent
#: What a decision and its costs come from; packages of ``shared``, and single modules.
PARTS = (
    "bootstrap.py",
    "clock.py",
    "compliance",
    "execution",
    "indicators",
    "intelligence",
    "market",
    "portfolio",
    "research",
    "risk",
    "settings.py",
    "simulation",
    "strategies",
)
#: Only shown, never decided by.
LEFT_OUT = ("research/report", "research/data")
#: What computes the figures.
PACKAGES = ("TA-Lib", "numba", "numpy", "onnxruntime")


@cache
def code_digest() -> str:
    """Sixteen hexadecimal digits over what decides and backtests as it is: code and models."""
    return digest_of(SHARED)


def digest_of(shared: Path) -> str:
    """The digest of a copy of ``shared`` and the folder ``models`` beside it."""
    found = hashlib.sha256()
    left_out = tuple(shared / part for part in LEFT_OUT)
    for part in PARTS:
        where = shared / part
        files = sorted(where.rglob("*.py")) if where.is_dir() else [where]
        for file in files:
            if any(file.is_relative_to(folder) for folder in left_out):
                continue
            found.update(f"{file.relative_to(shared).as_posix()}\n".encode())
            found.update(file.read_bytes())
    for file in sorted((shared.parent / "models").glob("*.onnx")):
        found.update(f"models/{file.name}\n".encode())
        found.update(file.read_bytes())
    for package in PACKAGES:
        try:
            found.update(f"{package} {version(package)}\n".encode())
        except PackageNotFoundError:
            found.update(f"{package} none\n".encode())
    return found.hexdigest()[:16]
