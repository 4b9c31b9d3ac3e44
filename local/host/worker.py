"""The worker boundary: a function called with what Azure's Python worker would hand it.

Values cross the boundary through the converters of the azure-functions SDK itself, so a
function sees the same objects here and on Azure, and a result that Azure would refuse is
refused here with the same message.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import types
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.clock import VirtualLoop
from local.host.app import BindingSpec, FunctionSpec
from shared.clock import Clock

log = logging.getLogger("Host.Worker")


class FunctionTimeoutError(TimeoutError):
    """The function ran longer than ``functionTimeout`` of host.json."""


@dataclass
class Invocation:
    """One call of a function: what went in, what came out.

    ``inputs`` and ``trigger_metadata`` are functions because rendering them costs more than
    most invocations; tests and tools call them, the hot path never does.
    """

    id: str
    function: str
    started_ms: int
    inputs: Callable[[], Mapping[str, Any]]
    trigger_metadata: Callable[[], Mapping[str, Any]]
    ended_ms: int = 0
    return_value: Any = None
    outputs: list[tuple[BindingSpec, Any]] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def error_message(self) -> str | None:
        """The error as the worker reports it, ``ValueError: text``."""
        return None if self.error is None else f"{type(self.error).__name__}: {self.error}"


class Out:
    """Value holder of an output binding parameter (``func.Out``)."""

    _value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


@dataclass(frozen=True)
class TraceContext:
    trace_parent: str = ""
    trace_state: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    # Older worker releases call them so, and functions in the wild use both.
    @property
    def Traceparent(self) -> str:
        return self.trace_parent

    @property
    def Tracestate(self) -> str:
        return self.trace_state


@dataclass(frozen=True)
class RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0
    exception: Any = None

    def __str__(self) -> str:
        return (
            f"RetryContext(retry_count={self.retry_count},"
            f" max_retry_count={self.max_retry_count}, rpc_exception={self.exception or ''})"
        )


@dataclass(frozen=True)
class Context:
    """What a parameter named ``context`` receives (``func.Context``)."""

    invocation_id: str
    function_name: str
    function_directory: str
    thread_local_storage: threading.local
    trace_context: TraceContext = field(default_factory=TraceContext)
    retry_context: RetryContext = field(default_factory=RetryContext)


def _nothing() -> Mapping[str, Any]:
    return {}


class Worker:
    """Calls functions, one :class:`Invocation` each, and never lets their errors out.

    Parameters
    ----------
    clock : Clock
    timeout : float or None
        ``functionTimeout`` in seconds.
    dispatch : callable
        Takes an output binding and its encoded value; where outputs go.
    threads : int
        Size of the pool for synchronous functions (``PYTHON_THREADPOOL_THREAD_COUNT``).

    Notes
    -----
    On a timeout the real host restarts the worker process and everything running in it is
    lost. Here only the late invocation fails: an async function is cancelled, a synchronous
    one runs on in its thread without an observer.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        timeout: float | None,
        dispatch: Callable[[BindingSpec, Any], None],
        threads: int = 16,
    ) -> None:
        from azure.functions import meta

        self._clock = clock
        self._timeout = timeout
        self._dispatch = dispatch
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None
        self._converters = meta.get_binding_registry()
        self._local = threading.local()
        self._count = 0
        self.running = 0
        self.on_invocation: list[Callable[[Invocation], None]] = []

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def decode(self, binding: BindingSpec, datum: Any, metadata: Mapping[str, Any]) -> Any:
        """A wire value as the Python object the function's parameter gets.

        Raises
        ------
        TypeError
            If the SDK's converter does not accept the value.
        """
        try:
            return self._converters.get(binding.type).decode(datum, trigger_metadata=metadata)
        except NotImplementedError:
            raise TypeError(
                "unable to decode incoming TypedData: unsupported combination of TypedData"
                f" field {datum.type!r} and expected binding type {binding.type}"
            ) from None

    async def run(
        self,
        spec: FunctionSpec,
        args: dict[str, Any],
        *,
        inputs: Callable[[], Mapping[str, Any]] = _nothing,
        trigger_metadata: Callable[[], Mapping[str, Any]] = _nothing,
    ) -> Invocation:
        """Call the function with ready arguments.

        Returns
        -------
        Invocation
            With ``error`` set if the function, or the encoding of its results, failed.
        """
        invocation = Invocation(
            self._next_id(), spec.name, self._clock.now_ms(), inputs, trigger_metadata
        )
        self.running += 1
        try:
            await self._execute(spec, args, invocation)
        except Exception as error:
            invocation.error = error
            log.error(
                "Executed 'Functions.%s' (Failed, Id=%s)", spec.name, invocation.id, exc_info=error
            )
        finally:
            self.running -= 1
            invocation.ended_ms = self._clock.now_ms()
        for observe in self.on_invocation:
            observe(invocation)
        return invocation

    async def _execute(
        self, spec: FunctionSpec, args: dict[str, Any], invocation: Invocation
    ) -> None:
        if spec.needs_context:
            self._local.invocation_id = invocation.id
            args["context"] = Context(invocation.id, spec.name, spec.directory, self._local)
        outputs = spec.outputs
        for binding in outputs:
            args[binding.name] = Out()
        result = await self._call(spec, args)
        returns = spec.returns
        if returns is not None:
            invocation.return_value = self._encode(returns, result)
        elif result is not None:
            raise RuntimeError(
                f"function {spec.name!r} without a $return binding returned a non-None value"
            )
        for binding in outputs:
            value = args[binding.name].get()
            if value is not None:
                invocation.outputs.append((binding, self._encode(binding, value)))
        if returns is not None and returns.type not in ("http", spec.kind) and result is not None:
            invocation.outputs.append((returns, invocation.return_value))
        for binding, datum in invocation.outputs:
            self._dispatch(binding, datum)

    async def _call(self, spec: FunctionSpec, args: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        if not spec.is_async and isinstance(loop, VirtualLoop):
            started = self._clock.now_ms()
            result = spec.call(**args)
            if self._timeout is not None and self._clock.now_ms() - started > self._timeout * 1000:
                raise FunctionTimeoutError(self._timeout_message(spec))
            return result
        waiting: Awaitable[Any] | None = None
        if spec.is_async:
            # Most functions never wait for the loop (under a virtual clock, none of the frequent
            # ones): those need no deadline, whose making and unmaking costs more than they do.
            running = spec.call(**args)
            try:
                first = running.send(None)
            except StopIteration as done:
                return done.value
            waiting = _resumed(running, first)
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                if waiting is not None:
                    return await waiting
                return await loop.run_in_executor(
                    self._pool(), contextvars.copy_context().run, lambda: spec.call(**args)
                )
        except TimeoutError as error:
            if limit.expired():
                raise FunctionTimeoutError(self._timeout_message(spec)) from error
            raise

    def _pool(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="function")
        return self._executor

    def _timeout_message(self, spec: FunctionSpec) -> str:
        return f"Timeout value of {self._timeout} s was exceeded by function: Functions.{spec.name}"

    def _encode(self, binding: BindingSpec, value: Any) -> Any:
        converter = self._converters.get(binding.type)
        try:
            if converter is None:
                return _encode_generic(value)
            return converter.encode(value, expected_type=None)
        except NotImplementedError:
            raise TypeError(
                f'unable to encode outgoing TypedData: unsupported type "{converter}" for'
                f' Python type "{type(value).__name__}"'
            ) from None

    def _next_id(self) -> str:
        # A replay must give the same ids again; a live host must never give one twice.
        if isinstance(asyncio.get_running_loop(), VirtualLoop):
            self._count += 1
            return f"00000000-0000-0000-0000-{self._count:012x}"
        return str(uuid.uuid4())


_KINDS: tuple[tuple[Any, str], ...] = (
    (str, "string"),
    (bytes, "bytes"),
    (bytearray, "bytes"),
    (dict, "dict"),
    (list, "list"),
    (int, "int"),
    (float, "double"),
)


def _encode_generic(value: Any) -> Any:
    from azure.functions.meta import Datum

    for kind, name in _KINDS:
        if isinstance(value, kind):
            return Datum(type=name, value=bytes(value) if name == "bytes" else value)
    if value is None:
        return Datum(type=None, value=None)
    raise NotImplementedError


@types.coroutine
def _resumed(running: Coroutine[Any, Any, Any], waited_for: Any) -> Generator[Any, Any, Any]:
    """What is left of a coroutine that was started by hand and waits for ``waited_for``."""
    while True:
        try:
            sent = yield waited_for
        except BaseException as error:  # noqa: BLE001 - handed to the coroutine, as the loop does
            step = partial(running.throw, error)
        else:
            step = partial(running.send, sent)
        try:
            waited_for = step()
        except StopIteration as done:
            return done.value


Invoke = Callable[[FunctionSpec, dict[str, Any]], Awaitable[Invocation]]
