"""``kill -9`` of the real host while the exchange goes on; ``--kills 50`` does more."""

from __future__ import annotations

import pytest

from local.cli.main import main
from local.simulate.kills import Kills
from shared.errors import InvalidInput


def test_a_host_that_is_killed_loses_nothing_and_sends_nothing_twice() -> None:
    told: list[str] = []
    report = Kills(5, 3, lambda number, moment: told.append(moment)).run()
    assert not report.violations, report.violations
    assert report.kills == len(told) == 5
    assert report.entries > 5, "nothing was traded, so nothing was tested"
    assert 0 < report.trades <= report.entries
    assert report.at["with a position open"] > 1
    assert any(moment.startswith(("before", "after")) for moment in told)


def test_the_command_line_says_what_was_killed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--kills", "1", "--seed", "2", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "1 kills in" in out
    assert "no invariant was violated" in out


def test_a_bad_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        Kills(0, 1)
