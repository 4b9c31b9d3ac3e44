"""What conduct asks of an entry: figures at, below and above each bound."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.compliance.pretrade import LEAD_MS, PreTrade, RestingOrder, Restriction, checks
from shared.risk.decision import DecisionInputs, canonical_json
from shared.risk.gate import decide
from tests.compliance.flows import START
from tests.risk.scenario import inputs

D = Decimal


def situation(side: str, **changes: Any) -> DecisionInputs:
    strength = 0.8 if side == "BUY" else -0.8
    return inputs(signal={"side": side, "strength": strength}, **changes)


def facts(**fields: Any) -> PreTrade:
    nothing = {
        "resting": (),
        "restrictions": (),
        "messages": 0,
        "message_limit": 150,
        "violations": (),
    }
    return PreTrade(**{**nothing, **fields})


def failed(side: str = "BUY", **fields: Any) -> list[str]:
    """Checks that an entry fails, of those of conduct."""
    asked = situation(side, compliance=facts(**fields))
    decision = decide(asked)
    names = ("own_orders", "restricted_window", "message_rate", "open_violations")
    assert [c.name for c in decision.checks[-4:]] == list(names)
    wrong = [c.name for c in decision.checks if not c.passed]
    assert (decision.outcome == "approved") == (not wrong)
    return wrong


def resting(side: str, price: str) -> dict[str, Any]:
    return {
        "resting": (
            RestingOrder(client_id="web_1", side=side, price=D(price), quantity=D("0.1")),  # type: ignore[arg-type]
        )
    }


def worst(side: str) -> Decimal:
    plan = decide(situation(side)).plan
    assert plan is not None
    return plan.worst_price


@pytest.mark.parametrize(
    ("side", "other", "off", "met"),
    [
        ("BUY", "SELL", "0", True),
        ("BUY", "SELL", "0.1", False),
        ("BUY", "SELL", "-100", True),
        ("BUY", "BUY", "0", False),
        ("SELL", "BUY", "0", True),
        ("SELL", "BUY", "-0.1", False),
        ("SELL", "BUY", "100", True),
        ("SELL", "SELL", "0", False),
    ],
)
def test_own_orders_up_to_the_worst_price(side: str, other: str, off: str, met: bool) -> None:
    price = str(worst(side) + D(off))
    assert failed(side, **resting(other, price)) == (["own_orders"] if met else [])


def test_messages_up_to_the_limit() -> None:
    assert failed(messages=150) == []
    assert failed(messages=151) == ["message_rate"]


def test_violations_decline() -> None:
    assert failed(violations=("spoofing-BTCUSDT-1",)) == ["open_violations"]


@given(at=st.integers(START - 3 * LEAD_MS, START + 3 * LEAD_MS))
def test_a_window_declines_from_a_minute_before_it_to_its_end(at: int) -> None:
    window = Restriction(event_id="e", title="t", starts_at=START, ends_at=START + LEAD_MS)
    told = [c.name for c in checks(facts(restrictions=(window,)), None, at) if c.judged]
    assert told == ["restricted_window", "message_rate", "open_violations"]
    passed = checks(facts(restrictions=(window,)), None, at)[1].passed
    assert passed == (not START - 60_000 <= at <= START + 60_000)


def test_a_decision_of_before_is_judged_as_it_was() -> None:
    """A record without these facts has no such checks, and replays to the same bytes."""
    asked = situation("BUY")
    body = msgspec.to_builtins(asked)
    del body["compliance"]
    old = msgspec.convert(body, DecisionInputs)
    assert old == asked
    assert canonical_json(decide(old)) == canonical_json(decide(asked))
    assert not {"own_orders", "open_violations"} & {c.name for c in decide(old).checks}


def test_facts_are_kept_exactly() -> None:
    window = Restriction(event_id="e", title="t", starts_at=1, ends_at=2)
    asked = situation("BUY", compliance=facts(restrictions=(window,), **resting("SELL", "9.10")))
    again = msgspec.json.decode(canonical_json(asked), type=DecisionInputs)
    assert again == asked
    assert canonical_json(decide(again)) == canonical_json(decide(asked))
