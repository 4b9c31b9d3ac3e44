"""The smallest function host: the durable functions of an app object, called like the worker does.

Orchestrator and entity handles are the SDK's own. Activities get and give JSON through the SDK's
converter, run in a thread where the loop has threads.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import azure.durable_functions as df
from azure.durable_functions.models.utils.df_serialization import df_dumps, df_loads

_KINDS = {
    "orchestrationTrigger": "orchestrator",
    "entityTrigger": "entity",
    "activityTrigger": "activity",
}


class SdkFunctions:
    """`DurableFunctions` of a ``DFApp``."""

    def __init__(self, app: df.DFApp) -> None:
        self._functions: dict[str, dict[str, tuple[str, Callable[..., Any]]]] = {
            kind: {} for kind in _KINDS.values()
        }
        self.clients: dict[str, Callable[..., Any]] = {}
        for function in app.get_functions():
            trigger = function.get_trigger()
            kind = _KINDS.get(trigger.type)
            run = function.get_user_function()
            if kind is None:
                self.clients[function.get_function_name()] = run
                continue
            name = getattr(trigger, kind if kind != "orchestrator" else "orchestration", None)
            name = name or getattr(trigger, "entity_name", None) or function.get_function_name()
            self._functions[kind][name.lower()] = (name, run)

    def names(self, kind: str) -> list[str]:
        return [name for name, _ in self._functions[kind].values()]

    def _find(self, kind: str, name: str) -> Callable[..., Any] | None:
        found = self._functions[kind].get(name.lower())
        return None if found is None else found[1]

    def orchestrator(self, name: str) -> Callable[[str], str] | None:
        return self._find("orchestrator", name)

    def entity(self, name: str) -> Callable[[str], str] | None:
        return self._find("entity", name)

    def activity(self, name: str) -> Callable[[str], Awaitable[str]] | None:
        run = self._find("activity", name)
        if run is None:
            return None
        if inspect.iscoroutinefunction(run):

            async def call(text: str) -> str:
                return df_dumps(await run(df_loads(text)))

        else:

            async def call(text: str) -> str:
                loop = asyncio.get_running_loop()
                return df_dumps(await loop.run_in_executor(None, run, df_loads(text)))

        return call


def load_app(path: Path, name: str) -> Any:
    """Import an app's module from a file under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
