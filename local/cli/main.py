"""Commands and their options. Each command lives in its own module, loaded when it is used."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from local.cli.automl_options import add_automl
from local.cli.backtest_options import add_backtest
from local.cli.chart_options import add_charts
from local.cli.compliance_options import add_compliance
from local.cli.config_option import add_config
from local.cli.data_options import add_compare, add_data, add_download
from local.cli.dates import end_moment, moment, names
from local.cli.market_options import add_market, add_set
from local.cli.search_options import add_lookahead, add_searches
from local.cli.train_options import add_training
from local.configuration import DEMONSTRATION
from local.exchange.options import NOW, add_options
from shared.errors import BorsaError, ConfigurationError

STATE = Path(".local")

_EPILOG = """\
examples:
  ./run                                     watch it trade on a simulated exchange
  ./run replay --synthetic --from 2025-05-04 --to 2025-05-06 --out out
  ./run replay --data candles --symbols BTCUSDT,ETHUSDT --from 2025-05-04 --to 2025-05-31 --out out
  ./run backtest --data candles --symbols BTCUSDT --from 2021-01-01 --to 2024-12-31 --out out
  ./run explain BTCUSDT-5m-1746339900000-v1
  ./run simulate --decisions 1000 --profile storm
  ./run status        ./run stop        ./run audit verify
  ./run exchange                            the simulated exchange alone, for any Binance client
  ./run acceptance --card 1 18              acceptance cards; --venue demo for Binance Demo
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="./run",
        description="Borsa Quantum Bot on the embedded platform. Without a command: trade live "
        "on a simulated Binance with a built-in market, with a console and a web page.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.set_defaults(module="local.cli.live")
    _live_options(root)
    commands = root.add_subparsers(title="commands", metavar="COMMAND")
    _replay(commands)
    add_backtest(commands)
    _simulate(commands)
    add_download(commands)
    add_data(commands)
    add_compare(commands)
    add_searches(commands, STATE)
    add_lookahead(commands)
    add_training(commands)
    add_charts(commands)
    add_automl(commands, STATE)

    explain = commands.add_parser(
        "explain",
        help="why a decision was taken or declined",
        description="Votes, sizes and every check of a decision, recomputed from its audit record "
        "and compared bit for bit.",
    )
    explain.add_argument("id", help="id of the signal or decision, as listed by ./run status")
    _state(explain)
    explain.add_argument(
        "--audit", type=Path, metavar="FILE", help="read it from an exported audit log instead"
    )
    explain.set_defaults(module="local.cli.explain")

    audit = commands.add_parser(
        "audit", help="verify or export the audit log", description="The tamper-evident audit log."
    )
    actions = audit.add_subparsers(dest="action", required=True, metavar="verify|export")
    for action, text in (
        ("verify", "check the whole hash chain; names any change"),
        ("export", "write the chain as JSON Lines"),
    ):
        one = actions.add_parser(action, help=text, description=text.capitalize() + ".")
        _state(one)
        one.add_argument(
            "--file", type=Path, metavar="FILE", help="an exported audit log (export: to write)"
        )
    audit.set_defaults(module="local.cli.audit")

    incident = commands.add_parser(
        "incident",
        help="everything about a stretch of time in one file",
        description="Writes a zip file with the kill switch, alerts, violations, decisions, "
        "orders, trades, positions, the audit records with their verification, settings without "
        "secrets, versions, and a timeline to read first. Also from a run that is dead. GET "
        "/api/incidents answers the same of the deployed one. Exit code 1 where the audit chain "
        "does not verify.",
    )
    incident.add_argument(
        "--since", type=moment, metavar="DATE", help="UTC (default: a day before the end)"
    )
    incident.add_argument(
        "--until", type=moment, metavar="DATE", help="UTC (default: the last audit record)"
    )
    incident.add_argument("--out", type=Path, metavar="FILE", help="default: in the run's folder")
    _state(incident)
    incident.set_defaults(module="local.cli.incident")

    exchange = commands.add_parser(
        "exchange",
        help="the simulated exchange alone, for any Binance client",
        description="A simulated Binance USD-M futures exchange over HTTP and websockets, on the "
        "built-in market and by default on this machine's time. Prints how to point "
        "python-binance, ccxt and curl at it. Ctrl-C ends it.",
    )
    add_options(exchange, start=NOW, port=8090)
    exchange.set_defaults(module="local.cli.exchange")

    _streamer(commands)
    _acceptance(commands)

    status = commands.add_parser(
        "status",
        help="state of the running application",
        description="Equity, positions, last trades and signals, kill switch and health, over "
        "the application's own HTTP interface.",
    )
    _state(status)
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(module="local.cli.status")

    stop = commands.add_parser(
        "stop",
        help="emergency stop",
        description="Latches the kill switch and closes everything, through the HTTP endpoint, "
        "and waits until the exchange shows a flat account.",
    )
    _state(stop)
    stop.add_argument("--reason", default="stopped from the command line", help="for the record")
    stop.add_argument(
        "--drill", action="store_true", help="only prove that a stop would work; touches nothing"
    )
    stop.set_defaults(module="local.cli.stop")

    ask = commands.add_parser(
        "ask",
        help="a question to the language model",
        description="Asks the language model of the running application, which reads account, "
        "risk, signals and news and cannot act. Its answer is an opinion. With --symbol that of "
        "a market. Set LLM_API_KEY before ./run; see docs/intelligence.md.",
    )
    ask.add_argument("question", nargs="*", help="in your words")
    ask.add_argument("--symbol", help="its opinion of this market instead")
    ask.add_argument("--timeframe", default="", help="on these bars (default: the first traded)")
    ask.add_argument("--json", action="store_true", help="the answer as it came, with the figures")
    _state(ask)
    ask.set_defaults(module="local.cli.ask")

    performance = commands.add_parser(
        "performance",
        help="Sharpe ratio, drawdown, win rate of the closed trades",
        description="Asks the running application for the figures of its closed trades, computed "
        "as those of a backtest. GET /api/performance answers the same of the deployed one.",
    )
    performance.add_argument("--from", dest="start", type=moment, metavar="DATE")
    performance.add_argument("--to", dest="end", type=end_moment, metavar="DATE")
    performance.add_argument("--json", action="store_true", help="the answer as it came")
    _state(performance)
    performance.set_defaults(module="local.cli.performance")

    _risk(commands)
    _drift(commands)

    checklist = commands.add_parser(
        "checklist",
        help="the pre-live checklist",
        description="Twelve items, each answered by evidence that the application has gathered "
        "itself. Exit code 0 when all have passed.",
    )
    _state(checklist)
    checklist.set_defaults(module="local.cli.checklist")
    add_compliance(commands, _state)

    arm = commands.add_parser(
        "arm",
        help="clear the kill switch after an emergency stop",
        description="Arms trading again. Needs a current code of the second factor and a reason.",
    )
    _state(arm)
    arm.add_argument("--code", help="six digits; the embedded factor's code when left out")
    arm.add_argument("--reason", required=True, help="at least ten characters, for the record")
    arm.set_defaults(module="local.cli.arm")
    return root


