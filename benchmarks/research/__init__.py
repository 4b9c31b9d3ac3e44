"""Backtests, sweeps and walk-forward, with the peers beside them in the same run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure, Size

ROOT = Path(__file__).resolve().parent.parent.parent
BARS: dict[Size, int] = {"full": 525_600, "quick": 60_000, "tiny": 3_000}
HOURS: dict[Size, int] = {"full": 87_600, "quick": 8_760, "tiny": 500}


def measure(size: Size) -> list[Figure]:
    """Processor times in processes of their own; peers only at full size."""
    from benchmarks.research.comparison import interpreter
    from benchmarks.research.generated import candles

    bars = BARS[size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = candles("BTCUSDT", bars)
        fields = ("open_time", "open", "high", "low", "close", "volume")
        np.savez(folder / "candles.npz", **{f: getattr(columns, f) for f in fields})
        # Once for the machine code on disk, which is not what is measured.
        _work("cross", bars, folder)
        cross = _work("cross", bars, folder)
        _work("decisions", bars, folder)
        decisions = _work("decisions", bars, folder)
        sweep = _work("sweep", bars, folder)
        walk = _work("walk", HOURS[size], folder)
        gated = _work("gated", HOURS[size], folder)
        python = interpreter() if size == "full" else None
        beside = _peers(python, folder) if python else {}
    return _figures(bars, decisions, cross, sweep, walk, gated, beside)


def _work(what: str, bars: int, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.research.work", what, str(bars), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peers(python: str, folder: Path) -> dict[str, Any]:
    from benchmarks.research.comparison import peer, same_trades

    few = 52_560
    found = {
        "backtesting": peer(python, "backtesting", str(folder)),
        "backtrader": peer(python, "backtrader", str(folder), str(few)),
        "vectorbt": peer(python, "vectorbt", str(folder), "cross"),
        "vectorbt sweep": peer(python, "vectorbt", str(folder), "sweep"),
    }
    found["backtesting"]["same"] = same_trades(folder, "backtesting")
    found["backtrader"]["same"] = same_trades(folder, "backtrader", bars=few)
    found["vectorbt"]["same"] = same_trades(folder, "vectorbt", shift=1)
    return found


def _figures(
    bars: int,
    decisions: dict[str, Any],
    cross: dict[str, Any],
    sweep: dict[str, Any],
    walk: dict[str, Any],
    gated: dict[str, Any],
    beside: dict[str, Any],
) -> list[Figure]:
    def middle(of: dict[str, Any]) -> float:
        return statistics.median(of["seconds"])

    def versus(name: str, key: str, value: float | None = None) -> dict[str, Any]:
        if name not in beside:
            return {}
        return {"peer": key, "peer_value": beside[name]["value"] if value is None else value}

    rates = {
        name: beside[name]["bars"] / beside[name]["seconds"]
        for name in ("backtesting", "backtrader")
        if name in beside
    }
    warm = bars / middle(cross)
    vectorbt = beside.get("vectorbt")
    swept = beside.get("vectorbt sweep")
    return [
        Figure(
            name="full-decision backtest, 1-minute bars, all costs",
            value=decisions["bars"] / middle(decisions),
            unit="bars/s",
            goal=1_000_000,
            more_is_better=True,
            note=f"{decisions['bars']} bars, {decisions['trades']} trades, five strategies, gate, "
            "every layer of the stop, processor time",
            **versus(
                "backtesting",
                "backtesting.py 0.6.6, EMA cross and a fee alone",
                rates.get("backtesting"),
            ),
        ),
        Figure(
            name="memory of it",
            value=decisions["memory"],
            unit="MB",
            goal=500,
            note="peak of the process",
        ),
        Figure(
            name="EMA cross on the compiled core, warm",
            value=warm,
            unit="bars/s",
            goal=50_000_000,
            more_is_better=True,
            note=f"{cross['trades']} trades, signals and equity included; "
            + (vectorbt["same"] if vectorbt else "peers are not measured"),
            **versus(
                "vectorbt",
                "vectorbt 1.2.0, signals included",
                bars / middle(vectorbt) if vectorbt else None,
            ),
        ),
        Figure(
            name="the same beside backtesting.py",
            value=warm,
            unit="bars/s",
            more_is_better=True,
            note=beside["backtesting"]["same"] if beside else "peers are not measured",
            **versus("backtesting", "backtesting.py 0.6.6", rates.get("backtesting")),
        ),
        Figure(
            name="the same beside backtrader",
            value=warm,
            unit="bars/s",
            more_is_better=True,
            note=beside["backtrader"]["same"] if beside else "peers are not measured",
            **versus("backtrader", "backtrader 1.9.78.123", rates.get("backtrader")),
        ),
        Figure(
            name="first answer in a fresh process",
            value=cross["first_answer"],
            unit="s",
            goal=2.0,
            note="processor time from the start of the interpreter; machine code from disk",
            **versus("vectorbt", "vectorbt", vectorbt["first_answer"] if vectorbt else None),
        ),
        Figure(
            name="sweep of 100 EMA pairs",
            value=middle(sweep),
            unit="s",
            goal=1.0,
            note=f"{bars} bars; best pair {sweep['best']}"
            + (f", vectorbt's {swept['best']}" if swept else ""),
            **versus("vectorbt sweep", "vectorbt, ten at once", middle(swept) if swept else None),
        ),
        Figure(
            name="memory of the sweep",
            value=sweep["memory"],
            unit="MB",
            goal=500,
            **versus("vectorbt sweep", "vectorbt", swept["memory"] if swept else None),
        ),
        Figure(
            name="walk-forward, 10 symbols hourly, 20 windows x 100 sets",
            value=middle(walk),
            unit="s",
            goal=30.0,
            note="EMA pairs; trained on five spans, judged on the next",
        ),
        Figure(
            name="the same with every decision, gate, wallet, stop and cost",
            value=middle(gated),
            unit="s",
            goal=30.0,
            note=f"wall time, {gated['windows']} windows x {gated['sets']} sets, "
            f"{gated['trades']} trades judged; {gated['processor']:.0f} s of processor time on "
            "all processors, start of the processes included",
        ),
    ]
