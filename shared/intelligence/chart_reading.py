"""What a model that can see makes of a chart, beside the patterns that were found by figures.

An opinion for people, off by default and never on the way of an order: the answer is checked
against its shape, what it says of places is turned into bars, and each pattern is told apart by
whether the figures know it too.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from shared.errors import ConfigurationError
from shared.indicators.chart_found import Found
from shared.indicators.chart_patterns import Rules
from shared.indicators.chart_shapes import KINDS
from shared.intelligence.assistant import plain
from shared.intelligence.chart_image import chart_png
from shared.intelligence.charts import chart_patterns
from shared.intelligence.llm_client import LlmClient
from shared.intelligence.llm_messages import Message, Usage, image_part, system, text_part
from shared.market.timeframe import duration_ms
from shared.strategies.recent import RecentCandles

_KIND = msgspec.Meta(pattern="^(" + "|".join(KINDS) + ")$")
_PERCENT = msgspec.Meta(ge=0, le=100)
#: Tokens of an answer: five patterns with a reason each.
MOST_TOKENS = 800


class SeenPattern(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pattern as the model names it; places are percent of the image's width."""

    kind: Annotated[str, _KIND]
    begins: Annotated[float, _PERCENT]
    ends: Annotated[float, _PERCENT]
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    why: Annotated[str, msgspec.Meta(max_length=300)]


class SeenChart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The shape that the model is asked for."""

    trend: Literal["up", "down", "sideways"]
    patterns: Annotated[list[SeenPattern], msgspec.Meta(max_length=5)]


class Named(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pattern that the model sees.

    Parameters
    ----------
    begins, ends : int
        Opens of the bars at those places, UTC milliseconds; as rough as the model's eye.
    confidence : float
        The model's own; nothing says that it is right as often.
    in_figures : bool
        Whether a pattern of that kind was found by figures in an overlapping time.
    """

    kind: str
    begins: int
    ends: int
    confidence: float
    why: str
    in_figures: bool


class ChartReading(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the model sees, and what the figures say of the same bars."""

    symbol: str
    timeframe: str
    bar_close_time: int
    bars: int
    trend: Literal["up", "down", "sideways"]
    seen: list[Named]
    patterns: list[Found]
    notice: str
    model: str
    provider: str
    usage: Usage


def ready(llm: LlmClient, model: str) -> None:
    """Find out whether there is a model that can see, and a key.

    Raises
    ------
    ConfigurationError
        Saying what to set.
    """
    if not model:
        raise ConfigurationError(
            ["reading charts is off: LLM_VISION_MODEL names a model that can see"]
        )
    llm.ready()


def read_chart(
    llm: LlmClient, model: str, recent: RecentCandles, symbol: str, timeframe: str
) -> ChartReading:
    """Ask a model what it sees on the last bars of a symbol.

    Parameters
    ----------
    model : str
        One that can see.

    Raises
    ------
    ConfigurationError
        When no key is there.
    InvalidInput, ExchangeError, MarketDataError
        As for the patterns themselves.
    TooManyRequests, ServiceRefused, ServiceThrottled, ServiceUnavailable
        As the client says.
    """
    rules = Rules()
    known = chart_patterns(recent, symbol, timeframe, rules)
    bars = recent.columns(symbol, timeframe, rules.span)
    low, high = float(np.min(bars.low)), float(np.max(bars.high))
    messages = [
        system(
            "You read candlestick charts. Name only patterns that you can see, of these kinds: "
            f"{', '.join(KINDS)}. None is a good answer. begins and ends are places in percent of "
            "the image's width, 0 at its left edge. why is one short sentence."
        ),
        Message(
            role="user",
            content=(
                text_part(
                    f"{symbol}, the last {len(bars)} candles of {timeframe}, the latest at the "
                    f"right. The price axis goes from {low:g} at the bottom to {high:g} at the "
                    "top; grey bars are volume. Answer in JSON."
                ),
                image_part(chart_png(bars)),
            ),
        ),
    ]
    answer, completion = llm.structured(messages, SeenChart, model=model, max_tokens=MOST_TOKENS)
    times = bars.open_time.tolist()

    def place(percent: float) -> int:
        return int(times[min(len(times) - 1, int(percent / 100.0 * len(times)))])

    seen = []
    for one in answer.patterns:
        first, last = sorted((place(one.begins), place(one.ends)))
        seen.append(
            Named(
                kind=one.kind,
                begins=first,
                ends=last,
                confidence=one.confidence,
                why=plain(one.why),
                in_figures=any(
                    f.kind == one.kind and f.swings[0].time <= last and _end(f) >= first
                    for f in known.patterns
                ),
            )
        )
    return ChartReading(
        symbol=symbol,
        timeframe=timeframe,
        bar_close_time=int(times[-1]) + duration_ms(timeframe),
        bars=len(bars),
        trend=answer.trend,
        seen=seen,
        patterns=known.patterns,
        notice=(
            f"An opinion of {completion.model} at {llm.provider} on a picture, not advice; "
            "patterns are those found by figures."
        ),
        model=completion.model,
        provider=llm.provider,
        usage=completion.usage,
    )


def _end(one: Found) -> int:
    return one.breakout.time if one.breakout is not None else one.known
