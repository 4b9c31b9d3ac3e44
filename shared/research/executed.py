"""Trades and decisions that were really made: from an audit file, a store, or the API's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import InvalidInput
from shared.portfolio.trades import Trade
from shared.storage.store import Store, Where

_ID = re.compile(r"(?P<symbol>[A-Z0-9]+)-(?P<timeframe>\d+[mhd])-(?P<close>\d+)-v\d+$")
_PAGE = 500


@dataclass(frozen=True)
class Executed:
    """What a live, paper or replay run did.

    ``decisions`` maps the id of every signal that was decided on to ``approved`` or the name of
    the first check that failed; ``None`` where the source holds no decisions.
    """

    trades: list[Trade]
    decisions: dict[str, str] | None
    source: str
    notes: list[str] = field(default_factory=list)


def bar_close(identity: str) -> int | None:
    """Closing time of the bar that a signal's id names, ``None`` for other ids."""
    match = _ID.match(identity)
    return int(match["close"]) if match else None


def timeframes_of(executed: Executed) -> tuple[str, ...]:
    """Time frames named in the ids."""
    ids = [t.id for t in executed.trades] + list(executed.decisions or ())
    return tuple(sorted({m["timeframe"] for i in ids if (m := _ID.match(i))}))


def from_audit_file(path: Path) -> Executed:
    """Trades and decisions of an exported audit chain.

    Raises
    ------
    InvalidInput
        When it is no such file. Whether the chain verifies is ``./run audit verify``'s matter.
    """
    trades: list[Trade] = []
    decisions: dict[str, str] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                kind, body = record.get("kind"), record.get("body", {})
                if kind == "trade":
                    trades.append(_trade(body))
                elif kind == "decision":
                    decided = body["decision"]
                    decisions[decided["id"]] = _outcome(decided)
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise InvalidInput(f"{path}: line {number} is no audit record: {error}") from error
    if not trades and not decisions:
        raise InvalidInput(f"{path}: holds no decision and no trade")
    return Executed(trades, decisions, path.name)


def from_json_file(path: Path) -> Executed:
    """Trades as ``GET /api/trades`` answers them (one page, or a list of pages), without decisions.

    Raises
    ------
    InvalidInput
        When it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pages = content if isinstance(content, list) else [content]
        bodies: list[Any] = []
        for page in pages:
            bodies += page.get("trades", [page])
        trades = [_trade(body) for body in bodies]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path}: is not what GET /api/trades answers ({error})") from error
    return Executed(
        trades,
        None,
        path.name,
        ["the file holds no decisions: why a trade is missing is not known"],
    )


def from_store(store: Store, account: str, symbols: Iterable[str]) -> Executed:
    """Trades of an account and decisions of symbols in the application's store."""
    trades = [_trade(body) for body in _all(store, "trades", account, "closedAt", [])]
    where = [Where("kind", "=", "decision")]
    decisions = {
        body["decision"]["id"]: _outcome(body["decision"])
        for symbol in symbols
        for body in _all(store, "signals", symbol, "time", where)
    }
    return Executed(trades, decisions, "store")


def _all(
    store: Store, container: str, partition: str, order_by: str, where: list[Where]
) -> Iterable[dict[str, Any]]:
    continuation = None
    while True:
        page = store.query(
            container,
            partition,
            where=where,
            order_by=order_by,
            limit=_PAGE,
            continuation=continuation,
        )
        yield from (document.body for document in page.documents)
        continuation = page.continuation
        if continuation is None:
            return


def _trade(body: Mapping[str, Any]) -> Trade:
    try:
        trade = msgspec.convert(dict(body), Trade)
    except msgspec.ValidationError as error:
        raise ValueError(f"no trade: {error}") from error
    money = (trade.quantity, trade.entry_price, trade.exit_price, trade.net_pnl)
    if not all(value.is_finite() for value in money) or trade.quantity <= Decimal(0):
        raise ValueError(f"no trade: {trade.id} has figures that cannot be")
    return trade


def _outcome(decision: Mapping[str, Any]) -> str:
    if decision["outcome"] == "approved":
        return "approved"
    reasons = decision.get("reasons") or [decision["outcome"]]
    return str(reasons[0]).split(":")[0]
