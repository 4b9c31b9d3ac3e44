"""backtesting.py on the same candles and signals. Run by its own interpreter."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

folder = Path(sys.argv[1])
held = np.load(folder / "candles.npz")
want = np.load(folder / "ours.npz")["want"].astype(float)
frame = pd.DataFrame(
    {name.capitalize(): held[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(held["open_time"], unit="ms"),
)


class Cross(Strategy):
    def init(self):
        self.want = self.I(lambda: want, plot=False)

    def next(self):
        if self.want[-1] != self.want[-2]:
            if self.position:
                self.position.close()
            if self.want[-1] > 0:
                self.buy(size=1)
            elif self.want[-1] < 0:
                self.sell(size=1)


test = Backtest(frame, Cross, cash=1e8, commission=0.0004, finalize_trades=True)
began = time.process_time()
stats = test.run()
taken = time.process_time() - began
trades = stats["_trades"].sort_values("EntryBar")
np.savez(
    folder / "backtesting.npz",
    opened=trades["EntryBar"],
    closed=trades["ExitBar"],
    side=np.sign(trades["Size"]),
    entry=trades["EntryPrice"],
    exit=trades["ExitPrice"],
    net=trades["PnL"],
)
print(json.dumps({"seconds": taken, "bars": len(frame)}))
