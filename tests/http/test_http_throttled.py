"""Who asks too often is told when to ask again: the header ``Retry-After`` of every answer 429."""

from __future__ import annotations

import pytest

from functions.http import MINUTE_S, failed
from shared.errors import (
    BorsaError,
    ExchangeThrottled,
    ServiceThrottled,
    StoreUnavailable,
    TooManyRequests,
)
from shared.security.throttle import Throttle
from tests.described import description
from tests.http.serving import Serving


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (TooManyRequests("often", retry_after=40.0), 429, "40"),
        # Whole seconds (RFC 9110, 10.2.3), never one too early and never at once.
        (ExchangeThrottled("budget", retry_after=12.001), 429, "13"),
        (ExchangeThrottled("asked to wait", status=429, retry_after=0.2), 429, "1"),
        (ServiceThrottled("slow", status=429, retry_after=900.0), 429, "900"),
        (ServiceThrottled("slow", status=429, retry_after=1e300), 429, "86400"),
        # Where nobody knows, a minute: what all counters here are counted in.
        (ServiceThrottled("slow", status=429), 429, str(MINUTE_S)),
        (TooManyRequests("often"), 429, str(MINUTE_S)),
        # Overloaded by others: their pause is none of a limit of ours.
        (ExchangeThrottled("overloaded", status=503, retry_after=9.0), 502, None),
        (StoreUnavailable("away"), 503, None),
    ],
)
def test_the_header_of_an_error(error: BorsaError, status: int, told: str | None) -> None:
    answer = failed(error)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, told)


def test_every_answer_429_that_is_described_has_it() -> None:
    found = 0
    for path, item in description()["paths"].items():
        for method, one in item.items():
            if "429" in one["responses"]:
                found += 1
                headers = one["responses"]["429"]["headers"]
                assert headers["Retry-After"]["schema"]["type"] == "integer", (method, path)
    assert found > 40


def test_the_pause_is_as_long_as_the_limit_says(fresh: Serving) -> None:
    body = {"code": "1", "reason": "no reason at all", "operator": "eva"}

    def clear() -> tuple[int, str | None]:
        answer = fresh.request("POST", "/api/kill-switch/clear", json=body)
        return answer.status_code, answer.headers.get("Retry-After")

    for _ in range(10):
        clear()
    fresh.pass_time(20)
    status, told = clear()
    assert status == 429
    assert told is not None
    assert 1 <= int(told) <= 40
    # Whoever waits as long as told is let in.
    fresh.pass_time(int(told))
    assert clear()[0] != 429


def test_a_throttle_says_when_the_oldest_request_is_a_minute_old(fresh: Serving) -> None:
    throttle = Throttle(fresh.clock, 1)
    throttle.admit()
    with pytest.raises(TooManyRequests) as refused:
        throttle.admit()
    assert 59 < refused.value.retry_after <= 60
