"""The ``durableTask`` section of host.json, as far as a local hub can honour it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HubSettings:
    """Settings with the extension's names and meaning.

    ``max_activities`` defaults to 10 regardless of cores, so that a seed gives one history on
    every machine.
    """

    hub_name: str = "TestHubName"
    max_activities: int = 10
    default_version: str | None = None
    overridable: str = "NonRunningStates"

    @classmethod
    def read(cls, name: str | None, section: Mapping[str, Any] | None) -> HubSettings:
        given = {key.lower(): value for key, value in (section or {}).items()}
        return cls(
            hub_name=name or given.get("hubname") or cls.hub_name,
            max_activities=int(given.get("maxconcurrentactivityfunctions", cls.max_activities)),
            default_version=given.get("defaultversion"),
            overridable=given.get("overridableexistinginstancestates", cls.overridable),
        )
