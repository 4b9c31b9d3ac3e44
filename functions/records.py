"""Single records, the audit chain, alerts and dead letters, for people who look into something."""

from typing import Any

import azure.functions as func
import msgspec

from functions.api import limit_of
from functions.durable import df
from functions.http import answers, read
from shared.bootstrap import services
from shared.errors import InvalidInput, NotFound

bp = df.Blueprint()

SOURCES = ("market", "executions", "risk", "compliance")


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/audit/verify``: hashes by record number that were kept elsewhere."""

    whole: bool = False
    anchors: dict[int, str] = {}


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /api/alerts/{id}/acknowledge``."""

    operator: str
    note: str = ""


@bp.route(route="orders/{id}", methods=["GET"])
@answers
def get_order(req: func.HttpRequest) -> Any:
    """One order of ours."""
    return _one("orders", req.route_params["id"], "order")


@bp.route(route="trades/{id}", methods=["GET"])
@answers
def get_trade(req: func.HttpRequest) -> Any:
    """One closed round trip."""
    return _one("trades", req.route_params["id"], "trade")


@bp.route(route="decisions/{id}", methods=["GET"])
@answers
def explain_decision(req: func.HttpRequest) -> Any:
    """One decision, recomputed from its audit record."""
    from shared.operations.explained import explained

    now = services()
    return explained(now.store, now.audit, req.route_params["id"])


@bp.route(route="audit", methods=["GET"])
@answers
def list_audit(req: func.HttpRequest) -> Any:
    """Records of one UTC day in the order of the chain, and where the chain ends."""
    from shared.audit.chain import CONTAINER, HEAD_CONTAINER, HEAD_ID
    from shared.audit.kinds import KINDS
    from shared.clock import day

    now = services()
    account = now.settings.account_id
    kind = req.params.get("kind")
    if kind is not None and kind not in KINDS:
        raise InvalidInput(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    asked = _day(req) or day(now.clock.now_ms())
    where = [("account", account), ("kind", kind), ("correlation", req.params.get("correlation"))]
    page = _page(req, CONTAINER, asked, "id", where, descending=False)
    head = now.store.get(HEAD_CONTAINER, account, HEAD_ID)
    return {
        "day": asked,
        "records": [{k: v for k, v in row.items() if k != "id"} for row in page["rows"]],
        "continuation": page["continuation"],
        "head": None if head is None else {k: head.body[k] for k in ("seq", "day", "hash")},
    }


@bp.route(route="audit/verify", methods=["POST"])
@answers
def verify_audit(req: func.HttpRequest) -> Any:
    """Check the hash chain: what was appended since the last time, or all of it."""
    from shared.audit.progress import verify_on
    from shared.audit.verify import verify

    given, now = read(req, VerifyRequest), services()
    now.throttle.admit()
    account = now.settings.account_id
    if given.whole or given.anchors:
        report = verify(now.store, account, anchors=given.anchors)
    else:
        report = verify_on(now.store, account)
    return {
        "ok": report.ok,
        "account": report.account,
        "records": report.records,
        "lastSeq": report.last_seq,
        "lastDay": report.last_day,
        "lastHash": report.last_hash,
        "found": report.found,
        "problems": report.problems,
    }


@bp.route(route="alerts", methods=["GET"])
@answers
def list_alerts(req: func.HttpRequest) -> Any:
    """Alerts, newest first."""
    severity, state = req.params.get("severity"), req.params.get("state")
    for name, value, known in (
        ("severity", severity, ("info", "warning", "critical")),
        ("state", state, ("raised", "delivered", "stored")),
    ):
        if value is not None and value not in known:
            raise InvalidInput(f"{name} is {value!r}; use one of {', '.join(known)}")
    where = [("severity", severity), ("state", state), ("kind", req.params.get("kind"))]
    page = _page(req, "alerts", services().settings.account_id, "time", where)
    return {"alerts": page["rows"], "continuation": page["continuation"]}


@bp.route(route="alerts/{id}/acknowledge", methods=["POST"])
@answers
def acknowledge_alert(req: func.HttpRequest) -> Any:
    """Somebody has seen it: it is not escalated any further."""
    from shared.alerts.escalation import acknowledge

    given = read(req, Seen)
    desk = services().desk()
    return acknowledge(desk, req.route_params["id"], operator=given.operator, note=given.note)


@bp.route(route="dead-letters", methods=["GET"])
@answers
def list_dead_letters(req: func.HttpRequest) -> Any:
    """Events that could not be processed, newest first; of one source or of all."""
    source = req.params.get("source")
    if source is not None and source not in SOURCES:
        raise InvalidInput(f"source is {source!r}; use one of {', '.join(SOURCES)}")
    if source is not None:
        page = _page(req, "deadletter", source, "time", [])
        return {"deadLetters": page["rows"], "continuation": page["continuation"]}
    found = [row for s in SOURCES for row in _page(req, "deadletter", s, "time", [])["rows"]]
    found.sort(key=lambda row: (row["time"], row["id"]), reverse=True)
    return {"deadLetters": found[: limit_of(req)], "continuation": None}


def _one(container: str, id: str, what: str) -> dict[str, Any]:
    found = services().store.get(container, services().settings.account_id, id)
    if found is None:
        raise NotFound(f"there is no {what} {id}")
    return found.body


def _day(req: func.HttpRequest) -> str | None:
    from datetime import date

    text = req.params.get("day")
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidInput(f"day is {text!r}; write 2026-01-31") from None


def _page(
    req: func.HttpRequest,
    container: str,
    partition: str,
    order_by: str,
    where: list[tuple[str, Any]],
    *,
    descending: bool = True,
) -> dict[str, Any]:
    from shared.storage.store import Where

    page = services().store.query(
        container,
        partition,
        where=[Where(name, "=", value) for name, value in where if value is not None],
        order_by=order_by,
        descending=descending,
        limit=limit_of(req),
        continuation=req.params.get("continuation") or None,
    )
    return {"rows": [d.body for d in page.documents], "continuation": page.continuation}
