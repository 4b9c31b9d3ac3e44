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

import pytest
from scenario import NOON, play, told

LONG = "buy 0.249 at 2000.01 0:02.000 [1980] > "
SHORT = "sell 0.249 at 1999.99 0:02.000 [2019.99] > "


class Case(NamedTuple):
    name: str
    bars: str
    signals: str
    expect: list[str]
    options: Mapping[str, Any] = MappingProxyType({})


EXITS = [
    # 2000 to 1960 in 20 s passes 1980 after 10 s; the range of 40 makes half a spread of 0.40.
    Case("long stop", "2000 2000/2000/1960/1970", "buy@0", [LONG + "1979.6 1:10.000 stop"]),
    # 19.99 of 45 in 20 s: within the 8885th millisecond, at 2019.99125; plus 0.45, next tick.
    Case("short stop", "2000 2000/2045/2000/2030", "sell@0", [SHORT + "2020.45 1:08.885 stop"]),
    # From the 20th second up 60 in 20 s: 40.03 of it after 13.344 s, at 2040.032; less 0.60.
    Case(
        "long target",
        "2000 2000/2060/2000/2050",
        "buy@0",
        [LONG + "2039.43 1:33.344 take profit"],
    ),
    Case(
        "short target",
        "2000 2000/2000/1940/1950",
        "sell@0",
        [SHORT + "1960.59 1:33.337 take profit"],
    ),
    Case("gap through a long stop", "2000 1950", "buy@0", [LONG + "1949.99 1:00.000 stop"]),
    Case("gap through a short stop", "2000 2050", "sell@0", [SHORT + "2050.01 1:00.000 stop"]),
    Case("gap over a long target", "2000 2100", "buy@0", [LONG + "2099.99 1:00.000 take profit"]),
    Case(
        "gap over a short target", "2000 1900", "sell@0", [SHORT + "1900.01 1:00.000 take profit"]
    ),
    # The factor on costs is on the whole spread, also on what the bar's range adds to it.
    Case(
        "a stop with the costs as they are",
        "2000 2000/2000/1960/1970",
        "buy@0",
        [LONG + "1979.6 1:10.000 stop"],
        {"costs": "1"},
    ),
    Case(
        "a stop with costs doubled",
        "2000 2000/2000/1960/1970",
        "buy@0",
        [LONG + "1979.2 1:10.000 stop"],
        {"costs": "2"},
    ),
    Case(
        "a stop without costs",
        "2000 2000/2000/1960/1970",
        "buy@0",
        [LONG + "1979.99 1:10.000 stop"],
        {"costs": "0"},
    ),
    # Stop and target in one bar: the adverse extreme comes first. Half a spread of 1.00.
    Case(
        "long, stop and target in one bar",
        "2000 2000/2060/1960/2000",
        "buy@0",
        [LONG + "1979 1:10.000 stop"],
    ),
    Case(
        "short, stop and target in one bar",
        "2000 2000/2045/1940/2000",
        "sell@0",
        [SHORT + "2021.05 1:08.885 stop"],
    ),
    # Without a position the bar's direction decides: up means the low first, so 2000 until 0:20.
    # Bought at 2000.60, stop 20.01 below, target 40.02 above: 40.62 of 60 in 20 s.
    Case(
        "target in the minute of the entry",
        "2000/2060/2000/2060",
        "buy@0",
        ["buy 0.249 at 2000.6 0:02.000 [1980.59] > 2040.02 0:33.540 take profit"],
    ),
    # Down means the high first: 2000 until 0:20, then 19.61 of 40 in 20 s.
    Case(
        "stop in the minute of the entry",
        "2000/2000/1960/1960",
        "buy@0",
        ["buy 0.249 at 2000.4 0:02.000 [1980.39] > 1979.99 0:29.805 stop"],
    ),
    Case(
        "stop exactly at the low",
        "2000 2000/2000/1980/1990",
        "buy@0",
        [LONG + "1979.8 1:20.000 stop"],
    ),
    Case(
        "one tick above the stop",
        "2000 2000/2000/1980.01/1990 1990",
        "buy@0",
        [LONG + "1989.99 2:59.999 end of data"],
    ),
    # Two bars after 0:02 the time is up; the guardian sees it at 2:20.
    Case(
        "long time exit",
        "2000x4",
        "buy@0",
        [LONG + "1999.99 2:20.000 time exit"],
        {"max_holding_bars": 2},
    ),
    Case(
        "short time exit",
        "2000x4",
        "sell@0",
        [SHORT + "2000.01 2:20.000 time exit"],
        {"max_holding_bars": 2},
    ),
    # At 20 s a long position's bar is at its low; a range of 10 makes half a spread of 0.10.
    Case(
        "time exit inside a moving bar",
        "2000x2 2000/2000/1990/1995",
        "buy@0",
        [LONG + "1989.9 2:20.000 time exit"],
        {"max_holding_bars": 2},
    ),
    Case("open at the end", "2000x3", "buy@0", [LONG + "1999.99 2:59.999 end of data"]),
    Case("nothing to do", "2000x3", "", []),
    Case("a signal when the data ends", "2000x3", "buy@3", []),
]

