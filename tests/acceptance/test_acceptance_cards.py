"""The acceptance cards against the simulated exchange, and against exchanges that are wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.acceptance.run import chosen, execute, table, write
from local.acceptance.venues import SECRET, Demo, InProcess, demo_credentials, values_of
from local.cli.main import main
from local.exchange.faults import (
    AnswerLost,
    ApiRequest,
    ApiResponse,
    Fault,
    ScriptedFaults,
    error_answer,
    on,
    stuck_triggering,
)
from shared.errors import ConfigurationError, InvalidInput
from shared.execution.binance import PRODUCTION
from shared.simulation.orders import NewAlgoOrder, NewOrder
from shared.simulation.venue import MAIN

START = 1_746_403_260_000


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return execute(InProcess(START), chosen([]), max_notional=Decimal(500_000))


def test_every_card_passes_on_the_simulated_exchange(evidence: dict[str, Any]) -> None:
    found = {row["id"]: (row["verdict"], row["reason"]) for row in evidence["cards"]}
    assert found == {f"TC-{n:02d}": ("passed", "") for n in range(1, 31)}
    for row in evidence["cards"]:
        assert row["checks"], row["id"]
        assert row["requests"], row["id"]


def test_evidence_holds_no_secret(evidence: dict[str, Any], tmp_path: Path) -> None:
    full, short = write(evidence, tmp_path)
    for text in (full.read_text(), short.read_text()):
        assert SECRET not in text
        assert "signature=" not in text
        assert "X-MBX-APIKEY" not in text
    told = json.loads(full.read_text())
    sent = [r["parameters"] for row in told["cards"] for r in row["requests"]]
    assert not any({"signature", "listenKey"} & set(parameters) for parameters in sent)
    keys = [
        r["answer"]
        for row in told["cards"]
        for r in row["requests"]
        if r["request"].endswith("listenKey")
    ]
    assert keys
    assert all(isinstance(answer, str) and len(answer) < 60 for answer in keys)


def test_what_nobody_can_know_beforehand_is_noted(evidence: dict[str, Any]) -> None:
    noted = " ".join(k for row in evidence["cards"] for k in row["observations"])
    # Section 9 of the collected facts: what only the venue can tell.
    for question in (
        "avgPrice and cumQuote",
        "id of a cancelled order again",
        "id of a filled market order again",
        "per symbol or per account",
        "a plain order with the same id",
        "conditional order afterwards",
        "signed before encoding",
        "orderIdList in lower case",
        "while a reduce-only order rests",
        "thresholds",
        "commission rate of BTCUSDC",
        "margins",
        "quantile",
    ):
        assert question in noted, question
    assert evidence["limitsMet"] == []


def test_the_table_is_for_people(evidence: dict[str, Any]) -> None:
    text = table(evidence)
    assert "| TC-20 | Trigger: a stop close to the price" in text
    assert "30 passed, 0 failed, 0 skipped, 0 error" in text


def test_the_page_lists_the_cards() -> None:
    page = (Path(__file__).parents[2] / "docs" / "acceptance.md").read_text()
    listed = re.findall(r"^\| (TC-\d\d) \| ([a-z ]+) \|", page, re.MULTILINE)
    assert listed == [(card.id, card.group) for card in chosen([])]


def one(place: InProcess, number: int, **options: Any) -> dict[str, Any]:
    [row] = execute(place, chosen([str(number)]), **options)["cards"]
    return row


class TestAnotherVenue:
    """A card must notice when the venue is not as we believe."""

    def test_a_trigger_that_becomes_no_order_fails_its_card(self) -> None:
        place = InProcess(START)
        stuck_triggering(place.venue)
        row = one(place, 20)
        assert row["verdict"] == "failed"
        [check] = [c for c in row["checks"] if not c["ok"]]
        assert check["what"] == "one of them triggered within three minutes"
        lives = row["observations"]["milliseconds and status of both orders"].values()
        assert "TRIGGERING" in [life[-1][1] for life in lives]
        # The position that the stop did not close is closed after the card.
        assert place.venue.ledger().positions == ()

    def test_slow_queries_of_conditional_orders_are_measured(self) -> None:
        row = one(InProcess(START, algo_query_lag_ms=3_000), 18)
        assert row["verdict"] == "passed"
        assert 2_500 < row["observations"]["milliseconds until a query found it"] < 4_000

    def test_average_prices_in_answers_are_noted(self) -> None:
        def noted(**api: Any) -> dict[str, Any]:
            seen = one(InProcess(START, **api), 6)["observations"]
            return seen["avgPrice and cumQuote in the answer to POST (reference section 9)"]

        assert noted() == {"avgPrice": "absent", "cumQuote": "absent"}
        assert float(noted(average_price_in_answers=True)["avgPrice"]) > 0

    def test_a_clock_that_differs_is_measured_and_no_trouble(self) -> None:
        row = one(InProcess(START, clock_skew_ms=4_000), 1)
        assert row["verdict"] == "passed"
        assert 3_980 <= row["observations"]["offset of the exchange's clock, ms"] <= 4_020

    @pytest.mark.parametrize("number", [6, 7, 13, 16])
    def test_an_order_that_queries_do_not_know_yet_is_waited_for(self, number: int) -> None:
        place = InProcess(START)
        unknown = error_answer(400, -2013, "Order does not exist.")
        lag = Fault(
            lambda r: (r.method, r.path) == ("GET", "/fapi/v1/order") and "tc-" in r.query,
            unknown,
            times=4,
        )
        place.api.faults = ScriptedFaults([lag])
        assert one(place, number)["verdict"] == "passed"
        assert lag.times == 0

    def test_a_lost_answer_is_an_error_without_an_address(self) -> None:
        place = InProcess(START)
        lost = Fault(on("GET", "/fapi/v1/commissionRate"), AnswerLost("reset"), executed=True)
        place.api.faults = ScriptedFaults([lost])
        row = one(place, 29)
        assert (row["verdict"], row["reason"]) == (
            "error",
            "ExchangeUnavailable: GET commissionRate: ConnectionError",
        )
        assert "signature" not in json.dumps(row)

    def test_an_order_that_is_too_large_is_not_placed(self) -> None:
        row = one(InProcess(START), 6, max_notional=Decimal(5))
        assert row["verdict"] == "skipped"
        assert "--max-notional" in row["reason"]

    def test_a_symbol_in_use_is_left_alone(self) -> None:
        place = InProcess(START)
        mine = NewOrder(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=Decimal("0.01"))
        place.venue.place_order(place.venue.account(), mine)
        with pytest.raises(ConfigurationError, match=r"BTCUSDT: 0\.01.* held"):
            execute(place, chosen(["6"]))
        assert len(place.venue.ledger().orders) == 1


def with_words(path: str, *words: str) -> Callable[[ApiRequest], bool]:
    """Chooses orders that are placed at a path with these parameters."""
    return lambda r: (
        (r.method, r.path) == ("POST", path)
        and all(word in r.query + "&" + r.body.decode() for word in words)
    )


#: What the exchange may do to each kind of order this application sends, and the cards that place
#: orders of that kind.
CHANGES: dict[str, tuple[Callable[[ApiRequest], bool], ApiResponse, set[str]]] = {
    "conditional orders move": (
        with_words("/fapi/v1/algoOrder"),
        error_answer(404, -5000, "Path /fapi/v1/algoOrder, Method POST is invalid"),
        {"TC-18", "TC-19", "TC-20", "TC-21", "TC-22"},
    ),
    "stops are refused": (
        with_words("/fapi/v1/algoOrder", "type=STOP_MARKET"),
        error_answer(400, -4120, "Order type not supported for this endpoint."),
        {"TC-18", "TC-20", "TC-21", "TC-22"},
    ),
    "targets are refused": (
        with_words("/fapi/v1/algoOrder", "type=TAKE_PROFIT_MARKET"),
        error_answer(400, -4120, "Order type not supported for this endpoint."),
        {"TC-19"},
    ),
    "post-only is refused": (
        with_words("/fapi/v1/order", "timeInForce=GTX"),
        error_answer(400, -1115, "Invalid timeInForce."),
        {"TC-08"},
    ),
    "immediate orders are refused": (
        with_words("/fapi/v1/order", "timeInForce=IOC"),
        error_answer(400, -1115, "Invalid timeInForce."),
        {"TC-09"},
    ),
    "market orders are refused": (
        with_words("/fapi/v1/order", "type=MARKET"),
        error_answer(400, -1116, "Invalid orderType."),
        {"TC-06", "TC-10", "TC-27"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_failure_3_a_change_of_the_exchange_fails_its_cards_before_anything_is_traded(
    change: str,
) -> None:
    """Lean.Brokerages.Binance#59: conditional orders had moved; seen in production, weeks later."""
    chooses, answer, cards = CHANGES[change]
    place = InProcess(START)
    place.api.faults = ScriptedFaults([Fault(chooses, answer, times=10**6)])
    wanted = sorted(cards | {"TC-01", "TC-03", "TC-07"})
    found = execute(place, chosen(wanted), max_notional=Decimal(500_000))["cards"]
    verdicts = {row["id"]: row["verdict"] for row in found}
    # Each card that places such an order fails, and those beside it do not.
    assert {id_ for id_, verdict in verdicts.items() if verdict != "passed"} == cards
    told = json.dumps([row for row in found if row["id"] in cards])
    assert str(json.loads(answer.body)["code"]) in told
    # Whatever a card had opened is closed again: nothing is left over to look after.
    if change != "market orders are refused":
        assert place.venue.ledger().positions == ()


