"""backtrader on the same candles and signals. Run by its own interpreter."""

import json
import sys
import time
from pathlib import Path

import backtrader as bt
import numpy as np
import pandas as pd

folder = Path(sys.argv[1])
bars = int(sys.argv[2])
held = np.load(folder / "candles.npz")
want = np.load(folder / "ours.npz")["want"][:bars].tolist()
frame = pd.DataFrame(
    {name: held[name][:bars] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(held["open_time"][:bars], unit="ms"),
)
closed = []


class Cross(bt.Strategy):
    def next(self):
        i = len(self) - 1
        if i and want[i] != want[i - 1]:
            self.order_target_size(target=want[i])

    def notify_trade(self, trade):
        if trade.isclosed:
            closed.append((trade.baropen - 1, trade.barclose - 1, trade.price, trade.pnlcomm))


cerebro = bt.Cerebro(stdstats=False)
cerebro.adddata(bt.feeds.PandasData(dataname=frame))
cerebro.addstrategy(Cross)
cerebro.broker.setcash(1e8)
cerebro.broker.setcommission(commission=0.0004)
began = time.process_time()
cerebro.run()
taken = time.process_time() - began
opened, ended, entry, net = (np.array(column) for column in zip(*closed, strict=True))
np.savez(folder / "backtrader.npz", opened=opened, closed=ended, entry=entry, net=net)
print(json.dumps({"seconds": taken, "bars": bars}))