TRAILING = [
    # Seen at 2:20 at 2030: 1 % below is 2009.70. Back from 2030: 20.30 of 40 in 20 s.
    Case(
        "long trail",
        "2000 2000/2030/2000/2030 2030 2030/2030/1990/1990",
        "buy@0",
        [LONG + "2009.3 3:10.150 trailing stop"],
    ),
    Case(
        "short trail",
        "2000 2000/2000/1970/1970 1970 1970/2015/1970/2015",
        "sell@0",
        [SHORT + "1990.16 3:08.756 trailing stop"],
    ),
    Case(
        "not far enough to trail",
        "2000 2000/2019/2000/2019 2019 2019/2019/1959/1959",
        "buy@0",
        [LONG + "1979.4 3:13.000 stop"],
    ),
    Case(
        "an extreme between two looks is not seen",
        "2000 2000/2030/2000/2000 2000 2000/2000/1960/1960",
        "buy@0",
        [LONG + "1979.6 3:10.000 stop"],
    ),
    # 2032 asks for 2011.68, 1.98 more: less than a tenth of the trail (2.00) is not worth it.
    Case(
        "a step too small",
        "2000 2000/2030/2000/2030 2030 2032 2032/2032/1992/1992",
        "buy@0",
        [LONG + "2009.3 4:11.150 trailing stop"],
    ),
    Case(
        "a step large enough",
        "2000 2000/2030/2000/2030 2030 2034 2034/2034/1994/1994",
        "buy@0",
        [LONG + "2013.26 4:10.170 trailing stop"],
    ),
    Case(
        "the trail never loosens",
        "2000 2000/2030/2000/2030 2030 2012 2012/2012/1992/1992",
        "buy@0",
        [LONG + "2009.5 4:02.300 trailing stop"],
    ),
    # Trailing from half a stop distance: 2000.01 + 10.005, on the tick away from the entry.
    Case(
        "trail from an earlier profit",
        "2000 2000/2012/2000/2012 2012 2012/2012/1972/1972",
        "buy@0",
        [LONG + "1991.48 3:10.060 trailing stop"],
        {"trail_activation": "0.5"},
    ),
    # Half the risk is 10.005; 2012 is more. Costs of 0.15 % are 2003.0100, rounded up.
    Case(
        "long break-even",
        "2000 2000/2012/2000/2012 2012 2012/2012/1989/1989",
        "buy@0",
        [LONG + "2002.78 3:07.809 trailing stop"],
        {"break_even_at": "0.5"},
    ),
    Case(
        "short break-even",
        "2000 2000/2000/1988/1988 1988 1988/2011/1988/2011",
        "sell@0",
        [SHORT + "1997.23 3:07.818 trailing stop"],
        {"break_even_at": "0.5"},
    ),
    # 2000.01 + 20.01: the product of quotient and price may fall short of it in floating point.
    Case(
        "exactly the profit that break-even asks for",
        "2000 2020.02x2 2020.02/2020.02/1990/1990",
        "buy@0",
        [LONG + "2002.71 3:11.326 trailing stop"],
        {"break_even_at": "1"},
    ),
    Case(
        "break-even not reached",
        "2000 2000/2010/2000/2010 2010 2010/2010/1970/1970",
        "buy@0",
        [LONG + "1979.6 3:15.000 stop"],
        {"break_even_at": "0.5"},
    ),
]

