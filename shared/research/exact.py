"""The exact engine: the decision code itself on the simulated venue, event by event.

Between signals nothing is decided. At a signal the same inputs are read as live, the same gate
decides, the same order goes to the same venue; while a position is open the guardian's rules run
every minute. What is left out is how the work is carried: HTTP, workflows, audit, storage of
orders. ``./run replay`` has all of that, and the same trades come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from shared.clock import iso
from shared.market.timeframe import MINUTE_MS, duration_ms
from shared.research.account import BacktestAccount
from shared.research.notes import latched_notes
from shared.research.result import Result, Trades
from shared.research.signals import SignalTable, live_signal, signals
from shared.risk.gate import decide
from shared.risk.ledger import LimitReached
from shared.strategies.signal import SIGNAL_VERSION, Signal, signal_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shared.research.config import BacktestConfig
    from shared.simulation.source import MarketSource

#: Into the minute at which candles are polled and the guardian looks, in milliseconds.
POLL_MS = 2_000
GUARD_MS = 20_000

Progress = Callable[[float, str], None]
_NEVER = 1 << 62


class ExactEngine:
    """One backtest with the decision code itself.

    Parameters
    ----------
    source : MarketSource
    config : BacktestConfig
    table : SignalTable, optional
        Signals to act on; by default the strategies' own, computed as live at each bar.
    """

    def __init__(
        self, source: MarketSource, config: BacktestConfig, table: SignalTable | None = None
    ) -> None:
        self.source = source
        self.config = config
        self.live = table is None
        self.table = signals(source, config) if table is None else table
        self.account = BacktestAccount(source, config)
        self.venue = self.account.venue
        self.decisions: Counter[str] = Counter()
        #: Signal id -> ``approved`` or the first check that failed; for comparison with live runs.
        self.outcomes: dict[str, str] = {}

    # ------------------------------------------------------------------ time

    def run(self, progress: Progress = lambda done, text: None) -> Result:
        """Everything from start to end; call once."""
        try:
            return self._run(progress)
        finally:
            self.account.close()

    def _run(self, progress: Progress) -> Result:
        config, venue = self.config, self.venue
        step = min(duration_ms(t) for t in config.timeframes)
        first = -(-config.start_ms // step) * step + step
        samples = np.arange(first, config.end_ms + 1, step, dtype=np.int64)
        figures = np.empty((3, len(samples)))
        instants = self._instants()
        due = next(instants, None)
        at = alarm = 0
        alarms = self.table.alarms
        while True:
            at_decision = due[0] if due else _NEVER
            at_round = self._next_round() if self.account.held else _NEVER
            at_sample = int(samples[at]) if at < len(samples) else _NEVER
            at_alarm = int(alarms.time[alarm]) + POLL_MS if alarm < len(alarms) else _NEVER
            now = min(at_decision, at_round, at_sample, at_alarm)
            if now == _NEVER or now > config.end_ms:
                break
            # The last candle's close is one millisecond before the end.
            venue.advance(min(now, config.end_ms - 1))
            if now == at_sample:
                figures[:, at] = self._sample()
                at += 1
                if at % 1024 == 0:
                    done = (now - config.start_ms) / (config.end_ms - config.start_ms)
                    progress(done, f"{iso(now)[:10]} equity {figures[0, at - 1]:.2f}")
            elif now == at_alarm:
                # Before the signal is acted upon: this move may be its reason.
                self.account.alarm(alarms, alarm)
                alarm += 1
            elif now == at_decision and due is not None:
                self._decide(due[1])
                due = next(instants, None)
            else:
                self.account.guard()
        venue.advance(config.end_ms - 1)
        notes = self._finish()
        if len(samples) and int(samples[-1]) == config.end_ms:
            figures[:, -1] = self._sample()
        return self._result(samples, figures, notes)

    def _instants(self) -> Iterator[tuple[int, list[int]]]:
        """Times of decisions with the rows of the table that are decided upon."""
        times = self.table.time
        row = 0
        while row < len(times):
            time = int(times[row])
            rows = [row]
            while row + len(rows) < len(times) and int(times[row + len(rows)]) == time:
                rows.append(row + len(rows))
            row += len(rows)
            if time + POLL_MS < self.config.end_ms:
                yield time + POLL_MS, rows

    def _next_round(self) -> int:
        """The guardian's next look."""
        minute = self.venue.now - self.venue.now % MINUTE_MS
        return minute + GUARD_MS + (MINUTE_MS if self.venue.now >= minute + GUARD_MS else 0)

    def _sample(self) -> tuple[float, float, float]:
        held = self.venue.balances(self.account.account)
        notional = sum(
            abs(p.quantity) * self.venue.core.mark_price(p.symbol)
            for p in self.account.account.positions.values()
        )
        return float(held.margin_balance), float(held.wallet), float(notional)

    # ------------------------------------------------------------------ decisions

    def _decide(self, rows: list[int]) -> None:
        """All signals of an instant, one after the other: each order right after its decision."""
        for row in rows:
            signal = self._signal(row)
            inputs = self.account.snapshot(signal)
            decision = decide(inputs)
            if decision.plan is not None and decision.outcome == "approved":
                try:
                    self.account.ledger.reserve(
                        decision.plan,
                        positions=inputs.exposures,
                        limits=self.config.limits,
                        stage=self.account.stage,
                        history=inputs.history,
                    )
                except LimitReached as error:
                    self._note(signal.id, error.checks[0].name)
                    continue
                self._note(signal.id, "approved")
                self.account.open(inputs, decision.plan, int(self.table.strategy[row]))
            else:
                self._note(signal.id, decision.reasons[0])

    def _note(self, signal: str, outcome: str) -> None:
        self.decisions[outcome] += 1
        self.outcomes[signal] = outcome

    def _signal(self, row: int) -> Signal:
        if self.live:
            return live_signal(self.source, self.config, self.table, row)
        table = self.table
        symbol, timeframe = table.symbols[table.symbol[row]], table.timeframes[table.timeframe[row]]
        closed = int(table.time[row])
        return Signal(
            id=signal_id(symbol, timeframe, closed, SIGNAL_VERSION),
            symbol=symbol,
            timeframe=timeframe,
            bar_open_time=closed - duration_ms(timeframe),
            bar_close_time=closed,
            side="BUY" if table.side[row] > 0 else "SELL",
            strength=float(table.strength[row]),
            threshold=float(table.threshold[row]),
            close=float(table.close[row]),
            atr=float(table.atr[row]),
            volatility=float(table.volatility[row]),
            votes=[],
            window_digest="",
        )

    # ------------------------------------------------------------------ the end

    def _finish(self) -> list[str]:
        """Positions that are still open are closed at the last price."""
        notes = list(self.table.notes)
        for symbol in self.config.symbols:
            if not self.account.account.position(symbol).quantity:
                continue
            self.account.close_position(symbol, "end of data")
            notes.append(f"{symbol}: the position open at the end was closed at the last price")
        for symbol in list(self.account.held):
            self.account.settle(symbol)
        return notes + latched_notes(self.account.switch.latches, self.config.clear_after_ms)

    def _result(
        self, samples: NDArray[np.int64], figures: NDArray[np.float64], notes: list[str]
    ) -> Result:
        trips = sorted(
            self.account.closed, key=lambda trip: (trip.closed_at, trip.opened_at, trip.symbol)
        )
        rows = [t.row(self.source, self.config.symbols, self.venue.core.bar_ms) for t in trips]
        equity, wallet, exposure = figures
        return Result(
            symbols=self.config.symbols,
            strategies=self.table.strategies,
            timeframe=min(self.config.timeframes, key=duration_ms),
            time=samples,
            equity=equity,
            wallet=wallet,
            exposure=exposure,
            start_equity=float(self.config.deposit),
            trades=Trades.from_rows(rows),
            decisions=dict(self.decisions),
            notes=tuple(notes),
            settings=self.config.as_json(),
        )
