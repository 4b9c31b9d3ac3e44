"""Every row of the error table, answered to an order that adds exposure and to a query."""

from __future__ import annotations

import re
from decimal import Decimal as D
from pathlib import Path

import pytest

from shared.errors import (
    ExchangeError,
    ExchangeHalted,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
    OutcomeUnknown,
)
from shared.execution.binance.errors import TABLE, Reaction, classify
from shared.execution.exchange import OrderRequest
from shared.simulation.refusal import TEXTS
from tests.binance.scripted import START_MS, Bench, Reply, refusal
from tests.binance.test_binance_answers import ORDER_GET, ORDER_POST

ORDER = "/fapi/v1/order"
ENTRY = OrderRequest(
    symbol="BTCUSDT", side="SELL", type="MARKET", quantity=D("10"), client_order_id="e-1"
)
EXIT = OrderRequest(
    symbol="BTCUSDT", side="SELL", type="MARKET", quantity=D("10"), client_order_id="e-1",
    reduce_only=True,
)  # fmt: skip

# Written down from the exchange's documentation, not from our table: reaction, codes.
REJECTED = {
    "REJECT": (
        -2010, -2018, -2019, -2020, -2021, -4142, -2025, -4045, -2027, -2028, -4028, -4161, -4203,
        -4205, -4206, -4403, -1121, -1122, -4140, -4141, -4047, -4048, -4067, -4068, -4167, -4168,
        -4169, -4170, -4172, -4531,
        -4049, -4050, -4051, -4054, -4055, -4130, -4131, -4164, -5021, -5022,
    ),
    "FIX": (
        -1022, -1100, -1101, -1102, -1104, -1105, -1106, -1111, -1114, -1115, -1116, -1117, -1120,
        -1023, -1119, -1127, -1128, -1130, -1131, -1135, -2007, -4006, -4007, -4080, -4166, -5000,
        -1136, -4021, -4031, -4032,
        -2026, -4056, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4015, -4016, -4023,
        -4024, -4044, -4082, -4120, -4135, -4136, -4137, -4138, -4165, -4183, -4184, -4210, -4211,
        -5037, -5038, -5039, -5040, -5041,
    ),
    "RECON": (
        -1125, -2011, -2013, -2022, -2024, -4118, -4509, -5024, -5025, -5026, -5029, -5043, -5047,
    ),
}  # fmt: skip
HALTED = (
    -1002, -1016, -1020, -1099, -2008, -2014, -2015, -2017, -2023, -4060, -4061, -4062, -4084,
    -4087, -4088, -4109, -4192, -4400, -4401, -4402,
)  # fmt: skip
UNKNOWN = (-1000, -1001, -1006, -1007, -4083, -4117)
THROTTLED = (-1003, -1008, -1015)
RESYNC = (-1021, -5028)
DONE = (-4046, -4059, -4171, -5027)
DUPLICATE = (-4116,)

VERDICTS: list[tuple[int, str, type[ExchangeError], type[ExchangeError]]] = [
    *(
        (code, reaction, ExchangeRejected, ExchangeRejected)
        for reaction, codes in REJECTED.items()
        for code in codes
    ),
    *((code, "HALT", ExchangeHalted, ExchangeHalted) for code in HALTED),
    *((code, "RECON", OutcomeUnknown, ExchangeUnavailable) for code in UNKNOWN),
    *((code, "RETRY", ExchangeThrottled, ExchangeThrottled) for code in THROTTLED),
]


def test_every_code_of_the_table_is_tested_below() -> None:
    tested = {code for code, *_ in VERDICTS} | set(RESYNC) | set(DONE) | set(DUPLICATE)
    assert {code for rule in TABLE for code in rule.codes} == tested


def test_every_code_that_the_simulated_exchange_answers_with_has_a_row() -> None:
    root = Path(__file__).parents[2]
    told = set(TEXTS)
    for folder in ("shared/simulation", "local/exchange"):
        for file in (root / folder).glob("*.py"):
            code = r"(?<![\d.\w])-(?:1|2|4|5)\d{3}\b"
            told |= {int(found) for found in re.findall(code, file.read_text())}
    assert len(told) > 60
    assert told - {code for rule in TABLE for code in rule.codes} == set()


def test_no_code_has_two_rows_but_by_its_words() -> None:
    """One reaction per class: the first row counts, so a second one would never be reached."""
    seen: set[int] = set()
    for rule in TABLE:
        if not (rule.text or rule.statuses):
            assert not seen & set(rule.codes)
            seen |= set(rule.codes)


