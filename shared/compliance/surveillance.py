"""Post-trade surveillance: the account's history through the detectors, piece by piece.

A stored cursor says up to when everything was judged. A scan judges what happened since, up to a
few minutes ago: detectors look a little back and a little ahead of what they judge, so that every
event is judged once, with all that belongs to it. The exchange is asked, because it alone knows
what people did by hand; our records say which decision an order belongs to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from shared.clock import iso
from shared.compliance import calendar, violations
from shared.compliance.detectors import detect, restricted
from shared.compliance.flow import Flow, KnownOrder, flow
from shared.compliance.rules import Hit
from shared.errors import (
    AlreadyExists,
    BorsaError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreError,
    StoreUnavailable,
)
from shared.execution.assess import load as load_decision
from shared.execution.desk import Desk
from shared.execution.exchange import Fill, VenueOrder
from shared.execution.ids import is_ours, leg_of
from shared.execution.orders import load as load_order
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.storage.store import Body

T = TypeVar("T")

CONTAINER = "control"
CURSOR_ID = "compliance"
#: What is younger is left to the next scan: a reversal of a burst may take five minutes.
LAG_MS = 6 * MINUTE_MS
#: Detectors look back this far from what they judge: two cycles of ten minutes.
LOOK_BACK_MS = 20 * MINUTE_MS
#: Orders are asked for this much earlier: one that rested for a day may end now.
RESTED_MS = DAY_MS
#: One scan covers at most this much, and so many symbols; the next one goes on.
SPAN_MS = DAY_MS // 4
SYMBOLS = 30
#: A history that was not judged for so long is told.
BEHIND_MS = 60 * MINUTE_MS
#: Events listed afterwards are judged this far back.
LATE_MS = 7 * DAY_MS


class Cursor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the history was judged, and when that was; UTC milliseconds."""

    scanned_to: int
    scanned_at: int


