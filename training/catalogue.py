"""The fourteen models, by name."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import InvalidInput
from training.families.boosters import CatBoost, LightGbm, XGBoost
from training.families.family import Family
from training.families.forests import Bagged
from training.families.linear import Logistic, RadialSvm
from training.families.nets import Net

_ALL: tuple[Family, ...] = (
    Net("lstm"),
    Net("gru"),
    Net("bilstm"),
    Net("transformer"),
    Net("tcn"),
    Net("cnn_lstm"),
    Net("mlp", kind="tabular", lookback=1),
    XGBoost(),
    LightGbm(),
    CatBoost(),
    Bagged("random_forest"),
    Bagged("extra_trees"),
    Logistic(),
    RadialSvm(),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}

#: Bars that rows look back on, whichever models are trained: so all are judged on the same rows.
LONGEST = max(family.lookback for family in FAMILIES.values())


def chosen(names: Sequence[str]) -> list[Family]:
    """The families of some names, or all.

    Raises
    ------
    InvalidInput
        For a name that there is not.
    """
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise InvalidInput(f"no model {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    return [FAMILIES[name] for name in names] if names else list(FAMILIES.values())
