"""From one stage to the next: twelve items of gathered evidence, a second factor, and back down."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from desk import Floor

from local.platform import SIMULATED_KEY
from shared import bootstrap
from shared.alerts.destinations import Reach
from shared.bootstrap import Services
from shared.clock import day
from shared.compliance.evidence import Deployment
from shared.errors import ConfigurationError, StoreUnavailable
from shared.execution import assess, clearing, emergency, entry, guardian
from shared.market.timeframe import DAY_MS
from shared.storage.store import put

D = Decimal
DEMO = {
    "BINANCE_ENVIRONMENT": "demo",
    "BINANCE_BASE_URL": "",
    "TRADING_STAGE": "testnet",
    "BINANCE_API_KEY": f"demo:{SIMULATED_KEY}",
}
PRODUCTION = {
    "BINANCE_ENVIRONMENT": "production",
    "BINANCE_BASE_URL": "",
    "TRADING_STAGE": "limited",
    "BINANCE_API_KEY": f"production:{SIMULATED_KEY}",
}
TOLD = Reach(at_once=("logic-app",))
GOOD = Deployment(vault=True, secrets_missing=(), key_stated=True, alerts=TOLD)
ITEMS = [
    "trades",
    "days",
    "invariants",
    "drill",
    "emergency-stop",
    "stop-latency",
    "reconciliation",
    "alerts",
    "audit",
    "secrets",
    "clock",
    "errors",
]


def ran(floor: Floor, stage: str = "testnet-demo", days: int = 8) -> None:
    """The stage has run for so many days."""
    now = floor.clock.now_ms()
    found = floor.store.get("control", "main", "stage")
    body = dict(found.body) if found else {"runs": {}, "grants": {}, "withdrawn": []}
    body |= {"id": "stage", "scope": "main"}
    body["last"] = stage
    body["runs"] = body["runs"] | {
        stage: {
            "since": now - days * DAY_MS,
            "days": [day(now - n * DAY_MS) for n in reversed(range(days + 1))],
        }
    }
    put(floor.store, "control", "main", body)


def closed(floor: Floor, count: int, tag: str = "t", days_ago: float = 7.5) -> None:
    """So many trades were closed so long ago."""
    at = floor.clock.now_ms() - round(days_ago * DAY_MS)
    for n in range(count):
        floor.store.create("trades", {"id": f"{tag}{n}", "account": "main", "closedAt": at})


def stopped(floor: Floor) -> None:
    """A person stops, the account is verified flat, a person clears."""
    assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.run(5)
    body = {"code": floor.totp(), "reason": "the stop was a test", "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", body).status == 200
    floor.watch.latched_at = None
    floor.run(60)


def drilled(floor: Floor) -> None:
    assert floor.http("POST", "/api/emergency-stop?drill=true", {"operator": "ada"}).status == 200
    floor.run(5)
    # This floor has no Logic App: one would have taken the alert.
    last = floor.store.get("control", "main", "drill").body["alertId"]
    found = floor.store.get("alerts", "main", last)
    assert found.body["state"] == "stored"
    floor.store.replace("alerts", {**found.body, "state": "delivered"}, etag=found.etag)


def proven(open_floor: Callable[..., Floor], trades: int = 1000) -> Floor:
    """A testnet deployment that has shown everything there is to show."""
    floor = open_floor(settings=DEMO)
    floor.expected = {8}
    floor.services.deployment = lambda: GOOD  # type: ignore[method-assign]
    floor.trade()
    floor.minutes(6)
    ran(floor)
    closed(floor, trades)
    stopped(floor)
    drilled(floor)
    return floor


def checklist(floor: Floor) -> dict[str, Any]:
    answer = floor.http("GET", "/api/checklist")
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    assert [i["id"] for i in body["items"]] == ITEMS
    assert all(i["evidence"] for i in body["items"])
    return body


def open_items(floor: Floor) -> list[str]:
    return [i["id"] for i in checklist(floor)["items"] if not i["passed"]]


def promote(floor: Floor, **fields: str) -> tuple[int, str]:
    body = {
        "stage": "limited",
        "code": floor.totp(),
        "reason": "a week on the testnet without trouble",
        "operator": "ada",
        **fields,
    }
    answer = floor.http("POST", "/api/stage/promote", body)
    said = json.loads(answer.body)
    return answer.status, said.get("error", {}).get("message", "")


def production(floor: Floor, **settings: str) -> Services:
    """The same deployment with the settings of production, on the same store."""
    return Services(
        {**floor.settings, **PRODUCTION, **settings},
        clock=floor.clock,
        store=floor.store,
        exchange_session=floor.session,
    )


def test_a_new_deployment_has_shown_nothing(open_floor):
    floor = open_floor(settings=DEMO)
    body = checklist(floor)
    assert not body["passed"]
    assert {"trades", "days", "drill", "emergency-stop", "secrets"} <= set(open_items(floor))
    status, said = promote(floor)
    assert status == 409
    assert "0 trades, 1000 needed" in said
    assert production(floor).desk().stage_problems == ("nobody has promoted to stage limited",)


#: Item -> what a deployment of one hour and one trade has, and what is needed.
YOUNG = {
    "trades": r"0 closed since \S+; needed: 1000",
    "days": r"the guardian ran on 1 days; 0\.\d days have passed; needed: 7 of both",
    "drill": r"never drilled; needed: one that passed, at most 7 days ago",
    "emergency-stop": r"0 stops by hand verified flat and cleared; needed: 1",
    "stop-latency": r"no stop by hand to measure; needed: one of at most 30000 ms",
    "reconciliation": r"0 differences in the last 7 days, the stage has run for 0\.\d; "
    r"needed: none in 7 days of it",
    "errors": r"0 of 0 entries and closes refused or unknown; needed: at most 2% of at least one",
}


def test_an_item_says_what_there_is_and_what_is_needed(open_floor):
    floor = open_floor(settings=DEMO)
    floor.trade()
    floor.minutes(6)
    said = {i["id"]: i["evidence"] for i in checklist(floor)["items"]}
    for item, text in YOUNG.items():
        assert re.fullmatch(text, said[item]), said[item]


@pytest.mark.parametrize(
    ("settings", "next_", "counts"),
    [
        ({}, None, "nothing that stage paper on simulated shows counts"),
        ({"TRADING_STAGE": "testnet"}, None, "nothing that stage testnet on simulated shows"),
        (DEMO, "limited", "what is shown here counts towards stage limited"),
    ],
)
def test_the_checklist_says_what_its_stage_is_good_for(open_floor, settings, next_, counts):
    body = checklist(open_floor(settings=settings))
    assert body["next"] == next_
    assert body["counts"].startswith(counts)
    if next_ is None:
        assert "stage testnet on demo counts towards stage limited" in body["counts"]


def test_evidence_and_a_second_factor_promote_and_production_opens(open_floor):
    floor = proven(open_floor)
    assert open_items(floor) == []
    assert production(floor).desk().stage_problems
    assert promote(floor, code="12345x")[0] == 400
    assert promote(floor, reason="short")[0] == 400
    assert promote(floor, operator=" ")[0] == 400
    assert promote(floor, stage="everything")[0] == 400
    code = floor.totp()
    assert promote(floor, code=code) == (200, "")
    assert promote(floor, code=code)[0] == 400  # a code works once
    floor.minutes(1)
    assert "stage-promoted" in [e["kind"] for e in floor.events("risk")]
    (note,) = floor.audit("stage")
    assert note["promoted"]["operator"] == "ada"
    desk = production(floor).desk()
    assert desk.stage_problems == ()
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    signal = floor.signal("ETHUSDT")
    assert assess.assess(desk, "ETHUSDT", signal.id).needs_approval
    assert entry.open_position(desk, "ETHUSDT", signal.id).status == "protected"
    # full is another step, and needs limited to have run.
    assert production(floor, TRADING_STAGE="full", MAX_LEVERAGE="5").desk().stage_problems == (
        "nobody has promoted to stage full",
    )


def spoil(floor: Floor, what: str) -> None:
    now = floor.clock.now_ms()
    if what == "trades":
        document = floor.store.get("trades", "main", "t0")
        floor.store.delete("trades", "main", "t0", etag=document.etag)
        floor.store.delete("trades", "main", "t1")
    elif what == "days":
        # A week has passed, but the application was switched off for most of it.
        found = floor.store.get("control", "main", "stage")
        body = json.loads(json.dumps(found.body))
        del body["runs"]["testnet-demo"]["days"][:5]
        floor.store.replace("control", body, etag=found.etag)
    elif what == "invariants":
        floor.desk.alert("critical", "close-failed", "x", "y", correlation="here")
        floor.run(70)
    elif what == "drill":
        found = floor.store.get("control", "main", "drill")
        body = {**found.body, "at": now - 8 * DAY_MS}
        floor.store.replace("control", body, etag=found.etag)
    elif what in ("emergency-stop", "stop-latency"):
        found = floor.store.get("control", "main", "kill-switch")
        (episode,) = found.body["history"]
        late = episode["latched_at"] + 31_000
        changed = {**episode, "flat_at": None if what == "emergency-stop" else late}
        floor.store.replace("control", {**found.body, "history": [changed]}, etag=found.etag)
    elif what == "reconciliation":
        floor.desk.alert("warning", "reconciliation", "x", "y", correlation="here")
        floor.run(400)
    elif what == "alerts":
        floor.store.create(
            "alerts",
            {
                "id": "stuck",
                "account": "main",
                "kind": "x",
                "state": "raised",
                "time": "2025-05-05T00:00:00.000Z",
            },
        )
    elif what == "audit":
        (record,) = floor.store.query("audit", day(now), limit=1).documents
        floor.store.replace("audit", {**record.body, "kind": "report"}, etag=record.etag)
    elif what == "secrets":
        floor.services.deployment = lambda: Deployment(  # type: ignore[method-assign]
            vault=True, secrets_missing=("totp-secret",), key_stated=True, alerts=TOLD
        )
    elif what == "clock":
        floor.services.exchange.server_time = lambda: now + 1500
    elif what == "errors":
        for n in range(5):
            floor.store.create(
                "orders",
                {
                    "id": f"bq-e-{n}",
                    "account": "main",
                    "clientOrderId": f"bq-e-{n}",
                    "state": "rejected",
                    "createdAt": now,
                },
            )


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_alone_stands_in_the_way(open_floor, item):
    floor = proven(open_floor)
    floor.expected = {7, 8}
    spoil(floor, item)
    # A stop that was never verified flat has no latency either.
    also = ["stop-latency"] if item == "emergency-stop" else []
    assert open_items(floor) == [item, *also]
    code = floor.totp()
    status, said = promote(floor, code=code)
    assert status == 409
    assert f"checklist: {item} did not pass" in said
    assert production(floor).desk().stage_problems


def test_no_stage_is_skipped(open_floor):
    floor = proven(open_floor)
    status, said = promote(floor, stage="full")
    assert status == 409
    assert "no stage is skipped" in said
    paper = open_floor(settings={**DEMO, "TRADING_STAGE": "paper"})
    assert "no stage is skipped" in promote(paper)[1]


def test_nothing_is_promoted_while_latched(open_floor):
    floor = proven(open_floor)
    floor.http("POST", "/api/emergency-stop", {"operator": "ada"})
    floor.run(5)
    assert promote(floor)[0] == 409


def test_evidence_that_was_changed_afterwards_opens_nothing(open_floor):
    floor = proven(open_floor)
    assert promote(floor)[0] == 200
    found = floor.store.get("control", "main", "stage")
    body = json.loads(json.dumps(found.body))
    body["grants"]["limited"]["evidence"][0]["trades"] = 999
    floor.store.replace("control", body, etag=found.etag)
    assert production(floor).desk().stage_problems == ("testnet: 999 trades, 1000 needed",)


@pytest.mark.parametrize("breach", ["protection-failed", "close-failed", "drawdown"])
def test_a_breach_demotes_and_exits_stay_open(open_floor, breach):
    floor = proven(open_floor)
    assert promote(floor)[0] == 200
    live = production(floor)
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    signal = floor.signal("ETHUSDT")
    assess.assess(live.desk(), "ETHUSDT", signal.id)
    assert entry.open_position(live.desk(), "ETHUSDT", signal.id).status == "protected"
    guardian.guard(live.desk())
    assert live.desk().stage_problems == ()
    if breach == "drawdown":
        evidence = {
            "equity": "4000",
            "peak": "4999",
            "limit": "0.1",
            "observed_at": floor.clock.now_ms(),
        }
        emergency.latch(live.desk(), "max_drawdown", evidence, "x")
    else:
        live.desk().alert("critical", breach, "x", "y", correlation="here")
    guardian.guard(live.desk())  # a sweep: minute 0 of five
    (problem,) = live.desk().stage_problems
    assert problem.startswith("stage limited was withdrawn at")
    assert "stage-demoted" in floor.alerts()
    if breach == "drawdown":
        return
    other = floor.signal("BTCUSDT")
    assess.assess(live.desk(), "BTCUSDT", other.id)
    assert entry.open_position(live.desk(), "BTCUSDT", other.id).status == "declined"
    live.ledger.release(other.id)
    # Closing is never refused.
    emergency.latch(live.desk(), "manual", {"operator": "ada"}, "x")
    assert emergency.flatten_account(live.desk(), "x").flat
    # And the testnet has to show everything anew.
    assert "days" in open_items(floor)
    assert "trades" in open_items(floor)


@pytest.mark.parametrize("cleared", [False, True])
def test_a_drawdown_demotes_though_the_market_had_latched_before_it(open_floor, cleared):
    """The second trigger of a latch is counted beside the first one."""
    floor = proven(open_floor)
    assert promote(floor)[0] == 200
    live = production(floor)
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    guardian.guard(live.desk())
    now = floor.clock.now_ms()
    volatile = {"recent": "0.02", "usual": "0.001", "ratio": "20", "limit": "8", "floor": "0.006"}
    volatile |= {"observed_at": now}  # type: ignore[dict-item]
    emergency.latch(live.desk(), "abnormal_volatility", volatile, "x", False)
    guardian.guard(live.desk())
    assert live.desk().stage_problems == ()
    fallen = {"equity": "4000", "peak": "4999", "limit": "0.1", "observed_at": now}
    emergency.latch(live.desk(), "max_drawdown", fallen, "y")
    if cleared:
        floor.run(60)
        clearing.clear(
            live.desk(), code=floor.totp(), reason="the market is as usual", operator="ada"
        )
        floor.watch.latched_at = None
        floor.run(240)
    guardian.guard(live.desk())
    (problem,) = live.desk().stage_problems
    assert "kill switch: max_drawdown" in problem


def test_full_needs_what_limited_has_shown(open_floor):
    floor = proven(open_floor)
    assert promote(floor)[0] == 200
    live = production(floor, MAX_LEVERAGE="5")
    live.deployment = lambda: GOOD  # type: ignore[method-assign]
    bootstrap.use(live)
    ran(floor, "limited-production", days=7)
    status, said = promote(floor, stage="full")
    assert status == 409
    assert "trades, 20 needed" in said
    closed(floor, 20, "l", days_ago=1)
    floor.run(60)
    stopped(floor)
    drilled(floor)
    assert promote(floor, stage="full") == (200, "")
    full = production(floor, TRADING_STAGE="full", MAX_LEVERAGE="5")
    assert full.desk().stage_problems == ()
    # A breach in full costs full alone; the way back up begins with limited.
    full.desk().alert("critical", "close-failed", "x", "y", correlation="here")
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    guardian.guard(full.desk())
    assert "withdrawn" in full.desk().stage_problems[0]
    assert production(floor).desk().stage_problems == ()
    guardian.guard(production(floor).desk())
    assert production(floor).desk().stage_problems == ()


def test_a_promotion_counts_for_the_one_below_that_it_was_judged_by(open_floor):
    """The guardian takes `limited` back while a person promotes to `full`."""
    floor = proven(open_floor)
    assert promote(floor)[0] == 200
    live = production(floor, MAX_LEVERAGE="5")
    live.deployment = lambda: GOOD  # type: ignore[method-assign]
    bootstrap.use(live)
    ran(floor, "limited-production", days=7)
    closed(floor, 20, "l", days_ago=1)
    floor.run(60)
    stopped(floor)
    drilled(floor)
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    breached: list[str] = []

    def breach(name: str, args: tuple[Any, ...]) -> None:
        # The evidence has been looked at, the code was right.
        if name == "replace" and args[1]["id"] == "stage" and not breached:
            breached.append(name)
            live.desk().alert("critical", "close-failed", "x", "y", correlation="here")
            guardian.guard(live.desk())

    floor.store.before = breach
    status, said = promote(floor, stage="full")
    floor.store.before = lambda name, args: None
    assert breached
    assert "stage-demoted" in floor.alerts()
    assert status == 409
    assert "limited" in said
    grants = floor.store.get("control", "main", "stage").body["grants"]
    assert set(grants) == set()


def test_what_a_stage_has_shown_is_over_once_another_ran(open_floor):
    """Also before the guardian has been there for the first time after it."""
    floor = proven(open_floor)
    assert open_items(floor) == []
    found = floor.store.get("control", "main", "stage")
    floor.store.replace("control", {**found.body, "last": "paper-simulated"}, etag=found.etag)
    assert {"trades", "days"} <= set(open_items(floor))
    assert promote(floor)[0] == 409


@pytest.mark.parametrize(
    ("environment", "key", "complaint"),
    [
        ("production", SIMULATED_KEY, "does not say that it is for production"),
        ("production", f"demo:{SIMULATED_KEY}", "the API key belongs to demo"),
        ("demo", f"production:{SIMULATED_KEY}", "the API key belongs to production"),
    ],
)
def test_a_key_of_another_environment_sends_no_request(open_floor, environment, key, complaint):
    floor = open_floor(durable=False)
    asked: list[str] = []
    floor.session.before = lambda method, url: asked.append(url)
    stage = "limited" if environment == "production" else "testnet"
    settings = {
        "BINANCE_ENVIRONMENT": environment,
        "TRADING_STAGE": stage,
        "BINANCE_API_KEY": key,
    }
    wrong = production(floor, **settings)
    with pytest.raises(ConfigurationError, match=complaint):
        wrong.exchange.account()
    assert not asked
    floor.session.before = lambda method, url: None


def limited_running(floor: Floor) -> Services:
    """Promoted to limited, which runs on production from now on."""
    assert promote(floor)[0] == 200
    live = production(floor)
    live.deployment = lambda: GOOD  # type: ignore[method-assign]
    bootstrap.use(live)
    return live


def shown(floor: Floor) -> tuple[int, int]:
    """Trades and days that count for the running stage."""
    body = checklist(floor)
    evidence = body["evidence"]
    stored = floor.store.get("control", "main", "stage").body
    run = stored["runs"].get(stored["last"], {"days": ()})
    return evidence["trades"], len(run["days"])


def test_what_a_withdrawn_stage_has_shown_counts_no_more(open_floor):
    """Days and trades of limited end with its withdrawal; those of the testnet in between too."""
    floor = proven(open_floor)
    demo = floor.services
    live = limited_running(floor)
    floor.minutes(6)
    ran(floor, "limited-production", days=6)
    closed(floor, 15, "limited", days_ago=2)
    assert shown(floor)[0] >= 15
    live.desk().alert("critical", "close-failed", "x", "y", correlation="here")
    floor.minutes(6)
    assert "withdrawn" in live.desk().stage_problems[0]
    assert shown(floor) in ((0, 0), (0, 1))  # a sweep later, the day of today
    # Back on the testnet, trades are closed there; then limited is allowed again.
    bootstrap.use(demo)
    floor.minutes(6)
    closed(floor, 30, "demo", days_ago=0)
    ran(floor)
    floor.minutes(6)
    bootstrap.use(live)
    floor.minutes(6)
    assert shown(floor) == (0, 1)


def test_trades_of_another_venue_or_stage_are_no_evidence(open_floor):
    """Whenever they ended; those of before trades said so count by their time."""
    floor = proven(open_floor, trades=999)  # and the one it closed itself
    assert checked(floor, "trades")["passed"]
    for where in (
        {"venue": "production", "stage": "testnet"},
        {"venue": "demo", "stage": "limited"},
        {"venue": "demo", "stage": "testnet"},
    ):
        body = floor.store.get("trades", "main", "t0").body
        floor.store.delete("trades", "main", "t0")
        floor.store.create("trades", {**body, **where})
        own = where == {"venue": "demo", "stage": "testnet"}
        assert checked(floor, "trades")["passed"] is own


def checked(floor: Floor, name: str) -> dict[str, Any]:
    (item,) = [i for i in checklist(floor)["items"] if i["id"] == name]
    return item


@pytest.mark.parametrize("whole", [True, False])
def test_a_promotion_verifies_the_audit_from_its_beginning(open_floor, whole):
    """A record that is older than the last look was changed: the checklist cannot know."""
    floor = proven(open_floor)
    floor.expected |= {7}
    assert checked(floor, "audit")["passed"]
    body = floor.store.query("audit", "genesis").documents[0].body
    floor.store.delete("audit", "genesis", body["id"])
    floor.store.create("audit", {**body, "time": body["time"] + 1})
    if whole:
        status, answer = promote(floor)
        assert status == 409
        assert "audit" in answer
    else:
        assert checked(floor, "audit")["passed"]


def test_a_stage_that_ran_in_between_begins_the_run_anew(open_floor):
    """Trades carry no venue: two weeks of the testnet with a week of production in between."""
    floor = proven(open_floor)
    demo = floor.services
    limited_running(floor)
    floor.minutes(6)
    closed(floor, 40, "production", days_ago=0)
    bootstrap.use(demo)
    floor.minutes(6)
    assert shown(floor) == (0, 1)


def test_a_promotion_begins_the_run_of_the_promoted_stage(open_floor):
    floor = proven(open_floor)
    ran(floor, "limited-production", days=6)
    ran(floor)
    assert promote(floor)[0] == 200
    assert "limited-production" not in floor.store.get("control", "main", "stage").body["runs"]


UNREADABLE = {
    "a grant of another form": {"grants": {"limited": {"stage": "limited"}}},
    "no run at all": {"runs": None},
    "a date for a time": {"runs": {"limited-production": {"since": "2025-05-05"}}},
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("store", ["unreadable", "failing"])
def test_evidence_that_cannot_be_read_closes_the_entrance_and_no_exit(open_floor, store, body):
    """The guardian protects and a stop stops, whatever has become of the stage's document."""
    floor = proven(open_floor)
    assert promote(floor)[0] == 200
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
    live = production(floor)
    bootstrap.use(live)
    signal = floor.signal("ETHUSDT")
    assess.assess(live.desk(), "ETHUSDT", signal.id)
    assert entry.open_position(live.desk(), "ETHUSDT", signal.id).status == "protected"
    if store == "failing":
        get = floor.store._inner.get

        def fails(container: str, partition: str, id_: str) -> Any:
            if id_ == "stage":
                raise StoreUnavailable("throttled")
            return get(container, partition, id_)

        floor.store._inner.get = fails
    else:
        put(floor.store, "control", "main", {"id": "stage", "scope": "main", **body})
    (problem,) = live.desk().stage_problems
    assert "cannot be read" in problem
    other = floor.signal("BTCUSDT")
    assess.assess(live.desk(), "BTCUSDT", other.id)
    assert entry.open_position(live.desk(), "BTCUSDT", other.id).status == "declined"
    for stop in floor.stops("ETHUSDT"):
        floor.venue.cancel_algo_order(floor.account, stop)
    floor.timer("guardian")
    assert floor.stops("ETHUSDT")
    assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.run(5)
    assert not floor.held("ETHUSDT")
