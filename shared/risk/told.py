"""Checks of the gate in words that a person understands, each with its true figures.

A check is stored as it was judged and never changes, because a decision is recomputed bit for bit.
How it is told is here.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from shared.risk.limits import MAX_POSITIONS_PER_SYMBOL
from shared.risk.plan import Check


def told(check: Check) -> str:
    """Why a check did not pass."""
    if not check.judged:
        return check.detail
    if check.value is None and check.name in _WORDS:
        return f"unknown: {check.detail}"
    words = _WORDS.get(check.name)
    if words is None:
        known = "unknown" if check.value is None else _scaled(check.value, "1")
        return f"{check.detail}: {known}, limit {check.limit}"
    low, _, high = (check.limit or "").partition("..")
    return words.format(
        value=_scaled(check.value, "1"),
        limit=check.limit,
        low=low,
        high=high,
        seconds=_scaled(check.value, "0.001"),
        most_seconds=_scaled(high or low, "0.001"),
        percent=_scaled(check.value, "100"),
        most_percent=_scaled(check.limit, "100"),
        more=_scaled(high or low, "1", plus=1),
        per_symbol=MAX_POSITIONS_PER_SYMBOL,
    )


#: Check -> what stands against the order. What is not here is told by its own detail.
_WORDS = {
    "signal_age": "the signal is {seconds} s old, at most {most_seconds} s are allowed",
    "market_data_age": "the prices are {seconds} s old, at most {most_seconds} s are allowed",
    "account_data_age": "account and positions were read {seconds} s ago, at most {most_seconds} s "
    "are allowed",
    "spread": "the spread is {percent} % of the price, at most {most_percent} % is allowed",
    "price_deviation": "book or signal is {percent} % away from the mark price, at most "
    "{most_percent} % is allowed",
    "stage_symbol": "the stage does not trade {value}; it trades {limit}",
    "kill_switch": "the kill switch is {value}, it has to be {limit}",
    "daily_loss": "{value} USDT were lost today, the limit of {limit} USDT is reached",
    "drawdown": "equity is {percent} % below its peak, the limit of {most_percent} % is reached",
    "trades_today": "{value} entries were made today, {more} are allowed",
    "cooldown": "the last losing exit was {seconds} s ago, the pause after it is {most_seconds} s",
    "leverage": "leverage {value}, allowed is {low} to {high}",
    "reward_risk": "the target is {value} times as far as the stop, at least {limit} times is "
    "needed",
    "symbol_free": "the symbol is taken: a position or an order under way is there already, "
    "{per_symbol} per symbol is allowed",
    "open_positions": "{value} symbols with this one, at most {limit} are allowed",
    "position_notional": "the position is {value} USDT at the worst entry price, at most {limit} "
    "USDT are allowed",
    "total_notional": "{value} USDT over all symbols with this one, at most {limit} USDT are "
    "allowed",
    "min_notional": "the order is {value} USDT, the smallest is {limit} USDT",
    "marginal_shortfall": "this position adds {value} USDT to the expected shortfall, at most "
    "{limit} USDT are allowed",
    "heat": "{value} USDT are lost if every stop is hit, this one included; at most {limit} USDT "
    "are allowed",
}


def _scaled(text: str | None, by: str, plus: int = 0) -> str:
    """A figure in another unit, to four places; the text itself where it is none."""
    try:
        number = Decimal(text or "") * Decimal(by) + plus
    except InvalidOperation:
        return text or ""
    plain = format(number if number == round(number, 4) else round(number, 4), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
