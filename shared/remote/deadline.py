"""One end for a whole request: the handshake, the headers and the body of its answer.

The time-outs of a socket begin anew with every byte. A service that sends one now and then would
keep a thread for as long as it likes, in the headers for days.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


class Deadline:
    """While it is entered, connections of :class:`BoundedAdapter` are cut once its time is over.

    Parameters
    ----------
    seconds : float
        Of real time.
    """

    def __init__(self, seconds: float) -> None:
        #: Whether the time was over before the end.
        self.over = False
        #: Whether a request has left, and waits for its answer.
        self.asked = False
        self._lines: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._token = _CURRENT.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)
        self._timer.cancel()
        with self._lock:
            for line in self._lines:
                line.close()
            self._lines.clear()

    def watch(self, line: socket.socket) -> None:
        """Have a line cut with the others."""
        with self._lock:
            # A handle of its own: a connection is closed before its last answer is read.
            self._lines.append(line.dup())
            if self.over:
                self._shut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        for line in self._lines:
            # The other side may have ended it.
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class _Watched(HTTPConnection):
    """A connection whose line is known to the deadline of the moment."""

    _line: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        # TLS takes the socket itself over, before the handshake.
        self._line = made.dup()
        self._tell()
        return made

    def getresponse(self) -> Any:
        self._tell(asked=True)
        return super().getresponse()

    def close(self) -> None:
        super().close()
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _tell(self, *, asked: bool = False) -> None:
        deadline = _CURRENT.get()
        if deadline is not None and self._line is not None:
            deadline.asked = deadline.asked or asked
            deadline.watch(self._line)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class BoundedAdapter(HTTPAdapter):
    """Requests whose connections heed a :class:`Deadline`."""

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        """As it is, with connections that are watched."""
        super().init_poolmanager(*args, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
