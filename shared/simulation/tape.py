"""The public tape: trades between others, recorded or read off the price path.

Off the path: sixty prints a bar (one a second on one-minute bars), at the path's price on the
tick grid, the bar's volume shared among them. Numbers grow with time, so REST and streams agree
on them. Like the path it is a model of the recorded bar; our own fills are not printed.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import NamedTuple, Protocol, runtime_checkable

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


@runtime_checkable
class Recorded(Protocol):
    """A market source that knows the real trades."""

    def recorded_prints(self, symbol: str, start: int, stop: int) -> list[Print]: ...


def prints(core: VenueCore, symbol: str, start: int, stop: int) -> list[Print]:
    """Prints with ``start <= time < stop`` that have happened, ascending.

    A bar without volume has none; history begins with the source's.
    """
    core.contract(symbol)
    stop = min(stop, core.now + 1)
    if isinstance(core.source, Recorded):
        return core.source.recorded_prints(symbol, start, stop)
    return _off_the_path(core, symbol, start, stop)


def newest(core: VenueCore, symbol: str, count: int) -> list[Print]:
    """The last prints, ascending."""
    core.contract(symbol)
    if isinstance(core.source, Recorded):
        return core.source.recorded_prints(symbol, 0, core.now + 1)[-count:]
    return prints(core, symbol, core.now + 1 - count * _gap(core), core.now + 1)


def from_number(core: VenueCore, symbol: str, number: int, count: int) -> list[Print]:
    """Prints from a number on, ascending."""
    core.contract(symbol)
    if isinstance(core.source, Recorded):
        known = core.source.recorded_prints(symbol, 0, core.now + 1)
        at = bisect_left(known, number, key=lambda one: one.number)
        return known[at : at + count]
    start = number * _gap(core)
    return prints(core, symbol, start, start + count * _gap(core))


def number_at(core: VenueCore, symbol: str, time: int) -> int:
    """Number of the first print at or after a time; of the last one where none follows."""
    if isinstance(core.source, Recorded):
        known = core.source.recorded_prints(symbol, 0, core.now + 1)
        if not known:
            return 0
        return known[min(len(known) - 1, bisect_left(known, time, key=lambda p: p.time))].number
    return time // _gap(core)


def _gap(core: VenueCore) -> int:
    """Milliseconds between prints."""
    return core.bar_ms // _PER_BAR


def _off_the_path(core: VenueCore, symbol: str, start: int, stop: int) -> list[Print]:
    contract = core.contract(symbol)
    instrument = contract.instrument
    gap = _gap(core)
    first = max(start, core.source.first_time(symbol))
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
