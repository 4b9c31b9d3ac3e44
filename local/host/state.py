"""What the host itself must remember over restarts: timer statuses and keys, in SQLite."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class TimerStatus:
    """``ScheduleStatus``: UTC milliseconds, ``None`` for never."""

    schedule: str
    last_ms: int | None
    next_ms: int
    updated_ms: int | None


class HostState:
    """Key-value and timer tables of one host.

    Parameters
    ----------
    path : str or Path
        SQLite file or ``":memory:"``.
    """

    def __init__(self, path: str | Path) -> None:
        self._lock = threading.Lock()
        # In memory nothing outlives the process: no need to write a status at every occurrence.
        self._timers: dict[str, TimerStatus] | None = {} if str(path) == ":memory:" else None
        self._db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS timer (name TEXT PRIMARY KEY, schedule TEXT NOT NULL,"
            " last_ms INTEGER, next_ms INTEGER NOT NULL, updated_ms INTEGER) WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
        )

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def timer(self, name: str) -> TimerStatus | None:
        if self._timers is not None:
            return self._timers.get(name)
        with self._lock:
            row = self._db.execute(
                "SELECT schedule, last_ms, next_ms, updated_ms FROM timer WHERE name = ?", (name,)
            ).fetchone()
        return TimerStatus(*row) if row else None

    def save_timer(self, name: str, status: TimerStatus) -> None:
        if self._timers is not None:
            self._timers[name] = status
            return
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO timer VALUES (?, ?, ?, ?, ?)",
                (name, status.schedule, status.last_ms, status.next_ms, status.updated_ms),
            )

    def get(self, key: str) -> Any:
        """The JSON value of a key, or ``None``."""
        with self._lock:
            row = self._db.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: str, value: Any) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, json.dumps(value)))
