"""What people and the assistant said to each other."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person asked, or the assistant answered before."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(min_length=1, max_length=4_000)]
