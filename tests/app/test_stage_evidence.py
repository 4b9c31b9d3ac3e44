"""Invariant 11: no stage is skipped. Without evidence nothing is opened on production."""

from __future__ import annotations

import dataclasses

from local.clock import VirtualClock
from shared.bootstrap import Services
from shared.execution import entry
from shared.execution.assess import assess
from shared.storage.sqlite import SqliteStore


def test_an_entry_is_declined_while_evidence_is_missing(open_floor):
    floor = open_floor()
    signal = floor.signal("BTCUSDT")
    assert assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    desk = dataclasses.replace(floor.desk, stage_problems=("no evidence of testnet",))
    result = entry.open_position(desk, "BTCUSDT", signal.id)
    assert (result.status, "no evidence of testnet" in result.reason) == ("declined", True)
    assert not floor.entries()
    assert floor.leaked() == ({}, [])


def test_production_has_no_evidence_yet_and_other_venues_need_none():
    def problems(**environment: str) -> tuple[str, ...]:
        clock = VirtualClock(0)
        store = SqliteStore(":memory:", clock=clock)
        try:
            return Services(environment, clock=clock, store=store).stage_problems
        finally:
            store.close()

    for stage in ("limited", "full"):
        assert problems(BINANCE_ENVIRONMENT="production", TRADING_STAGE=stage)
    assert not problems(BINANCE_ENVIRONMENT="demo", TRADING_STAGE="testnet")
    assert not problems(BINANCE_BASE_URL="http://127.0.0.1:1", TRADING_STAGE="paper")


def test_a_desk_that_only_closes_does_not_wait_for_the_evidence():
    """A store that hangs must not hold up an emergency stop before its latch."""

    class Hanging:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"the store was asked to {name}")

    environment = {"BINANCE_ENVIRONMENT": "production", "TRADING_STAGE": "full"}
    desk = Services(environment, clock=VirtualClock(0), store=Hanging()).exit_desk()
    assert desk.stage_problems
    assert desk.environment == "production"
