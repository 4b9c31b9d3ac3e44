"""The option that says which configuration is run."""

from __future__ import annotations

import argparse

from local.configuration import DEMONSTRATION, SHIPPED


def add_config(command: argparse.ArgumentParser, default: str) -> None:
    """``--config``: one of the two that have a name, or a file."""
    command.add_argument(
        "--config",
        default=default,
        metavar="NAME|FILE",
        help=f"{SHIPPED}, {DEMONSTRATION}, or a JSON file of settings, or of a signal "
        "configuration as in TRADING_PLAN (default: %(default)s)",
    )
