"""The registry of models: bytes come out as they went in, states follow one table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from local.clock import VirtualClock
from shared.errors import (
    BorsaError,
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreUnavailable,
)
from shared.intelligence.card import encoded
from shared.intelligence.library import MODELS, SLOTS
from shared.intelligence.registry import MOST_OFFERS, Registry
from shared.intelligence.slots import (
    MOST_CHALLENGERS,
    NOTICE_MS,
    Slot,
    Tenure,
    Version,
    before,
    moved,
    promoted,
    registered,
    rolled_back,
)
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import LOOKBACK, constant, lstm, mlp

START = 1_746_316_800_000


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[Store]:
    opened = SqliteStore(":memory:", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def registry(store: Store, clock: VirtualClock) -> Registry:
    return Registry(store, clock)


def test_the_fourteen_and_the_automated_one_have_a_place() -> None:
    assert (*MODELS, "automl") == SLOTS


def test_what_is_registered_can_be_asked_bit_for_bit(registry: Registry) -> None:
    for name, onnx, changes in (
        ("mlp", mlp(), {}),
        ("lstm", lstm(), {"kind": "sequence", "lookback": LOOKBACK}),
        ("automl", mlp(5), {"params": {"whole": 1.0, "part": 0.1}}),
    ):
        made = card(onnx, name=name, **changes)
        version = registry.register(made, onnx, "a test")
        assert (version.version, version.state, version.size) == (
            made.version, "candidate", len(onnx)
        )  # fmt: skip
        assert registry.onnx(name, made.version) == (onnx, made)
        # Also what JSON has no difference for: 1.0 is not 1.
        assert msgspec.json.encode(registry.card(name, made.version)) == msgspec.json.encode(made)
        shape = (LOOKBACK, 42) if name == "lstm" else (42,)
        rows = np.full((1, *shape), 0.5, np.float32)
        probabilities = registry.model(name, made.version).probabilities(rows)
        assert probabilities.sum() == pytest.approx(1.0, abs=1e-6)
    assert set(registry.slots()) == {"mlp", "lstm", "automl"}


def test_the_same_version_twice_is_the_same_version(
    registry: Registry, clock: VirtualClock
) -> None:
    made = card(mlp())
    first = registry.register(made, mlp(), "first")
    registry.move("mlp", made.version, "challenger")
    clock.sleep(60)
    again = registry.register(made, mlp(), "second", challenge=True)
    assert (again.source, again.registered_at, again.state) == ("first", START, "challenger")
    assert first.registered_at == START
    assert list(registry.slot("mlp").versions) == [made.version]


def refused(onnx: bytes, **changes: Any) -> tuple[Any, bytes]:
    return card(onnx, **changes), onnx


@pytest.mark.parametrize(
    ("what", "error", "told"),
    [
        (refused(mlp(), name="moon"), InvalidInput, "no model is named 'moon'"),
        (refused(mlp(), feature_set="1-0123456789ab"), ConfigurationError, "feature set 1-01"),
        ((card(mlp()), mlp(2)), ConfigurationError, "not the one of its card"),
        (refused(b"no model at all"), ConfigurationError, "onnxruntime cannot use its file"),
        (refused(lstm()), ConfigurationError, "the contract is one input features"),
        (refused(constant(0.5, 0.5, 0.5)), ConfigurationError, "no probabilities"),
        (refused(b""), InvalidInput, "0 bytes"),
    ],
)
def test_what_could_not_be_served_is_not_taken_in(
    registry: Registry, store: Store, what: Any, error: type[BorsaError], told: str
) -> None:
    with pytest.raises(error, match=told):
        registry.register(*what, "a test")
    assert registry.slots() == {}
    assert store.query("versions", "mlp").documents == []


def test_a_source_is_named(registry: Registry) -> None:
    with pytest.raises(InvalidInput, match="source is empty"):
        registry.register(card(mlp()), mlp(), "  ")


class Dying:
    """A store whose process dies at the n-th write."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store = store
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("create", "replace", "patch"):
            return found

        def write(*args: Any, **kwargs: Any) -> Any:
            if not self._left:
                raise StoreUnavailable("the process died")
            self._left -= 1
            return found(*args, **kwargs)

        return write


