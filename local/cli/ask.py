"""``./run ask``: a question to the language model of the running application."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from local.cli.open_state import call
from shared.errors import InvalidInput

#: Real seconds: the application may ask the model several times for one answer.
PATIENCE = 180.0


def run(options: argparse.Namespace) -> int:
    """0 when there is an answer, 1 when there is none."""
    if options.symbol:
        asked: dict[str, Any] = {"timeframe": options.timeframe} if options.timeframe else {}
        status, body = call(
            options.state, "POST", f"analysis/{options.symbol}", asked, patience=PATIENCE
        )
    elif not options.question:
        raise InvalidInput('ask something: ./run ask "why was the last signal declined?"')
    else:
        turn = {"role": "user", "content": " ".join(options.question)}
        status, body = call(
            options.state, "POST", "assistant/chat", {"messages": [turn]}, patience=PATIENCE
        )
    if status != 200:
        message = (body or {}).get("error", {}).get("message", body)
        print(f"no answer ({status}): {message}")
        return 1
    if options.json:
        print(json.dumps(body, indent=2))
        return 0
    for line in lines(body):
        print(textwrap.fill(line, 100, subsequent_indent="  " if line.startswith("- ") else ""))
    return 0


def lines(body: dict[str, Any]) -> list[str]:
    """An answer or an opinion as people read it."""
    if "opinion" in body:
        one = body["opinion"]
        told = [
            f"{body['symbol']} {body['timeframe']}: {one['outlook']}, its confidence "
            f"{one['confidence']:.0%}",
            one["summary"],
        ]
        for name, points in (
            ("for", one["speaksFor"]),
            ("against", one["speaksAgainst"]),
            ("watch", one["watch"]),
        ):
            told += [f"- {name}: {point}" for point in points]
    else:
        told = body["answer"].splitlines()
    told += ["", body["notice"]]
    read = ", ".join(dict.fromkeys(given["tool"] for given in body["given"]))
    told.append(f"It was given: {read or 'nothing'} (--json shows the figures).")
    if body["unsupported"]:
        told.append(f"Not among them, so worked out or made up: {', '.join(body['unsupported'])}.")
    usage = body["usage"]
    told.append(
        f"{usage['promptTokens']} tokens read, {usage['completionTokens']} written, "
        f"{usage['cost']:.4f} USD."
    )
    return told
