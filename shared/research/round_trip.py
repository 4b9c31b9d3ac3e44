"""One position from its first fill to its last, as the exact engine follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.research.result import EXIT_REASONS

if TYPE_CHECKING:
    from shared.market.candle import Columns
    from shared.simulation.orders import IncomeEntry, Trade
    from shared.simulation.path import BarPath
    from shared.simulation.source import MarketSource

ZERO = Decimal(0)


class RoundTrip:
    """Fills, costs and extremes of one position. Money in USDT."""

    def __init__(
        self,
        *,
        symbol: int,
        strategy: int,
        long: bool,
        opened_at: int,
        risk: Decimal,
        income_from: int,
    ) -> None:
        self.symbol = symbol
        self.strategy = strategy
        self.long = long
        self.opened_at = opened_at
        self.closed_at = opened_at
        self.risk = risk
        self.stop_price = ZERO
        self.exit_reason = ""
        self.entered = self.entry_value = self.exit_value = ZERO
        self.gross = self.fees = self.funding = ZERO
        self.slippage = 0.0
        self.path_at_entry: BarPath | None = None
        self.path_at_exit: BarPath | None = None
        self._income_from = income_from

    def execution(self, trade: Trade, undisturbed: float, path: BarPath) -> None:
        """Book a fill; ``undisturbed`` is the contract price without spread and depth."""
        value = trade.price * trade.quantity
        buy = trade.side == "BUY"
        if buy == self.long:
            self.entered += trade.quantity
            self.entry_value += value
        else:
            self.exit_value += value
            self.closed_at = trade.time
            self.path_at_exit = path
        self.gross += trade.realized_pnl
        self.fees += trade.commission
        apart = (float(trade.price) - undisturbed) * float(trade.quantity)
        self.slippage += apart if buy else -apart

    def finish(self, income: Sequence[IncomeEntry], symbol: str) -> None:
        """Take funding and the fee of a liquidation from the account's income."""
        for entry in income[self._income_from :]:
            if entry.symbol != symbol or not self.opened_at <= entry.time <= self.closed_at:
                continue
            if entry.kind == "FUNDING_FEE":
                self.funding += entry.amount
            elif entry.kind == "INSURANCE_CLEAR":
                self.fees -= entry.amount

    @property
    def net(self) -> Decimal:
        """What the wallet made of it."""
        return self.gross - self.fees + self.funding

    def row(self, source: MarketSource, symbols: Sequence[str], bar_ms: int) -> Mapping[str, Any]:
        """The trade as a row of :class:`~shared.research.result.Trades`."""
        best, worst = self._extremes(source, symbols[self.symbol], bar_ms)
        return {
            "symbol": self.symbol,
            "strategy": self.strategy,
            "side": 1 if self.long else -1,
            "opened_at": self.opened_at,
            "closed_at": self.closed_at,
            "quantity": float(self.entered),
            "entry_price": float(self.entry_value / self.entered),
            "exit_price": float(self.exit_value / self.entered),
            "stop_price": float(self.stop_price),
            "gross": float(self.gross),
            "fees": float(self.fees),
            "funding": float(self.funding),
            "slippage": self.slippage,
            "net": float(self.net),
            "risk": float(self.risk),
            "best": best,
            "worst": worst,
            "exit_reason": EXIT_REASONS.index(self.exit_reason),
        }

    def _extremes(self, source: MarketSource, symbol: str, bar_ms: int) -> tuple[float, float]:
        """Largest unrealised gain and loss at the mark price between entry and exit."""
        first, last = self.path_at_entry, self.path_at_exit
        if first is None or last is None:
            return 0.0, 0.0
        opened, closed = self.opened_at, self.closed_at
        seen: list[float] = []
        for path in {id(first): first, id(last): last}.values():
            begin = max(opened, path.times[0])
            end = min(closed, path.times[3])
            seen += [path.at(begin)[1], path.at(end)[1]]
            seen += [m for t, m in zip(path.times, path.mark, strict=True) if begin <= t <= end]
        whole: Columns = source.columns(
            symbol, first.bar.open_time + bar_ms, last.bar.open_time, mark=True
        )
        if len(whole):
            seen += [max(whole.high.tolist()), min(whole.low.tolist())]
        entry, size = float(self.entry_value / self.entered), float(self.entered)
        highest, lowest = (max(seen) - entry) * size, (min(seen) - entry) * size
        if not self.long:
            highest, lowest = -lowest, -highest
        return max(0.0, highest), min(0.0, lowest)