def test_the_card_that_closes_everything_leaves_an_account_alone_that_others_use() -> None:
    """A conditional order in another symbol is enough: the card would cancel it."""
    place = InProcess(START)
    place.venue.place_algo_order(
        place.venue.account(MAIN),
        NewAlgoOrder(
            symbol="ETHUSDT",
            side="SELL",
            type="STOP_MARKET",
            quantity=Decimal(1),
            trigger_price=Decimal(1000),
            client_algo_id="theirs",
        ),
    )
    row = execute(place, chosen(["TC-27"]), second="BTCUSDT")["cards"][-1]
    assert row["verdict"] == "skipped"
    [theirs] = place.venue.account(MAIN).open_algos["ETHUSDT"].values()
    assert theirs.status == "NEW"


class TestDemoKeys:
    @pytest.mark.parametrize("environment", ["", "production", "simulated"])
    def test_keys_of_elsewhere_are_refused(self, environment: str) -> None:
        values = {
            "BINANCE_ENVIRONMENT": environment,
            "BINANCE_API_KEY": "k",
            "BINANCE_API_SECRET": "s",
        }
        with pytest.raises(ConfigurationError, match="never run in production"):
            demo_credentials(values)

    def test_missing_keys_are_named(self) -> None:
        with pytest.raises(ConfigurationError, match="BINANCE_API_SECRET is empty"):
            demo_credentials({"BINANCE_ENVIRONMENT": "demo", "BINANCE_API_KEY": "k"})

    def test_a_settings_file_holds_them(self, tmp_path: Path) -> None:
        file = tmp_path / "local.settings.json"
        file.write_text(json.dumps({"Values": {"BINANCE_ENVIRONMENT": "demo"}}))
        assert values_of(file) == {"BINANCE_ENVIRONMENT": "demo"}
        file.write_text("[]")
        with pytest.raises(ConfigurationError, match="no settings"):
            values_of(file)

    def test_the_demo_venue_is_demo_s_host(self) -> None:
        values = {
            "BINANCE_ENVIRONMENT": "demo",
            "BINANCE_API_KEY": "k",
            "BINANCE_API_SECRET": "s",
        }
        assert Demo(values).environment.base_url == "https://demo-fapi.binance.com"

    def test_production_is_refused_whatever_the_place_says(self) -> None:
        place = InProcess(START)
        place.environment = PRODUCTION
        with pytest.raises(ConfigurationError, match="never run in production"):
            execute(place, chosen(["1"]))


