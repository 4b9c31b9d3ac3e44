"""The whole training: walk-forward, final fit, export, parity, holdout, card, files.

::

    |---- walk-forward: train, embargo, test; train longer, embargo, test; ... ----| holdout |
    |---- final training -----------------------------------------------|  embargo |

The shipped file is the one the final training gives. The holdout is looked at once, with that
file, after everything has been decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput
from shared.intelligence.card import CLASSES, Fold, ModelCard, encoded
from shared.intelligence.quality import base_rates
from shared.market.timeframe import duration_ms
from shared.research.data.store import write_whole
from training.cards import card, fold
from training.dataset import Dataset
from training.families.family import Family, Fitted, Places, Probabilities, inputs
from training.graph import INPUT, Graph
from training.parity import Parity, Served, check_contract, check_parity
from training.splits import Split, training, walk_forward

#: Told how much is done, of how much, and what is being done.
Tell = Callable[[float, float, str], None]

#: Rows that are predicted at once; sequences take memory.
_CHUNK = 8192
#: Rows of the parity check.
_PARITY_ROWS = 4096
#: Fewest rows of each class in what is fitted, and in what says when to stop.
_LEAST = (20, 5)


@dataclass(frozen=True)
class Plan:
    """How models are judged.

    Parameters
    ----------
    folds : int
        Steps of the walk-forward.
    embargo_bars : int
        Bars between the last label that training knows and what it is judged on.
    holdout_ms : int
        The end of the data that is looked at once; 0 for none.
    seed : int
    """

    folds: int = 4
    embargo_bars: int = 24
    holdout_ms: int = 0
    seed: int = 7

    def __post_init__(self) -> None:
        if self.folds < 1 or self.embargo_bars < 0 or self.holdout_ms < 0:
            raise InvalidInput("folds are 1 or more, embargo and holdout 0 or more")


@dataclass(frozen=True, eq=False)
class Trained:
    """A model that was exported."""

    card: ModelCard
    source: bytes
    parity: Parity


@dataclass(frozen=True, eq=False)
class Spans:
    """Which rows are used for what, the same for all models."""

    splits: Sequence[Split]
    fit: Places
    validation: Places
    holdout: Places


def train(
    data: Dataset,
    families: Sequence[Family],
    plan: Plan,
    *,
    now_ms: int,
    tell: Tell = lambda done, total, text: None,
    finished: Callable[[Trained], None] = lambda one: None,
) -> list[Trained]:
    """Train, judge and export models.

    Parameters
    ----------
    finished : callable
        Told of every model as soon as it is whole.

    Raises
    ------
    InvalidInput
        When the rows are too few, or a class does not occur in them.
    ParityBroken
        When an export does not give what was trained; nothing is written of that model.
    """
    parts = spans(data, plan)
    steps = plan.folds + 1
    done = []
    for number, family in enumerate(families):

        def told(step: int, text: str, number: int = number, family: Family = family) -> None:
            tell(number * steps + step, len(families) * steps, f"{family.name}: {text}")

        one = _one(data, family, plan, parts, now_ms, told)
        finished(one)
        done.append(one)
    tell(len(families) * steps, len(families) * steps, "")
    return done


def write(one: Trained, folder: Path) -> None:
    """``<name>.onnx`` and ``<name>.json``; the card last, since it names the digest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{one.card.name}.onnx", one.source)
    write_whole(folder / f"{one.card.name}.json", encoded(one.card))


def exported(family: Family, fitted: Fitted, data: Dataset) -> bytes:
    """The ONNX file of a fitted model."""
    graph = Graph()
    return graph.finished(fitted.emit(graph, INPUT), _shape(family, data))


