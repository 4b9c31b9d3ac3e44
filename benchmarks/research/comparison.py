"""Peers in an environment of their own, and whether their trades are ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = Path(__file__).resolve().parent / "peers"
PACKAGES = ("backtesting==0.6.6", "backtrader==1.9.78.123", "vectorbt==1.2.0")
#: Half a cent: what counts as equal.
CENT = 0.005


def interpreter() -> str | None:
    """The Python that has the peers; installed once. ``None`` when that is not possible.

    ``PEERS_PYTHON`` names one that has them already.
    """
    given = os.environ.get("PEERS_PYTHON")
    if given:
        return given
    folder = ROOT / ".local" / "peers"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return str(python)
    try:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
            check=True,
            stdout=sys.stderr,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"peers are not measured: {error}", file=sys.stderr)
        return None
    (folder / "complete").touch()
    return str(python)


def peer(python: str, name: str, *words: str) -> dict[str, Any]:
    """Run a peer's script.

    Raises
    ------
    SystemExit
        When it fails; its own output says why.
    """
    done = subprocess.run(
        [python, str(SCRIPTS / f"with_{name}.py"), *words],
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def same_trades(folder: Path, name: str, *, shift: int = 0, bars: int | None = None) -> str:
    """What is equal, in words.

    Parameters
    ----------
    shift : int
        Bars by which the peer tells a fill earlier: a price at a close is the next open's here.
    bars : int, optional
        The peer saw only so many bars.

    Raises
    ------
    SystemExit
        With the first trade that differs by more than half a cent.
    """
    ours = dict(np.load(folder / "ours.npz"))
    theirs = dict(np.load(folder / f"{name}.npz"))
    until = bars or len(ours["want"])
    # The last trade is closed by the end of the data, by each in its own way.
    closed = ours["closed"] < until - 1
    count = min(int(closed.sum()), len(theirs["opened"]))
    if abs(len(theirs["opened"]) - int(closed.sum())) > 2:
        raise SystemExit(f"{name}: {len(theirs['opened'])} trades, ours {int(closed.sum())}")
    for column in ("opened", "closed"):
        _equal(name, column, ours[column][:count], theirs[column][:count] + shift, 0.5)
    for column in ("side", "entry", "exit", "net"):
        if column in theirs:
            _equal(name, column, ours[column][:count], theirs[column][:count], CENT)
    text = f"{count} trades equal to the cent"
    if "equity" in theirs:
        # At the close of the bar in which a peer fills, its equity is a fee ahead of ours.
        settled = np.flatnonzero(np.diff(ours["want"]) == 0)[:-1] + 1
        _equal(name, "equity", ours["equity"][settled], theirs["equity"][settled], CENT)
        text += f", equity at {len(settled)} closes"
    return text


def _equal(name: str, column: str, ours: Any, theirs: Any, within: float) -> None:
    apart = np.flatnonzero(~(np.abs(ours - theirs) <= within))
    if len(apart):
        i = int(apart[0])
        raise SystemExit(f"{name}: {column} of trade {i} is {theirs[i]}, ours {ours[i]}")
