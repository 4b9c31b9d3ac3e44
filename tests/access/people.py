"""An application that people sign in to, its directory, and people with browsers (of a kind)."""

from __future__ import annotations

import socket
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.access.issuer import CLIENT, SECRET, TENANT, Issuer
from tests.http.serving import Serving


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Signing:
    """The application with ``ACCESS=entra``.

    Parameters
    ----------
    folder : Path
        Its state is kept here.
    site : str
        What the directory is called.
    """

    def __init__(self, folder: Path, *, site: str = "127.0.0.1", **overrides: str) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self.issuer = Issuer(lambda: self.app.clock.now_ms() / 1000, f"{url}/api/ui", host=site)
        settings = {
            "ACCESS": "entra",
            "ENTRA_TENANT_ID": TENANT,
            "ENTRA_CLIENT_ID": CLIENT,
            "ENTRA_AUTHORITY": self.issuer.url,
            "ENTRA_CLIENT_SECRET": SECRET,
            "PUBLIC_URL": url,
            **overrides,
        }
        # So slow that nothing happens but what a test does.
        self.app = Serving(folder, speed=0.01, port=port, **settings)
        self.app.services.kill_switch.ensure()

    def person(self, name: str, role: str | None) -> Person:
        one = Person(self, name, role)
        one.sign_in()
        return one

    def audit(self) -> list[dict[str, Any]]:
        page = self.app.store.query("audit", "2025-05-04", limit=1000)
        return [d.body["body"] for d in page.documents if d.body["kind"] == "operator"]

    def close(self) -> None:
        self.app.close()
        self.issuer.close()


class Person:
    """Somebody with a browser: keeps cookies, and sends what the page sends."""

    def __init__(self, world: Signing, name: str, role: str | None) -> None:
        self.world, self.name = world, name
        self.roles = [] if role is None else [role]
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        self.set: list[str] = []

    def ask(self, method: str, path: str, json: Any = None, **headers: str) -> requests.Response:
        """One request of the page, with its cookies."""
        sent = {
            "Content-Type": "application/json",
            "Origin": self.world.app.url,
            "Sec-Fetch-Site": "same-origin",
            "x-borsa-csrf": self.csrf,
            "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()),
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.world.app._session.cookies.clear()
        answer = self.world.app.request(method, path, json=json, key=None, headers=sent)
        self.set = answer.raw.headers.getlist("Set-Cookie")
        for line in self.set:
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
        return answer

    def sign_in(self) -> requests.Response:
        issuer = self.world.issuer
        issuer.user = {
            "oid": f"oid-of-{self.name}",
            "preferred_username": f"{self.name}@example.com",
            "roles": self.roles,
        }
        begun = self.ask("POST", "/api/session/begin", {})
        assert begun.status_code == 200, begun.text
        query = parse_qs(urlsplit(begun.json()["location"]).query)
        code = issuer.grant({k: v[0] for k, v in query.items()})
        body = {"code": code, "state": query["state"][0]}
        answer = self.ask("POST", "/api/session/complete", body)
        self.csrf = answer.json().get("csrf", "")
        return answer