LIQUIDATIONS = [
    # 99.60 of margin behind 498.00 at 0.4 % maintenance: 398.402 / 0.248004 = 1606.43.
    Case("long liquidation", "2000 1500", "buy@0", [LONG + "1499.99 1:00.000 liquidation"]),
    Case("just above liquidation", "2000 1607", "buy@0", [LONG + "1606.99 1:00.000 stop"]),
    Case("short liquidation", "2000 2500", "sell@0", [SHORT + "2500.01 1:00.000 liquidation"]),
    Case(
        "no liquidation without leverage",
        "2000 1500",
        "buy@0",
        [LONG + "1499.99 1:00.000 stop"],
        {"max_leverage": 1},
    ),
    # 49.80 of margin: 448.2022 / 0.248004 = 1807.24.
    Case(
        "sooner with more leverage",
        "2000 1807",
        "buy@0",
        [LONG + "1806.99 1:00.000 liquidation"],
        {"max_leverage": 10},
    ),
]

STOPS = [
    # 2 x 30.003 below 2000.01 is 1940.004; towards the entry: 1940.01.
    Case(
        "two ATRs away",
        "2000 1900",
        "buy@0",
        ["buy 0.249 at 2000.01 0:02.000 [1940.01] > 1899.99 1:00.000 stop"],
        {"atr": 30.003},
    ),
    # 5 % at most: 1900.0095, towards the entry. 25 / (0.05 + 0.0015) = 485 USDT.
    Case(
        "five percent at most",
        "2000 1800",
        "buy@0",
        ["buy 0.242 at 2000.01 0:02.000 [1900.01] > 1799.99 1:00.000 stop"],
        {"atr": 100.0},
    ),
    Case(
        "three times the risk",
        "2000 2060 2061",
        "buy@0",
        [LONG + "2060.99 2:00.000 take profit"],
        {"reward_risk": "3"},
    ),
    # 1970.00985: 1970.01 is closer than 1.5 %, so it goes away from the entry.
    Case(
        "a wider least stop",
        "2000 1970",
        "buy@0",
        ["buy 0.249 at 2000.01 0:02.000 [1970] > 1969.99 1:00.000 stop"],
        {"min_stop_fraction": "0.015"},
    ),
]

