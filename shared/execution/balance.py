"""Does the wallet hold what its own income history says? Transfers, and what nobody explains.

The account is looked at only when its balance has changed. A balance becomes the new reference
when every line booked since the last one adds up to it exactly; until then the same lines are
read again, because the history lags behind the balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.clock import day
from shared.execution.desk import Desk
from shared.execution.exchange import Account, Income
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.risk.ledger import BalanceMark, LedgerView, moved_peak
from shared.risk.triggers import Evidence, balance_evidence

ASSET = "USDT"
#: Income types that move money between the account and the rest of the world.
TRANSFERS = frozenset(
    {
        "TRANSFER",
        "INTERNAL_TRANSFER",
        "CROSS_COLLATERAL_TRANSFER",
        "COIN_SWAP_DEPOSIT",
        "COIN_SWAP_WITHDRAW",
        "WELCOME_BONUS",
        "STRATEGY_UMFUTURES_TRANSFER",
        "AUTO_EXCHANGE",
        "BFUSD_REWARD",
    }
)
#: Rounding of a balance that is otherwise explained, USDT.
EXACT = Decimal("0.01")
#: How long a difference may be a lag of the history.
LAG_MS = 10 * MINUTE_MS
#: A balance that has been what it is for so long: the history is read from an hour ago on then.
#: One of months is dear, and the exchange keeps three.
OLD_MS = 7 * DAY_MS
HOUR_MS = 60 * MINUTE_MS
#: A first reference is taken only when nothing was booked for this long.
QUIET_MS = MINUTE_MS


def check(desk: Desk, account: Account, view: LedgerView) -> Evidence | None:
    """Explain the balance; evidence of suspicious activity when that has failed for too long.

    Raises
    ------
    ExchangeError
        When the history could not be read; nothing is changed.
    """
    mark, wallet = view.balance, account.wallet_balance
    if not wallet.is_finite() or wallet <= 0:
        return None
    if mark is None:
        _begin(desk, wallet)
        return None
    if wallet == mark.wallet:
        now, cursor = desk.exchange.now_ms(), mark.cursor
        if now - cursor > OLD_MS:
            cursor = now - HOUR_MS
        if mark.odd_since or mark.peak != view.equity_peak or cursor != mark.cursor:
            desk.ledger.settle_balance(mark, BalanceMark(wallet=wallet, cursor=cursor))
        return None
    rows = _since(desk, mark)
    if abs(wallet - mark.wallet - _sum(rows)) <= EXACT:
        _settle(desk, view, mark, wallet, rows)
        return None
    return _odd(desk, view, mark, wallet, rows)


def peak_after_transfers(desk: Desk, view: LedgerView) -> Decimal:
    """The equity peak with transfers taken in that the ledger does not know of yet.

    Raises
    ------
    ExchangeError
        When the history could not be read.
    """
    if view.balance is None:
        return view.equity_peak
    moved = _sum([r for r in _since(desk, view.balance) if r.income_type in TRANSFERS])
    return moved_peak(view, moved) if moved else view.equity_peak


def _begin(desk: Desk, wallet: Decimal) -> None:
    """The first reference, at a moment when no line can be half of it."""
    now = desk.clock.now_ms()
    rows = [r for r in desk.exchange.income(start=now - 60 * MINUTE_MS) if r.asset == ASSET]
    cursor = max((r.time for r in rows), default=now - 60 * MINUTE_MS)
    if now - cursor >= QUIET_MS:
        desk.ledger.settle_balance(None, BalanceMark(wallet=wallet, cursor=cursor))


def _since(desk: Desk, mark: BalanceMark) -> list[Income]:
    rows = desk.exchange.income(start=mark.cursor)
    return [r for r in rows if r.asset == ASSET and r.time > mark.cursor]


def _settle(
    desk: Desk, view: LedgerView, mark: BalanceMark, wallet: Decimal, rows: Sequence[Income]
) -> None:
    """Take a balance for the new reference, and the transfers up to it out of the figures."""
    cursor = max((r.time for r in rows), default=mark.cursor)
    moves = [r for r in rows if r.income_type in TRANSFERS]
    # Since the equity was read that the day began with, which may have been the evening before.
    begun = view.day_start_at
    today = [r for r in moves if (r.time > begun if begun else day(r.time) == view.day)]
    if moves:
        desk.note(
            "risk",
            {"transfers": [str(r.income) for r in moves], "at": cursor},
            correlation=ASSET,
        )
    desk.ledger.settle_balance(
        mark,
        BalanceMark(wallet=wallet, cursor=cursor),
        moved=_sum(moves),
        moved_today=_sum(today),
    )


def _odd(
    desk: Desk, view: LedgerView, mark: BalanceMark, wallet: Decimal, rows: Sequence[Income]
) -> Evidence | None:
    now = desk.clock.now_ms()
    since = mark.odd_since if 0 < mark.odd_since <= now else now
    if now - since < LAG_MS:
        odd = msgspec.structs.replace(mark, odd_since=since)
        desk.ledger.settle_balance(mark, odd)
        return None
    expected = mark.wallet + _sum(rows)
    evidence = balance_evidence(
        wallet=wallet, expected=expected, thresholds=desk.thresholds, at=now
    )
    if evidence is None:
        # Too little to stop for: noted, and taken as it is.
        desk.note(
            "incident",
            {"unexplained": str(wallet - expected), "wallet": str(wallet), "since": since},
            correlation="balance",
        )
        _settle(desk, view, mark, wallet, rows)
    return evidence


def _sum(rows: Sequence[Income]) -> Decimal:
    return sum((r.income for r in rows), Decimal(0))
