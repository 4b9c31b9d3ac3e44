"""Event Hubs as the sink: batches of one partition key, opened by the container's identity."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from streamer.publisher import SinkUnavailable

log = logging.getLogger("streamer.eventhubs")

#: Seconds for one batch, connecting included; and for a goodbye.
_SEND_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


class EventHubs:
    """Sends events to the hubs of a namespace.

    A batch that was sent and not acknowledged is sent again, by the SDK or by us: delivery is at
    least once, and the consumers are written for that.

    Parameters
    ----------
    namespace : str
        ``name.servicebus.windows.net``; empty with a connection string.
    client_id : str
        User-assigned identity; empty for the default credential chain.
    connection_string : str
        Of the emulator.
    """

    def __init__(self, namespace: str, *, client_id: str = "", connection_string: str = "") -> None:
        self._namespace = namespace
        self._client_id = client_id
        self._connection_string = connection_string
        self._credential: Any = None
        self._producers: dict[str, Any] = {}

    async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
        """Send as many of the first events as one batch takes.

        Raises
        ------
        SinkUnavailable
        """
        from azure.core.exceptions import AzureError
        from azure.eventhub import EventData
        from azure.eventhub.exceptions import EventHubError

        try:
            # The SDK has time-outs of its own, and yet can wait for an answer for ever.
            async with asyncio.timeout(_SEND_SECONDS):
                producer = self._producer(hub)
                batch = await producer.create_batch(partition_key=key)
                for body in bodies:
                    event = EventData(body)
                    event.content_type = "application/json"
                    try:
                        batch.add(event)
                    except ValueError:
                        # Full: the rest goes with the next one.
                        break
                if not len(batch):
                    raise SinkUnavailable(f"an event of {len(bodies[0])} bytes fits no batch")
                await producer.send_batch(batch)
                return len(batch)
        except (EventHubError, AzureError, OSError, TimeoutError) as error:
            await self._drop(hub)
            # Their text may hold a token or an address with a signature; the type says enough.
            condition = getattr(error, "error", None)
            more = f" ({condition})" if isinstance(condition, str) else ""
            raise SinkUnavailable(f"Event Hubs: {type(error).__name__}{more}") from None

    async def close(self) -> None:
        """Close every connection."""
        for hub in list(self._producers):
            await self._drop(hub)
        if self._credential is not None:
            await self._credential.close()

    def _producer(self, hub: str) -> Any:
        if hub not in self._producers:
            from azure.eventhub.aio import EventHubProducerClient

            # Few attempts inside: we wait ourselves, and start with a new connection.
            options = {"retry_total": 1, "send_timeout": 15, "auth_timeout": 15}
            if self._connection_string:
                self._producers[hub] = EventHubProducerClient.from_connection_string(
                    self._connection_string, eventhub_name=hub, **options
                )
            else:
                self._producers[hub] = EventHubProducerClient(
                    self._namespace, hub, self._identity(), **options
                )
        return self._producers[hub]

    def _identity(self) -> Any:
        if self._credential is None:
            from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

            self._credential = (
                ManagedIdentityCredential(client_id=self._client_id)
                if self._client_id
                else DefaultAzureCredential()
            )
        return self._credential

    async def _drop(self, hub: str) -> None:
        """Forget a connection that failed: a broken one does not heal by waiting."""
        producer = self._producers.pop(hub, None)
        if producer is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await producer.close()
        except Exception as error:  # noqa: BLE001 - it is given up in any case
            log.info("closing the connection to %s: %s", hub, type(error).__name__)
