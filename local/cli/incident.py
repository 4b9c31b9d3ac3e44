"""``./run incident``: everything about a stretch of time in one zip file, also from a dead run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import msgspec

from local.cli.open_state import ACCOUNT, call, open_store, running
from local.clock import VirtualClock
from local.platform import app_settings
from shared.audit.chain import HEAD_CONTAINER, HEAD_ID
from shared.audit.record import from_document, record_id
from shared.clock import DAY_MS, SystemClock
from shared.errors import InvalidInput
from shared.operations.configured import InForce
from shared.operations.incident.bundle import bundle, name_of
from shared.operations.incident.gather import gather
from shared.operations.withheld import Withholding
from shared.security.secrets import EnvironmentSecrets


def run(options: argparse.Namespace) -> int:
    """0 when the file was written and the audit of the period verifies, 1 when it does not."""
    last = _last(options)
    # Alerts and approvals are kept for a while, counted on the run's own clock.
    store = open_store(options.state, VirtualClock(last))
    try:
        until = options.until if options.until is not None else last
        since = options.since if options.since is not None else until - DAY_MS
        found = gather(store, ACCOUNT, since, until, whole=True)
    finally:
        store.close()
    environment = _environment(options)
    settings, notes = _settings(options)
    data = bundle(
        found,
        Withholding(environment, EnvironmentSecrets(environment)),
        now_ms=SystemClock().now_ms(),
        settings=settings,
        notes=notes,
    )
    target = options.out or options.state / name_of(since, until)
    target.write_bytes(data)
    rows = ", ".join(f"{len(part.rows)} {name}" for name, part in found.parts.items())
    print(f"{target}: {rows}")
    for name in found.cut:
        print(f"NOT COMPLETE: {name} holds more than is taken; choose a shorter period")
    if found.verification.ok and not found.links:
        return 0
    print("The audit chain does NOT verify; see verification.json in the file")
    return 1


def _last(options: argparse.Namespace) -> int:
    """Time of the last audit record: a run's time is not this machine's."""
    store = open_store(options.state)
    try:
        head = store.get(HEAD_CONTAINER, ACCOUNT, HEAD_ID)
        if head is None:
            raise InvalidInput("nothing was recorded there yet")
        found = store.get("audit", head.body["day"], record_id(ACCOUNT, head.body["seq"]))
    finally:
        store.close()
    if found is None:
        # Which verifying tells; everything of the run is before now.
        return SystemClock().now_ms()
    return from_document(found.body).time


def _environment(options: argparse.Namespace) -> Mapping[str, str]:
    """Settings of a run, with the keys of the one that runs now: what may not be in the file."""
    environment = app_settings("http://127.0.0.1")
    try:
        known = running(options.state)
    except InvalidInput:
        return environment
    return environment | {f"RUN_KEY_{k}": v for k, v in known.items() if isinstance(v, str)}


def _settings(options: argparse.Namespace) -> tuple[list[InForce] | None, list[str]]:
    try:
        status, body = call(options.state, "GET", "config")
    except InvalidInput:
        return None, ["the application was not running: its settings are not known"]
    if status != 200:
        said: Any = (body or {}).get("error", {}).get("message", status)
        return None, [f"the settings could not be asked for: {said}"]
    return msgspec.convert(body["settings"], list[InForce]), []
