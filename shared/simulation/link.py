"""The tie between a triggered conditional order and the plain order it produced."""

from __future__ import annotations

from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.orders import AlgoOrder, Order


def set_status(core: VenueCore, account: AccountState, algo: AlgoOrder, status: str) -> None:
    """Move a conditional order on in its life and tell its owner."""
    algo.status = status
    algo.update_time = core.now
    account.touch_algo(algo)
    core.changed()
    core.emit_algo(account, algo)


def finish(core: VenueCore, account: AccountState, order: Order) -> None:
    """Finish the conditional order behind a plain order that has ended, filled or not."""
    if not order.algo_id or order.is_open:
        return
    algo = account.algos[order.algo_id]
    if algo.status == "TRIGGERED":
        algo.actual_price = order.average_price
        algo.actual_quantity = order.executed
        set_status(core, account, algo, "FINISHED")
