"""``./run status``: state of the running application over its own HTTP interface."""

from __future__ import annotations

import argparse
import json
from typing import Any

from local.cli.open_state import call, running
from local.live.snapshot import ENDPOINTS


def run(options: argparse.Namespace) -> int:
    """0 when the application answers and is healthy, 1 when it is not healthy."""
    run_ = running(options.state)
    snapshot: dict[str, Any] = {}
    for name, path in ENDPOINTS.items():
        snapshot[name] = call(options.state, "GET", path)[1]
    if options.json:
        print(json.dumps(snapshot, indent=2))
    else:
        from rich.console import Console

        from local.live.console import render

        Console().print(render(snapshot, run_.get("page", "")))
    return 0 if (snapshot["health"] or {}).get("status") == "ok" else 1
