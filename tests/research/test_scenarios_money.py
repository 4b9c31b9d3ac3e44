"""Money of a few candles by hand: fees, funding, the equity as it is marked; both engines agree."""

from __future__ import annotations

import pytest
from scenario import NOON, play, told
from scenario_cases import LONG, Case

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
