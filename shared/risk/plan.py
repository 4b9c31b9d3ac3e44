"""The records that risk passes around: a check, a planned order, an exposure, a stage's rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from shared.execution.exchange import Side

ExposureKind = Literal["position", "open", "reserved"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question the gate asked, with the figures it was answered from.

    ``value`` and ``limit`` are decimal strings (or names), ``None`` where there was no figure.
    ``judged`` is false when an earlier failure left nothing to compare; such a check has not
    passed, but it is not the reason either.
    """

    name: str
    passed: bool
    value: str | None
    limit: str | None
    detail: str
    judged: bool = True


class OrderPlan(msgspec.Struct, frozen=True, kw_only=True):
    """An entry and its bracket as the gate approved them. Money in USDT.

    Parameters
    ----------
    reference_price : Decimal
        Best ask for a buy, best bid for a sell, when the decision was taken.
    worst_price : Decimal
        The price at which the entry is no longer wanted; the limit of an IOC entry.
    notional, worst_notional : Decimal
        ``quantity`` at the reference price, and at the highest price it may cost or be marked at
        on entry. Limits and reservations count the worst one.
    margin : Decimal
        Initial margin of ``worst_notional`` at ``leverage``.
    stop_fraction : Decimal
        Distance of ``stop_price`` from the reference price, as a fraction of it, after rounding.
    reward_risk : Decimal
        Distance to the target divided by distance to the stop, after rounding.
    risk_amount : Decimal
        Loss when the stop is hit, costs included.
    time_exit_ms : int
        UTC time at which the position is closed whatever its result.
    trail_fraction, trail_activation_price : Decimal
        The trailing stop: its distance, and the price from which it is active.
    """

    decision_id: str
    symbol: str
    side: Side
    quantity: Decimal
    reference_price: Decimal
    worst_price: Decimal
    leverage: int
    stop_price: Decimal
    take_profit_price: Decimal
    stop_fraction: Decimal
    reward_risk: Decimal
    notional: Decimal
    worst_notional: Decimal
    margin: Decimal
    risk_amount: Decimal
    time_exit_ms: int
    trail_fraction: Decimal
    trail_activation_price: Decimal


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What is, or may soon be, at stake on one symbol.

    ``kind`` is ``position`` (the exchange reports it), ``reserved`` (the ledger holds room for an
    entry that may still fill) or ``open`` (the ledger's entry whose fill is known; the same
    exposure also appears as a ``position`` once the exchange reports it). ``quantity`` is signed,
    ``notional`` and ``risk`` are positive USDT; ``risk`` is ``None`` where no stop is known.
    """

    symbol: str
    quantity: Decimal
    notional: Decimal
    kind: ExposureKind
    decision_id: str | None = None
    risk: Decimal | None = None


class StageRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage of trading allows on top of the limits. ``symbols`` ``None``: any."""

    name: Literal["paper", "testnet", "limited", "full"]
    environments: tuple[str, ...]
    min_leverage: int
    max_leverage: int
    min_notional: Decimal
    max_notional: Decimal
    symbols: tuple[str, ...] | None
    max_trades_per_day: int
    needs_approval: bool
