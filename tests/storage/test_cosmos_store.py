"""What only Cosmos DB has: authentication, provisioning, server errors and lost answers."""

from __future__ import annotations

import datetime
import ipaddress
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.clock import VirtualClock
from shared.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreError,
    StoreUnavailable,
)
from shared.storage.cosmos import CosmosStore
from shared.storage.patience import at_most
from shared.storage.store import Patch
from tests import cosmos_server

KEY = cosmos_server.KEY


def test_exactly_one_way_to_authenticate():
    for arguments in ({}, {"key": KEY, "credential": object()}):
        with pytest.raises(ConfigurationError):
            CosmosStore("https://localhost", "borsa", **arguments)


class _Identity:
    """A token credential as azure-identity makes them."""

    def __init__(self):
        self.scopes = []

    def get_token(self, *scopes, **_):
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        return AccessToken("token-of-the-identity", int(time.time()) + 3600)


def _certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cosmos-test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
# The SDK itself does not verify certificates of 127.0.0.1, where emulators live.
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_an_identity_over_tls(cosmos_endpoint, tmp_path):
    certificate, key = _certificate(tmp_path)
    identity = _Identity()
    with cosmos_server.cosmos_server((certificate, key)) as endpoint:
        cosmos_server.provision(endpoint)
        store = CosmosStore(endpoint, cosmos_server.DATABASE, credential=identity)
        made = store.create("trades", {"id": "t", "account": "main"})
        assert store.get("trades", "main", "t") == made
        store.close()
    assert identity.scopes


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
def test_a_missing_container_is_not_an_empty_one(cosmos_endpoint):
    store = CosmosStore(cosmos_endpoint, "never-deployed", key=KEY)
    with pytest.raises(StoreUnavailable, match=r"control.*never-deployed.*does not exist"):
        store.get("control", "main", "kill-switch")
    store.close()


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
def test_a_container_provisioned_otherwise_is_refused(cosmos_endpoint):
    from azure.cosmos import CosmosClient, PartitionKey

    with CosmosClient(cosmos_endpoint, KEY, enable_endpoint_discovery=False) as client:
        database = client.create_database("crooked")
        database.create_container("orders", PartitionKey("/account"))
        database.create_container("trades", PartitionKey("/id"))
    store = CosmosStore(cosmos_endpoint, "crooked", key=KEY)
    with pytest.raises(ConfigurationError, match="clientOrderId"):
        store.get("orders", "main", "a")
    with pytest.raises(ConfigurationError, match="/account"):
        store.get("trades", "main", "a")
    store.close()


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
def test_time_to_live_is_sent_and_survives_a_patch(cosmos, cosmos_endpoint):
    from azure.cosmos import CosmosClient

    made = cosmos.create("signals", {"id": "ttl", "symbol": "BTCUSDT"}, ttl=77)
    patched = cosmos.patch("signals", "BTCUSDT", "ttl", [Patch("set", "x", 1)])
    assert "ttl" not in made.body
    assert "ttl" not in patched.body
    with CosmosClient(cosmos_endpoint, KEY, enable_endpoint_discovery=False) as client:
        items = client.get_database_client(cosmos_server.DATABASE).get_container_client("signals")
        assert items.read_item("ttl", "BTCUSDT")["ttl"] == 77
    cosmos.replace("signals", patched.body, etag=patched.etag)
    with CosmosClient(cosmos_endpoint, KEY, enable_endpoint_discovery=False) as client:
        items = client.get_database_client(cosmos_server.DATABASE).get_container_client("signals")
        assert "ttl" not in items.read_item("ttl", "BTCUSDT")


def test_a_server_that_is_not_there_is_unavailable():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_address[1]
    store = CosmosStore(f"http://127.0.0.1:{port}", "borsa", key=KEY, connect_timeout=1)
    with pytest.raises(StoreUnavailable):
        store.get("orders", "main", "a")
    store.close()


def test_a_closed_store_is_unavailable():
    store = CosmosStore("http://127.0.0.1:1", "borsa", key=KEY)
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.get("orders", "main", "a")


# ------------------------------------------------- answers a healthy server does not give at will


