"""A backtest of what cannot be backtested says so, and never a silent wrong number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.errors import ConfigurationError, InvalidInput, MarketDataError
from shared.market.candle import Columns
from shared.research.backtest import run
from shared.research.config import BacktestConfig, from_environment, from_json
from shared.simulation.candles import CandleSource
from shared.simulation.synthetic import SyntheticMarket
from shared.strategies.config import SignalConfig, five_strategies

#: 2025-05-04
START = 1_746_316_800_000
HOUR = 3_600_000
MINUTES = 3_000


def candles(symbol: str = "BTCUSDT") -> Columns:
    """Minutes of 50 hours before START and of the day after."""
    found = SyntheticMarket(3, (symbol,)).columns(
        symbol, START - MINUTES * 60_000, START + 24 * HOUR
    )
    return Columns(
        *(
            getattr(found, f).copy() if f not in ("symbol", "timeframe") else getattr(found, f)
            for f in Columns.__dataclass_fields__
        )
    )


def config(**other: Any) -> BacktestConfig:
    given: dict[str, Any] = {
        "symbols": ("BTCUSDT",),
        "timeframes": ("1m",),
        "start_ms": START,
        "end_ms": START + 24 * HOUR,
        # Little history is enough for them.
        "signals": SignalConfig(default=five_strategies(0.6)),
    }
    return BacktestConfig(**{**given, **other})


def test_a_symbol_that_is_not_there() -> None:
    with pytest.raises(InvalidInput, match="the market has no ETHUSDT; it has BTCUSDT"):
        run(CandleSource({"BTCUSDT": candles()}), config(symbols=("ETHUSDT",)))


@pytest.mark.parametrize("engine", ["exact", "compiled"])
def test_dates_outside_the_data(engine: str) -> None:
    source = CandleSource({"BTCUSDT": candles()})
    with pytest.raises(InvalidInput, match="is not inside the data"):
        run(source, config(end_ms=START + 25 * HOUR, engine=engine))
    with pytest.raises(InvalidInput, match="is not a boundary"):
        run(source, config(start_ms=START + 1, engine=engine))


@pytest.mark.parametrize("engine", ["exact", "compiled"])
def test_too_little_history(engine: str) -> None:
    source = CandleSource({"BTCUSDT": candles()})
    with pytest.raises(InvalidInput, match=r"candles until .* need 535 for their first signal"):
        run(source, config(timeframes=("1h",), engine=engine))


def test_history_that_begins_late_is_noted() -> None:
    source = CandleSource({"BTCUSDT": candles().window(MINUTES - 100, MINUTES + 1440)})
    result = run(source, config())
    assert any("the candles begin late, the first decision is at" in n for n in result.notes)


def test_bars_longer_than_the_time_frame() -> None:
    from shared.market.resample import resample

    source = CandleSource({"BTCUSDT": resample(candles(), "15m")})
    with pytest.raises(InvalidInput, match="5m candles cannot be made of 15m candles"):
        run(source, config(timeframes=("5m",)))


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize("column", ["open", "high", "low", "close"])
def test_a_price_that_is_none(column: str, engine: str) -> None:
    broken = candles()
    # In the middle of an hour, where a longer candle would not show it.
    getattr(broken, column)[MINUTES + 130] = np.nan
    with pytest.raises((InvalidInput, MarketDataError), match=r"no price|not finite"):
        run(CandleSource({"BTCUSDT": broken}), config(engine=engine))


def test_gaps_and_disorder() -> None:
    whole = candles()
    keep = np.arange(len(whole)) != 70
    gap = Columns(
        whole.symbol,
        whole.timeframe,
        *(getattr(whole, f)[keep] for f in ("open_time", "open", "high", "low", "close", "volume")),
    )
    with pytest.raises(MarketDataError, match="1 such place"):
        CandleSource({"BTCUSDT": gap})
    whole.open_time[[5, 6]] = whole.open_time[[6, 5]]
    with pytest.raises(MarketDataError, match="such place"):
        CandleSource({"BTCUSDT": whole})
    with pytest.raises(MarketDataError, match="no candles"):
        CandleSource({"BTCUSDT": whole.window(0, 0)})


def test_zero_volume_is_no_obstacle() -> None:
    still = candles()
    still.volume[:] = 0
    result = run(CandleSource({"BTCUSDT": still}), config())
    assert np.isfinite(result.equity).all()


def test_a_market_that_does_not_move() -> None:
    flat = candles()
    for name in ("open", "high", "low", "close"):
        getattr(flat, name)[:] = 50_000.0
    result = run(CandleSource({"BTCUSDT": flat}), config())
    assert len(result.trades) == 0
    assert set(result.equity.tolist()) == {5000.0}
    assert any("0 trades are too few" in note for note in result.notes)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"symbols": ()}, "at least one"),
        ({"symbols": ("BTCUSDT", "BTCUSDT")}, "name each once"),
        ({"symbols": ("DOGEUSDT",)}, "no contract for DOGEUSDT"),
        ({"timeframes": ("7m",)}, "unknown time frame '7m'"),
        ({"end_ms": START}, "the range ends"),
        ({"engine": "exact", "order": "adverse"}, "set order to rule"),
    ],
)
def test_configurations_that_make_no_sense(other: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        config(**other)


def test_a_configuration_reads_back_from_json() -> None:
    made = from_environment(
        {"MAX_LEVERAGE": "3", "TRAIL_ATR": "2"},
        symbols=("BTCUSDT",),
        timeframes=("5m",),
        start_ms=START,
        end_ms=START + HOUR,
    )
    assert from_json(made.as_json()) == made
    with pytest.raises(ConfigurationError, match="backtest configuration"):
        from_json({**made.as_json(), "no_such": 1})
