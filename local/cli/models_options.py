"""Options of ``./run models``."""

from __future__ import annotations

import argparse
from pathlib import Path

from local.cli.data_options import Commands

#: The application's own.
MODELS = Path(__file__).resolve().parents[2] / "models"
_STATE = Path(".local")


def add_models(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run models`` and what it can do with versions."""
    root = commands.add_parser(
        "models",
        help="the models there are, what they were worth, and what becomes of their versions",
        description="Without an action: the cards of a folder, every figure beside what no "
        "knowledge would reach. Actions are about the registry of a run, or of a Cosmos DB "
        "account; what changes who votes is asked of the running application.",
    )
    root.add_argument(
        "--models", type=Path, default=MODELS, metavar="DIR", help="default: the application's"
    )
    root.add_argument("--json", action="store_true", help="the cards as they are")
    root.set_defaults(module="local.cli.models", action="cards")
    actions = root.add_subparsers(dest="action", metavar="")

    _stored(actions.add_parser("versions", help="what the registry knows"))
    register = actions.add_parser("register", help="take a model of a folder into the registry")
    _named(register)
    register.add_argument(
        "--from", dest="folder", type=Path, default=MODELS, metavar="DIR",
        help="with NAME.onnx and NAME.json (default: the application's)",
    )  # fmt: skip
    register.add_argument(
        "--challenge", action="store_true", help="have it scored beside the champion from now on"
    )
    _stored(register)
    export = actions.add_parser("export", help="any version that was ever registered, as files")
    _named(export)
    export.add_argument("version")
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    _stored(export)

    compare = actions.add_parser("compare", help="challengers against the champion")
    _named(compare)
    compare.add_argument("version", nargs="?", default="", help="default: all challengers")
    _running(compare)
    for action, told in (
        ("challenge", "have a version scored beside the champion from now on"),
        ("withdraw", "have a challenger scored no more"),
        ("reject", "never promote a version"),
    ):
        command = actions.add_parser(action, help=told)
        _named(command)
        command.add_argument("version")
        _reason(command)
    promote = actions.add_parser("promote", help="have a version vote, on the evidence")
    _named(promote)
    promote.add_argument("version")
    promote.add_argument("--override", action="store_true", help="without the evidence; audited")
    _reason(promote)
    _code(promote)
    back = actions.add_parser("rollback", help="have the champion before vote again")
    _named(back)
    _reason(back)
    _code(back)


def _named(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="name of the model")


def _running(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--state", type=Path, default=_STATE, metavar="DIR", help="folder of the run"
    )


def _stored(command: argparse.ArgumentParser) -> None:
    _running(command)
    command.add_argument(
        "--cosmos",
        metavar="ENDPOINT",
        default="",
        help="instead: the Cosmos DB account of a deployed application",
    )
    command.add_argument("--database", default="borsa", help="in that account (borsa)")


def _reason(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", required=True, help="at least ten characters, for the record")
    _running(command)


def _code(command: argparse.ArgumentParser) -> None:
    command.add_argument("--code", help="six digits; the embedded factor's code when left out")
