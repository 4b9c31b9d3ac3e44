"""When stops failed and were met, and how often the watch looked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from desk import Floor

from shared.execution.ids import leg_of
from shared.simulation.conditional import set_status
from shared.simulation.core import VenueEvent

D = Decimal
ALWAYS = {"STOP_WATCH": "always"}
GET_ALGO = ("GET", "/fapi/v1/algoOrder")
#: The clause of the issue, milliseconds of exchange time.
PROMISED = 5_000
#: In profit, and within one minute through the stop 2 % on the other side; then it stays there.
JUMP = [(1, 0), (2, 0.015), (3, -0.03), (60, -0.031)]
QUIET = [(1, 0), (60, 0)]
Knots = Sequence[tuple[float, float]]


def mirrored(knots: Knots) -> Knots:
    return [(at, -move) for at, move in knots]


class Ledger:
    """By symbol: when its stop failed, and when it was flat or fully covered again."""

    def __init__(self, floor: Floor) -> None:
        self.failed: dict[str, int] = {}
        self.met: dict[str, int] = {}
        self._floor = floor
        self._rounds: list[tuple[int, int]] = []
        floor.venue.on_event(self._see)
        if floor.platform is None:
            return
        floor.platform.host.on_invocation.append(
            lambda i: (
                self._rounds.append((i.started_ms, i.ended_ms))
                if i.function == "guardian"
                else None
            )
        )

    def _see(self, event: VenueEvent) -> None:
        if event.kind not in ("ALGO", "ORDER"):
            return
        symbol = event.record.symbol
        if event.kind == "ALGO" and leg_of(event.record.client_algo_id) == "s":
            held = any(p.symbol == symbol for p in self._floor.account.positions.values())
            if event.record.status not in ("NEW", "FINISHED") and held and not self._safe(symbol):
                self.failed.setdefault(symbol, event.time)
        if symbol in self.failed and symbol not in self.met and self._safe(symbol):
            self.met[symbol] = event.time

    def _safe(self, symbol: str) -> bool:
        quantity = sum(
            p.quantity for p in self._floor.account.positions.values() if p.symbol == symbol
        )
        live = sum((a.quantity for a in self._floor.stops(symbol) if a.status == "NEW"), D(0))
        return live >= abs(quantity)

    def took(self) -> dict[str, int]:
        """Milliseconds by symbol; a stop that nobody answered is missing."""
        return {s: self.met[s] - at for s, at in self.failed.items() if s in self.met}

    def check(self, *symbols: str) -> None:
        took = self.took()
        assert sorted(self.failed) == sorted(symbols)
        assert sorted(took) == sorted(symbols)
        assert max(took.values()) <= PROMISED, took
        for symbol, at in self.failed.items():
            # Were it the guardian who happened to look, this would show nothing.
            assert not any(
                began <= self.met[symbol] and ended >= at for began, ended in self._rounds
            ), symbol


def lost_from_sight(floor: Floor) -> None:
    """The venue's engine triggers nothing: the stop rests where it was, with the price through."""

    def reject(algo: Any) -> bool:
        algo.status = "NEW"
        floor.account.open_algos.setdefault(algo.symbol, {})[algo.algo_id] = algo
        return False

    floor.venue.core.forward_trigger = reject


def looks(floor: Floor) -> list[int]:
    """When the watch over the account looked, filled as it does."""
    found: list[int] = []
    assert floor.platform is not None
    floor.platform.host.on_invocation.append(
        lambda i: found.append(i.started_ms) if i.function == "survey_positions" else None
    )
    return found


def end(floor: Floor, status: str, symbol: str = "BTCUSDT") -> None:
    """The venue ends a stop that it had accepted, without a word."""
    floor.api.advance()
    for stop in floor.stops(symbol):
        set_status(floor.venue.core, floor.account, stop, status)
