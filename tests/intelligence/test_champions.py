"""Who votes: one version a bar for every process, known or told, and the same again later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ConfigurationError, StoreUnavailable
from shared.intelligence import slots
from shared.intelligence.champions import LAST_KNOWN_MS, REFRESH_MS, RETRY_MS, Champions
from shared.intelligence.library import Library
from shared.intelligence.registry import Registry
from shared.intelligence.slots import NOTICE_MS, Slot, Tenure
from shared.simulation.synthetic import SyntheticMarket
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store
from shared.strategies import ai
from shared.strategies.config import EnsembleConfig, Member
from shared.strategies.ensemble import ensemble, signal_at_last
from shared.strategies.pinning import pinned, recorded, versions
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import LOOKBACK, lstm, mlp, save, serving

START = 1_746_316_800_000
MINUTE = 60_000
BARS = SyntheticMarket(21).columns("BTCUSDT", START, START + 700 * MINUTE)
#: Versions of the model mlp.
ONE, TWO, THREE = mlp(1), mlp(2), mlp(3)
V1, V2, V3 = (card(onnx).version for onnx in (ONE, TWO, THREE))


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
    made = Registry(store, clock)
    for onnx in (ONE, TWO, THREE):
        made.register(card(onnx), onnx, "a test")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    save(tmp_path, "mlp", ONE)
    with serving(tmp_path):
        yield tmp_path


def crown(registry: Registry, clock: VirtualClock, version: str) -> None:
    """Promotion as the use case does it, without its evidence."""
    now = clock.now_ms()
    tenure = Tenure(
        version=version, since=now + NOTICE_MS, at=now, how="promotion", operator="ada",
        reason="a test",
    )  # fmt: skip
    registry.change("mlp", lambda slot: slots.promoted(slot, tenure))


def config(*members: Member, **fields: Any) -> EnsembleConfig:
    return EnsembleConfig(members=members, threshold=0.1, crossing=False, **fields)


def member(name: str, **params: Any) -> Member:
    return Member(strategy=name, params=params)


# ------------------------------------------------------------------ the configuration that votes


def named(found: EnsembleConfig) -> list[tuple[str, Any, Any]]:
    return [(m.strategy, m.params.get("version"), m.params.get("models")) for m in found.members]


A, B, C = ("a" * 12, "b" * 12, "c" * 12)
SET_OF_A = ai.version_of({"mlp": A, "lstm": C})


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (member("trend"), ("trend", None, None)),
        (member("mlp"), ("mlp", B, None)),
        (member("mlp", version=""), ("mlp", B, None)),
        (member("mlp", version=A), ("mlp", A, None)),
        (member("lstm"), ("lstm", None, None)),  # the shipped one
        (member("ai_ensemble", models=["lstm", "mlp"]),
         ("ai_ensemble", None, ["lstm", f"mlp:{B}"])),
        (member("ai_ensemble", models=[f"mlp:{A}", "lstm"]),
         ("ai_ensemble", None, [f"mlp:{A}", "lstm"])),
        # The set that voted before the promotion is kept where it is pinned.
        (member("ai_ensemble", models=["lstm", "mlp"], version=SET_OF_A),
         ("ai_ensemble", SET_OF_A, ["lstm", f"mlp:{A}"])),
    ],
)  # fmt: skip
def test_a_model_that_pins_no_version_gets_the_champions(asked: Member, wanted: Any) -> None:
    found = pinned(
        config(asked),
        {"mlp": B},
        shipped={"lstm": C, "mlp": "d" * 12}.__getitem__,
        earlier=[{"mlp": "e" * 12}, {"mlp": A}],
    )
    assert named(found) == [wanted]
    assert pinned(found, {"mlp": "9" * 12}, shipped=lambda name: C) == found or asked.strategy in (
        "trend", "lstm", "ai_ensemble",
    )  # fmt: skip


def test_the_mean_is_of_the_fourteen_also_with_an_automated_champion(folder: Path) -> None:
    found = pinned(config(member("ai_ensemble")), {"automl": A, "gru": B}, shipped=lambda name: "")
    # gru has no shipped file; its champion has its place all the same, in the order of the models.
    assert named(found) == [("ai_ensemble", None, [f"gru:{B}", "mlp"])]
    assert list(versions(found)) == [("gru", B)]


# ------------------------------------------------------------------ one answer for every process


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 90_000),
            st.sampled_from(["promote", "first", "second", "both"]),
            st.integers(-20_000, 20_000),
        ),
        max_size=40,
    )
)
def test_processes_never_differ_about_a_bar(
    steps: list[tuple[int, str, int]],
) -> None:
    """Whenever each last looked, and with clocks that differ by up to 20 s."""
    clock = VirtualClock(START)
    store = SqliteStore(":memory:", clock=clock)
    registry = Registry(store, clock)
    for onnx in (ONE, TWO, THREE):
        registry.register(card(onnx), onnx, "a test")
    off = [VirtualClock(START), VirtualClock(START)]
    processes = [Champions(registry, one) for one in off]
    said: dict[int, str] = {}
    order = [V1, V2, V3]
    for wait, what, apart in steps:
        clock.sleep(wait / 1000)
        now = clock.now_ms()
        if what == "promote":
            version = order[(order.index(registry.slot("mlp").latest() or V3) + 1) % 3]
            crown(registry, clock, version)
            continue
        closed = now // MINUTE * MINUTE
        for number in {"first": (0,), "second": (1,), "both": (0, 1)}[what]:
            other = off[number]
            other.sleep(max(0, now + apart - other.now_ms()) / 1000)
            slot = processes[number].slots().get("mlp", Slot(model="mlp"))
            assert said.setdefault(closed, slot.champion(closed)) == slot.champion(closed)
    store.close()


def test_a_promotion_counts_from_the_bar_that_closes_after_its_notice(
    registry: Registry, clock: VirtualClock, folder: Path
) -> None:
    ours = Champions(registry, clock)
    plan = config(member("mlp"))
    assert named(ours.voting(plan, START)) == [("mlp", None, None)]
    crown(registry, clock, V2)
    clock.sleep(REFRESH_MS / 1000)
    for closed, version in ((START + NOTICE_MS - 1, None), (START + NOTICE_MS, V2)):
        assert named(ours.voting(plan, closed)) == [("mlp", version, None)]
    # What votes was loaded from the registry: the folder has another file.
    signal = signal_at_last(BARS, ours.voting(plan, START + NOTICE_MS))
    assert [vote.model for vote in signal.votes] == [V2]
    assert signal_at_last(BARS, ours.voting(plan, START)).votes[0].model == V1


def test_formulas_ask_no_registry(clock: VirtualClock) -> None:
    plan = config(member("trend"))
    assert Champions(Registry(Away(), clock), clock).voting(plan, START) is plan


# ------------------------------------------------------------------ what cannot be read


class Away:
    """A store that does not answer while ``away``."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store
        self.away = store is None
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("the store does not answer")
        return getattr(self.store, name)


