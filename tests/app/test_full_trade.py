"""A whole trade, from the signal to the record, by every way out.

The figures of the recorded trade come from the exchange's own income, never from our own sums.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from desk import START, Floor

from local.exchange.faults import ApiRequest, ApiResponse
from local.exchange.parameters import parse_pairs

D = Decimal
MINUTE = 60_000

#: Way out: side, price path after the start (minutes, relative move), minutes to wait, settings.
WAYS_OUT = {
    "stop": ("BUY", [(3, 0), (8, -0.03)], 12, {}),
    "take profit": ("BUY", [(3, 0), (10, 0.05)], 14, {}),
    "trailing stop": ("BUY", [(3, 0), (9, 0.035), (20, -0.02)], 24, {}),
    "time exit": ("BUY", [(3, 0), (8, 0.002)], 14, {"MAX_HOLDING_BARS": "2"}),
    "stop of a short": ("SELL", [(3, 0), (8, 0.03)], 12, {}),
    "take profit of a short": ("SELL", [(3, 0), (10, -0.05)], 14, {}),
    "trailing stop of a short": ("SELL", [(3, 0), (9, -0.035), (20, 0.02)], 24, {}),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_way_out(open_floor, way):
    side, path, minutes, settings = WAYS_OUT[way]
    floor = open_floor({"BTCUSDT": path}, settings=settings)
    signal = floor.trade(side=side)
    floor.minutes(minutes)

    assert floor.outcome(signal)["outcome"] == "protected"
    assert not floor.held()
    assert not floor.algos()
    (trade,) = floor.trades()
    assert trade["id"] == signal.id
    assert trade["side"] == side
    assert (trade["venue"], trade["stage"]) == ("simulated", "paper")
    assert floor.audit("trade")[0]["venue"] == "simulated"
    assert trade["exitReason"] == way.removesuffix(" of a short")
    assert_equals_the_exchange(floor, trade)
    assert floor.leaked() == ({}, [])
    assert floor.documents("positions")[0]["state"] == "closed"
    assert_told(floor, signal.id)


def assert_equals_the_exchange(floor: Floor, trade: dict) -> None:
    """Fees, funding, profit and duration against the exchange's own ledger."""
    income = floor.venue.ledger("main").income
    total = {
        kind: sum((i.amount for i in income if i.kind == kind), D(0))
        for kind in ("REALIZED_PNL", "COMMISSION", "FUNDING_FEE")
    }
    assert D(trade["grossPnl"]) == total["REALIZED_PNL"]
    assert D(trade["fees"]) == -total["COMMISSION"]
    assert D(trade["funding"]) == total["FUNDING_FEE"]
    assert D(trade["netPnl"]) == sum(total.values())
    fills = floor.fills()
    assert trade["openedAt"] == fills[0].time
    assert trade["closedAt"] == fills[-1].time
    assert floor.services.ledger.read().day_realized_pnl == D(trade["netPnl"])


def assert_told(floor: Floor, decision: str) -> None:
    """Audit, event hub, dashboard and people: every step once."""
    mine = [r for r in floor.services.audit.records() if r.correlation == decision]
    kinds = [r.kind for r in mine]
    for kind in ("decision", "intent", "permit", "order", "protection", "position", "trade"):
        assert kind in kinds, kind
    first = {kind: kinds.index(kind) for kind in ("decision", "intent", "permit", "trade")}
    assert first["decision"] < first["intent"] < first["permit"] < first["trade"]
    assert [e["type"] for e in floor.events("executions")] == ["opened", "trade"]
    shown = [m["arguments"][0]["type"] for m in floor.shown if m["target"] == "execution"]
    assert shown == ["opened", "trade"]
    assert "position-opened" in floor.alerts()


def test_funding_is_part_of_the_trade(open_floor):
    """Held over a settlement: longs pay the rate on the mark price."""
    settlement = START + 90 * MINUTE
    floor = open_floor(
        {"BTCUSDT": [(100, 0), (105, -0.03)]}, funding={"BTCUSDT": [(settlement, 0.0005)]}
    )
    floor.trade()
    floor.minutes(110)
    (trade,) = floor.trades()
    # 0.004 BTC at 100000 USDT, 0.05 %.
    assert D(trade["funding"]) == D("-0.2")
    assert_equals_the_exchange(floor, trade)


def test_stop_and_target_lie_where_the_plan_says_relative_to_the_real_entry(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    (fill,) = floor.fills()
    (stop,), (target,) = floor.stops(), floor.targets()
    distance = fill.price - stop.trigger_price
    assert D("0.0199") < distance / fill.price <= D("0.02")
    assert target.trigger_price - fill.price >= 2 * distance
    assert stop.reduce_only
    assert target.reduce_only
    assert stop.working_type == "MARK_PRICE"


def test_exit_by_hand_is_recorded_for_what_it_is(open_floor):
    floor = open_floor()
    floor.expected = {7, 1}
    floor.trade()
    floor.run(5)
    floor.trade_by_hand("BTCUSDT", "SELL", "0.004")
    floor.minutes(2)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "liquidated or closed by hand"
    assert not floor.algos()
    assert floor.leaked() == ({}, [])


def test_stop_seen_by_reconciliation_first_is_still_a_stop(open_floor):
    """Reconciliation marks the fired stop as filled before the guardian settles the trade."""
    from shared.execution.reconcile import reconcile

    floor = open_floor({"BTCUSDT": [(3, 0), (4, -0.03)]}, durable=False)
    from shared.execution import assess, entry

    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.clock.sleep(300)
    floor.api.advance()
    assert not floor.held()
    reconcile(floor.desk)
    from shared.execution.guardian import guard

    guard(floor.desk)
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]


