"""What a broken exchange of bytes means, over real sockets; and that nothing secret gets out."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal as D

import pytest
import requests
from binance.client import Client
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC, RSA
from Crypto.Signature import eddsa, pkcs1_15
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import (
    BorsaError,
    ConfigurationError,
    ExchangeError,
    ExchangeHalted,
    ExchangeUnavailable,
    InvalidInput,
    OutcomeUnknown,
)
from shared.execution.binance import (
    DEMO,
    PRODUCTION,
    BinanceExchange,
    Credentials,
    environment,
    simulated,
)
from shared.execution.binance.client import ClientPool
from shared.execution.binance.server_clock import ServerClock
from shared.execution.exchange import OrderRequest
from tests.binance.scripted import KEY, SECRET, START_MS, Bench, Reply, refusal
from tests.binance.test_binance_answers import ORDER_POST

KEYS = Credentials(environment="simulated", key=KEY, secret=SECRET)
ENTRY = OrderRequest(
    symbol="BTCUSDT", side="SELL", type="MARKET", quantity=D("10"), client_order_id="e-1"
)
TIME_ANSWER = b'{"serverTime":%d}' % START_MS


def http(body: bytes, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), extra, body)


Behaviour = Callable[[socket.socket, bytes], None]


class Server:
    """A socket that answers the time, and treats everything else as told."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            while head := self.read(connection):
                self.requests.append(head)
                if b"/fapi/v1/time" in head:
                    connection.sendall(http(TIME_ANSWER))
                    continue
                self.behaviour(connection, head)
                return

    @staticmethod
    def read(connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                return b""
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += connection.recv(65536)
        return head

    def close(self) -> None:
        # shutdown wakes the accepting thread; close alone would leave it waiting.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def hang(connection: socket.socket, _: bytes) -> None:
    while connection.recv(1):  # until the client gives up
        pass


def reset(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def hang_up(connection: socket.socket, _: bytes) -> None:
    pass


def half_an_answer(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def redirect(connection: socket.socket, _: bytes) -> None:
    elsewhere = b"Location: http://127.0.0.1:9/elsewhere\r\nConnection: close\r\n"
    connection.sendall(http(b"", b"302 Found", elsewhere))


def rubbish(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH\r\n")


@contextmanager
def exchange_at(url: str, read_timeout: float = 60.0) -> Iterator[BinanceExchange]:
    exchange = BinanceExchange(
        simulated(url), KEYS, clock=VirtualClock(START_MS), timeout=(60.0, read_timeout)
    )
    try:
        yield exchange
    finally:
        exchange.close()


@pytest.mark.parametrize(
    "behaviour", [reset, hang_up, half_an_answer, redirect, rubbish], ids=lambda b: b.__name__
)
def test_a_lost_answer(behaviour: Behaviour) -> None:
    server = Server(behaviour)
    with exchange_at(server.url) as exchange:
        with pytest.raises(OutcomeUnknown):
            exchange.place_order(ENTRY)
        orders = [r for r in server.requests if r.startswith(b"POST")]
        assert len(orders) == 1, "never sent twice"
        with pytest.raises(OutcomeUnknown):
            exchange.cancel_order("BTCUSDT", "e-1")
        with pytest.raises(ExchangeUnavailable):
            exchange.positions()
        queries = [r for r in server.requests if b"positionRisk" in r]
        assert len(queries) == 4
    server.close()


def test_an_answer_that_never_comes() -> None:
    server = Server(hang)
    with exchange_at(server.url, read_timeout=1.0) as exchange, pytest.raises(OutcomeUnknown):
        exchange.place_order(ENTRY)
    assert len([r for r in server.requests if r.startswith(b"POST")]) == 1
    server.close()


def test_no_connection_means_nothing_was_executed() -> None:
    server = Server(hang)
    with exchange_at(server.url) as exchange:
        exchange.server_time()
        server.close()
        exchange.close()
        with pytest.raises(ExchangeUnavailable, match="no connection was made"):
            exchange.place_order(ENTRY)


def test_the_environment_s_proxy_and_netrc_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = Server(hang)
    with exchange_at(server.url) as exchange:
        assert exchange.server_time() == START_MS
    server.close()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (requests.exceptions.ReadTimeout("t"), OutcomeUnknown),
        (requests.exceptions.ConnectTimeout("t"), ExchangeUnavailable),
        (requests.exceptions.ConnectionError("t"), OutcomeUnknown),
        (requests.exceptions.ProxyError("t"), OutcomeUnknown),
        (requests.exceptions.SSLError("t"), OutcomeUnknown),
        (requests.exceptions.ChunkedEncodingError("t"), OutcomeUnknown),
        (requests.exceptions.ContentDecodingError("t"), OutcomeUnknown),
        (ConnectionResetError("t"), OutcomeUnknown),
        (TimeoutError("t"), OutcomeUnknown),
    ],
    ids=lambda x: getattr(x, "__name__", type(x).__name__),
)
def test_transport_errors(error: Exception, raised: type[ExchangeError]) -> None:
    bench = Bench()
    bench.script.on("POST", "/fapi/v1/order", error)
    bench.script.on("GET", "/fapi/v3/positionRisk", error, error, error, Reply([]))
    with pytest.raises(ExchangeError) as caught:
        bench.exchange.place_order(ENTRY)
    assert type(caught.value) is raised
    assert bench.exchange.positions() == []


def test_a_query_gives_up_after_three_seconds() -> None:
    bench = Bench()

    def slow(_: object) -> Reply:
        bench.clock.sleep(2)
        raise requests.exceptions.ReadTimeout("t")

    bench.script.on("GET", "/fapi/v3/positionRisk", slow)
    with pytest.raises(ExchangeUnavailable):
        bench.exchange.positions()
    assert len(bench.script.calls("GET", "/fapi/v3/positionRisk")) == 2


# --- secrets ---------------------------------------------------------------------------------

LEAKS = [SECRET, KEY, "signature=", "timestamp="]


def everything_told(error: BaseException) -> str:
    """What logs, telemetry and state could ever show of an error."""
    told = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    seen: BaseException | None = error.__context__ or error.__cause__
    while seen is not None:
        told += repr(seen) + str(vars(seen))
        seen = seen.__context__ or seen.__cause__
    return told


@pytest.mark.parametrize(
    "failure",
    [
        refusal(-2015, "Invalid API-key"),
        refusal(-1022, f"bad: GET http://x/fapi?symbol=B&signature=ab&apiKey={KEY} signature=ab"),
        Reply("<html>http://x/fapi/v3/positionRisk?timestamp=1&signature=ab</html>", 502),
        Reply("[]", 400),
        Reply('{"symbol": 1}', 200),
        requests.exceptions.ConnectionError(
            "HTTPConnectionPool(host='x'): Max retries exceeded with url: "
            f"/fapi/v3/positionRisk?timestamp=1&signature=ab {SECRET}"
        ),
    ],
    ids=["key", "echo", "html", "list", "unreadable", "url in the text"],
)
def test_errors_tell_no_secret(failure: Reply | Exception) -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v3/positionRisk", failure)
    with pytest.raises(ExchangeError) as caught:
        bench.exchange.positions()
    assert "/fapi/v3/positionRisk" in str(caught.value)
    for leak in LEAKS:
        assert leak not in everything_told(caught.value)


def test_a_refused_connection_tells_no_query_string() -> None:
    server = Server(hang)
    with exchange_at(server.url) as exchange:
        exchange.server_time()
        server.close()
        exchange.close()
        with pytest.raises(ExchangeUnavailable) as caught:
            exchange.positions()
    for leak in LEAKS:
        assert leak not in everything_told(caught.value)


def test_debug_logs_tell_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(http(b"[]"))

    caplog.set_level(logging.DEBUG)
    server = Server(answer)
    with exchange_at(server.url) as exchange:
        assert exchange.positions() == []
    server.close()
    assert "/fapi/v3/positionRisk" in caplog.text, "the log is on, or this shows nothing"
    for leak in LEAKS:
        assert leak not in caplog.text


def test_nothing_shows_keys_in_its_repr() -> None:
    bench = Bench()
    bench.exchange.server_time()
    pool = ClientPool(
        simulated("http://x"),
        KEYS,
        ServerClock(bench.clock),
        session=requests.Session(),
        recv_window_ms=3000,
        timeout=(1, 1),
    )
    for shown in (KEYS, bench.exchange, pool, pool.get()):
        for leak in (KEY, SECRET):
            assert leak not in f"{shown!r} {shown!s}"


# --- hosts, keys and clients -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "base_url", "keys_of", "problem"),
    [
        ("production", None, "demo", "the API key belongs to demo"),
        ("production", None, "simulated", "the API key belongs to simulated"),
        ("demo", None, "production", "the API key belongs to production"),
        ("simulated", "http://127.0.0.1:1", "production", "the API key belongs to production"),
        ("simulated", None, "simulated", "BINANCE_BASE_URL is missing"),
        ("simulated", "https://fapi.binance.com", "simulated", "never uses Binance's hosts"),
        ("simulated", "https://DEMO-fapi.binance.com.", "simulated", "never uses Binance's hosts"),
        ("simulated", "https://testnet.binancefuture.com", "simulated", "never uses"),
        ("simulated", "ftp://x", "simulated", "http"),
        ("simulated", "http://key@x", "simulated", "http"),
        ("demo", "https://fapi.binance.com", "demo", "BINANCE_BASE_URL must not be set"),
        ("production", "http://127.0.0.1:1", "production", "BINANCE_BASE_URL must not be set"),
        ("testnet", None, "demo", "use simulated, demo or production"),
    ],
)
def test_hosts_and_keys_that_do_not_belong_together(
    name: str, base_url: str | None, keys_of: str, problem: str
) -> None:
    clock = VirtualClock(START_MS)
    keys = Credentials(environment=keys_of, key=KEY, secret=SECRET)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=problem):
        BinanceExchange(environment(name, base_url), keys, clock=clock)


