"""HTTP for downloads: polite, patient, resumable.

Answers 429 are waited out as long as they say, 418 (banned) ends the download at once: whatever
is sent during a ban makes it longer. Lost connections and 5xx are tried again with growing pauses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import requests

from shared.clock import Clock, iso
from shared.errors import (
    ExchangeHalted,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
    MarketDataError,
)
from shared.execution.binance.budget import RateBudget
from shared.execution.binance.endpoints import Priority

#: Seconds to connect, and between two packets.
TIMEOUT = (10, 30)
#: Tries of one request, with pauses of 1, 2, 4 ... seconds between them.
ATTEMPTS = 6
#: Longest wait that an answer 429 may ask for.
PATIENCE_S = 600
#: What is lost at most of a file when its connection is cut.
_CHUNK = 1 << 12

T = TypeVar("T")


class _Again(Exception):
    """This try failed in a way that another may not."""


class Http:
    """Requests to the archive and to the REST interface.

    Parameters
    ----------
    session : requests.Session
    clock : Clock
    budget : RateBudget
        Of request weight; every REST request is taken from it.
    """

    def __init__(self, session: requests.Session, clock: Clock, budget: RateBudget) -> None:
        self._session = session
        self._clock = clock
        self._budget = budget
        self.requests = 0
        self.bytes = 0

    def json(self, url: str, params: Mapping[str, Any], *, weight: int) -> Any:
        """A REST answer.

        Raises
        ------
        ExchangeRejected
            Refused for good, for example an unknown symbol.
        ExchangeHalted
            Banned, or this location is not served.
        ExchangeThrottled, ExchangeUnavailable
            Not to be had now; what was fetched before is kept.
        """

        def once() -> Any:
            self._reserve(weight)
            sent = self._clock.now_ms()
            response = self._get(url, params=dict(params))
            self._budget.learn(response.headers, sent_ms=sent)
            if response.status_code == 200:
                try:
                    return response.json()
                except requests.JSONDecodeError as error:
                    raise _Again(f"the answer is no JSON: {error}") from error
            raise self._refusal(response, url)

        return self._patiently(once, url)

    def text(self, url: str) -> str | None:
        """A small text file, or ``None`` where there is none."""

        def once() -> str | None:
            response = self._get(url)
            if response.status_code == 404:
                return None
            if response.status_code == 200:
                return response.text
            raise self._refusal(response, url)

        return self._patiently(once, url)

    def file(self, url: str, target: Path, sha256: str) -> bytes:
        """Content of a file whose SHA-256 is known; ``target`` keeps it and resumes it.

        Raises
        ------
        MarketDataError
            When what arrives does not have that SHA-256, twice.
        ExchangeUnavailable
            When it does not arrive whole; the next call goes on where this one stopped.
        """
        if target.exists():
            content = target.read_bytes()
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
            target.unlink()
        part = target.with_name(f"{target.name}.part")
        for _ in range(2):
            # A part of an earlier version of the file fails here and is then fetched anew.
            self._patiently(lambda: self._continue(url, part), url)
            content = part.read_bytes()
            if hashlib.sha256(content).hexdigest() == sha256:
                part.replace(target)
                return content
            part.unlink()
        raise MarketDataError(
            f"{url}: the content does not match its checksum ({sha256[:16]}…), twice; "
            "try again later, or use --source rest"
        )

    def _continue(self, url: str, part: Path) -> None:
        """Append what is still missing of a file."""
        held = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={held}-"} if held else {}
        response = self._get(url, headers=headers, stream=True)
        try:
            if response.status_code == 416 and held:  # nothing is missing, or it became shorter
                return
            if response.status_code not in (200, 206):
                raise self._refusal(response, url)
            with part.open("ab" if response.status_code == 206 else "wb") as out:
                for chunk in response.iter_content(_CHUNK):
                    out.write(chunk)
                    self.bytes += len(chunk)
        except requests.RequestException as error:
            raise _Again(str(error)) from error
        finally:
            response.close()

    def _get(self, url: str, **options: Any) -> requests.Response:
        self.requests += 1
        try:
            return self._session.get(url, timeout=TIMEOUT, **options)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise _Again(f"the connection was cut: {error}") from error
        except requests.RequestException as error:
            raise ExchangeUnavailable(f"{url}: {error}") from error

    def _reserve(self, weight: int) -> None:
        """Wait until the budget allows the request."""
        while True:
            try:
                self._budget.reserve(weight=weight, orders=0, priority=Priority.DATA)
            except ExchangeThrottled as full:
                self._clock.sleep(full.retry_after)
            else:
                return

    def _refusal(self, response: requests.Response, url: str) -> Exception:
        status = response.status_code
        wait = _seconds(response.headers.get("Retry-After"))
        if status == 429:
            wait = 60.0 if wait is None else wait
            if wait > PATIENCE_S:
                return ExchangeThrottled(
                    f"{url}: asked to wait {wait:.0f} s; run the same command again after that, "
                    "it goes on where it stopped",
                    status=status,
                    retry_after=wait,
                )
            self._budget.block(self._clock.now_ms() + int(wait * 1000))
            self._clock.sleep(wait)
            return _Again(f"asked to wait {wait:.0f} s")
        if status == 418:
            wait = 120.0 if wait is None else wait
            until = self._clock.now_ms() + int(wait * 1000)
            self._budget.block(until, banned=True)
            return ExchangeHalted(
                f"banned by the venue until {iso(until)}; run the same command again after that, "
                "it goes on where it stopped",
                status=status,
                retry_after=wait,
            )
        if status in (403, 451):
            return ExchangeHalted(
                f"{url}: refused with {status}; the venue does not serve this address or location "
                "(where only REST is refused, --source archive still works)",
                status=status,
            )
        if status >= 500 or status == 408:
            return _Again(f"status {status}")
        code, message = _error(response)
        return ExchangeRejected(f"{url}: {status} {message}", code=code, status=status)

    def _patiently(self, once: Callable[[], T], url: str) -> T:
        pause = 1.0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return once()
            except _Again as failure:
                if attempt == ATTEMPTS:
                    raise ExchangeUnavailable(
                        f"{url}: {failure} ({ATTEMPTS} tries); run the same command again, it "
                        "goes on where it stopped"
                    ) from failure
                self._clock.sleep(pause)
                pause = min(2 * pause, 30.0)
        raise AssertionError("unreachable")


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.strip().isdigit() else None


def _error(response: requests.Response) -> tuple[int, str]:
    try:
        body = response.json()
        return int(body["code"]), str(body["msg"])
    except (requests.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0, response.text[:100]
