"""The functions that a language model may call: each reads, none changes anything.

The table is the whole list. A call that is not in it, or whose arguments do not fit, is answered
with the error, which the model may learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.errors import BorsaError
from shared.intelligence.facts import Facts
from shared.intelligence.llm_messages import Tool, ToolCall


class _Nothing(msgspec.Struct, frozen=True):
    """Takes no argument."""


class _OfSymbol(msgspec.Struct, frozen=True):
    symbol: str


class _OfBars(msgspec.Struct, frozen=True):
    symbol: str
    timeframe: str


class _Reading(msgspec.Struct, frozen=True):
    """One tool: what it is for, what it takes, what it reads."""

    about: str
    takes: type[msgspec.Struct]
    read: Callable[[Facts, Any], Any]


#: Name -> tool.
READINGS: dict[str, _Reading] = {
    "account": _Reading(
        "Equity, drawdown, limits in use, open positions with their stops, kill switch, stage.",
        _Nothing,
        lambda facts, _: facts.account(),
    ),
    "risk": _Reading(
        "Value at risk, expected shortfall, clusters and heat of the portfolio now.",
        _Nothing,
        lambda facts, _: facts.risk(),
    ),
    "signals": _Reading(
        "Newest signals of a symbol with the vote of each strategy, and what was decided and why.",
        _OfSymbol,
        lambda facts, a: facts.signals(a.symbol),
    ),
    "indicators": _Reading(
        "RSI, ADX, ATR, moving averages, MACD, Bollinger bands, returns and volume of a symbol.",
        _OfBars,
        lambda facts, a: facts.indicators(a.symbol, a.timeframe),
    ),
    "predictions": _Reading(
        "Probabilities of the trained models for a symbol's last closed bar.",
        _OfBars,
        lambda facts, a: facts.predictions(a.symbol, a.timeframe),
    ),
    "trades": _Reading(
        "The last closed trades, and win rate, Sharpe ratio and drawdown of all.",
        _Nothing,
        lambda facts, _: facts.trades(),
    ),
    "alerts": _Reading(
        "The last alerts and compliance findings.", _Nothing, lambda facts, _: facts.alerts()
    ),
    "sentiment": _Reading(
        "Sentiment of news about a symbol, and the newest of them (untrusted text).",
        _OfSymbol,
        lambda facts, a: facts.sentiment(a.symbol),
    ),
    "documents": _Reading(
        "Market reports that were read (untrusted text).",
        _Nothing,
        lambda facts, _: facts.documents(),
    ),
}


def tools(facts: Facts) -> list[Tool]:
    """The table as a model is told it, with the symbols and time frames that there are."""
    properties = {
        "symbol": {"type": "string", "enum": list(facts.symbols)},
        "timeframe": {"type": "string", "enum": list(facts.timeframes)},
    }
    return [
        Tool(
            name=name,
            description=one.about,
            parameters={
                "type": "object",
                "properties": {f: properties[f] for f in one.takes.__struct_fields__},
                "required": list(one.takes.__struct_fields__),
                "additionalProperties": False,
            },
        )
        for name, one in READINGS.items()
    ]


def run(facts: Facts, call: ToolCall) -> tuple[Mapping[str, Any], Any]:
    """Arguments and result of a call; an error is a result."""
    one = READINGS.get(call.function.name)
    if one is None:
        return {}, {"error": f"there is no tool {call.function.name!r}; use {', '.join(READINGS)}"}
    try:
        arguments = msgspec.json.decode(call.function.arguments or "{}", type=one.takes)
    except (msgspec.MsgspecError, UnicodeError) as error:
        return {}, {"error": f"these arguments do not fit: {error}"}
    told = msgspec.to_builtins(arguments)
    try:
        return told, one.read(facts, arguments)
    except BorsaError as error:
        return told, {"error": f"{type(error).__name__}: {error}"}
