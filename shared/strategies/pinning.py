"""An ensemble with its models pinned: which version votes stands in the configuration that votes.

Pure: champions are found out elsewhere and handed in. What comes out names every version that the
registry knows of, so a signal is a function of candles and of this configuration, whatever becomes
champion meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from shared.intelligence.library import MODELS, SLOTS
from shared.strategies.ai import ENSEMBLE, version_of, voting
from shared.strategies.config import EnsembleConfig, Member

#: Version by model: only those for which there is another one than the shipped file.
Champions = Mapping[str, str]


def votes_with_models(config: EnsembleConfig) -> bool:
    """Whether a model is among the members."""
    return any(m.strategy == ENSEMBLE or m.strategy in SLOTS for m in config.members)


def pinned(
    config: EnsembleConfig,
    champions: Champions,
    *,
    shipped: Callable[[str], str],
    earlier: Iterable[Champions] = (),
) -> EnsembleConfig:
    """The configuration with the version of every model that pins none itself.

    Parameters
    ----------
    config : EnsembleConfig
    champions : mapping
        Model -> version that votes, where that is not the shipped one.
    shipped : callable
        Version of a model's file in the folder, empty where there is none that can be served.
    earlier : iterable of mapping
        What ``champions`` was before, newest first: where a plan pins a set of models that is no
        longer that of the champions, it keeps the set it pins.
    """
    if not votes_with_models(config):
        return config
    members = tuple(_member(m, champions, shipped, earlier) for m in config.members)
    return msgspec.structs.replace(config, members=members)


def versions(config: EnsembleConfig) -> Iterator[tuple[str, str]]:
    """Name and version of every model that a configuration pins."""
    for member in config.members:
        if member.strategy in SLOTS:
            version = member.params.get("version")
            if isinstance(version, str) and version:
                yield member.strategy, version
        elif member.strategy == ENSEMBLE:
            for one in _named(member.params):
                name, _, version = one.partition(":")
                if version:
                    yield name, version


def recorded(config: EnsembleConfig, votes: Iterable[Any]) -> EnsembleConfig:
    """The configuration with the versions that the votes of a signal name.

    Parameters
    ----------
    votes : iterable of Vote
        Of a stored signal. With its candles this configuration gives the same votes again, whoever
        is champion by now.
    """
    by_name = {vote.strategy: vote.model for vote in votes if vote.model}
    members = []
    for member in config.members:
        said = by_name.get(member.strategy)
        if said is None:
            members.append(member)
        elif member.strategy == ENSEMBLE:
            _, _, listed = said.partition(": ")
            models = [one.replace(" ", ":") for one in listed.split(", ")]
            members.append(_with(member, {"models": models, "version": ""}))
        else:
            members.append(_with(member, {"version": said}))
    return msgspec.structs.replace(config, members=tuple(members))


def _member(
    member: Member,
    champions: Champions,
    shipped: Callable[[str], str],
    earlier: Iterable[Champions],
) -> Member:
    if member.strategy in SLOTS:
        version = champions.get(member.strategy)
        if not version or member.params.get("version"):
            return member
        return _with(member, {"version": version})
    if member.strategy != ENSEMBLE:
        return member
    wanted = member.params.get("version")
    if not wanted:
        return _with(member, {"models": _as_they_vote(member.params, champions)})
    for found in chain((champions,), earlier, ({},)):
        models = _as_they_vote(member.params, found)
        if _set_of(models, shipped) == wanted:
            return _with(member, {"models": models})
    # No set that ever voted: the strategy refuses it, and says what is here.
    return _with(member, {"models": _as_they_vote(member.params, champions)})


def _as_they_vote(params: Mapping[str, Any], champions: Champions) -> list[str]:
    """The models of the mean, each with its version where that is not the shipped one."""
    there = set(voting()) | set(champions)
    names = _named(params) or tuple(name for name in MODELS if name in there)
    return [
        f"{name}:{champions[name]}" if ":" not in name and champions.get(name) else name
        for name in names
    ]


def _named(params: Mapping[str, Any]) -> tuple[str, ...]:
    models = params.get("models") or ()
    if not isinstance(models, list | tuple):
        return ()  # refused where parameters are read
    return tuple(one for one in models if isinstance(one, str))


def _set_of(models: list[str], shipped: Callable[[str], str]) -> str:
    found = {}
    for one in models:
        name, _, version = one.partition(":")
        found[name] = version or shipped(name)
    return version_of(found)


def _with(member: Member, params: dict[str, Any]) -> Member:
    return msgspec.structs.replace(member, params={**member.params, **params})
