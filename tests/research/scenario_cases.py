"""What the rules say about a few candles, worked out by hand; both engines must say the same.

The figures that most lines start from. A minute without movement at 2000 has a book of 1999.99 to
2000.01: half the spread is half a tick, or a hundredth of the bar's range where that is more. A
long position is bought at 2000.01. Its stop lies 1 % below, at 1980.0099, on the tick that is not
closer than 1 %: 1980.00. That is 20.01, so the target is 2040.03 and trailing begins at 2020.02.
A short one is sold at 1999.99 with a stop at 2019.99, 20.00 away, a target at 1959.99, trailing
from 1979.99. 500 USDT at the worst price of 2004.01 (2003.99) are 0.2495, so 0.249 ETH.

A bar of a long position goes open, low, high, close, one third of the minute each; of a short one
open, high, low, close. The guardian looks 20 seconds into the minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

LONG = "buy 0.249 at 2000.01 0:02.000 [1980] > "
SHORT = "sell 0.249 at 1999.99 0:02.000 [2019.99] > "


class Case(NamedTuple):
    name: str
    bars: str
    signals: str
    expect: list[str]
    options: Mapping[str, Any] = MappingProxyType({})
