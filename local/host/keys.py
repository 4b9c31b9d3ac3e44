"""Access keys of the host and what each of them opens."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from local.contracts import Request

Level = Literal["admin", "system", "function"]
DURABLE_SYSTEM_KEY = "durabletask_extension"


def new_key() -> str:
    return secrets.token_urlsafe(40) + "=="


def short_key() -> str:
    """A key that fits into an address on one line: 144 random bits."""
    return secrets.token_urlsafe(18)


@dataclass
class HostKeys:
    """Master, host-wide function keys, system keys and keys of single functions."""

    master: str = field(default_factory=new_key)
    host: dict[str, str] = field(default_factory=lambda: {"default": new_key()})
    system: dict[str, str] = field(default_factory=lambda: {DURABLE_SYSTEM_KEY: new_key()})
    functions: dict[str, dict[str, str]] = field(default_factory=dict)

    def of_function(self, name: str) -> dict[str, str]:
        """Keys of one function; the first look creates its default key."""
        return self.functions.setdefault(name, {"default": new_key()})

    def level(self, presented: str | None, function: str | None = None) -> Level | None:
        """What a key opens: everything, webhooks, or the given function; ``None`` for nothing."""
        if not presented:
            return None
        if _same(presented, self.master):
            return "admin"
        if any(_same(presented, value) for value in self.system.values()):
            return "system"
        keys = list(self.host.values())
        if function is not None:
            keys += self.functions.get(function, {}).values()
        return "function" if any(_same(presented, value) for value in keys) else None


def presented(request: Request) -> str | None:
    """The key a request carries: header ``x-functions-key``, else query ``code``."""
    header = request.header("x-functions-key")
    if header:
        return header
    query = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
    return next((value for name, value in query if name.lower() == "code"), None)


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())
