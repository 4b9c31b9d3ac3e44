"""Options of ``./run automl``."""

from __future__ import annotations

import argparse
from pathlib import Path

from local.cli.data_options import Commands
from local.cli.dates import count, hours, names
from local.cli.train_options import add_rows


def add_automl(commands: Commands[argparse.ArgumentParser], state: Path) -> None:
    """``./run automl submit|status|fetch|cancel``."""
    automl = commands.add_parser(
        "automl",
        help="have Azure Machine Learning search for a model",
        description="AutoML of an Azure Machine Learning workspace, on the rows that ./run train "
        "learns from. It costs what the compute costs that it runs on.",
    )
    actions = automl.add_subparsers(
        dest="action", required=True, metavar="submit|status|fetch|cancel"
    )
    submit = actions.add_parser(
        "submit",
        help="upload the rows and start the search",
        description="Labels and features of candles as ./run train makes them. Sent are the rows "
        "before the last step of the walk-forward; what the model is judged on stays here. The "
        "same rows and the same search are the same job: given twice, it is started once.",
    )
    add_rows(submit)
    submit.add_argument(
        "--workspace", metavar="ID", default="", help="resource id of the workspace"
    )
    submit.add_argument(
        "--compute", metavar="NAME", default="", help="its cluster (default: serverless)"
    )
    submit.add_argument("--trials", type=count, default=40, help="models tried at most (40)")
    submit.add_argument(
        "--minutes", type=count, default=180, help="longest time of the search (180)"
    )
    submit.add_argument(
        "--trial-minutes", type=count, default=20, help="longest time of one trial (20)"
    )
    submit.add_argument("--nodes", type=count, default=1, help="trials at the same time (1)")
    submit.add_argument(
        "--metric",
        default="AUCWeighted",
        help="what AutoML chooses by on the validation rows (default: %(default)s)",
    )
    submit.add_argument(
        "--learners", type=names, default=(), metavar="A,B", help="only these of AutoML's"
    )
    submit.add_argument(
        "--attempt", type=count, default=1, metavar="N", help="2: once more, after it has failed"
    )
    submit.add_argument(
        "--offline", action="store_true", help="write tables and request, send nothing"
    )

    status = actions.add_parser(
        "status", help="how far it is", description="Exit code 1 where it has failed."
    )
    status.add_argument(
        "--wait", type=hours, metavar="HOURS", help="until it has ended, at most so long"
    )

    fetch = actions.add_parser(
        "fetch",
        help="fetch the model, judge it and write its card",
        description="Brings the winner's ONNX into the application's form, compares both, judges "
        "it on rows that Azure has not seen, and writes automl.onnx and automl.json.",
    )
    fetch.add_argument(
        "--candles", type=Path, required=True, metavar="DIR", help="those that were sent"
    )
    fetch.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="default: the folder of the job; in models/ of the application it is served",
    )
    fetch.add_argument(
        "--onnx", type=Path, metavar="FILE", help="a model.onnx that was fetched by hand"
    )
    fetch.add_argument(
        "--columns", type=Path, metavar="FILE", help="with --onnx: the model_onnx.json beside it"
    )

    fetch.add_argument(
        "--register",
        action="store_true",
        help="offer it to the registry of the run, if it beats the base rates on its holdout",
    )
    fetch.add_argument(
        "--state", type=Path, default=state, metavar="DIR", help="folder of that run (%(default)s)"
    )
    fetch.add_argument(
        "--cosmos",
        metavar="URL",
        default="",
        help="instead: the store of a deployed application; whoever is logged in needs the right "
        "to write its container models",
    )

    cancel = actions.add_parser("cancel", help="end it", description="What it has tried is lost.")

    for one in (submit, status, fetch, cancel):
        one.add_argument(
            "--job",
            type=Path,
            default=state / "automl",
            metavar="DIR",
            help="where what is known of the job is kept (default: %(default)s)",
        )
    submit.add_argument(
        "--management",
        default="",
        metavar="URL",
        help="the Resource Manager of a sovereign cloud (default: of the public one)",
    )
    automl.set_defaults(module="local.cli.automl")
