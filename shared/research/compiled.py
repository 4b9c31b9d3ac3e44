"""The compiled engine: columns and numbers in, the same trades as the exact engine out."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.compliance.stages import stage_rules
from shared.errors import InvalidInput
from shared.execution.guardian import ATR_BARS
from shared.market.timeframe import duration_ms
from shared.research.kernel.records import (
    CONTRACT,
    MAX_BRACKETS,
    REASONS,
    TRADE,
    Settings,
)
from shared.research.market import history
from shared.research.notes import latched_notes
from shared.research.prepared import prepared
from shared.research.result import EXIT_REASONS, Result, Trades
from shared.research.signals import SignalTable, signals

if TYPE_CHECKING:
    from shared.compliance.stages import StageRules
    from shared.research.config import BacktestConfig
    from shared.simulation.contracts import Contract
    from shared.simulation.source import MarketSource

_Settlements = tuple[NDArray[np.int64], NDArray[np.float64]]

#: Sizing methods that the compiled gate knows.
METHODS = ("fixed_fractional", "volatility_target")
ORDERS = ("rule", "adverse", "favourable")
_NEVER = 1 << 62


class CompiledEngine:
    """One market and its signals, ready for any number of runs.

    Parameters
    ----------
    source : MarketSource
    config : BacktestConfig
    table : SignalTable, optional
        Signals to act on; by default those of the configuration's strategies.

    Raises
    ------
    InvalidInput
        For a sizing method that only the exact engine knows.
    """

    def __init__(
        self, source: MarketSource, config: BacktestConfig, table: SignalTable | None = None
    ) -> None:
        unknown = [m for m in config.sizing.methods if m not in METHODS]
        if unknown:
            raise InvalidInput(
                f"sizing {', '.join(unknown)} is not compiled; use the exact engine for it"
            )
        self.config = config
        self.table = signals(source, config) if table is None else table
        self.base = duration_ms(source.timeframe)
        self.first = config.start_ms - config.start_ms % self.base
        span = (config.symbols, config.start_ms, config.end_ms)
        self.market = prepared(
            source,
            "prices",
            span,
            lambda: _market(source, config.symbols, self.first, config.end_ms),
        )
        self.funding = prepared(source, "funding", span, lambda: _settlements(source, config))
        self.atr = _true_ranges(source, config)

    def run(self) -> Result:
        """The result; what the engine holds does not change."""
        from shared.research.kernel.engine import simulate

        config, table = self.config, self.table
        stage = stage_rules(config.stage, "simulated", config.limits)
        step = min(duration_ms(t) for t in config.timeframes)
        first = -(-config.start_ms // step) * step + step
        samples = np.arange(first, config.end_ms + 1, step, dtype=np.int64)
        figures = np.zeros((3, len(samples)))
        rows = np.zeros(len(table) + 1, TRADE)
        frames = len(config.timeframes)
        bars = np.array([duration_ms(t) for t in config.timeframes], dtype=np.int64)
        trail = bool(config.stops.trail_atr)
        latches = np.zeros(4096, np.int64)
        odd = table.alarms
        count, latched, counts = simulate(  # type: ignore[no-untyped-call]
            _settings(config, stage, self.base, first, step),
            _contracts(config, stage),
            self.market,
            self.first,
            (
                table.time.astype(np.int64),
                table.symbol.astype(np.int64),
                table.side.astype(np.int64),
                np.vstack(
                    (table.strength, table.threshold, table.close, table.atr, table.volatility)
                ),
                bars[table.timeframe],
                table.strategy.astype(np.int64),
                table.symbol.astype(np.int64) * frames + table.timeframe
                if trail
                else np.full(len(table), -1, np.int64),
            ),
            (odd.time, odd.step, odd.usual, odd.moves),
            *self.funding,
            self.atr,
            figures,
            rows,
            latches,
        )
        return self._result(
            rows[:count], samples, figures, latches[: int(latched)].tolist(), counts
        )

    def _result(
        self,
        rows: NDArray[Any],
        samples: NDArray[np.int64],
        figures: NDArray[np.float64],
        latches: list[int],
        counts: NDArray[np.int64],
    ) -> Result:
        order = np.lexsort((rows["symbol"], rows["opened_at"], rows["closed_at"]))
        rows = rows[order]
        trades = Trades(**{name: rows[name].copy() for name in TRADE.names or ()})
        notes = list(self.table.notes)
        ended = trades.symbol[trades.exit_reason == EXIT_REASONS.index("end of data")]
        for symbol in (self.config.symbols[k] for k in sorted(ended)):
            notes.append(f"{symbol}: the position open at the end was closed at the last price")
        notes += latched_notes(latches, self.config.clear_after_ms)
        return Result(
            symbols=self.config.symbols,
            strategies=self.table.strategies,
            timeframe=min(self.config.timeframes, key=duration_ms),
            time=samples,
            equity=figures[0],
            wallet=figures[1],
            exposure=figures[2],
            start_equity=float(self.config.deposit),
            trades=trades,
            decisions={REASONS[i]: int(n) for i, n in enumerate(counts) if n},
            notes=tuple(notes),
            settings=self.config.as_json(),
        )


def _market(
    source: MarketSource, symbols: tuple[str, ...], start: int, stop: int
) -> NDArray[np.float64]:
    """Contract and mark prices of all symbols."""
    step = duration_ms(source.timeframe)
    bars = -(-(stop - start) // step)
    found = np.empty((len(symbols), 8, bars))
    for k, symbol in enumerate(symbols):
        for offset, mark in ((0, False), (4, True)):
            columns = source.columns(symbol, start, stop, mark=mark)
            if len(columns) != bars:
                raise InvalidInput(
                    f"{symbol}: {len(columns)} bars from {iso(start)} to {iso(stop)}, not {bars}"
                )
            for row, name in enumerate(("open", "high", "low", "close")):
                found[k, offset + row] = getattr(columns, name)
    return found


def _settlements(source: MarketSource, config: BacktestConfig) -> _Settlements:
    """Settlement times and rates by symbol, padded."""
    rows = [source.settlements(s, config.start_ms, config.end_ms) for s in config.symbols]
    longest = max(map(len, rows)) + 1
    times = np.full((len(rows), longest), _NEVER, np.int64)
    rates = np.zeros((len(rows), longest))
    for k, settled in enumerate(rows):
        times[k, : len(settled)] = [s.time for s in settled]
        rates[k, : len(settled)] = [float(s.rate) for s in settled]
    return times, rates


def _true_ranges(source: MarketSource, config: BacktestConfig) -> NDArray[np.float64]:
    """Per symbol and time frame: when the first figure's bar closed, then the figures."""
    if not config.stops.trail_atr:
        return np.zeros((1, 1))
    found = []
    for symbol in config.symbols:
        for timeframe in config.timeframes:
            step = duration_ms(timeframe)
            start = config.start_ms - config.start_ms % step - (ATR_BARS + 1) * step
            bars = history(source, symbol, timeframe, start, config.end_ms)
            before = bars.close[:-1]
            ranges = np.maximum(
                bars.high[1:] - bars.low[1:],
                np.maximum(abs(bars.high[1:] - before), abs(bars.low[1:] - before)),
            )
            total = np.cumsum(np.concatenate(([0.0], ranges)))
            mean = (total[ATR_BARS:] - total[:-ATR_BARS]) / ATR_BARS
            closed = float(bars.open_time[ATR_BARS]) + step if len(bars) > ATR_BARS else 0.0
            found.append(np.concatenate(([closed], mean)))
    longest = max(map(len, found))
    return np.vstack([np.pad(row, (0, longest - len(row))) for row in found])


