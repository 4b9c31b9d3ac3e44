"""Clients that nobody here wrote, unchanged but for the base address, on one exchange at once.

Each works on an account of its own, so that the same steps have to end in the same books.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_world import D, columns, flat, serving

from local.cli.exchange import guide
from local.cli.main import parser
from local.clock import ScaledClock
from local.exchange.api import BinanceApi
from local.exchange.auth import HmacCredential
from shared.simulation.candles import CandleSource
from shared.simulation.ledger import Ledger
from shared.simulation.venue import Venue

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "clients"
HOME = ROOT / ".venv-clients"
PACKAGES = ("ccxt==4.5.90", "binance-sdk-derivatives-trading-usds-futures==18.1.0")
#: Drivers that do the common steps, and where they run.
STEPS = ("python_binance_sync", "python_binance_async", "official_sdk", "ccxt_unified")
OTHERS = ("official_sdk_models", "official_sdk_streams", "official_sdk_sockets")
SOCKETS = "python_binance_sockets"
SECRET = "a-shared-secret"
DAY_MS = 86_400_000

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("clients")]


def _without(what: str) -> None:
    """Stop for want of a package: a failure in CI, where nothing may be left out."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def interpreter() -> Path | str:
    """A Python with the clients that the application itself does not need, made once.

    Where they cannot be installed, the reason.
    """
    program = HOME / "bin" / "python"
    stamp = HOME / "version"
    wanted = f"{' '.join(PACKAGES)} {sys.version_info[:2]}"
    if program.exists() and stamp.exists() and stamp.read_text() == wanted:
        return program
    venv.create(HOME, clear=True, with_pip=True)
    (HOME / ".gitignore").write_text("*\n")
    done = subprocess.run(
        [program, "-m", "pip", "install", "--quiet", *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return f"the clients cannot be installed: {done.stderr[-500:]}"
    stamp.write_text(wanted)
    return program


@pytest.fixture(scope="module")
def venue() -> Venue:
    """Two symbols that stand still, without funding, at the machine's own time."""
    now = int(time.time() * 1000)
    midnight = now - now % DAY_MS
    prices = {"BTCUSDT": 100_000.0, "ETHUSDT": 2_000.0}
    return Venue(
        CandleSource(
            {s: columns(s, flat(p, 2 * 1440), start=midnight) for s, p in prices.items()},
            funding={s: [(midnight + 9 * DAY_MS, 0.0)] for s in prices},
        ),
        start_ms=now,
        deposit=D(5000),
    )


@pytest.fixture(scope="module")
def exchange(venue: Venue) -> Iterator[str]:
    """The exchange's address; every driver has a key."""
    credentials = {f"{n}-key": HmacCredential(SECRET, n) for n in (*STEPS, *OTHERS, SOCKETS)}
    api = BinanceApi(venue, ScaledClock(venue.now), credentials)
    with serving(api) as server:
        yield server.url


@pytest.fixture(scope="module")
def own(exchange: str, interpreter: Path | str) -> dict[str, Any]:
    """What each driver told; all run at once. The application itself uses python-binance."""
    programs: dict[str, Path | str] = dict.fromkeys((*STEPS[:2], SOCKETS), sys.executable)
    if isinstance(interpreter, Path):
        programs |= dict.fromkeys((*STEPS[2:], *OTHERS), interpreter)
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    running = {
        name: subprocess.Popen(
            [python, DRIVERS / f"{name}.py", exchange, f"{name}-key", SECRET],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name, python in programs.items()
    }
    told = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, f"{name}: {err[-3000:]}"
        told[name] = json.loads(out)
    return told


@pytest.fixture(scope="module")
def told(own: dict[str, Any], interpreter: Path | str) -> dict[str, Any]:
    """All of it, the clients of others included."""
    if isinstance(interpreter, str):
        _without(interpreter)
    return own


def in_brief(ledger: Ledger) -> dict[str, Any]:
    """A ledger without numbers and times, which differ from account to account."""
    return {
        "wallet": ledger.wallet_balance,
        "positions": [(p.symbol, p.quantity, p.entry_price) for p in ledger.positions],
        "orders": [
            (o.symbol, o.side, o.type, o.time_in_force, o.price, o.quantity, o.executed, o.status)
            for o in ledger.orders
        ],
        "algos": [
            (a.symbol, a.side, a.type, a.trigger_price, a.quantity, a.reduce_only, a.status)
            for a in ledger.algo_orders
        ],
        "fills": [(f.symbol, f.side, f.price, f.quantity, f.commission) for f in ledger.fills],
        "income": [(i.symbol, i.kind, i.amount) for i in ledger.income],
        "margin": [(p.symbol, p.isolated_wallet) for p in ledger.positions],
    }


#: Read off the steps by hand: book 99,999.90 / 100,000.10 and 1,999.99 / 2,000.01, fee 0.05 %.
EXPECTED = {
    "positions": [["BTCUSDT", 0.015, 100000.1, 165.00015]],
    "orders": [["limit", "BUY", 98000.0, 0.012], ["one", "BUY", 97000.0, 0.002]],
    "algos": [["stop", "STOP_MARKET", 95000.0, 0.02]],
    "fills": [
        ["BTCUSDT", "BUY", 100000.1, 0.02, 1.000001],
        ["BTCUSDT", "SELL", 99999.9, 0.005, 0.24999975],
        ["ETHUSDT", "BUY", 2000.01, 0.5, 0.5000025],
        ["ETHUSDT", "SELL", 1999.99, 0.5, 0.4999975],
    ],
    "income": [
        ["COMMISSION", -1.000001],
        ["COMMISSION", -0.5000025],
        ["COMMISSION", -0.4999975],
        ["COMMISSION", -0.24999975],
        ["REALIZED_PNL", -0.01],
        ["REALIZED_PNL", -0.001],
        ["TRANSFER", 5000.0],
    ],
    "refused": [-5022, -4130, -2022],
    # The income's sum; the position's margin is locked (150.00015, then 20 more and 5 less), the
    # resting orders reserve a tenth (117.6 and 19.4).
    "wallet": 4997.73899925,
    "available": 4695.73884925,
}


@pytest.mark.parametrize("name", STEPS)
def test_a_client_reads_what_the_steps_lead_to(told: dict[str, Any], name: str) -> None:
    found = {key: told[name][key] for key in EXPECTED}
    assert found == EXPECTED


def test_all_clients_leave_the_same_books(told: dict[str, Any], venue: Venue) -> None:
    assert set(told) >= set(STEPS)
    books = {name: in_brief(venue.ledger(name)) for name in STEPS}
    assert all(venue.ledger(name).problems() == [] for name in STEPS)
    for name in STEPS[1:]:
        assert books[name] == books[STEPS[0]], name


def test_python_binance_hears_every_step(own: dict[str, Any]) -> None:
    new, filled = ["ORDER_TRADE_UPDATE", "NEW", "NEW"], ["ORDER_TRADE_UPDATE", "TRADE", "FILLED"]
    at_market = [new, ["TRADE_LITE", None, None], filled, ["ACCOUNT_UPDATE", None, None]]
    assert own["python_binance_async"]["events"] == [
        ["ACCOUNT_CONFIG_UPDATE", None, None],
        ["ACCOUNT_UPDATE", None, None],
        new,
        new,
        *at_market,
        ["ALGO_UPDATE", None, "NEW"],
        ["ALGO_UPDATE", None, "NEW"],
        ["ORDER_TRADE_UPDATE", "AMENDMENT", "NEW"],
        ["ORDER_TRADE_UPDATE", "CANCELED", "CANCELED"],
        ["ALGO_UPDATE", None, "CANCELED"],
        *at_market,
        *at_market,
        *at_market,
        new,
        new,
        ["ORDER_TRADE_UPDATE", "CANCELED", "CANCELED"],
        ["ACCOUNT_UPDATE", None, None],
        ["ACCOUNT_UPDATE", None, None],
        ["ALGO_UPDATE", None, "NEW"],
        ["ALGO_UPDATE", None, "CANCELED"],
        ["ALGO_UPDATE", None, "NEW"],
        ["ALGO_UPDATE", None, "CANCELED"],
    ]


#: Fields of the models that an answer may lack, and why.
_LEGACY_TRAILING = ("activatePrice", "priceRate")
_OF_REFUSALS = ("code", "msg")
_ONLY_SOMETIMES = {
    "ExchangeInformationResponseSymbolsInner.settlePlan",  # contracts with a delivery
    "GetOrderModifyHistoryResponseInnerAmendment.modifyId",  # an amendment sent without one
    "ModifyMultipleOrdersResponse.modifyId",
    "NotionalAndLeverageBracketsResponse1.notionalCoef",  # accounts with brackets of their own
    "NotionalAndLeverageBracketsResponse2.notionalCoef",
    "PositionAdlQuantileEstimationResponseInnerAdlQuantile.HEDGE",  # hedge mode
    "TradingScheduleResponse.marketSchedules",  # contracts on shares and commodities
}


def _may_lack(field: str) -> bool:
    model, _, name = field.partition(".")
    if name in _LEGACY_TRAILING or field in _ONLY_SOMETIMES:
        return True
    # One model for all kinds of filters; null in the documented answer; nothing is violated.
    if name == "icebergQuantity" or model in (
        "ExchangeInformationResponseSymbolsInnerFiltersInner",
        "FuturesTradingQuantitativeRulesIndicatorsResponseIndicators",
    ):
        return True
    return name in _OF_REFUSALS and "Multiple" in model


def test_typed_models_accept_every_answer(told: dict[str, Any]) -> None:
    found = told["official_sdk_models"]
    assert found["calls"] >= 80
    assert found["refused"] == {}
    assert found["complaints"] == []
    assert found["raw"] == ["test_connectivity", "close_user_data_stream"]  # both answer {}
    assert [field for field in found["missing"] if not _may_lack(field)] == []


def test_typed_models_accept_every_stream(told: dict[str, Any]) -> None:
    found = told["official_sdk_streams"]
    assert found["complaints"] == []
    assert found["raw"] == []
    user = {"OrderTradeUpdate", "AccountUpdate", "AlgoUpdate", "TradeLite", "AccountConfigUpdate"}
    assert user <= set(found["kinds"])
    assert len(found["kinds"]) == len(user) + 12
    market = [f for f in found["missing"] if f.split(".")[0].endswith("Response")]
    assert market == []


def test_python_binance_trades_over_the_websocket_interface(own: dict[str, Any]) -> None:
    assert own[SOCKETS] == {
        "placed": "NEW",
        "changed": "98000",
        "found": "0.012",
        "refused": -1111,
        "bought": "FILLED",
        "stop": "NEW",
        "gone": "success",
        "ended": "CANCELED",
        # The fee of 0.02 at 100,000.10.
        "wallet": "4998.99999900",
        "held": ["0.02"],
        "bid": "99999.90",
    }


def test_the_connector_trades_over_the_websocket_interface(told: dict[str, Any]) -> None:
    assert told["official_sdk_sockets"] == {
        "placed": "NEW",
        "limits": ["ORDERS", "ORDERS", "REQUEST_WEIGHT"],
        "changed": "98000",
        "found": "0.012",
        "ended": "CANCELED",
        "balance": "5000.00000000",
        "wallet": "5000.00000000",
        "bid": "99999.90",
        "key": 64,
        "complaints": [],
    }


def test_the_printed_lines_for_ccxt_work(
    exchange: str, interpreter: Path | str, told: dict[str, Any]
) -> None:
    """``./run exchange`` prints them; python-binance's are tried where that command is."""
    if isinstance(interpreter, str):
        _without(interpreter)
    options = parser().parse_args(["exchange", "--key", "ccxt_unified-key", "--secret", SECRET])
    _, _, rest = guide(exchange, options, 0).partition("\nccxt:\n")
    program = textwrap.dedent(rest.partition("\n\n")[0])
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [interpreter, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "'free': 4695.73884925" in done.stdout
