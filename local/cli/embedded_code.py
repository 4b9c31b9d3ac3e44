"""The code of the embedded platform's own second factor, whose secret protects nothing."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from local.cli.open_state import call


def embedded_code(state: Path) -> str:
    """The code of this moment of the running application's clock, which is simulated."""
    import pyotp

    from local.platform import TOTP_SECRET

    # Its own answer says what time it is there.
    _, health = call(state, "GET", "health")
    return str(pyotp.TOTP(TOTP_SECRET).at(datetime.fromisoformat(health["time"])))