def test_the_api_shows_the_trade(open_floor):
    floor = open_floor({"BTCUSDT": [(3, 0), (8, -0.03)]})
    signal = floor.trade()
    floor.run(5)
    (position,) = json.loads(floor.http("GET", "/api/positions").body)["positions"]
    assert position["decisionId"] == signal.id
    assert position["ordersOnExchange"] == 2
    floor.minutes(12)
    (trade,) = json.loads(floor.http("GET", "/api/trades").body)["trades"]
    assert trade["id"] == signal.id
    orders = json.loads(floor.http("GET", f"/api/orders?decision={signal.id}").body)["orders"]
    assert {o["leg"] for o in orders} == {"e", "s", "t"}


def scenario() -> bytes:
    """Two trades, a lost answer and a stop; the audit chain as bytes."""
    from desk import ORDER, UNKNOWN_503

    floor = Floor({"BTCUSDT": [(3, 0), (8, -0.03)], "ETHUSDT": [(3, 0), (9, 0.03)]})
    try:
        floor.break_next(ORDER, UNKNOWN_503, executed=True)
        floor.trade("BTCUSDT")
        floor.trade("ETHUSDT")
        floor.minutes(12)
        floor.http("POST", "/api/emergency-stop", {"reason": "the end"})
        floor.run(10)
        import tempfile
        from pathlib import Path

        from shared.audit.chain import export

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "audit.jsonl"
            export(floor.store, "main", path)
            return path.read_bytes()
    finally:
        floor.close()


def test_the_same_scenario_gives_the_same_bytes():
    first = scenario()
    assert len(first) > 10_000
    assert first == scenario()


@pytest.mark.parametrize(
    ("result", "asked"),
    [
        # As the version before stored it: assessed, and the order is an activity of its own.
        ({}, "open_position"),
        ({"opened": {"status": "protected", "reason": "FILLED"}}, "protect_position"),
    ],
)
def test_a_workflow_goes_on_from_the_history_of_either_version(open_floor, result, asked):
    floor = open_floor()
    orchestrator = floor.platform.host.orchestrator("trade_workflow")
    request = {"symbol": "BTCUSDT", "signal": "s"}
    approved = {"id": "s", "outcome": "approved", "reasons": [], "needsApproval": False, **result}
    at = {"IsPlayed": True, "Timestamp": "2025-05-05T10:30:00Z"}
    started = {"Name": "trade_workflow", "Version": "", "Input": json.dumps(request)}
    history = [
        {"EventType": 12, "EventId": -1, **at},
        {"EventType": 0, "EventId": -1, **started, **at},
        {"EventType": 4, "EventId": 0, "Name": "assess", "Input": json.dumps(request), **at},
        {"EventType": 13, "EventId": -1, **at},
        {"EventType": 12, "EventId": -1, **at, "IsPlayed": False},
        {
            "EventType": 5,
            "EventId": -1,
            "TaskScheduledId": 0,
            "Result": json.dumps(approved),
            **at,
            "IsPlayed": False,
        },
    ]
    context = {
        "history": history,
        "input": json.dumps(request),
        "instanceId": "s",
        "isReplaying": True,
        "parentInstanceId": None,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 2,
    }
    answer = orchestrator(json.dumps(context))
    *_, latest = json.loads(answer)["actions"]
    retried = latest[-1]
    assert [action["functionName"] for action in retried["compoundActions"]] == [asked]


def test_fees_paid_in_bnb_are_counted_in_usdt(open_floor):
    """0.0002 BNB are not 0.0002 USDT."""
    floor = open_floor({"BTCUSDT": [(2, 0), (6, -0.03)]})
    asked: list[dict[str, str]] = []

    def in_bnb(request: ApiRequest, response: ApiResponse) -> ApiResponse:
        if request.path not in ("/fapi/v1/userTrades", "/fapi/v1/income"):
            return response
        rows = []
        for row in json.loads(response.body):
            if request.path == "/fapi/v1/income":
                rows.append(row | {"tradeId": str(2 * int(row["tradeId"] or 0) + 1)})
                continue
            row["commission"] = format(D(row["commission"]) / 1000, "f")
            row["commissionAsset"] = "BNB"
            for name in ("qty", "quoteQty", "realizedPnl"):
                row[name] = format(D(row[name]) / 2, "f")
            rows += [row | {"id": 2 * row["id"] + half} for half in (0, 1)]
        return ApiResponse(response.status, response.headers, json.dumps(rows).encode())

    def bnb_price(request: ApiRequest) -> ApiResponse | None:
        wanted = parse_pairs(request.query)
        if request.path != "/fapi/v1/klines" or wanted["symbol"] != "BNBUSDT":
            return None
        asked.append(wanted)
        opened = int(wanted["startTime"])
        bar = [opened, "499", "501", "498", "500.5", "10", opened + MINUTE - 1, "0", 1, "0", "0"]
        headers = {"content-type": "application/json"}
        return ApiResponse(200, headers, json.dumps([[*bar, "0"]]).encode())

    floor.faults.after = in_bnb
    floor.faults.before = bnb_price
    floor.trade()
    floor.minutes(8)
    fills = floor.fills()
    expected = sum((f.commission / 500 * D("500.5") for f in fills), D(0))
    (trade,) = floor.trades()
    assert abs(D(trade["fees"]) - expected) < D("0.0000001")
    assert D(trade["netPnl"]) == D(trade["grossPnl"]) - D(trade["fees"])
    # The last whole minute before each fill, never one that is still moving; asked for once, in
    # however many parts an order has filled.
    starts = [int(wanted["startTime"]) for wanted in asked]
    assert starts == [fill.time // MINUTE * MINUTE - MINUTE for fill in fills]
    floor.expected = {8}  # this exchange's own ledger has them in USDT
