"""Models as strategies: each of them by its name, and the mean of the fourteen.

A model votes with the difference of its probabilities that a long and that a short would reach its
take before its stop. It votes on bars of the time frame it was trained on, and on nothing else.
What it reads is computed from exactly the bars it declares, on the whole history as in a live
decision.

Nothing here knows of champions: which version votes stands in the parameters, where
:mod:`shared.strategies.pinning` puts it, and the library has it by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from shared.errors import ConfigurationError
from shared.intelligence.library import MODELS, SLOTS, library
from shared.strategies.arithmetic import choose, clip
from shared.strategies.frame import Frame
from shared.strategies.strategy import Strategy, Votes

if TYPE_CHECKING:
    from shared.intelligence.model import OnnxModel, Probabilities

#: The strategy that is the mean of the models.
ENSEMBLE = "ai_ensemble"

#: Below this ATR (of this period) a market stands still and nobody has an opinion.
_ATR = 14

Version = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{12})?$")]
FullVote = Annotated[float, msgspec.Meta(gt=0, le=1)]


class ModelParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``version``: the one that has to be there; empty is whichever is.

    ``full_vote``: difference of p(up) and p(down) that makes a full vote.
    """

    version: Version = ""
    full_vote: FullVote = 0.2


class ModelsParams(ModelParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``models``: which ones, ``name`` or ``name:version``; empty is all of the fourteen that are
    there. ``version`` is that of their set.
    """

    models: tuple[str, ...] = ()


def _one(name: str, params: ModelParams) -> list[OnnxModel]:
    return [library().model(name, params.version)]


def _several(params: ModelsParams) -> list[OnnxModel]:
    asked = params.models or voting()
    if not asked:
        raise ConfigurationError([f"{ENSEMBLE}: there is no model in models/; train one first"])
    names = [one.partition(":")[0] for one in asked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError([f"{ENSEMBLE}: {', '.join(twice)} is named twice"])
    models: list[OnnxModel] = []
    wrong: list[str] = []
    for one in asked:
        name, _, pinned = one.partition(":")
        try:
            models.append(library().model(name, pinned))
        except ConfigurationError as error:
            wrong.extend(error.problems)
    if wrong:
        raise ConfigurationError(wrong)
    version = set_version(models)
    if params.version and params.version != version:
        raise ConfigurationError(
            [
                f"{ENSEMBLE}: version {params.version} is asked for, {version} is here "
                f"({_named(models)}); put the old files back, or take the version out of the "
                "configuration"
            ]
        )
    return models


def voting() -> tuple[str, ...]:
    """Models of the folder that the ensemble is the mean of, where it names none."""
    return tuple(name for name in library().names() if name in MODELS)


def set_version(models: Sequence[OnnxModel]) -> str:
    """Version of several models together: 12 hexadecimal digits over their names and versions."""
    return version_of({m.card.name: m.card.version for m in models})


def version_of(versions: Mapping[str, str]) -> str:
    """The same of versions by name."""
    return hashlib.sha256(_listed(versions).encode()).hexdigest()[:12]


def _named(models: Sequence[OnnxModel]) -> str:
    return _listed({m.card.name: m.card.version for m in models})


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(sorted(f"{name} {version}" for name, version in versions.items()))


def _history(models: Sequence[OnnxModel]) -> int:
    from shared.intelligence.features import feature_history

    return feature_history() + max(m.card.lookback for m in models) - 1


def _seen_until(models: Sequence[OnnxModel]) -> int:
    return max(m.card.seen_until for m in models)


def _misplaced(models: Sequence[OnnxModel], timeframe: str) -> list[str]:
    return [
        f"model {m.card.name} was trained on bars of {m.card.timeframe} and does not vote on "
        f"those of {timeframe}"
        for m in models
        if m.card.timeframe != timeframe
    ]


def _mean_of(frame: Frame, models: Sequence[OnnxModel]) -> Any:
    """Mean probabilities as arrays (3, bars), or as the three floats of one bar."""
    wrong = _misplaced(models, frame.columns.timeframe)
    if wrong:
        raise ConfigurationError(wrong)
    total: Any = sum(_asked(frame, model) for model in models) / len(models)
    return total.T if frame.whole else total[0].tolist()


def _asked(frame: Frame, model: OnnxModel) -> Probabilities:
    """Probabilities at every bar, NaN where history is missing; or one row, at the frame's bar."""
    lookback, sequence = model.card.lookback, model.card.kind == "sequence"
    what = ("probabilities", model.card.name, model.card.version)
    if not frame.whole:
        return frame.kept(what, lambda: model.probabilities(_rows(frame, lookback, sequence)))

    def all_bars() -> Probabilities:
        found = np.full((len(frame.columns), 3), np.nan)
        first = _history([model]) - 1
        if len(found) > first:
            found[first:] = model.probabilities(_rows(frame, lookback, sequence))
        return found

    return frame.kept(what, all_bars)


def _rows(frame: Frame, lookback: int, sequence: bool) -> Any:
    """What the model reads: for every bar that has its history, or for the frame's one."""
    from shared.intelligence.features import feature_history, matrix, window

    if not frame.whole:
        last = frame.kept(("features", lookback), lambda: window(frame.past(), lookback))
        return last[None] if sequence else last
    rows = frame.kept("features", lambda: matrix(frame.columns))[feature_history() - 1 :]
    if not sequence:
        return rows
    return np.lib.stride_tricks.sliding_window_view(rows, lookback, axis=0).swapaxes(1, 2)


def _votes(frame: Frame, models: Sequence[OnnxModel], full_vote: float, version: str) -> Votes:
    down, flat, up = _mean_of(frame, models)
    # The ATR is none where the market stands still, and a comparison with it is false.
    vote = choose(frame.atr(_ATR) > 0.0, clip((up - down) / full_vote), np.nan)
    return Votes(vote, {"p_down": down, "p_flat": flat, "p_up": up}, version)


def _model_strategy(name: str) -> Strategy[ModelParams]:
    def evaluate(frame: Frame, params: ModelParams) -> Votes:
        models = _one(name, params)
        return _votes(frame, models, params.full_vote, models[0].card.version)

    def history(params: ModelParams) -> int:
        return _history(_one(name, params))

    def refusal(params: ModelParams, timeframe: str | None) -> Sequence[str]:
        return _refusal(partial(_one, name, params), timeframe)

    return Strategy(
        name, ModelParams, history, evaluate, refusal, lambda p: _seen_until(_one(name, p))
    )


def _refusal(models: Any, timeframe: str | None) -> Sequence[str]:
    try:
        found = models()
    except ConfigurationError as error:
        return error.problems
    return [] if timeframe is None else _misplaced(found, timeframe)


def _evaluate_ensemble(frame: Frame, params: ModelsParams) -> Votes:
    models = _several(params)
    version = f"{set_version(models)}: {_named(models)}"
    return _votes(frame, models, params.full_vote, version)


#: One by model, whether or not it is there, and the mean of the fourteen.
STRATEGIES: tuple[Strategy[Any], ...] = (
    *map(_model_strategy, SLOTS),
    Strategy(
        ENSEMBLE,
        ModelsParams,
        lambda params: _history(_several(params)),
        _evaluate_ensemble,
        lambda params, timeframe: _refusal(partial(_several, params), timeframe),
        lambda params: _seen_until(_several(params)),
    ),
)

NAMES = frozenset(strategy.name for strategy in STRATEGIES)


def names() -> tuple[str, ...]:
    """Those of :data:`STRATEGIES` whose files are there."""
    found = library().names()
    return (*found, ENSEMBLE) if voting() else found
