"""The kill switch under faults: who latches it, what that closes, and who alone clears it.

Looked at are the stored switch and the account; every automatic latch must show what has really
happened (:mod:`local.simulate.latches`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from local.simulate.latches import Latches

if TYPE_CHECKING:
    from local.simulate.judge import Judge

ACCOUNT = "main"

#: From an acknowledged stop to a flat account, without disturbance.
FLAT_MS = 30_000


class SwitchWatch:
    """Watches the switch of one episode. All times are UTC milliseconds.

    Parameters
    ----------
    judge : Judge
        Told what is broken.
    triggers : collection of str
        Triggers that may latch the switch here, besides a drawdown and a person.
    latches : Latches or None
        Judges automatic latches.
    """

    def __init__(self, judge: Judge, triggers: Collection[str], latches: Latches | None) -> None:
        self._judge = judge
        self._triggers = {*triggers, "manual", "max_drawdown"}
        self._latches = latches
        self._armed_at = 0
        #: How often the switch latched by itself.
        self.latched = 0
        #: When the switch was last latched with our knowledge; ``None`` while armed.
        self.stopped_at: int | None = None
        self.must_be_flat = True
        self._was_flat = False
        #: Whether all instances have the same clock, so that what they write can be compared.
        self.one_clock = True
        #: When the exchange refused an entry as only a person can put right, until one has looked.
        self.refused_at: int | None = None
        self._halted = False
        #: When a stop was asked for that could not be stored; positions are closed all the same.
        self._asked_at: int | None = None

    def asked(self, at: int) -> None:
        """A stop was asked for, and answered: it closes, though it cannot be stored."""
        if self._asked_at is None and self.stopped_at is None:
            self._asked_at = at
            self._judge.disturbed(at)

    def refused(self) -> None:
        """An entry was refused as only a person can put right."""
        if self.refused_at is None:
            self.refused_at = self._judge.now()

    def stopped(self, at: int) -> None:
        """An emergency stop was acknowledged."""
        self._asked_at = None
        if self.stopped_at is None:
            self.stopped_at = at
            self._was_flat = False
        self.must_be_flat = True
        self._judge.disturbed(at)

    def stopped_now(self) -> None:
        """As :meth:`stopped`, at this moment."""
        self.stopped(self._judge.now())

    def cleared(self) -> None:
        """A person cleared the switch."""
        self.stopped_at = self.refused_at = None
        self._halted = False
        self._armed_at = self._judge.now()

    def permitted(self, key: str) -> None:
        """A permit was issued though the switch was latched."""
        self._judge.broken(5, f"{key}: a permit was issued after the latch", self._judge.now())

    def halted(self) -> bool:
        """Whether the last look found the switch halted."""
        return self._halted and self.stopped_at is None

    def heard(self, symbol: str, opened: int) -> None:
        """The application was told of a bar that opened then."""
        if self._latches is not None:
            self._latches.heard(symbol, opened, self._judge.now())

    def look(self, now: int) -> None:
        """At the stored switch, and at the account it is to have closed."""
        found = self._judge.store.get("control", ACCOUNT, "kill-switch")
        if found is None:
            return
        self._judge.checked[6] += 1
        body = found.body
        if self._latches is not None:
            since = self._armed_at if body["state"] == "armed" else None
            unheeded = self._latches.unheeded(now, since)
            if unheeded:
                self._judge.broken(6, unheeded, now)
        if self.stopped_at is None:
            if self._halted and body["state"] == "armed":
                self._judge.broken(6, "the halted switch is armed though nobody cleared it", now)
            self._halted = body["state"] == "halted"
            if body["state"] == "latched":
                self._latched_by_itself(body, now)
            elif self._asked_at is not None:
                self._closed_though_not_stored(self._asked_at, now)
            return
        if body["state"] != "latched":
            self._judge.broken(6, f"the switch is {body['state']} though nobody cleared it", now)
            self.stopped_at = None
            return
        self._judge.checked[5] += 1
        if self._judge.flat() or not self.must_be_flat:
            self._was_flat = True
        elif now > max(self.stopped_at, self._judge.disturbed_until) + FLAT_MS:
            what = "not flat again" if self._was_flat else "not flat"
            self._judge.broken(5, f"{what} {now - self.stopped_at} ms after the stop", now)

    def _closed_though_not_stored(self, asked_at: int, now: int) -> None:
        """A stop closes while the store is away; what is opened after that is for its latch."""
        self._judge.checked[5] += 1
        if self._judge.flat():
            self._asked_at = None
        elif now > max(asked_at, self._judge.disturbed_until) + FLAT_MS:
            self._judge.broken(
                5, f"not flat {now - asked_at} ms after a stop that was not stored", now
            )

    def _latched_by_itself(self, body: dict[str, Any], now: int) -> None:
        """Only what has really happened may do this; its evidence must show it."""
        self.stopped(body["latched_at"] if self.one_clock else now)
        self.must_be_flat = body.get("closing", True)
        self._judge.disturbed(now)
        trigger, proof = body["trigger"], body["evidence"] or {}
        self.latched += trigger != "manual"
        if trigger not in self._triggers:
            self._judge.broken(6, f"latched by {trigger}: {proof}", now)
        elif self._latches is not None:
            wrong = self._latches.wrong(trigger, proof, self._armed_at)
            if wrong:
                self._judge.broken(6, f"latched by {wrong}", now)
