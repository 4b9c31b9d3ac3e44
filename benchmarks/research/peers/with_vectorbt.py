"""vectorbt on the same candles. Run by its own interpreter; its open is the close before."""

import json
import resource
import sys
import time
from pathlib import Path

began = time.process_time()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import vectorbt as vbt  # noqa: E402

folder, what = Path(sys.argv[1]), sys.argv[2]
held = np.load(folder / "candles.npz")
close = pd.Series(held["close"], index=pd.to_datetime(held["open_time"], unit="ms"))


def crossed(fast, slow):
    quick = close.ewm(span=fast, adjust=False).mean().to_numpy()
    slowly = close.ewm(span=slow, adjust=False).mean().to_numpy()
    sign = np.sign(quick - slowly)
    sign = pd.Series(np.where(sign == 0, np.nan, sign)).ffill().to_numpy()
    changes = np.zeros(len(sign), bool)
    changes[1:] = (sign[1:] != sign[:-1]) & ~np.isnan(sign[:-1])
    return np.where(changes, sign, np.nan)


def run(size):
    return vbt.Portfolio.from_orders(
        close, size=size, size_type="targetamount", price=close, fees=0.0004, init_cash=1e8
    )


if what == "cross":
    portfolio = run(crossed(12, 26))
    float(portfolio.final_value())
    first = time.process_time() - began
    taken = []
    for _ in range(5):
        start = time.process_time()
        portfolio = run(crossed(12, 26))
        float(portfolio.final_value())
        taken.append(time.process_time() - start)
    records = portfolio.trades.records
    np.savez(
        folder / "vectorbt.npz",
        opened=records["entry_idx"],
        closed=records["exit_idx"],
        side=np.where(records["direction"] == 0, 1, -1),
        entry=records["entry_price"],
        exit=records["exit_price"],
        net=records["pnl"],
        equity=portfolio.value().to_numpy(),
    )
    done = {"seconds": taken, "first_answer": first}
else:
    pairs = [(f, s) for f in range(5, 25, 2) for s in range(26, 66, 4)]
    run(crossed(*pairs[0]))
    start = time.process_time()
    values = []
    for at in range(0, len(pairs), 10):
        sizes = np.column_stack([crossed(*p) for p in pairs[at : at + 10]])
        values += run(sizes).final_value().tolist()
    done = {"seconds": [time.process_time() - start], "best": pairs[int(np.argmax(values))]}
done["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(done))
