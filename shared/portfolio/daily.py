"""The daily report."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.clock import day
from shared.execution.desk import Desk
from shared.market.timeframe import DAY_MS
from shared.portfolio import trades
from shared.portfolio.trades import Trade
from shared.storage.store import Where


def trades_between(desk: Desk, start: int, end: int) -> list[Trade]:
    """Trades closed in ``[start, end)``, oldest first."""
    found: list[Trade] = []
    continuation: str | None = None
    while True:
        page = desk.store.query(
            trades.CONTAINER,
            desk.account,
            where=[Where("closedAt", ">=", start), Where("closedAt", "<", end)],
            order_by="closedAt",
            limit=500,
            continuation=continuation,
        )
        found += [msgspec.convert(d.body, Trade) for d in page.documents]
        continuation = page.continuation
        if continuation is None:
            return found


def report(desk: Desk) -> str:
    """Raise the report of the UTC day before now as an alert; returns its text."""
    midnight = desk.clock.now_ms() // DAY_MS * DAY_MS
    closed = trades_between(desk, midnight - DAY_MS, midnight)
    account = desk.exchange.account()
    won = sum(t.net_pnl > 0 for t in closed)
    net = sum((t.net_pnl for t in closed), Decimal(0))
    fees = sum((t.fees for t in closed), Decimal(0))
    funding = sum((t.funding for t in closed), Decimal(0))
    text = (
        f"{len(closed)} trades closed, {won} won; net {net:.2f} USDT after fees {fees:.2f} and "
        f"funding {funding:+.2f}. Equity {account.equity:.2f} USDT, unrealised "
        f"{account.unrealized_pnl:+.2f}."
    )
    name = day(midnight - DAY_MS)
    desk.note("report", {"day": name, "text": text}, correlation=f"report-{name}")
    desk.alert("info", "daily-report", f"Daily report {name}", text, correlation=f"report-{name}")
    return text
