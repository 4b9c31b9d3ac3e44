"""Whether what AutoML has found is what it says it is, and what it is worth on unseen rows.

AutoML was given the rows of the last step of the walk-forward: those before its test to learn
from, and their last part to choose by. It is judged on the test of that step and on the holdout,
which are the same rows as those of the project's own models. Neither left this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from shared.errors import InvalidInput
from shared.intelligence.card import CLASSES, Fold
from shared.intelligence.library import AUTOML
from shared.intelligence.quality import auc
from training.automl.convert import Converted, Original, converted
from training.automl.failures import NotConvertible
from training.cards import card, fold
from training.dataset import Dataset
from training.parity import ParityBroken, Served, check_contract, check_parity
from training.pipeline import Plan, Trained, known_nothing, spans
from training.splits import Split

#: Rows on which AutoML's file and ours are compared.
_PARITY_ROWS = 4096
#: What the same metric may differ by here and in Azure: 32-bit files, and rounding of ties.
SAME_SCORE = 0.01


@dataclass(frozen=True)
class _Described:
    """What the card says of this kind of model."""

    params: dict[str, Any]
    name: str = AUTOML
    kind: Literal["tabular"] = "tabular"
    lookback: int = 1
    packages: tuple[str, ...] = field(default=())


def given_away(data: Dataset, plan: Plan) -> Split:
    """The rows of the last step of the walk-forward; its test stays here."""
    return spans(data, plan).splits[-1]


def judged(
    data: Dataset,
    plan: Plan,
    original: Original,
    *,
    params: Mapping[str, Any],
    found: Mapping[str, Any],
    now_ms: int,
) -> Trained:
    """The model with its card.

    Parameters
    ----------
    params : mapping
        What was asked for.
    found : mapping
        What Azure says of the winner.

    Raises
    ------
    NotConvertible
        When the file is not of a kind that can be served, or contradicts itself.
    """
    parts = spans(data, plan)
    split = parts.splits[-1]
    made = converted(original)
    held = np.concatenate((split.validation, split.test, parts.holdout))
    some = held[np.linspace(0, len(held) - 1, min(len(held), _PARITY_ROWS)).astype(np.int64)]
    x = data.tabular(some)
    label, theirs = original.run(x)
    _check_labels(label, theirs)
    try:
        served = Served(made.source)
        check_contract(served, (data.features.shape[1],))
        parity = check_parity(served, x, theirs)
    except ParityBroken as error:
        raise NotConvertible(f"the model does not become one of ours: {error}") from error
    except Exception as error:  # onnxruntime's own classes, which are not exported
        first = str(error).strip().partition("\n")[0][:200]
        raise NotConvertible(f"onnxruntime does not load the model: {first}") from error
    p = served.probabilities(data.tabular(split.test))
    baseline = known_nothing(data, split.train, split.test)
    tested = fold(data, split.train, split.test, p, baseline)
    unseen: Fold | None = None
    if len(parts.holdout):
        unseen = fold(
            data,
            split.train,
            parts.holdout,
            served.probabilities(data.tabular(parts.holdout)),
            known_nothing(data, split.train, parts.holdout),
        )
    return Trained(
        card(
            _Described(dict(params)),
            made.source,
            data,
            split.train,
            splits=[tested],
            tested=split.test,
            probabilities=p,
            baseline=baseline,
            holdout=unseen,
            embargo_bars=plan.embargo_bars,
            # Azure has no seed that could be given.
            seed=0,
            found={**found, **_own_findings(data, split, made, served)},
            now_ms=now_ms,
        ),
        made.source,
        parity,
    )


def _own_findings(data: Dataset, split: Split, made: Converted, served: Served) -> dict[str, Any]:
    return {
        "producer": made.producer,
        "features_read": len(made.used),
        "auc_weighted_here": auc_weighted(
            served.probabilities(data.tabular(split.validation)), data.label[split.validation]
        ),
    }


def auc_weighted(probabilities: Any, label: Any) -> float:
    """AutoML's ``AUC_weighted``: each class against the rest, weighted by its rows.

    On the validation rows it is what AutoML has chosen by, so both must say the same.
    """
    total = 0.0
    for place in range(len(CLASSES)):
        came = label == place
        one = auc(probabilities[:, place], came)
        if one is None:
            raise InvalidInput(f"no row is {CLASSES[place]}, or all are")
        total += float(came.mean()) * one
    return total


def _check_labels(label: list[str], probabilities: Any) -> None:
    """The class that is said to be likeliest is likeliest: columns are what we take them for."""
    strange = sorted(set(label) - set(CLASSES))
    if strange:
        raise NotConvertible(f"the model predicts {', '.join(strange[:3])}")
    said = np.array([CLASSES.index(one) for one in label])
    behind = probabilities.max(axis=1) - probabilities[np.arange(len(said)), said]
    if np.max(behind) > 1e-5:
        raise NotConvertible(
            f"the label of {int((behind > 1e-5).sum())} of {len(said)} rows is not their likeliest "
            "class; the order of the classes cannot be told"
        )
