"""Our conditional orders that protect nothing: they would fire on the next position.

Binance has no one-cancels-other: what is left of a bracket is cancelled when the trade is settled.
Where the list of open orders lagged at that moment something remains, and is found here, by
whoever reads the list next.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shared.errors import BorsaError, StoreUnavailable
from shared.execution import adopt
from shared.execution import stuck as stuck_orders
from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder
from shared.execution.ids import is_ours
from shared.execution.sighting import held_position
from shared.portfolio import positions


def cancel(
    desk: Desk, algos: Sequence[VenueAlgoOrder], held: Collection[str], recorded: Collection[str]
) -> int:
    """Cancel those on symbols with neither a position nor an open record; returns how many.

    Raises
    ------
    BorsaError
        When one could not be dealt with; the others have been, unless the store fails.
    """
    cancelled = 0
    triggered: list[VenueAlgoOrder] = []
    trouble: BorsaError | None = None
    for algo in algos:
        if algo.symbol in held or algo.symbol in recorded or not is_ours(algo.client_algo_id):
            continue
        if algo.status != "NEW":
            triggered.append(algo)  # nobody can cancel it any more
            continue
        try:
            cancelled += _cancel(desk, algo)
        except StoreUnavailable:
            raise
        except BorsaError as error:
            trouble = trouble or error
    for algo in stuck_orders.stuck(desk, (), triggered):
        desk.alert(
            "warning",
            "stuck-order",
            f"{algo.symbol}: a conditional order is stuck at the exchange",
            stuck_orders.told([algo]).strip(),
            correlation=algo.client_algo_id,
        )
    if trouble is not None:
        raise trouble
    return cancelled


def _cancel(desk: Desk, algo: VenueAlgoOrder) -> bool:
    # An entry may have begun since the caller read the records: its stop is no orphan.
    now = positions.load(desk.store, desk.account, algo.symbol)
    if now is not None and now[0].state != "closed":
        return False
    # Or a position of another installation on the same account, which has no record here.
    if held_position(desk, algo.symbol) is not None:
        return False
    adopt.cancel(desk, algo, "orphan")
    return True