@pytest.mark.parametrize(
    ("key", "secret", "count"), [("", SECRET, 1), (KEY, " ", 1), ("", "", 2), (" \n", SECRET, 1)]
)
def test_keys_that_cannot_sign_are_all_named(key: str, secret: str, count: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BinanceExchange(
            DEMO,
            Credentials(environment="demo", key=key, secret=secret),
            clock=VirtualClock(START_MS),
        )
    assert len(caught.value.problems) == count


def test_environments_are_pinned_to_their_hosts() -> None:
    assert environment("demo") == DEMO
    assert environment("production") == PRODUCTION
    assert environment("production", "https://fapi.binance.com/") == PRODUCTION
    assert DEMO.base_url == "https://demo-fapi.binance.com"
    assert PRODUCTION.base_url == "https://fapi.binance.com"


@pytest.mark.parametrize("window", [0, -1, 60_001])
def test_receive_windows_the_venue_would_refuse(window: int) -> None:
    with pytest.raises(InvalidInput):
        Bench(recv_window_ms=window)


def test_each_thread_has_a_client_of_its_own_and_no_event_loop_is_left_behind() -> None:
    clock = VirtualClock(START_MS)
    pool = ClientPool(
        simulated("http://x"),
        KEYS,
        ServerClock(clock),
        session=None,
        recv_window_ms=3000,
        timeout=(1, 1),
    )
    found: list[object] = []
    loops: list[bool] = []

    def ask() -> None:
        found.extend([pool.get(), pool.get()])
        try:
            asyncio.get_event_loop()
            loops.append(True)
        except RuntimeError:
            loops.append(False)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 3
    assert loops == [False] * 3
    pool.close()


def test_the_caller_s_event_loop_stays_its_own() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        Bench().exchange.server_time()
        assert asyncio.get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_client_can_be_made_inside_a_running_loop() -> None:
    bench = Bench()

    async def ask() -> int:
        return bench.exchange.server_time()

    assert asyncio.run(ask()) == START_MS


def test_keys_are_read_again_after_the_venue_refused_them() -> None:
    keys = iter(["old", "new"])
    clock_bench = Bench()
    exchange = BinanceExchange(
        simulated("http://exchange.test"),
        lambda: Credentials(environment="simulated", key=next(keys), secret=SECRET),
        clock=clock_bench.clock,
        session=session_of(clock_bench),
    )
    script = clock_bench.script
    script.on("GET", "/fapi/v3/positionRisk", refusal(-2015, "Invalid API-key", 401), Reply([]))
    with pytest.raises(ExchangeHalted):
        exchange.positions()
    assert exchange.positions() == []
    assert exchange.positions() == []
    sent = script.calls("GET", "/fapi/v3/positionRisk")
    assert [s.headers["X-MBX-APIKEY"] for s in sent] == ["old", "new", "new"]


def session_of(bench: Bench) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", bench.script)
    return session


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2**40),
    st.decimals(0, 10**6, places=4),
    st.text("ABCDEFGHabcdefgh0123456789_.-/ \u00e9", max_size=12),
)
NAMES = st.sampled_from(["symbol", "side", "quantity", "clientAlgoId", "limit", "price", "a", "Z"])


