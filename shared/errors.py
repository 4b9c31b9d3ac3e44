"""The one error tree.

::

    BorsaError
    ├── ConfigurationError        settings are missing or wrong; names every problem at once
    ├── InvalidInput              a caller's input is wrong; nothing was changed
    │   ├── CodeRefused           a code of the second factor is wrong, used, or the factor locked
    │   ├── TooManyRequests       asked too often; again after ``retry_after`` seconds
    │   ├── NotSignedIn           no session, or one that is over
    │   ├── NotAllowed            signed in, but the role does not allow it
    │   └── SignInRefused         a sign-in that does not prove who somebody is
    ├── StoreError
    │   ├── NotFound              no such document
    │   ├── AlreadyExists         id or unique key is taken
    │   ├── Conflict              ETag or patch condition no longer holds
    │   └── StoreUnavailable      throttled, timed out, disk full; the outcome may be unknown
    ├── ExchangeError             carries Binance's ``code`` and the HTTP ``status``
    │   ├── ExchangeRejected      final: the venue refused, nothing happened
    │   ├── ExchangeThrottled     known not executed; retry after ``retry_after`` seconds
    │   ├── ExchangeUnavailable   known not executed; the venue cannot be used right now
    │   ├── OutcomeUnknown        the request may or may not have been executed: query, never guess
    │   └── ExchangeHalted        keys, ban or compliance: no new exposure until a human looked
    ├── ServiceError              an outside service (language model, Azure AI, feed); ``status``
    │   ├── ServiceRefused        final for this request: wrong key, unknown model, bad content
    │   ├── ServiceThrottled      asked too often; again after ``retry_after`` seconds
    │   └── ServiceUnavailable    no usable answer; ``sent``: the work may have been done
    ├── IdentityUnavailable       Entra ID cannot be asked, or does not answer as it should
    ├── KillSwitchLatched         no order that adds exposure may be sent
    ├── MarketDataError           a candle is out of order, doubled with other values, or missing
    ├── JobError
    │   ├── JobRefused            the training job was not started, for certain
    │   └── JobUnknown            it may or may not have been started
    └── AuditBroken               the hash chain does not verify
"""

from __future__ import annotations

from collections.abc import Sequence


class BorsaError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigurationError(BorsaError):
    """Settings that cannot be used.

    Parameters
    ----------
    problems : sequence of str
        One sentence per problem, each naming the setting and what to set.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class InvalidInput(BorsaError):
    """Input from outside that is refused; nothing was changed."""


class CodeRefused(InvalidInput):
    """A code of the second factor is wrong, was used already, or the factor is locked."""


class TooManyRequests(InvalidInput):
    """Asked too often; the same request may succeed later.

    Parameters
    ----------
    message : str
    retry_after : float
        Seconds until it may, 0 where that is not known.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSignedIn(InvalidInput):
    """There is no session, or it is over."""


class NotAllowed(InvalidInput):
    """Somebody is signed in whose role does not allow this, or the request was not meant."""


class SignInRefused(InvalidInput):
    """A sign-in that does not prove who somebody is; the reason names no secret."""


class StoreError(BorsaError):
    """A document operation that did not happen as asked."""


class NotFound(StoreError):
    """No document with that id in that partition."""


class AlreadyExists(StoreError):
    """The id, or a unique key, is taken."""


class Conflict(StoreError):
    """The ETag or the patch condition no longer holds; read again and decide again."""


class StoreUnavailable(StoreError):
    """The store is throttling, unreachable or full; a write may or may not have happened."""


class ExchangeError(BorsaError):
    """A request the exchange did not simply answer.

    Parameters
    ----------
    message : str
    code : int
        Binance's error code, 0 where there was none.
    status : int
        HTTP status, 0 where no response arrived.
    retry_after : float
        Seconds to wait before any further request, 0 where the venue named none.
    """

    def __init__(
        self, message: str, *, code: int = 0, status: int = 0, retry_after: float = 0.0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after


class ExchangeRejected(ExchangeError):
    """Final for this request: refused, nothing happened."""


class ExchangeThrottled(ExchangeError):
    """Known not executed; wait ``retry_after`` and send again."""


class ExchangeUnavailable(ExchangeError):
    """Known not executed; the venue cannot be used right now."""


class OutcomeUnknown(ExchangeError):
    """May or may not have been executed; query by client id before anything else."""


class ExchangeHalted(ExchangeError):
    """Bad key, ban or compliance restriction: stop opening and alert a human.

    ``retry_after`` is above 0 where it ends by itself (a ban). The reaction is
    :func:`shared.execution.halting.heed`.
    """


class ServiceError(BorsaError):
    """An outside service other than exchange and store did not answer as asked.

    Parameters
    ----------
    message : str
    status : int
        HTTP status, 0 where no response arrived.
    retry_after : float
        Seconds that it asks to wait, 0 where it named none.
    sent : bool
        Whether the service may have done the work, and may charge for it.
    """

    def __init__(
        self, message: str, *, status: int = 0, retry_after: float = 0.0, sent: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.sent = sent


class ServiceRefused(ServiceError):
    """Final for this request: the service refused it."""


class ServiceThrottled(ServiceError):
    """Asked too often; nothing was done."""


class ServiceUnavailable(ServiceError):
    """No usable answer."""


class IdentityUnavailable(BorsaError):
    """The identity provider cannot be asked, or its answer cannot be used. Sessions go on."""


class KillSwitchLatched(BorsaError):
    """The kill switch is latched or halted; nothing that adds exposure may be sent."""


class MarketDataError(BorsaError):
    """Market data that cannot be used: gap, disorder, contradiction."""


class JobError(BorsaError):
    """A training job that was not started as asked."""


class JobRefused(JobError):
    """It was not started, for certain."""


class JobUnknown(JobError):
    """It may or may not have been started; starting again may run it twice."""


class AuditBroken(BorsaError):
    """The audit chain does not verify."""
