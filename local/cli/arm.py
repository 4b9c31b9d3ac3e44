"""``./run arm``: clear the kill switch with the second factor."""

from __future__ import annotations

import argparse
import getpass

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
                "code": options.code or _embedded_code(options),
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


def _embedded_code(options: argparse.Namespace) -> str:
    """The code of the embedded platform's own factor, whose secret protects nothing."""
    from datetime import datetime

    import pyotp

    from local.platform import TOTP_SECRET

    # The application's clock is simulated: its own answer says what time it is there.
    _, health = call(options.state, "GET", "health")
    return str(pyotp.TOTP(TOTP_SECRET).at(datetime.fromisoformat(health["time"])))
