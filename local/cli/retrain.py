"""``./run retrain``: train the models that serve again, and offer them to the registry."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from local.cli.models import show
from local.cli.open_state import open_store
from local.cli.progress import counted, progress
from local.cli.train import needed, plan_of
from shared.clock import SystemClock
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from training.pipeline import Trained


def run(options: argparse.Namespace) -> int:
    """0 when every model was trained and what is good enough is registered."""
    needed()
    # Read when OpenMP is loaded: its threads must not spin while they wait on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from shared.intelligence.registry import Registry
    from training.dataset import from_folder
    from training.pipeline import write
    from training.retrain import as_before, fetch, offer, retrain, source_of
    from training.serving import cards_that_serve, public_sources

    clock = SystemClock()
    store = open_store(options.state, clock)
    try:
        registry = Registry(store, clock)
        again = as_before(cards_that_serve(registry, options.models), options.start)
        print(
            f"{len(again.models)} models, as they serve: {', '.join(again.symbols)} "
            f"{again.timeframe}, a trade of {again.horizon_bars} bars"
        )
        if options.download:
            with public_sources(clock) as sources, progress("download", options.quiet) as told:
                fetched = fetch(again, options.candles, sources, clock, told)
            print(f"{fetched.fetched} months of candles fetched, {fetched.kept} were there")
        if not options.candles.is_dir():
            raise InvalidInput(f"{options.candles} is no folder; --download fetches candles there")
        runs = from_folder(options.candles, again.symbols, again.timeframe)
        plan = plan_of(options)
        offers = []

        def finished(one: Trained) -> None:
            if options.out is not None:
                write(one, options.out)
            source = source_of("./run retrain", clock.now_ms())
            offers.append(offer(one, registry, source))

        with counted("models", options.quiet, "steps") as tell:
            done = retrain(again, runs, plan, now_ms=clock.now_ms(), tell=tell, finished=finished)
    finally:
        store.close()
    show([one.card for one in done])
    for offered in offers:
        print(f"{offered.model} {offered.version}: {offered.state}; {offered.why}")
    print("nothing was promoted; ./run models versions shows states, ./run models compare figures")
    return 0
