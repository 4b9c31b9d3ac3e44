"""Our statistics beside those of empyrical-reloaded, on the same seeded daily returns.

``python -m benchmarks.statistics_peer`` makes an environment of its own under ``.local`` for the
library, which is no dependency of the application, and prints both figures with their difference.
Exit code 1 when one differs by more than a part in a billion. Needs a package index.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from shared.market.timeframe import DAY_MS
from shared.research.equity import Curve, deepest
from shared.research.statistics import cagr, sharpe, sortino, volatility

LIBRARY = "empyrical-reloaded==0.7.1"
DAYS = 1500
RISK_FREE = 0.02

_PEER = """
import json, sys
import empyrical as e
import numpy as np, pandas as pd
r = pd.Series(json.load(sys.stdin), pd.date_range("2020-01-01", periods=%d))
daily = 1.02 ** (1 / 365) - 1
print(json.dumps({
    "sharpe": float(e.sharpe_ratio(r, risk_free=daily, annualization=365)),
    "sortino": float(e.sortino_ratio(r, required_return=daily, annualization=365)),
    "volatility": float(e.annual_volatility(r, annualization=365)),
    "cagr": float(e.cagr(r, annualization=365)),
    "max_drawdown": float(-e.max_drawdown(r)),
    "calmar": float(e.calmar_ratio(r, annualization=365)),
}))
"""


def ours(returns: np.ndarray) -> dict[str, float]:
    """The same figures from our code."""
    equity = 1000.0 * np.cumprod(np.concatenate(([1.0], 1.0 + returns)))
    curve = Curve(DAY_MS * np.arange(len(equity), dtype=np.int64), equity)
    growth, fall = cagr(curve) or 0.0, deepest(curve).depth
    return {
        "sharpe": sharpe(returns, risk_free=RISK_FREE) or 0.0,
        "sortino": sortino(returns, risk_free=RISK_FREE) or 0.0,
        "volatility": volatility(returns) or 0.0,
        "cagr": growth,
        "max_drawdown": fall,
        "calmar": growth / fall,
    }


def theirs(returns: np.ndarray, home: Path) -> dict[str, float]:
    """Figures of the library, from its own environment."""
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", LIBRARY], check=True)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", _PEER % len(returns)],
        input=json.dumps(returns.tolist()),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Print the comparison."""
    returns = np.random.default_rng(7).standard_t(4, DAYS) * 0.012 + 0.0008
    mine, other = ours(returns), theirs(returns, Path(".local") / "venv-empyrical")
    worst = 0.0
    print(f"{'figure':14} {'ours':>20} {LIBRARY:>30} {'difference':>12}")
    for name, value in mine.items():
        apart = abs(value / other[name] - 1.0)
        worst = max(worst, apart)
        print(f"{name:14} {value:20.15f} {other[name]:30.15f} {apart:12.1e}")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())