def test_what_was_known_counts_for_an_hour_and_is_told(
    registry: Registry, store: Store, clock: VirtualClock, folder: Path
) -> None:
    crown(registry, clock, V2)
    between = Away(store)
    ours, plan = Champions(Registry(between, clock), clock), config(member("mlp"))
    later = START + NOTICE_MS
    assert named(ours.voting(plan, later)) == [("mlp", V2, None)]
    assert ours.trouble == ""
    between.away = True
    clock.sleep(REFRESH_MS / 1000)
    assert named(ours.voting(plan, later)) == [("mlp", V2, None)]
    assert "the store does not answer" in ours.trouble
    # Signals of other symbols do not each wait for it anew.
    asked = between.asked
    ours.voting(plan, later)
    assert between.asked == asked
    clock.sleep((LAST_KNOWN_MS - REFRESH_MS) / 1000)
    assert named(ours.voting(plan, later)) == [("mlp", V2, None)]
    clock.sleep(0.001)
    with pytest.raises(ConfigurationError, match="what it said at 2025-05-04T00"):
        ours.voting(plan, later)
    between.away = False
    clock.sleep(RETRY_MS / 1000)
    assert named(ours.voting(plan, later)) == [("mlp", V2, None)]
    assert ours.trouble == ""


def test_who_never_knew_anything_does_not_take_the_shipped_file(
    registry: Registry, store: Store, clock: VirtualClock, folder: Path
) -> None:
    between = Away(store)
    between.away = True
    ours, plan = Champions(Registry(between, clock), clock), config(member("mlp"))
    with pytest.raises(ConfigurationError, match="nothing is known; no model votes"):
        ours.voting(plan, START)
    between.away = False
    clock.sleep(RETRY_MS / 1000)
    assert named(ours.voting(plan, START)) == [("mlp", None, None)]


