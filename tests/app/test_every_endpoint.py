"""Every endpoint is asked while there is something to tell; each answer is what is described.

That the answers fit the description is checked by the floor for every request of every scenario
(:mod:`tests.described`); here it is made sure that no endpoint is left out.
"""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from desk import Floor

from tests import described

#: Asked, with a success, by scenarios of their own: sweeps, models, approvals and promotion.
ELSEWHERE = {
    "predict",
    "predict_batch",
    "chat",
    "read_chart",
    "analyse",
    "add_document",
    "get_document",
    "compare_models",
    "challenge_model",
    "withdraw_model",
    "reject_model",
    "promote_model",
    "roll_model_back",
    "start_sweep",
    "get_sweep",
    "sweep_results",
    "cancel_sweep",
    "resume_sweep",
    "answer_approval",
    "promote_stage",
    # People's way in, see tests/access.
    "session",
    "begin_sign_in",
    "complete_sign_in",
    "sign_out",
    "list_sessions",
    "end_session",
    # Served by the host's SignalR, and as files.
    "negotiate",
    "ui_index",
    "ui",
}


def ask(
    floor: Floor, method: str, path: str, body: Any = None, status: int = 200
) -> dict[str, Any]:
    answer = floor.http(method, f"/api/{path}", body)
    assert answer.status == status, (path, answer.status, answer.body)
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.fixture
def lived(open_floor) -> Floor:
    """A floor with a closed trade, open positions of ours and of a stranger, and a poison event."""
    floor = open_floor({"BTCUSDT": [(3, 0), (8, -0.03)], "ETHUSDT": (), "XRPUSDT": ()})
    # Somebody trades by hand: a violation, and a breach of the invariants that it is meant to be.
    floor.expected = {1, 3, 4, 7, 8}
    floor.trade()
    floor.minutes(10.2)
    floor.trade("ETHUSDT")
    floor.run(5)
    floor.emit("market", b"not a candle")
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    floor.minutes(2)
    return floor


def test_every_endpoint_answers_what_is_described(lived) -> None:
    described.SEEN.clear()
    (trade,) = ask(lived, "GET", "trades")["trades"]
    assert ask(lived, "GET", f"trades/{trade['id']}") == trade
    order = ask(lived, "GET", f"orders?decision={trade['id']}")["orders"][0]
    assert ask(lived, "GET", f"orders/{order['id']}") == order
    for path in (
        "health",
        "status",
        "dashboard",
        "equity",
        "positions",
        "performance",
        "signals",
        "signals?kind=decision",
        "signals?symbol=BTCUSDT&kind=decision&limit=1",
        f"decisions/{trade['id']}",
        "approvals",
        "risk",
        "checklist",
        "compliance",
        "compliance/events",
        "audit",
        "alerts",
        "dead-letters",
        "config",
        "instruments",
        "models",
        "patterns/BTCUSDT",
        "assistant",
        "sentiment",
        "documents",
        "models/drift",
        "anomalies",
    ):
        ask(lived, "GET", path)
    alert = ask(lived, "GET", "alerts")["alerts"][0]["id"]
    ask(lived, "POST", f"alerts/{alert}/acknowledge", {"operator": "eva"})
    ask(lived, "POST", "risk/stress", {})
    ask(lived, "POST", "sentiment", {"texts": [{"title": "Bitcoin surges"}]}, 201)
    ask(lived, "POST", "audit/verify")
    ask(lived, "POST", "reconcile")
    ask(lived, "POST", "emergency-stop?drill=true", {"operator": "eva"})

    violation = ask(lived, "GET", "compliance/violations")["violations"][0]["id"]
    ask(lived, "GET", f"compliance/violations/{violation}")
    ask(lived, "POST", f"compliance/violations/{violation}/acknowledge", {"operator": "eva"})
    under_code = {"operator": "eva", "reason": "looked at, all is well", "code": lived.totp()}
    ask(lived, "POST", f"compliance/violations/{violation}/close", under_code)
    event = ask(
        lived,
        "POST",
        "compliance/events",
        {
            "symbol": "*",
            "kind": "other",
            "title": "an event",
            "at": "2025-06-01T00:00",
            "operator": "eva",
        },
        201,
    )
    lived.run(31)
    ask(
        lived,
        "POST",
        f"compliance/events/{event['id']}/remove",
        under_code | {"code": lived.totp()},
    )
    ask(lived, "POST", "compliance/scan?from=2025-05-05T10:00&to=2025-05-05T10:35")
    lived.run(60)
    ask(lived, "POST", "emergency-stop", {"operator": "eva"}, 202)
    lived.run(30)
    clear = {"operator": "eva", "reason": "the end of the test", "code": lived.totp()}
    ask(lived, "POST", "kill-switch/clear", clear)
    assert lived.http("GET", "/api/incidents").status == 200
    document = ask(lived, "GET", "openapi.json")

    every = {one["operationId"] for item in document["paths"].values() for one in item.values()}
    if described.Draft202012Validator is not None:
        done = {operation for operation, status in described.SEEN if status < 300}
        assert every - done == ELSEWHERE


