"""The owner: stops everything when they want to, and clears the switch when the account is flat."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from local.contracts import Response
from local.platform import TOTP_SECRET
from local.simulate.judge import Judge
from local.simulate.schedule import Schedule

#: Random faults go on for so long after an emergency stop; then it must come to its end.
STORM_AFTER_STOP_MS = 10_000

#: A switch that cannot be cleared for so long on a flat, undisturbed account is stuck.
CLEAR_MS = 300_000


class Owner:
    """Stops and clears by HTTP, now and then with a wrong code.

    Parameters
    ----------
    judge : Judge
    schedule : Schedule
        Made calm some time after a stop: then it must come to its end.
    http : callable
        One POST to the application: target and body to the answer, ``None`` when the process died
        meanwhile.
    take_back : callable
        Has people take back what they have on the account.
    failures : Counter
        Counts the answers.
    refused_until : callable, optional
        Until when the exchange refuses what a person has to put right, UTC ms.
    """

    def __init__(
        self,
        judge: Judge,
        schedule: Schedule,
        http: Callable[[str, dict[str, Any]], Response | None],
        take_back: Callable[[], None],
        failures: Counter[str],
        refused_until: Callable[[], int] = lambda: 0,
    ) -> None:
        self._judge, self._schedule = judge, schedule
        self._http, self._take_back = http, take_back
        self._failures = failures
        self.wants_stop = False
        self.stops = self.resumed = 0
        self._mistyped = 0
        self._flat_since: int | None = None
        self._refused_until = refused_until
        self._halted_since: int | None = None

    def act(self, draw: random.Random, now: int) -> None:
        """Do what is to be done at ``now``, UTC milliseconds."""
        judge = self._judge
        if self.wants_stop:
            self._stop()
        if judge.switch.stopped_at is not None and not judge.switch.must_be_flat:
            # Latched for what people do by hand: they take their orders back, so that it ends.
            self._take_back()
        if judge.switch.stopped_at is None:
            self._flat_since = None
            self._schedule.calm = False
            self._look_at_a_halt(draw, now)
            return
        self._schedule.calm = now > judge.switch.stopped_at + STORM_AFTER_STOP_MS
        if not judge.flat():
            self._flat_since = None
            return
        if self._flat_since is None:
            self._flat_since = now
        if self._schedule.calm and now > self._flat_since + 20_000:
            self._clear(draw, now, self._flat_since)

    def _look_at_a_halt(self, draw: random.Random, now: int) -> None:
        """What the exchange refuses is put right some time later, and trading is armed again."""
        if not self._judge.switch.halted():
            self._halted_since = None
            return
        if self._halted_since is None:
            self._halted_since = max(now, self._refused_until())
        if now > self._halted_since + 20_000:
            self._clear(draw, now, self._halted_since)

    def _stop(self) -> None:
        answer = self._http("/api/emergency-stop", {"reason": "simulated", "operator": "harness"})
        if answer is None:
            return
        self._failures[f"stop {answer.status}"] += 1
        if answer.status == 503:
            self._judge.switch.asked(self._judge.now())
        if answer.status == 202:
            self.wants_stop = False
            self.stops += 1
            self._judge.switch.stopped_now()

    def _clear(self, draw: random.Random, now: int, since: int) -> None:
        import pyotp

        code = pyotp.TOTP(TOTP_SECRET).at(now // 1000)
        # Five wrong codes in a row would lock the second factor for longer than this waits.
        wrong = draw.random() < 0.3 and self._mistyped < 3
        self._mistyped += wrong
        body = {
            "code": f"{(int(code) + 1) % 1_000_000:06d}" if wrong else code,
            "reason": "simulated: everything was looked at",
            "operator": "harness",
        }
        answer = self._http("/api/kill-switch/clear", body)
        if answer is None:
            return
        self._failures[f"clear {answer.status}"] += 1
        if answer.status == 200:
            if wrong:
                self._judge.broken(6, "cleared with a wrong code", now)
            self._mistyped = 0
            self.resumed += self._judge.switch.stopped_at is None
            self._judge.switch.cleared()
        elif b"locked until" in answer.body:
            # Too many wrong codes: nobody clears for a while, and that is right.
            self._flat_since = self._halted_since = now
        elif now > since + CLEAR_MS:
            self._judge.broken(6, f"cannot be cleared: {answer.body.decode()[:300]}", now)
