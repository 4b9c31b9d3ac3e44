"""Stops that fail for reasons of the venue's: gone long after they were accepted, or triggered and
forwarded to nobody."""

from __future__ import annotations

from collections.abc import Mapping

from local.simulate.schedule import Menu, Schedule
from shared.execution.ids import leg_of
from shared.simulation.link import set_status
from shared.simulation.orders import AlgoOrder
from shared.simulation.venue import Venue


class BrokenStops:
    """Strikes the conditional orders at a venue.

    Parameters
    ----------
    venue : Venue
    schedule : Schedule
    rates : mapping
        Of a profile; ``vanish`` and ``trigger`` are read.
    """

    def __init__(self, venue: Venue, schedule: Schedule, rates: Mapping[str, Menu]) -> None:
        self._venue = venue
        self._schedule = schedule
        self._rates = rates
        if "trigger" in rates:
            venue.core.forward_trigger = self._forwards

    def lose_one(self) -> None:
        """A stop that was accepted long ago is not there any more, for reasons of the venue's."""
        struck = self._schedule.draw("vanish", self._rates.get("vanish", ()))
        if struck is None:
            return
        account = self._venue.account()
        held = {p.symbol for p in account.positions.values()}
        stops = [
            algo
            for symbol in sorted(held)
            for algo in account.open_algos.get(symbol, {}).values()
            if algo.status == "NEW" and leg_of(algo.client_algo_id) == "s"
        ]
        if stops:
            set_status(self._venue.core, account, struck[1].choice(stops), struck[0].upper())

    def _forwards(self, algo: AlgoOrder) -> bool:
        """Whether the venue makes an order of what has triggered."""
        struck = self._schedule.draw("trigger", self._rates.get("trigger", ()))
        if struck is None:
            return True
        if struck[0] == "refused":
            set_status(self._venue.core, self._venue.account(), algo, "REJECTED")
        return False