class TestCommand:
    @pytest.fixture(autouse=True)
    def _no_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("BINANCE_ENVIRONMENT", "BINANCE_API_KEY", "BINANCE_API_SECRET"):
            monkeypatch.delenv(name, raising=False)

    def test_cards_over_http_and_websocket(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = main(["acceptance", "--card", "1", "TC-14", "26", "--out", str(tmp_path)])
        out = capsys.readouterr().out
        assert code == 0, out
        assert "3 passed, 0 failed" in out
        [file] = tmp_path.glob("*.json")
        [card] = [c for c in json.loads(file.read_text())["cards"] if c["id"] == "TC-26"]
        assert card["observations"]["host"].startswith("ws://127.0.0.1:")

    def test_cards_can_be_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["acceptance", "--list"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 30

    def test_demo_needs_its_keys(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["acceptance", "--venue", "demo", "--out", str(tmp_path)]) == 2
        assert "never run in production" in capsys.readouterr().err

    def test_demo_asks_first(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("BINANCE_ENVIRONMENT", "demo")
        monkeypatch.setenv("BINANCE_API_KEY", "k")
        monkeypatch.setenv("BINANCE_API_SECRET", "s")
        monkeypatch.setattr("sys.stdin.isatty", lambda: False)
        assert main(["acceptance", "--venue", "demo", "--out", str(tmp_path)]) == 2
        told = capsys.readouterr()
        assert "https://demo-fapi.binance.com" in told.out
        assert "not confirmed" in told.err
        assert list(tmp_path.iterdir()) == []


def test_unknown_cards_are_named() -> None:
    with pytest.raises(InvalidInput, match="TC-01 to TC-30"):
        chosen(["31"])
    assert [card.id for card in chosen(["tc-3", "1", "3"])] == ["TC-01", "TC-03"]
