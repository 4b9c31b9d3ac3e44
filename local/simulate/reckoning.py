"""What must agree when all is quiet: reservations, records, orders, and the money."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from shared.bootstrap import Services
from shared.clock import day, iso
from shared.execution.ids import is_ours, leg_of
from shared.simulation.venue import MAIN

if TYPE_CHECKING:
    from local.simulate.judge import Judge

ACCOUNT = "main"


def reckon(judge: Judge, services: Services, now: int) -> None:
    """Compare what the application has written down with the venue's books."""
    for check in (_leaks, _recorded, _orders_agree, _money):
        check(judge, services, now)


def _leaks(judge: Judge, services: Services, now: int) -> None:
    judge.checked[3] += 1
    for entry in services.ledger.read().entries.values():
        judge.broken(3, f"the reservation of {entry.decision_id} leaked ({entry.state})", now)
    for key in services.kill_switch.outstanding_permits():
        judge.broken(1, f"the permit {key} was never resolved", now)
    for name in ("positions",):
        for body in judge.all(name):
            if body["state"] != "closed":
                judge.broken(8, f"{body['id']}: our record stays {body['state']}", now)


def _recorded(judge: Judge, services: Services, now: int) -> None:
    """Every order of ours has its record and its intent in the audit, however late."""
    intents = {r.body["clientOrderId"] for r in services.audit.records(kind="intent")}
    for client_id in (*judge._conditionals, *judge._unrecorded):
        judge.checked[7] += 1
        if is_ours(client_id) and client_id not in intents:
            judge.broken(7, f"order {client_id} has no intent in the audit", now)
    for client_id, at in judge._unrecorded.items():
        if judge.store.get("orders", ACCOUNT, client_id) is None:
            judge.broken(7, f"order {client_id} of {iso(at)} was never recorded", now)


def _orders_agree(judge: Judge, services: Services, now: int) -> None:
    """Our record of every plain order says what the venue's says."""
    ours = {body["id"]: body for body in judge.all("orders")}
    executed: dict[str, int] = defaultdict(int)
    for order in judge._venue.ledger(MAIN).orders:
        if order.algo_id or not is_ours(order.client_order_id):
            continue
        judge.checked[8] += 1
        record = ours.get(order.client_order_id)
        if record is None:
            continue
        if leg_of(order.client_order_id) == "e" and order.executed:
            executed[record["decisionId"]] += 1
        state = "filled" if order.executed else "cancelled"
        if record["state"] != state:
            judge.broken(8, f"order {record['id']}: {record['state']}, it was {state}", now)
    traded = {body["id"] for body in judge.all("trades")}
    # What an entry filled after its trade was over is a trade of its own, named after it.
    decisions = {id_.split("-late-")[0] for id_ in traded}
    for decision in executed.keys() - decisions:
        judge.broken(7, f"decision {decision} was executed and has no trade", now)
    for decision in decisions - executed.keys():
        judge.broken(7, f"the trade {decision} was never executed", now)
    audited = [r.body["id"] for r in services.audit.records(kind="trade")]
    if sorted(audited) != sorted(traded):
        judge.broken(7, "trades in the audit and in the store differ", now)


def _money(judge: Judge, services: Services, now: int) -> None:
    """What the trades say they earned is what the wallet has gained."""
    judge.checked[8] += 1
    trades = judge.all("trades")
    told = sum((Decimal(t["netPnl"]) for t in trades), Decimal(0))
    # Trades by hand are somebody else's; that the wallet is the sum of its income, the
    # venue's own books show.
    others = ("TRANSFER",)
    earned = sum(
        (
            i.amount
            for i in judge._venue.ledger(MAIN).income
            if i.kind not in others and i.symbol != judge.hand_symbol
        ),
        Decimal(0),
    )
    if abs(told - earned) > Decimal("0.000001") and judge.flat():
        judge.broken(8, f"trades say {told}, the wallet has gained {earned}", now)
    view = services.ledger.read()
    today = sum(
        (Decimal(t["netPnl"]) for t in trades if day(t["closedAt"]) == view.day), Decimal(0)
    )
    if view.day_realized_pnl != today:
        judge.broken(3, f"the day cost {today}, the ledger says {view.day_realized_pnl}", now)
