"""Query parameters that reading endpoints know: a misspelt one would be a filter that is not there.

The same names are in the description of the interface; a test compares the two. That is not read
here, because it costs a new instance a second to load.
"""

import azure.functions as func

from shared.errors import InvalidInput

_PAGE = ("limit", "continuation")

#: Function that answers a GET -> the parameters it knows. What is not here is not checked: what
#: answers a probe, which may add one of its own, and what serves files.
KNOWN: dict[str, tuple[str, ...]] = {
    "assistant": (),
    "chart_patterns": ("timeframe",),
    "checklist": (),
    "compare_models": ("version",),
    "compliance_overview": (),
    "config": (),
    "dashboard": (),
    "equity": (),
    "explain_decision": (),
    "get_document": (),
    "get_order": (),
    "get_sweep": (),
    "get_trade": (),
    "get_violation": (),
    "incident_bundle": ("since", "until"),
    "instruments": (),
    "list_alerts": ("severity", "state", "kind", *_PAGE),
    "list_anomalies": ("symbol", "timeframe", *_PAGE),
    "list_approvals": (),
    "list_audit": ("day", "kind", "correlation", *_PAGE),
    "list_dead_letters": ("source", *_PAGE),
    "list_documents": _PAGE,
    "list_events": (),
    "list_sessions": (),
    "list_violations": ("state", "symbol", *_PAGE),
    "model_drift": ("model", "days"),
    "models": (),
    "orders": ("decision", *_PAGE),
    "performance": ("from", "to"),
    "positions": (),
    "risk": ("confidence", "horizon", "seed"),
    "sentiment": ("symbol",),
    "signals": ("symbol", "kind", *_PAGE),
    "status": (),
    "sweep_results": ("continuation",),
    "trades": _PAGE,
}

#: A function key in the address, and its name: the host's own.
_HOST = frozenset({"code", "clientid"})


def check(function: str, request: func.HttpRequest) -> None:
    """Refuse a GET with a parameter that its endpoint does not know.

    Raises
    ------
    InvalidInput
        Naming those that there are not, and those that there are.
    """
    known = KNOWN.get(function)
    if request.method != "GET" or known is None:
        return
    unknown = sorted(n for n in request.params if n not in known and n.lower() not in _HOST)
    if unknown:
        use = f"use {', '.join(known)}" if known else "there is none here"
        raise InvalidInput(f"unknown parameter {', '.join(repr(n) for n in unknown)}; {use}")
