"""Which role each endpoint asks of people who signed in: one table."""

from typing import NamedTuple

from shared.access.roles import Role


class Rule(NamedTuple):
    """What a person needs for an endpoint.

    Parameters
    ----------
    role : Role
        The lowest that is enough.
    changes : bool
        Whether it may change something: noted in the audit with who asked, and counted.
    operator : bool
        Whether its body names who acts. A session says that better than whoever types it.
    """

    role: Role
    changes: bool = False
    operator: bool = False


_SEES = Rule("viewer")
#: Changes what is known or computed, never what may be traded.
_WORKS = Rule("operator", changes=True)
#: Makes things safer, or answers what the application asks; never loosens anything.
_ACTS = Rule("operator", changes=True, operator=True)
#: Allows trading that is not allowed now. A code of the second factor as well, as ever.
_LOOSENS = Rule("admin", changes=True, operator=True)

#: Function -> its rule. An endpoint without one is not there for people.
RULES: dict[str, Rule] = {
    # what is there to see
    "status": _SEES,
    "dashboard": _SEES,
    "negotiate": _SEES,
    "equity": _SEES,
    "positions": _SEES,
    "orders": _SEES,
    "get_order": _SEES,
    "trades": _SEES,
    "get_trade": _SEES,
    "performance": _SEES,
    "signals": _SEES,
    "explain_decision": _SEES,
    "list_approvals": _SEES,
    "checklist": _SEES,
    "risk": _SEES,
    "stress": _SEES,
    "compliance_overview": _SEES,
    "list_violations": _SEES,
    "get_violation": _SEES,
    "list_events": _SEES,
    "list_audit": _SEES,
    "list_alerts": _SEES,
    "list_dead_letters": _SEES,
    "config": _SEES,
    "instruments": _SEES,
    "openapi": _SEES,
    "models": _SEES,
    "chart_patterns": _SEES,
    "predict": _SEES,
    "predict_batch": _SEES,
    "model_drift": _SEES,
    "compare_models": _SEES,
    "list_anomalies": _SEES,
    "assistant": _SEES,
    "sentiment": _SEES,
    "list_documents": _SEES,
    "get_document": _SEES,
    "get_sweep": _SEES,
    "sweep_results": _SEES,
    # work, some of which costs money
    "chat": _WORKS,
    "analyse": _WORKS,
    "read_chart": _WORKS,
    "add_texts": _WORKS,
    "add_document": _WORKS,
    "verify_audit": _WORKS,
    "reconcile_now": _WORKS,
    "scan_history": _WORKS,
    "incident_bundle": _WORKS,
    "start_sweep": _WORKS,
    "cancel_sweep": _WORKS,
    "resume_sweep": _WORKS,
    # acts under a name
    "emergency_stop": _ACTS,
    "answer_approval": _ACTS,
    "acknowledge_alert": _ACTS,
    "acknowledge_violation": _ACTS,
    "add_event": _ACTS,
    "challenge_model": _ACTS,
    "withdraw_model": _ACTS,
    "reject_model": _ACTS,
    # loosens, or changes what decides
    "promote_model": _LOOSENS,
    "roll_model_back": _LOOSENS,
    "clear_kill_switch": _LOOSENS,
    "promote_stage": _LOOSENS,
    "close_violation": _LOOSENS,
    "remove_event": _LOOSENS,
    # sessions of others
    "list_sessions": Rule("admin"),
    "end_session": Rule("admin", changes=True, operator=True),
}
