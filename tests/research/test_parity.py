"""The trades of a backtest are those of a replay of the whole application."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.configuration import DEMONSTRATION, configuration
from local.replay.run import replay
from shared.clock import DAY_MS
from shared.errors import ConfigurationError, InvalidInput
from shared.market.candle import Columns
from shared.market.resample import resample
from shared.market.timeframe import MINUTE_MS
from shared.portfolio.trades import Trade
from shared.research.backtest import run
from shared.research.config import from_environment
from shared.research.exact import ExactEngine
from shared.research.market import from_files
from shared.research.result import EXIT_REASONS, Result
from shared.risk.portfolio_gate import PORTFOLIO_CHECKS
from shared.simulation.candles import CandleSource
from shared.simulation.source import MarketSource
from shared.simulation.synthetic import SyntheticMarket

REAL = Path(__file__).resolve().parents[3] / "shared" / "market"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
#: 2025-05-04
START = 1_746_316_800_000
HOUR_MS = 60 * MINUTE_MS

BUSY = json.dumps(
    {
        "default": {
            "members": [{"strategy": "trend"}, {"strategy": "momentum"}],
            "threshold": 0.2,
        },
        "timeframes": {},
    }
)

#: Near stops and short trades, so that a day has many.
QUICK = configuration(DEMONSTRATION).rest | {"TRADING_PLAN": BUSY}

#: As the application names what ended a trade.
REASONS = {"closed": "time exit", "emergency stop": "kill switch"}


def trades_of_replay(
    source: MarketSource, symbols: tuple[str, ...], start: int, end: int, settings: dict[str, str]
) -> set[tuple[Any, ...]]:
    summary, recorder = replay(
        source, symbols=symbols, start_ms=start, end_ms=end, seed=7, settings=settings
    )
    assert summary.good
    return {_of_trade(t) for t in recorder.trades if t.closed_at < end}


def _of_trade(t: Trade) -> tuple[Any, ...]:
    return (
        t.symbol,
        t.opened_at,
        t.closed_at,
        t.side,
        float(t.quantity),
        float(t.entry_price),
        float(t.exit_price),
        REASONS.get(t.exit_reason, t.exit_reason),
        round(float(t.net_pnl), 8),
    )


def trades_of_backtest(result: Result) -> set[tuple[Any, ...]]:
    """Without those that only the end of the data closed: a replay leaves them open."""
    t = result.trades
    return {
        (
            result.symbols[t.symbol[i]],
            int(t.opened_at[i]),
            int(t.closed_at[i]),
            "BUY" if t.side[i] > 0 else "SELL",
            float(t.quantity[i]),
            float(t.entry_price[i]),
            float(t.exit_price[i]),
            EXIT_REASONS[t.exit_reason[i]],
            round(float(t.net[i]), 8),
        )
        for i in range(len(t))
        if EXIT_REASONS[t.exit_reason[i]] != "end of data"
    }


@pytest.mark.parametrize(
    ("settings", "least", "reason"),
    [
        ({"TIMEFRAMES": "5m,15m"}, 20, "trailing stop"),
        # Limits that bind: the day's loss, what all positions may be, a short time exit.
        (
            {
                "TIMEFRAMES": "1m,5m",
                "MAX_DAILY_LOSS": "12",
                "MAX_TOTAL_NOTIONAL": "900",
                "MAX_HOLDING_BARS": "9",
            },
            10,
            "time exit",
        ),
        # Every layer of the stop, and a pause after losses.
        (
            {
                "TIMEFRAMES": "5m",
                "LOSS_COOLDOWN_MINUTES": "40",
                "STOP_ATR": "5",
                "REWARD_RISK": "3",
                "TRAIL_ACTIVATION": "0.5",
                "BREAK_EVEN_AT": "0.3",
                "TRAIL_ATR": "3",
            },
            10,
            "trailing stop",
        ),
        # The kill switch latches and everything is closed at once.
        (
            {"TIMEFRAMES": "5m", "MAX_DRAWDOWN": "0.003"},
            3,
            "kill switch",
        ),
    ],
)
def test_synthetic_market(settings: dict[str, str], least: int, reason: str) -> None:
    source = SyntheticMarket(11, SYMBOLS)
    end = START + DAY_MS
    settings = QUICK | settings
    theirs = trades_of_replay(source, SYMBOLS, START, end, settings)
    names = {k: v for k, v in settings.items() if k != "TIMEFRAMES"}
    config = from_environment(
        names,
        symbols=SYMBOLS,
        timeframes=tuple(settings["TIMEFRAMES"].split(",")),
        start_ms=START,
        end_ms=end,
    )
    result = ExactEngine(source, config).run()
    assert trades_of_backtest(result) == theirs
    assert bool(result.decisions.get("cooldown")) == ("LOSS_COOLDOWN_MINUTES" in settings)
    assert len(theirs) >= least
    assert reason in {row[7] for row in theirs}
    # What is on the wallet at the end is what the trades made of it.
    assert math.isclose(
        result.equity[-1], result.start_equity + result.trades.net.sum(), abs_tol=1e-6
    )


def test_the_gate_on_the_portfolio_refuses_the_same() -> None:
    """A year of history before the first minute; both limits refuse some."""
    symbols = SYMBOLS[:3]
    source = SyntheticMarket(11, symbols)
    end = START + DAY_MS // 2
    settings = QUICK | {
        "MAX_EXPECTED_SHORTFALL": "0.0042",
        "MAX_MARGINAL_SHORTFALL": "0.00315",
    }
    theirs = trades_of_replay(source, symbols, START, end, settings | {"TIMEFRAMES": "5m"})
    config = from_environment(
        settings,
        symbols=symbols,
        timeframes=("5m",),
        start_ms=START,
        end_ms=end,
        engine="exact",
        portfolio_gate=True,
    )
    result = ExactEngine(source, config).run()
    assert trades_of_backtest(result) == theirs
    assert len(theirs) >= 5
    refused = {n for n in result.decisions if n in PORTFOLIO_CHECKS}
    assert refused == {"expected_shortfall", "marginal_shortfall"}, result.decisions
    with pytest.raises(ConfigurationError, match="portfolio-gate"):
        from_environment(settings, symbols=symbols, timeframes=("5m",), start_ms=START, end_ms=end)
    with pytest.raises(ConfigurationError, match="not compiled"):
        from_environment(
            {},
            symbols=symbols,
            timeframes=("5m",),
            start_ms=START,
            end_ms=end,
            portfolio_gate=True,
        )


def test_the_record_of_closed_trades_sizes_both() -> None:
    """A part of the Kelly fraction so small that nothing fits any more once there is a record."""
    symbols = SYMBOLS[:3]
    source = SyntheticMarket(11, symbols)
    end = START + DAY_MS // 2
    settings = QUICK | {
        "KELLY_FRACTION": "0.001",
        "KELLY_MIN_TRADES": "30",
        "MAX_HOLDING_BARS": "5",
    }
    theirs = trades_of_replay(source, symbols, START, end, settings | {"TIMEFRAMES": "1m"})
    config = from_environment(
        settings, symbols=symbols, timeframes=("1m",), start_ms=START, end_ms=end, engine="exact"
    )
    result = ExactEngine(source, config).run()
    assert trades_of_backtest(result) == theirs
    assert 30 <= len(theirs) <= 33
    assert result.decisions["quantity"] > 0
    with pytest.raises(InvalidInput, match="kelly is not compiled"):
        run(source, msgspec.structs.replace(config, engine="compiled"))


def test_an_abnormal_market_latches_both() -> None:
    """Open positions keep their stops; nothing is opened any more."""
    symbols = ("BTCUSDT", "ETHUSDT")
    source = SyntheticMarket(7, symbols)
    # 2025-05-17T10:00, three hours before the jump.
    start = START + 13 * DAY_MS + 10 * 3_600_000
    end = start + 6 * 3_600_000
    settings = QUICK | {"VOLATILITY_RATIO": "4"}
    theirs = trades_of_replay(source, symbols, start, end, {"TIMEFRAMES": "5m", **settings})
    config = from_environment(
        settings, symbols=symbols, timeframes=("5m",), start_ms=start, end_ms=end
    )
    result = ExactEngine(source, config).run()
    assert trades_of_backtest(result) == theirs
    assert result.decisions["kill_switch"] > 0
    assert "2025-05-17T13:05:02.000Z" in result.notes[-1]
    assert any(opened > start for _, opened, *_ in theirs)


def hours(days: int, before: int) -> CandleSource:
    """Hourly candles of all four contracts, with mark prices: so many before START, and days."""
    market = SyntheticMarket(1, SYMBOLS)
    span = START - before * HOUR_MS, START + days * DAY_MS

    def columns(symbol: str, *, mark: bool) -> Columns:
        return resample(market.columns(symbol, *span, mark=mark), "1h")

    return CandleSource(
        {s: columns(s, mark=False) for s in SYMBOLS},
        mark={s: columns(s, mark=True) for s in SYMBOLS},
    )


def test_the_shipped_default_on_hours() -> None:
    """Nothing is set: eight months of history through the poll, then slow trends on hours."""
    source = hours(days=5, before=6000)
    end = START + 5 * DAY_MS
    theirs = trades_of_replay(source, SYMBOLS, START, end, {})
    config = from_environment({}, symbols=SYMBOLS, timeframes=("1h",), start_ms=START, end_ms=end)
    exact = ExactEngine(source, config).run()
    assert trades_of_backtest(exact) == theirs
    compiled = run(source, config)
    assert trades_of_backtest(compiled) == theirs
    assert len(theirs) >= 5
    assert {row[7] for row in theirs} == {"stop", "trailing stop"}
    assert {row[0] for row in theirs} == set(SYMBOLS)


@pytest.mark.skipif(not REAL.is_dir(), reason="no recorded market beside the repository")
def test_recorded_market() -> None:
    symbols = ("BTCUSDT", "ETHUSDT")
    source, start, end, _ = from_files(REAL, symbols, START + 2 * DAY_MS, START + 5 * DAY_MS)
    assert source.timeframe == "1m"
    shown = configuration(DEMONSTRATION)
    theirs = trades_of_replay(source, symbols, start, end, shown.settings)
    config = from_environment(
        shown.rest, symbols=symbols, timeframes=("5m", "1h"), start_ms=start, end_ms=end
    )
    result = ExactEngine(source, config).run()
    assert trades_of_backtest(result) == theirs
    assert len(theirs) >= 5
    assert end - start >= 2 * DAY_MS - MINUTE_MS
