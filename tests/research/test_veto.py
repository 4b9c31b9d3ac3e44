"""A veto on anomalous bars is honoured by both engines of the backtest, from the same code."""

from __future__ import annotations

import numpy as np
from test_compiled_engine import START, assert_same

from shared.clock import DAY_MS
from shared.indicators.anomalies import scores, unusual
from shared.market.timeframe import MINUTE_MS
from shared.research.compiled import CompiledEngine
from shared.research.config import BacktestConfig
from shared.research.exact import ExactEngine
from shared.research.market import history
from shared.research.signals import live_signal, signals
from shared.simulation.synthetic import SyntheticMarket
from shared.strategies.config import AnomalyVeto, EnsembleConfig, Member, SignalConfig

VETO = AnomalyVeto(alarm=0.9, returns=3.0, range=3.0, volume=3.0, quiet=3.0, bars=2)


def asked(veto: bool) -> BacktestConfig:
    ensemble = EnsembleConfig(members=(Member(strategy="momentum"),), threshold=0.2)
    if veto:
        ensemble = EnsembleConfig(members=ensemble.members, threshold=ensemble.threshold, veto=VETO)
    return BacktestConfig(
        symbols=("BTCUSDT", "ETHUSDT"),
        timeframes=("1m",),
        start_ms=START,
        end_ms=START + DAY_MS,
        signals=SignalConfig(default=ensemble, timeframes={}),
    )


def test_no_trade_is_opened_at_an_anomalous_bar() -> None:
    source = SyntheticMarket(3, ("BTCUSDT", "ETHUSDT"))
    config = asked(True)
    table, plain = signals(source, config), signals(source, asked(False))
    odd = {}
    for symbol in config.symbols:
        bars = history(source, symbol, "1m", START - 4000 * MINUTE_MS, START + DAY_MS)
        flagged = unusual(scores(bars), VETO)
        flagged[1:] |= flagged[:-1].copy()
        odd[symbol] = set((bars.open_time[flagged] + MINUTE_MS).tolist())
    rows = {
        one: {
            (one.symbols[s], t, side)
            for s, t, side in zip(
                one.symbol.tolist(), one.time.tolist(), one.side.tolist(), strict=True
            )
        }
        for one in (table, plain)
    }
    expected = {row for row in rows[plain] if row[1] not in odd[row[0]]}
    assert rows[table] == expected
    assert len(rows[plain]) - len(expected) > 5
    exact, compiled = (
        engine(source, config, table).run() for engine in (ExactEngine, CompiledEngine)
    )
    assert_same(exact, compiled)
    assert len(exact.trades) > 5
    # The live decision is the same, and its record says that nothing was found.
    for i in range(0, len(table), max(1, len(table) // 8)):
        live = live_signal(source, config, table, i)
        assert live.side == ("BUY" if table.side[i] > 0 else "SELL")
        assert live.anomalies == []
    assert np.isfinite(table.strength).all()
