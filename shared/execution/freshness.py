"""How old prices are: by the exchange's own time stamps, not only by when we asked.

An exchange that answers at once with prices of a minute ago is as blind as one that does not
answer. Premium index and book ticker say of when they are: the one is computed every second, the
other carries the transaction that changed the best prices last. Balances and positions carry the
time of their last change, which may be days ago and is right all the same: they are as old as the
answer.
"""

from __future__ import annotations

from shared.execution.desk import Desk


def age_ms(desk: Desk, asked_at: int, *stamps: int) -> int:
    """Milliseconds since prices were true, by the exchange's clock and by ours.

    Parameters
    ----------
    asked_at : int
        When they were asked for, our clock, UTC ms.
    stamps : int
        The exchange's times in the answers, UTC ms; 0 for an answer without one.

    Returns
    -------
    int
        The longest of the ages. Negative if a stamp is from further in the future than our idea
        of the exchange's time can be off without a signed request being refused: then one of the
        clocks is wrong, and nobody knows how old the prices are.
    """
    now = desk.exchange.now_ms()
    ages = [now - stamp for stamp in stamps if stamp]
    if ages and min(ages) < -desk.recv_window_ms:
        return min(ages)
    return max([desk.clock.now_ms() - asked_at, *ages])


def now_ms(desk: Desk) -> int:
    """What decisions, and their age, are judged by: our clock, while it is right; UTC ms.

    One that is behind makes old news look fresh, and instances that disagree make each other's
    wrong. So it is the exchange's time once the two are further apart than a signed request can
    be without being refused, which is when the distance is measured anew.
    """
    ours, theirs = desk.clock.now_ms(), desk.exchange.now_ms()
    return ours if abs(theirs - ours) <= desk.recv_window_ms else theirs


def stale(desk: Desk, asked_at: int, *stamps: int) -> bool:
    """Whether prices are older than an entry may be judged by."""
    return not 0 <= age_ms(desk, asked_at, *stamps) <= desk.limits.max_market_data_age_ms
