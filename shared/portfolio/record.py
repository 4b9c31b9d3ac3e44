"""What the account's closed trades say about its edge."""

from __future__ import annotations

from decimal import Decimal

from shared.portfolio.trades import CONTAINER
from shared.risk.kelly import RECORD_TRADES, TradeRecord, trade_record
from shared.storage.store import Store, Where


def closed_record(store: Store, account: str, venue: str) -> TradeRecord:
    """The record of the newest trades on a venue.

    Trades of another venue, and of before venues were noted, were made with other money.
    """
    page = store.query(
        CONTAINER,
        account,
        where=[Where("venue", "=", venue)],
        order_by="closedAt",
        descending=True,
        limit=RECORD_TRADES,
    )
    return trade_record(Decimal(d.body["rMultiple"]) for d in page.documents)
