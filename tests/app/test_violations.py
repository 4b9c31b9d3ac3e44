"""The tracker over HTTP: violations are acknowledged and closed by people, windows kept by them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from desk import Floor

from shared.clock import iso
from shared.compliance import calendar, violations
from shared.compliance.rules import hit
from shared.compliance.surveillance import advance

Open = Callable[..., Floor]


def raised(floor: Floor, rule: str = "spoofing", key: str = "1", **fields: Any) -> str:
    """A violation as a scan would raise it; its id."""
    one = hit(rule, "BTCUSDT", key, floor.clock.now_ms() - 1000, "it happened", {"orderId": 1})
    violations.raise_(floor.desk, one)
    return one.id


def ask(floor: Floor, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    answer = floor.http(method, f"/api/compliance{path}", body)
    return answer.status, json.loads(answer.body)


def closing(floor: Floor, **fields: str) -> dict[str, str]:
    good = {"operator": "ada", "reason": "the order was a typing error", "code": floor.totp()}
    return {**good, **fields}


def test_from_open_to_closed(open_floor: Open) -> None:
    floor = open_floor()
    id_ = raised(floor)
    status, found = ask(floor, "GET", f"/violations/{id_}")
    assert (status, found["state"], found["evidence"]) == (200, "open", {"orderId": 1})
    assert ask(floor, "GET", "")[1]["notClosed"] == {
        "open": {"warning": 0, "critical": 1},
        "acknowledged": {"warning": 0, "critical": 0},
    }
    assert ask(floor, "GET", "")[1]["blocking"] == [id_]

    seen = {"operator": "bob", "note": "looking"}
    status, found = ask(floor, "POST", f"/violations/{id_}/acknowledge", seen)
    assert (status, found["state"], found["acknowledgedBy"]) == (200, "acknowledged", "bob")
    assert ask(floor, "POST", f"/violations/{id_}/acknowledge", seen)[0] == 409
    # Somebody looks into it: what it blocks stays blocked.
    assert ask(floor, "GET", "")[1]["blocking"] == [id_]

    status, found = ask(floor, "POST", f"/violations/{id_}/close", closing(floor))
    assert (status, found["state"], found["closedBy"]) == (200, "closed", "ada")
    assert found["note"] == "looking"
    assert ask(floor, "GET", "")[1]["blocking"] == []
    status, found = ask(floor, "POST", f"/violations/{id_}/close", closing(floor))
    assert (status, found["error"]["message"]) == (409, f"violation {id_} is closed already")

    moves = [(b.get("from"), b["state"]) for b in floor.audit("violation") if b["id"] == id_]
    assert moves == [(None, "open"), ("open", "acknowledged"), ("acknowledged", "closed")]
    assert "compliance-closed" in floor.alerts()
    floor.run(5)
    told = [(e["id"], e["type"]) for e in floor.events("compliance") if "type" in e]
    assert told == [(f"{id_}-acknowledged", "acknowledged"), (f"{id_}-closed", "closed")]
    assert [v["id"] for v in floor.documents("violations")] == [id_]
    # The event comes once more, and the same history is scanned again: it stays closed.
    raised_again = dict(found := ask(floor, "GET", f"/violations/{id_}")[1])
    floor.emit("compliance", {k: found[k] for k in ("id", "kind", "text", "symbol", "time")})
    floor.run(5)
    assert ask(floor, "GET", f"/violations/{id_}")[1] == raised_again


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"code": "000000"}, "code"),
        ({"reason": "short"}, "at least 10 characters"),
        ({"operator": "  "}, "operator is empty"),
    ],
)
def test_closing_takes_a_person_a_reason_and_a_code(
    open_floor: Open, wrong: dict[str, str], says: str
) -> None:
    floor = open_floor()
    id_ = raised(floor)
    status, found = ask(floor, "POST", f"/violations/{id_}/close", closing(floor, **wrong))
    assert status == 400
    assert says in found["error"]["message"]
    assert ask(floor, "GET", f"/violations/{id_}")[1]["state"] == "open"
    # No code was used up by a request that was wrong otherwise.
    if "code" not in wrong:
        assert ask(floor, "POST", f"/violations/{id_}/close", closing(floor))[0] == 200
    else:
        assert "code-refused" in floor.alerts()


def test_what_is_not_there(open_floor: Open) -> None:
    floor = open_floor()
    assert ask(floor, "GET", "/violations/nothing")[0] == 404
    assert ask(floor, "POST", "/violations/nothing/acknowledge", {"operator": "x"})[0] == 404
    assert ask(floor, "POST", "/violations/nothing/close", closing(floor))[0] == 404
    assert ask(floor, "POST", "/events/nothing/remove", closing(floor))[0] == 404
    assert ask(floor, "GET", "/violations?state=new")[0] == 400
    assert floor.http("GET", "/api/compliance/violations", key=False).status == 401
    assert floor.http("POST", "/api/compliance/scan", key=False).status == 401


def test_lists_are_pages_newest_first(open_floor: Open) -> None:
    floor = open_floor()
    ids = []
    for n in range(5):
        floor.clock.sleep(1)
        ids.append(raised(floor, key=str(n)))
    first = ask(floor, "GET", "/violations?limit=2")[1]
    assert [v["id"] for v in first["violations"]] == [ids[4], ids[3]]
    more = ask(floor, "GET", f"/violations?limit=2&continuation={first['continuation']}")[1]
    assert [v["id"] for v in more["violations"]] == [ids[2], ids[1]]
    ask(floor, "POST", f"/violations/{ids[0]}/acknowledge", {"operator": "x"})
    only = ask(floor, "GET", "/violations?state=acknowledged&symbol=BTCUSDT")[1]
    assert [v["id"] for v in only["violations"]] == [ids[0]]
    assert ask(floor, "GET", "/violations?symbol=ETHUSDT")[1]["violations"] == []


def event(floor: Floor, **fields: Any) -> dict[str, Any]:
    good = {
        "symbol": "BTCUSDT",
        "kind": "listing",
        "title": "a listing",
        "at": iso(floor.clock.now_ms() + 3_600_000),
        "beforeMinutes": 120,
        "afterMinutes": 30,
        "operator": "ada",
    }
    return {**good, **fields}


def test_a_window_is_kept_listed_and_taken_away(open_floor: Open) -> None:
    floor = open_floor()
    status, made = ask(floor, "POST", "/events", event(floor))
    assert status == 201
    assert made["startsAt"] == made["at"] - 120 * 60_000
    assert made["endsAt"] == made["at"] + 30 * 60_000
    assert ask(floor, "POST", "/events", event(floor))[1]["id"] == made["id"]
    assert ask(floor, "GET", "/events")[1]["events"] == [made]
    (now,) = ask(floor, "GET", "")[1]["restrictedNow"]
    assert now["event"] == made["id"]

    path = f"/events/{made['id']}/remove"
    assert ask(floor, "POST", path, closing(floor, code="123456"))[0] == 400
    assert len(calendar.read(floor.desk)) == 1
    assert ask(floor, "POST", path, closing(floor))[0] == 200
    assert calendar.read(floor.desk) == ()
    assert ask(floor, "POST", path, closing(floor))[0] == 404
    assert [set(b) & {"event", "removed", "refused"} for b in floor.audit("operator")] == [
        {"event"},
        {"refused"},
        {"removed"},
    ]
    assert "compliance-event-removed" in floor.alerts()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"at": "soon"}, "at is 'soon'"),
        ({"at": "0001-01-01"}, "a year from 2000"),
        ({"title": " "}, "title is empty"),
        ({"symbol": "btc usdt"}, "write a contract"),
        ({"kind": "rumour"}, "rumour"),
        ({"beforeMinutes": -1}, "beforeMinutes is -1"),
        ({"afterMinutes": 10_000_000}, "afterMinutes"),
        ({"operator": ""}, "operator is empty"),
        ({"reason": "x"}, "unknown field"),
    ],
)
def test_an_event_that_is_none_is_refused(
    open_floor: Open, wrong: dict[str, Any], says: str
) -> None:
    floor = open_floor()
    status, found = ask(floor, "POST", "/events", event(floor, **wrong))
    assert status == 400
    assert says in found["error"]["message"]
    assert calendar.read(floor.desk) == ()


def test_the_calendar_is_bounded_and_forgets(open_floor: Open) -> None:
    floor = open_floor(durable=False)
    made = calendar.NewEvent(symbol="*", kind="other", title="t", at="2025-01-01", operator="x")
    calendar.add(floor.desk, made)
    for n in range(calendar.EVENTS):
        late = calendar.NewEvent(
            symbol="*", kind="other", title=f"t{n}", at="2025-06-01", operator="x"
        )
        calendar.add(floor.desk, late)
    # The first one has been over for months.
    assert len(calendar.read(floor.desk)) == calendar.EVENTS
    with pytest.raises(Exception, match="at most 200 fit"):
        calendar.add(
            floor.desk,
            calendar.NewEvent(
                symbol="*", kind="other", title="more", at="2025-06-01", operator="x"
            ),
        )


def test_the_first_scan_only_begins(open_floor: Open) -> None:
    floor = open_floor(durable=False)
    assert advance(floor.desk) is None
    assert advance(floor.desk) is None
    floor.clock.sleep(60)
    done = advance(floor.desk)
    assert done is not None
    assert done.until - done.since == 60_000
