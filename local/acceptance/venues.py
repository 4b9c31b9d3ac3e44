"""Where cards are run: Binance Demo, or an exchange simulated here. Never production."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.events import user_events
from local.exchange.server import ExchangeServer
from local.exchange.session import InProcessSession
from shared.clock import Clock, SystemClock
from shared.errors import ConfigurationError
from shared.execution.binance import DEMO, Credentials, Environment, simulated
from shared.simulation.core import VenueEvent
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

#: Documented host first; the second is what Binance's own connector uses.
DEMO_STREAMS = ("wss://demo-fstream.binance.com", "wss://fstream.binancefuture.com")
KEY, SECRET = "acceptance-key", "acceptance-secret"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: Enough to take the whole touch of a simulated book.
DEPOSIT = Decimal(1_000_000)


class Stream(Protocol):
    """An open user data stream. ``events`` grows; times of arrival are the clock's."""

    host: str
    events: list[tuple[int, dict[str, Any]]]

    def close(self) -> None: ...


class Place(Protocol):
    """A venue with everything that reaches it."""

    name: str
    environment: Environment
    credentials: Credentials
    clock: Clock

    def session(self) -> Any: ...
    def listen(self, key: str) -> Stream: ...
    def close(self) -> None: ...


class SocketStream:
    """A user data stream over a websocket, read by a thread.

    Parameters
    ----------
    hosts : sequence of str
        Tried in order; the first that connects is used.
    """

    def __init__(self, hosts: tuple[str, ...], key: str, clock: Clock, *, local: bool) -> None:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        self.events: list[tuple[int, dict[str, Any]]] = []
        failures = []
        for host in hosts:
            more: dict[str, Any] = {"proxy": None} if local else {}
            try:
                self._socket = connect(f"{host}/private/ws?listenKey={key}", **more)
            except (OSError, WebSocketException) as error:
                failures.append(f"{host}: {type(error).__name__}")
                continue
            self.host = host
            break
        else:
            raise ConfigurationError([f"no user data stream: {'; '.join(failures)}"])
        self._clock = clock
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            for text in self._socket:
                self.events.append((self._clock.now_ms(), json.loads(text)))

    def close(self) -> None:
        self._socket.close()
        self._thread.join(10)


class Demo:
    """Binance Demo; its keys from the environment or a settings file."""

    name = "demo"
    environment = DEMO

    def __init__(self, values: Mapping[str, str]) -> None:
        self.credentials = demo_credentials(values)
        self.clock: Clock = SystemClock()

    def session(self) -> Any:
        return http_session()

    def listen(self, key: str) -> Stream:
        return SocketStream(DEMO_STREAMS, key, self.clock, local=False)

    def close(self) -> None:
        """Nothing here belongs to us."""


class Simulated:
    """An exchange of its own on loopback, in this machine's time."""

    name = "simulated"

    def __init__(self, seed: int = 7) -> None:
        self.clock: Clock = SystemClock()
        venue = Venue(SyntheticMarket(seed, SYMBOLS), start_ms=self.clock.now_ms(), deposit=DEPOSIT)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = ExchangeServer(BinanceApi(venue, self.clock, {KEY: SECRET}))
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(30)
        self.environment = simulated(self._server.url)
        self.credentials = Credentials(environment="simulated", key=KEY, secret=SECRET)

    def session(self) -> Any:
        return http_session()

    def listen(self, key: str) -> Stream:
        host = self._server.url.replace("http", "ws", 1)
        return SocketStream((host,), key, self.clock, local=True)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Heard:
    """The user events of an exchange in this process."""

    host = "in process"

    def __init__(self, venue: Venue, clock: Clock) -> None:
        self.events: list[tuple[int, dict[str, Any]]] = []
        self._venue = venue
        self._clock = clock
        venue.on_event(self._hear)

    def _hear(self, event: VenueEvent) -> None:
        for told in user_events(self._venue.core, event):
            self.events.append((self._clock.now_ms(), told))

    def close(self) -> None:
        self._venue.core.listeners.remove(self._hear)


class InProcess:
    """An exchange in this process and in virtual time: a run costs no waiting."""

    name = "simulated"

    def __init__(self, start_ms: int, *, seed: int = 7, **api: Any) -> None:
        self.clock: Clock = VirtualClock(start_ms)
        self.venue = Venue(SyntheticMarket(seed, SYMBOLS), start_ms=start_ms, deposit=DEPOSIT)
        self.api = BinanceApi(self.venue, self.clock, {KEY: SECRET}, **api)
        self.environment = simulated("http://exchange.invalid")
        self.credentials = Credentials(environment="simulated", key=KEY, secret=SECRET)

    def session(self) -> Any:
        # Two hundredths of a second a request, or nothing would ever move.
        return InProcessSession(self.api, latency=0.02)

    def listen(self, key: str) -> Stream:
        return _Heard(self.venue, self.clock)

    def close(self) -> None:
        """Nothing is open."""


def http_session() -> Any:
    """A session without proxies' or .netrc's help, that never repeats a request by itself."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.trust_env = False
    for prefix in ("https://", "http://"):
        session.mount(prefix, HTTPAdapter(pool_maxsize=2, max_retries=0))
    return session


def values_of(file: Path | None) -> Mapping[str, str]:
    """Settings of a ``local.settings.json``, or the environment's.

    Raises
    ------
    ConfigurationError
        The file is none.
    """
    if file is None:
        return os.environ
    try:
        found = json.loads(file.read_text())["Values"]
        return {str(name): str(value) for name, value in found.items()}
    except OSError as error:
        raise ConfigurationError([f"{file}: {error.strerror}"]) from None
    except json.JSONDecodeError as error:
        # Not the line itself: it may hold a key.
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError([f"{file} is no JSON: {where}: {error.msg}"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{file} is no text"]) from None
    except (KeyError, TypeError, AttributeError):
        raise ConfigurationError([f'{file} holds no settings: no object "Values"']) from None


def demo_credentials(values: Mapping[str, str]) -> Credentials:
    """Keys made on Binance Demo.

    Raises
    ------
    ConfigurationError
        There are none, or they belong to production.
    """
    environment = values.get("BINANCE_ENVIRONMENT", "")
    if environment != "demo":
        raise ConfigurationError(
            [
                f"BINANCE_ENVIRONMENT is {environment!r}: the keys beside it belong there. Set "
                "demo and keys made on Binance Demo; acceptance is never run in production"
            ]
        )
    missing = [
        n for n in ("BINANCE_API_KEY", "BINANCE_API_SECRET") if not values.get(n, "").strip()
    ]
    if missing:
        raise ConfigurationError([f"{name} is empty" for name in missing])
    return Credentials(
        environment="demo",
        key=values["BINANCE_API_KEY"],
        secret=values["BINANCE_API_SECRET"],
    )
