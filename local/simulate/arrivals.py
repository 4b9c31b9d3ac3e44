"""An order of ours arrives at the venue: is it recorded, permitted, the only one, sized right?"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.clock import iso
from shared.execution.ids import is_ours, leg_of
from shared.simulation.orders import AlgoOrder, Order

if TYPE_CHECKING:
    from local.simulate.judge import Judge

ACCOUNT = "main"

#: A stop or close may come before its record for so long after the store has failed.
OVERDUE_MS = 10_000

#: An entry that has its permit may arrive so long after the store went away.
AWAY_MS = 6_000

#: From a bar's close to an entry on it: what the limits allow, and the decision's own age.
STALE_MS = 120_000 + 30_000 + 5_000


def touched(judge: Judge, client_id: str, symbol: str, status: str, at: int) -> None:
    """What people have on the account only an emergency stop touches."""
    if judge._hands or not (client_id in judge.foreign or symbol == judge.hand_symbol):
        return
    switch = judge.store.get("control", ACCOUNT, "kill-switch")
    if switch is not None and switch.body["state"] == "latched" and switch.body["closing"]:
        return
    if client_id in judge.foreign and status == "CANCELED":
        judge.broken(8, f"the order {client_id} of somebody else was cancelled", at)
    if symbol == judge.hand_symbol and is_ours(client_id):
        judge.broken(8, f"{client_id} was sent for a position of somebody else", at)


def intent_of(judge: Judge, client_id: str, at: int) -> dict[str, Any]:
    """The record of an order, which must be there before the order is."""
    found = judge.store.get("orders", ACCOUNT, client_id)
    if found is None:
        judge._unrecorded[client_id] = at
        excused = leg_of(client_id) != "e" and at - judge._store_failed_at <= OVERDUE_MS
        if not excused:
            judge.broken(7, f"order {client_id} reached the venue before its intent", at)
        return {}
    if found.body["state"] == "not_sent":
        judge.broken(2, f"order {client_id} was executed after it was ruled out", at)
    return found.body


def entry(judge: Judge, order: Order, intent: dict[str, Any], at: int) -> None:
    """One of the orders of a decision: together never more than it may enter, each permitted."""
    decision = str(intent.get("decisionId", ""))
    entries = judge._decision_entries[decision]
    entries.setdefault(order.client_order_id, order)
    first, *others = entries.values()
    # Several only as a chase: one at a time, together never more than the first asked for.
    earlier = [
        judge._account.orders.get(o.order_id, o)
        for o in entries.values()
        if o.client_order_id != order.client_order_id
    ]
    wanted = order.quantity + sum((o.executed for o in earlier), Decimal(0))
    chased = first.time_in_force == "GTX" and not any(o.is_open for o in earlier)
    if others and (not chased or wanted > first.quantity):
        judge.broken(2, f"decision {decision} was sent as {sorted(entries)}", at)
    if order.reduce_only:
        judge.broken(2, f"entry {order.client_order_id} is reduce-only", at)
    _fresh_and_allowed(judge, order, decision, at)
    if judge.switch.refused_at is not None:
        judge.broken(
            1,
            f"{order.client_order_id}: the exchange refused at {iso(judge.switch.refused_at)} "
            "what a person has to put right, and nobody has looked",
            at,
        )
    away = judge.away_since()
    if away is not None and at - away > AWAY_MS:
        judge.broken(1, f"{order.client_order_id}: the store is away since {iso(away)}", at)
    switch = judge.store.get("control", ACCOUNT, "kill-switch")
    judge.checked[5] += 1
    issued = None if switch is None else switch.body["outstanding"].get(order.client_order_id)
    if switch is None or issued is None:
        judge.broken(1, f"entry {order.client_order_id} has no permit", at)
    elif (
        judge.switch.one_clock
        and judge.switch.stopped_at is not None
        and issued > judge.switch.stopped_at > switch.body["armed_at"]
    ):
        judge.broken(5, f"entry {order.client_order_id}: permit given after the stop", at)


def _fresh_and_allowed(judge: Judge, order: Order, decision: str, at: int) -> None:
    """On news that is still news, and where the stage asks for it with a person's yes."""
    signal = judge.store.get("signals", order.symbol, decision)
    if signal is None or at - signal.body["signal"]["bar_close_time"] > STALE_MS:
        judge.broken(3, f"{order.client_order_id}: on an old signal, or none", at)
    decided = judge.store.get("signals", order.symbol, f"decision-{decision}")
    age = 0
    if judge.prices is not None and decided is not None:
        age = judge.prices.age(order.symbol, decided.body["decision"]["decided_at"])
    if age > judge._limits.max_market_data_age_ms:
        judge.broken(3, f"{order.client_order_id}: decided on prices of {age} ms before", at)
    if judge._stage is None:
        return
    judge.checked[11] += 1
    if judge.verdicts.get(decision) != "sent":
        judge.broken(11, f"{order.client_order_id}: nobody approved {decision}", at)
    notional = order.quantity * (order.price or Decimal(0))
    if notional > judge._stage.max_notional:
        judge.broken(11, f"{order.client_order_id}: {notional} USDT in this stage", at)


def conditional(judge: Judge, algo: AlgoOrder, at: int) -> None:
    """A stop or target closes, and is as large as what it closes."""
    if not algo.reduce_only and not algo.close_position:
        judge.broken(4, f"{algo.client_algo_id} could open instead of closing", at)
    held = sum(
        (p.quantity for p in judge._account.positions.values() if p.symbol == algo.symbol),
        Decimal(0),
    )
    if held and algo.quantity > abs(held):
        judge.broken(4, f"{algo.client_algo_id} is sized {algo.quantity}, the position {held}", at)