@settings(deadline=None)
@given(
    params=st.dictionaries(NAMES, VALUES, max_size=6),
    method=st.sampled_from(["get", "post", "delete"]),
    signed=st.booleans(),
)
def test_a_request_is_what_the_library_itself_would_make_of_it(
    params: dict[str, object], method: str, signed: bool
) -> None:
    clock = VirtualClock(START_MS)
    client = ClientPool(
        simulated("http://exchange.invalid"),
        KEYS,
        ServerClock(clock),
        session=None,
        recv_window_ms=4321,
        timeout=(1.0, 2.0),
    ).get()
    ours = client._get_request_kwargs(method, signed, data=dict(params))
    theirs = Client._get_request_kwargs(client, method, signed, data=dict(params))
    assert ours == theirs


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "  \n"])
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_private_keys_sign_what_is_sent(kind: str, line_end: str) -> None:
    key = ECC.generate(curve="ed25519") if kind == "ed25519" else RSA.generate(1024)
    exported = key.export_key(format="PEM")
    pem = exported if isinstance(exported, str) else exported.decode()
    bench = Bench()
    bench.script.on("POST", "/fapi/v1/order", Reply(ORDER_POST))
    exchange = BinanceExchange(
        simulated("http://exchange.test"),
        Credentials(
            environment="simulated", key=KEY, private_key=line_end.join([*pem.split("\n"), ""])
        ),
        clock=bench.clock,
        session=session_of(bench),
    )
    exchange.place_order(ENTRY)
    (sent,) = bench.script.calls("POST", "/fapi/v1/order")
    payload, _ = sent.raw.rsplit("&signature=", 1)
    signature = base64.b64decode(sent.params["signature"])
    if isinstance(key, RSA.RsaKey):
        pkcs1_15.new(key.public_key()).verify(SHA256.new(payload.encode()), signature)
    else:
        eddsa.new(key.public_key(), "rfc8032").verify(payload.encode(), signature)


def test_errors_can_cross_process_boundaries() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v3/positionRisk", refusal(-2015, "Invalid API-key", 401))
    with pytest.raises(BorsaError) as caught:
        bench.exchange.positions()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.code, again.status) == (ExchangeHalted, -2015, 401)
