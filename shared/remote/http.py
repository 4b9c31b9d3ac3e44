"""One request to an outside service: bounded in time and size, patient with 429, never followed.

A redirect is an answer like any other: the key in a header goes to the address it was meant for
and to no other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from shared.clock import Clock
from shared.errors import ServiceThrottled, ServiceUnavailable

#: Seconds to connect, and between two packets of an answer.
CONNECT_S, PACKET_S = 5.0, 30.0
#: Tries of one request.
ATTEMPTS = 3
#: Seconds of the first pause where the service names none; doubled with each try.
PAUSE_S = 1.0
#: Longest pause that a caller waits out; a longer one is the caller's to decide upon.
PATIENCE_S = 15.0

_CHUNK = 1 << 16
#: What urllib3 names when it never had a connection.
_NOT_SENT = re.compile("NewConnectionError|NameResolutionError|ConnectTimeoutError")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RemoteHttp:
    """Requests to one service.

    Parameters
    ----------
    service : str
        What it is called in errors.
    clock : Clock
    limit_s : float
        Seconds for a whole call, its pauses and repetitions included.
    most_bytes : int
        A longer answer is refused unread.
    session : optional
        What sends the requests, by default a ``requests.Session`` without proxies of the
        environment.
    """

    def __init__(
        self,
        service: str,
        clock: Clock,
        *,
        limit_s: float = 60.0,
        most_bytes: int = 4 << 20,
        session: Any = None,
    ) -> None:
        self.service = service
        self._clock = clock
        self._limit_ms = round(limit_s * 1000)
        self._most = most_bytes
        self._session = session

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Send a request; an answer below 500 other than 408 and 429 is the caller's to judge.

        Parameters
        ----------
        repeatable : bool
            Whether it may be sent again when its answer was lost. What was refused (429, 503) or
            never sent is repeated in any case.

        Raises
        ------
        ServiceThrottled
            Refused, and the pause asked for is longer than a caller waits.
        ServiceUnavailable
            No usable answer; ``sent`` says whether the service may have done the work.
        """
        until = self._clock.now_ms() + self._limit_ms
        pause = PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._once(method, url, headers or {}, body, until)
            except ServiceUnavailable as error:
                if error.sent and not repeatable:
                    raise
                failure: ServiceUnavailable | ServiceThrottled = error
            else:
                if answer.status < 500 and answer.status not in (408, 429):
                    return answer
                failure = self._refused(answer)
                if failure.sent and not repeatable:
                    raise failure
            wait = failure.retry_after or pause
            pause *= 2
            left = (until - self._clock.now_ms()) / 1000
            if attempt == ATTEMPTS or wait > min(PATIENCE_S, left):
                raise failure
            self._clock.sleep(wait)
        raise AssertionError("unreachable")

    def _refused(self, answer: Answer) -> ServiceUnavailable | ServiceThrottled:
        wait = retry_after(answer.headers, self._clock.now_ms())
        if answer.status == 429:
            told = f"; it asks for a pause of {wait:.0f} s" if wait else ""
            return ServiceThrottled(
                f"{self.service} refuses requests for now (429){told}",
                status=429,
                retry_after=wait,
            )
        return ServiceUnavailable(
            f"{self.service} answered {answer.status}",
            status=answer.status,
            retry_after=wait,
            # 503 says that it was not done.
            sent=answer.status != 503,
        )

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        until: int,
    ) -> Answer:
        import requests

        from shared.remote.deadline import BoundedAdapter, Deadline

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = False
            for scheme in ("http://", "https://"):
                self._session.mount(scheme, BoundedAdapter())
        left = max(0.1, (until - self._clock.now_ms()) / 1000)
        with Deadline(left) as deadline:
            try:
                answer = self._sent(method, url, headers, body, left, until)
            except ServiceUnavailable:
                if not deadline.over:
                    raise
            # Cut in its headers an answer looks like a whole one that says nothing.
            if deadline.over:
                raise self._late(sent=deadline.asked)
            return answer

    def _sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        left: float,
        until: int,
    ) -> Answer:
        import requests
        import urllib3

        try:
            response = self._session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=(min(CONNECT_S, left), min(PACKET_S, left)),
                allow_redirects=False,
                stream=True,
            )
        except (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError) as error:
            raise self._lost(error, sent=False) from None
        except requests.exceptions.ConnectionError as error:
            raise self._lost(error, sent=not _NOT_SENT.search(str(error))) from None
        except (requests.RequestException, ValueError) as error:
            raise self._lost(error, sent=isinstance(error, requests.Timeout)) from None
        with response:
            try:
                content = self._read(response, until)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise self._lost(error, sent=True) from None
            return Answer(
                status=response.status_code,
                headers={k.lower(): v for k, v in response.headers.items()},
                body=content,
            )

    def _read(self, response: Any, until: int) -> bytes:
        parts, size = [], 0
        # What is there, and not a whole chunk: a service that sends a byte now and then would keep
        # us for as long as it likes.
        while part := response.raw.read1(_CHUNK, decode_content=True):
            size += len(part)
            if size > self._most:
                raise ServiceUnavailable(
                    f"{self.service} answered with more than {self._most} bytes; not read",
                    status=response.status_code,
                    sent=True,
                )
            if self._clock.now_ms() > until:
                raise self._late(sent=True)
            parts.append(part)
        return b"".join(parts)

    def _late(self, *, sent: bool) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{self.service} did not finish its answer in {self._limit_ms / 1000:.0f} s", sent=sent
        )

    def _lost(self, error: Exception, *, sent: bool) -> ServiceUnavailable:
        # Its text would have the address, and an address may hold a key.
        return ServiceUnavailable(
            f"{self.service} cannot be reached: {type(error).__name__}", sent=sent
        )


def retry_after(headers: Mapping[str, str], now_ms: int) -> float:
    """Seconds of the header ``Retry-After`` (a number or an HTTP date), 0 where it says nothing.

    Parameters
    ----------
    headers : mapping
        With names in lower case.
    now_ms : int
        UTC milliseconds.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now_ms / 1000
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
