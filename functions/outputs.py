"""Event Hub outputs of functions: one decorator, one way to fill them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import azure.functions as func
import msgspec

from functions.annotations import Messages
from functions.durable import df

#: Setting prefix of the Event Hubs namespace.
CONNECTION = "EventHubConnection"
#: Setting prefix of the SignalR service, and the hub of the dashboard.
SIGNALR_CONNECTION = "AzureSignalRConnectionString"
SIGNALR_HUB = "dashboard"

if TYPE_CHECKING:

    class Events(Protocol):
        """An Event Hub output binding."""

        def set(self, value: list[str]) -> None: ...

else:
    Events = func.Out[Messages]


def shows(bp: df.Blueprint) -> Callable[[Any], Any]:
    """Give a function the output ``dashboard``, for what :func:`signalr` makes."""
    decorate: Callable[[Any], Any] = bp.generic_output_binding(
        arg_name="dashboard",
        type="signalR",
        hub_name=SIGNALR_HUB,
        connection_string_setting=SIGNALR_CONNECTION,
    )
    return decorate


def emits(bp: df.Blueprint) -> Callable[[Any], Any]:
    """Give a function the outputs ``executions``, ``risk`` and ``compliance``."""

    def decorate(function: Any) -> Any:
        for hub in ("executions", "risk", "compliance"):
            function = bp.event_hub_output(arg_name=hub, event_hub_name=hub, connection=CONNECTION)(
                function
            )
        return function

    return decorate


def flush(outbox: Any, executions: Events, risk: Events, compliance: Events) -> None:
    """Hand an outbox to the three outputs; an empty list sends nothing."""
    for output, events in (
        (executions, outbox.executions),
        (risk, outbox.risk),
        (compliance, outbox.compliance),
    ):
        if events:
            output.set([msgspec.json.encode(e).decode() for e in events])


def signalr(target: str, *arguments: Any) -> str:
    """One SignalR message for every dashboard."""
    return msgspec.json.encode({"target": target, "arguments": list(arguments)}).decode()