def test_a_champion_whose_file_cannot_be_had_votes_nothing_and_is_not_replaced(
    registry: Registry, store: Store, clock: VirtualClock, folder: Path
) -> None:
    crown(registry, clock, V2)
    store.delete("versions", "mlp", f"onnx:{V2}:0")
    with pytest.raises(ConfigurationError, match=f"model mlp {V2} cannot be had from the registry"):
        Champions(registry, clock).voting(config(member("mlp")), START + NOTICE_MS)


def test_a_version_that_is_pinned_comes_from_the_registry(
    registry: Registry, clock: VirtualClock, folder: Path
) -> None:
    ours = Champions(registry, clock)
    found = ours.voting(config(member("mlp", version=V3)), START)
    assert signal_at_last(BARS, found).votes[0].model == V3
    with pytest.raises(ConfigurationError, match="model mlp 0123456789ab cannot be had"):
        ours.voting(config(member("mlp", version="0123456789ab")), START)


# ------------------------------------------------------------------ the same again


def test_a_vote_is_made_again_from_its_record_after_a_rollback_and_a_deployment(
    registry: Registry, clock: VirtualClock, tmp_path: Path
) -> None:
    plan = config(member("mlp"), member("ai_ensemble", models=["lstm", "mlp"]), member("trend"))
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first, second):
        place.mkdir()
    save(first, "mlp", ONE)
    shipped = save(first, "lstm", lstm())
    crown(registry, clock, V1)
    crown(registry, clock, V2)
    # As the first promotion of a model does with its shipped file.
    registry.register(card(lstm(), name="lstm", kind="sequence", lookback=LOOKBACK), lstm(), "it")
    with serving(first):
        voted = signal_at_last(BARS, Champions(registry, clock).voting(plan, START + NOTICE_MS))
    assert voted.votes[0].model == V2

    registry.change(
        "mlp",
        lambda slot: slots.rolled_back(
            slot,
            Tenure(version=V1, since=START + NOTICE_MS, at=START, how="rollback", operator="ada",
                   reason="a test"),
        ),
    )  # fmt: skip
    # Another process, and other files in the folder.
    save(second, "mlp", mlp(9))
    save(second, "lstm", lstm(9))
    with serving(second):
        ours = Champions(registry, clock)
        now = signal_at_last(BARS, ours.voting(plan, START + NOTICE_MS))
        assert now.votes[0].model == V1
        again = ours.voting(recorded(plan, voted.votes), START)
        assert ("lstm", shipped.version) in list(versions(again))
        assert msgspec.json.encode(signal_at_last(BARS, again)) == msgspec.json.encode(voted)


def test_a_champion_that_reads_further_back_makes_the_signal_read_further_back(
    registry: Registry, clock: VirtualClock, tmp_path: Path
) -> None:
    save(tmp_path, "lstm", lstm())
    onnx = lstm(5, lookback=40)
    longer = card(onnx, name="lstm", kind="sequence", lookback=40)
    registry.register(longer, onnx, "a test")
    now = clock.now_ms()
    tenure = Tenure(
        version=longer.version, since=now, at=now, how="promotion", operator="ada", reason="a test"
    )
    registry.change("lstm", lambda slot: slots.promoted(slot, tenure))
    plan = config(member("lstm"))
    with serving(tmp_path):
        ours = Champions(registry, clock)
        before, after = ours.voting(plan, now - 1), ours.voting(plan, now)
        assert ensemble(after).history - ensemble(before).history == 40 - LOOKBACK


def test_a_version_handed_in_changes_no_answer_of_the_folder(folder: Path) -> None:
    own = Library(folder)
    shipped = own.model("mlp")
    from shared.intelligence.model import OnnxModel

    own.hold(OnnxModel(TWO, card(TWO)))
    assert own.model("mlp") is shipped
    assert own.model("mlp", V1) is shipped
    assert own.model("mlp", V2).card.version == V2
    with pytest.raises(ConfigurationError, match=f"version {V3} is asked for"):
        own.model("mlp", V3)
