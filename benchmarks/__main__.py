"""``python -m benchmarks``: every figure in fresh processes, one table."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.figure import Figure, Size, combined

ROOT = Path(__file__).resolve().parent.parent

#: Modules with a ``measure(size)``, and how often each is run in a process of its own.
SECTIONS: dict[str, int] = {
    "calibration": 3,
    "cold_import": 1,  # starts its own fresh processes
    "decision": 3,
    "together": 3,
    "task_hub": 3,
    "signals": 3,
    "models": 3,
    "exchange": 3,
    "emergency": 3,
    "dashboard": 1,  # every load in a tab of its own
    "month": 3,
    "research": 1,  # every piece of work in a fresh process of its own
    "luck": 3,
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run",
        description="Measures the application and prints one table. Figures are medians of runs "
        "in fresh processes; run it on an otherwise idle machine.",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: does it work")
    parser.add_argument("--runs", type=int, default=0, help="runs per section instead of 3")
    parser.add_argument("--only", default="", metavar="A,B", help=f"out of {', '.join(SECTIONS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    # One section in this process; how the parent starts its children.
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    unknown = [n for n in names(options.only) if n not in SECTIONS]
    if unknown:
        parser.error(f"--only: no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return options


def names(text: str) -> list[str]:
    """Sections to run; all by default."""
    return [n.strip() for n in text.split(",") if n.strip()] or list(SECTIONS)


def section(name: str, size: Size) -> list[Figure]:
    """Measure one section in this process."""
    # The application logs every trade; here nobody reads it.
    logging.getLogger().addHandler(logging.NullHandler())
    figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").measure(size)
    return figures


def fresh(name: str, size: Size) -> list[Figure]:
    """Measure one section in a process of its own.

    Raises
    ------
    SystemExit
        When it fails; its own output says why.
    """
    read, write = os.pipe()
    command = [sys.executable, "-m", "benchmarks", "--section", name, "--out", f"/dev/fd/{write}"]
    if size == "quick":
        command.append("--quick")
    child = subprocess.Popen(command, pass_fds=(write,), cwd=ROOT, stdout=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        text = answer.read()
    if child.wait():
        raise SystemExit(f"benchmark {name} failed with exit code {child.returncode}")
    return msgspec.json.decode(text, type=list[Figure])


def machine() -> str:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
        load = f", load {os.getloadavg()[0]:.1f}"
    except OSError:
        load = ""
    return f"{model}, {os.cpu_count()} cores{load}, Python {platform.python_version()}"


def main(argv: list[str] | None = None) -> int:
    """Entry point; 0 also when a goal is missed: the table says so."""
    options = parse(argv)
    size: Size = "quick" if options.quick else "full"
    if options.section:
        options.out.write_bytes(msgspec.json.encode(section(options.section, size)))
        return 0
    on = machine()
    figures: list[Figure] = []
    for name in names(options.only):
        runs = 1 if options.quick else options.runs or SECTIONS[name]
        began = time.monotonic()
        print(f"{name} ... ", end="", file=sys.stderr, flush=True)
        figures += combined([fresh(name, size) for _ in range(runs)])
        print(f"{runs} run(s), {time.monotonic() - began:.0f} s", file=sys.stderr)
    from benchmarks.table import show

    show(figures, f"Benchmarks{' (quick)' if options.quick else ''}: {on}")
    if options.json is not None:
        rows = {"machine": on, "size": size, "figures": figures}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
