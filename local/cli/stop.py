"""``./run stop``: emergency stop, or a drill of it, through the HTTP endpoint."""

from __future__ import annotations

import argparse
import getpass
import time
from typing import Any

from local.cli.open_state import call

#: Real seconds to wait for the account to be flat.
WAIT = 30.0


def run(options: argparse.Namespace) -> int:
    """0 once the exchange shows no position, 1 when it still does after the wait."""
    if options.drill:
        return _drill(options)
    began = time.monotonic()
    status, body = _ask(options, "emergency-stop")
    if status != 202:
        print(f"the emergency stop was answered with {status}: {body}")
        return 1
    print(f"latched ({body['workflow']}); waiting for the account to be flat ...")
    while time.monotonic() - began < WAIT:
        status, body = call(options.state, "GET", "positions")
        if status == 200 and not body["positions"]:
            print(f"flat after {time.monotonic() - began:.2f} s. Trading stays off: see ./run arm")
            return 0
        time.sleep(0.05)
    print(f"NOT flat after {WAIT:.0f} s; look at ./run status now")
    return 1


def _drill(options: argparse.Namespace) -> int:
    """0 when every step of the plan would work, 1 when one would not."""
    began = time.monotonic()
    status, body = _ask(options, "emergency-stop?drill=true")
    if status != 200:
        print(f"the drill was answered with {status}: {body}")
        return 1
    for step in body["steps"]:
        mark = "ok    " if step["ok"] else "FAILED"
        # Their milliseconds are of simulated time, which does not pass meanwhile.
        print(f"{mark} {step['name']:<20} {step['detail']}")
    passed = "passed" if body["passed"] else "FAILED"
    took = 1000 * (time.monotonic() - began)
    print(f"drill {passed}, answered after {took:.0f} ms; nothing was stopped")
    return 0 if body["passed"] else 1


def _ask(options: argparse.Namespace, path: str) -> tuple[int, Any]:
    who = {"reason": options.reason, "operator": getpass.getuser()}
    return call(options.state, "POST", path, who)
