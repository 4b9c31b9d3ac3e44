"""The gate on the whole portfolio, one deviation at a time; the ledger under concurrency."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.clock import SystemClock
from shared.errors import ConfigurationError
from shared.risk.decision import Decision, DecisionInputs, canonical_json
from shared.risk.gate import decide
from shared.risk.history import UNIT, MarketHistory, history
from shared.risk.ledger import LimitReached, RiskLedger
from shared.risk.limits import Limits
from shared.risk.portfolio_gate import PORTFOLIO_CHECKS
from shared.risk.portfolio_limits import PortfolioLimits
from shared.storage.sqlite import SqliteStore
from tests.risk.scenario import D, exposure, good_plan, inputs

#: A year that stands still but for four days: down 10 %, 10 %, 5 % and 4 %. At 99 % the value at
#: risk of a long is 4 %, its expected shortfall (10 + 10 + 5 + 0.65 * 4) / 3.65 = 7.56 %.
QUIET = [0] * 361
CRASH = (*QUIET, -4000, -5000, -10_000, -10_000)
#: The same days the other way round.
OPPOSITE = tuple(-x for x in CRASH)
#: Crashes on days of its own.
APART = (-4000, -5000, -10_000, -10_000, *QUIET)


def past(**more: tuple[int, ...]) -> MarketHistory:
    return history({s: (0, r) for s, r in {"BTCUSDT": CRASH, **more}.items()})


def judged(limits: dict[str, Any] | None = None, **changes: Any) -> Decision:
    """The sound situation, 480 USDT of BTC on 5,000, with a past."""
    portfolio = PortfolioLimits(**{k: D(v) for k, v in (limits or {}).items()})
    changes = {"history": past(), **changes, "limits": {"portfolio": portfolio}}
    return decide(inputs(**changes))


def check(decision: Decision, name: str) -> tuple[bool, Decimal, Decimal]:
    (found,) = [c for c in decision.checks if c.name == name]
    assert found.value is not None
    assert found.limit is not None
    return found.passed, D(found.value), D(found.limit)


def long_eth(notional: str = "1000", **more: Any) -> tuple[Any, ...]:
    return (exposure("ETHUSDT", notional, **more),)


def short_eth(notional: str = "1000", **more: Any) -> tuple[Any, ...]:
    return long_eth(notional, quantity=D(-1), **more)


# The plan's worst notional is 480.9624 USDT (12 steps of 0.001 BTC at 40,080.2).
SIZE = good_plan().worst_notional


def test_the_figures_are_those_of_the_definition() -> None:
    decision = judged()
    assert decision.outcome == "approved"
    _, value, limit = check(decision, "value_at_risk")
    # The normal one is smaller: deviation sqrt((0.04² + 0.05² + 2 * 0.1²) / 365) = 0.813 %.
    assert value == pytest.approx(SIZE * D("0.04"), abs=D("0.001"))
    assert limit == 500
    _, value, limit = check(decision, "expected_shortfall")
    mean = (D("0.25") + D("0.65") * D("0.04")) / D("3.65")
    assert value == pytest.approx(SIZE * mean, abs=D("0.001"))
    assert limit == 750
    assert check(decision, "marginal_shortfall")[1:] == (value, 375)
    assert check(decision, "cluster_notional")[1:] == (SIZE, 2000)
    _, heat, limit = check(decision, "heat")
    assert (heat, limit) == (good_plan().risk_amount, 500)
    assert tuple(c.name for c in decision.checks)[-5:] == PORTFOLIO_CHECKS


SAME = past(ETHUSDT=CRASH)
HEDGE = past(ETHUSDT=OPPOSITE)

#: what is there | limits | the reason (None: approved)
SCENARIOS: list[tuple[str, dict[str, Any], dict[str, str], str | None]] = [
    ("alone, at its value at risk", {}, {"max_value_at_risk": "0.003848"}, None),
    ("alone, above it", {}, {"max_value_at_risk": "0.003847"}, "value_at_risk"),
    ("alone, above its shortfall", {}, {"max_expected_shortfall": "0.0072"}, "expected_shortfall"),
    ("adds more than one may", {}, {"max_marginal_shortfall": "0.0072"}, "marginal_shortfall"),
    (
        "with the same bet beside it",
        {"history": SAME, "exposures": long_eth()},
        {"max_value_at_risk": "0.0118"},
        "value_at_risk",
    ),
    (
        "the same bet, and room for both",
        {"history": SAME, "exposures": long_eth()},
        {"max_value_at_risk": "0.0119"},
        None,
    ),
    (
        "a short of the same hedges",
        {"history": SAME, "exposures": short_eth()},
        {"max_value_at_risk": "0.005"},
        None,
    ),
    (
        "a long of the opposite hedges",
        {"history": HEDGE, "exposures": long_eth()},
        {"max_value_at_risk": "0.005"},
        None,
    ),
    (
        "a hedge that is only reserved may never come",
        {"history": SAME, "exposures": short_eth(kind="reserved", decision_id="other", risk=D(9))},
        {"max_value_at_risk": "0.0038"},
        "value_at_risk",
    ),
    (
        "a reservation that adds may come",
        {"history": SAME, "exposures": long_eth(kind="reserved", decision_id="other", risk=D(9))},
        {"max_value_at_risk": "0.0118"},
        "value_at_risk",
    ),
    (
        "of a reserved pair only the one side may fill",
        {
            "history": past(ETHUSDT=CRASH, XRPUSDT=CRASH),
            "exposures": (
                *long_eth("700", kind="reserved", decision_id="one", risk=D(9)),
                exposure(
                    "XRPUSDT", "700", quantity=D(-1), kind="reserved", decision_id="two", risk=D(9)
                ),
            ),
        },
        {"max_value_at_risk": "0.009"},
        "value_at_risk",
    ),
    (
        "a young contract does not make the other's crash forgotten",
        {
            "history": history({"BTCUSDT": (0, tuple(QUIET[:200])), "ETHUSDT": (0, APART)}),
            "exposures": long_eth(),
        },
        {"max_value_at_risk": "0.0079"},
        "value_at_risk",
    ),
    (
        "nor its own days the fewer",
        {
            "history": history({"BTCUSDT": (0, CRASH[-200:]), "ETHUSDT": (0, tuple(QUIET))}),
            "exposures": long_eth(),
        },
        # Of 200 days the third worst, 5 %, of 365 the fourth, 4 %.
        {"max_value_at_risk": "0.0048"},
        "value_at_risk",
    ),
    (
        "crashes on different days do not add up",
        {"history": past(ETHUSDT=APART), "exposures": long_eth("480")},
        {"max_expected_shortfall": "0.0136"},
        None,
    ),
    (
        "no past at all: a fifth is assumed",
        {"history": MarketHistory(end=0)},
        {"max_value_at_risk": "0.0192"},
        "value_at_risk",
    ),
    (
        "the other contract's past is unknown",
        {"exposures": long_eth()},
        {"max_value_at_risk": "0.0438"},
        "value_at_risk",
    ),
    (
        "a cluster at its limit",
        {"history": SAME, "exposures": long_eth("1500")},
        {"max_cluster_notional": "1981"},
        None,
    ),
    (
        "a cluster above it",
        {"history": SAME, "exposures": long_eth("1500")},
        {"max_cluster_notional": "1980"},
        "cluster_notional",
    ),
    (
        "a short in the cluster takes off",
        {"history": SAME, "exposures": short_eth("1500")},
        {"max_cluster_notional": "1020"},
        None,
    ),
    (
        "what does not correlate is another cluster",
        {"history": past(ETHUSDT=APART), "exposures": long_eth("1500")},
        {"max_cluster_notional": "500"},
        None,
    ),
    (
        "an unknown contract belongs to every cluster",
        {"exposures": short_eth("1500")},
        {"max_cluster_notional": "1980"},
        "cluster_notional",
    ),
    ("heat", {}, {"max_heat": "0.002"}, "heat"),
    (
        "heat of what is open counts",
        {"exposures": long_eth(kind="open", decision_id="other", risk=D(40)), "history": SAME},
        {"max_heat": "0.0099"},
        "heat",
    ),
]


@pytest.mark.parametrize(
    ("changes", "limits", "reason"), [s[1:] for s in SCENARIOS], ids=[s[0] for s in SCENARIOS]
)
def test_one_deviation(changes: dict[str, Any], limits: dict[str, str], reason: str | None) -> None:
    decision = judged(limits, **changes)
    assert decision.reasons == (() if reason is None else (reason,))
    assert (decision.plan is None) == (reason is not None)


def test_what_was_assumed_is_said() -> None:
    decision = judged(exposures=long_eth())
    (found,) = [c for c in decision.checks if c.name == "value_at_risk"]
    assert "assumed for ETHUSDT" in found.detail


def test_a_full_portfolio_of_the_defaults_passes_even_without_any_past() -> None:
    """Four times 500 on 5,000: the limits are for portfolios that are worse than that."""
    others = tuple(exposure(s, "500") for s in ("ETHUSDT", "XRPUSDT", "ADAUSDT"))
    assert judged(exposures=others, history=MarketHistory(end=0)).outcome == "approved"


def test_a_record_replays_to_the_same_bytes() -> None:
    given = inputs(history=SAME, exposures=long_eth())
    text = canonical_json(given)
    again = msgspec.json.decode(text, type=DecisionInputs)
    assert again == given
    assert canonical_json(decide(again)) == canonical_json(decide(given))
    # The order in which symbols came to be known is not part of it.
    other = history({"ETHUSDT": (0, CRASH), "BTCUSDT": (0, CRASH)})
    assert canonical_json(inputs(history=other, exposures=long_eth())) == text


def test_a_record_of_before_replays_as_it_was() -> None:
    body = msgspec.json.decode(canonical_json(inputs()))
    del body["history"]
    del body["limits"]["portfolio"]
    decision = decide(msgspec.convert(body, DecisionInputs))
    assert not {c.name for c in decision.checks} & set(PORTFOLIO_CHECKS)


def test_what_cannot_be_judged_does_not_pass() -> None:
    for changes in ({"equity": None}, {"exposures": (exposure("ETHUSDT", "NaN"),)}):
        decision = judged(**changes)
        portfolio = [c for c in decision.checks if c.name in PORTFOLIO_CHECKS]
        assert len(portfolio) == 5
        assert not any(c.passed or c.judged for c in portfolio)


LIMITS: list[tuple[str, Any, Any]] = [
    ("max_value_at_risk", D("0.20"), D("0.2001")),
    ("max_expected_shortfall", D("0.30"), D("0.3001")),
    ("max_marginal_shortfall", D("0.15"), D("0.1501")),
    ("max_cluster_notional", D(5000), D(5001)),
    ("cluster_correlation", D("0.9"), D("0.91")),
    ("max_heat", D("0.20"), D("NaN")),
    ("confidence", D("0.995"), D("0.9899")),
    ("horizon_days", 1, 0),
]


@pytest.mark.parametrize(("field", "accepted", "beyond"), LIMITS)
def test_configuration_can_only_be_stricter(field: str, accepted: Any, beyond: Any) -> None:
    assert getattr(PortfolioLimits(**{field: accepted}), field) == accepted
    with pytest.raises(ConfigurationError, match=field):
        PortfolioLimits(**{field: beyond})
    text = canonical_json(inputs())
    body = msgspec.json.decode(text)
    body["limits"]["portfolio"][field] = str(beyond) if isinstance(beyond, Decimal) else beyond
    with pytest.raises(ConfigurationError, match=field):
        msgspec.convert(body, DecisionInputs)


def test_concurrent_decisions_cannot_exceed_it_together() -> None:
    """Eight plans of 480, each fine alone; the ledger has room for the risk of four."""
    names = [f"S{n}USDT" for n in range(8)]
    known = history(dict.fromkeys(names, (0, CRASH)))
    # The value at risk of one is 4 % of 480.96.
    portfolio = PortfolioLimits(max_value_at_risk=D("0.016"), max_cluster_notional=D(5000))
    limits = Limits(max_total_notional=D(5000), max_open_positions=10, portfolio=portfolio)
    store = SqliteStore(":memory:", clock=SystemClock())
    ledger = RiskLedger(store, SystemClock(), "main")
    ledger.update_equity(D(5000))
    refused: list[str] = []

    def reserve(symbol: str) -> None:
        plan = good_plan(symbol=symbol, decision_id=symbol)
        try:
            ledger.reserve(plan, positions=(), limits=limits, history=known)
        except LimitReached as error:
            refused.extend(c.name for c in error.checks)

    threads = [threading.Thread(target=reserve, args=(s,)) for s in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = ledger.read().entries
    assert len(entries) == 4
    assert refused == ["value_at_risk"] * 4
    assert sum(e.notional for e in entries.values()) * 4000 / UNIT <= 80
    store.close()
