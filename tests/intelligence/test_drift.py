"""Verdicts on made-up models whose fate is known, and figures worked out by hand."""

from __future__ import annotations

from math import log

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.intelligence.card import CLASSES, Bin
from shared.intelligence.drift import conclude, expectation, judge
from shared.intelligence.drift_performance import base_rates_of
from shared.intelligence.drift_record import CALM_DAYS, SEVERITY, Standing, stand
from shared.intelligence.drift_report import Expected, Performance
from shared.intelligence.features import FEATURE_SET, NAMES
from shared.intelligence.labels import NONE, Barriers
from shared.intelligence.scored_bars import Kind, ScoredBars, scored_bars
from tests.intelligence.made_models import card, figures
from tests.intelligence.made_scores import DAY, HORIZON, HOUR, SINCE, SYMBOLS, UNTIL, Made

KEY = "mlp:made"


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def report(made: Made, **changes: object):
    return judge(made.card(**changes), made.scored(KEY), KEY, since=SINCE, until=UNTIL)


def test_a_model_that_is_as_its_card_says_is_steady(made: Made) -> None:
    own = made.card()
    found = judge(own, made.scored(KEY), KEY, since=SINCE, until=UNTIL)
    assert (found.verdict, found.reasons, found.shifted) == ("steady", [], 0)
    assert (found.rows, found.labelled, found.symbols) == (4_320, 4_320, list(SYMBOLS))
    assert found.days == pytest.approx(90.0, abs=0.1)
    of = found.performance
    assert of is not None
    assert of.gain == pytest.approx(found.expected.gain, abs=3 * (of.gain_error or 0))
    # Rows that do not overlap: the error is nearly that of independent rows.
    p = made.p[np.arange(len(made.label)), made.label]
    gains = np.log(p) - np.log(base_rates_of(own, made.label)[made.label])
    assert of.gain == pytest.approx(gains.mean())
    assert of.gain_error == pytest.approx(gains.std() / np.sqrt(len(gains)), rel=0.25)
    assert of.figures.rows == 4_320
    assert of.calibration_error < 2.0 * (of.calibration_noise or 0)
    assert {f.feature for f in found.features} == set(NAMES)
    assert max(f.psi for f in found.features) < 0.1
    assert set(found.outputs) == set(CLASSES)
    assert max(found.outputs.values()) < 0.1


def test_a_model_whose_rule_no_longer_holds_fails() -> None:
    made = Made()
    # What comes has nothing to do with what it says any more.
    made.label = made.random.permutation(made.label)
    found = report(made)
    assert found.verdict == "failing"
    assert "log loss beats the base rates by -0." in found.reasons[0]
    assert found.performance is not None
    assert found.performance.calibration_error > 0.05
    assert any("probabilities are off" in reason for reason in found.reasons)


def test_a_model_that_lost_a_part_drifts() -> None:
    made = Made()
    made.label = np.where(
        made.random.uniform(size=len(made.label)) < 0.45,
        made.random.permutation(made.label),
        made.label,
    )
    # It says less now, and that is still true: a little is better than nothing.
    made.p = 0.55 * made.p + 0.45 * made.p.mean(axis=0)
    found = report(made)
    assert found.verdict == "drifting"
    assert found.performance is not None
    assert 0.0 < found.performance.gain < found.expected.gain


def test_votes_worse_than_chance_are_told() -> None:
    made = Made(knowledge=0.3)
    # Up and down come the other way round: only the direction is wrong.
    made.label = (2 - made.label).astype(np.int8)
    found = report(made, knowledge=0.3)
    assert found.performance is not None
    assert found.performance.hits_beyond is not None
    assert found.performance.hits_beyond < -0.02
    assert any("votes hit" in reason for reason in found.reasons)


def test_shifted_inputs_are_told_once_the_window_is_long_enough() -> None:
    made = Made()
    made.features[:, :3] += 1.5
    found = report(made)
    assert (found.verdict, found.shifted) == ("drifting", 3)
    assert found.reasons == [f"3 of {len(NAMES)} features have shifted (PSI 0.25 or more)"]
    assert {f.feature for f in found.features[:3]} == set(NAMES[:3])
    # Two may be: ordinary windows of training have as many.
    made.features[:, 2] -= 1.5
    assert report(made).verdict == "steady"

    short = Made(days=60)
    short.features[:, :5] += 1.5
    found = report(short)
    assert (found.verdict, found.shifted) == ("steady", 5)