@pytest.mark.parametrize(("code", "reaction", "changed", "queried"), VERDICTS)
def test_codes(
    code: int, reaction: str, changed: type[ExchangeError], queried: type[ExchangeError]
) -> None:
    assert classify(400, code, "").reaction is Reaction[reaction]
    bench = Bench()
    bench.script.on("POST", ORDER, refusal(code, "told by the venue"))
    with pytest.raises(ExchangeError) as caught:
        bench.exchange.place_order(ENTRY)
    assert type(caught.value) is changed
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert "told by the venue" in str(caught.value)
    assert len(bench.script.calls("POST", ORDER)) == 1, "new exposure is never sent twice"

    bench = Bench()
    bench.script.on("GET", "/fapi/v3/positionRisk", refusal(code))
    with pytest.raises(ExchangeError) as caught:
        bench.exchange.positions()
    assert type(caught.value) is queried


@pytest.mark.parametrize("code", DONE)
def test_already_so_is_success(code: int) -> None:
    assert classify(400, code, "").reaction is Reaction.OK
    bench = Bench()
    bench.script.on("POST", "/fapi/v1/marginType", refusal(code))
    bench.exchange.set_isolated("BTCUSDT")


STATUSES = [
    # status, body, on an order, on a query, resent on a query
    (503, {"code": 0, "msg": "Unknown error, please check your request or try again later."},
     OutcomeUnknown, ExchangeUnavailable),
    (503, "Unknown error, please check your request or try again later.",
     OutcomeUnknown, ExchangeUnavailable),
    (503, {"code": 0, "msg": "Service Unavailable."}, ExchangeUnavailable, ExchangeUnavailable),
    (503, "Service Unavailable.", ExchangeUnavailable, ExchangeUnavailable),
    (503, {"code": -1008, "msg": "Request throttled by system-level protection."},
     ExchangeThrottled, ExchangeThrottled),
    (503, {"code": -1001, "msg": "Internal error; unable to process your request."},
     OutcomeUnknown, ExchangeUnavailable),
    (503, "<html>whatever</html>", OutcomeUnknown, ExchangeUnavailable),
    (500, "", OutcomeUnknown, ExchangeUnavailable),
    (502, "<html>Bad Gateway</html>", OutcomeUnknown, ExchangeUnavailable),
    (504, "", OutcomeUnknown, ExchangeUnavailable),
    (408, {"code": -1007, "msg": "Timeout waiting for response from backend server."},
     OutcomeUnknown, ExchangeUnavailable),
    (408, "", OutcomeUnknown, ExchangeUnavailable),
    (302, "", OutcomeUnknown, ExchangeUnavailable),
    (400, "<html>Bad Request</html>", OutcomeUnknown, ExchangeUnavailable),
    (400, '"oops"', OutcomeUnknown, ExchangeUnavailable),
    (400, "[1,2]", OutcomeUnknown, ExchangeUnavailable),
    (400, {"code": -9999, "msg": "A code nobody has listed."}, ExchangeRejected, ExchangeRejected),
    (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
     ExchangeHalted, ExchangeHalted),
    (401, "", ExchangeHalted, ExchangeHalted),
    (403, "<html>WAF</html>", ExchangeHalted, ExchangeHalted),
    (451, "", ExchangeHalted, ExchangeHalted),
    (404, "<html>Not Found</html>", ExchangeRejected, ExchangeRejected),
    (418, {"code": -1003, "msg": "Way too many requests; IP banned."},
     ExchangeHalted, ExchangeHalted),
    (429, {"code": -1003, "msg": "Too many requests."}, ExchangeThrottled, ExchangeThrottled),
    (429, "", ExchangeThrottled, ExchangeThrottled),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "changed", "queried"), STATUSES)
def test_statuses(
    status: int,
    body: object,
    changed: type[ExchangeError],
    queried: type[ExchangeError],
) -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, Reply(body, status))
    with pytest.raises(ExchangeError) as caught:
        bench.exchange.place_order(ENTRY)
    assert type(caught.value) is changed
    assert caught.value.status == status
    assert len(bench.script.calls("POST", ORDER)) == 1
    bench = Bench()
    bench.script.on("GET", "/fapi/v3/positionRisk", Reply(body, status))
    with pytest.raises(ExchangeError) as caught:
        bench.exchange.positions()
    assert type(caught.value) is queried
    retried = queried is ExchangeUnavailable or "throttled" in str(body)
    assert len(bench.script.calls("GET", "/fapi/v3/positionRisk")) == (4 if retried else 1)


