"""``./run compliance``: what the monitor has found, and what people do about it."""

from __future__ import annotations

import argparse
import getpass
import json
from typing import Any
from urllib.parse import quote, urlencode

from local.cli.embedded_code import embedded_code
from local.cli.open_state import ACCOUNT, call, open_store
from shared.clock import iso
from shared.errors import InvalidInput

#: The simulated clock may outrun a code between two requests.
ATTEMPTS = 3


def run(options: argparse.Namespace) -> int:
    """0 when nothing critical is open (list), or when it was done."""
    return _ACTIONS[options.action or "list"](options)


def _list(options: argparse.Namespace) -> int:
    """The violations as the state of the run has them; 1 while a critical one is not closed."""
    from shared.storage.store import Where, every

    store = open_store(options.state)
    try:
        where = [] if options.all else [Where("state", "!=", "closed")]
        rows = [d.body for d in every(store, "violations", ACCOUNT, where=where, order_by="time")]
        cursor = store.get("control", ACCOUNT, "compliance")
    finally:
        store.close()
    for row in rows:
        severity = row.get("severity", "warning")
        print(f"{iso(row['time'])}  {severity:<8}  {row['state']:<12}  {row['id']}")
        print(f"    {row['text']}")
    scanned = "never" if cursor is None else f"up to {iso(cursor.body['scannedTo'])}"
    which = "" if options.all else " not closed"
    print(f"{len(rows)} violations{which}; orders and executions judged {scanned}")
    pressing = [r for r in rows if r["state"] != "closed" and r.get("severity") == "critical"]
    return 1 if pressing else 0


def _show(options: argparse.Namespace) -> int:
    return _told(*call(options.state, "GET", f"compliance/violations/{quote(options.id)}"))


def _scan(options: argparse.Namespace) -> int:
    asked = {"from": iso(options.start)} | ({} if options.end is None else {"to": iso(options.end)})
    return _told(*call(options.state, "POST", f"compliance/scan?{urlencode(asked)}"))


def _acknowledge(options: argparse.Namespace) -> int:
    body = {"operator": getpass.getuser(), "note": options.note}
    path = f"compliance/violations/{quote(options.id)}/acknowledge"
    return _told(*call(options.state, "POST", path, body))


def _close(options: argparse.Namespace) -> int:
    return _loosen(options, f"compliance/violations/{quote(options.id)}/close")


def _release(options: argparse.Namespace) -> int:
    return _loosen(options, f"compliance/events/{quote(options.id)}/remove")


def _events(options: argparse.Namespace) -> int:
    status, body = call(options.state, "GET", "compliance/events")
    if status != 200:
        return _told(status, body)
    for e in body["events"]:
        window = f"{iso(e['startsAt'])} to {iso(e['endsAt'])}"
        print(f"{e['id']}  {e['symbol']:<12}  {window}  {e['kind']}: {e['title']}")
    print(f"{len(body['events'])} events")
    return 0


def _restrict(options: argparse.Namespace) -> int:
    body = {
        "symbol": options.symbol,
        "kind": options.kind,
        "title": options.title,
        "at": options.at,
        "beforeMinutes": options.before,
        "afterMinutes": options.after,
        "operator": getpass.getuser(),
    }
    return _told(*call(options.state, "POST", "compliance/events", body))


def _loosen(options: argparse.Namespace, path: str) -> int:
    """An action under the second factor."""
    status, body = 0, None
    for _ in range(1 if options.code else ATTEMPTS):
        status, body = call(
            options.state,
            "POST",
            path,
            {
                "code": options.code or embedded_code(options.state),
                "reason": options.reason,
                "operator": getpass.getuser(),
            },
        )
        if status == 200 or "code" not in _said(status, body):
            break
    return _told(status, body)


def _told(status: int, body: Any) -> int:
    if status >= 300:
        raise InvalidInput(_said(status, body))
    print(json.dumps(body, indent=2))
    return 0


def _said(status: int, body: Any) -> str:
    return str((body or {}).get("error", {}).get("message", f"answered with {status}"))


_ACTIONS = {
    "list": _list,
    "show": _show,
    "scan": _scan,
    "acknowledge": _acknowledge,
    "close": _close,
    "events": _events,
    "restrict": _restrict,
    "release": _release,
}
