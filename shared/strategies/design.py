"""What the search behind the shipped default has seen, and how much of its result is luck.

:func:`shared.strategies.config.shipped_ensemble` is what that search chose, for these contracts and
bars. Reports take the facts from here; ``docs/default-config.md`` tells the whole story.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from shared.strategies.config import SignalConfig, shipped_ensemble


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """The search for a configuration.

    Parameters
    ----------
    symbols, timeframe
        What the choice is for.
    start_ms, end_ms : int
        The design span: months that the search looked at. UTC milliseconds, end exclusive.
    trials : int
        Distinct configurations tried until the choice, those of other families and bars included.
    deflated_sharpe : float
        Deflated Sharpe ratio of the choice on the design span after that many trials: the
        probability that its true ratio is above zero.
    overfitting : float
        Probability of backtest overfitting in the search that it was chosen by.
    """

    symbols: tuple[str, ...]
    timeframe: str
    start_ms: int
    end_ms: int
    trials: int
    deflated_sharpe: float
    overfitting: float

    def chose(self, signals: SignalConfig, symbol: str, timeframe: str) -> bool:
        """Whether these signals of a contract are the ones that the search chose for it."""
        return (
            symbol in self.symbols
            and timeframe == self.timeframe
            and signals.ensemble(symbol, timeframe) == shipped_ensemble()
        )


def _ms(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


SHIPPED_DESIGN = Design(
    symbols=("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT"),
    timeframe="1h",
    start_ms=_ms("2020-09-01"),
    end_ms=_ms("2023-12-01"),
    trials=2556,
    deflated_sharpe=0.0006,
    overfitting=0.56,
)
