"""The five triggers of the kill switch: when they fire, and what counts as evidence.

An evaluator is a pure function from observations to evidence, or ``None``. It returns ``None``
also when the observations cannot be trusted: a false alarm closes real positions. Evidence is a
flat object of text and numbers that proves the trigger by itself; :func:`refusal` checks the
proof again before the switch latches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from math import fsum, isfinite, sqrt
from typing import Any, Literal, get_args

import msgspec

from shared.errors import ConfigurationError
from shared.market.timeframe import MINUTE_MS
from shared.risk.checks import exact, finite, text
from shared.risk.limits import MAX_DRAWDOWN

Trigger = Literal[
    "max_drawdown",
    "abnormal_volatility",
    "exchange_disconnection",
    "suspicious_activity",
    "manual",
]
TRIGGERS: tuple[str, ...] = get_args(Trigger)
#: These close every position whatever is configured; the others as the settings say.
ALWAYS_CLOSING: frozenset[str] = frozenset({"max_drawdown", "manual"})
#: Older evidence is not evidence of the present.
MAX_EVIDENCE_AGE_MS = 300_000
#: How far another machine's clock may be ahead.
CLOCK_TOLERANCE_MS = 5_000
Evidence = dict[str, Any]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """When the automatic triggers fire (the drawdown limit is in :class:`Limits`).

    Parameters
    ----------
    volatility_ratio : Decimal
        Recent over usual volatility per bar.
    volatility_floor : Decimal
        Recent volatility of one-minute bars below which no ratio is abnormal: a market waking up
        is not a crash. Longer bars have it times the square root of their minutes.
    disconnection_seconds : int
        Time without any successful answer of the exchange.
    disconnection_attempts : int
        Attempts that must have failed in that time: nothing asked is not a disconnection.
    rejections, unknown_outcomes, foreign_orders, failed_logins, order_storm : int
        Events within an hour that together look like a fault or an intruder; ``order_storm``
        counts entries and closes that we sent ourselves.
    unexplained_balance : Decimal
        Part of the wallet balance that may change without a line in the income history.
    """

    volatility_ratio: Decimal = Decimal(8)
    volatility_floor: Decimal = Decimal("0.006")
    disconnection_seconds: int = 300
    disconnection_attempts: int = 3
    rejections: int = 20
    unknown_outcomes: int = 5
    foreign_orders: int = 3
    failed_logins: int = 10
    order_storm: int = 200
    unexplained_balance: Decimal = Decimal("0.005")

    def __post_init__(self) -> None:
        problems = []
        for name, given, low, high in (
            ("volatility_ratio", self.volatility_ratio, 2, 100),
            ("volatility_floor", self.volatility_floor, Decimal("0.0001"), Decimal("0.5")),
            ("disconnection_seconds", self.disconnection_seconds, 10, 3600),
            ("disconnection_attempts", self.disconnection_attempts, 2, 1000),
            ("rejections", self.rejections, 1, 10_000),
            ("unknown_outcomes", self.unknown_outcomes, 1, 10_000),
            ("foreign_orders", self.foreign_orders, 1, 10_000),
            ("failed_logins", self.failed_logins, 1, 10_000),
            ("order_storm", self.order_storm, 10, 10_000),
            ("unexplained_balance", self.unexplained_balance, Decimal("0.0001"), Decimal("0.5")),
        ):
            number = finite(given)
            if number is None or not low <= number <= high:
                problems.append(f"{name} is {given}; set a value from {low} to {high}")
        if problems:
            raise ConfigurationError(problems)

    def floor_of(self, bar_ms: int) -> Decimal:
        """``volatility_floor`` of bars of another length in milliseconds."""
        with exact():
            return self.volatility_floor * (Decimal(bar_ms) / MINUTE_MS).sqrt()


def drawdown(equity: Decimal, peak: Decimal) -> Decimal:
    """Fraction that equity (unrealised P&L included) is below its peak.

    Zero where either figure is not a positive number: what is unknown is no drawdown, and the
    gate declines on unknown equity by itself.
    """
    now, top = finite(equity), finite(peak)
    if now is None or top is None or now <= 0 or top <= now:
        return Decimal(0)
    with exact():
        return (top - now) / top


def drawdown_evidence(
    *, equity: Decimal, peak: Decimal, limit: Decimal, at: int
) -> Evidence | None:
    """Evidence of ``max_drawdown``: equity has fallen from its peak by the limit or more."""
    fall = drawdown(equity, peak)
    if fall == 0 or fall < limit:
        return None
    return {
        "equity": text(equity),
        "peak": text(peak),
        "drawdown": text(fall),
        "limit": text(limit),
        "observed_at": at,
    }


def volatility_evidence(
    returns: Sequence[float], *, thresholds: Thresholds, at: int, bar_ms: int, recent: int = 5
) -> Evidence | None:
    """Evidence of ``abnormal_volatility`` from log returns per bar, the newest last.

    The last ``recent`` returns are compared with all earlier ones (at least 60) by root mean
    square, which a single jump of price moves as it should.
    """
    usual, latest = returns[:-recent], returns[-recent:]
    if len(usual) < 60 or not all(map(isfinite, returns)):
        return None
    if _clearly_usual(usual, latest, thresholds):
        return None
    with exact():
        base = _rms([float(r) for r in usual])
        now = _rms([float(r) for r in latest])
        floor = thresholds.floor_of(bar_ms)
        if base <= 0 or now < floor:
            return None
        ratio = now / base
    if ratio < thresholds.volatility_ratio:
        return None
    return {
        "recent": text(now),
        "usual": text(base),
        "ratio": text(ratio),
        "limit": text(thresholds.volatility_ratio),
        "floor": text(floor),
        "bars": len(usual),
        "observed_at": at,
    }


def _clearly_usual(usual: Sequence[float], latest: Sequence[float], thresholds: Thresholds) -> bool:
    """Whether floats alone show that the ratio is below its limit, by more than they round."""
    base = sqrt(fsum(r * r for r in usual) / len(usual))
    now = sqrt(fsum(r * r for r in latest) / len(latest))
    return 0 < now < 0.999 * float(thresholds.volatility_ratio) * base


def _rms(values: Sequence[float]) -> Decimal:
    squares = sum((Decimal(repr(v)) ** 2 for v in values), Decimal(0))
    return (squares / len(values)).sqrt()


def disconnection_evidence(
    *, last_success_at: int, failed_attempts: int, thresholds: Thresholds, at: int
) -> Evidence | None:
    """Evidence of ``exchange_disconnection``: asked several times, never answered for too long."""
    silent = at - last_success_at
    if (
        last_success_at <= 0
        or silent < thresholds.disconnection_seconds * 1000
        or failed_attempts < thresholds.disconnection_attempts
    ):
        return None
    return {
        "last_success_at": last_success_at,
        "silent_ms": silent,
        "limit_ms": thresholds.disconnection_seconds * 1000,
        "failed_attempts": failed_attempts,
        "min_attempts": thresholds.disconnection_attempts,
        "observed_at": at,
    }


SUSPICIOUS = ("rejections", "unknown_outcomes", "foreign_orders", "failed_logins", "order_storm")
#: A balance change below this is rounding, not an intruder. USDT.
LEAST_UNEXPLAINED = Decimal(1)


def suspicious_evidence(
    counts: Mapping[str, int], *, thresholds: Thresholds, at: int
) -> Evidence | None:
    """Evidence of ``suspicious_activity`` from counts of the last hour.

    Counts are named as in :data:`SUSPICIOUS`; the first that reaches its threshold is the
    evidence.
    """
    for name in SUSPICIOUS:
        count, limit = counts.get(name, 0), int(getattr(thresholds, name))
        if limit <= count <= 1_000_000:
            return {"kind": name, "count": count, "limit": limit, "observed_at": at}
    return None


def balance_evidence(
    *, wallet: Decimal, expected: Decimal, thresholds: Thresholds, at: int
) -> Evidence | None:
    """Evidence of ``suspicious_activity``: the wallet is not what its own income history says.

    Parameters
    ----------
    wallet, expected : Decimal
        The balance, and the last explained one with everything booked since. USDT.
    """
    now, told = finite(wallet), finite(expected)
    if now is None or told is None or now <= 0 or told <= 0:
        return None
    with exact():
        odd = abs(now - told)
        limit = max(LEAST_UNEXPLAINED, told * thresholds.unexplained_balance)
    if odd < limit:
        return None
    return {
        "kind": "unexplained_balance",
        "count": text(odd),
        "limit": text(limit),
        "wallet": text(now),
        "expected": text(told),
        "observed_at": at,
    }


def refusal(
    trigger: str, evidence: Mapping[str, Any], *, at: int, now_ms: int, armed_at: int
) -> str:
    """Why evidence does not prove its trigger at present; empty when it does.

    A manual stop needs no proof and is never too old.
    """
    if trigger not in TRIGGERS:
        return f"unknown trigger {trigger!r}; use one of {', '.join(TRIGGERS)}"
    if trigger == "manual":
        return ""
    observed = evidence.get("observed_at", at)
    times = (at, observed)
    if any(isinstance(t, bool) or not isinstance(t, int) for t in times):
        return "the time of the evidence is missing"
    if max(times) > now_ms + CLOCK_TOLERANCE_MS:
        return "the evidence is from the future"
    if now_ms - min(times) > MAX_EVIDENCE_AGE_MS:
        return f"the evidence is older than {MAX_EVIDENCE_AGE_MS // 1000} s"
    if min(times) < armed_at:
        return "the evidence is from before the switch was last cleared"
    with exact():
        return _PROOFS[trigger](evidence)


def _number(evidence: Mapping[str, Any], name: str) -> Decimal:
    value = evidence.get(name)
    try:
        number = finite(Decimal(value) if isinstance(value, str) else value)
    except (InvalidOperation, TypeError, AttributeError):
        number = None
    if number is None or number <= 0:
        raise _Unproved(f"{name} is {value!r}, not a positive number")
    return number


class _Unproved(Exception):
    """A figure of the evidence is unusable; never leaves this module."""


def _proof(check: Callable[[Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], str]:
    def guarded(evidence: Mapping[str, Any]) -> str:
        try:
            return check(evidence)
        except _Unproved as error:
            return str(error)

    return guarded


@_proof
def _drawdown_proof(evidence: Mapping[str, Any]) -> str:
    equity, peak, limit = (_number(evidence, n) for n in ("equity", "peak", "limit"))
    if limit > MAX_DRAWDOWN:
        return f"limit {limit} is above the ceiling {MAX_DRAWDOWN}"
    if equity > peak:
        return "equity is above its peak"
    fall = (peak - equity) / peak
    return "" if fall >= limit else f"drawdown {text(fall)} is below the limit {text(limit)}"


@_proof
def _volatility_proof(evidence: Mapping[str, Any]) -> str:
    recent, usual, limit, floor = (
        _number(evidence, n) for n in ("recent", "usual", "limit", "floor")
    )
    if limit < 2:
        return "a ratio below 2 is not abnormal"
    if recent < floor:
        return f"recent volatility {text(recent)} is below the floor {text(floor)}"
    ratio = recent / usual
    return "" if ratio >= limit else f"ratio {text(ratio)} is below the limit {text(limit)}"


@_proof
def _disconnection_proof(evidence: Mapping[str, Any]) -> str:
    last, limit, attempts, least, observed = (
        _number(evidence, n)
        for n in ("last_success_at", "limit_ms", "failed_attempts", "min_attempts", "observed_at")
    )
    if limit < 10_000 or least < 2:
        return "10 s and two attempts are the least that counts as a disconnection"
    if observed - last < limit:
        return f"silent for {text(observed - last)} ms, limit {text(limit)} ms"
    return "" if attempts >= least else f"only {text(attempts)} attempts failed"


@_proof
def _suspicious_proof(evidence: Mapping[str, Any]) -> str:
    kind = evidence.get("kind")
    count, limit = _number(evidence, "count"), _number(evidence, "limit")
    if kind == "unexplained_balance":
        count = abs(_number(evidence, "wallet") - _number(evidence, "expected"))
        if limit < LEAST_UNEXPLAINED:
            return f"{text(limit)} USDT is rounding"
    elif kind not in SUSPICIOUS:
        return f"unknown kind {kind!r}; use one of {', '.join(SUSPICIOUS)}, unexplained_balance"
    return "" if count >= limit else f"{text(count)} {kind}, limit {text(limit)}"


_PROOFS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "max_drawdown": _drawdown_proof,
    "abnormal_volatility": _volatility_proof,
    "exchange_disconnection": _disconnection_proof,
    "suspicious_activity": _suspicious_proof,
}
