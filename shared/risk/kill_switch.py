"""The kill switch: one document, three states, and the permits issued while it is armed.

``armed``; ``halted``, when the exchange has refused in a way that only a person can put right:
nothing is opened, and nothing is closed for it; ``latched``.

A permit is one conditional patch ("only where state is armed"), a latch is one conditional patch
to ``latched``. The store orders them, so an order and an emergency stop cannot cross unseen:
whoever latches finds every permit issued before in ``outstanding``, and none is issued after.
Latching never competes for the ETag, so traffic cannot delay it.

The document survives restarts and redeploys; only a person arms it again, with
:meth:`KillSwitch.clear` after a latch, with :meth:`KillSwitch.resume` after a halt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec

from shared.clock import Clock
from shared.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    InvalidInput,
    KillSwitchLatched,
    NotFound,
    StoreUnavailable,
)
from shared.risk.ledger import RiskLedger
from shared.risk.switch_status import Halt as Halt
from shared.risk.switch_status import Outage as Outage
from shared.risk.switch_status import Permit as Permit
from shared.risk.switch_status import SwitchStatus as SwitchStatus
from shared.risk.triggers import TRIGGERS, refusal
from shared.risk.triggers import drawdown as drawdown
from shared.risk.triggers import drawdown_evidence as drawdown_evidence
from shared.security.totp import SecondFactor
from shared.storage.records import record_of
from shared.storage.store import Body, Document, Patch, Store, Where

CONTAINER = "control"
SWITCH_ID = "kill-switch"
#: Latched episodes kept in the document; the audit log keeps all.
HISTORY = 50
MIN_REASON = 10
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_ARMED = (Where("state", "=", "armed"),)
_HALTED = (Where("state", "=", "halted"),)
_LATCHED = (Where("state", "=", "latched"),)


class KillSwitch:
    """The kill switch of one account.

    Parameters
    ----------
    store : Store
    clock : Clock
    account : str
        Scope of the document.
    second_factor : SecondFactor, optional
        Needed to clear; without it the switch can only be latched.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        account: str,
        second_factor: SecondFactor | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._account = account
        self._second_factor = second_factor

    def ensure(self) -> SwitchStatus:
        """The status; the document is created, armed, if there never was one."""
        while True:
            document = self._get()
            if document is not None:
                return _status(document)
            fresh = SwitchStatus(state="armed", armed_at=self._clock.now_ms())
            try:
                return _status(self._store.create(CONTAINER, self._body(fresh)))
            except AlreadyExists:
                continue

    def status(self) -> SwitchStatus | None:
        """The status, or ``None`` when the switch was never set up. Changes nothing."""
        document = self._get()
        return None if document is None else _status(document)

    # ------------------------------------------------------------------ permits

    def acquire_permit(self, key: str) -> Permit:
        """Leave to send the order named by ``key``: the last thing before it is sent.

        Asking again for a key that is outstanding gives it leave again.

        Raises
        ------
        KillSwitchLatched
            When the switch is latched or halted, or was never set up.
        InvalidInput
            For a key that is not 1-100 letters, digits, dashes or underscores.
        """
        if not _KEY.fullmatch(key) or key.isdigit():
            raise InvalidInput(f"permit key {key!r}: 1-100 letters, digits, - and _, not a number")
        now = self._clock.now_ms()
        try:
            document = self._store.patch(
                CONTAINER,
                self._account,
                SWITCH_ID,
                [Patch("increment", "permits", 1), Patch("set", f"outstanding.{key}", now)],
                condition=_ARMED,
            )
        except Conflict:
            raise KillSwitchLatched(
                f"{self._account}: no order while the switch is latched or halted"
            ) from None
        except NotFound:
            raise KillSwitchLatched(f"{self._account}: the switch was never set up") from None
        return Permit(key=key, number=document.body["permits"], issued_at=now)

    def release_permit(self, key: str) -> None:
        """What the permit led to is known. Releasing what is not outstanding changes nothing."""
        try:
            self._store.patch(
                CONTAINER,
                self._account,
                SWITCH_ID,
                [Patch("remove", f"outstanding.{key}")],
                # Cosmos DB refuses to remove a path that is not there.
                condition=[Where(f"outstanding.{key}", ">=", 0)],
            )
        except (Conflict, NotFound):
            return

    def outstanding_permits(self) -> dict[str, int]:
        """Issue time by key of every permit whose order is not resolved yet."""
        document = self._get()
        return {} if document is None else dict(_status(document).outstanding)

    # ------------------------------------------------------------------ latch and clear

    def latch(
        self, trigger: str, evidence: Mapping[str, Any], at: int, *, closing: bool = True
    ) -> bool:
        """Latch the switch.

        Evidence that does not prove its trigger is refused. A switch that is latched keeps its
        first evidence; the new one is counted and stored beside it. A manual stop needs no proof;
        with a ``request_id`` in its evidence, repeating it after the switch was cleared does not
        latch again.

        Parameters
        ----------
        trigger : str
            One of :data:`shared.risk.triggers.TRIGGERS`.
        evidence : mapping
            What :mod:`shared.risk.triggers` returned; for a manual stop who asked, and why.
        at : int
            UTC milliseconds of the observation.
        closing : bool
            Whether positions are to be closed. Added to a latch that only holds them, it counts;
            it is never taken back.

        Returns
        -------
        bool
            True when this call latched it.

        Raises
        ------
        InvalidInput
            The evidence was refused and the switch stays as it is.
        """
        proof = dict(evidence)
        if trigger == "manual":
            proof = _storable(evidence)
            at = at if type(at) is int else self._clock.now_ms()
        while True:
            status = self.ensure()
            why = refusal(
                trigger,
                proof,
                at=at,
                now_ms=self._clock.now_ms(),
                armed_at=0 if status.state == "latched" else status.armed_at,
            ) or self._history_refusal(trigger, proof, status)
            if why:
                raise InvalidInput(f"{trigger}: {why}")
            if status.state != "latched":
                if trigger == "manual" and _answered(proof.get("request_id"), status.history):
                    return False
                operations = [
                    Patch("set", "state", "latched"),
                    Patch("set", "trigger", trigger),
                    Patch("set", "evidence", proof),
                    Patch("set", "latched_at", at),
                    Patch("set", "closing", closing),
                    Patch("set", "flat_at", None),
                    Patch("set", "halt", None),
                ]
                # The same episode that the evidence was judged against.
                condition = [
                    Where("state", "=", status.state),
                    Where("armed_at", "=", status.armed_at),
                ]
            else:
                operations = [
                    Patch("increment", f"repeats.{trigger}", 1),
                    Patch("set", f"repeat_evidence.{trigger}", proof),
                ]
                if closing and not status.closing:
                    operations.append(Patch("set", "closing", True))
                condition = list(_LATCHED)
            try:
                self._store.patch(
                    CONTAINER, self._account, SWITCH_ID, operations, condition=condition
                )
            except (Conflict, NotFound):
                continue
            return status.state != "latched"

    def clear(
        self,
        totp_code: str,
        reason: str,
        operator: str,
        *,
        tell: Callable[[], object] | None = None,
        judged: SwitchStatus | None = None,
    ) -> SwitchStatus:
        """Arm the switch again. Only for a human, with a second factor and a reason.

        The equity peak starts anew, so the drawdown that latched the switch does not latch it
        again.

        Parameters
        ----------
        tell : callable, optional
            Called when the code has been accepted and before anything is armed: what it raises
            leaves the switch latched.
        judged : SwitchStatus, optional
            The latch that the person means to clear; by default the one that is found.

        Raises
        ------
        InvalidInput
            When it is not latched, permits are outstanding, the reason is shorter than
            :data:`MIN_REASON` characters, or the code is not accepted. The switch stays latched.
        Conflict
            When somebody has stopped, or a trigger fired, since it was judged. It stays latched.
        ConfigurationError
            When no second factor is set up.
        """
        second_factor = self._person(reason, operator)
        meant = _stopped_by(judged or self._clearable()[0])
        self._clearable()
        second_factor.verify(totp_code)
        if tell is not None:
            tell()
        while True:
            # Before arming: a crash in between leaves a latched switch, which is safe.
            RiskLedger(self._store, self._clock, self._account).rebase_peak()
            status, document = self._clearable()
            if _stopped_by(status) != meant:
                # Whoever stopped was told that it holds, and has not been asked.
                raise Conflict("it was stopped once more meanwhile; look again, then clear that")
            now = self._clock.now_ms()
            episode = {
                "trigger": status.trigger,
                "evidence": status.evidence,
                "latched_at": status.latched_at,
                "flat_at": status.flat_at,
                "repeats": status.repeats,
                "repeat_evidence": status.repeat_evidence,
                "cleared_at": now,
                "operator": operator.strip(),
                "reason": reason.strip(),
            }
            armed = SwitchStatus(
                state="armed",
                # Later than any evidence judged before, even if this clock runs behind.
                armed_at=max(now, status.armed_at + 1),
                permits=status.permits,
                rehearsed_at=status.rehearsed_at,
                history=[*status.history, episode][-HISTORY:],
            )
            try:
                stored = self._store.replace(CONTAINER, self._body(armed), etag=document.etag)
            except Conflict:
                continue
            except StoreUnavailable:
                found = self.status()
                if found is None or (found.state, found.armed_at) != ("armed", armed.armed_at):
                    raise
                return found  # only the answer was lost
            return _status(stored)

    # ------------------------------------------------------------------ halt and resume

    def halt(self, halt: Halt) -> bool:
        """Open nothing more until a person has looked; ``True`` when this call made it so.

        Nothing is closed for it, every trigger may still latch, and what is latched stays so.
        """
        self.ensure()
        try:
            self._store.patch(
                CONTAINER,
                self._account,
                SWITCH_ID,
                [
                    Patch("set", "state", "halted"),
                    Patch("set", "halt", msgspec.to_builtins(halt)),
                ],
                condition=_ARMED,
            )
        except Conflict:
            return False
        return True

    def resume(
        self,
        totp_code: str,
        reason: str,
        operator: str,
        *,
        tell: Callable[[], object] | None = None,
    ) -> SwitchStatus:
        """Arm a halted switch again. Only for a human, with a second factor and a reason.

        What the triggers have counted stays: a halt is no episode of theirs. ``tell`` as for
        :meth:`clear`.

        Raises
        ------
        InvalidInput
            When it is not halted, the reason is too short, or the code is not accepted.
        ConfigurationError
            When no second factor is set up.
        """
        second_factor = self._person(reason, operator)
        if self.ensure().state != "halted":
            raise InvalidInput("the kill switch is not halted")
        second_factor.verify(totp_code)
        if tell is not None:
            tell()
        try:
            document = self._store.patch(
                CONTAINER,
                self._account,
                SWITCH_ID,
                [Patch("set", "state", "armed"), Patch("set", "halt", None)],
                condition=_HALTED,
            )
        except Conflict:
            raise InvalidInput("the kill switch has been latched meanwhile") from None
        except StoreUnavailable:
            found = self.status()
            if found is None or found.state != "armed":
                raise
            return found  # only the answer was lost
        return _status(document)

    def _person(self, reason: str, operator: str) -> SecondFactor:
        """The second factor, once somebody has said who and why."""
        if self._second_factor is None:
            raise ConfigurationError(["no second factor is set up; set the secret totp-secret"])
        if len(reason.strip()) < MIN_REASON:
            raise InvalidInput(f"give a reason of at least {MIN_REASON} characters")
        if not operator.strip():
            raise InvalidInput("name the operator who clears the switch")
        return self._second_factor

    # ------------------------------------------------------------------ what triggers count

    def note_outage(self, outage: Outage | None) -> None:
        """Store how long the exchange has not answered; ``None`` once it has."""
        self._observe(Patch("set", "outage", outage and msgspec.to_builtins(outage)))

    def note_foreign(self, foreign: Mapping[str, int]) -> None:
        """Store when each foreign order was seen first, by digest."""
        self._observe(Patch("set", "foreign", dict(foreign)))

    def note_flat(self, at: int) -> None:
        """The account was verified flat after the latch; the first time counts."""
        self._observe(Patch("set", "flat_at", at), *_LATCHED, Where("flat_at", "=", None))

    def rehearse(self, at: int) -> str:
        """Write as a latch would write, but nothing that stops anything; the state it found.

        Raises
        ------
        Conflict
            When the state changed at this very moment.
        """
        state = self.ensure().state
        self._store.patch(
            CONTAINER,
            self._account,
            SWITCH_ID,
            [Patch("set", "rehearsed_at", at)],
            condition=[Where("state", "=", state)],
        )
        return state

    def failed_codes(self, since: int) -> int:
        """Wrong codes of the second factor since then."""
        return 0 if self._second_factor is None else self._second_factor.failures_since(since)

    def _observe(self, change: Patch, *condition: Where) -> None:
        # A look that came too late (cleared, noted by another instance) is no error.
        with suppress(Conflict, NotFound):
            self._store.patch(CONTAINER, self._account, SWITCH_ID, [change], condition=condition)

    def _clearable(self) -> tuple[SwitchStatus, Document]:
        document = self._get()
        if document is None or _status(document).state != "latched":
            raise InvalidInput("the kill switch is not latched")
        status = _status(document)
        if status.outstanding:
            keys = ", ".join(sorted(status.outstanding)[:5])
            raise InvalidInput(
                f"{len(status.outstanding)} permits are outstanding ({keys}); their orders must be "
                "resolved first"
            )
        return status, document

    def _history_refusal(
        self, trigger: str, evidence: Mapping[str, Any], status: SwitchStatus
    ) -> str:
        """A peak that the ledger has forgotten belongs to an episode that was cleared."""
        if trigger != "max_drawdown" or status.state == "latched" or not status.history:
            return ""
        peak = RiskLedger(self._store, self._clock, self._account).read().equity_peak
        claimed = Decimal(evidence["peak"])
        return "" if claimed <= peak else f"peak {claimed} is above the present peak {peak}"

    def _get(self) -> Document | None:
        return self._store.get(CONTAINER, self._account, SWITCH_ID)

    def _body(self, status: SwitchStatus) -> Body:
        body: Body = msgspec.to_builtins(status)
        # Patches count upwards from what is there, on either store.
        body["repeats"] = dict.fromkeys(TRIGGERS, 0) | body["repeats"]
        return {**body, "id": SWITCH_ID, "scope": self._account}


def _status(document: Document) -> SwitchStatus:
    return record_of(document.body, SwitchStatus)


def _stopped_by(status: SwitchStatus) -> tuple[object, ...]:
    """All that has latched it: one more, and it is not the latch that somebody has looked at."""
    return (status.latched_at, status.closing, status.repeats)


def _answered(request_id: object, history: list[dict[str, Any]]) -> bool:
    """Whether a past episode came from that request, or was repeated by it."""
    if not request_id:
        return False
    for episode in history:
        manual = episode.get("repeat_evidence", {}).get("manual", {})
        if request_id in (
            (episode.get("evidence") or {}).get("request_id"),
            manual.get("request_id"),
        ):
            return True
    return False


def _storable(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """A manual stop is never refused for what came along with it: a few short texts remain."""
    items = list(evidence.items())[:20]
    return {str(k)[:100]: (v if isinstance(v, str) else repr(v))[:1000] for k, v in items}