def _parts(value: Decimal) -> tuple[float, float]:
    """A decimal as a ratio of whole numbers."""
    top, bottom = value.as_integer_ratio()
    return float(top), float(bottom)


def _contracts(config: BacktestConfig, stage: StageRules) -> NDArray[Any]:
    contracts = config.contracts()
    found = np.zeros(len(config.symbols), CONTRACT)
    for k, symbol in enumerate(config.symbols):
        _fill(found[k], contracts[symbol])
        found[k]["stage_allows"] = stage.symbols is None or symbol in stage.symbols
    return found


def _fill(row: Any, contract: Contract) -> None:
    i = contract.instrument
    row["tick"] = contract.tick
    row["tick_top"], row["tick_bottom"] = _parts(i.tick_size)
    row["step_top"], row["step_bottom"] = _parts(i.market_step_size)
    row["step"] = float(i.market_step_size)
    row["min_price"], row["max_price"] = float(i.min_price), float(i.max_price)
    row["min_steps"] = float(i.market_min_quantity / i.market_step_size)
    row["max_steps"] = float(i.market_max_quantity // i.market_step_size)
    row["min_notional"] = float(i.min_notional)
    row["take_bound"] = float(i.market_take_bound)
    row["percent_up"], row["percent_down"] = float(i.multiplier_up), float(i.multiplier_down)
    row["spread_bps"], row["depth_per_bps"] = contract.spread_bps, contract.depth_per_bps
    row["range_share"] = contract.range_share
    row["taker_fee"] = float(contract.taker_fee)
    row["liquidation_fee"] = float(i.liquidation_fee)
    if len(contract.brackets) > MAX_BRACKETS:
        raise InvalidInput(f"{contract.symbol}: more than {MAX_BRACKETS} leverage brackets")
    for n, bracket in enumerate(contract.brackets):
        row["cap"][n] = float(bracket.cap)
        row["rate"][n] = float(bracket.rate)
        row["cum"][n] = float(bracket.cum)


def _settings(
    config: BacktestConfig, stage: StageRules, base: int, first: int, step: int
) -> Settings:
    limits, sizing, stops = config.limits, config.sizing, config.stops
    return Settings(
        start_ms=config.start_ms,
        end_ms=config.end_ms,
        base_ms=base,
        sample_first=first,
        sample_ms=step,
        order=ORDERS.index(config.order),
        deposit=float(config.deposit),
        leverage=min(limits.max_leverage, stage.max_leverage),
        stage_min_leverage=stage.min_leverage,
        stage_max_leverage=stage.max_leverage,
        stage_min_notional=float(stage.min_notional),
        stage_max_notional=float(stage.max_notional),
        max_trades_per_day=min(limits.max_trades_per_day, stage.max_trades_per_day),
        max_position_notional=float(limits.max_position_notional),
        max_total_notional=float(limits.max_total_notional),
        max_open_positions=limits.max_open_positions,
        min_stop=float(limits.min_stop_fraction),
        max_stop=float(limits.max_stop_fraction),
        max_daily_loss=float(limits.max_daily_loss),
        max_drawdown=float(limits.max_drawdown),
        min_reward_risk=float(limits.min_reward_risk),
        max_signal_age_ms=limits.max_signal_age_ms,
        max_spread=float(limits.max_spread),
        max_price_deviation=float(limits.max_price_deviation),
        loss_cooldown_ms=limits.loss_cooldown_ms,
        fixed_fractional="fixed_fractional" in sizing.methods,
        volatility_target="volatility_target" in sizing.methods,
        risk_per_trade=float(sizing.risk_per_trade),
        target_volatility=float(sizing.target_volatility),
        atr_multiple=float(sizing.atr_multiple),
        reward_risk=float(sizing.reward_risk),
        strength_floor=float(sizing.strength_floor),
        drawdown_floor=float(sizing.drawdown_floor),
        cost_fraction=float(sizing.cost_fraction),
        entry_slippage=float(sizing.entry_slippage),
        max_holding_bars=sizing.max_holding_bars,
        trail_activation=float(sizing.trail_activation),
        break_even_at=float(stops.break_even_at),
        break_even_cost=float(stops.break_even_cost),
        trail_atr=float(stops.trail_atr),
        clear_after_ms=config.clear_after_ms,
        volatility_floor=float(config.thresholds.volatility_floor),
        volatility_ratio=float(config.thresholds.volatility_ratio),
        volatility_closes="abnormal_volatility" in config.closing_triggers,
    )
