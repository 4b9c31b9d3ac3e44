"""A contract with fewer candles than a signal needs: nothing is wrong, but somebody waits."""

from __future__ import annotations

from shared.clock import iso
from shared.execution.desk import Desk
from shared.market.candle import Candle
from shared.market.timeframe import DAY_MS, duration_ms

REMINDER_MS = 7 * DAY_MS


def tell(desk: Desk, candle: Candle, known: int, needed: int) -> None:
    """Say when the first signal comes, once a week.

    Parameters
    ----------
    candle : Candle
        The newest closed one.
    known, needed : int
        Candles that the exchange has, and that one signal is computed from.
    """
    if not 0 < known < needed:
        return
    first = candle.close_time + (needed - known) * duration_ms(candle.timeframe)
    name = f"{candle.symbol} {candle.timeframe}"
    desk.alert(
        "warning",
        "short-history",
        f"{name}: {known:,} of {needed:,} candles",
        f"The exchange has fewer candles of {candle.symbol} than a signal is computed from. The "
        f"first signal on {candle.timeframe} comes at {iso(first)}; until then nothing is decided "
        "there.",
        correlation=f"history:{candle.symbol}:{candle.timeframe}",
        once=str(candle.close_time // REMINDER_MS),
    )
