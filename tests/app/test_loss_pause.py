"""After a losing trade a symbol rests, where that is asked for; the stored trades say so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from desk import Floor

from shared.execution import assess
from shared.risk.decision import DecisionInputs, canonical_json
from shared.risk.gate import decide

#: Through every stop of a purchase within two minutes, then flat; and the other way.
FALL = [(1, 0.0), (3, -0.06), (600, -0.06)]
RISE = [(1, 0.0), (3, 0.12), (600, 0.12)]


def traded(floor: Floor) -> None:
    """One purchase that its stop or target closes; booked by the guardian."""
    signal = floor.trade("BTCUSDT")
    floor.minutes(5)
    assert [t["id"] for t in floor.trades()] == [signal.id]
    assert not floor.held()


def reasons(floor: Floor, symbol: str = "BTCUSDT") -> tuple[str, ...]:
    decision = assess.assess(floor.desk, symbol, floor.signal(symbol).id)
    if decision.outcome == "approved":
        floor.services.ledger.release(decision.id)
    return decision.reasons


@pytest.mark.parametrize(
    ("moves", "minutes", "refused"),
    [
        pytest.param(FALL, "15", True, id="within the pause"),
        pytest.param(FALL, "2", False, id="after it"),
        pytest.param(FALL, "0", False, id="no pause is asked for"),
        pytest.param(RISE, "15", False, id="a gain"),
    ],
)
def test_a_symbol_rests_after_a_loss(
    open_floor: Callable[..., Floor], moves: list[tuple[float, float]], minutes: str, refused: bool
) -> None:
    floor = open_floor(
        {"BTCUSDT": moves, "ETHUSDT": ()}, settings={"LOSS_COOLDOWN_MINUTES": minutes}
    )
    traded(floor)
    assert reasons(floor) == (("cooldown",) if refused else ())
    assert reasons(floor, "ETHUSDT") == ()
    floor.minutes(20)
    assert reasons(floor) == ()


def test_a_loss_on_another_venue_is_none_here(open_floor: Callable[..., Floor]) -> None:
    floor = open_floor({"BTCUSDT": FALL}, settings={"LOSS_COOLDOWN_MINUTES": "15"})
    traded(floor)
    (found,) = floor.store.query("trades", "main").documents
    floor.store.replace("trades", {**found.body, "venue": "demo"}, etag=found.etag)
    assert reasons(floor) == ()
    floor.store.replace(
        "trades", found.body, etag=floor.store.get("trades", "main", found.body["id"]).etag
    )


def test_a_decision_from_before_the_pause_was_filled_replays(
    open_floor: Callable[..., Floor],
) -> None:
    """Stored without it, or with an empty one: the same bytes."""
    floor = open_floor()
    signal = floor.signal()
    decision = assess.assess(floor.desk, "BTCUSDT", signal.id)
    body = floor.store.get("signals", "BTCUSDT", assess.decision_key(signal.id)).body["inputs"]
    assert body["cooldown"] == {"last_loss_at": None, "losses_in_a_row": 0}
    old = {k: v for k, v in body.items() if k != "cooldown"}
    again = decide(msgspec.convert(old, DecisionInputs))
    assert canonical_json(again) == canonical_json(decision)
    floor.services.ledger.release(decision.id)
