"""Sessions of people who signed in: in the store, so that they hold for all instances and can be
ended from any of them.

The browser has a random token; the store has its hash, so that nobody who reads the store can act
as somebody else. A session ends by itself some time after the last request (idle), at the latest
after some hours (absolute), and at once when it is ended.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Literal

import msgspec

from shared.access.roles import Role
from shared.access.tokens import Person
from shared.clock import Clock, iso
from shared.errors import Conflict, NotFound, NotSignedIn
from shared.storage.store import Document, Store, Where

CONTAINER = "sessions"
#: How much later than the last request the stored time of it may be: a page asks every three
#: seconds, and each write costs.
NOTED_EVERY_MS = 60_000
#: An emergency stop is taken from a session that has run out for so long. Never from one that was
#: ended.
STOP_GRACE_MS = 24 * 3_600_000
#: Sessions that a list shows.
MOST = 200


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One person at one browser.

    Parameters
    ----------
    id : str
        Names the session in lists and in the audit; opens nothing.
    oid, name, role
        Of the :class:`~shared.access.tokens.Person`, as of the sign-in.
    created, seen, until : int
        UTC milliseconds: of the sign-in, of the last request that was noted, of the latest end.
    ended_by : str
        Who ended it before its time; empty while nobody did.
    """

    id: str
    account: str
    kind: Literal["session"] = "session"
    oid: str
    name: str
    role: Role
    created: int
    seen: int
    until: int
    ended_at: int = 0
    ended_by: str = ""


def named(token: str) -> str:
    """The id of the session of a token."""
    return hashlib.sha256(b"borsa session " + token.encode()).hexdigest()[:40]


def csrf_of(token: str) -> str:
    """What a changing request of the session must bring along in a header.

    Only a page of this origin can read it, and only who has the token can make it.
    """
    return hmac.new(token.encode(), b"borsa csrf", hashlib.sha256).hexdigest()


class Sessions:
    """The sessions of one account.

    Parameters
    ----------
    store : Store
    clock : Clock
    account : str
    idle_ms, absolute_ms : int
        Longest time without a request, and in all.
    """

    def __init__(
        self, store: Store, clock: Clock, account: str, idle_ms: int, absolute_ms: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._account = account
        self.idle_ms = idle_ms
        self.absolute_ms = absolute_ms

    def open(self, person: Person) -> tuple[str, Session]:
        """A new session with its token, which is nowhere but in the answer to its browser."""
        token, now = secrets.token_urlsafe(32), self._clock.now_ms()
        session = Session(
            id=named(token),
            account=self._account,
            oid=person.oid,
            name=person.name,
            role=person.role,
            created=now,
            seen=now,
            until=now + self.absolute_ms,
        )
        self._store.create(CONTAINER, msgspec.to_builtins(session))
        return token, session

    def use(self, token: str, *, stopping: bool = False) -> Session:
        """The session of a token, noted as used.

        Parameters
        ----------
        stopping : bool
            For an emergency stop a session that has run out is enough: whoever closes everything
            should not have to sign in first.

        Raises
        ------
        NotSignedIn
            When there is none, it has run out, or was ended.
        StoreUnavailable
        """
        while True:
            session, document = self._load(named(token))
            now = self._clock.now_ms()
            if over := self.over(session, now, grace_ms=STOP_GRACE_MS if stopping else 0):
                raise NotSignedIn(over)
            if now - session.seen < NOTED_EVERY_MS or now >= session.until:
                return session
            if self.over(session, now):
                return session  # idle: a stop does not bring it back
            try:
                return self._save(msgspec.structs.replace(session, seen=now), document)
            except (Conflict, NotFound):
                continue  # used, or ended, at the same time: what is stored counts

    def over(self, session: Session, now: int, *, grace_ms: int = 0) -> str:
        """Why a session is over; empty while it is not."""
        if session.ended_at:
            return f"the session was ended by {session.ended_by}; sign in again"
        if now >= session.until + grace_ms:
            return f"the session ended at {iso(session.until)}; sign in again"
        # A clock that was set back makes nobody idle.
        if now - session.seen >= self.idle_ms + grace_ms:
            return "the session was not used for too long; sign in again"
        return ""

    def end(self, id_: str, by: str) -> Session:
        """End one; ending it twice leaves it as it was.

        Raises
        ------
        NotFound
        """
        while True:
            document = self._store.get(CONTAINER, self._account, id_)
            if document is None or document.body.get("kind") != "session":
                raise NotFound(f"there is no session {id_}")
            session = msgspec.convert(document.body, Session)
            if session.ended_at:
                return session
            ended = msgspec.structs.replace(
                session, ended_at=self._clock.now_ms(), ended_by=by[:100]
            )
            try:
                return self._save(ended, document)
            except Conflict:
                continue

    def end_all(self, oid: str, by: str) -> int:
        """End every session of a person; how many there were."""
        mine = [s for s in self.listed() if s.oid == oid]
        for session in mine:
            self.end(session.id, by)
        return len(mine)

    def listed(self) -> list[Session]:
        """Those that are not over, the one used last first."""
        now = self._clock.now_ms()
        page = self._store.query(
            CONTAINER,
            self._account,
            where=[
                Where("kind", "=", "session"),
                Where("endedAt", "=", 0),
                Where("until", ">", now),
            ],
            order_by="seen",
            descending=True,
            limit=MOST,
        )
        found = [msgspec.convert(d.body, Session) for d in page.documents]
        return [s for s in found if not self.over(s, now)]

    def _load(self, id_: str) -> tuple[Session, Document]:
        document = self._store.get(CONTAINER, self._account, id_)
        if document is None or document.body.get("kind") != "session":
            raise NotSignedIn("there is no such session; sign in")
        return msgspec.convert(document.body, Session), document

    def _save(self, session: Session, document: Document) -> Session:
        self._store.replace(CONTAINER, msgspec.to_builtins(session), etag=document.etag)
        return session
