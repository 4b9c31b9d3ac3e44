"""How people come in: sign-in, what their session is asked for at every request, sign-out.

Exits stay open: an emergency stop is taken from a session that this process has just seen without
asking the store, and from one that has run out; and a function key opens everything at any time,
whatever the directory, the store of sessions or this module do.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from shared.access.lockout import caller_of
from shared.access.sessions import STOP_GRACE_MS, Session, Sessions, named
from shared.access.tokens import Expected, Person, person
from shared.clock import iso
from shared.errors import NotAllowed, NotFound, NotSignedIn, SignInRefused, StoreError
from shared.security.throttle import Throttle, Throttles

if TYPE_CHECKING:
    from shared.access.directory import Directory
    from shared.access.lockout import Lockout
    from shared.clock import Clock
    from shared.execution.desk import Desk

#: Longest time from the beginning of a sign-in to its end.
SIGN_IN_SECONDS = 600
#: Requests within a minute: sign-ins of one address and of all, requests of one session and the
#: changing ones among them. A page that is open asks for about thirty.
SIGN_INS_OF_ONE, SIGN_INS_OF_ALL = 20, 120
REQUESTS, CHANGES = 240, 30
#: Requests of one address with sessions that this process does not know: each asks the store.
UNKNOWN_OF_ONE = 60
#: A session that was seen so long ago may stop without the store being asked.
JUST_SEEN_MS = 60_000
#: Sessions that are remembered for that.
MOST = 200
#: 256 random bits, as :mod:`shared.access.sessions` makes them.
_TOKEN = re.compile(r"[\w-]{43}", re.ASCII)


class Door:
    """The way in for people.

    Parameters
    ----------
    directory : Directory
    sessions : Sessions
    lockout : Lockout
    clock : Clock
    """

    def __init__(
        self, directory: Directory, sessions: Sessions, lockout: Lockout, clock: Clock
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._lockout = lockout
        self._clock = clock
        self._one = Throttles(clock, SIGN_INS_OF_ONE, "to sign in")
        self._all = Throttle(clock, SIGN_INS_OF_ALL, "to sign in")
        self._unknown = Throttles(clock, UNKNOWN_OF_ONE, "with a session that is not known")
        self._requests = Throttles(clock, REQUESTS, "of one session")
        self._changes = Throttles(clock, CHANGES, "of one session that change something")
        #: Session id -> the session, and when the store last confirmed it.
        self._seen: dict[str, tuple[Session, int]] = {}
        self._lock = threading.Lock()

    # ---------------------------------------------------------------- sign-in

    def begin(self, address: str) -> tuple[str, str]:
        """Where to sign in, and what the browser has to bring back from there.

        Raises
        ------
        TooManyRequests
        IdentityUnavailable
        """
        self._let_try(address)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        location = self._directory.sign_in_address(state, nonce, verifier)
        return location, f"{self._clock.now_ms()}.{state}.{nonce}.{verifier}"

    def complete(
        self, desk: Desk, attempt: str, state: str, code: str, address: str, *, before: str = ""
    ) -> tuple[str, Session]:
        """A session, and its token, for a code of the directory.

        Parameters
        ----------
        attempt : str
            What :meth:`begin` gave this browser.
        before : str
            Token of the session that it had until now, which ends.

        Raises
        ------
        SignInRefused
            When this is not the end of a sign-in that began in this browser, or the directory does
            not vouch for it.
        NotAllowed
            When the person has no role here.
        TooManyRequests, IdentityUnavailable, StoreError
        """
        self._let_try(address)
        try:
            who = self._proved(attempt, state, code)
        except SignInRefused as error:
            self._refused(desk, address, error)
            raise
        except NotAllowed as error:
            # The directory has vouched for this person: nobody guesses.
            _note(desk, {"action": "sign in", "operator": "nobody yet", "refused": str(error)})
            raise
        if before:
            with suppress(NotFound):
                self.end(desk, named(before), who.name)
        token, session = self._sessions.open(who)
        self._lockout.succeeded(address)
        _note(desk, {"action": "sign in", "oid": session.oid, **_of(session)})
        return token, session

    def _proved(self, attempt: str, state: str, code: str) -> Person:
        parts = attempt.split(".")
        now = self._clock.now_ms()
        if len(parts) != 4 or not re.fullmatch(r"[0-9]{1,15}", parts[0]) or len(attempt) > 400:
            raise SignInRefused("no sign-in was begun in this browser; begin again")
        began, expected, nonce, verifier = parts
        if not 0 <= now - int(began) < SIGN_IN_SECONDS * 1000:
            raise SignInRefused("the sign-in took too long; begin again")
        if not hmac.compare_digest(state.encode(), expected.encode()):
            raise SignInRefused("this is the end of another sign-in; begin again")
        token = self._directory.redeem(code, verifier)
        wanted = Expected(
            issuer=self._directory.issuer,
            audience=self._directory.client_id,
            tenant=self._directory.tenant,
            nonce=nonce,
        )
        return person(token, self._directory.key, wanted, self._clock.now_ms())

    def _let_try(self, address: str) -> None:
        # The limit for all comes last: an address that is refused must not use it up.
        self._one.admit(caller_of(address))
        self._lockout.check(address)
        self._all.admit()

    def _refused(self, desk: Desk, address: str, error: SignInRefused) -> None:
        until = self._lockout.failed(address)
        if not until:
            return
        _note(
            desk,
            {
                "action": "sign in",
                "operator": "nobody",
                "refused": str(error),
                "from": address,
                "lockedUntil": iso(until),
            },
        )
        desk.alert(
            "warning",
            "sign-in-locked",
            "Sign-ins failed and are locked for an address",
            f"From {address}: {error}. No sign-in is taken from there until {iso(until)}; function "
            "keys and open sessions are not touched.",
            correlation=f"sign-in-{address}",
            once=str(until),
        )

    # ---------------------------------------------------------------- every request

    def enter(self, token: str, address: str, *, stopping: bool = False) -> Session:
        """The session of a token.

        Raises
        ------
        NotSignedIn
        TooManyRequests
            When too many sessions that nobody has come from that address; never for a stop.
        StoreError
            When the store cannot be asked, and the request is no stop of a session that is known
            here.
        """
        if not _TOKEN.fullmatch(token):
            raise NotSignedIn("sign in, or use a function key")
        id_, now = named(token), self._clock.now_ms()
        known, at = self._seen.get(id_, (None, 0))
        usable = known is not None and not self._sessions.over(known, now, grace_ms=STOP_GRACE_MS)
        if stopping and known is not None and usable and 0 <= now - at < JUST_SEEN_MS:
            return known
        if known is None and not stopping:
            self._unknown.admit(caller_of(address))
        try:
            session = self._sessions.use(token, stopping=stopping)
        except NotSignedIn:
            self._forget(id_)
            raise
        except StoreError:
            if stopping and known is not None and usable:
                return known
            raise
        self._remember(session, now)
        return session

    def admit(self, session: Session, *, changes: bool) -> None:
        """Count a request of a session; an emergency stop is never brought here.

        Raises
        ------
        TooManyRequests
        """
        self._requests.admit(session.id)
        if changes:
            self._changes.admit(session.id)

    def _remember(self, session: Session, now: int) -> None:
        with self._lock:
            self._seen.pop(session.id, None)
            while len(self._seen) >= MOST:
                del self._seen[next(iter(self._seen))]  # the one that was seen longest ago
            self._seen[session.id] = session, now

    def _forget(self, id_: str) -> None:
        with self._lock:
            self._seen.pop(id_, None)

    # ---------------------------------------------------------------- sign-out

    def leave(self, desk: Desk, session: Session, *, everywhere: bool) -> str:
        """End one's own session, or all of one's own; where to leave the directory as well."""
        if everywhere:
            self._sessions.end_all(session.oid, session.name)
        self.end(desk, session.id, session.name)
        return self._directory.sign_out_address()

    def end(self, desk: Desk, id_: str, by: str) -> Session:
        """End a session, somebody else's too.

        Raises
        ------
        NotFound
        """
        ended = self._sessions.end(id_, by)
        self._forget(id_)
        _note(desk, {"action": "end session", "operator": by, "session": id_, "of": ended.name})
        return ended

    def listed(self) -> list[Session]:
        """The sessions that are not over."""
        return self._sessions.listed()


def note_action(desk: Desk, session: Session, what: str, status: int) -> None:
    """Who did what, of every request of a session that may change something."""
    _note(desk, {"action": what, **_of(session), "oid": session.oid, "status": status})


def _of(session: Session) -> dict[str, str]:
    return {"operator": session.name, "role": session.role, "session": session.id}


def _note(desk: Desk, body: dict[str, str | int]) -> None:
    now = desk.clock.now_ms()
    desk.note("operator", {**body, "at": now}, correlation=f"operator-{now}")
