"""Events that nobody on this account may trade ahead of, kept by people.

A listing, an unlock of tokens, an announcement of one's own: each closes a window around itself, in
one symbol or in all. One document in ``control``, changed under its ETag. Adding an event only
restricts and needs no second factor; taking one away before it is over does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from shared.clock import iso
from shared.compliance.operator import named, refusals_told
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound, StoreError
from shared.execution.desk import Desk
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.security.totp import SecondFactor
from shared.storage.store import Body

CONTAINER = "control"
CALENDAR_ID = "compliance-events"
#: Events kept at most, and for how long after they are over.
EVENTS, KEPT_MS = 200, 30 * DAY_MS
#: Longest window before or after an event.
LONGEST_MINUTES = 90 * 24 * 60
EVERYTHING = "*"

Kind = Literal["listing", "unlock", "announcement", "other"]


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event with its restricted window, both ends included; times in UTC milliseconds.

    ``symbol`` is a contract, or ``*`` for all of them.
    """

    id: str
    symbol: str
    kind: Kind
    title: str
    at: int
    starts_at: int
    ends_at: int
    created_at: int
    operator: str

    def concerns(self, symbol: str) -> bool:
        """Whether it is an event of a symbol."""
        return self.symbol in (EVERYTHING, symbol)

    def covers(self, symbol: str, at: int) -> bool:
        """Whether nothing may be opened in a symbol at a time."""
        return self.concerns(symbol) and self.starts_at <= at <= self.ends_at


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /api/compliance/events`` takes. ``at`` is ISO 8601, UTC unless it says."""

    symbol: str
    kind: Kind
    title: str
    at: str
    operator: str
    before_minutes: int = msgspec.field(default=1440, name="beforeMinutes")
    after_minutes: int = msgspec.field(default=60, name="afterMinutes")


class _Calendar(msgspec.Struct, frozen=True, kw_only=True):
    events: tuple[Event, ...] = ()


def read(desk: Desk) -> tuple[Event, ...]:
    """All events, by the beginning of their window.

    Raises
    ------
    StoreError
        When the document is not what was written: nobody knows then what is restricted.
    """
    return _read(desk)[0]


def _read(desk: Desk) -> tuple[tuple[Event, ...], str | None]:
    document = desk.store.get(CONTAINER, desk.account, CALENDAR_ID)
    if document is None:
        return (), None
    try:
        return msgspec.convert(document.body, _Calendar).events, document.etag
    except msgspec.ValidationError as error:
        raise StoreError(f"document {CALENDAR_ID} cannot be read: {error}") from error


def add(desk: Desk, new: NewEvent) -> Event:
    """Keep an event; the same one twice is one.

    Raises
    ------
    InvalidInput
        No title, no operator, a time or window that is none; nothing is changed.
    Conflict
        There are too many already.
    """
    event = _made(desk, new)

    def change(known: Sequence[Event]) -> list[Event]:
        if any(e.id == event.id for e in known):
            return list(known)
        current = [e for e in known if e.ends_at >= event.created_at - KEPT_MS]
        if len(current) >= EVENTS:
            raise Conflict(f"there are {len(current)} events; remove some, at most {EVENTS} fit")
        return sorted([*current, event], key=lambda e: (e.starts_at, e.id))

    if all(e.id != event.id for e in read(desk)):
        desk.note("operator", {"event": msgspec.to_builtins(event)}, correlation=event.id)
    kept = _change(desk, change)
    return next(e for e in kept if e.id == event.id)


def _made(desk: Desk, new: NewEvent) -> Event:
    title = new.title.strip()[:200]
    if not title:
        raise InvalidInput("title is empty; say what happens")
    symbol = new.symbol.strip()
    if symbol != EVERYTHING and not (symbol.isalnum() and symbol == symbol.upper()):
        raise InvalidInput(f"symbol is {new.symbol!r}; write a contract such as BTCUSDT, or *")
    for name, minutes in (
        ("beforeMinutes", new.before_minutes),
        ("afterMinutes", new.after_minutes),
    ):
        if not 0 <= minutes <= LONGEST_MINUTES:
            raise InvalidInput(f"{name} is {minutes}; use 0 to {LONGEST_MINUTES}")
    at = _moment(new.at)
    digest = hashlib.sha256(
        f"{symbol}|{new.kind}|{title}|{at}|{new.before_minutes}|{new.after_minutes}".encode()
    )
    return Event(
        id=f"event-{digest.hexdigest()[:16]}",
        symbol=symbol[:20],
        kind=new.kind,
        title=title,
        at=at,
        starts_at=at - new.before_minutes * MINUTE_MS,
        ends_at=at + new.after_minutes * MINUTE_MS,
        created_at=desk.clock.now_ms(),
        operator=named(new.operator),
    )


def _moment(text: str) -> int:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"at is {text!r}; write 2026-01-31T12:00") from None
    if not 2000 <= value.year <= 2999:
        raise InvalidInput(f"at is {text!r}; write a year from 2000 to 2999")
    return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)


def remove(
    desk: Desk, factor: SecondFactor, id: str, *, operator: str, reason: str, code: str
) -> Event:
    """Take an event away: entries it restricts are allowed again.

    Raises
    ------
    NotFound
        There is no such event.
    InvalidInput
        No operator, no reason, or the code is refused; nothing is changed.
    """
    event = next((e for e in read(desk) if e.id == id), None)
    if event is None:
        raise NotFound(f"there is no event {id}")
    who = named(operator)
    if len(reason.strip()) < 10:
        raise InvalidInput("give a reason of at least 10 characters")
    with refusals_told(desk, f"remove event {id}", operator):
        factor.verify(code)
    now = desk.clock.now_ms()
    desk.note(
        "operator",
        {"removed": msgspec.to_builtins(event), "operator": who, "reason": reason[:500], "at": now},
        correlation=id,
    )
    # Before it is done: no window is taken away of which nobody hears.
    desk.alert(
        "warning",
        "compliance-event-removed",
        f"{event.symbol}: a restricted window was taken away by {who}",
        f"{event.title} at {iso(event.at)}. Reason: {reason[:500]}",
        correlation=id,
        once=str(now),
    )
    _change(desk, lambda known: [e for e in known if e.id != id])
    return event


def _change(desk: Desk, how: Callable[[Sequence[Event]], list[Event]]) -> list[Event]:
    while True:
        known, etag = _read(desk)
        changed = how(known)
        if changed == list(known):
            return changed
        body: Body = {
            "id": CALENDAR_ID,
            "scope": desk.account,
            "events": msgspec.to_builtins(changed),
        }
        try:
            if etag is None:
                desk.store.create(CONTAINER, body)
            else:
                desk.store.replace(CONTAINER, body, etag=etag)
        except (AlreadyExists, Conflict, NotFound):
            continue
        return changed
