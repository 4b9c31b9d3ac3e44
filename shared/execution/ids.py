"""Deterministic ids: the same decision always sends the same client order ids.

Only ``[A-Za-z0-9._-]``, at most 36 characters: anything else breaks signatures or is refused
(Binance ``newClientOrderId``, ``clientAlgoId``). Plain and conditional ids never coincide, because
the leg is part of the hash and of the prefix.
"""

from __future__ import annotations

import hashlib
from typing import Literal

PREFIX = "bq"
_OURS = f"{PREFIX}-"

#: ``e`` entry, ``s`` protective stop, ``t`` take-profit, ``x`` reducing close.
Leg = Literal["e", "s", "t", "x"]


def client_id(account: str, decision_id: str, leg: Leg, revision: int = 0) -> str:
    """The client order id of one leg of one decision.

    ``revision`` distinguishes successive orders of one leg (a moved stop, a repeated close).
    """
    text = f"{account}|{decision_id}|{leg}|{revision}"
    return f"{PREFIX}-{leg}-{hashlib.sha256(text.encode()).hexdigest()[:28]}"


def is_ours(client_order_id: str) -> bool:
    """Whether an order on the venue was sent by this application."""
    return client_order_id.startswith(_OURS)


def leg_of(client_order_id: str) -> str | None:
    """The leg letter of one of our ids, ``None`` for foreign ones."""
    return client_order_id.split("-", 2)[1] if is_ours(client_order_id) else None
