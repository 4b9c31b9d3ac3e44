"""Settings: defaults, and every problem at once."""

from __future__ import annotations

import pytest

from shared.errors import ConfigurationError
from streamer.settings import SETTINGS, load

NAMESPACE = {"EventHubConnection__fullyQualifiedNamespace": "evhns.servicebus.windows.net"}
DEMO = {"BINANCE_ENVIRONMENT": "demo", **NAMESPACE}
EMULATOR = (
    "Endpoint=sb://localhost;SharedAccessKeyName=k;SharedAccessKey=SAS_KEY_VALUE;"
    "UseDevelopmentEmulator=true;"
)


def problems(**environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        load(environment)
    return refused.value.problems


def test_closed_candles_alone_are_streamed_by_default() -> None:
    found = load(DEMO)
    assert found.streams == ("klines",)
    assert found.symbols == ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    assert found.rest_url == "https://demo-fapi.binance.com"
    assert found.sockets_url == "wss://demo-fstream.binance.com"


def test_each_environment_has_its_hosts() -> None:
    live = load({"BINANCE_ENVIRONMENT": "production", **NAMESPACE})
    assert (live.rest_url, live.sockets_url) == (
        "https://fapi.binance.com",
        "wss://fstream.binance.com",
    )
    here = load({"BINANCE_BASE_URL": "http://127.0.0.1:8090", **NAMESPACE})
    assert (here.rest_url, here.sockets_url) == ("http://127.0.0.1:8090", "ws://127.0.0.1:8090")


def test_the_emulator_is_opened_by_its_connection_string() -> None:
    found = load({"BINANCE_ENVIRONMENT": "demo", "EventHubConnection": EMULATOR})
    assert found.namespace == ""


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        BINANCE_ENVIRONMENT="live",
        SYMBOLS="btcusdt",
        TIMEFRAMES="7m",
        STREAMER_STREAMS="klines,trades",
        STREAMER_DEPTH_LEVELS="7",
        STREAMER_CATCH_UP_MINUTES="-1",
        STREAMER_STALL_SECONDS="1",
        STREAMER_CONNECTION_HOURS="24",
        STREAMER_CONFLATE_MS="1",
        STREAMER_QUEUE_EVENTS="1",
        STREAMER_FLUSH_SECONDS="0",
        STREAMER_HEALTH_PORT="0",
        KEY_VAULT_URI="vault",
    )
    told = {p.split(" ")[0] for p in found}
    assert told >= {
        "BINANCE_ENVIRONMENT",
        "SYMBOLS",
        "TIMEFRAMES",
        *(s.name for s in SETTINGS if s.name.startswith("STREAMER_")),
        "KEY_VAULT_URI",
        "EventHubConnection__fullyQualifiedNamespace",
    }


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({**DEMO, "BINANCE_BASE_URL": "http://127.0.0.1:1"}, "BINANCE_BASE_URL"),
        (NAMESPACE, "BINANCE_BASE_URL is missing"),
        ({**NAMESPACE, "BINANCE_BASE_URL": "https://fapi.binance.com"}, "never uses Binance's"),
        ({**DEMO, "EventHubConnection": EMULATOR}, "keep one"),
        ({"BINANCE_ENVIRONMENT": "demo"}, "fullyQualifiedNamespace is empty"),
        (
            {
                "BINANCE_ENVIRONMENT": "demo",
                "EventHubConnection__fullyQualifiedNamespace": "sb://x/",
            },
            "must be a host name",
        ),
        (
            {"BINANCE_ENVIRONMENT": "demo", "EventHubConnection": EMULATOR.split("UseDev")[0]},
            "of the emulator",
        ),
        ({**DEMO, "STREAMER_STREAMS": "userData"}, "needs the API key"),
        (
            {
                **NAMESPACE,
                "BINANCE_ENVIRONMENT": "production",
                "STREAMER_STREAMS": "userData",
                "BINANCE_API_KEY": "production:abc",
            },
            "from the vault only",
        ),
    ],
)
def test_combinations_that_are_refused(environment: dict[str, str], expected: str) -> None:
    found = "; ".join(problems(**environment))
    assert expected in found
    assert "SAS_KEY_VALUE" not in found
    assert "abc" not in found
