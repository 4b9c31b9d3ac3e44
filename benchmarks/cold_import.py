"""Cold import of the function app: what a new instance pays before its first invocation."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.figure import Figure, Size

ROOT = Path(__file__).resolve().parent.parent

#: What the import must not load: each costs more than all of our own code.
HEAVY = ("pandas", "talib", "onnxruntime", "binance", "numpy", "aiohttp")

RUNS: dict[Size, int] = {"full": 9, "quick": 3, "tiny": 1}

_PROBE = """
import time
began, cpu = time.perf_counter(), time.process_time()
import {module}
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
import json, resource, sys
try:
    fields = open("/proc/self/status").read().split("VmRSS:")[1].split()
    resident = int(fields[0]) / 1024
except (OSError, IndexError):
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
modules = sorted(sys.modules)
print(json.dumps({{"seconds": seconds, "cpu": cpu, "mb": resident, "modules": modules}}))
"""


class _Import(msgspec.Struct):
    seconds: float
    cpu: float
    mb: float
    modules: list[str]


def probe(module: str) -> _Import:
    """Import ``module`` in a fresh interpreter."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROBE.format(module=module)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(ran.stdout, type=_Import)


def heavy(modules: list[str]) -> list[str]:
    """Which of :data:`HEAVY` are among the modules."""
    return [name for name in HEAVY if name in modules]


def measure(size: Size) -> list[Figure]:
    """Seconds and resident memory, beside the bare SDKs that every such app imports."""
    probe("function_app")  # writes the byte code
    ours, functions, durable = [], [], []
    for _ in range(RUNS[size]):
        ours.append(probe("function_app"))
        functions.append(probe("azure.functions"))
        durable.append(probe("azure.functions, azure.durable_functions"))
    loaded = heavy([module for run in ours for module in run.modules])
    absent = [m for m in HEAVY if m not in loaded]
    note = f"not loaded: {', '.join(absent)}"
    if loaded:
        note += f"; LOADED: {', '.join(loaded)}"

    def median(runs: list[_Import], field: str) -> float:
        return float(statistics.median(getattr(run, field) for run in runs))

    return [
        Figure(
            name="cold import of function_app",
            value=median(ours, "seconds"),
            unit="s",
            goal=0.5,
            peer="azure.functions + azure.durable_functions alone",
            peer_value=median(durable, "seconds"),
            note=note,
        ),
        Figure(
            name="the same, processor time",
            value=median(ours, "cpu"),
            unit="s",
            peer="azure.functions + azure.durable_functions alone",
            peer_value=median(durable, "cpu"),
            note="the wall time of a machine that does nothing else",
        ),
        Figure(
            name="memory after that import",
            value=median(ours, "mb"),
            unit="MB",
            goal=80,
            peer="azure.functions alone",
            peer_value=median(functions, "mb"),
            note=f"with azure.durable_functions {median(durable, 'mb'):.0f} MB",
        ),
    ]
