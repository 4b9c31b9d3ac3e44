"""The shipped default is the configuration that was found, wherever it stands."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_results import daily_result

from shared.bootstrap import Services
from shared.market.timeframe import DAY_MS
from shared.research.breakdown import breakdown
from shared.research.caveats import caveats
from shared.research.config import from_environment
from shared.research.luck import assess
from shared.research.statistics import statistics
from shared.settings import load
from shared.strategies.config import SignalConfig, five_strategies
from shared.strategies.ensemble import required_history

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "benchmarks" / "data" / "default-config-trials.csv.gz"
#: What docs/default-config.md says was chosen, as the search wrote it down.
FOUND = {
    "threshold": 0.5,
    "crossing": True,
    "trend.fast": 24,
    "trend.slow": 400,
    "trend.adx_low": 5.0,
    "trend.adx_high": 10.0,
    "trend.full_vote_atr": 1.5,
    "STOP_ATR": 4,
    "REWARD_RISK": 3,
    "TRAIL_ACTIVATION": 2,
    "MAX_HOLDING_BARS": 336,
}
VENUE = {"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet"}


def trials() -> list[dict[str, str]]:
    with gzip.open(LOG, "rt") as file:
        return list(csv.DictReader(file))


def test_nothing_set_is_what_was_found() -> None:
    settings = load(VENUE)
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    assert settings.timeframes == ("1h",)
    assert (settings.stop_atr, settings.reward_risk, settings.trail_activation) == (4, 3, 2)
    assert settings.max_holding_bars == 336
    # Neither was part of the search: off, as they were.
    assert (settings.trail_atr, settings.break_even_at) == (0, 0)


def test_the_risk_is_that_of_the_figures() -> None:
    settings = load(VENUE)
    assert settings.risk_per_trade == Decimal("0.005")
    assert settings.target_volatility == Decimal("0.20")
    assert settings.max_position_notional == 500
    # All four contracts fit, and no more.
    assert settings.max_total_notional == settings.max_position_notional * len(settings.symbols)
    # Four stops at their widest (5 %), with costs, stay within a day's loss.
    worst = len(settings.symbols) * settings.max_position_notional * Decimal("0.0515")
    assert worst < settings.max_daily_loss


def test_every_contract_has_the_plan_of_the_search() -> None:
    for symbol, plan in Services(VENUE).plan.items():
        ((timeframe, ensemble),) = plan.items()
        (member,) = ensemble.members
        assert (symbol[-4:], timeframe, member.strategy) == ("USDT", "1h", "trend")
        found = {f"trend.{name}": value for name, value in member.params.items()}
        wanted = {name: value for name, value in FOUND.items() if name.startswith("trend.")}
        assert found == wanted | {"trend.adx": 14}
        assert (ensemble.threshold, ensemble.crossing) == (FOUND["threshold"], FOUND["crossing"])
        assert required_history(ensemble) == 5928


def test_the_search_tried_it() -> None:
    tried = [json.loads(row["params"]) for row in trials() if row["start"] == "2020-09-01"]
    assert any(all(params.get(name) == FOUND[name] for name in FOUND) for params in tried)


def test_a_backtest_of_nothing_in_particular_judges_it() -> None:
    config = from_environment({}, symbols=("ADAUSDT",), timeframes=("1h",), start_ms=0, end_ms=1)
    (member,) = config.signals.ensemble("ADAUSDT", "1h").members
    assert (member.strategy, member.params["slow"]) == ("trend", 400)
    assert (config.sizing.atr_multiple, config.sizing.trail_activation) == (4, 2)
    assert config.limits.max_position_notional == 500


def test_the_log_holds_every_trial_of_the_page() -> None:
    page = (ROOT / "docs" / "default-config.md").read_text()
    assert f"{len(trials()):,} trials" in page


DESIGNED = "Its parameters were searched on these months"
APRIL_2023 = 1_680_307_200_000
DECEMBER_2023 = 1_701_388_800_000


def warned(start_ms: int, days: int, *, settings: dict[str, str] | None = None, **of: Any) -> Any:
    """What speaks against a long good record of a configuration, in the order of the report."""
    config = from_environment(
        settings or {},
        symbols=of.pop("symbols", ("BTCUSDT",)),
        timeframes=of.pop("timeframes", ("1h",)),
        start_ms=start_ms,
        end_ms=start_ms + days * DAY_MS,
        **of,
    )
    equity = (1000.0 + np.arange(days)).tolist()
    result = replace(daily_result(equity, start=start_ms), settings=config.as_json())
    return caveats(result, statistics(result), breakdown(result), assess(result, paths=200))


@pytest.mark.parametrize(
    ("told", "start_ms", "days", "of"),
    [
        (True, APRIL_2023, 30, {}),
        (True, DECEMBER_2023 - 2 * DAY_MS, 90, {}),
        (True, APRIL_2023 - 3000 * DAY_MS, 3000, {"symbols": ("XRPUSDT", "ADAUSDT")}),
        (True, APRIL_2023, 30, {"costs": Decimal(2), "clear_after_ms": DAY_MS}),
        (True, APRIL_2023, 30, {"settings": {"STOP_ATR": "3", "MAX_POSITION_NOTIONAL": "100"}}),
        (False, DECEMBER_2023, 90, {}),
        (False, 1_598_918_400_000 - 90 * DAY_MS, 90, {}),
        (False, APRIL_2023, 30, {"timeframes": ("4h",)}),
        (False, APRIL_2023, 30, {"signals": SignalConfig(default=five_strategies())}),
    ],
)
def test_a_report_on_searched_months_says_so_first(
    told: bool, start_ms: int, days: int, of: dict[str, Any]
) -> None:
    found = warned(start_ms, days, **of)
    assert (DESIGNED in [c.title for c in found]) is told
    if told:
        assert (found[0].title, found[0].level) == (DESIGNED, "serious")


def test_what_is_said_of_the_search_is_what_it_left() -> None:
    """In the warning, on the page, and in the log of the trials."""
    text = warned(APRIL_2023, 30)[0].text
    page = (ROOT / "docs" / "default-config.md").read_text()
    for said, row in (
        (("2,556 trials", "0.0006"), "after the 2,556 distinct trials until then | 0.0006 |"),
        (
            ("overfitting 56%",),
            "| probability of backtest overfitting in the family's search | 56 % |",
        ),
    ):
        assert all(words in text for words in said)
        assert row in page
    assert "Design span 2020-09-01 to 2023-11-30; holdout 2023-12-01 to" in page
    assert "on 2020-09-01 to 2023-11-30; 2023-04-02 to 2023-04-30 of this result" in text
    whole = [row for row in trials() if (row["start"], row["end"]) == ("2020-09-01", "2023-12-01")]
    assert len(whole) > 200