def test_what_is_not_there_is_not_found(open_floor) -> None:
    floor = open_floor()
    for path in (
        "orders/bq-e-none",
        "trades/BTCUSDT-5m-1746441000000-v1",
        "decisions/BTCUSDT-5m-1746441000000-v1",
        "decisions/x",
        "decisions/..%2Fcontrol",
        "compliance/violations/none",
        "research/sweeps/none",
        "research/sweeps/none/results",
    ):
        ask(floor, "GET", path, status=404)


@pytest.mark.parametrize(
    "path",
    [
        "audit?day=yesterday",
        "audit?day=2025-13-01",
        "audit?kind=everything",
        "audit?limit=0",
        "alerts?severity=bad",
        "alerts?state=lost",
        "alerts?continuation=garbage",
        "dead-letters?source=mail",
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(open_floor, path) -> None:
    ask(open_floor(), "GET", path, status=400)


def test_a_decision_is_explained_as_it_was_taken(lived) -> None:
    (trade,) = ask(lived, "GET", "trades")["trades"]
    told = ask(lived, "GET", f"decisions/{trade['id']}")
    assert (told["replays"], told["recomputed"], told["storedAlike"]) == (True, None, True)
    assert told["decision"]["plan"]["symbol"] == "BTCUSDT"
    # Its place in the chain is where the chain has it.
    at = told["audit"]
    page = ask(lived, "GET", f"audit?day={at['day']}&kind=decision&correlation={trade['id']}")
    (record,) = page["records"]
    assert (record["seq"], record["hash"]) == (at["seq"], at["hash"])
    assert record["body"]["inputs"] == json.loads(json.dumps(told["inputs"]))


def test_a_stored_decision_that_was_changed_is_told(lived) -> None:
    from shared.execution.assess import decision_key

    (trade,) = ask(lived, "GET", "trades")["trades"]
    document = lived.store.get("signals", "BTCUSDT", decision_key(trade["id"]))
    changed = json.loads(json.dumps(document.body))
    changed["inputs"]["equity"] = "50000"
    lived.store.replace("signals", changed, etag=document.etag)
    told = ask(lived, "GET", f"decisions/{trade['id']}")
    assert (told["replays"], told["storedAlike"]) == (True, False)
    # Removed from the state after its 90 days, the chain still has it.
    found = lived.store.get("signals", "BTCUSDT", decision_key(trade["id"]))
    lived.store.delete("signals", "BTCUSDT", decision_key(trade["id"]), etag=found.etag)
    told = ask(lived, "GET", f"decisions/{trade['id']}")
    assert (told["replays"], told["storedAlike"]) == (True, None)


def test_the_chain_is_paged_and_verified(lived) -> None:
    rows, continuation = [], ""
    while continuation is not None:
        page = ask(lived, "GET", f"audit?limit=40&continuation={continuation}")
        assert len(page["records"]) <= 40
        rows += page["records"]
        continuation = page["continuation"]
    numbers = [r["seq"] for r in rows]
    # All of the day, which is all but the first record of the chain.
    assert numbers == list(range(1, page["head"]["seq"] + 1))
    for before, after in pairwise(rows):
        assert after["prev_hash"] == before["hash"]
    head = page["head"]
    report = ask(lived, "POST", "audit/verify", {"anchors": {str(head["seq"]): head["hash"]}})
    assert (report["ok"], report["lastHash"]) == (True, head["hash"])
    wrong = ask(lived, "POST", "audit/verify", {"anchors": {str(head["seq"]): "0" * 64}})
    assert (wrong["ok"], wrong["problems"][0]["finding"]) == (False, "changed")


def test_a_record_that_was_changed_is_found(lived) -> None:
    assert ask(lived, "POST", "audit/verify")["ok"]
    row = ask(lived, "GET", "audit?kind=decision")["records"][0]
    document = lived.store.get("audit", row["day"], f"{row['seq']:012d}-main")
    body = json.loads(json.dumps(document.body))
    body["body"]["decision"]["outcome"] = "declined"
    lived.store.replace("audit", body, etag=document.etag)
    report = ask(lived, "POST", "audit/verify", {"whole": True})
    assert (report["ok"], report["problems"][0]["seq"]) == (False, row["seq"])
    # As it was: the floor verifies the chain when it closes.
    now = lived.store.get("audit", row["day"], document.body["id"])
    lived.store.replace("audit", document.body, etag=now.etag)


def test_poison_can_be_read(lived) -> None:
    (letter,) = ask(lived, "GET", "dead-letters")["deadLetters"]
    assert ask(lived, "GET", "dead-letters?source=market")["deadLetters"] == [letter]
    assert ask(lived, "GET", "dead-letters?source=risk")["deadLetters"] == []
    assert base64.b64decode(letter["body"]) == b"not a candle"


def test_alerts_can_be_asked_for(lived) -> None:
    every = ask(lived, "GET", "alerts")["alerts"]
    assert [a["time"] for a in every] == sorted((a["time"] for a in every), reverse=True)
    critical = ask(lived, "GET", "alerts?severity=critical&limit=1000")["alerts"]
    assert critical == [a for a in every if a["severity"] == "critical"] != []
    opened = ask(lived, "GET", "alerts?kind=position-opened")["alerts"]
    assert len(opened) == 2


def test_configuration_in_force_without_a_secret(open_floor) -> None:
    from shared.settings import SETTINGS

    floor = open_floor(
        settings={
            "MAX_LEVERAGE": "3",
            "ALERT_LOGIC_APP_URL": "https://prod.logic.azure.com/workflows/x?sig=do-not-show-me",
            "TRADING_PLAN": "",
            "RESEARCH_DATA": "share;AccountKey=do-not-show-me-either==",
        }
    )
    told = ask(floor, "GET", "config")
    assert [s["name"] for s in told["settings"]] == [s.name for s in SETTINGS]
    by_name = {s["name"]: s for s in told["settings"]}
    leverage = by_name["MAX_LEVERAGE"]
    assert (leverage["value"], leverage["default"], leverage["changed"]) == ("3", "5", True)
    assert by_name["ALERT_LOGIC_APP_URL"]["value"] == "https://prod.logic.azure.com"
    assert "do-not-show-me" not in json.dumps(told)
    assert told["limits"]["max_leverage"] == 3
    assert told["stage"]["name"] == "paper"
    assert told["wrong"] == []
    assert told["versions"]["packages"]["msgspec"]


def test_configuration_is_told_while_a_setting_is_wrong(open_floor) -> None:
    floor = open_floor(settings={"MAX_LEVERAGE": "3"})
    floor.services.environment = dict(floor.settings) | {"MAX_LEVERAGE": "125"}
    floor.services.__dict__.pop("settings", None)
    floor.services.__dict__.pop("limits", None)
    floor.services._exits = None
    told = ask(floor, "GET", "config")
    assert any("MAX_LEVERAGE" in w for w in told["wrong"])
    assert told["limits"]["max_leverage"] == 5
    floor.services.environment = dict(floor.settings)
    floor.services._exits = None


def test_contracts_that_the_exchange_does_not_list_are_named(open_floor) -> None:
    floor = open_floor()
    told = ask(floor, "GET", "instruments")
    assert [i["symbol"] for i in told["instruments"]] == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert told["notListed"] == []


def test_reconciling_by_hand_finds_what_differs(open_floor) -> None:
    floor = open_floor()
    floor.expected = {1, 3, 4, 7, 8}
    assert ask(floor, "POST", "reconcile") == {"positions": 0, "openOrders": 0, "differences": []}
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    told = ask(floor, "POST", "reconcile")
    assert told["positions"] == 1
    for _ in range(9):
        floor.http("POST", "/api/reconcile")
    assert floor.http("POST", "/api/reconcile").status == 429
