"""One measured help for the SDK: remember parsed timestamps.

On every replay the SDK parses the timestamp of every history event with dateutil's general
parser, which is more than half of the cost of a replay. The parser is a pure function, so it is
remembered; results are the same objects, nothing else of the SDK is touched.
"""

from __future__ import annotations

import functools


def remember_timestamps() -> None:
    """Put a bounded memory before the SDK's timestamp parser; a second call changes nothing."""
    from azure.durable_functions.models.history.HistoryEvent import HistoryEvent

    namespace = HistoryEvent.__init__.__globals__
    parse = namespace.get("dt_parse")
    if parse is not None and not hasattr(parse, "cache_info"):
        namespace["dt_parse"] = functools.lru_cache(maxsize=16_384)(parse)
