"""Scores of bars as they close: what models say of them elsewhere, labels of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import MIDNIGHT, Floor

from local.exchange.faults import error_answer
from shared.errors import ConfigurationError
from shared.intelligence.features import FEATURE_SET, window
from shared.intelligence.labels import NONE, Barriers, triple_barrier
from shared.intelligence.library import Library, library
from shared.intelligence.scores import BarScore, read_scores
from shared.intelligence.scoring import CATCH_UP, GIVEN_UP_MS, Scorer
from shared.intelligence.slots import Tenure, promoted
from shared.market.candle import Columns, to_columns
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import LOOKBACK, constant, lstm, mlp, save, serving

Open = Callable[..., Floor]

MINUTE = 60_000
#: It wanders, so that all three labels come; scenarios begin when it has done so for a while.
WALK = np.cumsum(np.random.default_rng(8).normal(0.0, 0.0008, 800))
PATH = [(float(m), float(move)) for m, move in enumerate(WALK, 1)]
WANDERED = 560
KLINES = ("GET", "/fapi/v1/klines")


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path) -> Iterator[Library]:
    save(tmp_path, "mlp", mlp(), horizon_bars=6, take_atr=1.5, stop_atr=1.0)
    save(tmp_path, "lstm", lstm(), horizon_bars=6, take_atr=1.5, stop_atr=1.0)
    with serving(tmp_path) as own:
        yield own


@pytest.fixture
def floor(open_floor: Open) -> Floor:
    opened = open_floor(
        {"BTCUSDT": PATH, "ETHUSDT": PATH[::2]},
        settings={"MODEL_REGISTRY": "on", "MODEL_SCORING": "on"},
        durable=False,
    )
    wait(opened, WANDERED)
    return opened


def scores(floor: Floor, symbol: str = "BTCUSDT") -> list[BarScore]:
    found = read_scores(floor.services.store, MIDNIGHT, floor.clock.now_ms() + 1)
    return [score for score in found if score.symbol == symbol]


def history(floor: Floor, symbol: str, bars: int = 600) -> Columns:
    return to_columns(floor.services.exchange.candles(symbol, "1m", limit=bars))


def wait(floor: Floor, minutes: float) -> None:
    floor.clock.sleep(minutes * 60)
    floor.venue.advance(floor.clock.now_ms())


def challenge(floor: Floor, onnx: bytes, name: str = "mlp", **changes: Any) -> str:
    made = card(onnx, name=name, **changes)
    return floor.services.registry.register(made, onnx, "a test", challenge=True).version


SAME: dict[str, Any] = {"horizon_bars": 6, "take_atr": 1.5, "stop_atr": 1.0}


def test_a_score_is_what_the_models_say_of_that_bar(floor: Floor, shipped: Library) -> None:
    wait(floor, 3)
    done = floor.services.scorer.run()
    assert (done.scored, done.troubles) == (2 * CATCH_UP, [])
    columns = history(floor, "ETHUSDT")
    found = scores(floor, "ETHUSDT")
    last = int(columns.open_time[-1]) + MINUTE
    assert [s.closed_at for s in found] == [last - MINUTE * n for n in range(CATCH_UP)][::-1]
    for back, score in enumerate(reversed(found)):
        past = columns.window(0, len(columns) - back)
        tabular = shipped.model("mlp").probabilities(window(past))[0]
        recurrent = shipped.model("lstm").probabilities(window(past, LOOKBACK)[None])[0]
        assert score.probabilities == {
            f"mlp:{shipped.card('mlp').version}": tuple(tabular),
            f"lstm:{shipped.card('lstm').version}": tuple(recurrent),
        }
        assert set(score.champions) == set(score.probabilities)
        assert score.features == tuple(window(past)[0].tolist())
        assert (score.feature_set, score.barriers) == (FEATURE_SET, Barriers(1.5, 1.0, 6))


def test_every_bar_once_whoever_scores_and_however_late(floor: Floor) -> None:
    own = floor.services
    other = Scorer(
        own.registry, own.store, own.exchange, floor.clock, library(), own.settings.symbols,
        by_registry=True,
    )  # fmt: skip
    assert own.scorer.run().scored == 2 * CATCH_UP
    assert other.run().scored == 0
    assert own.scorer.run().scored == 0
    for minutes, who, wanted in ((1, own.scorer, 1), (2, other, 2), (5, own.scorer, 5)):
        wait(floor, minutes)
        assert who.run().scored == 2 * wanted
        assert other.run().scored == own.scorer.run().scored == 0
    # Longer away than is made up for: the oldest bars have none.
    wait(floor, 40)
    assert own.scorer.run().scored == 2 * CATCH_UP


def test_labels_are_those_of_the_training(floor: Floor) -> None:
    floor.services.scorer.run()
    for _ in range(4):
        wait(floor, 20)
        floor.services.scorer.run()
    columns = history(floor, "BTCUSDT")
    whole = triple_barrier(columns, Barriers(1.5, 1.0, 6)).outcome
    by_close = dict(zip((columns.open_time + MINUTE).tolist(), whole.tolist(), strict=True))
    found = scores(floor)
    assert len(found) > 100
    known = [s for s in found if not s.pending]
    assert len(known) == len(found) - 6
    assert {s.label for s in known} == {0, 1, 2}
    for score in found:
        wanted = by_close[score.closed_at]
        assert score.label == (None if wanted == NONE else wanted), score.closed_at


def test_champions_and_challengers_are_those_of_the_bar(floor: Floor, shipped: Library) -> None:
    floor.services.scorer.run()
    wait(floor, 1)
    two = challenge(floor, mlp(2), **SAME)
    wait(floor, 5)
    now = floor.clock.now_ms()
    tenure = Tenure(
        version=two, since=now, at=now, how="promotion", operator="ada", reason="a test"
    )
    floor.services.registry.change("mlp", lambda slot: promoted(slot, tenure))
    wait(floor, 3)
    floor.services.scorer.run()
    old, new = f"mlp:{shipped.card('mlp').version}", f"mlp:{two}"
    told = [
        (old in s.probabilities, new in s.probabilities, old in s.champions, new in s.champions)
        for s in scores(floor)[CATCH_UP:]
    ]
    # It is no challenger any more where it was one, and the one before is none.
    assert told == [(True, False, True, False)] * 6 + [(False, True, False, True)] * 3


def test_other_labels_have_scores_of_their_own(floor: Floor) -> None:
    version = challenge(floor, mlp(3), horizon_bars=12, take_atr=2.0, stop_atr=2.0)
    wait(floor, 2)
    assert floor.services.scorer.run().scored == 2 * CATCH_UP + 2 * 3
    others = [s.probabilities.keys() for s in scores(floor) if s.horizon_bars == 12]
    assert others == [{f"mlp:{version}"}] * 3


def test_a_model_that_breaks_takes_nothing_from_the_others(floor: Floor, tmp_path: Path) -> None:
    save(tmp_path, "gru", constant(0.5, float("nan"), 0.5), **SAME)
    with serving(tmp_path):
        done = floor.services.scorer.run()
        assert done.scored == 2 * CATCH_UP
        for score in scores(floor):
            assert len(score.probabilities) == 2
            ((key, why),) = score.refused.items()
            assert key.startswith("gru:")
            assert "no probabilities" in why


def test_a_version_that_cannot_be_had_is_named(floor: Floor) -> None:
    version = challenge(floor, mlp(4), **SAME)
    floor.services.store.delete("versions", "mlp", f"onnx:{version}:0")
    done = floor.services.scorer.run()
    assert done.scored == 2 * CATCH_UP
    (told,) = done.troubles
    assert f"model mlp {version}" in told


def test_a_symbol_in_trouble_does_not_hold_the_others_up(floor: Floor) -> None:
    floor.break_next(
        KLINES, error_answer(400, -1121, "Invalid symbol."), times=99,
        where=lambda request: "BTCUSDT" in request.query,
    )  # fmt: skip
    done = floor.services.scorer.run()
    assert done.scored == CATCH_UP
    assert "BTCUSDT 1m" in done.troubles[0]
    assert scores(floor) == []


def test_a_label_that_never_comes_is_given_up_after_a_week(floor: Floor) -> None:
    floor.services.scorer.run()
    wait(floor, 30)
    floor.break_next(KLINES, error_answer(400, -1121, "Invalid symbol."), times=999)
    floor.services.scorer.run()
    waiting = [s.closed_at for s in scores(floor) if s.pending]
    assert len(waiting) == 6
    floor.clock.sleep(GIVEN_UP_MS / 1000)
    floor.services.scorer.run()
    told = {s.closed_at: (s.pending, s.label) for s in scores(floor)}
    assert {told[closed] for closed in waiting} == {(False, None)}
    assert len({label for _, label in told.values()}) > 1


def test_what_no_file_has_is_not_scored(floor: Floor, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with serving(empty):
        assert floor.services.scorer.run().scored == 0
        with pytest.raises(ConfigurationError, match="is not there"):
            library().card("mlp")
