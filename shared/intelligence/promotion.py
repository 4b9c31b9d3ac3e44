"""What people do with versions of models: challenge, reject, promote, roll back.

Every action is in the audit chain before it is done. Promotion and rollback change which model
votes and need the second factor; a promotion needs the evidence too, or an override that is kept
beside it. Neither touches a signal that was made: a decision is taken from the stored signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from shared.compliance.operator import named, refusals_told
from shared.errors import ConfigurationError, Conflict, InvalidInput
from shared.intelligence import slots
from shared.intelligence.comparison import Comparison, compare
from shared.intelligence.library import Library
from shared.intelligence.registry import Registry
from shared.intelligence.scores import read_scores
from shared.intelligence.slots import NOTICE_MS, Slot, State, Tenure, Version
from shared.market.timeframe import DAY_MS
from shared.risk.kill_switch import MIN_REASON

if TYPE_CHECKING:
    from shared.execution.desk import Desk
    from shared.security.totp import SecondFactor
    from shared.storage.store import Store

#: Newest days of scores that a comparison reads.
DAYS = 90


class Models:
    """The registry with what judges and audits it.

    Parameters
    ----------
    registry : Registry
    serving : Library
        Where the shipped files are.
    serves : bool
        Whether plans vote with the registry's champions at all.
    """

    def __init__(self, registry: Registry, serving: Library, *, serves: bool) -> None:
        self._registry = registry
        self._serving = serving
        self._serves = serves

    def compare(self, store: Store, now_ms: int, name: str, version: str = "") -> list[Comparison]:
        """Challengers of a model, or one version, against the champion that was decided on last.

        Raises
        ------
        InvalidInput, NotFound
        ConfigurationError
            When there is no champion to compare with.
        """
        slot = self._registry.slot(name)
        chosen = [version] if version else slot.challengers(now_ms)
        if version:
            slot.known(version)
        return [self._compared(store, now_ms, slot, one) for one in chosen]

    def change(
        self, desk: Desk, name: str, version: str, state: State, *, operator: str, reason: str
    ) -> Version:
        """Make a version challenger or candidate again, or reject it.

        Raises
        ------
        InvalidInput, NotFound
        Conflict
            When that state does not follow from the one it has.
        """
        who, why = _said(operator, reason)
        self.note_arrivals(desk)
        now = desk.clock.now_ms()
        # Judged before it is written down, and again with the write.
        slots.moved(self._registry.slot(name), version, state, now)
        self._note(desk, name, {"action": state, "version": version}, who, why, now)
        return self._registry.move(name, version, state).versions[version]

    def promote(
        self,
        desk: Desk,
        second_factor: SecondFactor,
        name: str,
        version: str,
        *,
        operator: str,
        reason: str,
        code: str,
        override: bool = False,
    ) -> Tenure:
        """Have a version vote, from the bars on that close :data:`NOTICE_MS` from now.

        Raises
        ------
        InvalidInput
            No operator, no reason, or a code that is not accepted.
        NotFound
        Conflict
            The registry does not serve, it is champion already or was rejected, its bars are not
            the champion's, or the evidence is missing and no override was said. No code is used up.
        ConfigurationError
            When the version cannot be served.
        """
        who, why = _said(operator, reason)
        self._serving_or_conflict()
        self.note_arrivals(desk)
        slot = self._registry.slot(name)
        known = slot.known(version)
        now = desk.clock.now_ms()
        tenure = Tenure(
            version=version, since=now, at=now, how="promotion", operator=who, reason=why,
            override=override,
        )  # fmt: skip
        slots.promoted(slot, tenure)
        self._registry.model(name, version)
        champion = slot.latest() or self._shipped(name)
        if champion == version:
            raise Conflict(f"model {name} {version} is champion already: it is the shipped file")
        evidence = self._evidence(desk, slot, known, champion, override)
        tenure = msgspec.structs.replace(tenure, evidence=evidence)
        with refusals_told(desk, f"promote model {name} to {version}", who):
            second_factor.verify(code)
        if champion and not slot.tenures:
            self._keep_shipped(desk, name)
        body = {
            "action": "promotion",
            "version": version,
            "before": champion,
            "override": override,
            "evidence": evidence,
        }
        self._note(desk, name, body, who, why, now)
        self._tell(desk, name, self._from_now(desk, tenure))

        def change(found: Slot) -> Slot:
            if (found.latest() or champion) != champion:
                raise Conflict(f"model {name}: the champion changed meanwhile; look again")
            found = self._with_shipped(found, champion, now)
            return slots.promoted(found, self._from_now(desk, tenure))

        return self._registry.change(name, change).tenures[-1]

    def roll_back(
        self,
        desk: Desk,
        second_factor: SecondFactor,
        name: str,
        *,
        operator: str,
        reason: str,
        code: str,
    ) -> Tenure:
        """Have the champion before vote again, from the bars on that close soon.

        Raises
        ------
        InvalidInput
        Conflict
            The registry does not serve, or there is no champion to go back to. No code is used up.
        ConfigurationError
            When that version cannot be served.
        """
        who, why = _said(operator, reason)
        self._serving_or_conflict()
        slot = self._registry.slot(name)
        target, left = slots.before(slot), slot.latest()
        self._registry.model(name, target)
        with refusals_told(desk, f"roll model {name} back to {target}", who):
            second_factor.verify(code)
        now = desk.clock.now_ms()
        tenure = Tenure(version=target, since=now, at=now, how="rollback", operator=who, reason=why)
        self._note(desk, name, {"action": "rollback", "version": target, "before": left}, who, why,
                   now)  # fmt: skip
        self._tell(desk, name, self._from_now(desk, tenure))

        def change(found: Slot) -> Slot:
            if found.latest() != left:
                raise Conflict(f"model {name}: the champion changed meanwhile; look again")
            return slots.rolled_back(found, self._from_now(desk, tenure))

        return self._registry.change(name, change).tenures[-1]

    def note_arrivals(self, desk: Desk) -> None:
        """Take in what was offered, and bring registrations into the audit chain that were made
        where it cannot be written."""
        self._registry.adopt()
        for name, slot in self._registry.slots().items():
            new = {v.version: v for v in slot.versions.values() if not v.noted}
            for version in new.values():
                body = {
                    "action": "registered",
                    "model": name,
                    "version": version.version,
                    "source": version.source,
                    "at": version.registered_at,
                    "size": version.size,
                }
                desk.note("model", body, correlation=f"model-{name}-{version.version}")
            if new:
                self._registry.change(name, lambda found, new=new: _noted(found, set(new)))  # type: ignore[misc]

    # ------------------------------------------------------------------ parts

    def _compared(self, store: Store, now: int, slot: Slot, version: str) -> Comparison:
        champion = slot.latest() or self._shipped(slot.model)
        if not champion:
            raise ConfigurationError(
                [f"model {slot.model}: there is no champion, and no shipped file, to compare with"]
            )
        card = self._registry.card(slot.model, version)
        since = max(slot.known(version).challenger_since, now - DAYS * DAY_MS)
        scores = (s for s in read_scores(store, since, now) if s.timeframe == card.timeframe)
        return compare(scores, slot.model, champion, version, card.horizon_bars)

    def _evidence(
        self, desk: Desk, slot: Slot, known: Version, champion: str, override: bool
    ) -> dict[str, Any]:
        """The comparison that a promotion is decided on."""
        name, version = slot.model, known.version
        if champion:
            frame = self._timeframe(name, champion)
            if frame and frame != known.timeframe:
                raise Conflict(
                    f"model {name} {version} votes on bars of {known.timeframe}, the champion on "
                    f"those of {frame}: plans that name {name} could not use it; pin the version "
                    "in a plan instead"
                )
            found = self._compared(desk.store, desk.clock.now_ms(), slot, version)
            evidence: dict[str, Any] = msgspec.to_builtins(found)
            missing = "" if found.verdict == "better" else f"{found.verdict}: {found.why}"
        else:
            evidence, missing = {}, "there is no champion to be better than"
        if known.state != "challenger":
            missing = f"it is {known.state} and no challenger; {missing}".rstrip("; ")
        if missing and not override:
            raise Conflict(
                f"model {name} {version} is not shown to be better than the champion ({missing}); "
                "override says that it is promoted all the same"
            )
        return evidence

    def _timeframe(self, name: str, champion: str) -> str:
        known = self._registry.slot(name).versions.get(champion)
        return known.timeframe if known else self._serving.card(name).timeframe

    def _shipped(self, name: str) -> str:
        """Version of the shipped file; empty where there is none.

        Raises
        ------
        ConfigurationError
            When there is one that cannot be served.
        """
        return self._serving.card(name).version if name in self._serving.names() else ""

    def _keep_shipped(self, desk: Desk, name: str) -> None:
        """The file that voted so far, in the registry: a rollback leads to it, also after the next
        deployment has brought another one."""
        shipped = self._serving.model(name)
        self._registry.register(shipped.card, self._serving.source(name), "shipped")
        self.note_arrivals(desk)

    def _with_shipped(self, slot: Slot, champion: str, now: int) -> Slot:
        if slot.tenures or not champion:
            return slot
        first = Tenure(
            version=champion, since=0, at=now, how="shipped", operator="shipped",
            reason="voted before the first promotion",
        )  # fmt: skip
        return slots.promoted(slot, first)

    def _from_now(self, desk: Desk, tenure: Tenure) -> Tenure:
        """With the notice counted from the moment of the write, whatever came before it took."""
        now = desk.clock.now_ms()
        return msgspec.structs.replace(tenure, at=now, since=now + NOTICE_MS)

    def _tell(self, desk: Desk, name: str, tenure: Tenure) -> None:
        """Announce who will vote, before it is written: none votes of which nobody hears."""
        desk.alert(
            "critical",
            "model-champion",
            f"Model {name}: {slots.told(tenure)}",
            f"Reason: {tenure.reason}. {'Without the evidence. ' if tenure.override else ''}"
            "Signals that were made are not touched; plans that pin a version keep it.",
            correlation=f"model-{name}",
            once=str(tenure.at),
        )

    def _serving_or_conflict(self) -> None:
        if not self._serves:
            raise Conflict("MODEL_REGISTRY is off: plans vote with the shipped files")

    def _note(
        self, desk: Desk, name: str, body: dict[str, Any], operator: str, reason: str, now: int
    ) -> None:
        desk.note(
            "model",
            {"model": name, **body, "operator": operator, "reason": reason, "at": now},
            correlation=f"model-{name}-{body['version']}",
        )


def _said(operator: str, reason: str) -> tuple[str, str]:
    if len(reason.strip()) < MIN_REASON:
        raise InvalidInput(f"give a reason of at least {MIN_REASON} characters")
    return named(operator), reason.strip()[:500]


def _noted(slot: Slot, versions: set[str]) -> Slot:
    return msgspec.structs.replace(
        slot,
        versions={
            key: msgspec.structs.replace(v, noted=True) if key in versions else v
            for key, v in slot.versions.items()
        },
    )
