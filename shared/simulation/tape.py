"""The public tape: trades between others, read off the price path.

Sixty prints a bar (one a second on one-minute bars), at the path's price on the tick grid, the
bar's volume shared among them. Numbers grow with time, so REST and streams agree on them. Like
the path it is a model of the recorded bar; our own fills are not printed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from shared.simulation.core import VenueCore
from shared.simulation.path import BarPath, low_first

#: Prints in one bar.
_PER_BAR = 60


class Print(NamedTuple):
    """One public trade; ``buyer_is_maker`` when the seller took."""

    number: int
    price: Decimal
    quantity: Decimal
    time: int
    buyer_is_maker: bool


def spacing_ms(core: VenueCore) -> int:
    """Milliseconds between prints."""
    return core.bar_ms // _PER_BAR


def prints(core: VenueCore, symbol: str, start: int, stop: int) -> list[Print]:
    """Prints with ``start <= time < stop`` that have happened, ascending.

    A bar without volume has none; history begins with the source's.
    """
    contract = core.contract(symbol)
    instrument = contract.instrument
    gap = spacing_ms(core)
    first = max(start, core.source.first_time(symbol))
    stop = min(stop, core.now + 1)
    out: list[Print] = []
    path: BarPath | None = None
    quantity = Decimal(0)
    before = 0.0
    for time in range(-(-first // gap) * gap, stop, gap):
        opened = time - time % core.bar_ms
        if path is None or path.bar.open_time != opened:
            path = _path(core, symbol, opened)
            lots = int(path.bar.volume / _PER_BAR / float(instrument.step_size))
            quantity = max(1, lots) * instrument.step_size
            before = path.at(max(opened, time - gap))[0]
        price = path.at(time)[0]
        if path.bar.volume > 0:
            ticks = round(price / contract.tick)
            number = time // gap
            out.append(Print(number, ticks * instrument.tick_size, quantity, time, price < before))
        before = price
    return out


def _path(core: VenueCore, symbol: str, opened: int) -> BarPath:
    if opened == core.now - core.now % core.bar_ms:
        return core.path(symbol)
    bar = core.source.bar(symbol, opened)
    return BarPath(bar, core.bar_ms, low_first(bar, 0))
