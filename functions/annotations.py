"""Annotations of bound parameters, in the one form that Azure's worker accepts.

It refuses the builtin generics (``list[str]``, ``dict[str, Any]``) as "no type", and then loads no
function at all; the aliases of ``typing`` pass.
"""

from typing import Any, Dict, List

import azure.functions as func

#: What an Event Hub trigger takes.
EventBatch = List[func.EventHubEvent]

#: What an activity takes.
Payload = Dict[str, Any]

#: What an Event Hub output takes.
Messages = List[str]
