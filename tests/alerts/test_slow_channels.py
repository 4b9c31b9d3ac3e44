"""A service that sends its answer byte by byte holds up neither the function nor other channels."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from local.clock import VirtualClock
from local.platform import app_settings
from shared.alerts import alert as alerts
from shared.alerts import channels, posting
from shared.alerts.alert import Alert
from shared.alerts.delivery import deliver
from shared.bootstrap import Services
from shared.errors import StoreUnavailable
from shared.storage.sqlite import SqliteStore

NOW = 1_767_571_200_000
#: Seconds that a delivery has here, and that no delivery takes here.
END, TOO_LONG = 1.0, 15.0
STATUS = b"HTTP/1.1 200 OK\r\n"
HEADERS = STATUS + b"\r\n"


class Dripping:
    """Answers each request with a beginning and then a byte now and then, until it is hung up on.

    Every byte comes in time for the time-outs of a socket.
    """

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        #: One for each connection: it ends when the other side has hung up.
        self.lines: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                self.lines.append(threading.Thread(target=self._drip, args=(line,), daemon=True))
                self.lines[-1].start()

    def _drip(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            line.recv(65_536)
            line.sendall(self._beginning)
            while not self._over.wait(0.05):
                line.sendall(b"x")

    def hung_up_on(self) -> bool:
        """Whether nobody holds a connection any more."""
        for thread in self.lines:
            thread.join(TOO_LONG)
        return not any(thread.is_alive() for thread in self.lines)

    def close(self) -> None:
        self._over.set()
        # An accept that waits does not see that its socket is closed.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def dripping(request: pytest.FixtureRequest) -> Iterator[Dripping]:
    running = Dripping(request.param)
    yield running
    running.close()


@pytest.fixture
def services(dripping: Dripping, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr(posting, "ANSWER_S", END)
    monkeypatch.setattr(channels, "TWILIO", dripping.url)
    clock = VirtualClock(NOW)
    store = SqliteStore(":memory:", clock=clock)
    settings = app_settings(
        "http://exchange.invalid",
        ALERT_LOGIC_APP_URL=f"{dripping.url}/logic",
        ALERT_CHANNELS="discord,push,sms",
        DISCORD_WEBHOOK_URL=f"{dripping.url}/api/webhooks/1/discord-token-0123456789",
        PUSH_URL=f"{dripping.url}/topic",
        TWILIO_SMS="AC00000000000000000000000000000000:token-0123456789:+15005550006:+491701234567",
    )
    yield Services(settings, clock=clock, store=store)
    store.close()


def raised(services: Services) -> dict[str, Any]:
    alert = alerts.make(
        "main",
        severity="critical",
        kind="kill-switch",
        title="Kill switch latched: manual",
        text="Positions are being closed.",
        now_ms=NOW,
        correlation="emergency-1",
    )
    assert alerts.save(services.store, alert)
    return {k: getattr(alert, k) for k in Alert.__struct_fields__}


def state_of(services: Services, event: dict[str, Any]) -> str:
    document = services.store.get("alerts", "main", event["id"])
    assert document is not None
    return str(document.body["state"])


@pytest.mark.parametrize(
    "dripping",
    [b"", STATUS, STATUS + b"X-Thing: "],
    ids=["status", "headers", "header"],
    indirect=True,
)
def test_every_channel_has_an_end(services: Services, dripping: Dripping) -> None:
    event = raised(services)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        deliver(services, event)
    assert 4 * END <= time.monotonic() - began < TOO_LONG
    late = f"not delivered: no whole answer in {END:.0f} s"
    assert str(caught.value) == f"alert {late}; discord: {late}; push: {late}; sms: {late}"
    assert state_of(services, event) == "raised", "it is sent again"
    assert len(dripping.lines) == 4
    assert dripping.hung_up_on()


@pytest.mark.parametrize("dripping", [HEADERS], ids=["body"], indirect=True)
def test_who_has_taken_it_is_not_listened_to_any_longer(
    services: Services, dripping: Dripping
) -> None:
    event = raised(services)
    began = time.monotonic()
    assert deliver(services, event) == event
    assert time.monotonic() - began < TOO_LONG
    assert state_of(services, event) == "delivered", "and is not sent the same again"
    assert dripping.hung_up_on()
