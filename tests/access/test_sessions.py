"""Sessions and lockouts as state machines, against models that do not know how they are kept."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from local.clock import VirtualClock
from shared.access.door import JUST_SEEN_MS, Door
from shared.access.lockout import WINDOW_MS, Lockout, caller_of, id_of
from shared.access.sessions import NOTED_EVERY_MS, STOP_GRACE_MS, Sessions
from shared.access.tokens import Person
from shared.errors import NotFound, NotSignedIn, StoreUnavailable, TooManyRequests
from shared.security.guesses import MAX_FAILURES
from shared.security.throttle import Throttles
from shared.storage.sqlite import SqliteStore

NOW = 1_746_352_881_000
IDLE, ABSOLUTE = 30 * 60_000, 8 * 3_600_000
KEPT_MS = 3 * 86_400_000
ANNA = Person(oid="oid-of-anna", name="anna@example.com", role="operator")
BERT = Person(oid="oid-of-bert", name="bert@example.com", role="viewer")


class SessionMachine(RuleBasedStateMachine):
    """Whatever happens, and whichever instance is asked: in while used and young, never when ended.

    The stored time of the last request may be up to a minute old, so what lies within that minute
    of the idle limit may go either way.
    """

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(NOW)
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.instances = [Sessions(self.store, self.clock, "main", IDLE, ABSOLUTE) for _ in "ab"]
        self.known: dict[str, dict[str, Any]] = {}

    def teardown(self) -> None:
        self.store.close()

    @rule(target=tokens, who=st.sampled_from([ANNA, BERT]), at=st.integers(0, 1))
    def open(self, who: Person, at: int) -> str:
        token, session = self.instances[at].open(who)
        now = self.clock.now_ms()
        self.known[token] = {
            "id": session.id,
            "who": who,
            "made": now,
            "used": now,
            "ended": False,
        }
        return token

    @rule(
        seconds=st.one_of(
            st.integers(1, 120),
            st.integers(IDLE // 1000 - 61, IDLE // 1000 + 1),
            st.sampled_from([3600, ABSOLUTE // 1000, STOP_GRACE_MS // 1000]),
        )
    )
    def wait(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule(token=tokens, at=st.integers(0, 1), stopping=st.booleans())
    def use(self, token: str, at: int, stopping: bool) -> None:
        model, now = self.known[token], self.clock.now_ms()
        grace = STOP_GRACE_MS if stopping else 0
        unused, age = now - model["used"], now - model["made"]
        must_not = model["ended"] or age >= ABSOLUTE + grace or unused >= IDLE + grace
        must = not must_not and unused < IDLE + grace - NOTED_EVERY_MS
        try:
            found = self.instances[at].use(token, stopping=stopping)
        except NotSignedIn:
            assert not must
            return
        assert not must_not
        assert (found.id, found.oid, found.role) == (
            model["id"],
            model["who"].oid,
            model["who"].role,
        )
        if age < ABSOLUTE and (not stopping or unused < IDLE - NOTED_EVERY_MS):
            model["used"] = now
        elif age < ABSOLUTE and unused < IDLE:
            # Idle or not, by less than a minute: what the store says counts from here on.
            document = self.store.get("sessions", "main", model["id"])
            assert document is not None
            model["used"] = document.body["seen"]

    @rule(token=tokens, at=st.integers(0, 1))
    def end(self, token: str, at: int) -> None:
        model = self.known[token]
        try:
            ended = self.instances[at].end(model["id"], "an admin")
        except NotFound:
            # The store keeps a session for three days after it was last written.
            assert self.clock.now_ms() - model["made"] >= KEPT_MS
        else:
            assert ended.ended_at
        model["ended"] = True

    @rule(who=st.sampled_from([ANNA, BERT]), at=st.integers(0, 1))
    def end_all(self, who: Person, at: int) -> None:
        self.instances[at].end_all(who.oid, "an admin")
        for model in self.known.values():
            if model["who"] is who:
                # Those that had run out need no end, but a stop by them is still taken.
                now = self.clock.now_ms()
                young = now - model["made"] < ABSOLUTE
                if young and now - model["used"] < IDLE - NOTED_EVERY_MS:
                    model["ended"] = True
                elif not model["ended"]:
                    model["maybe"] = True
        for token in [t for t, m in self.known.items() if m.pop("maybe", False)]:
            # What the store says counts from here on.
            document = self.store.get("sessions", "main", self.known[token]["id"])
            if document is not None and document.body["endedAt"]:
                self.known[token]["ended"] = True

    @invariant()
    def list_has_what_is_open(self) -> None:
        listed = {s.id for s in self.instances[0].listed()}
        for model in self.known.values():
            now = self.clock.now_ms()
            if model["ended"] or now - model["made"] >= ABSOLUTE or now - model["used"] >= IDLE:
                assert model["id"] not in listed
            elif now - model["used"] < IDLE - NOTED_EVERY_MS:
                assert model["id"] in listed


TestSessions = SessionMachine.TestCase
TestSessions.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


class LockoutMachine(RuleBasedStateMachine):
    """Never more than five failures of an address without a lock, and each lock twice as long."""

    addresses = st.sampled_from(["203.0.113.7", "2001:db8::1", "2001:db8::ffff", "nonsense"])

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(NOW)
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.instances = [Lockout(self.store, self.clock, "main") for _ in "ab"]
        #: Key -> failures, time of the last, end of the lock, locks.
        self.model: dict[str, list[int]] = {}

    def teardown(self) -> None:
        self.store.close()

    def of(self, address: str) -> list[int]:
        # Two addresses of one IPv6 network are one caller.
        key = "2001:db8::/64" if address.startswith("2001:db8::") else address
        return self.model.setdefault(key, [0, 0, 0, 0])

    @rule(seconds=st.sampled_from([1, 60, 900, 901, 1800, 7200, 86_399]))
    def wait(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule(address=addresses, at=st.integers(0, 1))
    def fail(self, address: str, at: int) -> None:
        model, now = self.of(address), self.clock.now_ms()
        told = self.instances[at].failed(address)
        if now < model[2]:
            assert told == 0
            return
        model[0] = model[0] + 1 if now - model[1] < WINDOW_MS else 1
        model[1] = now
        if model[0] < MAX_FAILURES:
            assert told == 0
            return
        minutes = min(15 * 2 ** model[3], 24 * 60)
        assert told == now + minutes * 60_000
        model[:] = [0, now, told, model[3] + 1]

    @rule(address=addresses, at=st.integers(0, 1))
    def succeed(self, address: str, at: int) -> None:
        if self.clock.now_ms() < self.of(address)[2]:
            return  # nobody gets so far
        self.instances[at].succeeded(address)
        self.of(address)[:] = [0, 0, 0, 0]

    @rule(address=addresses, at=st.integers(0, 1))
    def check(self, address: str, at: int) -> None:
        locked = self.clock.now_ms() < self.of(address)[2]
        try:
            self.instances[at].check(address)
        except TooManyRequests:
            assert locked
        else:
            assert not locked


TestLockout = LockoutMachine.TestCase
TestLockout.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_addresses_are_one_caller_where_they_are_free() -> None:
    assert caller_of("2001:db8:1:2::3") == "2001:db8:1:2::/64"
    assert id_of("2001:db8:1:2::3") == id_of("2001:db8:1:2:ffff::") != id_of("2001:db8:1:3::3")
    assert id_of("::ffff:203.0.113.7") == id_of("203.0.113.7") != id_of("203.0.113.8")


class Failing(SqliteStore):
    """A store that can be away."""

    away = False
    reads = 0

    def get(self, container: str, partition: str, id: str) -> Any:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("the store is away")
        return super().get(container, partition, id)


def doors() -> tuple[VirtualClock, Failing, list[Door], list[Sessions]]:
    clock = VirtualClock(NOW)
    store = Failing(":memory:", clock=clock)
    sessions = [Sessions(store, clock, "main", IDLE, ABSOLUTE) for _ in "ab"]
    nowhere: Any = None
    return clock, store, [Door(nowhere, s, nowhere, clock) for s in sessions], sessions


def test_a_stop_needs_no_store_where_the_session_was_just_seen() -> None:
    clock, store, (here, there), (sessions, _) = doors()
    token, session = sessions.open(ANNA)
    here.enter(token, "x")
    store.away, store.reads = True, 0
    assert here.enter(token, "x", stopping=True).name == session.name
    assert store.reads == 0
    # Later it is asked, and while it does not answer the session that is known is enough.
    clock.sleep(JUST_SEEN_MS / 1000)
    here.enter(token, "x", stopping=True)
    assert store.reads == 1
    for door, stopping in ((here, False), (there, True)):
        with pytest.raises(StoreUnavailable):
            door.enter(token, "x", stopping=stopping)
    store.close()


def test_a_session_that_was_ended_stops_nothing_a_minute_later() -> None:
    clock, store, (here, there), (sessions, _) = doors()
    token, session = sessions.open(ANNA)
    for door in (here, there):
        door.enter(token, "x")
    sessions.end(session.id, "an admin")
    for stopping in (False, True):
        clock.sleep(JUST_SEEN_MS / 1000)
        with pytest.raises(NotSignedIn, match="ended by an admin"):
            there.enter(token, "x", stopping=stopping)
    store.close()


def test_a_session_that_ran_out_stops_and_does_nothing_else() -> None:
    clock, store, (here, _), (sessions, _) = doors()
    token, _ = sessions.open(ANNA)
    clock.sleep(IDLE / 1000)
    with pytest.raises(NotSignedIn, match="not used for too long"):
        here.enter(token, "x")
    assert here.enter(token, "x", stopping=True).name == ANNA.name
    # The stop has not brought it back.
    with pytest.raises(NotSignedIn):
        here.enter(token, "x")
    clock.sleep(STOP_GRACE_MS / 1000)
    with pytest.raises(NotSignedIn):
        here.enter(token, "x", stopping=True)
    store.close()


@pytest.mark.parametrize("token", ["", "x", "a" * 43 + "\n", "ä" * 43, "a" * 44, "../control"])
def test_what_is_no_token_is_not_looked_up(token: str) -> None:
    _, store, (here, _), _ = doors()
    with pytest.raises(NotSignedIn):
        here.enter(token, "x", stopping=True)
    assert store.reads == 0
    store.close()


def test_guessed_tokens_are_refused_unread_after_a_while() -> None:
    _, store, (here, _), (sessions, _) = doors()
    token, _ = sessions.open(ANNA)
    here.enter(token, "198.51.100.1")
    store.reads = 0
    for n in range(100):
        with suppress(NotSignedIn, TooManyRequests):
            here.enter(f"{n:043d}", "203.0.113.7")
    assert store.reads == 60
    # Whoever is known is let through, from the same address too, and others from elsewhere.
    here.enter(token, "203.0.113.7")
    with pytest.raises(NotSignedIn):
        here.enter("b" * 43, "203.0.113.8")
    store.close()


def test_a_session_may_ask_so_often_and_change_less() -> None:
    clock, store, (here, _), (sessions, _) = doors()
    _, session = sessions.open(ANNA)
    for _ in range(30):
        here.admit(session, changes=True)
    with pytest.raises(TooManyRequests, match="that change something"):
        here.admit(session, changes=True)
    for _ in range(240 - 31):
        here.admit(session, changes=False)
    with pytest.raises(TooManyRequests, match="more than 240"):
        here.admit(session, changes=False)
    _, other = sessions.open(BERT)
    here.admit(other, changes=True)
    clock.sleep(61)
    here.admit(session, changes=True)
    store.close()


def test_only_so_many_callers_are_remembered() -> None:
    throttles = Throttles(VirtualClock(NOW), 1, "to ask", most=10)
    for n in range(1_000):
        throttles.admit(str(n))
    assert len(throttles._each) == 10
    with pytest.raises(TooManyRequests):
        throttles.admit("999")


def test_there_is_no_end_of_what_is_not_there() -> None:
    _, store, _, (sessions, _) = doors()
    lock = Lockout(store, VirtualClock(NOW), "main")
    lock.failed("203.0.113.7")
    for id_ in ("none", id_of("203.0.113.7")):
        with pytest.raises(NotFound):
            sessions.end(id_, "an admin")
    store.close()
