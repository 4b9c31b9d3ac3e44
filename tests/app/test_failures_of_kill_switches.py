"""What other systems' users reported about kill switches, as scenarios of this application.

The number is that of the table in ``docs/safety.md``.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from test_emergency import clear
from test_failures_of_others import restarted
from test_guardian_rounds import later, opened
from test_triggers import NO_READING, lose, trigger

from local.exchange.faults import ApiResponse
from shared.errors import BorsaError
from shared.execution.guardian import guard

D = Decimal


@pytest.mark.parametrize("body", NO_READING, ids=["zero", "no row", "below zero", "NaN", "{}", "-"])
def test_25_a_made_up_balance_at_the_start_is_no_drawdown(open_floor, body):
    """passivbot PR#839: a balance that was not the account's made a peak, and 17 % of drawdown."""
    floor = open_floor(durable=False)
    guard(floor.desk)
    desk = restarted(floor)
    answer = ApiResponse(200, {"content-type": "application/json"}, body)
    floor.break_next(("GET", "/fapi/v3/account"), answer, times=3)
    for _ in range(8):
        later(floor)
        try:
            guard(desk)
        except BorsaError:
            continue
    assert trigger(floor) is None
    assert floor.services.ledger.read().equity_peak == 5000


def test_25_losses_of_before_make_no_peak(open_floor):
    """passivbot PR#839: the peak was computed backwards, from the history of realised results."""
    floor = open_floor(durable=False)
    lose(floor, "1500")
    floor.trade_by_hand("BTCUSDT", "BUY", "0.001")
    floor.trade_by_hand("BTCUSDT", "SELL", "0.001")
    floor.expected = {1, 2, 3, 4, 7, 8}
    for _ in range(12):
        later(floor)
        guard(floor.desk)
    assert trigger(floor) is None
    peak = floor.services.ledger.read().equity_peak
    assert peak == floor.account.wallet_balance() < 3_500


def test_25_a_cleared_latch_does_not_come_back_with_a_restart(open_floor):
    """passivbot PR#857: on restart the closes of the panic in the history latched it again."""
    floor = open_floor(
        {"BTCUSDT": [(2, 0), (6, -0.045), (900, -0.045)], "ETHUSDT": ()},
        settings={"MAX_DRAWDOWN": "0.02"},
    )
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.minutes(1)
    floor.trade_by_hand("BTCUSDT", "BUY", "0.03")
    floor.minutes(8)
    assert trigger(floor) == "max_drawdown"
    assert floor.held() == 0
    assert clear(floor, floor.totp()) == 200
    floor.watch.latched_at = None
    for _ in range(15):
        later(floor)
        guard(restarted(floor))
    assert trigger(floor) is None
    assert floor.services.kill_switch.ensure().state == "armed"


def test_25_it_fires_on_what_is_not_realised_yet_and_before_the_liquidation(open_floor):
    """passivbot#477: the loss counted only once the exchange had liquidated the position."""
    floor = open_floor({"BTCUSDT": [(2, 0), (60, -0.20)]}, settings={"MAX_DRAWDOWN": "0.05"})
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.minutes(1)
    floor.trade_by_hand("BTCUSDT", "BUY", "0.03")
    floor.minutes(40)
    assert trigger(floor) == "max_drawdown"
    assert floor.held() == 0
    assert not [o for o in floor.orders() if o.client_order_id.startswith("autoclose")]
    # Nothing was realised before the stop closed the position.
    [latched] = floor.audit("kill_switch")
    income = [i for i in floor.venue.ledger().income if i.kind == "REALIZED_PNL" and i.amount]
    assert min(i.time for i in income) >= latched["evidence"]["observed_at"]
    assert D(latched["evidence"]["equity"]) <= D(latched["evidence"]["peak"]) * D("0.95")


def test_25_a_new_account_without_money_or_history_is_looked_after(open_floor):
    """passivbot#1685: a newly funded account without fills crashed the start."""
    floor = open_floor(durable=False, deposit="0")
    for _ in range(6):
        later(floor)
        guard(floor.desk)
    assert trigger(floor) is None
    floor.venue.transfer(floor.account, D(5_000))
    for _ in range(12):
        later(floor)
        guard(floor.desk)
    assert trigger(floor) is None
    later(floor, 300 - floor.clock.now_ms() / 1000 % 300 + 2)
    opened(floor)
    assert [s.quantity for s in floor.stops()] == [floor.held()]
