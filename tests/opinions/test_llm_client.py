"""The client of language models against a server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.clock import DAY_MS
from shared.errors import (
    ConfigurationError,
    ServiceRefused,
    ServiceThrottled,
    ServiceUnavailable,
    TooManyRequests,
)
from shared.intelligence.llm_budget import DailyBudget, Prices
from shared.intelligence.llm_client import LlmClient, LlmConfig, unfenced
from shared.intelligence.llm_messages import (
    Message,
    Tool,
    Usage,
    image_part,
    system,
    text_part,
    tool_result,
    user,
)
from shared.intelligence.llm_redaction import Redaction
from shared.remote.http import RemoteHttp
from shared.security.secrets import EnvironmentSecrets
from shared.storage.sqlite import SqliteStore
from tests.opinions.conftest import START
from tests.opinions.remote_server import Remote, Reply, completion, failure

KEY = "gsk_" + "a1B2c3D4" * 6
BINANCE = "Zx9" * 21 + "Q"
ENVIRONMENT = {
    "LLM_API_KEY": KEY,
    "BINANCE_API_KEY": BINANCE,
    "BINANCE_API_SECRET": "secret-of-the-exchange-0001",
    "TOTP_SECRET": "JBSWY3DPEHPK3PXP",
}


class Outlook(msgspec.Struct):
    side: Literal["up", "down"]
    why: str


def client(
    server: Remote,
    clock: VirtualClock,
    store: SqliteStore,
    *,
    environment: dict[str, str] | None = None,
    tokens: int = 100_000,
    cost: float = 1.0,
    key_secret: str = "llm-api-key",
    base_url: str = "",
    output: int = 500,
) -> LlmClient:
    given_ = ENVIRONMENT if environment is None else environment
    secrets = EnvironmentSecrets(given_)
    return LlmClient(
        LlmConfig(
            base_url=base_url or f"{server.url}/openai/v1/",
            model="openai/gpt-oss-120b",
            key_secret=key_secret,
            max_output_tokens=output,
        ),
        RemoteHttp("the language model", clock),
        lambda: secrets.get(key_secret),
        DailyBudget(store, clock, tokens=tokens, cost=cost, prices=Prices(0.59, 0.79)),
        lambda: Redaction(given_, secrets, (key_secret,)),
    )


def test_a_question_and_its_answer(server: Remote, clock: VirtualClock, store: SqliteStore) -> None:
    server.will(completion("It is quiet.", prompt=1_000, written=100))
    asked = client(server, clock, store)
    answer = asked.complete([system("be brief"), user("how is it?")])
    assert (answer.text, answer.tool_calls, answer.finish) == ("It is quiet.", (), "stop")
    assert answer.model == "openai/gpt-oss-120b"
    # 1,000 * 0.59 + 100 * 0.79 millionths of a USD.
    assert answer.usage == Usage(prompt_tokens=1_000, completion_tokens=100, cost=0.000669)
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/openai/v1/chat/completions")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.json == {
        "model": "openai/gpt-oss-120b",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "how is it?"},
        ],
        "max_completion_tokens": 500,
        "temperature": 0,
    }


def test_tools_are_offered_called_and_answered(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.will(completion(calls=[("call_1", "positions", '{"symbol":"BTCUSDT"}')]))
    asked = client(server, clock, store)
    tool = Tool(name="positions", description="open ones", parameters={"type": "object"})
    answer = asked.complete([user("?")], tools=[tool])
    (call,) = answer.tool_calls
    assert (call.id, call.function.name) == ("call_1", "positions")
    assert json.loads(call.function.arguments) == {"symbol": "BTCUSDT"}
    (offered,) = server.seen[0].json["tools"]
    assert offered["function"] == {
        "name": "positions",
        "description": "open ones",
        "parameters": {"type": "object"},
    }
    server.will(completion("none"))
    asked.complete(
        [
            user("?"),
            Message(role="assistant", tool_calls=answer.tool_calls),
            tool_result(call, "[]"),
        ]
    )
    assert server.seen[1].json["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "call_1",
                    "function": {"name": "positions", "arguments": '{"symbol":"BTCUSDT"}'},
                    "type": "function",
                }
            ],
        },
        {"role": "tool", "content": "[]", "tool_call_id": "call_1"},
    ]


def test_images_are_sent_as_parts(server: Remote, clock: VirtualClock, store: SqliteStore) -> None:
    server.will(completion("a flag"))
    asked = client(server, clock, store, tokens=5_000)
    png = b"\x89PNG" + bytes(20_000)
    asked.complete(
        [Message(role="user", content=(text_part("what is it?"), image_part(png)))],
        model="one-that-sees",
    )
    sent = server.seen[0].json
    assert sent["model"] == "one-that-sees"
    text, image = sent["messages"][0]["content"]
    assert text == {"type": "text", "text": "what is it?"}
    assert image["type"] == "image_url"
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    # An image counts for its pixels, not for the length of its text: 5,000 tokens were enough.
    assert asked.budget.spent().requests == 1


def test_json_is_asked_for_checked_and_asked_for_again(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.will(
        completion('{"side": "sideways", "why": "x"}', prompt=100, written=10),
        completion('```json\n{"side": "up", "why": "volume"}\n```', prompt=150, written=20),
    )
    asked = client(server, clock, store)
    found, answer = asked.structured([user("?")], Outlook)
    assert found == Outlook("up", "volume")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (250, 30)
    first, second = (s.json for s in server.seen)
    assert first["response_format"] == {"type": "json_object"}
    assert '"enum":["down","up"]' in first["messages"][-1]["content"]
    assert "sideways" in second["messages"][-1]["content"]


def test_json_that_never_fits_is_an_error(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.always(lambda _: completion("I would rather not."))
    with pytest.raises(ServiceUnavailable, match="did not answer in the shape"):
        client(server, clock, store).structured([user("?")], Outlook)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('{"a": 1}', '{"a": 1}'),
        (' ```json\n{"a": 1}\n``` ', '{"a": 1}\n'),
        ('```\n{"a": 1}```', '{"a": 1}'),
        ("``` only one", "``` only one"),
    ],
)
def test_fences_are_taken_off(text: str, inside: str) -> None:
    assert unfenced(text) == inside


# ---------------------------------------------------------------- configuration


def test_without_a_key_it_is_said_what_to_set(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    asked = client(server, clock, store, environment={})
    with pytest.raises(ConfigurationError) as told:
        asked.complete([user("?")])
    for word in ("LLM_API_KEY", "llm-api-key", "LLM_BASE_URL", "LLM_MODEL"):
        assert word in str(told.value)
    assert server.seen == []


def test_an_endpoint_on_this_machine_needs_no_key(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.will(completion("hello"))
    client(server, clock, store, environment={}, key_secret="none").complete([user("?")])
    assert "authorization" not in server.seen[0].headers


def test_a_key_never_goes_out_unencrypted(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    asked = client(server, clock, store, base_url="http://models.example.com/v1")
    with pytest.raises(ConfigurationError, match="not https"):
        asked.complete([user("?")])


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("reply", "error", "word"),
    [
        (failure(401, "invalid_api_key", f"Invalid API Key: {KEY}"), ServiceRefused, "not taken"),
        (failure(404, "not_found", "no such path"), ServiceRefused, "no such path"),
        (failure(413, "request_too_large", "too large"), ServiceRefused, "too large"),
        (Reply(b"<html>no</html>", 400), ServiceRefused, "400"),
        (failure(429, "rate_limit_exceeded", "x", retry_after="999"), ServiceThrottled, "999"),
        (Reply(b"", 302, {"Location": "http://else.where"}), ServiceRefused, "302"),
    ],
)
def test_a_refusal_costs_nothing_and_tells_no_key(
    server: Remote,
    clock: VirtualClock,
    store: SqliteStore,
    reply: Reply,
    error: type[Exception],
    word: str,
) -> None:
    server.will(reply)
    asked = client(server, clock, store)
    with pytest.raises(error, match=word) as told:
        asked.complete([user("?")])
    assert KEY not in str(told.value)
    assert (asked.budget.spent().tokens, asked.budget.spent().cost) == (0, 0.0)


def test_a_model_that_was_retired_is_told_with_those_that_are_served(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    """As Groq answers for its llama-3.3-70b-versatile since 2026-08-16."""
    message = "The model `llama-3.3-70b-versatile` does not exist or you do not have access to it."
    gone = failure(404, "model_not_found", message)
    served = {
        "object": "list",
        "data": [
            {"id": "openai/gpt-oss-120b", "object": "model", "active": True},
            {"id": "bad\nid", "object": "model"},
        ],
    }
    server.will(gone, Reply(served))
    asked = client(server, clock, store)
    with pytest.raises(ServiceRefused) as told:
        asked.complete([user("?")])
    assert "Set LLM_MODEL to one that is served there: openai/gpt-oss-120b." in str(told.value)
    listed = server.seen[-1]
    assert (listed.method, listed.path) == ("GET", "/openai/v1/models")
    assert asked.budget.spent().tokens == 0
    server.will(gone, Reply(b"<html>"))
    with pytest.raises(ServiceRefused, match=r"served there\.$"):
        asked.complete([user("?")])


def test_a_pause_is_kept_and_counted_once(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.will(failure(429, "rate_limit_exceeded", "slow", retry_after="2"), completion("yes"))
    asked = client(server, clock, store)
    assert asked.complete([user("?")]).text == "yes"
    assert clock.now_ms() - START == 2_000
    assert asked.budget.spent().tokens == 50


def test_a_tool_call_that_the_model_spoilt_is_tried_once_more(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    spoilt = failure(400, "tool_use_failed", "Failed to call a function.")
    server.will(spoilt, completion("now"))
    asked = client(server, clock, store)
    assert asked.complete([user("?")]).text == "now"
    server.will(spoilt, spoilt)
    with pytest.raises(ServiceUnavailable, match="tool_use_failed"):
        asked.complete([user("?")])
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 7}}]},
        {"object": "list", "data": []},
    ],
)
def test_what_is_no_completion_is_an_error_and_stays_paid(
    server: Remote, clock: VirtualClock, store: SqliteStore, body: Any
) -> None:
    server.will(Reply(body))
    asked = client(server, clock, store)
    with pytest.raises(ServiceUnavailable, match="something else than a chat completion"):
        asked.complete([user("?")])
    assert asked.budget.spent().tokens > 500


def test_an_answer_that_was_lost_is_not_asked_for_again_and_stays_paid(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    server.will(Reply(b"x" * 500, cut=10))
    asked = client(server, clock, store)
    with pytest.raises(ServiceUnavailable):
        asked.complete([user("?")])
    assert len(server.seen) == 1
    assert asked.budget.spent().tokens > 500


# ---------------------------------------------------------------- budget


def test_the_day_ends_when_its_tokens_are_used_up_and_another_begins(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    asked = client(server, clock, store, tokens=2_000)
    server.always(lambda _: completion("x", prompt=900, written=100))
    asked.complete([user("?")])
    with pytest.raises(TooManyRequests, match="begins anew at 00:00 UTC"):
        asked.complete([user("x" * 1_200)])
    assert len(server.seen) == 1
    asked.complete([user("?")])  # a shorter one still fits
    assert asked.budget.spent().tokens == 2_000
    with pytest.raises(TooManyRequests):
        asked.complete([user("?")])
    clock.sleep(DAY_MS / 1000)
    asked.complete([user("?")])
    assert asked.budget.spent().tokens == 1_000


def test_the_cost_of_a_day_is_a_limit_of_its_own(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    # 500 tokens written may cost 395 millionths, the question some 60.
    asked = client(server, clock, store, cost=0.0005)
    server.will(completion("x", prompt=100, written=100))
    asked.complete([user("?")])  # 138
    with pytest.raises(TooManyRequests):
        asked.complete([user("?")])
    assert asked.budget.spent().cost == pytest.approx(0.000138)


def test_without_usage_the_reservation_stays(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    reply = completion("x")
    del reply.body["usage"]
    server.will(reply)
    asked = client(server, clock, store)
    answer = asked.complete([user("?")])
    assert answer.usage.cost > 0
    assert asked.budget.spent().tokens > 500


def test_many_at_once_never_take_more_than_there_is(
    clock: VirtualClock, store: SqliteStore
) -> None:
    budget = DailyBudget(store, clock, tokens=1_000, cost=9, prices=Prices(1, 1))

    def take(_: int) -> bool:
        try:
            budget.reserve(60, 40)
        except TooManyRequests:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(40))) == 10
    assert budget.spent().tokens == 1_000


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_costs_are_rounded_against_the_budget(prompt: int, written: int) -> None:
    exact = prompt * 59 + written * 79  # hundredths of a millionth
    micro = Prices(0.59, 0.79).micro(prompt, written)
    assert micro * 100 >= exact - 1e-3
    assert micro * 100 - exact < 100 + 1e-3


# ---------------------------------------------------------------- redaction

SECRETS = [
    KEY,
    BINANCE,
    "secret-of-the-exchange-0001",
    "JBSWY3DPEHPK3PXP",
    # Nobody here knows these; they look like keys.
    "sk-proj-abcdefghijklmnop1234",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    "AccountKey=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4==",
    "https://logic.example/x?sig=abcDEF123456",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", ["content", "part", "arguments", "result"])
def test_no_secret_leaves(
    server: Remote, clock: VirtualClock, store: SqliteStore, secret: str, place: str
) -> None:
    server.will(completion("ok", calls=[("c", "f", json.dumps({"x": secret}))]), completion("ok"))
    asked = client(server, clock, store)
    text = f"my key is {secret} and more"
    messages = {
        "content": [user(text)],
        "part": [Message(role="user", content=(text_part(text),))],
        "arguments": [Message(role="assistant", tool_calls=asked.complete([user("?")]).tool_calls)],
        "result": [Message(role="tool", content=text, tool_call_id="c")],
    }[place]
    asked.complete(messages)
    sent = server.seen[-1].body.decode()
    word = secret.rpartition("=")[2] if "sig=" in secret else secret.removeprefix("Bearer ")
    assert word not in sent
    assert "(withheld)" in sent


def test_what_is_no_secret_stays(server: Remote, clock: VirtualClock, store: SqliteStore) -> None:
    server.will(completion("ok"))
    text = (
        "BTCUSDT-1h-1746339900000-v1 at 65000.10, digest "
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, 2025-05-04T10:00:00.000Z"
    )
    client(server, clock, store).complete([user(text)])
    assert server.seen[0].json["messages"][0]["content"] == text


def test_nothing_is_sent_while_the_vault_is_away(
    server: Remote, clock: VirtualClock, store: SqliteStore
) -> None:
    class Away:
        def get(self, name: str) -> str:
            if name == "llm-api-key":
                return KEY
            raise OSError("the vault cannot be reached")

    asked = client(server, clock, store)
    asked._redaction = lambda: Redaction({}, Away())
    with pytest.raises(ServiceUnavailable, match="while the vault cannot be read"):
        asked.complete([user("?")])
    assert server.seen == []


def test_nothing_of_a_question_is_logged(
    server: Remote,
    clock: VirtualClock,
    store: SqliteStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.will(completion("the answer"), failure(400, "bad", "why"))
    asked = client(server, clock, store)
    with caplog.at_level(0):
        asked.complete([user("a private question")])
        with pytest.raises(ServiceRefused):
            asked.complete([user("a private question")])
    assert "private" not in caplog.text
    assert KEY not in caplog.text
