"""Tables of the pages say what the code says."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from pages import ROOT, blocks, quoted, rows, section, text

from local.replay.summary import Summary
from shared import telemetry
from shared.security.secrets import SECRETS, environment_name
from shared.settings import SETTINGS, load
from shared.strategies.config import decode_config
from streamer import settings as streamer

# ---------------------------------------------------------------- settings


def test_defaults_that_pages_tell_in_passing_are_those_of_the_code() -> None:
    """Prose says "`STOP_ATR` (4)": the figure in brackets is the default."""
    defaults = {s.name: s.default or "" for s in SETTINGS}
    told = [
        (page.name, name, figure)
        for page in sorted((ROOT / "docs").glob("*.md"))
        for name, figure in re.findall(r"`([A-Z][A-Z_]+)` \((\d[\d.]*)\)", page.read_text())
        if name in defaults
    ]
    assert len(told) >= 4
    assert [t for t in told if defaults[t[1]] != t[2]] == []


def test_parameters_of_a_deployment_are_those_of_the_templates() -> None:
    file = (ROOT / "infra/bicep/main.parameters.json").read_text()
    known = set(re.findall(r"\$\{(BORSA_[A-Z_]+)", file))
    page = section(text("deploy.md"), "Parameters")
    told = set(re.findall(r"`(BORSA_[A-Z_]+)`", page))
    # Families that settings.md lists one by one.
    families = tuple(f for f in re.findall(r"`(BORSA_[A-Z]+_)\*`", page))
    assert told - known == set()
    assert {k for k in known - told if not k.startswith(families)} == set()


def test_settings_are_those_of_the_code() -> None:
    table = rows(section(text("settings.md"), "Settings of the application"))
    documented = {quoted(r[0])[0]: (quoted(r[1]) or [""])[0] for r in table}
    assert documented == {s.name: s.default or "" for s in SETTINGS}


def test_ranges_are_those_of_the_code() -> None:
    """What lies just outside a documented range of numbers is refused; its ends are taken."""
    table = rows(section(text("settings.md"), "Settings of the application"))
    assert judged_ranges(table, load) >= 9


def test_settings_of_the_streamer_are_those_of_its_code() -> None:
    table = rows(section(text("streamer.md"), "Settings"))
    documented = {quoted(r[0])[0]: (quoted(r[1]) or [""])[0] for r in table}
    assert documented == {s.name: s.default or "" for s in streamer.SETTINGS}

    def load_it(environment: dict[str, str]) -> None:
        streamer.load(environment, sends=False)

    assert judged_ranges(table, load_it) == 7
    (streams,) = (r[3] for r in table if quoted(r[0]) == ["STREAMER_STREAMS"])
    assert streams == "out of " + ", ".join(streamer.STREAMS)


def judged_ranges(table: list[list[str]], load: Callable[[dict[str, str]], object]) -> int:
    """How many documented ranges of numbers are those that a loader keeps."""
    sound = {"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet"}
    judged = 0
    for name, _, _, told in table:
        name = quoted(name)[0]
        whole = re.fullmatch(r"(\d+) to (\d+)", told)
        real = re.fullmatch(r"above ([\d.]+), up to ([\d.]+)", told)
        if whole:
            good, bad = [whole[1], whole[2]], [str(int(whole[1]) - 1), str(int(whole[2]) + 1)]
        elif real:
            good, bad = [real[2]], [real[1], f"{real[2]}1" if "." in real[2] else f"{real[2]}.1"]
        else:
            continue
        judged += 1
        for value in good:
            load({**sound, name: value})
        for value in bad:
            with pytest.raises(Exception, match=name):
                load({**sound, name: value})
    return judged


def test_the_sample_holds_every_documented_setting_and_no_other() -> None:
    page = text("settings.md")
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    documented = {
        quoted(r[0])[0]
        for heading in ("Settings of the application", "Settings of the platform")
        for r in rows(section(page, heading))
    }
    documented |= {quoted(r[1])[0] for r in rows(section(page, "Secrets"))}
    assert set(sample) == documented


def test_secrets_are_those_of_the_code() -> None:
    table = rows(section(text("settings.md"), "Secrets"))
    assert {quoted(r[0])[0]: quoted(r[1])[0] for r in table} == {
        s: environment_name(s) for s in SECRETS
    }


def test_the_trading_plan_of_the_page_works() -> None:
    (plan,) = blocks(text("settings.md"), "json")
    config = decode_config(plan)
    assert config.ensemble("ETHUSDT", "1h").threshold == 0.5
    assert len(config.ensemble("BTCUSDT", "5m").members) == 5


# ---------------------------------------------------------------- alerts and telemetry


def raised() -> dict[str, str]:
    """Kind -> severity of every alert in the code."""
    found: dict[str, str] = {}
    for folder in ("shared", "functions"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                # Called, or put off with everything it needs.
                put_off = isinstance(node.func, ast.Name) and node.func.id == "partial"
                what, *arguments = node.args if put_off else (node.func, *node.args)
                if isinstance(what, ast.Attribute) and what.attr == "alert":
                    severity, kind = (ast.literal_eval(a) for a in arguments[:2])
                    assert found.setdefault(kind, severity) == severity, kind
    return found


def test_alerts_are_those_of_the_code() -> None:
    table = rows(section(text("operations.md"), "Alerts"))
    documented = {quoted(r[0])[0]: r[1] for r in table if len(r) == 4}
    assert documented == raised()
    assert len(documented) > 10


def test_rules_of_the_compliance_monitor_are_those_of_the_code() -> None:
    from shared.compliance.rules import RULES

    table = rows(section(text("compliance.md"), "Rules"))
    documented = {quoted(r[0])[0]: (r[1], r[2]) for r in table}
    assert documented == {r.name: (r.severity, r.title) for r in RULES.values()}


def test_thresholds_of_the_compliance_monitor_are_those_of_the_code() -> None:
    from shared.compliance.rules import Thresholds

    table = rows(section(text("compliance.md"), "Thresholds"))
    documented = {quoted(r[0])[0]: r[1] for r in table}
    assert documented == {
        f"{group}.{name}": str(value)
        for group, fields in msgspec.structs.asdict(Thresholds()).items()
        for name, value in msgspec.structs.asdict(fields).items()
    }


def test_alert_rules_are_those_of_the_template() -> None:
    table = rows(section(text("operations.md"), "Alerts"))
    documented = {name for r in table if len(r) == 2 for name in quoted(r[0])}
    template = (ROOT / "infra/bicep/modules/alerts.bicep").read_text()
    rules = set(re.findall(r"^ {4}name: '([a-z-]+)'$", template, re.MULTILINE))
    assert documented == rules


def test_metrics_are_those_of_the_code() -> None:
    table = rows(section(text("operations.md"), "Telemetry"))
    documented = {quoted(r[0])[0]: (r[1], r[2]) for r in table}
    assert documented == telemetry.INSTRUMENTS


# ---------------------------------------------------------------- replay


def test_summary_fields_are_those_of_the_code() -> None:
    table = rows(section(text("replay.md"), "summary.json"))
    documented = [name for r in table for name in quoted(r[0])]
    assert documented == [f.encode_name for f in msgspec.structs.fields(Summary)]


# ---------------------------------------------------------------- HTTP, timers, workflows


# In a process of its own: the SDK indexes an app once in a process only.
_INDEX = """
import json, function_app
print(json.dumps({
    f.get_function_name(): f.get_trigger().get_dict_repr()
    for f in function_app.app.get_functions()
}, default=str))
"""


def functions() -> dict[str, dict[str, object]]:
    """Trigger of every function of the app, by name."""
    done = subprocess.run(
        [sys.executable, "-c", _INDEX], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def triggers() -> dict[str, dict[str, object]]:
    return functions()


def test_endpoints_are_those_of_the_app(triggers: dict[str, dict[str, object]]) -> None:
    found = rows(section(text("api.md"), "Endpoints"))
    table = [r for r in found if r[0] in ("GET", "POST") and len(r) == 4]
    documented = {(r[0], quoted(r[1])[0], r[2]) for r in table}
    levels = {"ANONYMOUS": "none", "FUNCTION": "function"}
    real = set()
    for trigger in triggers.values():
        if trigger["type"] != "httpTrigger":
            continue
        for method in trigger["methods"]:  # type: ignore[attr-defined]
            key = levels[str(getattr(trigger["authLevel"], "name", trigger["authLevel"]))]
            name = str(getattr(method, "name", method))
            real.add((name, f"/api/{trigger['route']}", key))
    assert documented == real


def test_timers_are_those_of_the_app(triggers: dict[str, dict[str, object]]) -> None:
    documented = {quoted(r[0])[0]: quoted(r[1])[0] for r in rows(section(text("api.md"), "Timers"))}
    assert documented == {
        name: t["schedule"] for name, t in triggers.items() if t["type"] == "timerTrigger"
    }


def test_consumers_are_those_of_the_app(triggers: dict[str, dict[str, object]]) -> None:
    documented = {
        (quoted(r[0])[0], quoted(r[2])[0], quoted(r[3])[0])
        for r in rows(section(text("api.md"), "Events"))
    }
    assert documented == {
        (t["eventHubName"], t["consumerGroup"], name)
        for name, t in triggers.items()
        if t["type"] == "eventHubTrigger"
    }


def test_workflows_are_those_of_the_app(triggers: dict[str, dict[str, object]]) -> None:
    part = section(text("api.md"), "Workflows")
    assert {quoted(r[0])[0] for r in rows(part)} == {
        name for name, t in triggers.items() if t["type"] == "orchestrationTrigger"
    }
    activities = {name for name, t in triggers.items() if t["type"] == "activityTrigger"}
    assert activities <= set(quoted(part))


def test_examples_are_json() -> None:
    for name in ("api.md", "settings.md"):
        for block in blocks(text(name), "json"):
            json.loads(block)


def test_example_events_are_taken_by_the_code() -> None:
    from shared.alerts.alert import Alert
    from shared.market.events import decode
    from shared.portfolio.positions import PositionRecord
    from shared.portfolio.trades import Trade

    page = text("api.md")
    examples = [json.loads(b) for b in blocks(section(page, "Events"), "json")]
    candle, opened, alert, compliance = examples
    decode(json.dumps(candle).encode())
    names = {f.encode_name for f in msgspec.structs.fields(PositionRecord)}
    assert set(opened) == names | {"type", "symbol"}
    msgspec.convert(alert, Alert)
    assert {"id", "kind", "text"} <= set(compliance)
    trades = next(b for b in blocks(page, "json") if b.startswith('{"trades"'))
    msgspec.convert(json.loads(trades)["trades"][0], Trade)


def test_served_endpoints_of_the_exchange_are_listed() -> None:
    from local.exchange.api import ROUTES
    from local.exchange.endpoints import TABLE

    assert ROUTES
    part = section(text("exchange.md"), "Endpoints served")
    listed = set(quoted(part))
    served = {re.sub(r"^/fapi/v\d/", "", path) for _, path in TABLE}
    assert served <= listed


def test_errors_and_their_statuses_are_those_of_the_code() -> None:
    from functions.http import TooLarge, failed
    from shared import errors

    told = text("api.md").split("## Endpoints")[0]
    documented = {kind: int(status) for status, kinds, _ in rows(told) for kind in quoted(kinds)}
    # What needs more than a message to be made.
    made = {"ConfigurationError": errors.ConfigurationError(["wrong"]), "TooLarge": TooLarge("x")}
    for kind, status in documented.items():
        error = made.get(kind) or getattr(errors, kind)("x")
        assert failed(error).status_code == status, kind
    answered = {
        name
        for name, error in vars(errors).items()
        if isinstance(error, type)
        and issubclass(error, errors.ExchangeError | errors.StoreError | errors.InvalidInput)
    }
    assert answered - {"ExchangeError", "StoreError"} <= set(documented)
