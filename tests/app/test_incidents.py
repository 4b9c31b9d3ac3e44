"""One file about a stretch of time: whole, in order, within bounds, and nothing secret in it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from desk import START, Floor
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, TOTP_SECRET, app_settings
from shared.alerts import alert as alerts
from shared.audit.log import AuditLog
from shared.bootstrap import Services
from shared.clock import DAY_MS, iso
from shared.errors import InvalidInput
from shared.operations.configured import settings_in_force
from shared.operations.incident.bundle import bundle
from shared.operations.incident.gather import gather
from shared.operations.withheld import WITHHELD, Withholding
from shared.storage.sqlite import SqliteStore

HOUR_MS = 3_600_000
PARTS = (
    "alerts",
    "violations",
    "approvals",
    "decisions",
    "orders",
    "trades",
    "positions",
    "dead-letters",
    "audit",
)


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def rows(files: Mapping[str, bytes], part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[f"{part}.jsonl"].splitlines()]


def asked(floor: Floor, query: str = "") -> dict[str, bytes]:
    answer = floor.http("GET", f"/api/incidents{query}")
    assert answer.status == 200, answer.body
    headers = {k.lower(): v for k, v in answer.headers}
    assert headers["content-type"] == "application/zip"
    assert headers["cache-control"] == "no-store"
    assert headers["content-disposition"].startswith('attachment; filename="incident-2025')
    return unpacked(answer.body)


def stopped(open_floor: Any) -> Floor:
    """A floor that was stopped by hand with a position open, and armed again."""
    floor = open_floor()
    floor.trade()
    floor.minutes(2)
    answer = floor.http("POST", "/api/emergency-stop", {"operator": "anna", "reason": "strange"})
    assert answer.status == 202
    floor.run(40)
    code = {"operator": "eva", "reason": "looked at it, all is well", "code": floor.totp()}
    assert floor.http("POST", "/api/kill-switch/clear", code).status == 200
    floor.run(5)
    return floor


def test_an_emergency_stop_is_told_in_its_order(open_floor) -> None:
    floor = stopped(open_floor)
    files = asked(floor)
    text = files["summary.md"].decode()
    lines = text.partition("## Timeline")[2].splitlines()

    def at(*words: str) -> int:
        (found, *_) = [n for n, line in enumerate(lines) if all(w in line for w in words)]
        return found

    order = [
        at("decision", "BTCUSDT approved", "BUY 0.004"),
        at("intent", "bq-e-"),
        at("order", "bq-e-", "is filled"),
        at("protection", "stopPrice"),
        at("kill_switch", "LATCHED by manual", "operator anna", "reason strange"),
        at("alert (critical)", "Kill switch latched: manual", "[stored]"),
        at("emergency", "FLAT", "closed BTCUSDT"),
        at("trade", "BTCUSDT closed by emergency stop"),
        at("kill_switch", "ARMED by eva: looked at it, all is well"),
    ]
    assert order == sorted(order)
    times = [line[:24] for line in lines if line[:2] == "20"]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)
    assert "- kill switch: armed" in text
    assert "- audit: verifies" in text


def test_a_refusal_that_halts_entries_is_told_as_one(open_floor) -> None:
    from shared.errors import ExchangeHalted
    from shared.execution.halting import heed

    floor = open_floor()
    heed(floor.desk, ExchangeHalted("Invalid API-key", code=-2015, status=401))
    text = asked(floor)["summary.md"].decode()
    assert "- kill switch: HALTED, the exchange refused: " in text
    assert "entries HALTED by the exchange: -2015" in text
    assert "ARMED" not in text


def test_what_is_in_it_is_what_the_state_holds(open_floor) -> None:
    floor = stopped(open_floor)
    files = asked(floor)
    assert {f"{part}.jsonl" for part in PARTS} < set(files)
    assert rows(files, "trades") == floor.trades()
    assert rows(files, "positions") == floor.documents("positions")
    mine = {d["id"]: d for d in floor.documents("orders")}
    assert {d["id"]: d for d in rows(files, "orders")} == mine
    # Verifying moves nothing but its mark, so the chain is the one that is there.
    chain = [r.seq for r in floor.services.audit.records()]
    assert [r["seq"] for r in rows(files, "audit") if r["kind"] != "day_end"] == chain
    control = json.loads(files["control.json"])
    (episode,) = control["kill-switch"]["history"]
    assert (episode["trigger"], episode["operator"]) == ("manual", "eva")
    assert json.loads(files["verification.json"])["ok"] is True
    names = {s["name"]: s["value"] for s in json.loads(files["settings.json"])}
    assert names["TIMEFRAMES"] == "5m"
    manifest = json.loads(files["manifest.json"])
    assert manifest["versions"]["code"]
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    for name, told in manifest["files"].items():
        assert told["sha256"] == hashlib.sha256(files[name]).hexdigest()


def test_only_the_period_is_in_it(open_floor) -> None:
    floor = stopped(open_floor)
    end = iso(START + 60_000).removesuffix(".000Z")
    files = asked(floor, f"?since=2025-05-05T10:00&until={end}")
    assert all(r["time"] <= START + 60_000 for r in rows(files, "audit"))
    assert rows(files, "trades") == []
    assert "LATCHED" not in files["summary.md"].decode().partition("## Timeline")[2]
    # How things stand is told all the same.
    assert json.loads(files["control.json"])["kill-switch"]["history"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?since=2025-05-05&until=2025-05-05", "not after the beginning"),
        ("?since=2025-05-06&until=2025-05-05", "not after the beginning"),
        ("?since=2025-01-01&until=2025-05-05", "at most 31 days"),
        ("?since=lately", "since is 'lately'"),
    ],
)
def test_a_period_that_cannot_be_used_is_refused(open_floor, query: str, says: str) -> None:
    answer = open_floor().http("GET", f"/api/incidents{query}")
    assert answer.status == 400
    assert says in json.loads(answer.body)["error"]["message"]


def test_no_more_than_ten_a_minute(open_floor) -> None:
    floor = open_floor()
    statuses = [floor.http("GET", "/api/incidents").status for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_a_record_that_was_changed_is_said_first(open_floor) -> None:
    floor = stopped(open_floor)
    record = next(iter(floor.services.audit.records(kind="decision")))
    document = floor.store.get("audit", record.day, record.id)
    body = json.loads(json.dumps(document.body))
    body["body"]["decision"]["outcome"] = "declined"
    etag = floor.store.replace("audit", body, etag=document.etag).etag
    files = asked(floor)
    assert f"record {record.seq} was changed" in files["summary.md"].decode()
    verification = json.loads(files["verification.json"])
    assert [p["seq"] for p in verification["recordsOfThePeriod"]] == [record.seq]
    # The floor verifies the chain when it closes.
    floor.store.replace("audit", document.body, etag=etag)


# ---------------------------------------------------------------- bounds and secrets


def opened(environment: Mapping[str, str] | None = None) -> Services:
    clock = VirtualClock(START)
    settings_ = app_settings("http://exchange.invalid", **(environment or {}))
    return Services(settings_, clock=clock, store=SqliteStore(":memory:", clock=clock))


def made(services: Services, *, most: int | None = None, rows: int = 20_000) -> dict[str, bytes]:
    found = gather(services.store, "main", START - HOUR_MS, START + HOUR_MS, rows=rows)
    bounds = {} if most is None else {"most": most}
    return unpacked(
        bundle(
            found,
            Withholding(services.environment, services.secrets),
            now_ms=START,
            settings=settings_in_force(services),
            **bounds,
        )
    )


def raise_alerts(services: Services, count: int, text: str = "text") -> None:
    for number in range(count):
        alerts.save(
            services.store,
            alerts.make(
                "main",
                severity="warning",
                kind="drill",
                title=f"alert {number}",
                text=text,
                now_ms=START + number,
                correlation=str(number),
            ),
        )


def test_rows_beyond_the_bound_are_left_out_and_said_so() -> None:
    services = opened()
    raise_alerts(services, 8)
    files = made(services, rows=5)
    assert [a["title"] for a in rows(files, "alerts")] == [f"alert {n}" for n in range(5)]
    assert json.loads(files["manifest.json"])["cut"] == ["alerts"]
    assert "NOT COMPLETE: alerts" in files["summary.md"].decode()
    services.store.close()


def test_bytes_beyond_the_bound_are_left_out_and_said_so() -> None:
    services = opened()
    raise_alerts(services, 50, "x" * 2_000)
    files = made(services, most=60_000)
    assert "alerts.jsonl" not in files
    assert sum(map(len, files.values())) < 120_000
    assert json.loads(files["manifest.json"])["leftOut"] == ["alerts.jsonl"]
    assert "LEFT OUT, too large: alerts.jsonl" in files["summary.md"].decode()
    services.store.close()


@pytest.mark.parametrize(("since", "until"), [(5, 5), (6, 5), (0, 31 * DAY_MS + 1)])
def test_a_period_is_a_period(since: int, until: int) -> None:
    services = opened()
    with pytest.raises(InvalidInput):
        gather(services.store, "main", since, until)
    services.store.close()


#: Characters that JSON, Markdown and base64 treat in a way of their own are among them.
SECRET = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=12, max_size=80
)
PLACES = {
    "BINANCE_API_KEY": "{}",
    "BINANCE_API_SECRET": "{}",
    "TOTP_SECRET": "{}",
    "CosmosDbConnection__accountKey": "{}",
    "EventHubConnection": "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey={}",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey={}",
}


@settings(max_examples=40, deadline=None)
@given(secret=SECRET, place=st.sampled_from(sorted(PLACES)), around=st.text(max_size=20))
def test_no_secret_is_in_it_wherever_it_got_to(secret: str, place: str, around: str) -> None:
    value = PLACES[place].format(secret)
    leaked = f"{around}{value}{around}"
    services = opened({place: value, "RESEARCH_DATA": f"folder/{leaked}"})
    store, log = services.store, AuditLog(services.store, services.clock, "main")
    raise_alerts(services, 1, leaked)
    store.create(
        "violations",
        {
            "id": "v",
            "account": "main",
            "kind": "k",
            "text": leaked,
            "time": START,
            "state": "open",
            "evidence": {leaked: [leaked, {"deep": leaked}]},
        },
    )
    store.create(
        "deadletter",
        {
            "id": "1",
            "source": "market",
            "reason": leaked,
            "time": iso(START),
            "body": base64.b64encode(leaked.encode()).decode(),
        },
    )
    with contextlib.suppress(InvalidInput):  # the chain itself refuses what looks like one
        log.append("incident", {"reason": leaked}, correlation="c")
    files = made(services)
    store.close()
    forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms.add(base64.b64encode(leaked.encode()).decode())
    for name, data in files.items():
        for form in forms:
            assert form.encode() not in data, name
    assert WITHHELD.encode() in files["alerts.jsonl"]


def test_the_secrets_of_an_emergency_are_not_in_its_bundle(open_floor) -> None:
    floor = stopped(open_floor)
    assert floor.platform is not None
    keys = [floor.platform.host.keys.master, *floor.platform.host.keys.host.values()]
    files = asked(floor)
    for name, data in files.items():
        for secret in (SIMULATED_KEY, SIMULATED_SECRET, TOTP_SECRET, *keys):
            assert secret.encode() not in data, name


def test_a_vault_that_is_away_keeps_nobody_from_the_bundle() -> None:
    class Away:
        def get(self, name: str) -> str:
            raise ConnectionError(name)

    services = opened()
    found = gather(services.store, "main", START - HOUR_MS, START + HOUR_MS)
    withholding = Withholding(services.environment, Away())
    files = unpacked(bundle(found, withholding, now_ms=START, settings=None))
    assert "binance-api-key could not be read" in files["summary.md"].decode()
    services.store.close()


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("https://x/api?code=abcDEF123==&limit=1", "abcDEF123"),
        ("Authorization: Bearer eyJ0eXAi.x-y_z", "eyJ0eXAi"),
        ("signature=deadbeef&timestamp=1", "deadbeef"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
        ("x-functions-key=abc", "abc"),
    ],
)
def test_what_looks_like_a_secret_is_withheld_whoever_it_belongs_to(text: str, gone: str) -> None:
    services = opened()
    told = Withholding(services.environment, services.secrets).text(text)
    assert gone not in told
    assert WITHHELD in told
    services.store.close()


def test_ordinary_text_stays_as_it_is() -> None:
    services = opened()
    withholding = Withholding(services.environment, services.secrets)
    for text in (
        "BTCUSDT closed at 97994: -8.42 USDT: stop; entry 100000.1, fees 0.40",
        "the code is wrong",
        "bq-s-84a4f60ac4a8e8c00b610d3797b3",
        "09b53c2b65ed875245dfbfd7935b9413afeb9a00f15b805206c20ff7685031e3",
    ):
        assert withholding.text(text) == text
    services.store.close()


# ---------------------------------------------------------------- the command line


def test_the_command_writes_the_file_of_a_run_that_is_dead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from local.cli.main import main

    clock = VirtualClock(START)
    store = SqliteStore(str(tmp_path / "state.db"), clock=clock)
    log = AuditLog(store, clock, "main")
    log.append("kill_switch", {"state": "latched", "trigger": "manual"}, correlation="e")
    # Kept for 180 days of the run's own time, which on this machine's clock are long over.
    alert = alerts.make(
        "main",
        severity="critical",
        kind="kill-switch",
        title="Kill switch latched",
        text="t",
        now_ms=clock.now_ms(),
        correlation="e",
    )
    alerts.save(store, alert)
    clock.sleep(60)
    log.append("emergency", {"flat": True, "closed": [], "remaining": []}, correlation="e")
    store.close()
    out = tmp_path / "found.zip"
    state = ["--state", str(tmp_path)]
    assert main(["incident", *state, "--since", "2025-05-05T10:00", "--out", str(out)]) == 0
    files = unpacked(out.read_bytes())
    text = files["summary.md"].decode()
    assert text.index("LATCHED by manual") < text.index("account verified FLAT")
    assert [a["id"] for a in rows(files, "alerts")] == [alert.id]
    assert "the application was not running" in text
    assert "(the whole chain)" in text
    assert json.loads(files["settings.json"]) is None
    assert "2 audit" in capsys.readouterr().out
    assert main(["incident", "--state", str(tmp_path / "none")]) == 2
