"""``python -m streamer``: the process of the container. Runs until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from shared.clock import SystemClock
from shared.errors import ConfigurationError
from shared.security.secrets import EnvironmentSecrets, KeyVaultSecrets
from streamer import logs
from streamer.app import Streamer
from streamer.eventhubs import EventHubs
from streamer.keys import api_key
from streamer.settings import EMULATOR, Settings, load

log = logging.getLogger("streamer")


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Run the streamer; the exit code: 2 for wrong settings, 1 if events were lost at the end."""
    logs.configure()
    try:
        settings = load(environment)
    except ConfigurationError as error:
        for problem in error.problems:
            log.error("%s", problem)
        return 2
    return 0 if asyncio.run(_run(settings, environment)) else 1


async def _run(settings: Settings, environment: Mapping[str, str]) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sink = EventHubs(
        settings.namespace,
        client_id=settings.azure_client_id,
        connection_string=environment.get(EMULATOR, "").strip(),
    )
    secrets = (
        KeyVaultSecrets(settings.key_vault_uri, SystemClock(), settings.azure_client_id)
        if settings.key_vault_uri
        else EnvironmentSecrets(environment)
    )
    streamer = Streamer(settings, sink, api_key=api_key(settings, secrets))
    log.info("%s: %s", settings.binance_environment, ", ".join(settings.streams))
    return await streamer.run(stop)


if __name__ == "__main__":
    sys.exit(main())
