"""The embedded platform in one piece: event log, task hub and function host on one clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.clock import ScaledClock, VirtualClock
from local.durable.faults import FaultPolicy
from local.durable.hub import SqliteTaskHub
from local.eventlog import DeliveryPolicy, EventLog
from local.host.host import FunctionHost
from local.host.inputs import nobody
from local.signalr import SignalR
from shared import bootstrap
from shared.bootstrap import Services
from shared.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent

#: Keys of the simulated exchange and of the embedded second factor; worthless anywhere else.
SIMULATED_KEY = "simulated-key"
SIMULATED_SECRET = "simulated-secret"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

#: What the bindings of the app need here; names as in the deployed application.
BINDINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "EventHubConnection": "embedded",
    "AzureSignalRConnectionString": "embedded",
    "TASKHUB_NAME": "borsa",
    "DURABLE_TASK_SCHEDULER_CONNECTION_STRING": "embedded",
}


def app_settings(base_url: str, **overrides: str) -> dict[str, str]:
    """Application settings for trading on a simulated exchange."""
    return {
        **BINDINGS,
        "BINANCE_ENVIRONMENT": "simulated",
        "BINANCE_BASE_URL": base_url,
        "BINANCE_API_KEY": SIMULATED_KEY,
        "BINANCE_API_SECRET": SIMULATED_SECRET,
        "TOTP_SECRET": TOTP_SECRET,
        "TRADING_STAGE": "paper",
        **overrides,
    }


class Platform:
    """Runs the application of this repository.

    Parameters
    ----------
    clock : VirtualClock or ScaledClock
        The clock of the event loop it is started on.
    services : Services
        The application's ports; become those of the process while the platform exists.
    settings : mapping
        Application settings.
    state : Path, optional
        Folder for the platform's own databases; in memory without one.
    seed : int
        Ids of orchestrations follow from it.
    signalr : callable, optional
        Receives dashboard messages.
    live : SignalR, optional
        Receives them instead, and lets viewers in.
    delivery : DeliveryPolicy, optional
        Disturbs event delivery, for tests.
    faults : FaultPolicy, optional
        Disturbs activities, for tests.
    """

    def __init__(
        self,
        clock: VirtualClock | ScaledClock,
        services: Services,
        settings: Mapping[str, str],
        *,
        state: Path | None = None,
        seed: int = 0,
        signalr: Callable[[str, list[dict[str, Any]]], None] | None = None,
        live: SignalR | None = None,
        delivery: DeliveryPolicy | None = None,
        faults: FaultPolicy | None = None,
        base_url: str = "http://127.0.0.1:7071",
    ) -> None:
        def file(name: str) -> str:
            return ":memory:" if state is None else str(state / name)

        host_json = json.loads((ROOT / "host.json").read_text())
        self.clock = clock
        self.services = services
        self.event_log = EventLog(file("events.db"), clock=clock, partitions=2, policy=delivery)
        self.hub = SqliteTaskHub(
            file("taskhub.db"),
            clock=clock,
            name="borsa",
            settings=host_json.get("extensions", {}).get("durableTask", {}),
            seed=seed,
            faults=faults,
        )
        self.host = FunctionHost(
            ROOT,
            clock=clock,
            settings=settings,
            state_path=file("host.db"),
            hub=self.hub,
            event_log=self.event_log,
            signalr=live.send if live is not None else signalr,
            invite=live.invite if live is not None else nobody,
            base_url=base_url,
        )

    async def start(self) -> None:
        """Load the app and start its triggers.

        Raises
        ------
        ConfigurationError
            When a function could not be indexed: here nobody would notice that it is missing.
        """
        bootstrap.use(self.services)
        await self.host.start()
        problems = [*self.host.host_errors, *(f"{n}: {p}" for n, p in self.host.errors.items())]
        if problems or not self.host.functions:
            await self.stop()
            raise ConfigurationError(
                problems or ["no function could be indexed; the log says which one, and why"]
            )

    async def stop(self) -> None:
        """Let running work finish and close everything but the store."""
        await self.host.stop()
        self.event_log.close()
        bootstrap.use(None)
