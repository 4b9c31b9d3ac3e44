"""A model reads a chart, asked for behind the real HTTP server, with a local model's endpoint."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.serving import NOW, SECRETS, Serving, problem
from tests.opinions.remote_server import Remote, completion, failure, remote

MINUTE = 60_000
READING = "/api/patterns/BTCUSDT/reading"
KEY = "gsk_" + "kEy7" * 12
SEES = {
    "trend": "sideways",
    "patterns": [
        {
            "kind": "double_top",
            "begins": 50,
            "ends": 100,
            "confidence": 0.7,
            "why": "two\u202e tops",
        },
        {"kind": "bull_flag", "begins": 80, "ends": 20, "confidence": 0.2, "why": "a rest"},
    ],
}


@pytest.fixture(scope="module")
def model() -> Iterator[Remote]:
    with remote() as served:
        yield served


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory, model: Remote) -> Iterator[Serving]:
    served = Serving(
        tmp_path_factory.mktemp("served"),
        speed=0.01,
        LLM_BASE_URL=f"{model.url}/v1",
        LLM_API_KEY=KEY,
        LLM_VISION_MODEL="eyes-1",
    )
    served.services.kill_switch.ensure()
    yield served
    served.close()
    for secret in (*SECRETS, KEY):
        assert not [b for b in served.bodies if secret.encode() in b], "a secret in an answer"


@pytest.fixture(autouse=True)
def rested(request: pytest.FixtureRequest) -> None:
    for name in {"app", "seeing"} & set(request.fixturenames):
        one = request.getfixturevalue(name)
        one.asked()
        services = one.services
        services.opinions.llm_throttle._seen.clear()
        services.prediction_throttle._seen.clear()
    if {"model", "seeing"} & set(request.fixturenames):
        request.getfixturevalue("model").forget()


def test_off_by_default(app: Serving) -> None:
    answer = app.request("POST", READING, json={})
    assert answer.status_code == 503
    assert "LLM_VISION_MODEL" in problem(answer)


def test_it_is_shown_the_candles_and_what_it_says_stands_beside_the_figures(
    seeing: Serving, model: Remote
) -> None:
    before = seeing.state()
    model.will(completion(json.dumps(SEES), model="eyes-1"))
    told = seeing.request("POST", READING, json={"timeframe": "1m"}).json()
    sent = json.loads(model.seen[-1].body)
    assert sent["model"] == "eyes-1"
    parts = [p for m in sent["messages"] if isinstance(m["content"], list) for p in m["content"]]
    (image,) = [p["image_url"]["url"] for p in parts if p["type"] == "image_url"]
    head, _, data = image.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    closed = NOW - NOW % MINUTE
    assert told["barCloseTime"] == closed
    assert told["bars"] == 144
    double, flag = told["seen"]
    # Half of 144 bars from the right; the right edge is the last bar; turned places are put right.
    assert double["begins"] == closed - 72 * MINUTE
    assert double["ends"] == closed - MINUTE
    assert flag["begins"] < flag["ends"]
    # Marks that turn the writing are gone.
    assert double["why"] == "two tops"
    numeric = seeing.request("GET", "/api/patterns/BTCUSDT?timeframe=1m").json()["patterns"]
    assert told["patterns"] == numeric
    kinds = {p["kind"] for p in numeric}
    assert all(one["kind"] in kinds for one in told["seen"] if one["inFigures"])
    assert "not advice" in told["notice"]
    after = seeing.state()
    # Nothing but the day's use of tokens has changed.
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"intelligence"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"trend": "moon", "patterns": []},
        {"trend": "up", "patterns": [{**SEES["patterns"][0], "kind": "moon"}]},  # type: ignore[dict-item]
        {"trend": "up", "patterns": [{**SEES["patterns"][0], "begins": 400}]},  # type: ignore[dict-item]
        {"trend": "up", "patterns": SEES["patterns"] * 3},  # type: ignore[operator]
    ],
)
def test_what_has_not_the_shape_is_not_told(
    seeing: Serving, model: Remote, wrong: dict[str, Any]
) -> None:
    model.will(completion(json.dumps(wrong)), completion(json.dumps(wrong)))
    answer = seeing.request("POST", READING, json={"timeframe": "1m"})
    assert answer.status_code == 502
    assert "shape" in problem(answer)


def test_an_endpoint_that_refuses(seeing: Serving, model: Remote) -> None:
    model.will(failure(400, "invalid_image", "this model takes no images"))
    answer = seeing.request("POST", READING, json={"timeframe": "1m"})
    assert answer.status_code == 502
    assert "takes no images" in problem(answer)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/api/patterns/DOGEUSDT/reading", {}, "unknown symbol"),
        (READING, {"timeframe": "7m"}, "unknown time frame"),
        (READING, {"mood": 1}, "mood"),
    ],
)
def test_what_cannot_be_asked(
    seeing: Serving, path: str, body: dict[str, Any], message: str
) -> None:
    answer = seeing.request("POST", path, json=body)
    assert answer.status_code == 400
    assert message in problem(answer)