def spans(data: Dataset, plan: Plan) -> Spans:
    """Rows of the walk-forward, of the final training and of the holdout.

    Raises
    ------
    InvalidInput
        When the rows are too few, or a class does not occur in them.
    """
    step = duration_ms(data.timeframe)
    embargo = plan.embargo_bars * step
    start, end = int(np.min(data.time)), int(np.max(data.time)) + 1
    split = end - plan.holdout_ms
    if split <= start:
        raise InvalidInput(
            f"the holdout leaves nothing of {iso(start)[:10]} to {iso(end)[:10]} to train on"
        )
    splits = walk_forward(
        data.time, data.known, start=start, end=split, folds=plan.folds, embargo=embargo
    )
    last = split if plan.holdout_ms else int(np.max(data.known)) + embargo
    fit, validation = training(data.time, data.known, end=last, embargo=embargo)
    for parts in (*((s.fit, s.validation) for s in splits), (fit, validation)):
        for rows, least in zip(parts, _LEAST, strict=True):
            _refuse_few(data, rows, least)
    holdout = np.flatnonzero(data.time >= split)
    return Spans(splits, fit, validation, holdout)


def _refuse_few(data: Dataset, rows: Places, least: int) -> None:
    count = np.bincount(data.label[rows], minlength=len(CLASSES))
    if np.min(count) < least:
        first, last = (
            iso(int(at))[:10] for at in (np.min(data.time[rows]), np.max(data.time[rows]))
        )
        raise InvalidInput(
            f"{np.min(count)} of {len(rows)} rows from {first} to {last} are "
            f"{CLASSES[int(np.argmin(count))]}, at least {least} are needed: give more candles, or "
            "other --take, --stop and --horizon"
        )


def _one(
    data: Dataset,
    family: Family,
    plan: Plan,
    parts: Spans,
    now_ms: int,
    told: Callable[[int, str], None],
) -> Trained:
    folds: list[Fold] = []
    predicted: list[Probabilities] = []
    baselines: list[Any] = []
    for number, split in enumerate(parts.splits):
        told(number, f"fold {number + 1} of {len(parts.splits)}")
        fitted = family.fit(data, split.fit, split.validation, plan.seed)
        p = _predict(family, data, split.test, fitted.probabilities)
        baseline = known_nothing(data, split.train, split.test)
        folds.append(fold(data, split.train, split.test, p, baseline))
        predicted.append(p)
        baselines.append(baseline)
    told(len(parts.splits), "final training")
    fitted = family.fit(data, parts.fit, parts.validation, plan.seed)
    source = exported(family, fitted, data)
    served = Served(source)
    check_contract(served, _shape(family, data))
    # Rows that were not fitted; with a holdout those of the holdout.
    held = parts.holdout if len(parts.holdout) else parts.validation
    some = held[np.linspace(0, len(held) - 1, min(len(held), _PARITY_ROWS)).astype(np.int64)]
    x = inputs(family, data, some)
    parity = check_parity(served, x, fitted.probabilities(x))
    trained_on = np.concatenate((parts.fit, parts.validation))
    unseen = None
    if len(parts.holdout):
        p = _predict(family, data, parts.holdout, served.probabilities)
        baseline = known_nothing(data, trained_on, parts.holdout)
        unseen = fold(data, trained_on, parts.holdout, p, baseline)
    made = card(
        family,
        source,
        data,
        trained_on,
        splits=folds,
        tested=np.concatenate([split.test for split in parts.splits]),
        probabilities=np.concatenate(predicted),
        baseline=np.concatenate(baselines),
        holdout=unseen,
        embargo_bars=plan.embargo_bars,
        seed=plan.seed,
        found=fitted.found,
        now_ms=now_ms,
    )
    return Trained(made, source, parity)


def _shape(family: Family, data: Dataset) -> tuple[int, ...]:
    width = data.features.shape[1]
    return (width,) if family.kind == "tabular" else (family.lookback, width)


def known_nothing(data: Dataset, train: Places, test: Places) -> Any:
    """What knowing nothing but the shares of the training would say of every test row."""
    return np.tile(base_rates(data.label[train]), (len(test), 1))


def _predict(
    family: Family, data: Dataset, rows: Places, predict: Callable[[Any], Probabilities]
) -> Probabilities:
    parts = [rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK)]
    return np.concatenate([predict(inputs(family, data, part)) for part in parts])
