"""The states of a model's versions, and who was champion when: pure, one record per model.

::

    candidate   registered; nothing is done with it
    challenger  scored at every bar beside the champion; no vote
    champion    votes in plans that name the model and pin no version
    retired     was champion
    rejected    was looked at and is not wanted; stays readable

A promotion counts from a time on that lies :data:`NOTICE_MS` ahead. Whoever asks which version
votes at a bar's close asks the record and not the moment, so all instances whose knowledge is
younger than that agree, whenever they compute.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.clock import iso
from shared.errors import Conflict, NotFound

State = Literal["candidate", "challenger", "champion", "retired", "rejected"]

#: From a promotion or rollback until it counts.
NOTICE_MS = 120_000
#: Challengers of one model at a time: each costs a prediction at every bar.
MOST_CHALLENGERS = 3

#: State -> those that an operator (or training) may set it to; champions are made by
#: :func:`promoted` and :func:`rolled_back` alone.
_NEXT: dict[State, tuple[State, ...]] = {
    "candidate": ("challenger", "rejected"),
    "challenger": ("candidate", "rejected"),
    "champion": (),
    "retired": ("challenger", "rejected"),
    "rejected": (),
}


class Version(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One version of a model.

    Parameters
    ----------
    source : str
        Who registered it and from what.
    registered_at, changed_at : int
        UTC milliseconds; ``changed_at`` of the last change of the state.
    size, chunks : int
        Bytes of the ONNX file, and documents that hold them.
    challenger_since : int
        When it last began to be scored, UTC milliseconds; 0 while it is not.
    noted : bool
        Whether its registration is in the audit chain.
    """

    version: str
    state: State = "candidate"
    source: str
    registered_at: int
    changed_at: int
    size: int
    chunks: int
    timeframe: str
    challenger_since: int = 0
    noted: bool = False


class Tenure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version made champion.

    Parameters
    ----------
    since : int
        Bars that close from then on, UTC milliseconds.
    at : int
        When it was decided.
    before : str
        The version a rollback leads to; empty for none.
    how : str
        ``shipped``: what voted before the first promotion; ``promotion`` or ``rollback``.
    override : bool
        Promoted without the evidence.
    evidence : dict
        The comparison that it was decided on.
    """

    version: str
    since: int
    at: int
    before: str = ""
    how: Literal["shipped", "promotion", "rollback"]
    operator: str
    reason: str
    override: bool = False
    evidence: dict[str, Any] = {}


class Slot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the registry knows of one model: its versions, and its champions, oldest first.

    Without tenures the shipped file is the champion.
    """

    model: str
    versions: dict[str, Version] = {}
    tenures: tuple[Tenure, ...] = ()

    def champion(self, closed_at: int) -> str:
        """The version that votes at a bar that closes then; empty: the shipped one."""
        found = ""
        for tenure in self.tenures:
            if tenure.since <= closed_at:
                found = tenure.version
        return found

    def latest(self) -> str:
        """The champion that was decided on last, whether or not it counts yet."""
        return self.tenures[-1].version if self.tenures else ""

    def challengers(self, closed_at: int) -> list[str]:
        """Versions that are scored beside the champion at a bar that closes then."""
        return [
            v.version
            for v in self.versions.values()
            if v.state == "challenger" and v.challenger_since <= closed_at
        ]

    def known(self, version: str) -> Version:
        """A version by its name.

        Raises
        ------
        NotFound
            When it was never registered.
        """
        found = self.versions.get(version)
        if found is None:
            raise NotFound(
                f"model {self.model} has no version {version!r} in the registry; it has "
                f"{', '.join(self.versions) or 'none'}"
            )
        return found


def registered(slot: Slot, new: Version) -> Slot:
    """With a version more; one that is known stays as it is."""
    if new.version in slot.versions:
        return slot
    return msgspec.structs.replace(slot, versions={**slot.versions, new.version: new})


def moved(slot: Slot, version: str, state: State, now: int) -> Slot:
    """With a version in another state.

    Raises
    ------
    Conflict
        When that state does not follow, or there are challengers enough.
    NotFound
    """
    known = slot.known(version)
    if known.state == state:
        return slot
    if state not in _NEXT[known.state]:
        raise Conflict(
            f"model {slot.model} {version} is {known.state} and cannot be made {state}; "
            f"possible: {', '.join(_NEXT[known.state]) or 'nothing'}"
        )
    if state == "rejected" and slot.tenures and version == slot.tenures[-1].before:
        raise Conflict(
            f"model {slot.model} {version} is what a rollback leads to and cannot be rejected now"
        )
    if state == "challenger":
        others = [v.version for v in slot.versions.values() if v.state == "challenger"]
        if len(others) >= MOST_CHALLENGERS:
            raise Conflict(
                f"model {slot.model} has {len(others)} challengers ({', '.join(others)}); "
                "take one of them out first"
            )
    return _with(slot, _in_state(known, state, now))


def promoted(slot: Slot, tenure: Tenure) -> Slot:
    """With a new champion; the one before is retired.

    Raises
    ------
    Conflict
        When it is champion already, or was rejected.
    NotFound
    """
    known = slot.known(tenure.version)
    if tenure.version == slot.latest():
        raise Conflict(f"model {slot.model} {tenure.version} is champion already")
    if known.state == "rejected":
        raise Conflict(f"model {slot.model} {tenure.version} was rejected; it is never promoted")
    before = slot.latest()
    return _crowned(slot, msgspec.structs.replace(tenure, before=before))


def before(slot: Slot) -> str:
    """The version that a rollback leads to.

    Raises
    ------
    Conflict
        When there is none, or it was rejected since.
    """
    version = slot.tenures[-1].before if slot.tenures else ""
    if not version:
        raise Conflict(f"model {slot.model} has no champion before this one to go back to")
    if slot.known(version).state == "rejected":
        raise Conflict(f"model {slot.model} {version}, the champion before, was rejected since")
    return version


def rolled_back(slot: Slot, tenure: Tenure) -> Slot:
    """With the champion before again; what a further rollback leads to is what came before that.

    Raises
    ------
    Conflict
        As :func:`before`, or when the tenure is not of that version.
    """
    target = before(slot)
    if tenure.version != target:
        raise Conflict(f"model {slot.model} goes back to {target}, not to {tenure.version}")
    earlier = next(t.before for t in reversed(slot.tenures[:-1]) if t.version == target)
    return _crowned(slot, msgspec.structs.replace(tenure, before=earlier))


def _crowned(slot: Slot, tenure: Tenure) -> Slot:
    versions = dict(slot.versions)
    old = versions.get(slot.latest())
    if old is not None:
        versions[old.version] = _in_state(old, "retired", tenure.at)
    versions[tenure.version] = _in_state(versions[tenure.version], "champion", tenure.at)
    # Time does not run backward in the record, whatever clocks say.
    last = slot.tenures[-1].since if slot.tenures else 0
    tenure = msgspec.structs.replace(tenure, since=max(tenure.since, last))
    return msgspec.structs.replace(slot, versions=versions, tenures=(*slot.tenures, tenure))


def _in_state(version: Version, state: State, now: int) -> Version:
    return msgspec.structs.replace(
        version,
        state=state,
        changed_at=now,
        challenger_since=now if state == "challenger" else 0,
    )


def _with(slot: Slot, version: Version) -> Slot:
    return msgspec.structs.replace(slot, versions={**slot.versions, version.version: version})


def told(tenure: Tenure) -> str:
    """One sentence for people."""
    return f"{tenure.how} to {tenure.version} by {tenure.operator}, from {iso(tenure.since)} on"
