"""The exchange's state in SQLite, written before an answer leaves.

A killed process loses nothing it acknowledged: every change is one transaction, and a restart
continues at the last simulated time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import ConfigurationError, StoreUnavailable
from shared.simulation.account import AccountState
from shared.simulation.orders import (
    AlgoOrder,
    Amendment,
    IncomeEntry,
    MarginMove,
    Order,
    Position,
    SymbolSettings,
    Trade,
)
from shared.simulation.venue import Venue

_SCHEMA = """
CREATE TABLE IF NOT EXISTS venue (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    account TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (account, kind, key)
) WITHOUT ROWID;
"""
_KINDS: dict[str, Any] = {
    "order": Order,
    "algo": AlgoOrder,
    "position": Position,
    "trade": Trade,
    "income": IncomeEntry,
    "amendment": Amendment,
    "margin": MarginMove,
    "setting": SymbolSettings,
    "countdown": int | None,
}
_encode = msgspec.json.Encoder().encode


class StateFile:
    """One exchange's state.

    Parameters
    ----------
    path : Path
        SQLite file, created when absent.
    identity : mapping of str to str
        What makes the market (seed, symbols, ...); a file of another market is refused.

    Raises
    ------
    ConfigurationError
        The file belongs to another market.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # The process may die at any moment; the machine is not expected to.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        known = self._get("identity")
        if known is None:
            self._put("identity", dict(identity))
        elif known != dict(identity):
            self._db.close()
            raise ConfigurationError(
                [f"{path} holds another market: {known}; delete it or use the same settings"]
            )

    def saved_time(self) -> int | None:
        """Simulated time of the last save, UTC milliseconds; ``None`` for a new file."""
        clock = self._get("clock")
        return None if clock is None else int(clock["now"])

    def load(self, venue: Venue) -> None:
        """Fill a fresh venue that starts at :meth:`saved_time`."""
        clock = self._get("clock")
        if clock is None:
            return
        core = venue.core
        core.now = int(clock["now"])
        core.sequence.update(clock["sequence"])
        for (name,) in self._db.execute("SELECT DISTINCT account FROM record").fetchall():
            core.accounts[name] = self._account(name)
        for symbol, low_first in clock["paths"].items():
            core.fix_path(symbol, low_first)
        core.changed()

    def save(self, venue: Venue) -> None:
        """Write what changed since the last save, in one transaction.

        Raises
        ------
        StoreUnavailable
            Nothing was written (disk full, file gone); the next save writes it all.
        """
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for account in venue.core.accounts.values():
                self._save_account(account)
            self._save_clock(venue)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise StoreUnavailable(f"the exchange's state cannot be saved: {error}") from error
        for account in venue.core.accounts.values():
            account.dirty.clear()

    def save_time(self, venue: Venue) -> None:
        """Write only how far time has come.

        Raises
        ------
        StoreUnavailable
        """
        try:
            self._save_clock(venue)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the exchange's state cannot be saved: {error}") from error

    def close(self) -> None:
        self._db.close()

    def _save_clock(self, venue: Venue) -> None:
        core = venue.core
        self._put(
            "clock",
            {"now": core.now, "sequence": core.sequence, "paths": core.fixed_paths()},
        )

    def _save_account(self, account: AccountState) -> None:
        rows = [
            (account.name, kind, key, _encode(record))
            for (kind, key), record in account.dirty.items()
        ]
        balance = {
            "cross_wallet": account.cross_wallet,
            "hedge": account.hedge,
            "multi_assets": account.multi_assets,
            "fee_burn": account.fee_burn,
        }
        rows.append((account.name, "balance", "", _encode(balance)))
        self._db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", rows)

    def _account(self, name: str) -> AccountState:
        from decimal import Decimal

        account = AccountState(name)
        records: dict[str, list[tuple[str, Any]]] = {kind: [] for kind in _KINDS}
        query = "SELECT kind, key, body FROM record WHERE account = ?"
        for kind, key, body in self._db.execute(query, (name,)):
            if kind == "balance":
                balance = msgspec.json.decode(body)
                account.cross_wallet = Decimal(balance["cross_wallet"])
                account.hedge = balance["hedge"]
                account.multi_assets = balance["multi_assets"]
                account.fee_burn = balance.get("fee_burn", False)
            else:
                records[kind].append((key, msgspec.json.decode(body, type=_KINDS[kind])))
        for kind in ("order", "algo", "trade", "income", "amendment", "margin"):
            records[kind].sort(key=lambda row: int(row[0]))
        for symbol, settings in records["setting"]:
            account.settings[symbol] = settings
        for _, position in records["position"]:
            account.store_position(position)
        for _, order in records["order"]:
            account.add_order(order)
        for _, algo in records["algo"]:
            account.add_algo(algo)
        for _, trade in records["trade"]:
            account.add_trade(trade)
        for _, entry in records["income"]:
            account.add_income(entry)
        for _, amendment in records["amendment"]:
            account.add_amendment(amendment)
        for _, move in records["margin"]:
            account.add_margin_move(move)
        for symbol, deadline in records["countdown"]:
            if deadline is not None:
                account.countdowns[symbol] = deadline
        account.dirty.clear()
        return account

    def _get(self, key: str) -> Any:
        row = self._db.execute("SELECT body FROM venue WHERE key = ?", (key,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def _put(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO venue VALUES (?, ?)", (key, _encode(value)))
