"""What happened last, in the few fields that people look at: signals, decisions, trades, alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from shared.execution.assess import decision_key
from shared.execution.desk import Desk
from shared.risk.plan import Check
from shared.risk.told import told
from shared.storage.store import Where
from shared.strategies.signal import signal_prefix

#: Rows of each list.
ROWS = 12
#: Fields of the records that are shown as they are stored.
_TRADE = (
    "id",
    "symbol",
    "side",
    "quantity",
    "entryPrice",
    "exitPrice",
    "openedAt",
    "closedAt",
    "fees",
    "funding",
    "netPnl",
    "rMultiple",
    "exitReason",
)
_ORDER = (
    "id",
    "symbol",
    "side",
    "type",
    "quantity",
    "price",
    "triggerPrice",
    "state",
    "createdAt",
    "averagePrice",
)
_ALERT = ("id", "severity", "kind", "title", "text", "time", "state")
_VIOLATION = ("id", "kind", "severity", "symbol", "text", "time", "state")
_APPROVAL = (
    "id",
    "symbol",
    "nonce",
    "state",
    "requestedAt",
    "expiresAt",
    "summary",
    "operator",
)


def why(decision: Mapping[str, Any]) -> str:
    """The check that declined a decision, in words; its first reason otherwise."""
    for check in decision["checks"]:
        if check["judged"] and not check["passed"]:
            return told(msgspec.convert(check, Check))
    return str(decision["reasons"][0]) if decision["reasons"] else ""


def signals(desk: Desk, timeframes: Sequence[str]) -> list[dict[str, Any]]:
    """The newest signal of every symbol and time frame, the strongest first."""
    found = []
    for symbol in desk.symbols:
        for timeframe in timeframes:
            for row in _of_bars(desk, symbol, signal_prefix(symbol, timeframe), 1):
                s = row["signal"]
                found.append(
                    {
                        "id": s["id"],
                        "symbol": symbol,
                        "timeframe": timeframe,
                        "barCloseTime": s["bar_close_time"],
                        "side": s["side"],
                        "strength": s["strength"],
                        "threshold": s["threshold"],
                        "close": s["close"],
                        "votes": _votes(s),
                    }
                )
    return sorted(found, key=lambda s: (-abs(s["strength"]), s["id"]))


def decisions(desk: Desk, timeframes: Sequence[str]) -> list[dict[str, Any]]:
    """The newest decisions of all symbols, with what declined them and what models had said."""
    found = []
    # What one symbol may have of the list is bounded: a decision is a document of some size.
    share = max(4, ROWS // max(1, len(desk.symbols)))
    prefixes = [(s, decision_key(signal_prefix(s, t))) for s in desk.symbols for t in timeframes]
    for symbol, prefix in prefixes:
        for row in _of_bars(desk, symbol, prefix, share):
            signal, decision = row["inputs"]["signal"], row["decision"]
            found.append(
                {
                    "id": decision["id"],
                    "symbol": symbol,
                    "timeframe": signal["timeframe"],
                    "side": signal["side"],
                    "strength": signal["strength"],
                    "threshold": signal["threshold"],
                    "outcome": row["outcome"],
                    "why": why(decision),
                    "decidedAt": row["time"],
                    "votes": [v for v in _votes(signal) if v["model"]],
                }
            )
    found.sort(key=lambda d: (d["decidedAt"], d["id"]), reverse=True)
    return found[:ROWS]


def _votes(signal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Votes of a stored signal; ``model`` is the version of the model that voted, else empty."""
    return [
        {
            "strategy": v["strategy"],
            "vote": v["vote"],
            "weight": v["weight"],
            "model": v.get("model", ""),
        }
        for v in signal["votes"]
    ]


def _of_bars(desk: Desk, symbol: str, prefix: str, limit: int) -> list[dict[str, Any]]:
    """Signals or decisions of the newest bars. Their ids are in the order of the bars, so that
    nothing else is read, however many of them three months have left."""
    end = f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"
    where = [Where("id", ">=", prefix), Where("id", "<", end)]
    return _newest(desk, "signals", symbol, "id", where, limit)


def trades(desk: Desk) -> list[dict[str, Any]]:
    """Closed round trips, newest first."""
    return _told(desk, "trades", "closedAt", _TRADE)


def orders(desk: Desk) -> list[dict[str, Any]]:
    """Orders of ours, newest first."""
    return _told(desk, "orders", "createdAt", _ORDER)


def alerts(desk: Desk) -> list[dict[str, Any]]:
    """Alerts, newest first; ``state`` is ``raised`` until one was delivered, or stored for good."""
    return _told(desk, "alerts", "time", _ALERT)


def violations(desk: Desk) -> list[dict[str, Any]]:
    """What compliance noticed, newest first."""
    return _told(desk, "violations", "time", _VIOLATION)


def approvals(desk: Desk) -> list[dict[str, Any]]:
    """Requests for approval, newest first."""
    return _told(desk, "approvals", "requestedAt", _APPROVAL)


def _told(desk: Desk, container: str, order_by: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    rows = _newest(desk, container, desk.account, order_by, (), ROWS)
    return [{name: row.get(name) for name in fields} for row in rows]


def _newest(
    desk: Desk,
    container: str,
    partition: str,
    order_by: str,
    where: Sequence[Where],
    limit: int,
) -> list[dict[str, Any]]:
    page = desk.store.query(
        container, partition, where=where, order_by=order_by, descending=True, limit=limit
    )
    return [d.body for d in page.documents]
