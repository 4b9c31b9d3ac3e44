"""Threads for what async functions have done meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

#: More than all activities that the host admits (``host.json``), the timers and a stop or two.
THREADS = 32

# The pool behind asyncio.to_thread has four threads more than the machine has cores, five on
# Azure's smallest: an emergency stop would wait behind a few requests whose store does not answer.
_POOL = ThreadPoolExecutor(THREADS, thread_name_prefix="borsa")


async def in_thread(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """``asyncio.to_thread`` in a pool of its own, for what opens, watches and closes positions."""
    work = partial(copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_POOL, work)