SIZES = [
    # 5 / (20.01 / 2000.01 + 0.0015) = 434.6 USDT, at 2004.01 each.
    Case(
        "a thousandth at risk",
        "2000x2",
        "buy@0",
        ["buy 0.216 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"risk_per_trade": "0.001"},
    ),
    Case(
        "half of that at the threshold",
        "2000x2",
        "buy@0",
        ["buy 0.108 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"risk_per_trade": "0.001", "strength": 0.5},
    ),
    # 0.75 of strength is half way between threshold and full: three quarters.
    Case(
        "three quarters half way",
        "2000x2",
        "buy@0",
        ["buy 0.162 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"risk_per_trade": "0.001", "strength": 0.75},
    ),
    # 1000 / (0.005 x sqrt(525600)) = 275.9 USDT.
    Case(
        "a wild market",
        "2000x2",
        "buy@0",
        ["buy 0.137 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"volatility": 0.005},
    ),
    Case(
        "a smaller position limit",
        "2000x2",
        "buy@0",
        ["buy 0.149 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"max_position_notional": "300"},
    ),
    # 5 USDT may be lost today, all of it by this stop: 434.6 USDT.
    Case(
        "room of the day",
        "2000x2",
        "buy@0",
        ["buy 0.216 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"max_daily_loss": "5"},
    ),
    # 10.80 lost of 5000 use 0.108 of the 2 % there may be: 1 - 0.75 x 0.108 = 0.919 of the size.
    # 4989.20 / 1000 x 0.919 / (19.51 / 1950.01 + 0.0015) = 398.5 USDT, at 1953.91 each.
    Case(
        "smaller below the peak",
        "2000 1950x4",
        "buy@0 buy@2",
        [
            "buy 0.216 at 2000.01 0:02.000 [1980] > 1949.99 1:00.000 stop",
            "buy 0.203 at 1950.01 2:02.000 [1930.5] > 1949.99 4:59.999 end of data",
        ],
        {"risk_per_trade": "0.001", "max_drawdown": "0.02", "close": 1975.0},
    ),
    # 60 / (1 + 0.0015) = 59.91 USDT of margin at a leverage of 1.
    Case(
        "room of the margin",
        "2000x2",
        "buy@0",
        ["buy 0.029 at 2000.01 0:02.000 [1980] > 1999.99 1:59.999 end of data"],
        {"deposit": "60", "max_leverage": 1, "risk_per_trade": "0.05", "target_volatility": "5"},
    ),
]

DECLINED = [
    # A range of 600 makes a spread of 12 on 2000.
    Case("spread", "2000/2600/2000/2600", "buy@0", ["spread"]),
    Case("price far from the signal", "2000", "buy@0", ["price_deviation"], {"close": 2050.0}),
    Case("too weak", "2000", "buy@0", ["signal_strength"], {"strength": 0.4}),
    Case("against its own strength", "2000", "buy@0", ["signal_strength"], {"strength": -1.0}),
    Case("no ATR", "2000", "buy@0", ["signal_figures"], {"atr": 0.0}),
    Case("unknown volatility", "2000", "buy@0", ["signal_figures"], {"volatility": float("nan")}),
    Case("the symbol is taken", "2000x3", "buy@0 buy@1", ["approved", "symbol_free"]),
    Case("taken on the other side", "2000x3", "buy@0 sell@1", ["approved", "symbol_free"]),
    # 1980.01 is closer than 1 %, 1980.00 further away.
    Case("no tick for the stop", "2000", "buy@0", ["stop_distance"], {"max_stop_fraction": "0.01"}),
    # 8 / 0.0115 = 695; 8.00 of the day's 8 are at risk or lost afterwards.
    Case(
        "the day's loss",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "daily_loss"],
        {"max_daily_loss": "8", "close": 1975.0},
    ),
    Case(
        "entries of the day",
        "2000 1990x3",
        "buy@0 buy@3",
        ["approved", "trades_today"],
        {"max_trades_per_day": 1, "max_holding_bars": 1, "close": 1995.0},
    ),
    # 12.45 lost of 5000 is more than 0.2 %: the guardian latches when it settles the trade.
    Case(
        "kill switch after a loss",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "kill_switch"],
        {"max_drawdown": "0.002", "close": 1975.0},
    ),
    # Closed after the look at 1:20, so the guardian frees the symbol at 2:20.
    Case(
        "not settled yet",
        "2000 2000/2000/1950/1970 1970x3",
        "sell@0 buy@2 buy@3",
        ["approved", "symbol_free", "approved"],
        {"close": 1985.0},
    ),
    # Closed before the look at 1:20: free at 2:02.
    Case(
        "settled in time",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "approved"],
        {"close": 1975.0},
    ),
    # Lost at 1:00.000, decided at 2:02.000.
    Case(
        "a pause after a loss is over",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "approved"],
        {"close": 1975.0, "loss_cooldown_ms": 62_000},
    ),
    Case(
        "a pause after a loss",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "cooldown"],
        {"close": 1975.0, "loss_cooldown_ms": 62_001},
    ),
    # Lost again at 3:00.000: 62 s later the pause of 31.001 s is over once, and not twice.
    Case(
        "two losses in a row double the pause",
        "2000 1950x2 1900x3",
        "buy@0 buy@2 buy@4",
        ["approved", "approved", "cooldown"],
        {"close": 1950.0, "max_price_deviation": "0.05", "loss_cooldown_ms": 31_001},
    ),
    # Closed by the look at 1:20 for its time, at a gain, and settled by the one at 2:20.
    Case(
        "a gain needs no pause",
        "2000 2030x4",
        "buy@0 buy@3",
        ["approved", "approved"],
        {
            "close": 2015.0,
            "max_holding_bars": 1,
            "max_price_deviation": "0.05",
            "loss_cooldown_ms": 86_400_000,
        },
    ),
    # Three times at most in the limited stage, but 50 USDT of notional at least: 100 there are.
    Case("a limited stage", "2000x2", "buy@0", ["approved"], {"stage": "limited"}),
]

#: Gross, fees, funding and net of the only trade, USDT.
MONEY = [
    # 0.249 x (1999.99 - 2000.01); fees of 0.05 % on both prices.
    Case("fees", "2000x4", "buy@0", ["-0.00498 0.498 0 -0.50298"], {"costs": "1"}),
    Case("twice the fees", "2000x4", "buy@0", ["-0.00498 0.996 0 -1.00098"], {"costs": "2"}),
    Case("no fees", "2000x4", "sell@0", ["-0.00498 0 0 -0.00498"]),
    # 0.249 x 2000 x 0.01 % at the instant of the settlement.
    Case("a long pays", "2000x4", "buy@0", ["-0.00498 0 -0.0498 -0.05478"], {"rate": 0.0001}),
    Case("a short receives", "2000x4", "sell@0", ["-0.00498 0 0.0498 0.04482"], {"rate": 0.0001}),
    Case("negative rates", "2000x4", "buy@0", ["-0.00498 0 0.0498 0.04482"], {"rate": -0.0001}),
    # A mark price of 2010 also makes the position smaller: 0.248.
    Case(
        "funding at the mark price",
        "2000x4",
        "buy@0",
        ["-0.00496 0 -0.049848 -0.054808"],
        {"rate": 0.0001, "mark": "2010x4"},
    ),
    # Opened two seconds after the settlement.
    Case("too late to pay", "2000x4", "buy@1", ["-0.00498 0 0 -0.00498"], {"rate": 0.0001}),
    # The gap at the settlement closes the position first.
    Case(
        "closed before it is due",
        "2000 1950",
        "buy@0",
        ["-12.45498 0 0 -12.45498"],
        {"rate": 0.0001},
    ),
    # A liquidation takes the margin of 0.249 x 2000.01 / 5 and no more: the insurance fund
    # carries the rest, a fee below zero.
    Case("the margin is all", "2000 1500", "buy@0", ["-124.50498 -24.904482 0 -99.600498"]),
    # 1806.99 leaves 1.738269 of 49.800249: the fee of 1.25 % is more, so it takes that.
    Case(
        "fee of a liquidation",
        "2000 1807",
        "buy@0",
        ["-48.06198 1.738269 0 -49.800249"],
        {"max_leverage": 10},
    ),
]

#: Contract and mark price apart.
MARKED = [
    Case(
        "a dip of the contract price alone",
        "2000 2000/2000/1960/2000 2000",
        "buy@0",
        [LONG + "1999.99 2:59.999 end of data"],
        {"mark": "2000x3"},
    ),
    Case(
        "a dip of the mark price alone",
        "2000x3",
        "buy@0",
        [LONG + "1999.99 1:10.000 stop"],
        {"mark": "2000 2000/2000/1960/2000 2000"},
    ),
]


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize(
    "case", [*EXITS, *TRAILING, *LIQUIDATIONS, *STOPS, *SIZES], ids=lambda case: case.name
)
def test_trades(case: Case, engine: str) -> None:
    assert told(play(engine, case.bars, case.signals, **case.options)) == case.expect


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize("case", DECLINED, ids=lambda case: case.name)
def test_decisions(case: Case, engine: str) -> None:
    found = play(engine, case.bars, case.signals, **case.options).decisions
    assert found == {name: case.expect.count(name) for name in case.expect}


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize("case", MARKED, ids=lambda case: case.name)
def test_marked(case: Case, engine: str) -> None:
    mark = {"ETHUSDT": case.options["mark"]}
    assert told(play(engine, case.bars, case.signals, mark=mark)) == case.expect


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize("case", MONEY, ids=lambda case: case.name)
def test_money(case: Case, engine: str) -> None:
    options = dict(case.options)
    rate, mark = options.pop("rate", 0.0), options.pop("mark", None)
    result = play(
        engine,
        case.bars,
        case.signals,
        funding=[(NOON + 60_000, rate)] if rate else [],
        mark={"ETHUSDT": mark} if mark else None,
        **options,
    )
    t = result.trades
    assert len(t) == 1
    found = [t.gross[0], t.fees[0], t.funding[0], t.net[0]]
    assert found == pytest.approx([float(x) for x in case.expect[0].split()], abs=1e-9)
    # The wallet knows nothing else.
    assert result.wallet[-1] - result.start_equity == pytest.approx(t.net[0], abs=1e-9)


#: Several symbols on one wallet. XRP at 2 USDT trades on a tick of 0.0001 in steps of 0.1.
TWO = [
    # Each symbol has a pause of its own.
    (
        "a pause of one symbol",
        {"ETHUSDT": "2000 1950x3", "BTCUSDT": "2000x4"},
        "buy@0:ETHUSDT buy@2:ETHUSDT buy@2:BTCUSDT",
        {"loss_cooldown_ms": 86_400_000, "close": 1975.0},
        {"approved": 2, "cooldown": 1},
        ["ETHUSDT", "BTCUSDT"],
    ),
    # What ETH has reserved counts before it is filled: one position is the limit.
    (
        "positions at one instant",
        {"ETHUSDT": "2000x2", "BTCUSDT": "2000x2"},
        "buy@0:ETHUSDT buy@0:BTCUSDT",
        {"max_open_positions": 1},
        {"approved": 1, "open_positions": 1},
        ["ETHUSDT"],
    ),
    # 998.0 of 1000 are taken: 500 are 0.249 each, the third finds 1 USDT and no step in it.
    (
        "total of all positions",
        {"ETHUSDT": "2000x3", "BTCUSDT": "2000x3", "XRPUSDT": "2000x3"},
        "buy@0:ETHUSDT buy@0:BTCUSDT buy@1:XRPUSDT",
        {"max_total_notional": "1000"},
        {"approved": 2, "quantity": 1},
        ["ETHUSDT", "BTCUSDT"],
    ),
    (
        "a symbol the stage does not trade",
        {"XRPUSDT": "2000"},
        "buy@0",
        {"stage": "limited"},
        {"stage_symbol": 1},
        [],
    ),
    # 12.45 lost on ETH are a drawdown of 0.2 %: everything else is closed at the look at 1:20.
    (
        "the kill switch closes the others",
        {"ETHUSDT": "2000 1950x2", "BTCUSDT": "2000x3"},
        "buy@0:ETHUSDT buy@0:BTCUSDT",
        {"max_drawdown": "0.002"},
        {"approved": 2},
        ["ETHUSDT", "BTCUSDT"],
    ),
]


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize(
    ("bars", "signals", "options", "decisions", "traded"),
    [case[1:] for case in TWO],
    ids=[case[0] for case in TWO],
)
def test_one_wallet(
    bars: dict[str, str],
    signals: str,
    options: dict[str, Any],
    decisions: dict[str, int],
    traded: list[str],
    engine: str,
) -> None:
    result = play(engine, bars, signals, **options)
    assert result.decisions == decisions
    assert sorted(result.symbols[i] for i in result.trades.symbol) == sorted(traded)


@pytest.mark.parametrize("engine", ["exact", "compiled"])
def test_the_kill_switch_closes_at_the_guardians_look(engine: str) -> None:
    bars = {"ETHUSDT": "2000 1950x2", "BTCUSDT": "2000x3"}
    result = play(engine, bars, "buy@0:ETHUSDT buy@0:BTCUSDT", max_drawdown="0.002")
    assert told(result)[1].endswith("1:20.000 kill switch")
    assert result.notes == (
        "the kill switch latched at 2025-05-04T12:01:20.000Z: nothing was opened afterwards",
    )


#: 70 minutes of moves of 0.01 %, then one of 2 %: 89 times the usual, and 0.9 % a minute.
RESTLESS = " ".join(["2000", "2000.2"] * 150) + " 2040x10"


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize(
    ("minute", "clear_after", "outcome"),
    [
        (300, 0, "approved"),  # the bar of the jump has not closed yet
        (301, 0, "kill_switch"),
        (308, 0, "kill_switch"),
        (308, 5 * 60_000, "approved"),  # cleared by then
    ],
)
def test_an_abnormal_market(engine: str, minute: int, clear_after: int, outcome: str) -> None:
    result = play(engine, RESTLESS, f"buy@{minute}", close=2040.0, clear_after_ms=clear_after)
    assert result.decisions == {outcome: 1}


@pytest.mark.parametrize("engine", ["exact", "compiled"])
def test_a_switch_that_latches_after_the_last_signal_is_told(engine: str) -> None:
    result = play(engine, RESTLESS, "buy@10", close=2000.0, max_holding_bars=5)
    assert len(result.trades) == 1
    assert result.notes == (
        "the kill switch latched at 2025-05-04T17:01:02.000Z: nothing was opened afterwards",
    )
