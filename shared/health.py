"""Whether the application can do its work right now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.clock import iso
from shared.errors import BorsaError, ExchangeError

if TYPE_CHECKING:
    from shared.bootstrap import Services


#: How often the exchange is asked in a minute, whoever asks us: anybody may, and each request
#: costs weight that exits need. After that the last answer counts.
ASKED = 30


def check(services: Services) -> dict[str, Any]:
    """Ask settings, store and exchange; say which of them cannot be used, and why."""
    checks: dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Any]) -> Any:
        try:
            answer = question()
        except BorsaError as error:
            checks[name] = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            return None
        checks[name] = {"ok": True}
        return answer

    if ask("settings", lambda: services.settings) is not None:
        switch = ask("store", lambda: services.kill_switch.ensure())
        ask("exchange", lambda: _exchange(services))
        ask("plan", lambda: services.plan)
        ask("limits", lambda: services.stage)
        if switch is not None:
            checks["kill switch"] = {"ok": True, "state": switch.state}
    good = all(c["ok"] for c in checks.values())
    return {
        "status": "ok" if good else "failing",
        "time": iso(services.clock.now_ms()),
        "checks": checks,
    }


def _exchange(services: Services) -> None:
    """Whether the exchange answers.

    Raises
    ------
    ExchangeError
        When it does not.
    """
    minute = services.clock.now_ms() // 60_000
    known, count, trouble = services.heard
    if minute != known or count < ASKED:
        trouble = None
        try:
            services.exchange.server_time()
        except ExchangeError as error:
            trouble = error
        services.heard = (minute, count + 1 if minute == known else 1, trouble)
    if trouble is not None:
        raise trouble
