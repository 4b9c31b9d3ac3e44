"""Every ./run command of the pages is one that the real command line takes."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest
from pages import PAGES, ROOT, quoted, rows, section, text

from local.cli.main import parser
from local.exchange.__main__ import parse
from shared.risk.kill_switch import MIN_REASON

_RUN = re.compile(r"(?:^ {4}|^|`)(\./run(?: [^`\n]*)?)", re.MULTILINE)
_EXCHANGE = re.compile(r"python -m local\.exchange([^`\n]*)")


#: Commands that pages name without what they need.
_SPAN = ["--data", "DIR", "--from", "2022-01-01", "--to", "2025-05-30", "--out", "DIR"]
_NEEDED = {
    "backtest": _SPAN,
    "optimize": _SPAN,
    "walkforward": _SPAN,
    "lookahead": ["all"],
    "compare": ["--live", "PATH", "--synthetic", "--out", "DIR"],
    "download": ["--out", "DIR"],
    "train": ["--candles", "DIR"],
    "retrain": ["--candles", "DIR"],
    "patterns": ["--candles", "DIR"],
    "automl": ["cancel"],
    "anomalies": ["--candles", "DIR"],
    "data audit": ["DIR"],
    "data import": ["FILE", "--symbol", "BTCUSDT", "--out", "DIR"],
}


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for command in _RUN.findall(page.read_text()):
            # In the indented lists of commands two blanks separate a command from its meaning.
            command = re.split(r" {2,}| #", command.strip())[0]
            found.append((page.relative_to(ROOT).as_posix(), command))
    return sorted(set(found))


def complete(command: str) -> list[str]:
    """Words of a command; what names it without its required arguments gets them."""
    words = shlex.split(command.replace("sqlite\\|cosmos", "sqlite"))[1:]
    if words == ["replay"] or (words[:1] == ["replay"] and "--out" not in words):
        words += ["--synthetic", "--from", "2025-05-04", "--to", "2025-05-05", "--out", "OUT"]
    words += _NEEDED.get(" ".join(words), [])
    if words == ["explain"]:
        words += ["ID"]
    if words == ["arm"]:
        words += ["--reason", "a reason"]
    return words


@pytest.mark.parametrize(("page", "command"), commands())
def test_command_is_understood(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, module = 0, "shown"
    try:
        module = parser().parse_args(complete(command)).module
    except SystemExit as ended:
        # --help ends with 0, a refused command with 2.
        code = int(ended.code or 0)
    assert code == 0, f"{page}: {command}: {capsys.readouterr().err}"
    assert module


def test_reasons_are_long_enough_to_be_taken() -> None:
    reasons = {c: re.findall(r'--reason "([^"]*)"', c) for _, c in commands() if "--reason" in c}
    assert reasons
    assert all(len(r) >= MIN_REASON for found in reasons.values() for r in found), reasons


def test_commands_were_found() -> None:
    pages = {page for page, _ in commands()}
    assert {"README.md", "docs/operations.md", "docs/replay.md"} <= pages


def test_the_exchange_starts_as_described() -> None:
    found = [c for page in PAGES for c in _EXCHANGE.findall(page.read_text())]
    assert found
    for arguments in found:
        parse(shlex.split(arguments))


def test_options_of_replay_are_described() -> None:
    (commands_,) = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    real = {o for a in commands_.choices["replay"]._actions for o in a.option_strings}
    table = rows(section(text("replay.md"), "Options"))
    assert {quoted(r[0])[0].split()[0] for r in table} == real - {"-h", "--help"}
