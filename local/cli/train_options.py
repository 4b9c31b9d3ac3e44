"""Options of ``./run train`` and ``./run models``."""

from __future__ import annotations

import argparse
from pathlib import Path

from local.cli.chosen_candles import add_folder
from local.cli.data_options import Commands
from local.cli.dates import count, end_moment, moment, names
from local.cli.models_options import MODELS, add_models


def add_rows(command: argparse.ArgumentParser) -> None:
    """What rows are made of, and how they are divided."""
    add_folder(command)
    command.add_argument("--timeframe", default="1h", metavar="1h", help="default: %(default)s")
    command.add_argument(
        "--symbols", type=names, default=(), metavar="A,B", help="default: all of the folder"
    )
    command.add_argument("--from", dest="start", type=moment, metavar="DATE")
    command.add_argument("--to", dest="end", type=end_moment, metavar="DATE")
    command.add_argument(
        "--horizon", type=count, default=24, metavar="BARS", help="a trade ends then (24)"
    )
    command.add_argument(
        "--take", type=float, default=2.0, metavar="ATR", help="distance of the take (2)"
    )
    command.add_argument(
        "--stop", type=float, default=2.0, metavar="ATR", help="distance of the stop (2)"
    )
    command.add_argument("--folds", type=count, default=4, help="steps of the walk-forward (4)")
    command.add_argument(
        "--embargo",
        type=count,
        default=24,
        metavar="BARS",
        help="between what training knows and what it is judged on (24)",
    )
    command.add_argument(
        "--holdout",
        default="52w",
        metavar="52w",
        help="the end of the data, looked at once (default: %(default)s; 0d: none)",
    )


def add_training(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run train`` and ``./run models``."""
    train = commands.add_parser(
        "train",
        help="train the models on candle files and export them",
        description="Triple-barrier labels on candles, purged walk-forward, final training, export "
        "to ONNX and a check that the exported file gives the same probabilities. Writes "
        "NAME.onnx and NAME.json, the model card with all figures, for every model. The first "
        "time it installs the training packages into .venv.",
    )
    add_rows(train)
    train.add_argument(
        "--models", type=names, default=(), metavar="A,B", help="only these (default: all)"
    )
    train.add_argument("--seed", type=count, default=7)
    train.add_argument(
        "--out", type=Path, default=MODELS, metavar="DIR", help="default: the application's models/"
    )
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(module="local.cli.train")

    _retrain(commands)

    add_models(commands)


def _retrain(commands: Commands[argparse.ArgumentParser]) -> None:
    again = commands.add_parser(
        "retrain",
        help="train the models that serve again, and offer them to the registry",
        description="Trains the models that serve, as their cards say (contracts, time frame, "
        "labels), on candles up to now, judges each on a holdout, and registers those that beat "
        "the base rates by two standard errors as challengers. Promotes nothing.",
    )
    again.add_argument(
        "--candles", type=Path, required=True, metavar="DIR", help="candle files to learn from"
    )
    again.add_argument(
        "--download", action="store_true", help="fetch what is missing there from Binance first"
    )
    again.add_argument(
        "--models", type=names, default=(), metavar="A,B", help="only these (default: all)"
    )
    again.add_argument(
        "--from", dest="start", type=moment, metavar="DATE", help="default: as on the cards"
    )
    again.add_argument("--folds", type=count, default=4, help="steps of the walk-forward (4)")
    again.add_argument("--embargo", type=count, default=24, metavar="BARS", help="(24)")
    again.add_argument(
        "--holdout",
        default="13w",
        metavar="13w",
        help="the end of the data, which decides what is offered (default: %(default)s)",
    )
    again.add_argument("--seed", type=count, default=7)
    again.add_argument("--out", type=Path, metavar="DIR", help="write the files there as well")
    again.add_argument(
        "--state",
        type=Path,
        default=Path(".local"),
        metavar="DIR",
        help="folder of the run whose registry they are offered to (default: %(default)s)",
    )
    again.add_argument("--quiet", action="store_true", help="no progress bar")
    again.set_defaults(module="local.cli.retrain")
