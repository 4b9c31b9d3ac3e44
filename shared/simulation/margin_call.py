"""Margin calls: the notice that a position comes near its liquidation.

Guidance, as on the venue: looked at whenever time has moved, told once until the danger is over.
"""

from __future__ import annotations

from shared.simulation import margin
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.orders import Position

#: Share of the margin balance that maintenance takes when the owner is called.
RATIO = 0.8


class MarginWatch:
    """Watches the margin ratios of one venue's accounts."""

    def __init__(self, core: VenueCore) -> None:
        self._core = core
        self._called: set[tuple[str, str, str]] = set()
        self._seen = (0, 0)

    def look(self) -> None:
        """Call the owners that have come into danger since the last look."""
        core = self._core
        if not core.listeners or self._seen == (core.now, core.version):
            return
        self._seen = (core.now, core.version)
        for account in core.accounts.values():
            cross = []
            for position in account.positions.values():
                if account.setting(position.symbol).isolated:
                    self._judge(account, [position], position.symbol, position.side)
                else:
                    cross.append(position)
            self._judge(account, cross, "", "")

    def _judge(
        self, account: AccountState, positions: list[Position], symbol: str, side: str
    ) -> None:
        key = (account.name, symbol, side)
        if not positions or self._ratio(account, positions, isolated=bool(symbol)) < RATIO:
            self._called.discard(key)
        elif key not in self._called:
            self._called.add(key)
            self._core.emit_margin_call(account, tuple(positions), isolated=bool(symbol))

    def _ratio(self, account: AccountState, positions: list[Position], *, isolated: bool) -> float:
        core = self._core
        kept = 0.0
        balance = float(positions[0].isolated_wallet if isolated else account.cross_wallet)
        for position in positions:
            mark = core.mark_price(position.symbol)
            notional = abs(position.quantity) * mark
            kept += float(margin.maintenance(core.contract(position.symbol), notional))
            balance += float(position.unrealized(mark))
        return kept / balance if balance > 0 else 1.0
