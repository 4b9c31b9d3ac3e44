"""Between a running application and a new version of it: drain, verify, hold.

For pipelines and people; needs nothing but Python. Address and key come from ``BORSA_API``
(``https://NAME.azurewebsites.net/api``) and ``BORSA_KEY``, so that neither stands in a command
line. Nothing here latches or clears the kill switch, and nothing needs a second factor: draining
adds a restricted window to the compliance calendar, which declines entries and nothing else, and
ends by itself. While it lasts positions keep their stops and are closed by their rules.

    python infra/pipeline/release.py drain --minutes 30
    python infra/pipeline/release.py verify
    python infra/pipeline/release.py hold --hours 24
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

#: Entries are declined from a minute before a window on, so that what was decided before has been
#: executed, or is dead, when it begins.
LEAD = timedelta(seconds=61)
#: Seconds between two looks.
EVERY = 5.0
HTTP_TIMEOUT = 30.0


class Refused(Exception):
    """The application did not do what it was asked; the text says what it said."""


class Api:
    """The HTTP interface of one application.

    Parameters
    ----------
    address : str
        With ``/api`` at its end.
    key : str
        A function key.
    """

    def __init__(self, address: str, key: str) -> None:
        self._address = address.rstrip("/")
        self._key = key

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON body; status 0 where nothing answered."""
        request = urllib.request.Request(
            f"{self._address}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"x-functions-key": self._key, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())
        except OSError:
            return 0, {}

    def get(self, path: str) -> dict[str, Any]:
        """The body of a successful answer.

        Raises
        ------
        Refused
        """
        return self._done("GET", path, None)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """As :meth:`get`."""
        return self._done("POST", path, body)

    def _done(self, method: str, path: str, body: Any) -> dict[str, Any]:
        status, found = self.call(method, path, body)
        if not 200 <= status < 300:
            said = found.get("error", {}).get("message", "")
            raise Refused(
                f"{method} {path} was answered with {status or 'nothing'}. {said}".strip()
            )
        return found


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def drain(
    api: Api,
    *,
    minutes: int,
    patience: float,
    title: str,
    operator: str,
    sleep: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = print,
) -> bool:
    """Decline entries for so many minutes, and wait until nothing is under way.

    Returns
    -------
    bool
        Whether it may be deployed now. If not, the window stays and ends by itself.

    Raises
    ------
    Refused
        The application cannot be asked, or took the window not.
    """
    begins = _time(api.get("status")) + LEAD
    event = _restrict(api, begins, minutes, title, operator)
    say(f"nothing is opened from now on, until {event['ends']} (event {event['id']})")
    waited = 0.0
    while True:
        status = api.get("status")
        left = _under_way(api, status)
        if _time(status) < begins:
            left.insert(0, f"the window begins at {begins.isoformat()}")
        if not left:
            say("drained: nothing is under way")
            return True
        if waited >= patience:
            say(f"NOT drained after {patience:.0f} s: {'; '.join(left)}")
            return False
        sleep(EVERY)
        waited += EVERY


def verify(
    api: Api,
    *,
    patience: float,
    operator: str,
    sleep: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = print,
) -> bool:
    """Whether the application that runs now can do its work, stop included; waits for its start."""
    waited = 0.0
    while True:
        status, health = api.call("GET", "health")
        if status == 200:
            break
        failing = [n for n, c in health.get("checks", {}).items() if not c.get("ok")]
        if waited >= patience:
            say(f"NOT healthy after {patience:.0f} s: {status}, {', '.join(failing) or 'silent'}")
            return False
        sleep(EVERY)
        waited += EVERY
    naked = _naked(api)
    if naked:
        say(f"without an order on the exchange: {', '.join(naked)}")
        return False
    drill = api.post("emergency-stop?drill=true", {"operator": operator})
    for step in drill["steps"]:
        if not step["ok"]:
            say(f"drill of the emergency stop: {step['name']}: {step['detail']}")
    if not drill["passed"]:
        return False
    versions = api.get("config")["versions"]
    say(f"healthy; code {versions['code']}, Python {versions['python']}; a stop would work")
    restricted = api.get("compliance")["restrictedNow"]
    until = max((r["until"] for r in restricted if r["symbol"] == "*"), default="")
    state = api.get("status")["killSwitch"]["state"]
    if state != "armed":
        say(f"nothing is opened: the kill switch is {state}")
    say(f"entries are declined until {until}" if until else "no window declines entries")
    return True


def hold(
    api: Api, *, hours: int, title: str, operator: str, say: Callable[[str], None] = print
) -> None:
    """Decline entries for so many hours: until a person has looked."""
    event = _restrict(api, _time(api.get("health")), hours * 60, title, operator)
    say(f"nothing is opened until {event['ends']}; take event {event['id']} away to end it before")


def _restrict(
    api: Api, begins: datetime, minutes: int, title: str, operator: str
) -> dict[str, Any]:
    added = api.post(
        "compliance/events",
        {
            "symbol": "*",
            "kind": "other",
            "title": title,
            "at": begins.isoformat(),
            "beforeMinutes": 0,
            "afterMinutes": minutes,
            "operator": operator,
        },
    )
    return {"id": added["id"], "ends": (begins + timedelta(minutes=minutes)).isoformat()}


def _under_way(api: Api, status: dict[str, Any]) -> list[str]:
    """What a deployment would interrupt, in words."""
    left = []
    permits = status["killSwitch"]["outstandingPermits"]
    if permits:
        left.append(f"{permits} orders may still come to be")
    if Decimal(status["reserved"]):
        left.append(f"{status['reserved']} USDT are held for decisions under way")
    if status["killSwitch"]["closing"]:
        switch = api.get("dashboard")["killSwitch"]
        if switch is None or switch["flatAt"] is None:
            left.append("an emergency stop is closing positions")
    waiting = [a["id"] for a in api.get("approvals")["approvals"] if a["state"] == "pending"]
    if waiting:
        left.append(f"a person is asked about {', '.join(waiting)}")
    left += [f"{symbol} has no order on the exchange" for symbol in _naked(api)]
    return left


def _naked(api: Api) -> list[str]:
    """Positions of ours without any conditional order on the exchange."""
    return [
        p["symbol"]
        for p in api.get("positions")["positions"]
        if p["decisionId"] is not None and not p["ordersOnExchange"]
    ]


def _time(answer: dict[str, Any]) -> datetime:
    """The application's own time: windows are judged by it."""
    return datetime.fromisoformat(answer["time"])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when it was done, 1 when it was not."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    draining = commands.add_parser("drain", help="decline entries and wait for what is under way")
    draining.add_argument("--minutes", type=int, default=30, help="default: %(default)s")
    draining.add_argument("--patience", type=float, default=300.0, help="s, default: %(default)s")
    verifying = commands.add_parser("verify", help="wait for health, drill the emergency stop")
    verifying.add_argument("--patience", type=float, default=600.0, help="s, default: %(default)s")
    holding = commands.add_parser("hold", help="decline entries until a person has looked")
    holding.add_argument("--hours", type=int, default=24, help="default: %(default)s")
    for command in (draining, verifying, holding):
        command.add_argument("--operator", default=os.environ.get("GITHUB_ACTOR", "pipeline"))
        command.add_argument("--title", default="deployment", help="told where it is declined")
    options = parser.parse_args(arguments)
    address, key = os.environ.get("BORSA_API", ""), os.environ.get("BORSA_KEY", "")
    if not address or not key:
        print("set BORSA_API and BORSA_KEY", file=sys.stderr)
        return 1
    api = Api(address, key)
    try:
        if options.command == "drain":
            done = drain(
                api,
                minutes=options.minutes,
                patience=options.patience,
                title=options.title,
                operator=options.operator,
            )
        elif options.command == "verify":
            done = verify(api, patience=options.patience, operator=options.operator)
        else:
            hold(api, hours=options.hours, title=options.title, operator=options.operator)
            done = True
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
