"""The rules of the compliance monitor: thresholds, severity and where each definition comes from.

Frozen: a rule is changed by changing this file, its page and its tests, not by a setting. The
definitions are those of the sources; where a source gives no number the threshold is ours and
``docs/compliance.md`` says so.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

Severity = Literal["warning", "critical"]

SECOND_MS, MINUTE_MS = 1_000, 60_000

#: Orders or times that evidence lists at most: it goes through an event hub.
EVIDENCE = 50


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: its name in records, what it says, how bad a hit is, and its source."""

    name: str
    title: str
    severity: Severity
    source: str


_CFTC = "CFTC, Antidisruptive Practices Authority, 78 FR 31890 (Dodd-Frank 747)"
_FINRA = "FINRA Rule 5210"
_EU = "Delegated Regulation (EU) 2016/522, Annex II"
_MICA = "MiCA, Regulation (EU) 2023/1114"

RULES: dict[str, Rule] = {
    r.name: r
    for r in (
        Rule(
            name="spoofing",
            title="A large order was withdrawn around an execution on the other side",
            severity="critical",
            source=f"{_CFTC}; {_EU}",
        ),
        Rule(
            name="layering",
            title="Orders at several prices were withdrawn around an execution on the other side",
            severity="critical",
            source=f"{_FINRA}.03; {_EU}",
        ),
        Rule(
            name="quote-stuffing",
            title="Far more order messages within seconds than trading needs",
            severity="critical",
            source=f"{_CFTC}; CME Rule 575; {_EU}",
        ),
        Rule(
            name="order-to-trade",
            title="Nearly nothing of very many orders was executed",
            severity="warning",
            source="Binance Futures Trading Quantitative Rules (UFR)",
        ),
        Rule(
            name="momentum-ignition",
            title="A burst of aggressive orders moved the price and was reversed into it",
            severity="critical",
            source=f"{_EU}; {_MICA}, Article 91",
        ),
        Rule(
            name="self-trade",
            title="The account traded with itself",
            severity="critical",
            source=f"{_FINRA}.02; Commodity Exchange Act 4c(a)(2)",
        ),
        Rule(
            name="self-trade-prevented",
            title="The exchange prevented the account from trading with itself",
            severity="warning",
            source=f"{_FINRA}.02",
        ),
        Rule(
            name="wash-rounds",
            title="Round trips again and again at one price: volume without a position",
            severity="critical",
            source=f"{_EU}; Commodity Exchange Act 4c(a)(2)",
        ),
        Rule(
            name="front-running",
            title="Somebody on the account traded ahead of a larger order that was decided already",
            severity="critical",
            source=f"FINRA Rule 5270; {_MICA}, Article 87 (pending orders)",
        ),
        Rule(
            name="restricted-window",
            title="A position was opened within a restricted window",
            severity="critical",
            source=f"{_MICA}, Article 89",
        ),
    )
}


class SpoofingThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """When withdrawn orders count as bait for an execution on the other side.

    Withdrawn within 5 s is what Binance calls an invalid cancellation; the other figures are ours.
    """

    #: From the execution to the withdrawal, milliseconds.
    withdrawn_within_ms: int = 5 * SECOND_MS
    #: Longest life of a bait.
    life_ms: int = 60 * SECOND_MS
    #: Part of a bait that may have been executed.
    executed: Decimal = Decimal("0.1")
    #: Bait over what was executed on the other side: one or two prices, three or more.
    single_ratio: Decimal = Decimal(3)
    layered_ratio: Decimal = Decimal(2)
    #: Prices from which on it is layering.
    levels: int = 3
    #: Bait worth less, USDT at its own prices, impresses nobody.
    notional: Decimal = Decimal(100)


class StuffingThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Order messages (placed, withdrawn) of one symbol.

    The ratio is Binance's UFR; it looks from 10,000 orders in ten minutes on, we from 300.
    """

    messages: int = 100
    window_ms: int = 10 * SECOND_MS
    cycle_ms: int = 10 * MINUTE_MS
    cycle_orders: int = 300
    unfilled: Decimal = Decimal("0.99")


class IgnitionThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """A burst of orders that took, the move under it, and the way back. All ours."""

    orders: int = 5
    window_ms: int = MINUTE_MS
    #: From the first price paid to the last, in the direction of the burst.
    move: Decimal = Decimal("0.003")
    reversal_ms: int = 5 * MINUTE_MS
    #: Part of the burst that was turned round, at a better price.
    reversed_part: Decimal = Decimal("0.5")


class WashThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Opposite orders that leave nothing behind. All ours."""

    #: From one order's last execution to the next order's.
    apart_ms: int = 10 * SECOND_MS
    #: How far prices and quantities may differ.
    price: Decimal = Decimal("0.0005")
    quantity: Decimal = Decimal("0.01")
    #: Turns within the window: six are three round trips.
    turns: int = 6
    window_ms: int = 10 * MINUTE_MS


class AheadThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Trading ahead: how long before its execution a decided order may have been known. Ours."""

    known_ms: int = 2 * MINUTE_MS


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """All thresholds together."""

    spoofing: SpoofingThresholds = SpoofingThresholds()
    stuffing: StuffingThresholds = StuffingThresholds()
    ignition: IgnitionThresholds = IgnitionThresholds()
    wash: WashThresholds = WashThresholds()
    ahead: AheadThresholds = AheadThresholds()


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector found.

    ``key`` names the event within its symbol, so that the same event is the same violation however
    often and in whatever piece of history it is found. ``time`` is when it was complete, UTC
    milliseconds. ``evidence`` holds order ids, times and figures, decimals as text.
    """

    rule: str
    symbol: str
    key: str
    time: int
    text: str
    evidence: dict[str, Any]
    severity: Severity

    @property
    def id(self) -> str:
        """Id of the violation."""
        return f"{self.rule}-{self.symbol}-{self.key}"


def hit(
    rule: str,
    symbol: str,
    key: object,
    time: int,
    text: str,
    evidence: dict[str, Any],
    severity: Severity | None = None,
) -> Hit:
    """A hit of a rule, as severe as the rule says unless told otherwise."""
    return Hit(
        rule=rule,
        symbol=symbol,
        key=str(key),
        time=time,
        text=text,
        evidence=evidence,
        severity=severity or RULES[rule].severity,
    )
