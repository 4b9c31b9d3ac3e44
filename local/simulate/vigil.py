"""How soon a stop that fails must be answered: within seconds, where positions are watched.

A stop that has triggered covers nothing any more. A healthy one closes the position in the same
moment; one that produces no order leaves it naked, and the exchange says so only to who looks.

Where every position is watched, nothing is added to the five seconds of any other position without
a stop, and the account is looked at as long as anything is open. Where only those near their stop
are, one that nobody watched has the guardian's minute.

A watch that has begun goes on until it says that it is over: were a late look only taken for a
position that nobody watched, a watch that ends by itself would excuse what it misses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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

#: From a round that saw a stop near to the first look at it, and from a look to the next.
LOOK_DUE_MS = 10_000


#: Stands among the symbols for the watch over all of them.
ACCOUNT = "the account"


class _Look(msgspec.Struct, frozen=True):
    at: int
    again: bool


class Vigil:
    """Who watched which position when. All times are UTC milliseconds.

    Parameters
    ----------
    always : bool
        Whether every position is to be watched, from its first moment to its last.
    """

    def __init__(self, *, always: bool = False) -> None:
        self._always = always
        self._looks: dict[str, _Look] = {}
        self._failed: dict[str, int] = {}
        #: Since when somebody is to look at a symbol.
        self._due: dict[str, int] = {}
        #: Stops that triggered and closed nothing at once; those of them that were watched.
        self.failures: set[tuple[str, int]] = set()
        self.watched: set[tuple[str, int]] = set()

    def looked(self, symbol: str, at: int, *, again: bool) -> None:
        """The watch looked at a position, and will ``again``."""
        self._looks[symbol] = _Look(at, again)
        if again:
            self._due[symbol] = at
        else:
            self._due.pop(symbol, None)

    def surveyed(self, at: int, *, again: bool) -> None:
        """The watch looked at the whole account, and will ``again``."""
        if again:
            self._due[ACCOUNT] = at
        else:
            # Over for good only if nothing is held, which the next look at the books tells.
            self._due.pop(ACCOUNT, None)

    def near(self, symbol: str, at: int) -> None:
        """A round of the guardian, undisturbed, saw a price near its stop."""
        self._due.setdefault(symbol, at)

    def held(self, symbols: Collection[str], now: int = 0) -> None:
        """These have a position just now: what was due on any other has come to its end."""
        of_account = self._due.pop(ACCOUNT, now)
        self._due = {s: at for s, at in self._due.items() if s in symbols}
        if self._always and symbols:
            self._due[ACCOUNT] = of_account

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
        if self._always:
            self.watched.add((symbol, since))
            return 0
        look = self._looks.get(symbol)
        if look is None or not look.again or since - look.at > LOOK_MS:
            return UNWATCHED_MS
        self.watched.add((symbol, since))
        return 0

    def forgotten(
        self, now: int, disturbed: int, excused: Callable[[str, int, int], int]
    ) -> list[str]:
        """Symbols whose next look is overdue, nothing having hindered it.

        ``excused`` tells how much of a span nobody could act in for a symbol.
        """
        self._due = {s: at for s, at in self._due.items() if at > disturbed}
        late = [s for s, at in self._due.items() if now - at - excused(s, at, now) > LOOK_DUE_MS]
        for symbol in late:
            del self._due[symbol]
        return late
