"""What is said to a language model and what it says, as OpenAI's chat completions have it.

The same records serve every endpoint that speaks that protocol: Groq, OpenAI, Azure, vLLM, Ollama.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]


class ImageUrl(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address, or ``data:image/png;base64,...`` with the image itself."""

    url: str
    detail: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a message: text or an image."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None


class Call(msgspec.Struct, frozen=True):
    """The function that a model wants called; ``arguments`` is JSON of its making."""

    name: str
    arguments: str = "{}"


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, with the id its result goes back under."""

    id: str
    function: Call
    type: str = "function"


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation."""

    role: Role
    content: str | tuple[Part, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that a model may ask for; ``parameters`` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Usage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Tokens of a request as the endpoint counted them, and what they cost in USD."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=self.cost + other.cost,
        )


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered: ``text``, or calls of tools; ``finish`` is why it ended."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    model: str
    finish: str
    usage: Usage


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def text_part(text: str) -> Part:
    return Part(type="text", text=text)


def image_part(png: bytes, detail: str = "") -> Part:
    """A PNG image as a part of a message, for models that can see."""
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return Part(type="image_url", image_url=ImageUrl(url, detail))


def tool_result(call: ToolCall, content: str) -> Message:
    return Message(role="tool", content=content, tool_call_id=call.id)
