"""Whether the models still know what their cards say: once a day, and on request. Off by default.

Not on the way of an order.
"""

from typing import Any

import azure.functions as func

from functions.durable import df
from functions.http import answers
from functions.outputs import Events, emits, flush
from shared.bootstrap import services
from shared.errors import InvalidInput

bp = df.Blueprint()

#: Days of history that a request may ask for.
MOST_DAYS = 365


@bp.timer_trigger(schedule="0 20 4 * * *", arg_name="timer", use_monitor=True)
@emits(bp)
def watch_drift(
    timer: func.TimerRequest, executions: Events, risk: Events, compliance: Events
) -> None:
    """Judge every model that is scored, tell what got worse, train again if that is set up."""
    settings = services().settings
    if not settings.model_drift:
        return
    from shared.intelligence.library import library
    from shared.operations.drift_watch import watch

    desk = services().desk()
    watch(
        desk,
        services().registry,
        library(),
        retraining=services().retraining,
        retraining_on=settings.retraining_on,
        by_registry=settings.model_registry,
    )
    flush(desk.outbox, executions, risk, compliance)


@bp.route(route="models/drift", methods=["GET"])
@answers
def model_drift(req: func.HttpRequest) -> Any:
    """The newest report of every version that was scored lately, and days before on request."""
    from shared.intelligence.library import SLOTS
    from shared.operations.drift_view import view

    model = req.params.get("model", "")
    if model and model not in SLOTS:
        raise InvalidInput(f"no model is named {model!r}; use one of {', '.join(SLOTS)}")
    text = req.params.get("days", "0")
    if not text.isascii() or not text.isdigit() or int(text) > MOST_DAYS:
        raise InvalidInput(f"days is {text!r}; use 0 to {MOST_DAYS}")
    return view(services(), model, int(text))
