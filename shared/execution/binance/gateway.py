"""One request to Binance: budget, clock, sending, judging the answer, sending again if safe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from shared.clock import Clock
from shared.errors import (
    ExchangeError,
    ExchangeHalted,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
    OutcomeUnknown,
)
from shared.execution.binance import endpoints
from shared.execution.binance.answers.decoding import Unreadable
from shared.execution.binance.budget import RateBudget
from shared.execution.binance.client import Answer, ClientPool
from shared.execution.binance.endpoints import Endpoint, Priority
from shared.execution.binance.errors import Reaction, Rule, banned_until, classify, scrubbed
from shared.execution.binance.server_clock import ServerClock
from shared.execution.elapsed import Elapsed

T = TypeVar("T")

#: Pauses before the second, third and fourth attempt, seconds.
BACKOFF = (0.2, 0.4, 0.8)
#: No further attempt once a request has taken this long: callers have deadlines of their own.
PATIENCE_MS = 3_000


class _ErrorBody(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


_ERROR_BODY = msgspec.json.Decoder(_ErrorBody, strict=False)
_TIME = msgspec.json.Decoder(_Time)


def _server_time(body: bytes) -> int:
    try:
        return _TIME.decode(body).server_time
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None


def unreadable(endpoint: Endpoint) -> ExchangeError:
    """A success whose body cannot be read: executed, but with which result is unknown."""
    text = f"{endpoint.verb} {endpoint.path}: unreadable answer"
    return ExchangeUnavailable(text) if endpoint.query else OutcomeUnknown(text)


class Gateway:
    """Sends requests and turns every way they can fail into the one error tree.

    A request is sent again only where that cannot add exposure: queries, cancels and settings
    always, orders only when they reduce, and only when the first one is known not to have been
    executed. Everything else is the caller's decision.

    With ``views`` it serves those who only look: whatever they ask has that priority in the rate
    budget, and nothing is sent that could change the account.
    """

    def __init__(
        self,
        clients: ClientPool,
        clock: Clock,
        server: ServerClock,
        budget: RateBudget,
        *,
        on_stale_filters: Callable[[], None],
        views: Priority | None = None,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._server = server
        self._budget = budget
        self._on_stale_filters = on_stale_filters
        self._views = views
        self._lock = threading.Lock()
        self._bad_signatures = 0

    def call(
        self,
        endpoint: Endpoint,
        params: Mapping[str, object] | None = None,
        *,
        weight: int | None = None,
        priority: Priority | None = None,
        until: int | None = None,
    ) -> bytes:
        """The body of a successful answer; empty where the wish was already reality.

        Parameters
        ----------
        until : int, optional
            Our time, UTC ms, after which nothing is sent, not even again after a refusal. What may
            add exposure is held to the same moment of the exchange's time as well: a process that
            was frozen, its clock with it, learns from the refusal how late it is. A clock that is
            set back meanwhile gives no more time than was left when it was called.

        Raises
        ------
        ExchangeError
            One of its subclasses, as the table in :mod:`shared.execution.binance.errors` says.
        """
        sent = params or {}
        cost = endpoint.weight if weight is None else weight
        rank = endpoint.priority if priority is None else priority
        if self._views is not None:
            if not endpoint.query:
                raise ExchangeRejected(
                    f"{endpoint.verb} {endpoint.path}: not sent, this only looks"
                )
            rank = self._views
        passed = Elapsed(self._clock)
        left = None if until is None else until - self._clock.now_ms()

        def late(after_ms: float = 0) -> bool:
            if until is None or left is None:
                return False
            # By both: what our clock has slept through, the steady one may have missed.
            ours = self._clock.now_ms() + after_ms > until
            return ours or passed.ms() + after_ms > left

        if endpoint.signed:
            self._know_the_time(endpoint)
        again = endpoint.idempotent or rank is Priority.EXIT
        resynced = False
        pauses = iter(BACKOFF if again else ())
        if late():
            raise ExchangeUnavailable(f"{endpoint.path}: not sent, its time is over")
        over = None if left is None else self._server.now_ms() + left - passed.ms()
        while True:
            result = self._attempt(endpoint, sent, cost, rank)
            if isinstance(result, bytes):
                return result
            error, rule = result
            if rule is not None and rule.resync and not resynced:
                # Refused for its timestamp, hence not executed: the same id may go again.
                resynced = True
                self.synchronise()
                if late():
                    raise error
                if over is not None and not again and self._server.now_ms() > over:
                    raise error
                continue
            pause = next(pauses, None)
            if pause is None or not _resendable(error) or passed.ms() >= PATIENCE_MS:
                raise error
            if late(pause * 1000):
                raise error
            self._clock.sleep(pause)

    def fetch(
        self,
        endpoint: Endpoint,
        reader: Callable[[bytes], T],
        params: Mapping[str, object] | None = None,
        *,
        weight: int | None = None,
        priority: Priority | None = None,
        until: int | None = None,
    ) -> T:
        """:meth:`call`, and its body through a reader of :mod:`~.answers`.

        Raises
        ------
        ExchangeUnavailable, OutcomeUnknown
            Also when the body of a success cannot be understood (query, change).
        """
        body = self.call(endpoint, params, weight=weight, priority=priority, until=until)
        try:
            return reader(body)
        except Unreadable:
            pass
        raise unreadable(endpoint)

    def synchronise(self) -> int:
        """Measure the exchange's clock; returns its time in UTC milliseconds."""
        return self.fetch(endpoints.TIME, _server_time)

    def _know_the_time(self, endpoint: Endpoint) -> None:
        # An order is not delayed for a clock that is merely old; -1021 would tell.
        if self._server.stale if endpoint.query else not self._server.measured:
            self.synchronise()

    def _attempt(
        self, endpoint: Endpoint, params: Mapping[str, object], cost: int, rank: Priority
    ) -> bytes | tuple[ExchangeError, Rule | None]:
        """Send once: the body, or what went wrong and the row that says so."""
        self._budget.reserve(weight=cost, orders=endpoint.orders, priority=rank)
        client = self._clients.get()
        sent_at, earliest = self._clock.now_ms(), self._server.signing_ms()
        failure: ExchangeError | None = None
        try:
            answer: Answer = getattr(client, endpoint.call)(**params)
        except OSError as error:
            # requests' errors are OSErrors; their text holds the signed URL.
            failure = _transport_failure(endpoint, error)
        if failure is not None:
            # Raised by the caller, outside the handler, so that no context with URLs hangs on it.
            return failure, None
        self._budget.learn(answer.headers, sent_ms=earliest)
        body = answer.body
        if 200 <= answer.status < 300 and body and not body.startswith(b'{"code":-'):
            if endpoint is endpoints.TIME:
                self._learn_time(body, sent_at)
            elif endpoint.signed:
                self._bad_signatures = 0
            self._budget.passed()
            return body
        return self._judge(endpoint, answer)

    def _learn_time(self, body: bytes, sent_at: int) -> None:
        received = self._clock.now_ms()
        try:
            server_time = _server_time(body)
        except Unreadable:
            return  # the reader of the same body says so
        self._server.learn(sent=sent_at, received=received, server_time=server_time)

    def _judge(self, endpoint: Endpoint, answer: Answer) -> bytes | tuple[ExchangeError, Rule]:
        code, message = _error_of(answer.body)
        rule = classify(answer.status, code, message)
        if rule.raises is None:
            return b""
        raises = rule.raises
        retry_after = self._block(rule, answer, message)
        if rule.keys:
            self._clients.renew()
        if rule.filters:
            self._on_stale_filters()
        if code == -1022:
            with self._lock:
                self._bad_signatures += 1
                if self._bad_signatures > 1:
                    raises = ExchangeHalted
        if endpoint.query and raises is OutcomeUnknown:
            # A query has no outcome that could be unknown.
            raises = ExchangeUnavailable
        text = scrubbed(message) if code else f"{len(answer.body)} bytes without an error code"
        return (
            raises(
                f"{endpoint.verb} {endpoint.path}: {rule.meaning} "
                f"(HTTP {answer.status}, code {code}: {text})",
                code=code,
                status=answer.status,
                retry_after=retry_after,
            ),
            rule,
        )

    def _block(self, rule: Rule, answer: Answer, message: str) -> float:
        """Keep quiet as long as the answer asks; returns the seconds."""
        if not rule.block_seconds:
            return 0.0
        now = self._server.now_ms()
        seconds = _retry_after(answer.headers)
        until = now + round((rule.block_seconds if seconds is None else seconds) * 1000)
        named = banned_until(message)
        if named is not None:
            until = max(named, until if seconds is not None else named)
        self._budget.block(
            until,
            banned=rule.reaction is Reaction.HALT,
            orders_only=rule.orders_only,
            walled=rule.walled,
        )
        return max(0, until - now) / 1000


def _resendable(error: ExchangeError) -> bool:
    return isinstance(error, ExchangeUnavailable | ExchangeThrottled) and not error.retry_after


def _error_of(body: bytes) -> tuple[int, str]:
    """Code and message; code 0 and the text where the body is no error object."""
    try:
        decoded = _ERROR_BODY.decode(body)
    except msgspec.MsgspecError:
        return 0, body[:2000].decode("utf-8", "replace")
    return decoded.code, decoded.msg


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After") or headers.get("retry-after")
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None  # an HTTP date, which Binance does not send


def _transport_failure(endpoint: Endpoint, error: OSError) -> ExchangeError:
    """What a failed exchange of bytes means, told without the URL."""
    what = f"{endpoint.verb} {endpoint.path}: {type(error).__name__}"
    if endpoint.query:
        return ExchangeUnavailable(what)
    if _never_sent(error):
        return ExchangeUnavailable(f"{what}, no connection was made")
    return OutcomeUnknown(f"{what}, the answer was lost")


def _never_sent(error: OSError) -> bool:
    """Whether the connection failed before a byte of the request could leave."""
    import requests
    from urllib3.exceptions import NewConnectionError

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)