def test_the_last_weeks_are_compared_with_those_before() -> None:
    made = Made()
    late = made.closed_at > UNTIL - 28 * DAY
    made.features[late, 0] += 0.7
    by_name = {f.feature: f for f in report(made).features}
    changed, same = by_name[NAMES[0]], by_name[NAMES[1]]
    # Two normal distributions 0.7 deviations apart: 2 * Phi(0.35) - 1 = 0.274.
    assert changed.recent_ks == pytest.approx(0.274, abs=0.04)
    assert changed.recent_p is not None
    assert changed.recent_p < 0.01
    assert same.recent_ks is not None
    assert same.recent_ks < 0.06
    assert report(Made(days=60)).features[0].recent_ks is None


def test_with_too_few_labels_nothing_is_said_of_the_performance() -> None:
    few = Made(days=6)
    few.label = few.random.permutation(few.label)
    found = report(few)
    # 30 horizons of four hours are five days; six are enough.
    assert found.verdict in ("failing", "drifting")
    few.label = np.where(few.closed_at >= UNTIL - 2 * DAY, NONE, few.label).astype(np.int8)
    found = report(few)
    assert (found.verdict, found.labelled) == ("too_little_data", 4 * 24 * 2)
    assert found.performance is not None
    few.label[:] = NONE
    found = report(few)
    assert (found.verdict, found.performance) == ("too_little_data", None)
    silent = judge(made_card := few.card(), few.scored("gru:x"), KEY, since=SINCE, until=UNTIL)
    assert (silent.rows, silent.verdict, silent.features) == (0, "too_little_data", [])
    assert silent.expected == expectation(made_card)


def test_bars_at_which_it_said_nothing_are_left_out(made: Made) -> None:
    bars = made.scored(KEY)
    p = made.p.copy()
    p[::3] = np.nan
    found = judge(
        made.card(),
        ScoredBars(**{**vars(bars), "probabilities": {KEY: p}}),
        KEY,
        since=SINCE,
        until=UNTIL,
    )
    assert found.rows == found.labelled == 2_880


def test_a_card_without_holdout_is_judged_by_its_walk_forward(made: Made) -> None:
    found = report(made, holdout=None)
    assert (found.expected.of, found.verdict) == ("walk_forward", "steady")


def test_base_rates_are_those_of_the_card() -> None:
    label = np.array([0, 1, 1, 2], dtype=np.int8)
    calibration = {
        "down": (Bin(low=0.0, high=0.5, rows=30, predicted=0.2, happened=0.1),),
        "flat": (
            Bin(low=0.0, high=0.5, rows=10, predicted=0.3, happened=0.5),
            Bin(low=0.5, high=1.0, rows=20, predicted=0.6, happened=0.8),
        ),
        "up": (Bin(low=0.0, high=0.5, rows=30, predicted=0.2, happened=0.2),),
    }
    # 3 of 30, 5 + 16 of 30, 6 of 30.
    assert base_rates_of(card(b"x", calibration=calibration), label).tolist() == pytest.approx(
        [0.1, 0.7, 0.2]
    )
    assert base_rates_of(card(b"x"), label).tolist() == pytest.approx([0.25, 0.5, 0.25])


def expected(gain: float = 0.04, error: float | None = 0.01) -> Expected:
    return Expected(
        of="holdout", figures=figures(), gain=gain, gain_error=error, calibration_error=0.02
    )


def performance(**changes: object) -> Performance:
    values: dict[str, object] = {
        "figures": figures(),
        "log_loss_error": 0.01,
        "gain": 0.04,
        "gain_error": 0.01,
        "hits_beyond": 0.01,
        "hits_beyond_error": 0.02,
        "calibration_error": 0.03,
        "calibration_noise": 0.02,
        "reliability": {},
    }
    return Performance(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "shifted", "verdict"),
    [
        ({}, 0, "steady"),
        ({}, 2, "steady"),
        ({}, 3, "drifting"),
        # Two standard errors of a difference of two errors of 0.01: 0.0283.
        ({"gain": 0.012}, 0, "steady"),
        ({"gain": 0.0116}, 0, "drifting"),
        ({"gain": -0.001}, 0, "failing"),
        ({"gain": -0.001}, 9, "failing"),
        # Not known well enough to be less than the card's, nor to be below nothing.
        ({"gain": -0.001, "gain_error": 0.03}, 0, "steady"),
        ({"gain": -0.07, "gain_error": 0.03}, 0, "failing"),
        ({"gain": -1.0, "gain_error": None}, 0, "steady"),
        ({"hits_beyond": -0.039}, 0, "steady"),
        ({"hits_beyond": -0.041}, 0, "drifting"),
        ({"hits_beyond": None, "hits_beyond_error": None}, 0, "steady"),
        ({"calibration_error": 0.049, "calibration_noise": 0.001}, 0, "steady"),
        ({"calibration_error": 0.051, "calibration_noise": 0.02}, 0, "drifting"),
        ({"calibration_error": 0.051, "calibration_noise": 0.03}, 0, "steady"),
        ({"calibration_error": 0.5, "calibration_noise": None}, 0, "steady"),
    ],
)
def test_verdicts(changes: dict[str, object], shifted: int, verdict: str) -> None:
    found, reasons = conclude(
        expected(), performance(**changes), enough=True, shifted=shifted, features=42
    )
    assert found == verdict
    assert bool(reasons) == (verdict != "steady")


