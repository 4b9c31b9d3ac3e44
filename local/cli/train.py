"""``./run train``: models from candle files."""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from local.cli.models import show
from local.cli.progress import counted
from shared.clock import SystemClock, iso
from shared.errors import ConfigurationError
from shared.research.windows import span

if TYPE_CHECKING:
    from training.pipeline import Plan, Trained

#: What is imported, and the name under which it is installed.
_PACKAGES = {
    "onnx": "onnx",
    "sklearn": "scikit-learn",
    "xgboost": "xgboost-cpu",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "jax": "jax",
    "optax": "optax",
}


def plan_of(options: argparse.Namespace) -> Plan:
    """How the rows are divided into training and judgement."""
    from training.pipeline import Plan

    return Plan(
        folds=options.folds,
        embargo_bars=options.embargo,
        holdout_ms=span(options.holdout),
        seed=options.seed,
    )


def needed() -> None:
    """Nothing, where everything is installed that training needs.

    Raises
    ------
    ConfigurationError
        Naming what is missing.
    """
    missing = [name for module, name in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ConfigurationError(
            [
                f"training needs {', '.join(missing)}; ./run train installs them, by hand: "
                "pip install -r training/requirements.txt"
            ]
        )


def run(options: argparse.Namespace) -> int:
    """0 when every model was written."""
    needed()
    # Read when OpenMP is loaded: its threads must not spin while they wait on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from shared.intelligence.labels import Barriers
    from training.catalogue import LONGEST, chosen
    from training.dataset import dataset, from_folder
    from training.pipeline import train, write

    families = chosen(options.models)
    barriers = Barriers(options.take, options.stop, options.horizon)
    plan = plan_of(options)
    notes: list[str] = []
    runs = from_folder(options.candles, options.symbols, options.timeframe, note=notes.append)
    data = dataset(
        runs,
        barriers,
        lookback=LONGEST,
        start_ms=options.start,
        end_ms=options.end,
    )
    shares = [float((data.label == c).mean()) for c in range(3)]
    print(
        f"{len(data):,} rows of {', '.join(data.symbols)}, {data.timeframe}, "
        f"{iso(int(data.opened[0]))[:10]} to {iso(int(data.opened[-1]))[:10]}: "
        + ", ".join(f"{s:.1%} {n}" for s, n in zip(shares, ("down", "flat", "up"), strict=True))
    )
    for note in notes:
        print(f"note: {note}")

    def finished(one: Trained) -> None:
        write(one, options.out)

    with counted("models", options.quiet, "steps") as tell:
        done = train(
            data, families, plan, now_ms=SystemClock().now_ms(), tell=tell, finished=finished
        )
    show([one.card for one in done])
    worst = max(done, key=lambda one: one.parity.largest)
    size = sum(len(one.source) for one in done)
    print(
        f"{len(done)} models, {size / 1e6:.1f} MB, in {options.out}; after export no probability "
        f"differs by more than {worst.parity.largest:.1e} ({worst.card.name})"
    )
    return 0
