"""What the function host takes from ``host.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

DEFAULT_HOST_JSON = {"version": "2.0"}


@dataclass(frozen=True)
class HostConfig:
    """The settings of ``host.json`` this host honours; times in seconds."""

    route_prefix: str = "api"
    custom_headers: Mapping[str, str] = field(default_factory=dict)
    max_outstanding_requests: int = -1
    function_timeout: float | None = 1800.0
    max_event_batch_size: int = 100
    batch_checkpoint_frequency: int = 1
    initial_offset: Literal["fromStart", "fromEnd"] = "fromStart"
    durable_task: Mapping[str, Any] = field(default_factory=dict)


class HostConfigError(Exception):
    """``host.json`` cannot be used; the whole host is in error."""


def timespan(text: str) -> float:
    """Seconds of a .NET time span, ``[d.]hh:mm:ss[.fraction]``.

    Raises
    ------
    ValueError
        If it is not one.
    """
    days, dot, rest = text.partition(".")
    if not dot or ":" in days:
        days, rest = "0", text
    parts = rest.split(":")
    if len(parts) != 3:
        raise ValueError(f"not a time span: {text!r}")
    hours, minutes, seconds = int(parts[0]), int(parts[1]), float(parts[2])
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 60):
        raise ValueError(f"not a time span: {text!r}")
    return int(days) * 86400 + hours * 3600 + minutes * 60 + seconds


def load(app_folder: Path, settings: Mapping[str, str]) -> HostConfig:
    """Read ``host.json``; the real host creates a missing one, so missing means defaults.

    Raises
    ------
    HostConfigError
        If the file is not a JSON object or holds a value that cannot be used.
    """
    path = app_folder / "host.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8")) if path.exists() else DEFAULT_HOST_JSON
        if not isinstance(raw, dict):
            raise ValueError("not an object")
        return _parse(raw, settings)
    except (ValueError, TypeError, AttributeError) as error:
        raise HostConfigError(
            f"Microsoft.Azure.WebJobs.Script: Unable to parse host configuration file '{path}'."
            f" {error}"
        ) from error


def _parse(raw: Mapping[str, Any], settings: Mapping[str, str]) -> HostConfig:
    extensions = raw.get("extensions", {})
    http = extensions.get("http", {})
    hubs = extensions.get("eventHubs", {})
    timeout = raw.get("functionTimeout", "00:30:00")
    initial = hubs.get("initialOffsetOptions", {}).get("type", "fromStart")
    if initial.lower() not in ("fromstart", "fromend"):
        raise ValueError(f"initialOffsetOptions.type {initial!r} is not fromStart or fromEnd")
    return HostConfig(
        route_prefix=http.get("routePrefix", "api").strip("/"),
        custom_headers=dict(http.get("customHeaders", {})),
        max_outstanding_requests=int(http.get("maxOutstandingRequests", -1)),
        function_timeout=None if timeout in (None, "-1") else timespan(timeout),
        max_event_batch_size=int(hubs.get("maxEventBatchSize", 100)),
        batch_checkpoint_frequency=int(hubs.get("batchCheckpointFrequency", 1)),
        initial_offset="fromEnd" if initial.lower() == "fromend" else "fromStart",
        durable_task={
            key: resolve(value, settings) if isinstance(value, str) else value
            for key, value in extensions.get("durableTask", {}).items()
        },
    )


def resolve(text: str, settings: Mapping[str, str]) -> str:
    """Replace each ``%NAME%`` by the application setting of that name.

    Raises
    ------
    ValueError
        If a setting is missing.
    """
    parts = text.split("%")
    if len(parts) % 2 == 0:
        return text
    for index in range(1, len(parts), 2):
        name = parts[index]
        if name not in settings:
            raise ValueError(f"'%{name}%' does not resolve to a value.")
        parts[index] = settings[name]
    return "".join(parts)
