"""``./run checklist``: the pre-live checklist of the running application."""

from __future__ import annotations

import argparse

from local.cli.open_state import call


def run(options: argparse.Namespace) -> int:
    """0 when every item passed, 1 when one did not."""
    status, body = call(options.state, "GET", "checklist", waits=True)
    if status != 200:
        print(f"the checklist was answered with {status}: {body}")
        return 1
    for item in body["items"]:
        print(f"{'ok  ' if item['passed'] else 'open'}  {item['id']:<16} {item['evidence']}")
    failed = [item["id"] for item in body["items"] if not item["passed"]]
    after = f"; next stage: {body['next']}" if body["next"] else ""
    print(f"stage {body['stage']} on {body['environment']}{after}")
    print(body["counts"])
    print(f"{len(body['items']) - len(failed)} of {len(body['items'])} passed")
    return 1 if failed else 0