def _state(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--state",
        type=Path,
        default=STATE,
        metavar="DIR",
        help="folder of the run (default: %(default)s)",
    )


def _live_options(root: argparse.ArgumentParser) -> None:
    live = root.add_argument_group("options of ./run without a command")
    live.add_argument("--fresh", action="store_true", help="forget the kept state and start over")
    live.add_argument("--speed", type=float, default=60.0, help="simulated seconds per second")
    live.add_argument("--seed", type=int, default=7, help="seed of the built-in market")
    live.add_argument("--symbols", type=names, default=("BTCUSDT", "ETHUSDT"), metavar="A,B")
    live.add_argument(
        "--port", type=int, help="port of the functions (7071, or a free one where that is taken)"
    )
    live.add_argument("--page-port", type=int, help="port of the web page (8080, or a free one)")
    live.add_argument("--exchange-port", type=int, default=0, help="port of the exchange")
    live.add_argument("--state", type=Path, default=STATE, metavar="DIR", help="kept here")
    live.add_argument(
        "--streamer", action="store_true", help="run the market streamer beside the timer"
    )
    live.add_argument(
        "--registry",
        action="store_true",
        help="models vote by the registry, and are scored at every bar",
    )
    live.add_argument("--plain", action="store_true", help="lines instead of a live console")
    live.add_argument("--seconds", type=float, help="stop by itself after that many real seconds")


def _replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = commands.add_parser(
        "replay",
        help="the same application on candle files, as fast as the machine allows",
        description="Runs the whole application - triggers, orchestrators, activities, store, "
        "exchange - in virtual time. Exit code 0 only if no invariant was violated and the audit "
        "chain verifies. Same inputs and seed give a byte-identical audit log.",
    )
    add_market(
        replay,
        detail="bars inside which prices follow a path; default: the finest there are",
        seed="of ids and of the generator",
    )
    add_config(replay, DEMONSTRATION)
    replay.add_argument("--symbols", type=names, default=(), metavar="A,B")
    replay.add_argument("--from", dest="start", type=moment, required=True, metavar="DATE")
    replay.add_argument("--to", dest="end", type=end_moment, required=True, metavar="DATE")
    replay.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    replay.add_argument("--store", choices=("sqlite", "cosmos"), default="sqlite")
    replay.add_argument(
        "--cosmos",
        default="",
        metavar="URL",
        help="Cosmos DB to use with --store cosmos; else a local server from npm is started",
    )
    add_set(replay, "an application setting, for example TIMEFRAMES=5m,1h")
    replay.add_argument("--quiet", action="store_true", help="no progress bar")
    replay.set_defaults(module="local.cli.replay")


