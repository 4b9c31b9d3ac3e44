"""The training job: ``python -m training`` in its container.

Fetches candles from Binance's public archive, trains the models that serve, and offers what is
better than nothing to the registry in the store, where the application takes it in. One JSON object
a line on standard output.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from shared.bootstrap import Services
from shared.clock import Clock, SystemClock, iso
from shared.errors import BorsaError
from shared.intelligence.registry import Registry
from shared.research.data.download import Sources
from shared.storage.store import Store
from training.dataset import from_folder
from training.pipeline import Plan, Trained
from training.retrain import as_before, fetch, offer, retrain, source_of
from training.serving import cards_that_serve, public_sources
from training.settings import Settings, load

#: Opens what candles are fetched from.
Open = Callable[[Clock], AbstractContextManager[Sources]]


def main(
    environment: Mapping[str, str], clock: Clock | None = None, sources: Open = public_sources
) -> int:
    """0 when every model was trained and what is good enough is registered.

    Parameters
    ----------
    clock, sources
        This machine's and Binance's, where they are left out.
    """
    clock = clock or SystemClock()
    try:
        return _run(environment, load(environment), clock, sources)
    except BorsaError as error:
        _say(clock, "failed", error=f"{type(error).__name__}: {error}")
        return 1


def _run(environment: Mapping[str, str], settings: Settings, clock: Clock, open_: Open) -> int:
    # It asks no exchange for anything; any venue that needs no address will do.
    services = Services({**environment, "BINANCE_ENVIRONMENT": "demo"}, clock=clock)
    try:
        return _train(services.store, settings, clock, open_)
    finally:
        services.store.close()


def _train(store: Store, settings: Settings, clock: Clock, open_: Open) -> int:
    # Read when OpenMP is loaded: its threads must not spin while they wait.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    registry = Registry(store, clock)
    again = as_before(cards_that_serve(registry, settings.models), settings.start_ms)
    _say(clock, "begin", models=again.models, symbols=again.symbols, since=iso(again.start_ms))
    refused = 0
    with tempfile.TemporaryDirectory() as folder, open_(clock) as sources:
        fetched = fetch(again, Path(folder), sources, clock)
        _say(clock, "candles", months=fetched.fetched, missing=len(fetched.missing))
        runs = from_folder(Path(folder), again.symbols, again.timeframe)
        plan = Plan(holdout_ms=settings.holdout_ms, seed=settings.seed)

        def finished(one: Trained) -> None:
            nonlocal refused
            source = source_of("training job", clock.now_ms())
            offered = offer(one, registry, source, waits=True)
            refused += offered.state == "refused"
            _say(clock, "model", **msgspec.to_builtins(offered))

        done = retrain(again, runs, plan, now_ms=clock.now_ms(), finished=finished)
    _say(clock, "end", trained=len(done), refused=refused)
    return 0


def _say(clock: Clock, what: str, **fields: Any) -> None:
    line = {"time": iso(clock.now_ms()), "event": what, **fields}
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(os.environ))
