"""What language models may use up in a UTC day, the same for all instances.

Every request reserves what it can cost at most before it is sent, by one conditional patch of the
day's document, and gives back afterwards what it did not use. A process that dies between the two
leaves its reservation standing: the day then ends early, never late.
"""

from __future__ import annotations

import msgspec

from shared.clock import DAY_MS, Clock, day
from shared.errors import AlreadyExists, Conflict, TooManyRequests
from shared.intelligence.llm_messages import Usage
from shared.storage.store import Patch, Store, Where

CONTAINER = "intelligence"
SUBJECT = "llm"
#: Days of usage that are kept.
KEPT_S = 90 * 86_400
_MICRO = 1_000_000


class Prices(msgspec.Struct, frozen=True):
    """USD for a million tokens read and written."""

    prompt: float
    completion: float

    def micro(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Millionths of a USD, rounded up."""
        return -int(-(prompt_tokens * self.prompt + completion_tokens * self.completion) // 1)


class Reserved(msgspec.Struct, frozen=True):
    """A part of a day's budget that a request has taken."""

    day: str
    tokens: int
    micro: int


class Spent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a day has used up, reservations included. Cost in USD."""

    day: str
    tokens: int
    cost: float
    requests: int
    token_limit: int
    cost_limit: float


class DailyBudget:
    """The budget of a day.

    Parameters
    ----------
    store : Store
    clock : Clock
    tokens : int
        Tokens, read and written, in a UTC day.
    cost : float
        USD in a UTC day.
    prices : Prices
    """

    def __init__(
        self, store: Store, clock: Clock, *, tokens: int, cost: float, prices: Prices
    ) -> None:
        self._store = store
        self._clock = clock
        self._tokens = tokens
        self._micro = round(cost * _MICRO)
        self.prices = prices

    def reserve(self, prompt_tokens: int, completion_tokens: int) -> Reserved:
        """Take what a request can use at most.

        Raises
        ------
        TooManyRequests
            When the day does not have that much left.
        """
        now = self._clock.now_ms()
        today = day(now)
        tokens = prompt_tokens + completion_tokens
        micro = self.prices.micro(prompt_tokens, completion_tokens)
        self._ensure(today)
        try:
            self._store.patch(
                CONTAINER,
                SUBJECT,
                _id(today),
                [
                    Patch("increment", "tokens", tokens),
                    Patch("increment", "microUsd", micro),
                    Patch("increment", "requests", 1),
                ],
                condition=[
                    Where("tokens", "<=", self._tokens - tokens),
                    Where("microUsd", "<=", self._micro - micro),
                ],
            )
        except Conflict:
            left = self.spent()
            raise TooManyRequests(
                f"the language model's budget of {today} has {self._tokens - left.tokens} tokens "
                f"and {self._micro / _MICRO - left.cost:.4f} USD left, this request may take "
                f"{tokens} and {micro / _MICRO:.4f}; it begins anew at 00:00 UTC, or raise "
                "LLM_DAILY_TOKENS and LLM_DAILY_COST",
                retry_after=(DAY_MS - now % DAY_MS) / 1000,
            ) from None
        return Reserved(today, tokens, micro)

    def settle(self, reserved: Reserved, usage: Usage | None) -> Usage:
        """Give back what was not used; ``None`` gives nothing back, the use is not known.

        Returns
        -------
        Usage
            With its cost.
        """
        if usage is None:
            return Usage(cost=reserved.micro / _MICRO)
        tokens = usage.prompt_tokens + usage.completion_tokens
        micro = self.prices.micro(usage.prompt_tokens, usage.completion_tokens)
        self._change(reserved, tokens - reserved.tokens, micro - reserved.micro)
        return msgspec.structs.replace(usage, cost=micro / _MICRO)

    def release(self, reserved: Reserved) -> None:
        """Give all of it back: the request is known not to have been done."""
        self._change(reserved, -reserved.tokens, -reserved.micro)

    def spent(self) -> Spent:
        """Of the present day."""
        today = day(self._clock.now_ms())
        found = self._store.get(CONTAINER, SUBJECT, _id(today))
        body = {} if found is None else found.body
        return Spent(
            day=today,
            tokens=body.get("tokens", 0),
            cost=body.get("microUsd", 0) / _MICRO,
            requests=body.get("requests", 0),
            token_limit=self._tokens,
            cost_limit=self._micro / _MICRO,
        )

    def _change(self, reserved: Reserved, tokens: int, micro: int) -> None:
        self._store.patch(
            CONTAINER,
            SUBJECT,
            _id(reserved.day),
            [Patch("increment", "tokens", tokens), Patch("increment", "microUsd", micro)],
        )

    def _ensure(self, today: str) -> None:
        if self._store.get(CONTAINER, SUBJECT, _id(today)) is not None:
            return
        body = {"id": _id(today), "subject": SUBJECT, "tokens": 0, "microUsd": 0, "requests": 0}
        try:
            self._store.create(CONTAINER, body, ttl=KEPT_S)
        except AlreadyExists:
            return


def _id(today: str) -> str:
    return f"usage:{today}"
