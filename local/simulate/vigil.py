"""How soon a stop that fails must be answered: seconds where its position was watched.

A stop that has triggered covers nothing any more. A healthy one closes the position in the same
moment; one that produces no order leaves it naked, and the exchange says so only to who looks.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.execution.ids import leg_of
from shared.risk.limits import STOP_FRACTION_MIN
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore

#: The look of a watch may be this old, in milliseconds, and the next one is still expected.
LOOK_MS = 3_500

#: Where nobody watched: the guardian's minute, and a round in which several are due.
UNWATCHED_MS = 75_000

#: From a round that saw a stop near to the first look at it.
BEGIN_MS = 10_000


class _Look(msgspec.Struct, frozen=True):
    at: int
    again: bool


class Vigil:
    """Who watched which position when. All times are UTC milliseconds."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._failed: dict[str, int] = {}
        self._near: dict[str, int] = {}
        #: Stops that triggered and closed nothing at once; those of them that were watched.
        self.failures: set[tuple[str, int]] = set()
        self.watched: set[tuple[str, int]] = set()

    def looked(self, symbol: str, at: int, *, again: bool) -> None:
        """The watch looked at a position, and will ``again``."""
        self._looks[symbol] = _Look(at, again)
        self._near.pop(symbol, None)

    def near(self, symbol: str, at: int) -> None:
        """A round of the guardian, undisturbed, saw a price near its stop."""
        self._near.setdefault(symbol, at)

    def round(
        self, account: AccountState, core: VenueCore, began: int, now: int, share: Decimal
    ) -> None:
        """The guardian has looked at everything from ``began`` until now, undisturbed.

        ``share`` is the part of the stop distance within which a position is to be watched.
        """
        for position in account.positions.values():
            mark = core.mark_price(position.symbol)
            # As near as it gets for the tightest stop there may be.
            reach = position.entry_price * STOP_FRACTION_MIN * share * Decimal("0.8")
            if any(
                leg_of(a.client_algo_id) == "s"
                and a.status == "NEW"
                and a.create_time < began
                and abs(mark - a.trigger_price) <= reach
                for a in account.open_algos.get(position.symbol, {}).values()
            ):
                self.near(position.symbol, now)

    def triggered(self, symbol: str, at: int) -> None:
        """A stop of the symbol has triggered, or was refused when it did."""
        self._failed[symbol] = at

    def leeway(self, symbol: str, since: int) -> int:
        """What is added to five seconds for a position that is naked ``since`` then."""
        if self._failed.get(symbol) != since:
            return 0
        self.failures.add((symbol, since))
        look = self._looks.get(symbol)
        if look is None or not look.again or since - look.at > LOOK_MS:
            return UNWATCHED_MS
        self.watched.add((symbol, since))
        return 0

    def forgotten(self, now: int, disturbed: int, held: set[str]) -> list[str]:
        """Symbols near their stop that nobody has begun to watch, nothing having hindered it."""
        self._near = {s: at for s, at in self._near.items() if s in held and at > disturbed}
        late = [s for s, at in self._near.items() if now - at > BEGIN_MS]
        for symbol in late:
            del self._near[symbol]
        return late
