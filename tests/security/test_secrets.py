"""Secrets through the real azure-keyvault-secrets client against a local vault over TLS."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.clock import VirtualClock
from shared.errors import ConfigurationError
from shared.security.secrets import (
    CACHE_SECONDS,
    SECRETS,
    EnvironmentSecrets,
    KeyVaultSecrets,
    environment_name,
)

RECOGNISABLE = "r3cogn1sable-secret-value"


class Vault:
    """Answers ``GET /secrets/{name}`` as Key Vault does, challenge included."""

    def __init__(self, folder: Path) -> None:
        self.secrets: dict[str, str] = {}
        self.down = False
        self.requests = 0
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                vault.requests += 1
                if vault.down:
                    return self._answer(503, {"error": {"code": "Down", "message": "down"}})
                if not self.headers.get("Authorization"):
                    challenge = (
                        'Bearer authorization="https://login.microsoftonline.com/tenant", '
                        'resource="https://vault.azure.net"'
                    )
                    return self._answer(401, {}, ("WWW-Authenticate", challenge))
                name = self.path.split("?")[0].strip("/").split("/")[1]
                if name not in vault.secrets:
                    error = {"code": "SecretNotFound", "message": f"{name} was not found"}
                    return self._answer(404, {"error": error})
                identity = f"https://{self.headers['Host']}/secrets/{name}/1"
                return self._answer(200, {"value": vault.secrets[name], "id": identity})

            def _answer(self, status: int, body: Any, *headers: tuple[str, str]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Keep the test output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate = _certificate(folder)
        context.load_cert_chain(self.certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "vault.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Identity:
    """A credential as azure-identity hands them out."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("token", 4_000_000_000)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    running = Vault(tmp_path)
    yield running
    running.close()


def secrets_of(vault: Vault, clock: VirtualClock) -> KeyVaultSecrets:
    from azure.keyvault.secrets import SecretClient

    client = SecretClient(
        vault_url=vault.url,
        credential=Identity(),
        verify_challenge_resource=False,
        connection_verify=str(vault.certificate),
        retry_total=0,
    )
    return KeyVaultSecrets(vault.url, clock, client=client)


def test_a_secret_is_read_and_kept_for_a_while(vault: Vault) -> None:
    vault.secrets["binance-api-key"] = RECOGNISABLE
    clock = VirtualClock(0)
    secrets = secrets_of(vault, clock)
    assert secrets.get("binance-api-key") == RECOGNISABLE
    asked = vault.requests
    clock.sleep(CACHE_SECONDS - 1)
    assert secrets.get("binance-api-key") == RECOGNISABLE
    assert vault.requests == asked


def test_a_rotated_secret_is_picked_up(vault: Vault) -> None:
    vault.secrets["binance-api-key"] = "old"
    clock = VirtualClock(0)
    secrets = secrets_of(vault, clock)
    assert secrets.get("binance-api-key") == "old"
    vault.secrets["binance-api-key"] = "new"
    clock.sleep(CACHE_SECONDS + 1)
    assert secrets.get("binance-api-key") == "new"


def test_a_vault_that_is_away_does_not_stop_signing(vault: Vault) -> None:
    vault.secrets["binance-api-secret"] = RECOGNISABLE
    clock = VirtualClock(0)
    secrets = secrets_of(vault, clock)
    secrets.get("binance-api-secret")
    vault.down = True
    clock.sleep(CACHE_SECONDS + 1)
    assert secrets.get("binance-api-secret") == RECOGNISABLE


def test_a_missing_secret_says_where_to_put_it(vault: Vault) -> None:
    with pytest.raises(ConfigurationError, match=r"totp-secret is missing in https://127"):
        secrets_of(vault, VirtualClock(0)).get("totp-secret")


def test_locally_secrets_come_from_the_environment() -> None:
    secrets = EnvironmentSecrets({"BINANCE_API_KEY": RECOGNISABLE})
    assert secrets.get("binance-api-key") == RECOGNISABLE
    with pytest.raises(ConfigurationError, match="BINANCE_API_SECRET"):
        secrets.get("binance-api-secret")


@pytest.mark.parametrize("name", SECRETS)
def test_environment_names(name: str) -> None:
    assert environment_name(name) == name.upper().replace("-", "_")


def test_no_secret_in_repr(vault: Vault) -> None:
    vault.secrets["binance-api-key"] = RECOGNISABLE
    secrets = secrets_of(vault, VirtualClock(0))
    secrets.get("binance-api-key")
    assert RECOGNISABLE not in repr(secrets)
    assert RECOGNISABLE not in repr(EnvironmentSecrets({"BINANCE_API_KEY": RECOGNISABLE}))
