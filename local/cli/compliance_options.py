"""Options of ``./run compliance``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from local.cli.dates import end_moment, moment

State = Callable[[argparse.ArgumentParser], None]


def add_compliance(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], state: State
) -> None:
    """``./run compliance`` and what it can do."""
    root = commands.add_parser(
        "compliance",
        help="violations of the account's own order flow, and the calendar of events",
        description="Lists what the compliance monitor has found, from the state of a run. Its "
        "actions ask the running application.",
    )
    state(root)
    root.add_argument("--all", action="store_true", help="closed violations as well")
    root.set_defaults(module="local.cli.compliance", action="list")
    actions = root.add_subparsers(dest="action", metavar="")

    show = actions.add_parser("show", help="one violation with its evidence")
    show.add_argument("id")
    scan = actions.add_parser("scan", help="judge a piece of the account's history now")
    scan.add_argument("--from", dest="start", type=moment, required=True, metavar="DATE")
    scan.add_argument(
        "--to", dest="end", type=end_moment, metavar="DATE", help="default: until now"
    )
    look = actions.add_parser("acknowledge", help="say that you look into a violation")
    look.add_argument("id")
    look.add_argument("--note", default="", help="for the record")
    close = actions.add_parser("close", help="close a violation that was dealt with")
    close.add_argument("id")
    _reason(close)
    actions.add_parser("events", help="the calendar of restricted windows")
    add = actions.add_parser("restrict", help="restrict a window around an event")
    add.add_argument("--symbol", required=True, metavar="BTCUSDT", help="or * for all")
    add.add_argument("--at", required=True, metavar="TIME", help="2026-01-31T12:00, UTC")
    add.add_argument("--title", required=True, help="what happens")
    add.add_argument(
        "--kind", choices=("listing", "unlock", "announcement", "other"), default="other"
    )
    add.add_argument("--before", type=int, default=1440, metavar="MINUTES")
    add.add_argument("--after", type=int, default=60, metavar="MINUTES")
    remove = actions.add_parser("release", help="take a restricted window away")
    remove.add_argument("id")
    _reason(remove)
    for one in actions.choices.values():
        # Without a default of its own: named before the action it counts as well.
        one.add_argument(
            "--state",
            type=Path,
            default=argparse.SUPPRESS,
            metavar="DIR",
            help="folder of the run",
        )


def _reason(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", required=True, help="at least ten characters, for the record")
    command.add_argument("--code", help="six digits; the embedded factor's code when left out")