def _risk(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from local.cli.risk import add_options as risk_options

    risk = commands.add_parser(
        "risk",
        help="value at risk, clusters, heat map and stress tests of what is held",
        description="Asks the running application for the risk of the whole portfolio: value at "
        "risk and expected shortfall by method, clusters of what moves together, heat and heat "
        "map; or plays crashes of the past and shocks of one's own on it. GET /api/risk and POST "
        "/api/risk/stress answer the same of the deployed one.",
    )
    risk_options(risk)
    _state(risk)
    risk.set_defaults(module="local.cli.risk")


def _drift(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from local.cli.drift import add_options as drift_options

    drift = commands.add_parser(
        "drift",
        help="whether the models still know what their cards say",
        description="Asks the running application for the newest reports of its drift monitor "
        "(MODEL_DRIFT), as GET /api/models/drift of the deployed one does; or, with --candles, "
        "makes the reports that it would have made on candle files.",
    )
    drift_options(drift)
    _state(drift)
    drift.set_defaults(module="local.cli.drift")


def _streamer(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from local.cli.streamer import add_options as streamer_options

    streamer = commands.add_parser(
        "streamer",
        help="the market streamer, into an event log of its own",
        description="Runs the market streamer against a simulated exchange, writes its events to "
        "DIR/streamer.db and shows them. ./run --streamer feeds the application instead.",
    )
    streamer_options(streamer)
    _state(streamer)
    streamer.set_defaults(module="local.cli.streamer")


def _acceptance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    acceptance = commands.add_parser(
        "acceptance",
        help="the acceptance cards, on Binance Demo or a simulated exchange",
        description="Executes the numbered cards of docs/acceptance.md through the real adapter "
        "and writes what the venue did. Keys come from the environment or a settings file; "
        "production is refused. Exit code 0 only if no card failed.",
    )
    acceptance.add_argument("--venue", choices=("demo", "simulated"), default="simulated")
    acceptance.add_argument(
        "--card", nargs="+", default=[], metavar="N", help="only these, for example 7 TC-18"
    )
    acceptance.add_argument("--list", action="store_true", help="name the cards, run nothing")
    acceptance.add_argument("--out", type=Path, default=Path("acceptance"), metavar="DIR")
    acceptance.add_argument("--symbol", default="BTCUSDT", help="default: %(default)s")
    acceptance.add_argument("--second", default="ETHUSDT", help="default: %(default)s")
    acceptance.add_argument(
        "--max-notional",
        type=Decimal,
        metavar="USDT",
        help="what one order may be worth at most (default: 500; simulated: 500000)",
    )
    acceptance.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="read the keys from this local.settings.json instead of the environment",
    )
    acceptance.add_argument("--yes", action="store_true", help="place orders without asking")
    acceptance.add_argument("--seed", type=int, default=7, help="of the simulated market")
    acceptance.set_defaults(module="local.cli.acceptance")


def _simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from local.simulate.profiles import PROFILES

    simulate = commands.add_parser(
        "simulate",
        help="the whole application under faults, from one seed",
        description="Runs the whole application in virtual time with faults at every boundary and "
        "checks every invariant against the exchange's own books. Same seed, same result. A "
        "violation is told with the smallest schedule of faults that causes it and the command "
        "that replays it. Exit code 0 only if no invariant was violated.",
    )
    simulate.add_argument("--decisions", type=int, default=1000, metavar="N")
    simulate.add_argument("--seed", type=int, default=7)
    simulate.add_argument(
        "--profile",
        default="storm",
        metavar="NAME",
        help=f"{', '.join(PROFILES)}, or all but quiet in turn: all (default: %(default)s)",
    )
    simulate.add_argument("--jobs", type=int, metavar="N", help="processes at the same time")
    simulate.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="write each finished episode there; run again it goes on where it ended",
    )
    simulate.add_argument("--first", action="store_true", help="end with the first violation")
    simulate.add_argument("--episode", default="", metavar="ID", help="replay one episode")
    simulate.add_argument(
        "--only", default="", metavar="FAULT,...", help="with --episode: only these faults; or none"
    )
    simulate.add_argument(
        "--kills",
        type=int,
        metavar="N",
        help="instead: real processes, the host killed so often with kill -9",
    )
    simulate.add_argument("--dominates", action="store_true", help="tell where the time goes")
    simulate.add_argument("--quiet", action="store_true", help="the result, nothing else")
    simulate.set_defaults(module="local.cli.simulate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Errors of ours are told in words, without a stack trace."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        command = importlib.import_module(options.module)
        return int(command.run(options))
    except ConfigurationError as error:
        print("The settings cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        return 2
    except BorsaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); closing must not complain about it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{error.strerror or error}", file=sys.stderr)
        return 2
