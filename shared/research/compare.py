"""Executed trades against a backtest of the same period: the difference, explained by cause.

Trades are paired by the bar they were decided on (a signal's id names it), else by time. The
difference in profit of a pair is taken apart one figure after the other, so that the parts add up
to it exactly; with ``s`` the side, ``q`` quantity, ``E`` entry and ``X`` exit price, first executed
then backtest (primed):

====================  =======================================================================
``size``              s (q - q') (X' - E')
``entry price``       -s q (E - E')
``exit ...``          s q (X - X'), named by what differs: ``reason``, ``time`` or only ``price``
``fees``              -(fees - fees')
``funding``           funding - funding'
``rounding``          what recorded results differ from quantity times prices
====================  =======================================================================

A trade that only one side has counts with its whole result, under what the other side did with
the same signal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Literal

import msgspec

from shared.errors import InvalidInput
from shared.portfolio.trades import Trade
from shared.research.executed import Executed, bar_close
from shared.research.result import EXIT_REASONS, Result

#: Parts of a pair's difference, in the order in which they are told.
PARTS = (
    "size",
    "entry price",
    "exit reason",
    "exit time",
    "exit price",
    "fees",
    "funding",
    "rounding",
)
#: Exits closer together than this, in milliseconds, happened at the same time.
SAME_TIME_MS = 5_000
_ZERO = Decimal(0)


class Leg(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One round trip of either side. Money in USDT, times UTC ms."""

    id: str
    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_at: int
    closed_at: int
    gross: Decimal
    fees: Decimal
    funding: Decimal
    exit_reason: str

    @property
    def net(self) -> Decimal:
        return self.gross - self.fees + self.funding


