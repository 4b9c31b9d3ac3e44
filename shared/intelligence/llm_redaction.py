"""No secret leaves in a prompt: known values, and whatever looks like a key, are taken out.

Where a secret cannot be read it cannot be searched for, and then nothing is sent at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from shared.errors import ServiceUnavailable
from shared.intelligence.llm_messages import Call, Message, Part
from shared.operations.withheld import WITHHELD, Withholding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.security.secrets import Secrets

#: Keys by their look: those with a prefix of their kind, and long runs of mixed letters and digits
#: such as the keys of the exchange (64 of them). Digests, which are hexadecimal, stay.
_KEYS = re.compile(
    r"\b(?:sk|gsk|pk|rk|xai|ghp|gho|glpat|xox[bap])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[A-Z0-9]{16}\b"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|\b(?=[A-Za-z0-9]*[G-Zg-z])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*[a-z])"
    r"(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{40,}\b"
)


class Redaction:
    """Takes secrets out of messages.

    Parameters
    ----------
    environment : mapping
    secrets : Secrets
        Whose values are searched for.
    also : sequence of str
        Names of secrets besides those that every application has.
    """

    def __init__(
        self, environment: Mapping[str, str], secrets: Secrets, also: Sequence[str] = ()
    ) -> None:
        self._withholding = Withholding(environment, secrets, also)

    @property
    def blind(self) -> bool:
        """Whether a secret could not be read."""
        return bool(self._withholding.unread)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return _KEYS.sub(WITHHELD, self._withholding.text(text))

    def messages(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without secrets; images are taken as they are.

        Raises
        ------
        ServiceUnavailable
            When a secret could not be read, so that nobody knows what to look for.
        """
        if self.blind:
            raise ServiceUnavailable(
                "nothing is sent to a language model while the vault cannot be read: what must "
                "not leave is not known"
            )
        return [self._message(m) for m in messages]

    def _message(self, message: Message) -> Message:
        content = message.content
        if isinstance(content, str):
            content = self.text(content)
        elif content is not None:
            content = tuple(
                Part(type="text", text=self.text(p.text)) if p.type == "text" else p
                for p in content
            )
        calls = tuple(
            msgspec.structs.replace(
                c, function=Call(c.function.name, self.text(c.function.arguments))
            )
            for c in message.tool_calls
        )
        return msgspec.structs.replace(message, content=content, tool_calls=calls)
