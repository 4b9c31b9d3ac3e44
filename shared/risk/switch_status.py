"""The kill switch as it is stored."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Failed looks at the exchange in a row: the first, the last (UTC ms), and how many."""

    since: int
    last: int
    attempts: int


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that only a person can put right: keys, region, compliance, the account's modes.

    Parameters
    ----------
    code, status : int
        Binance's error code (0 without one) and the HTTP status.
    reason : str
        The request and the exchange's words.
    at : int
        UTC milliseconds.
    """

    code: int
    status: int
    reason: str
    at: int


class SwitchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The switch as stored.

    Parameters
    ----------
    armed_at : int
        When it was armed last; older evidence is history.
    trigger, evidence, latched_at
        What latched it first, ``None`` while armed.
    closing : bool
        While latched: whether positions are being closed, or keep their stops and only nothing is
        opened any more.
    flat_at : int, optional
        When the exchange was first seen flat after the latch.
    halt : Halt, optional
        While halted: what the exchange has refused.
    outage, foreign
        What the automatic triggers are counting: here, so that one read shows it to every
        instance and clearing forgets it. ``foreign`` is first sight by digest of an order.
    rehearsed_at : int, optional
        When a drill last wrote here.
    permits : int
        Permits issued since the beginning.
    outstanding : dict
        Issue time by key of the permits not released yet.
    repeats : dict
        How often each trigger fired again while latched.
    repeat_evidence : dict
        The newest evidence of each of those.
    history : list
        Earlier episodes, the newest last: trigger, evidence, times, operator, reason.
    """

    state: Literal["armed", "halted", "latched"]
    armed_at: int
    trigger: str | None = None
    evidence: dict[str, Any] | None = None
    latched_at: int | None = None
    closing: bool = True
    flat_at: int | None = None
    halt: Halt | None = None
    outage: Outage | None = None
    foreign: dict[str, int] = {}
    rehearsed_at: int | None = None
    permits: int = 0
    outstanding: dict[str, int] = {}
    repeats: dict[str, int] = {}
    repeat_evidence: dict[str, dict[str, Any]] = {}
    history: list[dict[str, Any]] = []


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to send one order; valid until released."""

    key: str
    number: int
    issued_at: int
