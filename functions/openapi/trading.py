"""Operations on what was signalled, decided, ordered and traded."""

from __future__ import annotations

from typing import Literal

import msgspec

from functions.openapi.operation import (
    PAGE,
    Continuation,
    Millis,
    Operation,
    Parameter,
    Shape,
)
from shared.compliance.approval import Answer, Approval
from shared.execution.order_records import OrderRecord
from shared.operations.explained import Explained
from shared.portfolio.trades import Trade
from shared.risk.decision import Decision, DecisionInputs
from shared.strategies.signal import Signal


class Orders(Shape):
    orders: list[OrderRecord]
    continuation: Continuation


class Trades(Shape):
    trades: list[Trade]
    continuation: Continuation


class SignalRow(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="signal"
):
    """A signal as it is stored."""

    id: str
    symbol: str
    time: Millis
    timeframe: str
    signal: Signal


class DecisionRow(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="decision"
):
    """A decision as it is stored, with everything it was taken from."""

    id: str
    symbol: str
    time: Millis
    outcome: Literal["approved", "declined"]
    inputs: DecisionInputs
    decision: Decision


class Signals(Shape):
    signals: list[SignalRow | DecisionRow]
    continuation: Continuation


class Approvals(Shape):
    approvals: list[Approval]


class Answered(Shape):
    id: str
    state: Literal["approved", "rejected"]


OPERATIONS = (
    Operation(
        function="orders",
        method="GET",
        route="orders",
        summary="Orders of ours, newest first",
        answers={200: Orders},
        query=(Parameter("decision", str, "only the orders of one decision"), *PAGE),
        errors=(400,),
    ),
    Operation(
        function="get_order",
        method="GET",
        route="orders/{id}",
        summary="One order of ours, by its client order id",
        answers={200: OrderRecord},
        errors=(404,),
    ),
    Operation(
        function="trades",
        method="GET",
        route="trades",
        summary="Closed round trips, newest first",
        answers={200: Trades},
        query=PAGE,
        errors=(400,),
    ),
    Operation(
        function="get_trade",
        method="GET",
        route="trades/{id}",
        summary="One closed round trip; its id is the decision's",
        answers={200: Trade},
        errors=(404,),
    ),
    Operation(
        function="signals",
        method="GET",
        route="signals",
        summary="Signals or decisions, newest first",
        answers={200: Signals},
        query=(
            Parameter("symbol", str, "one of the configured ones; without it the newest of all"),
            Parameter("kind", Literal["signal", "decision"], "signal where it is left out"),
            *PAGE,
        ),
        errors=(400,),
    ),
    Operation(
        function="explain_decision",
        method="GET",
        route="decisions/{id}",
        summary="One decision, recomputed from its audit record and compared bit for bit",
        answers={200: Explained},
        errors=(404,),
    ),
    Operation(
        function="list_approvals",
        method="GET",
        route="approvals",
        summary="The last 50 requests for approval, newest first",
        answers={200: Approvals},
    ),
    Operation(
        function="answer_approval",
        method="POST",
        route="approvals/{id}",
        summary="Approve or reject one trade, once",
        body=Answer,
        answers={200: Answered},
        errors=(404, 409),
    ),
)
