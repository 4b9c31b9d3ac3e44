"""Without numba and pyarrow, which an app that never sweeps may be deployed without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.research.crosses import first_wrong
from shared.research.kernel.crosses import first_wrong as compiled

WITHOUT = """
import sys
sys.modules["numba"] = sys.modules["pyarrow"] = None
from shared.errors import BorsaError
from shared.research.backtest import run
from shared.research.config import BacktestConfig
from shared.research.sweep_plan import SweepRequest, planned
from shared.simulation.synthetic import SyntheticMarket
from pathlib import Path

START = 1_746_316_800_000
config = BacktestConfig(
    symbols=("BTCUSDT",), timeframes=("5m",), start_ms=START, end_ms=START + 21_600_000,
    engine="exact",
)
print(len(run(SyntheticMarket(3, ("BTCUSDT",)), config).equity))
request = {"symbols": ["BTCUSDT"], "start": "2025-01-01", "end": "2025-02-01",
           "sets": [{"threshold": 0.4}]}
for engine in ("compiled", "exact"):
    try:
        print(planned(SweepRequest(**request, engine=engine), START).sets)
    except BorsaError as error:
        print(error)
from shared.market.files import load_market
folder = Path(sys.argv[1])
(folder / "BTCUSDT-1h.csv").write_text("open_time,open,high,low,close,volume\\n")
try:
    load_market(folder, ("BTCUSDT",), START, START + 3_600_000)
except BorsaError as error:
    print(error)
"""


def test_the_exact_engine_needs_neither(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    equity, compiled_, exact, files = done.stdout.splitlines()
    assert int(equity) == 72
    assert compiled_.startswith("the compiled engine needs numba")
    assert exact == "1"
    assert "need pyarrow" in files


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [(3, 0, 7), (0, 1, 0.0), (5, 2, np.nan), (5, 3, -1.0), (9, 4, np.inf), (-1, 0, None)],
)
def test_the_first_wrong_row_is_the_kernels(row: int, column: int, value: float | None) -> None:
    time = np.arange(10, dtype=np.int64) * 60_000
    prices = [np.full(10, 100.0) for _ in range(4)]
    if row >= 0 and column == 0:
        time[row:] += int(value or 0)
    elif row >= 0:
        prices[column - 1][row] = value
        prices[3][9] = np.nan  # a later one as well
    expected = compiled(time, 60_000, *prices)
    assert first_wrong(time, 60_000, *prices) == tuple(expected)
    assert expected[0] == row
