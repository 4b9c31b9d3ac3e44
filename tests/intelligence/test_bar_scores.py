"""Scores of bars: what is kept is read back, once per bar, across months, with its label added."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from local.clock import VirtualClock
from shared.intelligence.features import FEATURE_SET, NAMES
from shared.intelligence.features import GRID as FEATURE_GRID
from shared.intelligence.labels import UP, Barriers
from shared.intelligence.scores import (
    DAYS_KEPT,
    GRID,
    BarScore,
    find_score,
    model_key,
    read_scores,
    save_label,
    save_score,
    unlabelled,
)
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store

HOUR = 3_600_000


def ms(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


NEW_YEAR = ms(2026, 1, 1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NEW_YEAR)


@pytest.fixture
def store(clock: VirtualClock) -> Iterator[Store]:
    opened = SqliteStore(":memory:", clock=clock)
    yield opened
    opened.close()


def score(closed_at: int, symbol: str = "BTCUSDT", **changes: Any) -> BarScore:
    values: dict[str, Any] = {
        "symbol": symbol,
        "timeframe": "1h",
        "closed_at": closed_at,
        # Every place of the grid, whole numbers and both ends among them.
        "features": tuple(place / 4096 for place in (-81_920, 81_920, 0, 4096, -1, *range(37))),
        "feature_set": FEATURE_SET,
        "atr": 812.25,
        "horizon_bars": 24,
        "take_atr": 2.0,
        "stop_atr": 2.0,
        "probabilities": {
            model_key("mlp", "0123456789ab"): (0.25, 0.5, 0.25),
            model_key("lstm", "ba9876543210"): (1 / 3, 0.0, 2 / 3),
        },
        "champions": (model_key("mlp", "0123456789ab"),),
        "refused": {model_key("gru", "aaaaaaaaaaaa"): "it does not run"},
    }
    return BarScore(**(values | changes))


def test_features_lie_on_the_grid_that_they_are_stored_by() -> None:
    assert 1 / GRID == FEATURE_GRID
    assert len(score(0).features) == len(NAMES)


def test_a_score_is_read_back_bit_for_bit(store: Store) -> None:
    made = score(NEW_YEAR)
    assert save_score(store, made)
    (found,) = read_scores(store, NEW_YEAR, NEW_YEAR + 1)
    assert found == made
    assert msgspec.json.encode(found) == msgspec.json.encode(made)
    assert find_score(store, "BTCUSDT", "1h", NEW_YEAR, Barriers(2, 2, 24)) == made
    still = score(NEW_YEAR + HOUR, atr=None, pending=False)
    save_score(store, still)
    assert list(read_scores(store, NEW_YEAR + 1, NEW_YEAR + 2 * HOUR)) == [still]


def test_the_first_score_of_a_bar_counts(store: Store) -> None:
    assert save_score(store, score(NEW_YEAR))
    assert not save_score(store, score(NEW_YEAR, probabilities={}))
    (found,) = read_scores(store, NEW_YEAR, NEW_YEAR + 1)
    assert len(found.probabilities) == 2
    # Labels that mean something else are another score.
    assert save_score(store, score(NEW_YEAR, horizon_bars=12))
    assert save_score(store, score(NEW_YEAR, take_atr=2.5))
    assert len(list(read_scores(store, NEW_YEAR, NEW_YEAR + 1))) == 3


def test_scores_come_in_order_of_time_across_months(store: Store) -> None:
    times = [ms(2025, 11, 30, 23), ms(2025, 12, 1), ms(2025, 12, 31, 23), NEW_YEAR, ms(2026, 2, 3)]
    for at in reversed(times):
        for symbol in ("ETHUSDT", "BTCUSDT"):
            save_score(store, score(at, symbol))
    found = [s.closed_at for s in read_scores(store, times[0], times[-1] + 1)]
    assert found == sorted(times * 2)
    # Begin included, end not.
    found = [s.closed_at for s in read_scores(store, times[1], times[3])]
    assert found == sorted(times[1:3] * 2)
    assert list(read_scores(store, times[3], times[3])) == []
    assert list(read_scores(store, times[3], times[0])) == []


def test_a_label_is_added_once_after_the_whole_horizon(store: Store) -> None:
    made = score(NEW_YEAR)
    save_score(store, made)
    save_score(store, score(NEW_YEAR + HOUR))
    assert list(unlabelled(store, NEW_YEAR + 24 * HOUR - 1)) == []
    assert list(unlabelled(store, NEW_YEAR + 24 * HOUR)) == [made]
    assert save_label(store, made, UP)
    assert not save_label(store, made, 0)
    (found,) = read_scores(store, NEW_YEAR, NEW_YEAR + 1)
    assert found == msgspec.structs.replace(made, label=UP, pending=False)
    (second,) = unlabelled(store, NEW_YEAR + 25 * HOUR)
    assert save_label(store, second, None)
    assert list(unlabelled(store, NEW_YEAR + 99 * HOUR)) == []
    assert not save_label(store, score(NEW_YEAR + 2 * HOUR), UP)


def test_scores_end_after_half_a_year_also_those_that_were_labelled(
    store: Store, clock: VirtualClock
) -> None:
    made = score(NEW_YEAR)
    save_score(store, made)
    clock.sleep(24 * 3600)
    save_label(store, made, UP)
    clock.sleep((DAYS_KEPT - 2) * 86_400)
    assert len(list(read_scores(store, NEW_YEAR, NEW_YEAR + 1))) == 1
    clock.sleep(2 * 86_400 + 1)
    assert list(read_scores(store, NEW_YEAR, NEW_YEAR + 1)) == []


def test_a_score_that_cannot_be_read_is_left_out_and_named(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for hour in range(3):
        save_score(store, score(NEW_YEAR + hour * HOUR))
    broken = store.query("models", "scores-2026-01").documents[1]
    store.replace("models", broken.body | {"features": "none"}, etag=broken.etag)
    found = [s.closed_at for s in read_scores(store, NEW_YEAR, NEW_YEAR + 9 * HOUR)]
    assert found == [NEW_YEAR, NEW_YEAR + 2 * HOUR]
    assert broken.body["id"] in caplog.text
