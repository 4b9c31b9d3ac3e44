"""The curve of realised equity: the wallet of closed trades, less what each of them has earned."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.clock import iso
from shared.execution.desk import Desk
from shared.portfolio import realised, trades
from shared.portfolio.trades import Trade

#: Trades of the curve, the newest.
TRADES = 500


def curve(desk: Desk) -> dict[str, Any]:
    """Realised equity before the first and after each of the last trades on this venue.

    Money that was paid in or out counts as if it had been there before, as in
    :mod:`shared.research.performance`. What an open position has booked so far counts when its
    trade is closed.

    Returns
    -------
    dict
        ``points`` are pairs of UTC milliseconds and USDT as text, ascending.

    Raises
    ------
    ExchangeError
        Wallet or income could not be read.
    """
    page = desk.store.query(
        trades.CONTAINER, desk.account, order_by="closedAt", descending=True, limit=TRADES
    )
    found = [msgspec.convert(d.body, Trade) for d in page.documents]
    mine = [t for t in found if t.venue in ("", desk.environment)]
    equity = realised.wallet(desk, mine)
    now = desk.clock.now_ms()
    points = [(now, str(equity))]
    for trade in mine:
        points.append((trade.closed_at, str(equity)))
        equity -= trade.net_pnl
    if mine:
        points.append((min(mine[-1].opened_at, mine[-1].closed_at), str(equity)))
    return {"time": iso(now), "trades": len(mine), "points": points[::-1]}
