"""A directory and the way in, on one virtual clock."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from local.clock import VirtualClock
from local.platform import app_settings
from shared.access.sessions import Session
from shared.bootstrap import Services
from shared.storage.sqlite import SqliteStore
from tests.access.issuer import CLIENT, SECRET, TENANT, Issuer

NOW = 1_746_352_881_000
PAGE = "https://bot.example"
ANNA = "203.0.113.7"


class World:
    """One application and one directory."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOW)
        self.issuer = Issuer(lambda: self.clock.now_ms() / 1000, f"{PAGE}/api/ui")
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.services = Services(
            app_settings(
                "http://exchange.invalid",
                ACCESS="entra",
                ENTRA_TENANT_ID=TENANT,
                ENTRA_CLIENT_ID=CLIENT,
                ENTRA_AUTHORITY=self.issuer.url,
                ENTRA_CLIENT_SECRET=SECRET,
                PUBLIC_URL=PAGE,
            ),
            clock=self.clock,
            store=self.store,
        )
        self.door = self.services.door

    def begin(self, address: str = ANNA) -> tuple[dict[str, str], str]:
        """What the directory is asked, and what the browser keeps."""
        location, attempt = self.door.begin(address)
        return {k: v[0] for k, v in parse_qs(urlsplit(location).query).items()}, attempt

    def sign_in(self, address: str = ANNA) -> tuple[str, Session]:
        query, attempt = self.begin(address)
        code = self.issuer.grant(query)
        return self.door.complete(self.services.exit_desk(), attempt, query["state"], code, address)

    def audit(self) -> list[dict[str, object]]:
        page = self.store.query("audit", "2025-05-04", limit=1000)
        return [d.body["body"] for d in page.documents if d.body["kind"] == "operator"]

    def close(self) -> None:
        self.issuer.close()
        self.store.close()
