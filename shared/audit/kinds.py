"""What the audit log records: one table."""

from __future__ import annotations

#: Kind of record -> what it says happened.
KINDS: dict[str, str] = {
    "signal": "the ensemble made a signal: votes, inputs, strategy versions",
    "decision": "the gate accepted or declined a signal: every check with its figures",
    "approval": "a human, or the time limit, accepted or rejected a decision",
    "permit": "leave to add exposure was given, refused or handed back",
    "intent": "an order was about to be sent",
    "order": "an order changed its state, or its state is unknown",
    "fill": "an order was executed, wholly or partly",
    "protection": "a stop or target was placed, moved, replaced or found missing",
    "position": "a position was opened, changed, closed or flattened",
    "trade": "a round trip ended: result, fees, funding, R multiple",
    "funding": "funding was paid or received",
    "risk": "the risk ledger changed: reservation, release, new day, new equity peak",
    "violation": "a limit or compliance rule was broken or nearly so",
    "reconciliation": "our book was compared with the exchange's",
    "incident": "something is wrong: what, where, what was done about it",
    "alert": "somebody was told, or could not be",
    "kill_switch": "the kill switch was latched or cleared: by whom, why, on what evidence",
    "emergency": "a step of an emergency stop",
    "operator": "a human did something through the API or the command line",
    "stage": "the trading stage or its evidence changed",
    "settings": "the application started with these settings, or they changed",
    "model": "a model was registered, promoted, retired or drifted",
    "report": "a report was made",
}

#: Kinds the log writes itself: its first record, and the last of each day.
GENESIS, DAY_END = "genesis", "day_end"