def test_worse_than_nothing_is_failing_also_where_the_card_knew_nothing() -> None:
    bad = performance(gain=-0.03, gain_error=0.01)
    assert conclude(expected(-0.04, None), bad, enough=True, shifted=0, features=42)[0] == "failing"


def test_the_reliability_is_by_hand() -> None:
    """Every bar says 0.62 up, and one of four comes to that."""
    made = Made(days=1)
    rows = len(made.label)
    made.p = np.tile([0.13, 0.25, 0.62], (rows, 1))
    made.label = np.where(np.arange(rows) % 4 == 0, 2, 1).astype(np.int8)
    found = report(made).performance
    assert found is not None
    (up,) = found.reliability["up"]
    assert (up.low, up.rows, up.happened) == (pytest.approx(0.6), rows, 0.25)
    assert up.predicted == pytest.approx(0.62)
    # up 0.62 - 0.25, flat 0.75 - 0.25, down 0.13 - 0.
    assert found.calibration_error == pytest.approx((0.37 + 0.5 + 0.13) / 3)
    assert found.figures.log_loss == pytest.approx(-(0.25 * log(0.62) + 0.75 * log(0.25)))


def test_records_become_the_same_arrays(made: Made) -> None:
    few = Made(days=3)
    few.label[-7:] = NONE
    scores = few.scores(KEY, FEATURE_SET)
    other = msgspec.structs.replace(scores[0], horizon_bars=9, probabilities={"gru:x": (0, 0, 1)})
    tables = scored_bars([*reversed(scores), other])
    kind = Kind("1h", FEATURE_SET, Barriers(2.0, 2.0, HORIZON))
    assert set(tables) == {kind, Kind("1h", FEATURE_SET, Barriers(2.0, 2.0, 9))}
    bars = tables[kind]
    wanted = few.scored(KEY)
    for name in ("symbol", "closed_at", "features", "label"):
        assert np.array_equal(getattr(bars, name), getattr(wanted, name)), name
    assert np.array_equal(bars.probabilities[KEY], few.p)
    assert bars.closed_at[-1] == UNTIL - HOUR


# ---------------------------------------------------------------- who is told


def days(*verdicts: str) -> list[bool]:
    """Whether somebody is told, day by day."""
    standing: Standing | None = None
    told = []
    for number, verdict in enumerate(verdicts):
        standing, tell = stand(standing, verdict, f"2026-01-{number + 1:02d}")  # type: ignore[arg-type]
        told.append(tell)
    return told


def test_one_is_told_when_it_gets_worse_and_not_again_every_day() -> None:
    assert days("too_little_data", "steady", "drifting", "drifting", "failing", "failing") == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    # To and fro within a week is one thing.
    assert days("failing", "drifting", "failing", "steady", "failing").count(True) == 1
    # After a calm week it is told anew.
    assert days("drifting", *["steady"] * (CALM_DAYS + 1), "drifting")[-1]
    assert not days("drifting", *["steady"] * (CALM_DAYS - 1), "drifting")[-1]


def test_a_verdict_remembers_since_when_it_stands() -> None:
    one, _ = stand(None, "steady", "2026-01-01")
    two, _ = stand(one, "steady", "2026-01-02")
    three, _ = stand(two, "drifting", "2026-01-03")
    assert (one.since, two.since, three.since) == ("2026-01-01", "2026-01-01", "2026-01-03")


@given(st.lists(st.sampled_from(list(SEVERITY)), min_size=1, max_size=28))
def test_what_is_worse_than_ever_before_is_always_told(verdicts: list[str]) -> None:
    told = days(*verdicts)
    worst = 0
    for verdict, tell in zip(verdicts, told, strict=True):
        bad = SEVERITY[verdict]  # type: ignore[index]
        assert not tell or bad > 0
        if bad > worst:
            assert tell
        worst = max(worst, bad)
    # Never oftener than once in a calm time plus the two steps of getting worse.
    assert sum(told) <= 2 * (1 + len(verdicts) // CALM_DAYS)
