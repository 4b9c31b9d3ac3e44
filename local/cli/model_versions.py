"""``./run models ACTION``: versions in the registry, and who votes."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from local.cli.embedded_code import embedded_code
from local.cli.open_state import call, open_store
from shared.clock import SystemClock, iso
from shared.errors import InvalidInput
from shared.intelligence.card import encoded
from shared.intelligence.library import Library
from shared.intelligence.registry import Registry
from shared.storage.store import Store

#: The simulated clock may outrun a code between two requests.
ATTEMPTS = 3


def run(options: argparse.Namespace) -> int:
    """0 when it was done."""
    return _ACTIONS[options.action](options)


@contextmanager
def _registry(options: argparse.Namespace) -> Iterator[Registry]:
    clock = SystemClock()
    store: Store
    if options.cosmos:
        from shared.bootstrap import Services

        settings = {
            "CosmosDbConnection__accountEndpoint": options.cosmos,
            "COSMOS_DATABASE": options.database,
        }
        store = Services(settings, clock=clock).store
    else:
        store = open_store(options.state, clock)
    try:
        yield Registry(store, clock)
    finally:
        store.close()


def _versions(options: argparse.Namespace) -> int:
    with _registry(options) as registry:
        slots, waiting = registry.slots(), registry.waiting()
    for name, slot in slots.items():
        print(name)
        for version in slot.versions.values():
            print(
                f"  {version.version}  {version.state:<10}  {version.timeframe:<4}"
                f"{version.size:>10,} bytes  {iso(version.registered_at)}  {version.source}"
            )
        for tenure in slot.tenures:
            extra = ", without the evidence" if tenure.override else ""
            print(
                f"    {tenure.how} to {tenure.version} by {tenure.operator} from "
                f"{iso(tenure.since)} on{extra}: {tenure.reason}"
            )
    for offer in waiting:
        print(
            f"{offer.model}\n  {offer.version}  offered {iso(offer.offered_at)} by {offer.source}; "
            "the application has not taken it in"
        )
    known = sum(len(slot.versions) for slot in slots.values())
    print(f"{known} versions; a model without a champion here votes with its shipped file")
    return 0


def _register(options: argparse.Namespace) -> int:
    folder = Library(options.folder)
    model = folder.model(options.name)
    source = f"{getpass.getuser()} from {options.folder.resolve().name}/"
    with _registry(options) as registry:
        version = registry.register(
            model.card, folder.source(options.name), source, challenge=options.challenge
        )
    print(f"{options.name} {version.version}: {version.state}")
    return 0


def _export(options: argparse.Namespace) -> int:
    with _registry(options) as registry:
        onnx, card = registry.onnx(options.name, options.version)
    options.out.mkdir(parents=True, exist_ok=True)
    for ending, content in (("onnx", onnx), ("json", encoded(card))):
        file = options.out / f"{options.name}.{ending}"
        file.write_bytes(content)
        print(file)
    return 0


def _compare(options: argparse.Namespace) -> int:
    path = f"models/{quote(options.name)}/comparison"
    if options.version:
        path += f"?version={quote(options.version)}"
    found = _done(*call(options.state, "GET", path))["comparisons"]
    for one in found:
        print(f"{one['model']} {one['challengerVersion']} against {one['championVersion']}")
        print(f"  {one['verdict']}: {one['why']}")
        for who in ("champion", "challenger"):
            judged = one[who]
            if judged:
                hits = judged["hitRate"]
                print(
                    f"  {who:<10}  log loss {judged['logLoss']:.4f}  Brier {judged['brier']:.4f}  "
                    f"{judged['votes']:,} votes, hits "
                    + ("-" if hits is None else f"{100 * hits:.1f} %")
                )
    print(f"{len(found)} compared")
    return 0


def _change(options: argparse.Namespace) -> int:
    body = {
        "version": options.version,
        "operator": getpass.getuser(),
        "reason": options.reason,
    }
    path = f"models/{quote(options.name)}/{options.action}"
    print(json.dumps(_done(*call(options.state, "POST", path, body)), indent=2))
    return 0


def _promote(options: argparse.Namespace) -> int:
    return _crown(options, {"version": options.version, "override": options.override})


def _roll_back(options: argparse.Namespace) -> int:
    return _crown(options, {})


def _crown(options: argparse.Namespace, fields: dict[str, Any]) -> int:
    """An action under the second factor."""
    status, body = 0, None
    for _ in range(1 if options.code else ATTEMPTS):
        status, body = call(
            options.state,
            "POST",
            f"models/{quote(options.name)}/{options.action}",
            {
                **fields,
                "operator": getpass.getuser(),
                "reason": options.reason,
                "code": options.code or embedded_code(options.state),
            },
        )
        if status == 200 or (body or {}).get("error", {}).get("kind") != "CodeRefused":
            break
    done = _done(status, body)
    print(f"{options.name} {done['version']} votes at bars that close from {iso(done['since'])} on")
    return 0


def _done(status: int, body: Any) -> Any:
    if status >= 300:
        said = (body or {}).get("error", {}).get("message", f"answered with {status}")
        raise InvalidInput(str(said))
    return body


_ACTIONS = {
    "versions": _versions,
    "register": _register,
    "export": _export,
    "compare": _compare,
    "challenge": _change,
    "withdraw": _change,
    "reject": _change,
    "promote": _promote,
    "rollback": _roll_back,
}