def test_a_registration_cut_off_anywhere_is_none_and_can_be_done_again(
    store: Store, clock: VirtualClock
) -> None:
    made = card(mlp())
    for writes in itertools.count():
        try:
            Registry(Dying(store, writes), clock).register(made, mlp(), "cut", challenge=True)
        except StoreUnavailable:
            # A state that can be read never names what is not whole.
            for version in Registry(store, clock).slot("mlp").versions:
                assert Registry(store, clock).onnx("mlp", version)[0] == mlp()
            continue
        break
    assert writes == 4  # the file, the card, the state, the challenge
    assert Registry(store, clock).slot("mlp").versions[made.version].state == "candidate"


def test_bytes_that_were_changed_are_not_served(registry: Registry, store: Store) -> None:
    made = card(mlp())
    registry.register(made, mlp(), "a test")
    found = store.get("versions", "mlp", f"onnx:{made.version}:0")
    assert found is not None
    data = found.body["data"]
    store.replace(
        "versions", found.body | {"data": data[:100] + "AAAA" + data[104:]}, etag=found.etag
    )
    with pytest.raises(ConfigurationError, match="not the one of its card"):
        registry.model("mlp", made.version)
    with pytest.raises(NotFound, match="version:0123456789ab"):
        registry.model("mlp", "0123456789ab")


# ------------------------------------------------------------------ offers


def test_an_offer_is_nothing_until_it_is_taken_in(registry: Registry, clock: VirtualClock) -> None:
    made = card(mlp())
    assert registry.offer(made, mlp(), " a job ", challenge=True) is None
    assert registry.slots() == {}
    assert registry.onnx("mlp", made.version) == (mlp(), made)
    (waiting,) = registry.waiting()
    assert (waiting.version, waiting.source, waiting.offered_at) == (made.version, "a job", START)
    clock.sleep(60)
    registry.adopt()
    taken = registry.slot("mlp").versions[made.version]
    assert (taken.state, taken.source, taken.registered_at) == ("challenger", "a job", START)
    assert (taken.size, taken.chunks, taken.noted) == (len(mlp()), 1, False)
    assert taken.challenger_since == START + 60_000
    # Once, whatever became of it, and however often it is offered.
    registry.move("mlp", made.version, "rejected")
    assert registry.offer(made, mlp(), "a job", challenge=True) == "rejected"
    assert registry.waiting() == []
    registry.adopt()
    assert registry.slot("mlp").versions[made.version].state == "rejected"


def test_with_challengers_enough_an_offer_is_a_candidate(
    registry: Registry, clock: VirtualClock
) -> None:
    files = [mlp(seed) for seed in range(1, MOST_CHALLENGERS + 2)]
    for onnx in files:
        registry.offer(card(onnx), onnx, "a job", challenge=True)
        clock.sleep(1)
    registry.adopt()
    states = [v.state for v in registry.slot("mlp").versions.values()]
    assert states == ["challenger"] * MOST_CHALLENGERS + ["candidate"]


def offered(version: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"offer:mlp:{version}", "name": "offers", "model": "mlp", "version": version,
        "source": "whoever", "offeredAt": START - 1, "challenge": True, **fields,
    }  # fmt: skip


def kept(version: str, text: Any, chunks: Any) -> dict[str, Any]:
    return {"id": f"version:{version}", "name": "mlp", "card": text, "chunks": chunks}


