"""What happened in a period, one line each, in the order of time; UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from shared.clock import iso
from shared.operations.incident.gather import Gathered, Row

#: Longest text of a line.
_LONGEST = 300


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened: when (UTC ms), what kind, and in words.

    ``seq`` is the audit record's, -1 for an alert.
    """

    at: int
    seq: int
    kind: str
    text: str
    correlation: str


def timeline(found: Gathered) -> list[Line]:
    """The lines of a period.

    Records of one moment stand as the chain has them; an alert follows what it tells of.
    """
    lines = [_record(row) for row in found.parts["audit"].rows if row.get("kind") in _TOLD]
    lines += [_alert(row) for row in found.parts["alerts"].rows]
    return sorted(lines, key=lambda x: (x.at, x.seq < 0, x.seq, x.kind))


def _alert(row: Row) -> Line:
    return Line(
        at=_moment(str(row.get("time", ""))),
        seq=-1,
        kind=f"alert ({row.get('severity')})",
        text=_short(f"{row.get('title')} - {row.get('text')} [{row.get('state')}]"),
        correlation=str(row.get("correlation", "")),
    )


def _moment(text: str) -> int:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


def _record(row: Row) -> Line:
    kind, body = str(row.get("kind")), row.get("body")
    content: Row = body if isinstance(body, dict) else {}
    at, seq = row.get("time"), row.get("seq")
    return Line(
        at=at if isinstance(at, int) else 0,
        seq=seq if isinstance(seq, int) else 0,
        kind=kind,
        text=_short(_TOLD[kind](content)),
        correlation=str(row.get("correlation", "")),
    )


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _LONGEST else f"{one[: _LONGEST - 3]}..."


def _plain(body: Row) -> str:
    """Fields with a simple value, as they are."""
    return ", ".join(f"{k} {v}" for k, v in body.items() if isinstance(v, str | int | float))


def _switch(body: Row) -> str:
    if body.get("state") == "latched":
        evidence = body.get("evidence")
        by = _plain(evidence) if isinstance(evidence, dict) else ""
        again = "" if body.get("first", True) else " again"
        return f"kill switch LATCHED{again} by {body.get('trigger')}: {by}"
    if body.get("state") == "armed":
        return f"kill switch ARMED by {body.get('operator')}: {body.get('reason')}"
    if body.get("state") == "halted":
        return f"entries HALTED by the exchange: {body.get('code')} {body.get('reason')}"
    return _plain(body)


def _emergency(body: Row) -> str:
    drill = body.get("drill")
    if isinstance(drill, dict):
        return f"drill by {drill.get('operator')}: {'passed' if drill.get('passed') else 'FAILED'}"
    if "flat" not in body:
        return _plain(body)
    state = "account verified FLAT" if body.get("flat") else "account NOT flat yet"
    return (
        f"{state}; closed {_list(body.get('closed'))}, cancelled {body.get('cancelled')}, "
        f"remaining {_list(body.get('remaining'))}, permits {body.get('outstanding_permits')}"
    )


def _decision(body: Row) -> str:
    decision = body.get("decision")
    if not isinstance(decision, dict):
        return "a decision that cannot be read"
    plan = decision.get("plan")
    text = f"{decision.get('symbol')} {decision.get('outcome')}"
    if decision.get("outcome") != "approved" or not isinstance(plan, dict):
        return f"{text}: {_list(decision.get('reasons'))}"
    return (
        f"{text}: {plan.get('side')} {plan.get('quantity')} at {plan.get('reference_price')}, "
        f"stop {plan.get('stop_price')}, target {plan.get('take_profit_price')}"
    )


def _order(body: Row) -> str:
    executed = body.get("executedQuantity")
    done = ""
    if executed not in ("0", None):
        price = body.get("averagePrice")
        done = f", executed {executed}" + (f" at {price}" if price is not None else "")
    return (
        f"{body.get('symbol')} order {body.get('clientOrderId')} is {body.get('state')}{done}"
        f" ({body.get('reason')})"
    )


def _trade(body: Row) -> str:
    return (
        f"{body.get('symbol')} closed by {body.get('exitReason')} at {body.get('exitPrice')}: "
        f"{body.get('netPnl')} USDT"
    )


def _stage(body: Row) -> str:
    for name in ("promoted", "withdrawn"):
        inner = body.get(name)
        if isinstance(inner, dict):
            return f"stage {inner.get('stage')} {name}: {inner.get('reason')}"
    return _plain(body)


def _list(value: Any) -> str:
    return ", ".join(str(x) for x in value) or "none" if isinstance(value, list) else str(value)


#: Kinds of audit records that a reader needs, and how each is told; the others are in the file.
_TOLD: dict[str, Callable[[Row], str]] = {
    "kill_switch": _switch,
    "emergency": _emergency,
    "operator": _plain,
    "stage": _stage,
    "incident": _plain,
    "violation": _plain,
    "approval": _plain,
    "reconciliation": _plain,
    "decision": _decision,
    "intent": _plain,
    "order": _order,
    "protection": _plain,
    "position": _plain,
    "trade": _trade,
}


def told(line: Line) -> str:
    """A line as the summary has it."""
    return f"{iso(line.at)}  {line.kind:<16} {line.text}"