class _Answers(ThreadingHTTPServer):
    """An account with one document, whose next answers about documents can be dictated."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dictated = []
        self.seen = []
        self.released = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def log_message(self, *_):
        pass

    def _reply(self, status, body, headers=()):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        if "/docs" not in self.path:
            if "/colls/" in self.path and "pkranges" not in self.path:
                return self._reply(
                    200,
                    {
                        "id": "trades",
                        "_rid": "AAAAAA==",
                        "_self": "x",
                        "partitionKey": {"paths": ["/account"], "kind": "Hash"},
                    },
                )
            return self._reply(200, {"id": "account", "userConsistencyPolicy": {}})
        self.server.seen.append(self.command)
        if self.server.dictated:
            status, headers = self.server.dictated.pop(0)
            if status == "silence":
                self.server.released.wait(30)
                self.close_connection = True
                return None
            if status is None:
                self.close_connection = True
                return None
            return self._reply(status, {"code": "x", "message": f"dictated {status}"}, headers)
        return self._reply(200, {"id": "t", "account": "main", "n": 1, "_etag": "1", "_ts": 1})

    do_POST = do_PUT = do_DELETE = do_GET


@pytest.fixture
def answers():
    server = _Answers()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def dictated(answers):
    store = CosmosStore(
        f"http://127.0.0.1:{answers.server_address[1]}",
        "borsa",
        key=KEY,
        clock=VirtualClock(0),
        read_timeout=2,
        throttle_wait=1,
    )
    assert store.get("trades", "main", "t").body == {"id": "t", "account": "main", "n": 1}
    answers.seen.clear()
    yield store
    store.close()


BODY = {"id": "t", "account": "main", "n": 2}
OPERATIONS = {
    "GET": lambda s: s.get("trades", "main", "t"),
    "POST": lambda s: s.create("trades", BODY),
    "PUT": lambda s: s.replace("trades", BODY, etag="1"),
    "DELETE": lambda s: s.delete("trades", "main", "t"),
}


@pytest.mark.parametrize(
    ("verb", "status", "headers", "error"),
    [
        ("POST", 400, [], InvalidInput),
        ("POST", 401, [], StoreUnavailable),
        ("POST", 403, [], StoreUnavailable),
        ("POST", 404, [("x-ms-substatus", "1003")], StoreUnavailable),
        ("PUT", 404, [], NotFound),
        ("POST", 405, [], StoreError),
        ("POST", 408, [], StoreUnavailable),
        ("PUT", 408, [], StoreUnavailable),
        ("DELETE", 408, [], StoreUnavailable),
        ("POST", 409, [], AlreadyExists),
        ("PUT", 412, [], Conflict),
        ("POST", 413, [], InvalidInput),
        ("PUT", 449, [], StoreUnavailable),
        ("POST", 500, [], StoreUnavailable),
        ("POST", 503, [], StoreUnavailable),
        ("PUT", 503, [], StoreUnavailable),
        ("DELETE", 503, [], StoreUnavailable),
        ("POST", None, [], StoreUnavailable),
        ("PUT", None, [], StoreUnavailable),
        ("DELETE", None, [], StoreUnavailable),
    ],
)
def test_a_failed_write_is_told_and_never_sent_twice(
    answers, dictated, verb, status, headers, error
):
    answers.dictated = [(status, headers)]
    with pytest.raises(error) as raised:
        OPERATIONS[verb](dictated)
    assert type(raised.value) is error
    assert answers.seen == [verb]


@pytest.mark.parametrize("status", [408, 449, 500, 503])
def test_a_read_is_repeated(answers, dictated, status):
    answers.dictated = [(status, []), (status, [])]
    assert dictated.get("trades", "main", "t").body["n"] == 1
    assert answers.seen == ["GET"] * 3


def test_a_read_is_not_repeated_for_ever(answers, dictated):
    answers.dictated = [(503, [])] * 20
    with pytest.raises(StoreUnavailable, match="503"):
        dictated.get("trades", "main", "t")
    assert len(answers.seen) == 4


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
def test_a_throttled_request_waits_as_asked_and_is_sent_again(answers, dictated, verb):
    answers.dictated = [(429, [("x-ms-retry-after-ms", "5")])] * 2
    OPERATIONS[verb](dictated)
    assert answers.seen == [verb] * 3


def test_throttling_beyond_the_time_allowed_is_unavailable(answers, dictated):
    # One second is allowed: two waits of 0.6 s use it up.
    answers.dictated = [(429, [("x-ms-retry-after-ms", "600")])] * 20
    with pytest.raises(StoreUnavailable, match="429"):
        dictated.create("trades", BODY)
    assert answers.seen == ["POST"] * 3


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
def test_who_cannot_wait_does_not_wait_for_an_answer(answers, dictated, verb):
    answers.dictated = [("silence", [])] * 20
    with pytest.raises(StoreUnavailable), at_most(0.2):
        OPERATIONS[verb](dictated)
    # The server says nothing until now: the time-out ended it, not an answer.
    assert not answers.released.is_set()
    answers.released.set()
    answers.dictated = []
    OPERATIONS[verb](dictated)


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
def test_who_cannot_wait_does_not_wait_for_the_throttle(answers, dictated, verb):
    answers.dictated = [(429, [("x-ms-retry-after-ms", "60000")])] * 20
    with pytest.raises(StoreUnavailable), at_most(0.2):
        OPERATIONS[verb](dictated)
    assert answers.seen == [verb]


def test_who_cannot_wait_repeats_no_read(answers, dictated):
    answers.dictated = [(503, [])] * 20
    with pytest.raises(StoreUnavailable, match="503"), at_most(0.2):
        dictated.get("trades", "main", "t")
    assert answers.seen == ["GET"]


def test_a_patch_that_is_always_overtaken_gives_up(answers, dictated):
    class Overtaken(list):
        def pop(self, _):
            return (412, [])

        def __bool__(self):
            return answers.seen[-1] == "PUT"

    answers.dictated = Overtaken()
    with pytest.raises(StoreUnavailable, match="faster"):
        dictated.patch("trades", "main", "t", [Patch("increment", "n", 1)])


def test_no_error_text_holds_the_key(answers, dictated):
    answers.dictated = [(403, [])]
    with pytest.raises(StoreUnavailable) as raised:
        dictated.create("trades", BODY)
    assert KEY not in str(raised.value)
