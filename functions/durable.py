"""Microsoft's Durable SDK as the app's functions use it: imported fast, its client made late.

The SDK's client speaks HTTP through aiohttp, a third of the time that importing this app takes
at a cold start. The module that needs it names it while it is imported only in annotations, so
it is given a stand-in that becomes the real aiohttp when something of it is used. Everybody else
who imports aiohttp gets the real one.
"""

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import azure.durable_functions as df

__all__ = ["df", "start_once", "starts_workflows"]


class _Later(ModuleType):
    """Stands in for a module until it is used.

    Parameters
    ----------
    name : str
        The module.
    annotations : str
        Names that are not a use while ``importing`` is true, because only annotations read them.
    """

    def __init__(self, name: str, *annotations: str) -> None:
        super().__init__(name)
        self.annotations = annotations
        self.importing = True

    def __getattr__(self, name: str) -> Any:
        if self.importing and name in self.annotations:
            return f"{self.__name__}.{name}"  # a forward reference
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _imported() -> ModuleType:
    name = "azure.durable_functions"
    if "aiohttp" in sys.modules or name in sys.modules:
        return importlib.import_module(name)
    aiohttp = sys.modules["aiohttp"] = _Later("aiohttp", "ClientSession")
    try:
        return importlib.import_module(name)
    finally:
        aiohttp.importing = False
        if sys.modules.get("aiohttp") is aiohttp:
            del sys.modules["aiohttp"]


if not TYPE_CHECKING:
    df = _imported()


def starts_workflows(bp: "df.Blueprint") -> Callable[[Any], Any]:
    """Give a function the durable client as ``client: str``, for :func:`start_once`.

    The same binding as ``durable_client_input`` declares. That makes a client of it before every
    call; functions that run every minute and start something once a day do it when they do.
    """
    decorate: Callable[[Any], Any] = bp.generic_input_binding(
        arg_name="client", type="durableClient"
    )
    return decorate


async def start_once(
    client: str, workflow: str, instance_id: str, payload: Any, within: float | None = None
) -> bool:
    """Start an orchestration unless one with this id is running.

    ``start_new`` refuses a running id by raising and runs a finished one again; the workflows are
    written against the latter (every effect has an intent of its own).

    Parameters
    ----------
    client : str
        The value of the binding that :func:`starts_workflows` declares.
    within : float, optional
        Seconds to wait for the answer, of whoever does it himself where there is none. By itself
        the request ends after five minutes. The workflow may have been started all the same.

    Raises
    ------
    Exception
        It could not be started; :class:`TimeoutError` where that is not known.
    """
    starting = df.DurableOrchestrationClient(client).start_new(workflow, instance_id, payload)
    try:
        await asyncio.wait_for(starting, within)
    except Exception as error:
        # The SDK raises a bare Exception with the extension's text; only this one is expected.
        if "already exists" not in str(error).lower():
            raise
        logging.getLogger("borsa").info("%s %s is running already", workflow, instance_id)
        return False
    return True
