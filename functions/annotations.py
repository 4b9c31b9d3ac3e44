"""Annotations of bound parameters, in the one form that Azure's worker accepts.

It refuses the builtin generics (``list[str]``, ``dict[str, Any]``) as "no type", and then loads no
function at all; the aliases of ``typing`` pass.
"""

from typing import Any, Dict, List  # noqa: UP035

import azure.functions as func

#: What an Event Hub trigger takes.
EventBatch = List[func.EventHubEvent]  # noqa: UP006

#: What an activity takes.
Payload = Dict[str, Any]  # noqa: UP006

#: What an Event Hub output takes.
Messages = List[str]  # noqa: UP006
