"""What the application does by itself, stretch after stretch, is never taken for abuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clock import VirtualClock
from local.configuration import DEMONSTRATION, configuration
from local.replay.run import replay
from shared.clock import SystemClock
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.simulation.synthetic import SyntheticMarket
from shared.storage.sqlite import SqliteStore

START = 1_746_316_800_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.mark.parametrize("style", ["ioc", "post_only"])
def test_a_replayed_stretch_has_no_violations(tmp_path: Path, style: str) -> None:
    path = tmp_path / "state.db"

    def stored(clock: VirtualClock) -> SqliteStore:
        return SqliteStore(str(path), clock=clock)

    end = START + DAY_MS // 4
    summary, _ = replay(
        SyntheticMarket(7, SYMBOLS),
        symbols=SYMBOLS,
        start_ms=START,
        end_ms=end,
        seed=7,
        store=stored,
        settings={
            **configuration(DEMONSTRATION).rest,
            "TIMEFRAMES": "1m,5m",
            "ENTRY_STYLE": style,
        },
    )
    assert summary.trades >= 2
    store = SqliteStore(str(path), clock=SystemClock())
    try:
        assert store.query("violations", "main").documents == []
        cursor = store.get("control", "main", "compliance")
    finally:
        store.close()
    # It was looked at, up to the last round before the end.
    assert cursor is not None
    assert cursor.body["scannedTo"] >= end - 17 * MINUTE_MS
