"""One file with everything about a stretch of time, for whoever looks into it."""

from typing import Any

import azure.functions as func

from functions.api import moment
from functions.durable import df
from functions.http import answers
from shared.bootstrap import services

bp = df.Blueprint()


@bp.route(route="incidents", methods=["GET"])
@answers
def incident_bundle(req: func.HttpRequest) -> Any:
    """A zip file of what happened from ``since`` to ``until``; nothing secret is in it."""
    from shared.clock import DAY_MS
    from shared.operations.configured import settings_in_force
    from shared.operations.incident.bundle import bundle, name_of
    from shared.operations.incident.gather import gather
    from shared.operations.withheld import Withholding

    now = services()
    clock = now.clock.now_ms()
    asked = moment(req, "until")
    until = clock if asked is None else asked
    asked = moment(req, "since")
    since = until - DAY_MS if asked is None else asked
    now.throttle.admit()
    sound = now.for_exits()
    found = gather(sound.store, sound.settings.account_id, since, until)
    body = bundle(
        found,
        Withholding(now.environment, sound.secrets, (sound.settings.services.llm_key_name,)),
        now_ms=clock,
        settings=settings_in_force(now),
        notes=[f"a setting is wrong: {problem}" for problem in sound.wrong_settings],
    )
    return func.HttpResponse(
        body,
        mimetype="application/zip",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name_of(since, until)}"',
        },
    )
