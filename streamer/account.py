"""The account's own stream: a listen key, kept alive and made again when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

import aiohttp

from shared.errors import ExchangeError, ExchangeRejected
from streamer.connection import Connection
from streamer.events import account_event
from streamer.figures import Figures
from streamer.messages import KEY_EXPIRED, Unreadable, account_message
from streamer.outbox import Outbox
from streamer.rest import Rest
from streamer.timing import Backoff, Timing

log = logging.getLogger("streamer.account")

NAME = "private"
#: "This listenKey does not exist."
_NO_SUCH_KEY = -1125
#: Ids remembered, to recognise what two connections tell.
_REMEMBERED = 4096


class AccountFeed:
    """Receives news of the account and puts it into the outbox.

    The listen key is part of the address and opens the account's stream, so it is never logged.
    It is not given back at the end: the venue has one per account, and the next revision of the
    container, which runs already, uses the same.

    Parameters
    ----------
    rest : Rest
        With the API key.
    sockets_url : str
    outbox : Outbox
    http : aiohttp.ClientSession
    timing : Timing
    figures : Figures
    """

    def __init__(
        self,
        rest: Rest,
        sockets_url: str,
        outbox: Outbox,
        *,
        http: aiohttp.ClientSession,
        timing: Timing,
        figures: Figures,
    ) -> None:
        self._rest = rest
        self._sockets_url = sockets_url
        self._outbox = outbox
        self._timing = timing
        self._figures = figures
        self._told: OrderedDict[str, None] = OrderedDict()
        self.connection = Connection(
            NAME,
            self._address,
            self._receive,
            http=http,
            timing=timing,
            figures=figures,
            may_be_silent=True,
        )

    async def run(self) -> None:
        """Listen and keep the key alive until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.connection.run(), name=NAME)
            tasks.create_task(self._keep_alive(), name="listen key")

    async def _address(self) -> str:
        # The same key, renewed, for as long as the venue knows it; a new one afterwards.
        return f"{self._sockets_url}/private/ws?listenKey={await self._rest.listen_key()}"

    async def _receive(self, text: str) -> None:
        try:
            said = account_message(text)
        except Unreadable:
            # Not even the reason is logged: it may quote the account.
            self._figures.count("unreadable", NAME)
            log.warning("an unreadable message of the account's stream")
            return
        if said == KEY_EXPIRED:
            log.warning("the listen key has expired")
            await self.connection.restart()
        elif said is not None and not isinstance(said, str):
            if said.id in self._told:
                self._figures.count("account_repeated")
                return
            self._told[said.id] = None
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
            self._outbox.put(account_event(said))
            await self._outbox.room()

    async def _keep_alive(self) -> None:
        backoff = Backoff(self._timing.first_wait, self._timing.longest_wait)
        wait = self._timing.key_renewal
        while True:
            await asyncio.sleep(wait)
            try:
                await self._rest.renew_listen_key()
            except ExchangeRejected as error:
                wait = backoff.next()
                if error.code == _NO_SUCH_KEY:
                    # Nothing comes any more, and nobody says so.
                    log.warning("the listen key is gone")
                    await self.connection.restart()
                    wait = self._timing.key_renewal
                else:
                    log.error("the listen key is not renewed: %s", error)
            except ExchangeError as error:
                wait = max(backoff.next(), error.retry_after)
                log.warning("the listen key is not renewed: %s; again in %.1f s", error, wait)
            else:
                backoff.reset()
                wait = self._timing.key_renewal
