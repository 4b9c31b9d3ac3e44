"""The automatic triggers of the kill switch, on the running application.

What they count is in the switch's own document, which every round reads anyway, so all instances
agree, a restart forgets nothing and clearing forgets everything. A quiet minute costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import pairwise
from math import inf, log, nan, sqrt
from typing import TYPE_CHECKING

from shared.errors import (
    ExchangeError,
    ExchangeHalted,
    ExchangeRejected,
    ExchangeThrottled,
    InvalidInput,
)
from shared.execution import balance, emergency, halting
from shared.execution.desk import Desk
from shared.execution.exchange import Account
from shared.execution.ids import leg_of
from shared.execution.order_records import CONTAINER, OrderRecord
from shared.market.timeframe import MINUTE_MS, duration_ms
from shared.risk.kill_switch import Outage, SwitchStatus, drawdown_evidence
from shared.risk.ledger import LedgerView
from shared.risk.triggers import (
    Evidence,
    disconnection_evidence,
    suspicious_evidence,
    volatility_evidence,
)
from shared.storage.records import readable
from shared.storage.store import Where, every

if TYPE_CHECKING:
    from shared.market.candle import Columns

HOUR_MS = 3_600_000
#: Failed looks further apart than this do not belong to one outage: nobody asked in between, or
#: the clock has jumped.
ONE_OUTAGE_MS = 180_000
#: Bars the volatility of now is taken from, and bars before them at most.
RECENT, USUAL = 5, 288
#: Foreign orders remembered; the threshold is far below.
FOREIGN = 20
#: A post-only order that would have taken: refused as it was meant to be.
WOULD_TAKE = "-5022"


def account(desk: Desk, seen: Account, ledger: LedgerView, switch: SwitchStatus) -> str:
    """The account was read: the exchange answers, and equity may have fallen too far.

    Returns
    -------
    str
        The trigger that latched the switch just now, or empty.
    """
    if switch.outage is not None:
        desk.kill_switch.note_outage(None)
    if switch.state == "latched" and switch.closing:
        return ""
    limit, at = desk.limits.max_drawdown, desk.clock.now_ms()
    evidence = drawdown_evidence(equity=seen.equity, peak=ledger.equity_peak, limit=limit, at=at)
    if evidence is None:
        return ""
    try:
        # Never above the ledger's: that is evidence of an episode that was cleared. What was paid
        # in has raised the ledger's as well, and equity has fallen by the limit from that.
        peak = min(balance.peak_after_transfers(desk, ledger), ledger.equity_peak)
    except ExchangeError:
        # The fall itself was read; that it is a withdrawal cannot be shown, so it counts.
        peak = ledger.equity_peak
    evidence = drawdown_evidence(equity=seen.equity, peak=peak, limit=limit, at=at)
    return "" if evidence is None else _latch(desk, "max_drawdown", evidence)


def position_mode(desk: Desk) -> None:
    """Tell when the account is in hedge mode: the exchange refuses every entry of ours then.

    It is not changed from here. The setting is the account's, not ours: the exchange changes it
    for USD-M and COIN-M together.
    """
    if not desk.exchange.hedge_mode():
        return
    desk.alert(
        "critical",
        "hedge-mode",
        "The account is in hedge mode: nothing can be opened",
        "This application trades in one-way mode. Close every position and cancel every order on "
        "the account, then set Position Mode to One-way in the exchange's futures preferences. The "
        "setting holds for USD-M and COIN-M futures. Nothing has to be restarted; if an entry "
        "was refused meanwhile, arm trading again.",
        correlation="position-mode",
        once=str(desk.clock.now_ms() // HOUR_MS),
    )


def unreachable(desk: Desk, error: ExchangeError) -> str:
    """The account could not be read; after long enough nothing is opened any more."""
    halting.heed(desk, error)
    if isinstance(error, ExchangeHalted | ExchangeRejected | ExchangeThrottled):
        # An answer, however unwelcome: maintenance, a refused key, a limit.
        return ""
    switch = desk.kill_switch.ensure()
    if switch.state == "latched" or not desk.ledger.read().equity_at:
        # Never connected is not disconnected.
        return ""
    now, known = desk.clock.now_ms(), switch.outage
    if known is None or not 0 <= now - known.last <= ONE_OUTAGE_MS:
        known = Outage(since=now, last=now, attempts=0)
    outage = Outage(since=known.since, last=now, attempts=known.attempts + 1)
    desk.kill_switch.note_outage(outage)
    evidence = disconnection_evidence(
        last_success_at=outage.since,
        failed_attempts=outage.attempts,
        thresholds=desk.thresholds,
        at=now,
    )
    return "" if evidence is None else _latch(desk, "exchange_disconnection", evidence)


def activity(desk: Desk, seen: Account, ledger: LedgerView, switch: SwitchStatus) -> str:
    """Every few minutes: does anything look like a fault of ours, or like an intruder?

    Raises
    ------
    ExchangeError
        When the income history was needed and could not be read.
    """
    if switch.state == "latched":
        return ""
    evidence = suspicious_evidence(
        _counts(desk, switch), thresholds=desk.thresholds, at=desk.clock.now_ms()
    ) or balance.check(desk, seen, ledger)
    return "" if evidence is None else _latch(desk, "suspicious_activity", evidence)


def foreign_orders(desk: Desk, client_ids: Iterable[str]) -> None:
    """Open orders that nobody here sent: each counts when it is seen for the first time."""
    found = {hashlib.sha256(c.encode()).hexdigest()[:16] for c in client_ids}
    if not found:
        return
    known, now = desk.kill_switch.ensure().foreign, desk.clock.now_ms()
    fresh = sorted(found - known.keys())[:FOREIGN]
    if fresh:
        # An old one that still rests stays known, or it would count again.
        kept = {d: at for d, at in known.items() if d in found or now - at < HOUR_MS}
        desk.kill_switch.note_foreign(kept | dict.fromkeys(fresh, now))


def market(desk: Desk, candles: Columns) -> str:
    """The bar that closed last belongs to a market that moves as it does not usually do.

    Only what happened since the switch was armed is judged: the move that latched it does not
    latch it again.
    """
    switch = desk.kill_switch.ensure()
    if switch.state == "latched":
        return ""
    count = min(len(candles), USUAL + RECENT + 1)
    times, closes = candles.open_time[-count:], candles.close[-count:]
    moves = _returns(closes.tolist())
    seen = [m if int(t) >= switch.armed_at else 0.0 for m, t in zip(moves, times[1:], strict=True)]
    step = int(times[-1] - times[-2])
    evidence = volatility_evidence(
        [*moves[:-RECENT], *seen[-RECENT:]],
        thresholds=desk.thresholds,
        at=int(times[-1]) + step,
        bar_ms=step,
        recent=RECENT,
    )
    if evidence is None:
        return ""
    evidence |= {"symbol": candles.symbol, "timeframe": candles.timeframe}
    return _latch(desk, "abnormal_volatility", evidence)


def moves_much(candles: Columns, floor: float) -> bool:
    """Whether the last bars move enough to be worth a judgement; looks at nothing else.

    ``floor`` is that of one-minute bars, as in the thresholds.
    """
    last = candles.close[-RECENT - 1 :].tolist()
    if len(last) <= RECENT:
        return False
    least = floor * sqrt(duration_ms(candles.timeframe) / MINUTE_MS)
    return sqrt(sum(m * m for m in _returns(last)) / RECENT) >= least * 0.999


def _returns(closes: list[float]) -> list[float]:
    """Log returns; what is no price gives no number."""
    logs = [log(c) if 0.0 < c < inf else nan for c in closes]
    return [b - a for a, b in pairwise(logs)]


def _counts(desk: Desk, switch: SwitchStatus) -> dict[str, int]:
    """What happened within an hour, and since the switch was armed."""
    since = max(desk.clock.now_ms() - HOUR_MS, switch.armed_at)
    recent = every(
        desk.store,
        CONTAINER,
        desk.account,
        where=[Where("updatedAt", ">=", since)],
        order_by="updatedAt",
        descending=True,
    )
    counts = {
        "foreign_orders": sum(at >= since for at in switch.foreign.values()),
        "failed_logins": desk.kill_switch.failed_codes(since),
        "unknown_outcomes": 0,
    }
    rejected, sent = set(), set()
    for order in readable(recent, OrderRecord):
        leg = leg_of(order.id)
        if leg in ("s", "t"):
            # Protection follows the market and is refused by it: neither is suspicious.
            continue
        # An entry that chases the price sends several orders for one decision.
        key = order.decision_id if leg == "e" else order.id
        if failed(order.state, order.reason):
            rejected.add(key)
        # A close that is not found is not waited for: another one is sent, and closes its position.
        counts["unknown_outcomes"] += order.state == "unknown" and leg != "x"
        if order.created_at >= since:
            sent.add(key)
    return counts | {"rejections": len(rejected), "order_storm": len(sent)}


def failed(state: str, reason: str) -> bool:
    """Whether the venue refused an order for another reason than that it was post-only."""
    return state == "rejected" and not reason.startswith(WOULD_TAKE)


def _latch(desk: Desk, trigger: str, evidence: Evidence) -> str:
    """Latch, unless the evidence does not prove itself: positions come next, whatever happens."""
    closing = trigger in desk.closing_triggers
    try:
        emergency.latch(desk, trigger, evidence, f"kill-switch:{evidence['observed_at']}", closing)
    except InvalidInput as error:
        desk.alert(
            "warning",
            "evidence-refused",
            f"{trigger} was seen but could not be proved",
            str(error),
            correlation=f"evidence:{trigger}:{desk.clock.now_ms() // HOUR_MS}",
        )
        return ""
    return trigger
