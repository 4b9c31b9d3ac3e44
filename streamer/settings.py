"""The streamer's settings: names of the application where they mean the same; checked at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from shared.errors import ConfigurationError
from shared.execution.binance.environment import environment as venue
from shared.market.timeframe import TIMEFRAMES
from shared.setting_reader import Reader, Setting
from shared.settings import SETTINGS as APPLICATION
from shared.settings import Environment

#: What can be streamed. Closed candles are what the application trades on; the rest is for whoever
#: wants it, and off by default.
STREAMS = ("klines", "markPrice", "bookTicker", "depth", "userData")

#: Where the venue's websockets are; the simulated exchange has them on its own port.
_SOCKETS = {
    "demo": "wss://demo-fstream.binance.com",
    "production": "wss://fstream.binance.com",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the streamer reads from its environment, but for secrets."""

    binance_environment: Environment
    rest_url: str
    sockets_url: str
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    streams: tuple[str, ...]
    depth_levels: Literal[5, 10, 20]
    catch_up_minutes: int
    stall_seconds: int
    connection_hours: int
    conflate_ms: int
    queue_events: int
    flush_seconds: int
    health_port: int
    namespace: str
    key_vault_uri: str
    azure_client_id: str


#: Of the application, with the same meaning.
_SHARED = (
    "BINANCE_ENVIRONMENT",
    "BINANCE_BASE_URL",
    "KEY_VAULT_URI",
    "SYMBOLS",
    "TIMEFRAMES",
    "AZURE_CLIENT_ID",
)

#: Every setting of the streamer; docs and Bicep are checked against this table.
SETTINGS: tuple[Setting, ...] = (
    *(s for s in APPLICATION if s.name in _SHARED),
    Setting("EventHubConnection__fullyQualifiedNamespace", "", "Event Hubs namespace"),
    Setting("STREAMER_STREAMS", "klines", "what is streamed, separated by commas"),
    Setting("STREAMER_DEPTH_LEVELS", "10", "levels of each side in a depth event: 5, 10 or 20"),
    Setting("STREAMER_CATCH_UP_MINUTES", "15", "how far back a start publishes closed candles"),
    Setting("STREAMER_STALL_SECONDS", "60", "silence after which a connection is made again"),
    Setting("STREAMER_CONNECTION_HOURS", "23", "age at which a connection gets a successor"),
    Setting("STREAMER_CONFLATE_MS", "1000", "how often quotes of a symbol are published at most"),
    Setting("STREAMER_QUEUE_EVENTS", "10000", "unsent events above which reading waits"),
    Setting("STREAMER_FLUSH_SECONDS", "20", "how long a stop waits for unsent events"),
    Setting("STREAMER_HEALTH_PORT", "8080", "port of /healthz and /metrics"),
)

_DEFAULTS = {s.name: s.default for s in SETTINGS}

#: A connection string is taken for the emulator alone: deployed namespaces have keys switched off.
EMULATOR = "EventHubConnection"


def load(environment: Mapping[str, str], *, sends: bool = True) -> Settings:
    """Read and check all settings.

    Parameters
    ----------
    environment : mapping
    sends : bool
        Whether Event Hubs must be named; ``./run streamer`` has a log of its own.

    Raises
    ------
    ConfigurationError
        Naming every problem at once, with what to set.
    """
    read = Reader(environment, _DEFAULTS)
    name = read.choice("BINANCE_ENVIRONMENT", ("simulated", "demo", "production"))
    base_url = read.url("BINANCE_BASE_URL")
    settings = Settings(
        binance_environment=name,  # type: ignore[arg-type]
        rest_url="",
        sockets_url="",
        symbols=read.names(
            "SYMBOLS",
            lambda x: x.isalnum() and x == x.upper() and len(x) <= 20,
            "contract names such as BTCUSDT,ETHUSDT",
        ),
        timeframes=read.names(
            "TIMEFRAMES", TIMEFRAMES.__contains__, "time frames out of " + ", ".join(TIMEFRAMES)
        ),
        streams=read.names(
            "STREAMER_STREAMS", STREAMS.__contains__, "out of " + ", ".join(STREAMS)
        ),
        depth_levels=int(read.choice("STREAMER_DEPTH_LEVELS", ("5", "10", "20"))),  # type: ignore[arg-type]
        catch_up_minutes=read.integer("STREAMER_CATCH_UP_MINUTES", 0, 1440),
        stall_seconds=read.integer("STREAMER_STALL_SECONDS", 10, 600),
        connection_hours=read.integer("STREAMER_CONNECTION_HOURS", 1, 23),
        conflate_ms=read.integer("STREAMER_CONFLATE_MS", 100, 60_000),
        queue_events=read.integer("STREAMER_QUEUE_EVENTS", 100, 1_000_000),
        flush_seconds=read.integer("STREAMER_FLUSH_SECONDS", 1, 300),
        health_port=read.integer("STREAMER_HEALTH_PORT", 1, 65_535),
        namespace=read.text("EventHubConnection__fullyQualifiedNamespace"),
        key_vault_uri=read.url("KEY_VAULT_URI"),
        azure_client_id=read.text("AZURE_CLIENT_ID"),
    )
    problems = read.problems
    if sends:
        problems += _no_place_to_send(settings.namespace, environment.get(EMULATOR, "").strip())
    if "userData" in settings.streams:
        problems += _no_key(settings, environment)
    try:
        rest_url = venue(name, base_url or None).base_url
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    sockets = _SOCKETS.get(name) or rest_url.replace("http", "ws", 1)
    return msgspec.structs.replace(settings, rest_url=rest_url, sockets_url=sockets)


def _no_place_to_send(namespace: str, emulator: str) -> list[str]:
    # The connection string is not shown, whatever is wrong with it: it holds a key.
    if namespace and emulator:
        return [f"{EMULATOR} and {EMULATOR}__fullyQualifiedNamespace are both set; keep one"]
    if emulator and "usedevelopmentemulator=true" not in emulator.lower():
        return [
            f"{EMULATOR} must be the connection string of the emulator "
            "(UseDevelopmentEmulator=true); a namespace is opened by identity, see "
            f"{EMULATOR}__fullyQualifiedNamespace"
        ]
    if not namespace and not emulator:
        return [f"{EMULATOR}__fullyQualifiedNamespace is empty; set the Event Hubs namespace"]
    if "/" in namespace or ":" in namespace:
        return [
            f"{EMULATOR}__fullyQualifiedNamespace is {namespace!r}; it must be a host name such as "
            "name.servicebus.windows.net"
        ]
    return []


def _no_key(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    if settings.binance_environment == "production" and not settings.key_vault_uri:
        return [
            "KEY_VAULT_URI is empty; userData on production reads the API key from the vault only"
        ]
    if not settings.key_vault_uri and not environment.get("BINANCE_API_KEY", "").strip():
        return ["userData needs the API key: set KEY_VAULT_URI, or BINANCE_API_KEY on this machine"]
    return []