class Pair(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A signal's trade on both sides or on one, and why they differ.

    ``parts`` sum up to ``difference``, executed less backtest, exactly.
    """

    id: str
    symbol: str
    side: str
    executed: Leg | None
    backtest: Leg | None
    cause: str
    difference: Decimal
    parts: dict[str, Decimal]


class Comparison(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All pairs, and the difference by cause; ``causes`` sum up to ``difference`` exactly."""

    source: str
    start: int
    end: int
    executed_trades: int
    backtest_trades: int
    matched: int
    executed_net: Decimal
    backtest_net: Decimal
    difference: Decimal
    causes: dict[str, Decimal]
    counts: dict[str, int]
    pairs: list[Pair]
    notes: list[str]


def compare(
    executed: Executed,
    result: Result,
    outcomes: Mapping[str, str],
    *,
    start_ms: int,
    end_ms: int,
    tolerance_ms: int,
) -> Comparison:
    """Pair the trades that were opened in a period and explain their difference.

    Parameters
    ----------
    executed : Executed
    result : Result
        Backtest of the same period.
    outcomes : mapping of str to str
        What the backtest decided on each signal, as :attr:`Executed.decisions`.
    start_ms, end_ms : int
        Trades opened in ``start_ms <= time < end_ms`` count.
    tolerance_ms : int
        Trades of one symbol and side that were opened at most this far apart can be a pair when
        their ids do not say so.

    Raises
    ------
    InvalidInput
        When one decision has two trades.
    """
    ours = [_executed(t) for t in executed.trades if start_ms <= t.opened_at < end_ms]
    theirs = [leg for leg in _backtest(result, outcomes) if start_ms <= leg.opened_at < end_ms]
    for legs, name in ((ours, executed.source), (theirs, "the backtest")):
        ids = [leg.id for leg in legs]
        doubled = next((i for i in ids if ids.count(i) > 1), None)
        if doubled is not None:
            raise InvalidInput(f"{name}: two trades of one decision, {doubled}")
    with localcontext() as context:
        context.prec = 60  # sums and products of recorded figures are exact
        pairs = _pairs(ours, theirs, tolerance_ms)
        rows = [_row(a, b, executed.decisions, outcomes) for a, b in pairs]
        rows.sort(key=lambda row: _opened(row))
        causes: dict[str, Decimal] = defaultdict(lambda: _ZERO)
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            for part, amount in row.parts.items():
                causes[part] += amount
                counts[part] += 1
        executed_net = sum((leg.net for leg in ours), _ZERO)
        backtest_net = sum((leg.net for leg in theirs), _ZERO)
        return Comparison(
            source=executed.source,
            start=start_ms,
            end=end_ms,
            executed_trades=len(ours),
            backtest_trades=len(theirs),
            matched=sum(1 for a, b in pairs if a is not None and b is not None),
            executed_net=executed_net,
            backtest_net=backtest_net,
            difference=executed_net - backtest_net,
            causes=dict(causes),
            counts=dict(counts),
            pairs=rows,
            notes=[*executed.notes, *result.notes],
        )


def _opened(row: Pair) -> tuple[int, str]:
    leg = row.executed or row.backtest
    return (leg.opened_at if leg else 0, row.symbol)


def _executed(trade: Trade) -> Leg:
    return Leg(
        id=trade.id,
        symbol=trade.symbol,
        side=trade.side,
        quantity=trade.quantity,
        entry_price=trade.entry_price,
        exit_price=trade.exit_price,
        opened_at=trade.opened_at,
        closed_at=trade.closed_at,
        # The recorded net counts, whatever the other figures say.
        gross=trade.net_pnl + trade.fees - trade.funding,
        fees=trade.fees,
        funding=trade.funding,
        exit_reason=trade.exit_reason,
    )


def _backtest(result: Result, outcomes: Mapping[str, str]) -> list[Leg]:
    """Trades of a backtest, each with the id of the signal it was approved for."""
    approved: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for identity, outcome in outcomes.items():
        close = bar_close(identity)
        if outcome == "approved" and close is not None:
            approved[identity.split("-")[0]].append((close, identity))
    for rows in approved.values():
        rows.sort()
    t = result.trades
    legs = []
    for i in range(len(t)):
        symbol = result.symbols[int(t.symbol[i])]
        opened = int(t.opened_at[i])
        earlier = [row for row in approved.get(symbol, []) if row[0] <= opened]
        legs.append(
            Leg(
                id=earlier[-1][1] if earlier else f"{symbol}@{opened}",
                symbol=symbol,
                side="BUY" if t.side[i] > 0 else "SELL",
                quantity=_decimal(t.quantity[i]),
                entry_price=_decimal(t.entry_price[i]),
                exit_price=_decimal(t.exit_price[i]),
                opened_at=opened,
                closed_at=int(t.closed_at[i]),
                gross=_decimal(t.gross[i]),
                fees=_decimal(t.fees[i]),
                funding=_decimal(t.funding[i]),
                exit_reason=EXIT_REASONS[int(t.exit_reason[i])],
            )
        )
    return legs


def _decimal(value: float) -> Decimal:
    """A float of analytics as money: to the venue's eight decimals."""
    return Decimal(f"{value:.8f}")


# ---------------------------------------------------------------- pairs


def _pairs(
    ours: Sequence[Leg], theirs: Sequence[Leg], tolerance_ms: int
) -> list[tuple[Leg | None, Leg | None]]:
    """By id first, then the nearest in time of the same symbol and side; the rest alone."""
    left = {(leg.id, leg.side): leg for leg in theirs}
    pairs: list[tuple[Leg | None, Leg | None]] = []
    alone = []
    for leg in ours:
        other = left.pop((leg.id, leg.side), None)
        if other is None:
            alone.append(leg)
        else:
            pairs.append((leg, other))
    distances = sorted(
        (abs(a.opened_at - b.opened_at), a.id, b.id, a, b)
        for a in alone
        for b in left.values()
        if (a.symbol, a.side) == (b.symbol, b.side)
        and abs(a.opened_at - b.opened_at) <= tolerance_ms
    )
    used: set[str] = set()
    for _, _, _, a, b in distances:
        if a.id not in used and (b.id, b.side) in left:
            used.add(a.id)
            pairs.append((a, left.pop((b.id, b.side))))
    pairs += [(a, None) for a in alone if a.id not in used]
    pairs += [(None, b) for b in left.values()]
    return pairs


def _row(
    a: Leg | None,
    b: Leg | None,
    decisions: Mapping[str, str] | None,
    outcomes: Mapping[str, str],
) -> Pair:
    if a is not None and b is not None:
        parts = {name: amount for name, amount in parts_of(a, b).items() if amount}
        main = max(parts, key=lambda name: abs(parts[name])) if parts else "none"
        return _pair(a, b, main, a.net - b.net, parts)
    if a is not None:
        said = outcomes.get(a.id)
        if said is None:
            cause = "no signal in the backtest"
        elif said == "approved":
            cause = "not filled in the backtest"
        else:
            cause = f"declined in the backtest: {said}"
        return _pair(a, None, cause, a.net, {cause: a.net})
    assert b is not None
    said = decisions.get(b.id) if decisions is not None else None
    if decisions is None:
        cause = "not executed, reason unknown"
    elif said is None:
        cause = "missed signal"
    elif said == "approved":
        cause = "approved, no closed trade"
    else:
        cause = f"declined: {said}"
    return _pair(None, b, cause, -b.net, {cause: -b.net})


def _pair(
    a: Leg | None, b: Leg | None, cause: str, difference: Decimal, parts: dict[str, Decimal]
) -> Pair:
    leg = a or b
    assert leg is not None
    return Pair(
        id=leg.id,
        symbol=leg.symbol,
        side=leg.side,
        executed=a,
        backtest=b,
        cause=cause,
        difference=difference,
        parts=parts,
    )


def parts_of(a: Leg, b: Leg) -> dict[str, Decimal]:
    """The difference of two results of one signal, taken apart; the parts add up exactly."""
    sign = 1 if a.side == "BUY" else -1
    if a.exit_reason != b.exit_reason:
        ending = "exit reason"
    elif abs(a.closed_at - b.closed_at) > SAME_TIME_MS:
        ending = "exit time"
    else:
        ending = "exit price"
    parts = dict.fromkeys(PARTS, _ZERO)
    parts["size"] = sign * (a.quantity - b.quantity) * (b.exit_price - b.entry_price)
    parts["entry price"] = -sign * a.quantity * (a.entry_price - b.entry_price)
    parts[ending] = sign * a.quantity * (a.exit_price - b.exit_price)
    parts["fees"] = b.fees - a.fees
    parts["funding"] = a.funding - b.funding
    parts["rounding"] = (a.net - b.net) - sum(parts.values(), _ZERO)
    return parts
