"""Clocks of the embedded platform, and event loops that live by them.

One asyncio program serves both modes. Under :class:`VirtualLoop` waiting costs nothing: when
every task is waiting, the clock jumps to the next deadline, so one seed gives one history. Under
:class:`ScaledLoop` waiting is real, divided by a speed.

Synchronous code (activities, triggers) runs inline in virtual mode; when it sleeps, the clock
advances under it and whatever was due meanwhile fires late, as it would in a busy process.

:class:`PacedLoop` lies between the two: virtual time, let out at a pace that people can watch.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from concurrent.futures import Executor, Future
from typing import Any


class VirtualClock:
    """Simulated UTC time that moves only when told to."""

    def __init__(self, start_ms: int) -> None:
        #: UTC microseconds.
        self.us = start_ms * 1000

    def now_ms(self) -> int:
        return self.us // 1000

    def steady_ms(self) -> int:
        return self.us // 1000

    def seconds(self) -> float:
        return self.us / 1e6

    def sleep(self, seconds: float) -> None:
        self.us += max(0, round(seconds * 1e6))

    def advance_to(self, ms: int) -> None:
        """Move forward to a time; never backward."""
        self.us = max(self.us, ms * 1000)


class ScaledClock:
    """Real time multiplied by ``speed``, starting at ``start_ms``.

    Parameters
    ----------
    start_ms : int
        Simulated time at ``origin``.
    speed : float
        Simulated seconds per real second.
    origin : float, optional
        ``time.time()`` at which simulated time was ``start_ms``; now by default. Processes that
        share ``start_ms``, ``speed`` and ``origin`` share the clock.
    """

    def __init__(self, start_ms: int, speed: float = 1.0, origin: float | None = None) -> None:
        self.start_ms = start_ms
        self.speed = speed
        self.origin = time.time() if origin is None else origin

    def now_ms(self) -> int:
        return self.start_ms + int((time.time() - self.origin) * self.speed * 1000)

    def steady_ms(self) -> int:
        return int(time.monotonic() * self.speed * 1000)

    def seconds(self) -> float:
        return self.start_ms / 1000 + (time.time() - self.origin) * self.speed

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self.speed)


class _VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting for a deadline, moves the clock to it."""

    #: Looks at the loop's own wake-up pipe, which costs a system call, only every so often.
    _SELDOM = 32

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._skipped = 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            # Nothing is scheduled at all: only another thread can wake us.
            return super().select(0) or super().select(1.0)
        ready = []
        self._skipped += 1
        # What a thread hands over is in the loop's queue already, and signals can wait a little;
        # sockets cannot.
        if len(self.get_map()) > 1 or self._skipped >= self._SELDOM:
            self._skipped = 0
            ready = super().select(0)
        if timeout > 0 and not ready:
            # Deadlines are floats: a rest below the clock's microsecond must still move it.
            self._clock.sleep(max(timeout, 1e-6))
        return ready


class InlineExecutor(Executor):
    """Runs at once in the caller's thread: `asyncio.to_thread` without threads."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
            future.set_exception(error)
        return future


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a :class:`VirtualClock`; executor calls run inline."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_VirtualSelector(clock))
        self.clock = clock
        # asyncio runs what is due before now + this; a float of today's seconds since the epoch
        # swallows the default nanosecond, and a deadline exactly now would be waited for forever.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        # Read many times per event: not through the clock's method.
        return self.clock.us / 1e6

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
            future.set_exception(error)
        return future


class _PacedSelector(selectors.DefaultSelector):
    """Waits for real, ``speed`` times shorter, and moves the clock by what was waited."""

    def __init__(self, clock: VirtualClock, speed: float) -> None:
        super().__init__()
        self._clock = clock
        self._speed = speed

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        began = time.monotonic()
        ready = super().select(1.0 if timeout is None else timeout / self._speed)
        passed = (time.monotonic() - began) * self._speed
        if timeout is None:
            self._clock.sleep(passed)
        else:
            self._clock.sleep(min(passed, timeout) if ready else max(timeout, 1e-6))
        return ready


class PacedLoop(VirtualLoop):
    """A :class:`VirtualLoop` that keeps a pace: simulated time passes only while nothing runs.

    However slow the machine, nothing is late in simulated time; sockets are served while waiting.
    """

    def __init__(self, clock: VirtualClock, speed: float) -> None:
        asyncio.SelectorEventLoop.__init__(self, _PacedSelector(clock, speed))
        self.clock = clock
        self._clock_resolution = 1e-6


class _ScaledSelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else timeout / self._speed)


class ScaledLoop(asyncio.SelectorEventLoop):
    """An event loop on a :class:`ScaledClock`."""

    def __init__(self, clock: ScaledClock) -> None:
        super().__init__(_ScaledSelector(clock.speed))
        self.clock = clock

    def time(self) -> float:
        return self.clock.seconds()


def loop_for(clock: VirtualClock | ScaledClock) -> asyncio.AbstractEventLoop:
    """The event loop that lives by the given clock."""
    return VirtualLoop(clock) if isinstance(clock, VirtualClock) else ScaledLoop(clock)
