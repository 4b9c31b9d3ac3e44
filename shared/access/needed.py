"""What people's sign-in needs to be configured with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from shared.settings import Settings

_GUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def missing(settings: Settings) -> list[str]:
    """What is missing or cannot be used.

    Each sentence begins with ``ACCESS``, the setting that asks for all of it: who only closes and
    protects goes on without it (:func:`shared.settings.without`), and function keys still count.
    """
    problems = []
    for name, value in (
        ("ENTRA_TENANT_ID", settings.entra_tenant_id),
        ("ENTRA_CLIENT_ID", settings.entra_client_id),
    ):
        if not _GUID.fullmatch(value):
            # "common" and "organizations" would let in whoever has any account at Microsoft.
            problems.append(f"ACCESS is entra, which needs {name}: a GUID of your directory")
    for name, value in (
        ("ENTRA_AUTHORITY", settings.entra_authority),
        ("PUBLIC_URL", settings.public_url),
    ):
        if not _is_origin(value):
            problems.append(
                f"ACCESS is entra, which needs {name}: an https address without a path, such as "
                "https://login.microsoftonline.com or https://NAME.azurewebsites.net"
            )
    if settings.session_idle_minutes > settings.session_hours * 60:
        problems.append("ACCESS is entra, but SESSION_IDLE_MINUTES is longer than SESSION_HOURS")
    return problems


def _is_origin(address: str) -> bool:
    """Scheme, host and port and nothing else; without TLS only on this very machine."""
    parts = urlsplit(address)
    try:
        _ = parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")
    plain = not (parts.path or parts.query or parts.fragment or parts.username)
    return bool(parts.hostname) and secure and plain