def test_a_query_survives_three_bad_moments_with_growing_pauses() -> None:
    bench = Bench()
    down = Reply("Service Unavailable.", 503)
    bench.script.on("GET", "/fapi/v3/positionRisk", down, down, Reply("", 502), Reply([]))
    assert bench.exchange.positions() == []
    assert bench.clock.now_ms() == START_MS + 200 + 400 + 800


@pytest.mark.parametrize(
    ("answer", "posts"),
    [
        (Reply("Service Unavailable.", 503), 2),
        (refusal(-1008, "throttled", 503), 2),
        # May have been executed: even an exit is not repeated blindly.
        (Reply("Unknown error", 503), 1),
        (refusal(-1007), 1),
        (refusal(-1001), 1),
    ],
)
def test_exits_are_sent_again_only_when_known_not_executed(answer: Reply, posts: int) -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, answer, Reply(ORDER_POST))
    if posts == 1:
        with pytest.raises(OutcomeUnknown):
            bench.exchange.place_order(EXIT)
    else:
        assert bench.exchange.place_order(EXIT).order_id == 22542179
    sent = bench.script.calls("POST", ORDER)
    assert [s.params["newClientOrderId"] for s in sent] == ["e-1"] * posts


@pytest.mark.parametrize("code", RESYNC)
def test_a_refused_timestamp_is_measured_again_and_sent_once_more(code: int) -> None:
    bench = Bench()
    bench.exchange.server_time()
    bench.script.skew_ms = 7000  # the exchange's clock jumps
    bench.script.on("POST", ORDER, refusal(code), Reply(ORDER_POST))
    bench.exchange.place_order(ENTRY)
    first, second = bench.script.calls("POST", ORDER)
    assert first.params["newClientOrderId"] == second.params["newClientOrderId"] == "e-1"
    assert int(second.params["timestamp"]) - int(first.params["timestamp"]) == 7000


@pytest.mark.parametrize("code", RESYNC)
def test_a_timestamp_refused_twice_is_given_up(code: int) -> None:
    assert classify(400, code, "").reaction is Reaction.RETRY
    bench = Bench()
    bench.script.on("POST", ORDER, refusal(code))
    with pytest.raises(ExchangeUnavailable):
        bench.exchange.place_order(ENTRY)
    assert len(bench.script.calls("POST", ORDER)) == 2


def test_a_second_bad_signature_in_a_row_halts() -> None:
    bench = Bench()
    bench.script.on(
        "POST", ORDER, refusal(-1022), refusal(-1022), Reply(ORDER_POST), refusal(-1022)
    )
    for expected in (ExchangeRejected, ExchangeHalted, None, ExchangeRejected):
        if expected is None:
            bench.exchange.place_order(ENTRY)
            continue
        with pytest.raises(ExchangeError) as caught:
            bench.exchange.place_order(ENTRY)
        assert type(caught.value) is expected


@pytest.mark.parametrize(
    "refused",
    [refusal(-4116, "ClientOrderId is duplicated."), refusal(-2010, "Duplicate order sent.")],
)
def test_an_open_order_with_the_same_id_and_terms_is_adopted(refused: Reply) -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, refused)
    bench.script.on("GET", ORDER, Reply(ORDER_GET))
    assert bench.exchange.place_order(ENTRY).order_id == 22542179
    assert len(bench.script.calls("POST", ORDER)) == 1


def test_an_open_order_with_the_same_id_but_other_terms_is_refused() -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, refusal(-4116))
    bench.script.on("GET", ORDER, Reply(ORDER_GET | {"origQty": "11"}))
    with pytest.raises(ExchangeRejected):
        bench.exchange.place_order(ENTRY)


def test_a_taken_id_that_cannot_be_found_is_unknown() -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, refusal(-4116))
    bench.script.on("GET", ORDER, refusal(-2013))
    with pytest.raises(OutcomeUnknown):
        bench.exchange.place_order(ENTRY)


def test_a_refusal_inside_a_200_is_a_refusal() -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, Reply('{"code":-2019,"msg":"Margin is insufficient."}'))
    with pytest.raises(ExchangeRejected):
        bench.exchange.place_order(ENTRY)
