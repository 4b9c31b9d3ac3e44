"""Parameters of searches end up where they belong in a backtest's configuration."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest
from toy_runner import HOUR
from toy_runner import market as market_of

from local.configuration import DEMONSTRATION, configuration
from shared.errors import ConfigurationError
from shared.research.backtest import run
from shared.research.config import BacktestConfig, from_environment
from shared.research.evaluation import Job
from shared.research.market import source_of
from shared.research.runner import SEARCHABLE, BacktestRunner, with_params
from shared.research.space import Params
from shared.research.synthetic import synthetic_market

#: Five strategies under parameters that are all their own.
FIVE = configuration(DEMONSTRATION).rest


def config() -> BacktestConfig:
    return from_environment(FIVE, symbols=("BTCUSDT",), timeframes=("1h",), start_ms=0, end_ms=10)


def test_parameters_of_ensembles_and_strategies() -> None:
    params = {"threshold": 0.35, "crossing": False, "trend.fast": 13, "candlesticks.weight": 0}
    made = with_params(config(), params).signals
    for _, ensemble in made.ensembles():
        assert (ensemble.threshold, ensemble.crossing) == (0.35, False)
        members = {m.strategy: m for m in ensemble.members}
        assert "candlesticks" not in members
        assert members["trend"].params == {"fast": 13}
        assert members["trend"].weight == 1.5
        assert members["momentum"].params == {}


def test_settings_change_limits_sizing_and_stops() -> None:
    made = with_params(
        config(),
        {
            "RISK_PER_TRADE": 0.002,
            "TRAIL_ATR": 3,
            "MAX_POSITION_NOTIONAL": 300,
            "STOP_ATR": 2.5,
            "REWARD_RISK": 4,
            "TRAIL_ACTIVATION": 1.5,
        },
    )
    sizing = made.sizing
    assert (sizing.atr_multiple, sizing.reward_risk) == (Decimal("2.5"), 4)
    assert sizing.trail_activation == Decimal("1.5")
    assert made.sizing.risk_per_trade == Decimal("0.002")
    assert made.stops.trail_atr == 3
    assert made.limits.max_position_notional == 300
    assert made.signals == config().signals


def test_every_setting_that_can_be_searched_changes_the_configuration() -> None:
    other = {
        "TRADING_STAGE": "limited",
        "MAX_LEVERAGE": 2,
        "MAX_POSITION_NOTIONAL": 300,
        "MAX_TOTAL_NOTIONAL": 900,
        "MAX_DAILY_LOSS": 50,
        "MAX_DRAWDOWN": 0.05,
        "RISK_PER_TRADE": 0.002,
        "TARGET_VOLATILITY": 0.1,
        "MAX_HOLDING_BARS": 12,
        "STOP_ATR": 3,
        "REWARD_RISK": 4,
        "TRAIL_ACTIVATION": 1.5,
        "BREAK_EVEN_AT": 1,
        "TRAIL_ATR": 3,
        "VOLATILITY_RATIO": 4,
        "KILL_SWITCH_CLOSES": "abnormal_volatility",
    }
    assert set(other) == set(SEARCHABLE)
    made = [with_params(config(), {name: value}) for name, value in other.items()]
    assert len({repr(c) for c in (config(), *made)}) == len(other) + 1


def test_settings_that_the_configuration_was_made_from_stay() -> None:
    settings = {"MAX_HOLDING_BARS": "12"}
    base = from_environment(
        settings, symbols=("BTCUSDT",), timeframes=("1h",), start_ms=0, end_ms=10
    )
    runner = BacktestRunner(base, settings)
    made = runner.configured(Job(params={"RISK_PER_TRADE": 0.002}, start=5, end=9, deposit=77.5))
    assert made.sizing.max_holding_bars == 12
    assert (made.start_ms, made.end_ms, made.deposit) == (5, 9, Decimal("77.5"))
    assert pickle.loads(pickle.dumps(runner)).config == base


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"trend.speed": 3}, "speed"),
        ({"trand.fast": 3}, "there is no parameter trand.fast"),
        ({"limit": 3}, "there is no parameter limit"),
        ({"threshold": 2.0}, "<= 1"),
        ({"trend.fast": 0}, "fast"),
        ({"MAX_PROFIT": 1}, "there is no setting MAX_PROFIT"),
        ({"MAX_LEVERAGE": 50}, "MAX_LEVERAGE"),
        ({"RATE_BUDGET": "shared"}, "RATE_BUDGET cannot be searched"),
        ({"TRADING_PLAN": "{}"}, "TRADING_PLAN cannot be searched"),
        ({"SYMBOLS": "ETHUSDT"}, "SYMBOLS cannot be searched"),
        (
            {
                f"{name}.weight": 0
                for name in ("trend", "momentum", "breakout", "mean_reversion", "candlesticks")
            },
            "every strategy has weight 0",
        ),
    ],
)
def test_what_cannot_be_is_named(params: Params, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        with_params(config(), params)


def test_kept_votes_change_nothing() -> None:
    """Jobs of one market after each other are each what it is alone."""
    market = synthetic_market(market_of(5, 3000, start_price=30_000.0), seed=1)
    start = int(market["BTCUSDT"].candles.open_time[0])
    config = from_environment(
        FIVE,
        symbols=("BTCUSDT",),
        timeframes=("1h",),
        start_ms=start + 600 * HOUR,
        end_ms=start + 3000 * HOUR,
    )
    runner = BacktestRunner(config)
    jobs = [
        Job(params=p, start=config.start_ms, end=config.end_ms)
        for p in (
            {"threshold": 0.2},
            {"threshold": 0.3},
            {"trend.fast": 6, "threshold": 0.2},
            {"trend.slow": 90, "threshold": 0.2},
            {"momentum.weight": 0, "threshold": 0.2},
            {"threshold": 0.2},
        )
    ]
    together = list(runner(market, jobs))
    for job, found in zip(jobs, together, strict=True):
        alone = run(source_of(market), runner.configured(job))
        assert found.equity.tolist() == alone.equity.tolist()
        assert found.trades.net.tolist() == alone.trades.net.tolist()
        assert found.trades.strategy.tolist() == alone.trades.strategy.tolist()
    assert len(together[0].trades) > 10, (together[0].decisions, together[0].notes)
    # What was kept does not travel to other processes.
    assert pickle.loads(pickle.dumps(runner))._kept is None