A_CARD = card(mlp(3))
#: Documents that somebody added who may add what they like.
FORGED = {
    "no file": [offered("0" * 12)],
    "no name of a version": [offered("a/b?c", id="offer:mlp:odd")],
    "no model": [offered("0" * 12, model="moon")],
    "no offer": [{"id": "offer:x", "name": "offers", "version": 7}],
    "a time beyond all dates": [offered("0" * 12, offeredAt=10**15)],
    "no card": [kept("0" * 12, "{}", 1), offered("0" * 12)],
    "another's card": [kept("0" * 12, encoded(A_CARD).decode(), 1), offered("0" * 12)],
    "no pieces": [kept(A_CARD.version, encoded(A_CARD).decode(), 0), offered(A_CARD.version)],
    "any number of pieces": [
        kept(A_CARD.version, encoded(A_CARD).decode(), 10**9), offered(A_CARD.version)
    ],
    "other bytes": [
        kept(A_CARD.version, encoded(A_CARD).decode(), 1),
        {"id": f"onnx:{A_CARD.version}:0", "name": "mlp", "data": "AAAA"},
        offered(A_CARD.version),
    ],
    "no bytes": [
        kept(A_CARD.version, encoded(A_CARD).decode(), 1),
        {"id": f"onnx:{A_CARD.version}:0", "name": "mlp", "data": 7},
        offered(A_CARD.version),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_what_cannot_be_served_is_not_taken_in_and_holds_nothing_up(
    registry: Registry, store: Store, what: str
) -> None:
    for document in FORGED[what]:
        store.create("versions", document)
    made = card(mlp())
    registry.offer(made, mlp(), "a job")
    for _ in range(2):
        registry.adopt()
        assert list(registry.slots()) == ["mlp"]
        assert list(registry.slot("mlp").versions) == [made.version]


def test_any_number_of_them_only_delays(registry: Registry, store: Store) -> None:
    for number in range(MOST_OFFERS + 5):
        made = kept(f"{number:012x}", "{}", 1)
        store.create("versions", made)
        store.create("versions", offered(f"{number:012x}"))
    good = card(mlp())
    registry.offer(good, mlp(), "a job")
    registry.adopt()
    registry.adopt()
    assert list(registry.slot("mlp").versions) == [good.version]


def test_the_same_file_with_another_card_is_refused(registry: Registry) -> None:
    """Whoever may add knows the shipped files, and could be there first with a card of theirs."""
    registry.offer(card(mlp(), timeframe="5m"), mlp(), "whoever")
    made = card(mlp())
    for put in (registry.register, registry.offer):
        with pytest.raises(ConfigurationError, match="the same file is in the registry with"):
            put(made, mlp(), "a test")
    assert registry.slots() == {}
    # Trained twice on the same bars it is the same.
    again = msgspec.structs.replace(made, created_at="2027-01-01T00:00:00Z", timeframe="5m")
    assert registry.register(again, mlp(), "a test").timeframe == "5m"


# ------------------------------------------------------------------ states


def version(number: int) -> Version:
    return Version(
        version=f"{number:012x}", source="a test", registered_at=0, changed_at=0, size=1, chunks=1,
        timeframe="1h",
    )  # fmt: skip


def tenure(of: str, now: int, how: Any = "promotion") -> Tenure:
    return Tenure(
        version=of, since=now + NOTICE_MS, at=now, how=how, operator="ada", reason="a reason"
    )


def slot_of(*numbers: int) -> Slot:
    slot = Slot(model="mlp")
    for number in numbers:
        slot = registered(slot, version(number))
    return slot


A, B, C, D = (f"{n:012x}" for n in range(4))


def test_a_rollback_undoes_the_last_promotion_and_the_next_one_the_one_before() -> None:
    slot = slot_of(0, 1, 2)
    for number, one in enumerate((A, B, C)):
        slot = promoted(slot, tenure(one, 1000 * number))
    assert before(slot) == B
    slot = rolled_back(slot, tenure(B, 5000, "rollback"))
    assert (slot.latest(), before(slot)) == (B, A)
    slot = rolled_back(slot, tenure(A, 6000, "rollback"))
    with pytest.raises(Conflict, match="no champion before"):
        before(slot)
    assert [v.state for v in slot.versions.values()] == ["champion", "retired", "retired"]
    slot = promoted(slot, tenure(C, 7000))
    assert before(slot) == A


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (("rejected", "challenger"), "is rejected and cannot be made challenger"),
        (("challenger", "champion"), "possible: candidate, rejected"),
        (("retired",), "is candidate and cannot be made retired"),
    ],
)
def test_states_follow_one_table(states: tuple[Any, ...], told: str) -> None:
    slot = slot_of(0)
    *first, last = states
    for state in first:
        slot = moved(slot, A, state, 1)
    with pytest.raises(Conflict, match=told):
        moved(slot, A, last, 2)


