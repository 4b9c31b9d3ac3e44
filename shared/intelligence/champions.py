"""Which versions of models vote, as this process knows it: the registry, read once a minute.

The question is asked with the close of a bar, and a promotion counts from
:data:`shared.intelligence.slots.NOTICE_MS` after it was decided. A process whose knowledge is at
most :data:`REFRESH_MS` old therefore knows of every promotion that counts for the bar it looks at,
and all processes answer alike.

A registry that cannot be read changes nothing for :data:`LAST_KNOWN_MS`: what was known counts, and
people are told. After that, or where nothing was ever known, there is no signal: nobody guesses
which model was meant, and none is left out of its ensemble in silence.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from shared.clock import Clock, iso
from shared.errors import ConfigurationError, StoreError
from shared.intelligence.library import Library, library
from shared.intelligence.registry import Registry
from shared.intelligence.slots import NOTICE_MS, Slot
from shared.storage.patience import at_most
from shared.strategies.config import EnsembleConfig
from shared.strategies.pinning import pinned, versions, votes_with_models

if TYPE_CHECKING:
    from shared.execution.desk import Desk

#: Knowledge older than this is read anew before it is used. Half of the notice: the other half is
#: for clocks that differ and writes that take their time.
REFRESH_MS = NOTICE_MS // 2
#: How long what was known counts while the registry cannot be read.
LAST_KNOWN_MS = 3_600_000
#: After a failure it is not asked again for so long: signals of other symbols wait behind this one.
RETRY_MS = 15_000
#: Seconds that one question to the store may take.
PATIENCE = 2.0


class Champions:
    """The champions as this process knows them.

    Parameters
    ----------
    registry : Registry
    clock : Clock
    serving : callable
        The library that strategies ask; versions that it does not have are put into it.
    """

    def __init__(
        self, registry: Registry, clock: Clock, serving: Callable[[], Library] = library
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._serving = serving
        self._lock = threading.Lock()
        self._slots: dict[str, Slot] | None = None
        self._read_at = 0
        self._failed_at: int | None = None
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why what is used is not what the registry says now; empty while it is."""
        return self._trouble

    def voting(self, config: EnsembleConfig, closed_at: int) -> EnsembleConfig:
        """An ensemble as it votes at a bar that closes then.

        Parameters
        ----------
        config : EnsembleConfig
            Of the plan. Without models it comes back as it is and nothing is read.
        closed_at : int
            UTC milliseconds.

        Raises
        ------
        ConfigurationError
            When the registry cannot be read and what was known is too old, or a version that is to
            vote cannot be had.
        """
        if not votes_with_models(config):
            return config
        slots = self.slots()
        found = pinned(
            config,
            champions_of(slots, closed_at),
            shipped=partial(shipped_version, self._serving()),
            earlier=_before(slots),
        )
        for name, version in versions(found):
            self.ready(name, version)
        return found

    def now(self, config: EnsembleConfig) -> EnsembleConfig:
        """The same at this moment, for whoever asks about no bar."""
        return self.voting(config, self._clock.now_ms())

    def version(self, name: str, closed_at: int) -> str:
        """The version of one model that votes at a bar that closes then, ready to be asked.

        Empty where it is the shipped one. Raises as :meth:`voting`.
        """
        slot = self.slots().get(name)
        found = "" if slot is None else slot.champion(closed_at)
        if found:
            self.ready(name, found)
        return found

    def slots(self) -> Mapping[str, Slot]:
        """What is known of every model, at most :data:`REFRESH_MS` old where the store answers.

        Raises
        ------
        ConfigurationError
            When it cannot be read, and is not known or known for too long.
        """
        with self._lock:
            now = self._clock.now_ms()
            if self._slots is None or not 0 <= now - self._read_at < REFRESH_MS:
                self._refresh(now)
            if self._slots is None or now - self._read_at > LAST_KNOWN_MS:
                known = (
                    "nothing" if self._slots is None else f"what it said at {iso(self._read_at)}"
                )
                raise ConfigurationError(
                    [
                        f"the model registry cannot be read ({self._trouble}) and {known} is "
                        "known; no model votes until it can, or MODEL_REGISTRY is off"
                    ]
                )
            return self._slots

    def ready(self, name: str, version: str) -> None:
        """Have the library hold a version.

        Raises
        ------
        ConfigurationError
            When it cannot be read or used; names it.
        """
        own = self._serving()
        if own.holds(name, version) or shipped_version(own, name) == version:
            return
        try:
            with at_most(PATIENCE):
                own.hold(self._registry.model(name, version))
        except StoreError as error:
            raise ConfigurationError(
                [f"model {name} {version} cannot be had from the registry: {error}"]
            ) from error

    def _refresh(self, now: int) -> None:
        if self._failed_at is not None and 0 <= now - self._failed_at < RETRY_MS:
            return
        try:
            with at_most(PATIENCE):
                found = self._registry.slots()
        except StoreError as error:
            self._failed_at = now
            self._trouble = f"{type(error).__name__}: {error}"
            logging.getLogger("borsa.models").error(
                "the model registry cannot be read: %s; known as of %s",
                error,
                iso(self._read_at) if self._slots is not None else "never",
            )
            return
        self._slots, self._read_at = found, now
        self._failed_at, self._trouble = None, ""


def tell(desk: Desk, champions: Champions) -> None:
    """Have people know, once an hour, that votes rest on what the registry said earlier."""
    if champions.trouble:
        desk.alert(
            "warning",
            "model-registry",
            "The model registry cannot be read",
            f"{champions.trouble[:500]}. Models vote as they were last known for at most an hour, "
            "then no more; positions are looked after as ever.",
            correlation="model-registry",
            once=str(desk.clock.now_ms() // LAST_KNOWN_MS),
        )


def champions_of(slots: Mapping[str, Slot], closed_at: int) -> dict[str, str]:
    """Version by model of those that are not the shipped ones, at a bar that closes then."""
    return {name: found for name, slot in slots.items() if (found := slot.champion(closed_at))}


def shipped_version(own: Library, name: str) -> str:
    """Version of the file in the folder; empty where there is none that can be served."""
    if name not in own.names():
        return ""
    try:
        return own.card(name).version
    except ConfigurationError:
        return ""


def _before(slots: Mapping[str, Slot]) -> Iterator[dict[str, str]]:
    """The sets of champions that there were, newest first."""
    times = {tenure.since for slot in slots.values() for tenure in slot.tenures}
    for since in sorted(times, reverse=True):
        yield champions_of(slots, since)
