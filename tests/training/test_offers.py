"""What is trained again, and what of it is offered: a challenger, and never more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.clock import VirtualClock
from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.card import Fold, ModelCard
from shared.intelligence.features import feature_history
from shared.intelligence.registry import Registry
from shared.storage.sqlite import SqliteStore
from tests.intelligence.made_models import card, figures
from tests.intelligence.made_onnx import constant, save, serving
from training.__main__ import main
from training.catalogue import LONGEST
from training.parity import Parity
from training.pipeline import Plan, Trained
from training.retrain import as_before, offer, retrain, shortcoming
from training.serving import cards_that_serve

NOW = 1_767_571_200_000
HOUR = 3_600_000


@pytest.fixture
def registry() -> Iterator[Registry]:
    clock = VirtualClock(NOW)
    store = SqliteStore(":memory:", clock=clock)
    yield Registry(store, clock)
    store.close()


def holdout(gain: float, error: float | None) -> Fold:
    found = msgspec.structs.replace(
        figures(), log_loss=1.0 - gain, base_log_loss=1.0, gain_error=error
    )
    return Fold(
        trained_from="2024-01-01T00:00:00Z",
        trained_to="2024-06-30T23:00:00Z",
        tested_from="2024-07-03T00:00:00Z",
        tested_to="2024-09-30T23:00:00Z",
        figures=found,
    )


def trained(number: int = 0, gain: float = 0.03, error: float | None = 0.01) -> Trained:
    source = constant(0.2 + number / 100, 0.5, 0.3 - number / 100)
    made = card(source, name="mlp", holdout=holdout(gain, error))
    return Trained(made, source, Parity(1, 0.0, 0.0))


@pytest.mark.parametrize(
    ("fold", "told"),
    [
        (holdout(0.021, 0.01), ""),
        (holdout(0.019, 0.01), "beats the base rates by +0.0190 ± 0.0100"),
        (holdout(-0.2, 0.01), "beats the base rates by -0.2000"),
        (holdout(0.5, None), "too short"),
        (None, "no holdout"),
    ],
)
def test_only_what_beats_nothing_by_two_standard_errors_is_offered(
    fold: Fold | None, told: str
) -> None:
    found = shortcoming(card(b"x", holdout=fold))
    assert told in found
    assert bool(told) == bool(found)


def test_an_offer_is_a_challenger_and_never_more(registry: Registry) -> None:
    one = trained()
    offered = offer(one, registry, "a test")
    assert (offered.state, offered.version) == ("challenger", one.card.version)
    slot = registry.slot("mlp")
    assert slot.champion(NOW + 10**9) == ""
    assert registry.onnx("mlp", one.card.version) == (one.source, one.card)
    # The same again is the same version.
    assert offer(one, registry, "a test").state == "challenger"
    assert len(registry.slot("mlp").versions) == 1


def test_what_is_no_better_than_nothing_is_in_no_registry(registry: Registry) -> None:
    offered = offer(trained(gain=0.01), registry, "a test")
    assert offered.state == "refused"
    assert registry.slots() == {}


def test_with_challengers_enough_it_waits_as_a_candidate(registry: Registry) -> None:
    states = [offer(trained(number), registry, "a test").state for number in range(4)]
    assert states == ["challenger"] * 3 + ["candidate"]


def test_what_is_trained_again_is_like_what_serves() -> None:
    cards = [card(b"a", name="gru", timeframe="1h"), card(b"b", name="mlp", timeframe="1h")]
    again = as_before(cards)
    assert (again.models, again.symbols) == (("gru", "mlp"), ("BTCUSDT", "ETHUSDT"))
    assert (again.timeframe, again.take_atr, again.horizon_bars) == ("1h", 2.0, 24)
    assert again.start_ms == 1_704_067_200_000  # 2024-01-01, where the cards begin
    assert again.candles_from == again.start_ms - (feature_history() + LONGEST) * HOUR
    assert as_before(cards, 7).start_ms == 7
    with pytest.raises(InvalidInput, match="runs of their own"):
        as_before([cards[0], card(b"b", name="mlp", timeframe="15m")])
    with pytest.raises(InvalidInput, match="no model"):
        as_before([])
    with pytest.raises(InvalidInput, match="holdout"):
        retrain(again, {}, Plan(), now_ms=NOW)


def test_champions_of_the_registry_come_before_shipped_files(
    registry: Registry, tmp_path: Path
) -> None:
    with serving(tmp_path):
        shipped = save(tmp_path, "gru", constant(0.25, 0.5, 0.25))
        save(tmp_path, "mlp", constant(0.25, 0.5, 0.25))
        one = trained()
        offer(one, registry, "a test")
        promote(registry, one.card)
        assert [c.version for c in cards_that_serve(registry, ("gru", "mlp"))] == [
            shipped.version,
            one.card.version,
        ]
        assert [c.name for c in cards_that_serve(registry, ())] == ["gru", "mlp"]
        with pytest.raises(ConfigurationError, match=r"lstm\.json is not there"):
            cards_that_serve(registry, ("lstm",))


def promote(registry: Registry, card_: ModelCard) -> None:
    from shared.intelligence.slots import Tenure, promoted

    tenure = Tenure(
        version=card_.version, since=NOW, at=NOW, how="promotion", operator="eva", reason="a test"
    )
    registry.change(card_.name, lambda slot: promoted(slot, tenure))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"TRAINING_MODELS": "gpt"}, "TRAINING_MODELS is 'gpt'"),
        ({"TRAINING_HOLDOUT": "3w", "TRAINING_SEED": "x"}, "TRAINING_SEED is 'x'"),
        ({"TRAINING_FROM": "yesterday"}, "TRAINING_FROM is 'yesterday'"),
    ],
)
def test_the_job_says_in_one_line_what_is_wrong_with_its_settings(
    environment: dict[str, str], told: str, capsysbinary: Any
) -> None:
    assert main(environment) == 1
    (line,) = capsysbinary.readouterr().out.splitlines()
    said = json.loads(line)
    assert said["event"] == "failed"
    assert told in said["error"]
