"""A trade is booked from its fills, however the exchange lists them: one trade, and a true one.

The list of fills passes through the real client; on its way rows are split as a book with several
levels splits them, left out for some reads, doubled, and put in any order.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from desk import Floor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_guardian_rounds import later, opened

from local.exchange.faults import ApiRequest, ApiResponse
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile

D = Decimal
FILLS = ("GET", "/fapi/v1/userTrades")
SPLIT = ("qty", "quoteQty", "commission", "realizedPnl")
Rows = list[dict[str, Any]]


def in_levels(rows: Rows, levels: int) -> Rows:
    """The same fills, each as so many of an equal share, under ids of their own."""
    found: Rows = []
    for row in rows:
        left = {name: D(row[name]) for name in SPLIT}
        for level in range(levels):
            share = {
                name: left[name]
                if level == levels - 1
                else (D(row[name]) / levels).quantize(D("0.00000001"))
                for name in SPLIT
            }
            if level < levels - 1:
                share["qty"] = (D(row["qty"]) / levels).quantize(D("0.001"))
            left = {name: left[name] - share[name] for name in SPLIT}
            told = {name: f"{value:f}" for name, value in share.items()}
            found.append({**row, **told, "id": row["id"] * 10 + level})
    return found


class Torn:
    """Tears the list of fills: each read is given the rows that its turn keeps."""

    def __init__(self, floor: Floor, levels: int, turns: list[tuple[set[int], int, int]]) -> None:
        self.levels, self.turns = levels, turns
        self.reads = 0
        self._after = floor.faults.after
        floor.faults.after = self.after

    def after(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        response = self._after(request, response)
        if (request.method, request.path) != FILLS or response.status != 200:
            return response
        rows = in_levels(json.loads(response.body), self.levels)
        missing, doubled, turned = (
            self.turns[self.reads] if self.reads < len(self.turns) else (set(), 3, 5)
        )
        self.reads += 1
        rows = [row for n, row in enumerate(rows) if n not in missing]
        rows += rows[:doubled]
        cut = turned % max(1, len(rows))
        rows = [*rows[cut:], *rows[:cut]][:: -1 if turned % 2 else 1]
        return ApiResponse(response.status, response.headers, json.dumps(rows).encode())


def booked(floor: Floor) -> None:
    """Exactly one trade, and it is what the exchange's own books say."""
    (trade,) = floor.trades()
    fills = floor.fills()
    income = floor.venue.ledger().income
    total = {
        kind: sum((i.amount for i in income if i.kind == kind), D(0))
        for kind in ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE")
    }
    assert D(trade["quantity"]) == sum(f.quantity for f in fills if f.side == "BUY")
    assert D(trade["grossPnl"]) == total["REALIZED_PNL"]
    assert D(trade["fees"]) == -total["COMMISSION"]
    assert D(trade["netPnl"]) == sum(total.values())
    assert (trade["openedAt"], trade["closedAt"]) == (fills[0].time, fills[-1].time)
    assert [b["netPnl"] for b in floor.audit("trade")] == [trade["netPnl"]]
    assert floor.services.ledger.read().day_realized_pnl == D(trade["netPnl"])
    assert floor.leaked() == ({}, [])


def closed(floor: Floor) -> None:
    """An open position, and its stop has closed it."""
    opened(floor)
    later(floor, 400)
    assert floor.held() == 0


turn = st.tuples(st.sets(st.integers(0, 7), max_size=6), st.integers(0, 4), st.integers(0, 9))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(levels=st.integers(1, 4), turns=st.lists(turn, max_size=4))
def test_fills_that_are_missing_doubled_and_unordered_book_one_true_trade(
    levels: int, turns: list[tuple[set[int], int, int]]
) -> None:
    floor = Floor({"BTCUSDT": [(2, 0), (6, -0.03), (60, -0.03)]}, durable=False)
    try:
        closed(floor)
        torn = Torn(floor, levels, turns)
        for _ in range(len(turns) + 2):
            guard(floor.desk)
            reconcile(floor.desk)
            if floor.trades():
                booked(floor)
            later(floor)
        assert torn.reads > 0
        booked(floor)
    finally:
        floor.close()


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param({0}, id="the first of the entry"),
        pytest.param({1}, id="the last of the entry"),
        pytest.param({2, 3}, id="the exit"),
        pytest.param({3}, id="the last of the exit"),
        pytest.param({0, 1, 2, 3}, id="all"),
    ],
)
def test_a_trade_whose_fills_are_incomplete_is_not_booked_yet(open_floor, missing):
    floor = open_floor({"BTCUSDT": [(2, 0), (6, -0.03), (60, -0.03)]}, durable=False)
    closed(floor)
    Torn(floor, 2, [(missing, 0, 0)] * 2)
    guard(floor.desk)
    later(floor)
    guard(floor.desk)
    assert floor.trades() == []
    assert floor.documents("positions")[0]["state"] != "closed"
    later(floor)
    guard(floor.desk)
    booked(floor)
