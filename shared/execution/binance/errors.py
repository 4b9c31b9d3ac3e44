"""Binance's errors as one table: what happened, what to do, and what is raised.

Sources: Binance's error code page (2025-11) and the rate-limit page; -4120, -4130 and -4531 from
observed answers. The first row whose conditions all hold applies.
"""

from __future__ import annotations

import enum
import re
from typing import Any

import msgspec

from shared.errors import (
    ExchangeError,
    ExchangeHalted,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
    OutcomeUnknown,
)


class Reaction(enum.Enum):
    """What a failed request calls for."""

    RETRY = "known not executed: send again, later"
    RECON = "query the order, or the position, before anything else"
    REJECT = "final for this request"
    FIX = "final, and our own mistake"
    OK = "the wish is already reality"
    HALT = "open nothing more until a human has looked"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One row.

    A row without ``codes`` matches any code, without ``statuses`` any HTTP status, without
    ``text`` any message. ``resync``: the clock is measured again. ``filters``: what we believe
    about the instrument may be out of date. ``keys``: the API key was refused.
    ``block_seconds``: how long to keep quiet where the answer names no time; ``walled``: a guess
    that exits may test.
    """

    reaction: Reaction
    raises: type[ExchangeError] | None
    meaning: str
    codes: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    text: str = ""
    resync: bool = False
    filters: bool = False
    keys: bool = False
    orders_only: bool = False
    block_seconds: float = 0.0
    walled: bool = False

    def matches(self, status: int, code: int, message: str) -> bool:
        return (
            (not self.codes or code in self.codes)
            and (not self.statuses or status in self.statuses)
            and (not self.text or self.text in message.lower())
        )


def _retry(meaning: str, *codes: int, **more: Any) -> Rule:
    return Rule(
        reaction=Reaction.RETRY,
        raises=more.pop("raises", ExchangeUnavailable),
        meaning=meaning,
        codes=codes,
        **more,
    )


def _unknown(meaning: str, *codes: int, **more: Any) -> Rule:
    return Rule(
        reaction=Reaction.RECON, raises=OutcomeUnknown, meaning=meaning, codes=codes, **more
    )


def _look(meaning: str, *codes: int, **more: Any) -> Rule:
    """Refused for certain, but only a look at the venue tells what that means."""
    return Rule(
        reaction=Reaction.RECON, raises=ExchangeRejected, meaning=meaning, codes=codes, **more
    )


def _reject(meaning: str, *codes: int, **more: Any) -> Rule:
    return Rule(
        reaction=Reaction.REJECT, raises=ExchangeRejected, meaning=meaning, codes=codes, **more
    )


def _fix(meaning: str, *codes: int, **more: Any) -> Rule:
    return Rule(
        reaction=Reaction.FIX, raises=ExchangeRejected, meaning=meaning, codes=codes, **more
    )


def _halt(meaning: str, *codes: int, **more: Any) -> Rule:
    return Rule(reaction=Reaction.HALT, raises=ExchangeHalted, meaning=meaning, codes=codes, **more)


def _ok(meaning: str, *codes: int) -> Rule:
    return Rule(reaction=Reaction.OK, raises=None, meaning=meaning, codes=codes)


TABLE: tuple[Rule, ...] = (
    # The transport's own verdicts stand above any code in the body.
    _halt("IP banned for ignoring limits", statuses=(418,), block_seconds=120.0),
    _retry(
        "too many orders",
        -1015,
        raises=ExchangeThrottled,
        orders_only=True,
        block_seconds=10.0,
    ),
    _retry("rate limit", statuses=(429,), raises=ExchangeThrottled, block_seconds=60.0),
    _halt("refused by a firewall", statuses=(403,), block_seconds=300.0, walled=True),
    _halt("not available in this region", statuses=(451,)),
    # General.
    _halt("IP banned", -1003, text="banned", block_seconds=120.0),
    _retry("rate limit", -1003, raises=ExchangeThrottled, block_seconds=60.0),
    _retry("throttled by system-level protection", -1008, raises=ExchangeThrottled),
    # Documented as a failure that may be sent again; queried first all the same, because a
    # doubled order costs more than a query.
    _unknown("internal error", -1001),
    _unknown("execution status unknown", -1000, -1006, -1007),
    _halt("service or operation gone", -1016, -1020),
    _retry("timestamp outside the receive window", -1021, -5028, resync=True),
    _fix("bad signature", -1022),
    _fix(
        "bad parameter",
        *(-1100, -1101, -1102, -1104, -1105, -1106, -1114, -1115, -1116, -1117, -1119),
        *(-1023, -1127, -1128, -1130, -1131, -1136, -2007, -4021, -4031, -4080, -4166),
    ),
    _fix("more decimals than the instrument allows", -1111, filters=True),
    _fix("bad time frame", -1120),
    _fix("only of the websocket interface, which is not used", -1135, -4056),
    _fix("too long a time range", -4165),
    _reject("symbol unknown or closed", -1121, -1122, -4140, -4141, filters=True),
    _look("listen key does not exist", -1125),
    # Orders.
    _look("an order with this id may be open", -2010, text="duplicate"),
    _reject("order rejected", -2010),
    _look("order is not open", -2011),
    _look("order not known (yet)", -2013),
    _halt("API key refused", -2008, -2014, -2015, -2017, -1002, -1099, keys=True),
    _reject("balance or margin insufficient", -2018, -2019),
    _reject("unable to fill", -2020),
    _reject("would trigger at once", -2021, -4142),
    _look("reduce-only rejected: flat already, or other orders reserve the position", -2022),
    _halt("account is in liquidation", -2023),
    _look("position not sufficient", -2024),
    _look("needs a position, and there is none", -4509),
    _reject("too many open orders", -2025, -4045),
    _fix("type not allowed with reduce-only", -2026),
    _reject("position would exceed the maximum at this leverage", -2027),
    _reject(
        "leverage refused",
        *(-2028, -4028, -4161, -4203, -4205, -4206, -4403),
    ),
    # Filters.
    _fix(
        "quantity off the instrument's grid or bounds", *(-4003, -4004, -4005, -4023), filters=True
    ),
    _fix(
        "price off the instrument's grid or bounds",
        *(-4001, -4002, -4006, -4007, -4013, -4014, -4016, -4024, -4183, -4184, -4210, -4211),
        filters=True,
    ),
    _fix("client id too long or malformed", -4015),
    _fix("not a transfer endpoint", -4044),
    # Account modes.
    _ok("already so", -4046, -4059, -4171, -5027),
    _reject(
        "mode change blocked by open orders, positions or other modes",
        *(-4047, -4048, -4067, -4068, -4167, -4168, -4169, -4170, -4172, -4531),
    ),
    _reject("margin change refused", -4049, -4050, -4051, -4054, -4055),
    _halt("account is not in one-way mode", -4060, -4061, -4062),
    _fix("batch size", -4032, -4082),
    _unknown("batch failed", -4083),
    _halt("method not available", -4084),
    _halt("may only reduce, or not trade at all", -4087, -4088),
    _halt("account inactive", -4109),
    _look("an open order has this id", -4116),
    _unknown("the stop is triggering", -4117),
    _look("reduce-only margin check failed: cancel orders of the same side", -4118),
    _fix("conditional orders have an endpoint of their own", -4120),
    _reject("a closing stop of this direction exists", -4130),
    _reject("the book is too thin for a market order", -4131),
    _fix("trailing or close-position parameters conflict", -4135, -4136, -4137, -4138),
    _reject("below the minimum notional", -4164, filters=True),
    _halt("cooling-off period", -4192),
    _halt("compliance: only reduce-only orders", -4400, -4401),
    _halt("not available in this region", -4402),
    _reject("fill-or-kill or post-only not possible", -5021, -5022),
    _look("amendment refused", *(-5024, -5025, -5026, -5029, -5043, -5047)),
    _fix("price match, self-trade prevention or good-till-date", *range(-5041, -5036)),
    # Without a code: only the HTTP status and, for 503, the words.
    _unknown("timeout behind the gateway", statuses=(408,)),
    _unknown("execution status unknown", statuses=(503,), text="unknown error"),
    _retry("service unavailable", statuses=(503,), text="service unavailable"),
    _retry("throttled", statuses=(503,), text="throttled", raises=ExchangeThrottled),
    _halt("not authorised", statuses=(401,), keys=True),
    _fix("no such endpoint", -5000),
    _fix("no such endpoint", statuses=(404, 405)),
)

_ANY_CODE_AT_400 = _reject("refused")
_ANYTHING_ELSE = _unknown("no usable answer")


def classify(status: int, code: int, message: str) -> Rule:
    """The row for an answer.

    Parameters
    ----------
    status : int
        HTTP status.
    code : int
        Binance's code, 0 where the body carried none.
    message : str
        Binance's message, or the body's text.
    """
    for rule in TABLE:
        if rule.matches(status, code, message):
            return rule
    # An unlisted code in a 4xx is a verdict of the venue; anything else may come from anywhere.
    return _ANY_CODE_AT_400 if code < 0 and 400 <= status < 500 else _ANYTHING_ELSE


_BANNED_UNTIL = re.compile(r"until (\d{13})")


def banned_until(message: str) -> int | None:
    """The end of a ban as the message states it, UTC milliseconds."""
    found = _BANNED_UNTIL.search(message)
    return int(found[1]) if found else None


_SENSITIVE = re.compile(r"\?\S*|\b(?:signature|apiKey|api_key)\b\S*", re.IGNORECASE)


def scrubbed(text: str) -> str:
    """A venue's message without anything that may be a signed query string, and not too long."""
    return _SENSITIVE.sub("…", text)[:300]
