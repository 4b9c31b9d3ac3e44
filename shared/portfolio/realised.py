"""The wallet as closed trades alone have left it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from shared.execution.desk import Desk
from shared.execution.fees import USDT
from shared.portfolio import positions
from shared.portfolio.trades import FUNDING, Trade

#: What an open position books to the wallet: its fees, funding, and what parts of it closed for.
BOOKED = FUNDING | {"COMMISSION", "REALIZED_PNL"}
#: How far our clock may be ahead of the exchange's, whose time its books are in, milliseconds.
LOOK_BACK_MS = 300_000


def wallet(desk: Desk, closed: Sequence[Trade]) -> Decimal:
    """The wallet balance without what positions that are still open have booked to it, USDT.

    Such a position is in no trade yet: its entry fee would be missing from the equity of long ago,
    until it closes.

    Parameters
    ----------
    closed : sequence of Trade
        Closed trades, at least the newest of each symbol: what they have booked is theirs.

    Raises
    ------
    ExchangeError
        Balance or income could not be read.
    """
    records = positions.open_records(desk.store, desk.account)
    since = {
        symbol: max(
            record.opened_at - LOOK_BACK_MS,
            *(t.closed_at + 1 for t in closed if t.symbol == symbol),
            0,
        )
        for symbol, record in records.items()
        if record.venue in ("", desk.environment)
    }
    balance = desk.exchange.account().wallet_balance
    if not since:
        return balance
    income = desk.exchange.income(start=min(since.values()))
    return balance - sum(
        (
            i.income
            for i in income
            # What is paid in another asset, fees in BNB, is not in this wallet.
            if i.symbol in since
            and i.time >= since[i.symbol]
            and i.income_type in BOOKED
            and i.asset == USDT
        ),
        Decimal(0),
    )
