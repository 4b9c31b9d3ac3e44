"""The description is the interface: its routes, its examples, and what it says of itself."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.host.app import load
from local.platform import ROOT
from tests.described import description, problems

NEEDED = pytest.mark.skipif(
    importlib.util.find_spec("jsonschema") is None and not os.environ.get("CI"),
    reason="jsonschema is not installed: this environment is of before it was needed",
)
PAGE = (ROOT / "docs" / "api.md").read_text()


def described() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): one
        for path, item in description()["paths"].items()
        for method, one in item.items()
    }


def registered() -> dict[tuple[str, str], tuple[str, str]]:
    """Method and path -> function and level of the key, as the host indexes them."""
    found = {}
    for spec in load(ROOT):
        if spec.kind != "httpTrigger":
            continue
        raw = spec.trigger.raw
        route = raw["route"]
        level = str(raw["authLevel"]).rpartition(".")[2].lower()
        paths = [f"/{route.replace('?}', '}')}"]
        if route.endswith("?}"):
            paths.append("/" + route[: route.rindex("/{")])
        for method in raw["methods"]:
            name = str(method).rpartition(".")[2].upper()
            for path in paths:
                found[name, path] = (spec.name, level)
    return found


def test_every_route_and_method_is_described_and_no_other() -> None:
    told = {
        key: (
            one["operationId"].removesuffix("_index"),
            "anonymous" if one.get("security") == [] else "function",
        )
        for key, one in described().items()
    }
    assert told == registered()
    assert len(told) > 31


def test_every_endpoint_with_a_key_has_a_rule_for_people() -> None:
    from functions.roles import RULES
    from shared.access.roles import ROLES

    keyed = {one["operationId"]: one for one in described().values() if one["security"] != []}
    assert set(RULES) == set(keyed), "say in functions/roles.py what role an endpoint takes"
    for (method, _), one in described().items():
        if one["security"] == []:
            continue
        assert one["x-role"] in ROLES
        person = one["security"][-1]
        assert set(person) == ({"session"} if method == "GET" else {"session", "csrf"})


def test_every_endpoint_has_its_row_in_the_page() -> None:
    rows = re.findall(r"^\| (GET|POST) \| `/api(/[^`]*)` \| (none|function) \|", PAGE, re.MULTILINE)
    table = {(method, path): key for method, path, key in rows}
    assert len(table) == len(rows)
    keys = {
        key: "none" if one.get("security") == [] else "function"
        for key, one in described().items()
        if not one["operationId"].endswith("_index")
    }
    assert {(m, p.replace("?}", "}")): k for (m, p), k in table.items()} == keys


@NEEDED
def test_what_it_refers_to_is_there_and_what_is_there_is_a_schema() -> None:
    from jsonschema import Draft202012Validator

    text = json.dumps(description())
    components = description()["components"]["schemas"]
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referred <= set(components)
    for schema in components.values():
        Draft202012Validator.check_schema(schema)
    ids = [one["operationId"] for one in described().values()]
    assert len(ids) == len(set(ids))
    for (_, path), one in described().items():
        named = [p["name"] for p in one.get("parameters", []) if p["in"] == "path"]
        assert named == re.findall(r"{(\w+)}", path)


def test_the_same_code_gives_the_same_document() -> None:
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from functions.openapi.document import encoded; "
            "sys.stdout.buffer.write(encoded())",
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77"},
        capture_output=True,
        check=True,
    ).stdout
    from functions.openapi.document import encoded

    assert made == encoded()
    assert json.loads(made) == description()


# ---------------------------------------------------------------- examples of the page

#: Section -> what its examples are, in their order: an operation and a status, or its body.
EXAMPLES: dict[str, list[tuple[str, int | str]]] = {
    "GET /api/health": [("health", 200)],
    "GET /api/status": [("status", 200)],
    "GET /api/dashboard": [("dashboard", 200)],
    "GET /api/equity": [("equity", 200)],
    "GET /api/positions": [("positions", 200)],
    "GET /api/orders, /api/trades, /api/signals": [("orders", 200), ("trades", 200)],
    "GET /api/performance": [("performance", 200)],
    "GET /api/risk": [("risk", 200)],
    "POST /api/risk/stress": [("stress", 200)],
    "GET /api/approvals, POST /api/approvals/{id}": [("list_approvals", 200)],
    "POST /api/emergency-stop": [("emergency_stop", 202), ("emergency_stop", 200)],
    "POST /api/kill-switch/clear": [],
    "Parameter sweeps": [("start_sweep", "body"), ("get_sweep", 200)],
    "Models and predictions": [("models", 200), ("predict", 200), ("predict_batch", 200)],
    "Chart patterns": [("chart_patterns", 200), ("read_chart", 200)],
    "Model versions": [("compare_models", 200)],
    "Assistant, sentiment, documents": [("chat", 200), ("analyse", 200), ("sentiment", 200)],
    "GET /api/models/drift": [("model_drift", 200)],
    "Anomalies": [("list_anomalies", 200)],
    "GET /api/checklist": [("checklist", 200)],
    "POST /api/stage/promote": [],
    "Compliance": [("list_violations", 200), ("scan_history", 200)],
    "GET /api/audit, POST /api/audit/verify": [
        ("list_audit", 200),
        ("verify_audit", "body"),
        ("verify_audit", 200),
    ],
    "GET /api/alerts": [("list_alerts", 200)],
    "GET /api/dead-letters": [("list_dead_letters", 200)],
    "GET /api/config": [("config", 200)],
    "GET /api/instruments": [("instruments", 200)],
    "POST /api/reconcile": [("reconcile_now", 200)],
    "GET /api/session": [("session", 200)],
    "GET /api/sessions": [("list_sessions", 200)],
}
#: Bodies that stand whole in the text: section -> what they are, in their order.
INLINE: dict[str, list[tuple[str, int | str]]] = {
    "POST /api/emergency-stop": [("emergency_stop", "body")],
    "Models and predictions": [("predict", "body"), ("predict_batch", "body")],
    "Assistant, sentiment, documents": [
        ("chat", "body"),
        ("analyse", "body"),
        ("add_texts", "body"),
    ],
    "POST /api/kill-switch/clear": [("clear_kill_switch", "body"), ("clear_kill_switch", 200)],
    "POST /api/stage/promote": [("promote_stage", "body"), ("promote_stage", 200)],
    "GET /api/alerts": [("acknowledge_alert", "body")],
    "GET /api/session": [
        ("session", 200),
        ("complete_sign_in", "body"),
        ("sign_out", "body"),
    ],
    "GET /api/sessions": [("end_session", "body")],
    "Compliance": [
        ("acknowledge_violation", "body"),
        ("close_violation", "body"),
        ("add_event", "body"),
    ],
}
_FENCE = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, str]:
    """Sections of the endpoints by heading; what comes before them, and events, are not theirs."""
    part = PAGE.partition("\n## Endpoints\n")[2].partition("\n## Events\n")[0]
    found = {}
    for text in re.split(r"^### ", part, flags=re.MULTILINE)[1:]:
        heading, _, body = text.partition("\n")
        found[heading] = body
    return found


def schema_of(operation: str, what: int | str) -> dict[str, Any]:
    (one,) = [o for o in described().values() if o["operationId"] == operation]
    part = one["requestBody"] if what == "body" else one["responses"][str(what)]
    found: dict[str, Any] = part["content"]["application/json"]["schema"]
    return found


def test_the_examples_are_of_known_sections() -> None:
    with_examples = {heading for heading, body in sections().items() if _FENCE.search(body)}
    assert with_examples == {heading for heading, known in EXAMPLES.items() if known}


@NEEDED
@pytest.mark.parametrize("heading", EXAMPLES)
def test_examples_of_the_page_are_what_is_described(heading: str) -> None:
    texts = _FENCE.findall(sections()[heading])
    assert len(texts) == len(EXAMPLES[heading])
    for text, (operation, what) in zip(texts, EXAMPLES[heading], strict=True):
        assert problems(schema_of(operation, what), json.loads(text)) == [], operation


@NEEDED
@pytest.mark.parametrize("heading", INLINE)
def test_bodies_in_the_text_are_what_is_described(heading: str) -> None:
    prose = _FENCE.sub("", sections()[heading])
    whole = []
    for text in re.findall(r"`({\"[^`]*})`", prose):
        try:
            whole.append(json.loads(text))
        except ValueError:
            continue  # shortened
    for value, (operation, what) in zip(whole, INLINE[heading], strict=True):
        assert problems(schema_of(operation, what), value) == [], (operation, value)


@NEEDED
def test_the_error_of_the_page_is_the_one_described() -> None:
    (text,) = _FENCE.findall(PAGE.partition("\n## Endpoints\n")[0])
    assert problems(schema_of("get_trade", 404), json.loads(text)) == []


@NEEDED
def test_a_wrong_example_is_found_out() -> None:
    """The schemas say something: every field that is left out, added or of another type is seen."""
    schema = schema_of("positions", 200)
    (text,) = _FENCE.findall(sections()["GET /api/positions"])
    good = json.loads(text)
    assert problems(schema, good) == []
    row = good["positions"][0]
    for name in row:
        for wrong in (
            {k: v for k, v in row.items() if k != name},
            row | {name: {"an": "object"}},
            row | {f"{name}Too": 1},
        ):
            assert problems(schema, {"positions": [wrong]}), (name, wrong)


def test_the_committed_requirements_name_the_validator() -> None:
    assert "jsonschema==" in Path(ROOT / "requirements-dev.txt").read_text()