class Scan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a scan has looked at and found; ``left_out`` are symbols beyond the bound.

    ``violations`` are the ids of all hits, ``fresh`` how many of them were not known.
    """

    since: int
    until: int
    symbols: tuple[str, ...]
    orders: int
    fills: int
    violations: tuple[str, ...]
    fresh: int
    left_out: tuple[str, ...] = ()


def cursor(desk: Desk) -> Cursor | None:
    """How far the history was judged; ``None`` where it never was.

    Raises
    ------
    StoreError
        When the document is not what was written.
    """
    return _cursor(desk)[0]


def _cursor(desk: Desk) -> tuple[Cursor | None, str]:
    document = desk.store.get(CONTAINER, desk.account, CURSOR_ID)
    if document is None:
        return None, ""
    try:
        return msgspec.convert(document.body, Cursor), document.etag
    except msgspec.ValidationError as error:
        raise StoreError(f"document {CURSOR_ID} cannot be read: {error}") from error


def advance(desk: Desk) -> Scan | None:
    """Judge what happened since the last time; ``None`` on the first call, which begins it.

    What happened before the application watched is judged when somebody asks, see :func:`scan`.

    Raises
    ------
    ExchangeError
        The history could not be read; the next call begins where this one did.
    """
    known, etag = _cursor(desk)
    now = desk.clock.now_ms()
    horizon = now - LAG_MS
    if known is None:
        _move(desk, Cursor(scanned_to=horizon, scanned_at=now), etag)
        return None
    if horizon <= known.scanned_to:
        return None
    until = min(horizon, known.scanned_to + SPAN_MS)
    done = scan(desk, known.scanned_to, until)
    late = _late(desk, known, until)
    _move(desk, Cursor(scanned_to=until, scanned_at=now), etag)
    whole = done if late is None else _together(done, late)
    if whole.left_out:
        _tell(desk, f"more than {SYMBOLS} symbols are traded; not judged: {whole.left_out}")
    return whole


def behind(desk: Desk, error: BorsaError) -> None:
    """A round has failed: tell people once the history was not judged for an hour."""
    try:
        known = cursor(desk)
        if known is not None and desk.clock.now_ms() - known.scanned_to > BEHIND_MS:
            until = iso(known.scanned_to)
            _tell(desk, f"judged up to {until} only: {type(error).__name__}: {error}")
    except StoreUnavailable:
        return  # the guardian tells of it
    except StoreError as unreadable:
        _tell(desk, f"nothing is judged: {unreadable}")


def _tell(desk: Desk, text: str) -> None:
    desk.alert(
        "warning",
        "surveillance-gap",
        "The account's order flow is not judged completely",
        text,
        correlation="surveillance",
        once=str(desk.clock.now_ms() // BEHIND_MS),
    )


def _move(desk: Desk, to: Cursor, etag: str) -> None:
    """Store the cursor where nobody else has moved it: what they judged has the same ids."""
    body: Body = {**msgspec.to_builtins(to), "id": CURSOR_ID, "scope": desk.account}
    try:
        if etag:
            desk.store.replace(CONTAINER, body, etag=etag)
        else:
            desk.store.create(CONTAINER, body)
    except (AlreadyExists, Conflict, NotFound):
        return


def scan(desk: Desk, since: int, until: int) -> Scan:
    """Judge everything that was complete after ``since`` and not after ``until`` (UTC ms).

    Safe to repeat: what is found again is the same violation.

    Raises
    ------
    InvalidInput
        For a span that is none, too long, or not over yet.
    ExchangeError
        The history could not be read.
    """
    if not since < until:
        raise InvalidInput("the end is not after the beginning")
    if until - since > LATE_MS:
        raise InvalidInput(f"at most {LATE_MS // DAY_MS} days are scanned at once")
    if until > desk.clock.now_ms() - LAG_MS:
        raise InvalidInput(f"the last {LAG_MS // MINUTE_MS} minutes cannot be judged yet")
    symbols, left_out = _symbols(desk, since)
    seen = _flow(desk, symbols, since - LOOK_BACK_MS, until + LAG_MS)
    hits = [*detect(seen), *restricted.detect(seen, calendar.read(desk))]
    return _raised(desk, hits, since, until, symbols, left_out, seen)


def _late(desk: Desk, known: Cursor, until: int) -> Scan | None:
    """Windows that were listed since the last scan and begin before what it judged."""
    fresh = [
        e
        for e in calendar.read(desk)
        if e.created_at > known.scanned_at and e.starts_at <= known.scanned_to
    ]
    if not fresh:
        return None
    since = max(min(e.starts_at for e in fresh) - 1, until - LATE_MS)
    symbols, left_out = _symbols(desk, since)
    seen = _flow(desk, symbols, since, until)
    return _raised(desk, restricted.detect(seen, fresh), since, until, symbols, left_out, seen)


def _raised(
    desk: Desk,
    hits: Iterable[Hit],
    since: int,
    until: int,
    symbols: Sequence[str],
    left_out: Sequence[str],
    seen: Flow,
) -> Scan:
    found = sorted((h for h in hits if since < h.time <= until), key=lambda h: (h.time, h.id))
    fresh = sum(violations.raise_(desk, h) for h in found)
    return Scan(
        since=since,
        until=until,
        symbols=tuple(symbols),
        orders=len(seen.orders),
        fills=len(seen.fills),
        violations=tuple(h.id for h in found),
        fresh=fresh,
        left_out=tuple(left_out),
    )


def _together(one: Scan, other: Scan) -> Scan:
    return msgspec.structs.replace(
        one,
        since=min(one.since, other.since),
        violations=tuple(dict.fromkeys((*one.violations, *other.violations))),
        fresh=one.fresh + other.fresh,
        left_out=tuple(dict.fromkeys((*one.left_out, *other.left_out))),
    )


def _symbols(desk: Desk, since: int) -> tuple[list[str], list[str]]:
    """What is traded here, and what the account's income shows that people traded.

    An order by hand in another symbol leaves income once it executes; before that it is no part of
    any rule but of too many messages.
    """
    others = {i.symbol for i in desk.exchange.income(start=since - LOOK_BACK_MS) if i.symbol}
    others |= {p.symbol for p in desk.exchange.positions()}
    # A contract that is gone from the venue has no history any more.
    others &= desk.exchange.instruments().keys()
    wanted = [*desk.symbols, *sorted(others - set(desk.symbols))]
    return wanted[:SYMBOLS], wanted[SYMBOLS:]


def _flow(desk: Desk, symbols: Sequence[str], since: int, until: int) -> Flow:
    orders: list[VenueOrder] = []
    fills: list[Fill] = []
    for symbol in symbols:
        placed = desk.exchange.order_history(symbol, start=since - RESTED_MS)
        orders += [o for o in placed if o.placed_at <= until and _ended(o) >= since]
        fills += [f for f in desk.exchange.fills(symbol, start=since) if f.time <= until]
    decisions = _decisions(desk, orders)
    return flow(orders, fills, decisions, _known(desk, orders, decisions))


def _ended(order: VenueOrder) -> int:
    return max(order.update_time, order.placed_at)


def _decisions(desk: Desk, orders: Sequence[VenueOrder]) -> dict[str, str]:
    """The decision of each order of ours, as our records say."""
    found: dict[str, str] = {}
    for client_id in sorted({o.client_order_id for o in orders if is_ours(o.client_order_id)}):
        record = _readable(client_id, partial(load_order, desk, client_id))
        if record is not None:
            found[client_id] = record[0].decision_id
    return found


def _readable(what: str, load: Callable[[], T | None]) -> T | None:
    """A record; ``None`` for one that cannot be decoded, which must not keep the rest unjudged.

    Raises
    ------
    StoreUnavailable
        The store does not answer.
    """
    try:
        return load()
    except StoreUnavailable:
        raise
    except StoreError as error:
        logging.getLogger("borsa").error("surveillance: %s is left out: %s", what, error)
        return None


def _known(desk: Desk, orders: Sequence[VenueOrder], decisions: dict[str, str]) -> list[KnownOrder]:
    """The decisions behind the entries among some orders."""
    entries = {
        decisions[o.client_order_id]: o.symbol
        for o in orders
        if o.client_order_id in decisions and leg_of(o.client_order_id) == "e"
    }
    found = []
    for decision_id, symbol in sorted(entries.items()):
        stored = _readable(decision_id, partial(load_decision, desk, symbol, decision_id))
        plan = None if stored is None else stored[1].plan
        if stored is not None and plan is not None:
            found.append(
                KnownOrder(
                    decision_id=decision_id,
                    symbol=symbol,
                    side=plan.side,
                    quantity=plan.quantity,
                    known_at=stored[1].decided_at,
                )
            )
    return found
