"""The functions of an app: found, in error, switched off; durable ones by trigger and name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from local.host.app import FunctionSpec, IndexingError
from local.host.app import load as load_app

log = logging.getLogger("Host")

_TRUE = ("1", "true")
_DURABLE = ("orchestrationTrigger", "entityTrigger", "activityTrigger")


class FunctionIndex:
    """What the host knows of the functions of its app.

    Parameters
    ----------
    settings : mapping
        Application settings, which may switch functions off.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self.functions: dict[str, FunctionSpec] = {}
        self.errors: dict[str, list[str]] = {}
        self._durable: dict[tuple[str, str], FunctionSpec] = {}

    def load(self, app_folder: Path, *, has_hub: bool) -> None:
        """Index an app; one that cannot be leaves no functions, said loudly in the log."""
        try:
            specs = load_app(app_folder)
        except IndexingError as error:
            log.error("No functions: the app could not be indexed. %s", error, exc_info=error)
            return
        self.functions = {spec.name: spec for spec in specs}
        for spec in specs:
            problem = spec.problem()
            needs_hub = {b.type for b in spec.bindings} & {"durableClient", *_DURABLE}
            if problem is None and needs_hub and not has_hub:
                problem = "The app uses Durable Functions but the host was given no task hub."
            if problem is not None:
                self.errors[spec.name] = [problem]
            elif spec.kind in _DURABLE and not self.is_disabled(spec.name):
                self._durable[spec.kind, spec.durable_name.lower()] = spec
        log.info("%d functions indexed", len(specs))

    def enabled(self, kind: str) -> list[FunctionSpec]:
        """Functions of a trigger that are in no error and not switched off."""
        return [
            spec
            for spec in self.functions.values()
            if spec.kind == kind
            and spec.name not in self.errors
            and not self.is_disabled(spec.name)
        ]

    def find(self, name: str) -> FunctionSpec | None:
        """A function by name, whatever the case."""
        wanted = name.lower()
        return next((s for s in self.functions.values() if s.name.lower() == wanted), None)

    def durable(self, kind: str, name: str) -> FunctionSpec | None:
        """A function of Durable Functions by its trigger and its case-insensitive name."""
        return self._durable.get((kind, name.lower()))

    def is_disabled(self, name: str) -> bool:
        """Whether the settings switch the function off (the double underscore does not)."""
        names = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs_{name}_Disabled")
        return any(self._settings.get(key, "").lower() in _TRUE for key in names)
