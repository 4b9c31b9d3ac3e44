"""``./run arm``: clear the kill switch with the second factor."""

from __future__ import annotations

import argparse
import getpass

from local.cli.open_state import call


def run(options: argparse.Namespace) -> int:
    """0 when trading is armed again."""
    code = options.code or _embedded_code(options)
    status, body = call(
        options.state,
        "POST",
        "kill-switch/clear",
        {"code": code, "reason": options.reason, "operator": getpass.getuser()},
    )
    if status == 200:
        print("armed")
        return 0
    print(f"not armed: {(body or {}).get('error', {}).get('message', status)}")
    return 1


def _embedded_code(options: argparse.Namespace) -> str:
    """The code of the embedded platform's own factor, whose secret protects nothing."""
    from datetime import datetime

    import pyotp

    from local.platform import TOTP_SECRET

    # The application's clock is simulated: its own answer says what time it is there.
    _, health = call(options.state, "GET", "health")
    return str(pyotp.TOTP(TOTP_SECRET).at(datetime.fromisoformat(health["time"])))
