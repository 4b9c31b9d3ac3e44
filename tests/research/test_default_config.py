"""The configuration that was found can be used as it lies there."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

from shared.research.config import from_environment
from shared.settings import SETTINGS, load

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "configs" / "default-1h.json"
CHOSEN = json.loads((ROOT / "configs" / "default-1h.settings.json").read_text())
LOG = ROOT / "benchmarks" / "data" / "default-config-trials.csv.gz"


def test_the_application_takes_it() -> None:
    assert set(CHOSEN) <= {s.name for s in SETTINGS}
    venue = {"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet"}
    settings = load({**venue, **CHOSEN, "TRADING_PLAN": PLAN.read_text()})
    assert settings.timeframes == ("1h",)
    assert settings.reward_risk == 3


def test_a_backtest_takes_it() -> None:
    rest = {k: v for k, v in CHOSEN.items() if k not in ("SYMBOLS", "TIMEFRAMES")}
    config = from_environment(
        {**rest, "TRADING_PLAN": PLAN.read_text()},
        symbols=tuple(CHOSEN["SYMBOLS"].split(",")),
        timeframes=("1h",),
        start_ms=0,
        end_ms=1,
    )
    (member,) = config.signals.ensemble("ADAUSDT", "1h").members
    assert (member.strategy, member.params["slow"]) == ("trend", 400)
    assert (config.sizing.atr_multiple, config.sizing.trail_activation) == (4, 2)
    # No more risk than the shipped limits allow.
    assert config.limits.max_position_notional == Decimal(500)


def test_the_log_holds_every_trial_of_the_page() -> None:
    with gzip.open(LOG, "rt") as file:
        rows = list(csv.DictReader(file))
    page = (ROOT / "docs" / "default-config.md").read_text()
    assert f"{len(rows):,} trials" in page
    assert any(
        json.loads(row["params"]).get("trend.slow") == 400 and row["start"] == "2020-09-01"
        for row in rows
    )