def test_what_was_rejected_is_neither_promoted_nor_gone_back_to() -> None:
    slot = slot_of(0, 1, 2, 3)
    for number, one in enumerate((A, B, C)):
        slot = promoted(slot, tenure(one, number))
    with pytest.raises(Conflict, match="what a rollback leads to"):
        moved(slot, B, "rejected", 4)
    slot = moved(moved(slot, A, "rejected", 4), D, "rejected", 4)
    with pytest.raises(Conflict, match="was rejected"):
        promoted(slot, tenure(D, 5))
    slot = rolled_back(slot, tenure(B, 6, "rollback"))
    with pytest.raises(Conflict, match="was rejected since"):
        before(slot)
    with pytest.raises(Conflict, match="champion already"):
        promoted(slot, tenure(B, 3))
    with pytest.raises(NotFound, match="no version 'ffffffffffff'"):
        promoted(slot, tenure("f" * 12, 3))


def test_challengers_are_few_and_begin_when_they_are_made() -> None:
    slot = slot_of(*range(MOST_CHALLENGERS + 1))
    for number in range(MOST_CHALLENGERS):
        slot = moved(slot, f"{number:012x}", "challenger", 10)
    with pytest.raises(Conflict, match="has 3 challengers"):
        moved(slot, D, "challenger", 11)
    assert slot.challengers(9) == []
    assert slot.challengers(10) == [A, B, C]


class Champions(RuleBasedStateMachine):
    """Anything an operator may do, in any order, at any time that does not run backward."""

    def __init__(self) -> None:
        super().__init__()
        self.slot = slot_of(0)
        self.now = START
        #: What was known at some moment: the time, and the slot as it was.
        self.known: list[tuple[int, Slot]] = []

    @rule(ms=st.integers(0, 3 * NOTICE_MS))
    def wait(self, ms: int) -> None:
        self.known.append((self.now, self.slot))
        self.now += ms

    @precondition(lambda self: len(self.slot.versions) < 6)
    @rule()
    def register(self) -> None:
        self.slot = registered(self.slot, version(len(self.slot.versions)))

    def _tried(self, change: Any) -> None:
        try:
            self.slot = change()
        except (Conflict, NotFound):
            return

    @rule(number=st.integers(0, 6), state=st.sampled_from(["candidate", "challenger", "rejected"]))
    def move(self, number: int, state: Any) -> None:
        self._tried(lambda: moved(self.slot, f"{number:012x}", state, self.now))

    @rule(number=st.integers(0, 6))
    def promote(self, number: int) -> None:
        self._tried(lambda: promoted(self.slot, tenure(f"{number:012x}", self.now)))

    @rule()
    def roll_back(self) -> None:
        self._tried(lambda: rolled_back(self.slot, tenure(before(self.slot), self.now, "rollback")))

    @invariant()
    def one_champion(self) -> None:
        champions = [v.version for v in self.slot.versions.values() if v.state == "champion"]
        assert champions == [self.slot.latest()] * (1 if self.slot.tenures else 0)
        since = [t.since for t in self.slot.tenures]
        assert since == sorted(since)

    @invariant()
    def what_was_known_stays_true_for_the_time_of_notice(self) -> None:
        """An instance whose knowledge is younger than the notice errs about no bar."""
        for at, slot in self.known:
            for closed in (at - 1, at, at + NOTICE_MS // 2, at + NOTICE_MS - 1):
                assert slot.champion(closed) == self.slot.champion(closed)


TestChampions = Champions.TestCase
TestChampions.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
