"""``./run arm``: clear the kill switch with the second factor."""

from __future__ import annotations

import argparse
import getpass

from local.cli.embedded_code import embedded_code
from local.cli.open_state import call

#: The simulated clock may outrun a code between two requests.
ATTEMPTS = 3


def run(options: argparse.Namespace) -> int:
    """0 when trading is armed again."""
    for _ in range(1 if options.code else ATTEMPTS):
        status, body = call(
            options.state,
            "POST",
            "kill-switch/clear",
            {
                "code": options.code or embedded_code(options.state),
                "reason": options.reason,
                "operator": getpass.getuser(),
            },
        )
        if status == 200:
            print("armed")
            return 0
        said = (body or {}).get("error", {}).get("message", str(status))
        if "code" not in said:
            break
    print(f"not armed: {said}")
    return 1
