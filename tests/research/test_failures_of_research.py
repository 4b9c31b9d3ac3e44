"""What other systems' users reported about backtests, as scenarios of this application.

The number is that of the table in ``docs/safety.md``.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_parity import QUICK, START, trades_of_backtest, trades_of_replay

from local.cli.main import main
from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.research.config import from_environment
from shared.research.exact import ExactEngine
from shared.research.result import Result
from shared.simulation.synthetic import SyntheticMarket
from shared.strategies.frame import Frame
from shared.strategies.registry import STRATEGIES
from shared.strategies.strategy import Strategy, Votes

SYMBOL = "ETHUSDT"
END = START + 12 * 60 * MINUTE_MS
MARKET = SyntheticMarket(11, (SYMBOL,))


def early(frame: Frame, params: object) -> Votes:
    """The shipped strategy on candles that arrive one bar early, where there is a next one."""
    shipped = STRATEGIES["momentum"]
    if isinstance(frame.column("close"), float):
        return shipped.evaluate(frame, params)
    c = frame.columns
    moved = [
        np.append(getattr(c, name)[1:], getattr(c, name)[-1])
        for name in ("open", "high", "low", "close", "volume")
    ]
    return shipped.evaluate(Frame(Columns(c.symbol, c.timeframe, c.open_time, *moved)), params)


def settings_of(strategy: str) -> dict[str, str]:
    plan = {"members": [{"strategy": strategy}], "threshold": 0.2}
    return QUICK | {"TRADING_PLAN": json.dumps({"default": plan, "timeframes": {}})}


def backtest(strategy: str) -> Result:
    config = from_environment(
        settings_of(strategy), symbols=(SYMBOL,), timeframes=("5m",), start_ms=START, end_ms=END
    )
    return ExactEngine(MARKET, config).run()


def live(strategy: str) -> set[tuple[object, ...]]:
    """What the whole application trades on the same market."""
    settings = settings_of(strategy) | {"TIMEFRAMES": "5m"}
    return trades_of_replay(MARKET, (SYMBOL,), START, END, settings)


def test_27_a_backtest_that_knows_the_next_bar_is_told_and_an_honest_one_is_what_live_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """freqtrade#5494, #9608, #10294, #12675: good in the backtest, bad live."""
    shipped = STRATEGIES["momentum"]
    leaky = Strategy("clairvoyant", shipped.params, shipped.history, early)
    monkeypatch.setitem(STRATEGIES, "clairvoyant", leaky)
    # Every side of a backtest is decided again from exactly the bars that live has: what was
    # known too early is not there, and nothing is traded on it.
    splendid = backtest("clairvoyant")
    assert set(splendid.decisions) == {"signal_side"}
    assert splendid.decisions["signal_side"] > 5
    assert len(splendid.trades) == 0
    options = ["--bars", "900", "--cuts", "6"]
    assert main(["lookahead", "clairvoyant", *options]) == 1
    assert "KNOWS THE FUTURE" in capsys.readouterr().out
    # Prices, fees, funding, quantities: the honest one's trades are those of the application.
    assert main(["lookahead", "momentum", *options]) == 0
    executed = live("momentum")
    assert trades_of_backtest(backtest("momentum")) == executed
    assert len(executed) >= 2
