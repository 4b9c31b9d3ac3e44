"""``./run acceptance``: the acceptance cards, on Binance Demo or on an exchange simulated here."""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal
from typing import Any

from local.acceptance.run import chosen, execute, write
from local.acceptance.venues import Demo, Place, Simulated, values_of
from shared.errors import InvalidInput

#: USDT that one order may be worth; simulated money is enough for a whole touch.
MOST_NOTIONAL = {"demo": Decimal(500), "simulated": Decimal(500_000)}


def run(options: argparse.Namespace) -> int:
    """Run the cards, print a line for each, write the evidence; 0 only if none failed."""
    cards = chosen(options.card)
    if options.list:
        for card in cards:
            print(f"{card.id}  {card.title}")
        return 0
    most = options.max_notional or MOST_NOTIONAL[options.venue]
    place: Place
    if options.venue == "demo":
        place = Demo(values_of(options.settings))
        if any(card.trades for card in cards) and not options.yes:
            _ask(place, options, most)
    else:
        place = Simulated(options.seed)
    try:
        evidence = execute(
            place,
            cards,
            symbol=options.symbol,
            second=options.second,
            max_notional=most,
            tell=_tell,
        )
    finally:
        place.close()
    full, short = write(evidence, options.out)
    verdicts = evidence["verdicts"]
    print(", ".join(f"{count} {name}" for name, count in verdicts.items()))
    print(f"evidence: {full}\ntable:    {short}")
    return 1 if verdicts["failed"] or verdicts["error"] else 0


def _ask(place: Place, options: argparse.Namespace, most: Decimal) -> None:
    """Orders are placed only with consent.

    Raises
    ------
    InvalidInput
        It is not given.
    """
    print(
        f"The cards place orders on {place.environment.base_url} in {options.symbol} and "
        f"{options.second}, each worth at most {most} USDT, and TC-27 closes "
        "everything the account holds."
    )
    answer = ""
    if sys.stdin.isatty():
        answer = input("Type yes to go on: ")
    if answer.strip().lower() != "yes":
        raise InvalidInput("not confirmed; answer yes, or say --yes")


def _tell(row: dict[str, Any]) -> None:
    good = sum(check["ok"] for check in row["checks"])
    print(
        f"{row['id']}  {row['verdict']:8} {good}/{len(row['checks'])}  {row['title']}"
        + (f"  ({row['reason']})" if row["reason"] else ""),
        flush=True,
    )
    for check in row["checks"]:
        if not check["ok"]:
            print(f"         {check['what']}: {check['found']} instead of {check['expected']}")
