"""A few candles and signals in, trades as short texts out.

Bars are minutes, written ``open/high/low/close`` or as one price for a minute without movement;
``2000x3`` are three of those. Signals are ``buy@0``: decided two seconds into minute 0, with the
strength of a full vote. Times read ``minute:second``. Unless told otherwise ETHUSDT is traded
without fees, funding or basis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec.structs import replace

from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.research.alarms import alarms, joined
from shared.research.compiled import CompiledEngine
from shared.research.config import BacktestConfig
from shared.research.exact import ExactEngine
from shared.research.result import EXIT_REASONS, Result
from shared.research.signals import SignalTable
from shared.risk.limits import Limits
from shared.risk.sizing import SizingConfig
from shared.risk.stops import StopRules
from shared.simulation.candles import CandleSource
from shared.simulation.contracts import Contract

#: 2025-05-04T12:00Z, between two settlements of funding.
NOON = 1_746_360_000_000

_LIMITS = set(Limits.__struct_fields__)
_SIZING = set(SizingConfig.__struct_fields__)
_STOPS = set(StopRules.__struct_fields__)


def columns(symbol: str, text: str, start: int = NOON) -> Columns:
    """Minute bars from their short form."""
    rows: list[list[float]] = []
    for word in text.replace(",", " ").split():
        price, _, times = word.partition("x")
        values = [float(v) for v in price.split("/")]
        row = values if len(values) == 4 else values * 4
        rows += [row] * int(times or 1)
    o, h, low, c = np.array(rows).T.copy()
    opened = start + MINUTE_MS * np.arange(len(rows), dtype=np.int64)
    return Columns(symbol, "1m", opened, o, h, low, c, np.full(len(rows), 1000.0))


def table(symbols: Sequence[str], signals: str, start: int, options: Mapping[str, Any]) -> Any:
    """Signals of the form ``buy@0`` or ``sell@3:BTCUSDT``, in their order."""
    rows = []
    for word in signals.split():
        side, _, rest = word.partition("@")
        minute, _, symbol = rest.partition(":")
        rows.append((symbols.index(symbol or symbols[0]), int(minute), 1 if side == "buy" else -1))
    rows.sort(key=lambda row: row[1])
    count = len(rows)
    sides = np.array([r[2] for r in rows], dtype=np.int8)

    def figure(name: str, value: float) -> np.ndarray[Any, Any]:
        return np.full(count, float(options.get(name, value)))

    return SignalTable(
        symbols=tuple(symbols),
        timeframes=("1m",),
        strategies=("trend",),
        symbol=np.array([r[0] for r in rows], dtype=np.int16),
        timeframe=np.zeros(count, np.int16),
        time=np.array([start + r[1] * MINUTE_MS for r in rows], dtype=np.int64),
        side=sides,
        strength=figure("strength", 1.0) * sides,
        threshold=figure("threshold", 0.5),
        close=figure("close", 2000.0),
        atr=figure("atr", 1.0),
        volatility=figure("volatility", 0.0005),
        strategy=np.zeros(count, np.int16),
        bars=count,
    )


class _FreeOfFees(BacktestConfig, frozen=True, kw_only=True):
    """No fees, and of the spread only what the bar's range and the tick make of it."""

    def contracts(self) -> dict[str, Contract]:
        free = {"maker_fee": Decimal(0), "taker_fee": Decimal(0), "spread_bps": 0.0}
        return {s: replace(c, **free) for s, c in super().contracts().items()}


def play(
    engine: str,
    bars: str | Mapping[str, str],
    signals: str,
    *,
    start: int = NOON,
    mark: Mapping[str, str] | None = None,
    funding: Sequence[tuple[int, float]] = (),
    **options: Any,
) -> Result:
    """Run a scenario on one of the engines."""
    texts = {"ETHUSDT": bars} if isinstance(bars, str) else bars
    symbols = tuple(texts)
    found = {s: columns(s, text, start) for s, text in texts.items()}
    length = min(map(len, found.values()))
    found = {s: c.window(0, length) for s, c in found.items()}
    far = (start + 10**12, 0.0)
    source = CandleSource(
        found,
        mark={s: columns(s, text, start) for s, text in (mark or {}).items()},
        funding={s: [*funding, far] for s in symbols},
    )
    own = {k: Decimal(v) if isinstance(v, str) and k != "stage" else v for k, v in options.items()}
    config = (BacktestConfig if "costs" in own else _FreeOfFees)(
        symbols=symbols,
        timeframes=("1m",),
        start_ms=start,
        end_ms=start + length * MINUTE_MS,
        limits=Limits(**{k: v for k, v in own.items() if k in _LIMITS}),
        sizing=SizingConfig(
            **{"max_holding_bars": 1000} | {k: v for k, v in own.items() if k in _SIZING}
        ),
        stops=StopRules(**{k: v for k, v in own.items() if k in _STOPS}),
        deposit=own.get("deposit", Decimal(5000)),
        costs=own.get("costs", Decimal(1)),
        clear_after_ms=own.get("clear_after_ms", 0),
        stage=str(options.get("stage", "paper")),
    )
    given = table(symbols, signals, start, options)
    odd = [alarms(c, start, 535, config.thresholds) for c in found.values()]
    given = SignalTable(**{**vars(given), "alarms": joined(odd)})
    made = ExactEngine if engine == "exact" else CompiledEngine
    return made(source, config, given).run()


def clock(ms: int, start: int = NOON) -> str:
    """Minute and second since the start."""
    minute, rest = divmod(ms - start, MINUTE_MS)
    return f"{minute}:{rest / 1000:06.3f}"


def told(result: Result, start: int = NOON) -> list[str]:
    """One text per trade: side, quantity, entry, time [stop] > exit, time, reason."""
    t = result.trades
    return [
        f"{'buy' if t.side[i] > 0 else 'sell'} {t.quantity[i]:g} at {t.entry_price[i]:.8g} "
        f"{clock(int(t.opened_at[i]), start)} [{t.stop_price[i]:.8g}] > {t.exit_price[i]:.8g} "
        f"{clock(int(t.closed_at[i]), start)} {EXIT_REASONS[t.exit_reason[i]]}"
        for i in np.argsort(t.opened_at, kind="stable")
    ]
