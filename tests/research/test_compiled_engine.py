"""The compiled engine makes the trades of the exact one, whatever market and settings."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.clock import DAY_MS
from shared.market.candle import Columns
from shared.market.resample import resample
from shared.research.alarms import alarms
from shared.research.compiled import CompiledEngine
from shared.research.config import BacktestConfig
from shared.research.exact import ExactEngine
from shared.research.result import Result
from shared.research.signals import SignalTable, live_signal, signals
from shared.risk.limits import Limits
from shared.risk.sizing import SizingConfig
from shared.risk.stops import StopRules
from shared.risk.triggers import Thresholds
from shared.simulation.candles import CandleSource
from shared.simulation.synthetic import SyntheticMarket
from shared.strategies.config import EnsembleConfig, Member, SignalConfig

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
#: 2025-05-04
START = 1_746_316_800_000
HOUR = 3_600_000


def one_of(*values: str) -> st.SearchStrategy[Decimal]:
    return st.sampled_from([Decimal(v) for v in values])


ENSEMBLES = st.builds(
    lambda threshold, crossing: SignalConfig(
        default=EnsembleConfig(
            members=(Member(strategy="trend"), Member(strategy="momentum")),
            threshold=threshold,
            crossing=crossing,
        ),
        timeframes={},
    ),
    st.sampled_from([0.15, 0.2, 0.3]),
    st.booleans(),
)
LIMITS = st.builds(
    Limits,
    max_leverage=st.sampled_from([1, 3, 5, 10]),
    max_position_notional=one_of("120", "300", "500"),
    max_total_notional=one_of("500", "900", "2000"),
    max_open_positions=st.sampled_from([1, 2, 5]),
    max_daily_loss=one_of("8", "20", "200"),
    max_drawdown=one_of("0.004", "0.02", "0.1"),
    max_trades_per_day=st.sampled_from([5, 50, 500]),
    loss_cooldown_ms=st.sampled_from([0, 0, HOUR // 6, 2 * HOUR]),
    min_stop_fraction=one_of("0.01", "0.012"),
    min_reward_risk=one_of("2", "2.5", "3"),
    max_spread=one_of("0.0001", "0.005"),
)
SIZINGS = st.builds(
    SizingConfig,
    methods=st.sampled_from(
        [("fixed_fractional",), ("volatility_target",), ("fixed_fractional", "volatility_target")]
    ),
    max_holding_bars=st.sampled_from([5, 20, 48]),
    atr_multiple=one_of("2", "5", "12"),
    trail_activation=one_of("0.3", "1"),
    risk_per_trade=one_of("0.001", "0.005"),
    target_volatility=one_of("0.05", "0.2"),
)
STOPS = st.builds(StopRules, break_even_at=one_of("0", "0.3", "1"), trail_atr=one_of("0", "2"))


def assert_same(one: Result, other: Result) -> None:
    """Every trade to the millisecond, step and tick; money to a millionth of a dollar."""
    assert one.decisions == other.decisions
    a, b = one.trades, other.trades
    for name in ("symbol", "side", "opened_at", "closed_at", "exit_reason", "strategy"):
        assert getattr(a, name).tolist() == getattr(b, name).tolist(), name
    for name in ("quantity", "entry_price", "exit_price", "stop_price"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12, err_msg=name)
    for name in ("gross", "fees", "funding", "slippage", "net", "risk", "best", "worst"):
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=0, atol=1e-6, err_msg=name
        )
    for name in ("equity", "wallet", "exposure"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=0, atol=1e-6, err_msg=name
        )
    assert one.notes == other.notes


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    seed=st.integers(0, 10_000),
    symbols=st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4, unique=True),
    timeframes=st.lists(st.sampled_from(["1m", "5m", "15m"]), min_size=1, max_size=2, unique=True),
    ensembles=ENSEMBLES,
    limits=LIMITS,
    sizing=SIZINGS,
    stops=STOPS,
    deposit=one_of("150", "1000", "5000"),
    costs=one_of("0", "1", "2"),
)
def test_same_trades_as_the_exact_engine(
    seed: int,
    symbols: list[str],
    timeframes: list[str],
    ensembles: SignalConfig,
    limits: Limits,
    sizing: SizingConfig,
    stops: StopRules,
    deposit: Decimal,
    costs: Decimal,
) -> None:
    source = SyntheticMarket(seed, SYMBOLS)
    config = BacktestConfig(
        symbols=tuple(symbols),
        timeframes=tuple(timeframes),
        start_ms=START,
        end_ms=START + DAY_MS,
        signals=ensembles,
        limits=limits,
        sizing=sizing,
        stops=stops,
        deposit=deposit,
        costs=costs,
    )
    table = signals(source, config)
    assert_same(
        ExactEngine(source, config, table).run(), CompiledEngine(source, config, table).run()
    )


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    seed=st.integers(0, 10_000),
    base=st.sampled_from(["15m", "1h"]),
    limits=LIMITS,
    sizing=SIZINGS,
    stops=STOPS,
    hours=st.sampled_from([0, 6, 48]),
)
def test_long_bars(
    seed: int, base: str, limits: Limits, sizing: SizingConfig, stops: StopRules, hours: int
) -> None:
    """Many rounds of the guardian in a bar, most of them passed over at once."""
    source = in_longer_bars(SyntheticMarket(seed, SYMBOLS[:3]), base, 20 * DAY_MS)
    config = BacktestConfig(
        symbols=SYMBOLS[:3],
        timeframes=("1h",) if base == "1h" else ("15m", "1h"),
        start_ms=START,
        end_ms=START + 12 * DAY_MS,
        signals=SignalConfig(
            default=EnsembleConfig(members=(Member(strategy="trend"),), threshold=0.2),
            timeframes={},
        ),
        limits=limits,
        sizing=sizing,
        stops=stops,
        clear_after_ms=hours * 3_600_000,
    )
    table = signals(source, config)
    assert_same(
        ExactEngine(source, config, table).run(), CompiledEngine(source, config, table).run()
    )


def test_the_switch_is_cleared_in_a_bar_without_an_event() -> None:
    """A latch without closing, and a person who clears it while a position is held.

    The peak begins anew at that minute, and what is opened later is sized by the fall from it.
    """
    close = np.full(1300, 2000.0)
    close[:1200] += np.tile([0.0, 0.2], 600)
    # The jump until 03:00 latches; cleared at 09:00:02, long before the next funding.
    close[1202:1209] = 2040.0, 2035.0, 2035.0, 2030.0, 2030.0, 2030.0, 2030.0
    close[1209:1211] = 2038.0, 2025.0
    close[1211:] = 2015.0
    time = START - 1200 * HOUR + HOUR * np.arange(len(close), dtype=np.int64)
    opened = np.concatenate(([2000.0], close[:-1]))
    high, low = np.maximum(opened, close) + 0.1, np.minimum(opened, close) - 0.1
    bars = Columns("ETHUSDT", "1h", time, opened, high, low, close, np.full(len(close), 9.0))
    source = CandleSource({"ETHUSDT": bars})
    config = BacktestConfig(
        symbols=("ETHUSDT",),
        timeframes=("1h",),
        start_ms=START,
        end_ms=START + 30 * HOUR,
        limits=Limits(max_position_notional=Decimal(500), max_drawdown=Decimal("0.01")),
        sizing=SizingConfig(
            methods=("fixed_fractional",), max_holding_bars=13, risk_per_trade=Decimal("0.01")
        ),
        thresholds=Thresholds(volatility_floor=Decimal("0.001"), volatility_ratio=Decimal(2)),
        clear_after_ms=6 * HOUR,
        deposit=Decimal(600),
    )
    rows = np.array([1, 15])
    table = SignalTable(
        symbols=("ETHUSDT",),
        timeframes=("1h",),
        strategies=("trend",),
        symbol=np.zeros(2, np.int16),
        timeframe=np.zeros(2, np.int16),
        time=START + HOUR * rows,
        side=np.ones(2, np.int8),
        strength=np.full(2, 0.9),
        threshold=np.full(2, 0.2),
        close=close[1200 + rows - 1],
        atr=np.full(2, 50.0),
        volatility=np.full(2, 0.001),
        strategy=np.zeros(2, np.int16),
        bars=30,
        alarms=alarms(bars, START, 500, config.thresholds),
    )
    exact = ExactEngine(source, config, table).run()
    assert "latched 1 time(s), first at 2025-05-04T03:00:02" in exact.notes[-1]
    assert len(exact.trades) == 2
    assert_same(exact, CompiledEngine(source, config, table).run())


def in_longer_bars(market: SyntheticMarket, base: str, history: int) -> CandleSource:
    """The same market in longer bars, with history before the start."""
    made: list[dict[str, Columns]] = []
    for mark in (False, True):
        made.append(
            {
                s: resample(
                    market.columns(s, START - history, START + 12 * DAY_MS, mark=mark), base
                )
                for s in market.symbols
            }
        )
    return CandleSource(made[0], mark=made[1])


def test_signals_of_the_whole_history_are_those_of_the_live_window() -> None:
    source = SyntheticMarket(3, SYMBOLS[:2])
    config = BacktestConfig(
        symbols=SYMBOLS[:2], timeframes=("5m", "15m"), start_ms=START, end_ms=START + 4 * DAY_MS
    )
    table = signals(source, config)
    assert len(table) > 5
    for i in range(len(table)):
        signal = live_signal(source, config, table, i)
        assert signal.side == ("BUY" if table.side[i] > 0 else "SELL")
        assert abs(signal.strength - table.strength[i]) < 1e-9
        assert signal.close == table.close[i]
        assert abs(signal.atr / table.atr[i] - 1) < 1e-9
        assert abs(signal.volatility / table.volatility[i] - 1) < 1e-9
