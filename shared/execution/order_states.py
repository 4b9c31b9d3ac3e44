"""The life of an order as we know it: one table of what may follow what.

The states are about knowledge, not about the venue's words: ``unknown`` is a request whose answer
was lost, ``not_sent`` one that certainly never became an order. ``filled`` means over with an
execution, in whole or in part; ``cancelled`` over without one.

=========== =========================================================================
state       meaning
=========== =========================================================================
intent      stored, about to be sent or just sent; nothing is known of the venue yet
open        the venue has it; what has executed so far is in the record
unknown     sent, but the venue could not be asked long enough to know
filled      over; something was executed (an IOC order in part, say)
cancelled   over; nothing was executed: cancelled, expired, or replaced
rejected    refused by the venue, at once or when a stop triggered
not_sent    certainly never reached the venue
=========== =========================================================================
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, get_args

State = Literal["intent", "open", "filled", "cancelled", "rejected", "unknown", "not_sent"]
Verdict = Literal["allowed", "same", "late", "contradiction"]

STATES: tuple[State, ...] = get_args(State)

#: States an order may begin in: an intent, or ruled out before there was one.
FIRST: frozenset[State] = frozenset({"intent", "not_sent"})

#: What may follow each state. ``intent`` after ``unknown`` is another attempt under the same id.
TRANSITIONS: dict[State, frozenset[State]] = {
    "intent": frozenset({"open", "filled", "cancelled", "rejected", "unknown", "not_sent"}),
    "unknown": frozenset({"intent", "open", "filled", "cancelled", "rejected", "not_sent"}),
    # Seen at the venue once, it exists: it can be lost from sight, but not become never sent.
    "open": frozenset({"unknown", "filled", "cancelled", "rejected"}),
    # Whoever cancelled first and looked later may find that it had filled: the venue is right.
    "cancelled": frozenset({"filled"}),
    "filled": frozenset(),
    "rejected": frozenset(),
    "not_sent": frozenset(),
}

#: A conditional order may be asked for again under its id: it can only reduce, and is looked up
#: before. While the store fails nobody can write that down first: it is open then, or over by the
#: time somebody can, and no contradiction. A plain order that was refused or ruled out never lives
#: again.
AGAIN: dict[State, frozenset[State]] = {
    "rejected": frozenset({"intent", "open", "filled", "cancelled"}),
    "not_sent": frozenset({"intent", "open", "filled", "cancelled"}),
}

#: States in which an order was certainly never executed and never will be.
DEAD: frozenset[State] = frozenset({"rejected", "not_sent", "cancelled"})

#: States from which another attempt of a plain order may be claimed.
CLAIMABLE: frozenset[State] = frozenset({"intent", "unknown"})


def judge(
    state: State,
    wanted: State,
    executed: Decimal = Decimal(0),
    reported: Decimal | None = None,
    *,
    conditional: bool = False,
) -> Verdict:
    """What to make of news about an order.

    Parameters
    ----------
    state, executed
        What the record says: its state and the quantity executed so far.
    wanted, reported
        What the news says; ``reported`` is ``None`` where it tells no quantity.
    conditional
        Whether it is a conditional order.

    Returns
    -------
    Verdict
        ``allowed``: the record takes the new state. ``same``: the state stays, other fields may be
        filled in. ``late``: overtaken by what is known already, to be ignored.
        ``contradiction``: the venue shows an order that was certainly none; the venue is right,
        and it is an incident.
    """
    if reported is not None and reported < executed:
        # Quantity once executed stays executed: this was told before what we know.
        return "late"
    if wanted == state:
        return "same"
    if wanted in TRANSITIONS[state] or (conditional and wanted in AGAIN.get(state, ())):
        return "allowed"
    if state in ("rejected", "not_sent") and wanted in ("open", "filled"):
        return "contradiction"
    return "late"
