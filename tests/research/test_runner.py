"""Parameters of searches end up where they belong in a backtest's configuration."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from shared.errors import ConfigurationError
from shared.research.config import BacktestConfig, from_environment
from shared.research.evaluation import Job
from shared.research.runner import BacktestRunner, with_params
from shared.research.space import Params


def config() -> BacktestConfig:
    return from_environment({}, symbols=("BTCUSDT",), timeframes=("1h",), start_ms=0, end_ms=10)


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
