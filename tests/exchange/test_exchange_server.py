"""The exchange as a server: sockets, streams, state that survives a kill."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import requests
from binance.client import Client
from exchange_world import (
    KEY,
    MIDNIGHT,
    QuietClient,
    World,
    code,
    flat,
    http_client,
    in_process_client,
    refused,
    serving,
)

from local.exchange.__main__ import start_ms
from local.exchange.api import BinanceApi
from local.exchange.faults import AnswerLost, Fault, ScriptedFaults, on
from local.exchange.limits import RateLimits
from local.exchange.session import InProcessSession
from local.exchange.state import StateFile
from shared.errors import ConfigurationError
from shared.simulation.venue import Venue

BTC = "BTCUSDT"
ROOT = Path(__file__).parents[2]


def market(client: Client, side: str = "BUY", **p):
    return client.futures_create_order(symbol=BTC, side=side, type="MARKET", quantity="0.010", **p)


class TestState:
    identity = {"market": "test"}.items()

    def state(self, path: Path) -> StateFile:
        return StateFile(path, dict(self.identity))

    def world(self, path: Path) -> tuple[World, StateFile]:
        rows = [*flat(100_000, 5), (100_000, 100_400, 99_000, 100_100), *flat(100_100, 60)]
        world = World({BTC: rows})
        state = self.state(path)
        world.api._save = lambda: state.save(world.venue)
        return world, state

    def reopened(self, world: World, path: Path) -> tuple[Venue, StateFile]:
        state = self.state(path)
        saved = state.saved_time()
        assert saved is not None
        venue = Venue(world.venue.core.source, start_ms=saved)
        state.load(venue)
        return venue, state

    def test_everything_acknowledged_is_there_again(self, tmp_path: Path) -> None:
        path = tmp_path / "state.db"
        world, state = self.world(path)
        c = world.client
        c.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        c.futures_change_leverage(symbol=BTC, leverage=7)
        market(c)
        place = c.futures_create_algo_order
        stop = {"symbol": BTC, "side": "SELL", "quantity": "0.010", "reduceOnly": "true"}
        place(**stop, type="STOP_MARKET", triggerPrice="99500", clientAlgoId="s")
        place(**stop, type="TRAILING_STOP_MARKET", callbackRate="5", clientAlgoId="t")
        c.futures_create_order(
            symbol=BTC,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="99900",
            quantity="0.010",
            newClientOrderId="rest",
        )
        c.futures_countdown_cancel_all(symbol=BTC, countdownTime=3_600_000)
        # No farewell: the file is as a killed process leaves it.
        venue, again = self.reopened(world, path)
        assert venue.ledger() == world.venue.ledger()
        assert venue.account().setting(BTC).leverage == 7
        assert venue.account().countdowns == world.account.countdowns
        # And from there both go on alike, through the stop in the middle of a bar.
        for v in (venue, world.venue):
            v.advance(v.now + 8 * 60_000)
        assert venue.ledger() == world.venue.ledger()
        assert venue.ledger().problems() == []
        assert {a.status for a in venue.ledger().algo_orders} >= {"FINISHED"}
        state.close()
        again.close()

    def test_a_bar_goes_on_as_it_began(self, tmp_path: Path) -> None:
        """A falling bar, entered without a position, keeps its high first after a restart."""
        path = tmp_path / "state.db"
        world = World({BTC: [*flat(100_000, 2), (100_000, 101_000, 98_000, 99_000)] * 3})
        state = self.state(path)
        world.api._save = lambda: state.save(world.venue)
        world.at_minute(2.1)
        market(world.client)
        venue, again = self.reopened(world, path)
        for second in (20, 40, 59):
            moment = MIDNIGHT + 2 * 60_000 + second * 1000
            world.venue.advance(moment)
            venue.advance(moment)
            assert venue.core.last(BTC) == world.venue.core.last(BTC)
        state.close()
        again.close()

    def test_a_file_of_another_market_is_refused(self, tmp_path: Path) -> None:
        self.state(tmp_path / "s.db").close()
        with pytest.raises(ConfigurationError, match="another market"):
            StateFile(tmp_path / "s.db", {"market": "other"})

    def test_a_state_that_cannot_be_written_makes_the_outcome_unknown(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        world, state = self.world(path)
        market(world.client, newClientOrderId="a")
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        state._db.execute("PRAGMA busy_timeout=1")
        refusal = refused(market, world.client, newClientOrderId="b")
        assert (refusal.status_code, refusal.code) == (503, -1000)
        blocker.execute("ROLLBACK")
        blocker.close()
        market(world.client, newClientOrderId="c")
        venue, again = self.reopened(world, path)
        assert venue.ledger() == world.venue.ledger()
        assert [f.client_order_id for f in venue.ledger().fills] == ["a", "b", "c"]
        state.close()
        again.close()


class TestHttp:
    def test_refusals_have_status_body_and_headers(self) -> None:
        world = World({BTC: flat(100_000, 5)})
        with http_client(world.api) as client:
            refusal = refused(market, client, newClientOrderId="a b")
            assert (refusal.status_code, refusal.code) == (400, -1100)
            assert "x-mbx-used-weight-1m" in refusal.response.headers
            batch = client.futures_place_batch_order(
                batchOrders=[
                    {
                        "symbol": BTC,
                        "side": "BUY",
                        "type": "MARKET",
                        "quantity": "0.01",
                        "newClientOrderId": "in-batch",
                    }
                ]
            )
            assert batch[0]["clientOrderId"] == "in-batch"

    @pytest.mark.parametrize("how", ["timeout", "reset"])
    def test_lost_answers_look_lost(self, how: str) -> None:
        fault = Fault(on("POST", "/fapi/v1/order"), AnswerLost(how), executed=True)
        world = World({BTC: flat(100_000, 5)}, faults=ScriptedFaults([fault]))
        with http_client(world.api) as client:
            client.REQUEST_TIMEOUT = 0.3
            with pytest.raises(requests.exceptions.RequestException):
                market(client, newClientOrderId="lost")
            client.REQUEST_TIMEOUT = 10
            found = client.futures_get_order(symbol=BTC, origClientOrderId="lost")
            assert found["status"] == "FILLED"


async def read(socket, wanted, seconds: float = 10.0) -> list:
    """Messages until ``wanted`` says there are enough."""
    seen: list = []
    async with asyncio.timeout(seconds):
        while not wanted(seen):
            seen.append(json.loads(await socket.receive_str()))
    return seen


class TestStreams:
    def run(self, world: World, scenario) -> None:
        async def inside(url: str) -> None:
            async with aiohttp.ClientSession() as session:
                await scenario(session, url)

        with serving(world.api) as server:
            asyncio.run(inside(server.url.replace("http", "ws")))

    def test_user_events_of_an_entry_and_its_stop(self) -> None:
        rows = [*flat(100_000, 3), *flat(97_000, 10)]
        world = World({BTC: rows})

        async def scenario(session, url: str) -> None:
            client = in_process_client(world.api)
            key = client.futures_stream_get_listen_key()
            assert client.futures_stream_get_listen_key() == key
            async with session.ws_connect(f"{url}/private/ws?listenKey={key}") as socket:
                await asyncio.sleep(0.2)
                market(client, newClientOrderId="e")
                client.futures_create_algo_order(
                    symbol=BTC,
                    side="SELL",
                    type="STOP_MARKET",
                    triggerPrice="99000",
                    quantity="0.010",
                    reduceOnly="true",
                    clientAlgoId="s",
                )
                world.clock.advance_to(world.clock.now_ms() + 5 * 60_000)
                seen = await read(
                    socket, lambda s: any(m.get("o", {}).get("X") == "FINISHED" for m in s)
                )
            kinds = [
                (m["e"], m.get("o", {}).get("x"), m.get("o", m.get("a", {})).get("X")) for m in seen
            ]
            assert kinds == [
                ("ORDER_TRADE_UPDATE", "NEW", "NEW"),
                ("TRADE_LITE", None, None),
                ("ORDER_TRADE_UPDATE", "TRADE", "FILLED"),
                ("ACCOUNT_UPDATE", None, None),
                ("ALGO_UPDATE", None, "NEW"),
                ("ALGO_UPDATE", None, "TRIGGERING"),
                ("ALGO_UPDATE", None, "TRIGGERED"),
                ("ORDER_TRADE_UPDATE", "NEW", "NEW"),
                ("TRADE_LITE", None, None),
                ("ORDER_TRADE_UPDATE", "TRADE", "FILLED"),
                ("ACCOUNT_UPDATE", None, None),
                ("ALGO_UPDATE", None, "FINISHED"),
            ]
            opened, closed = seen[3]["a"], seen[10]["a"]
            assert opened["m"] == "ORDER"
            assert opened["P"][0]["pa"] == "0.01"
            assert closed["P"][0]["pa"] == "0"
            assert seen[11]["o"]["ai"] == str(seen[7]["o"]["i"])
            assert [m["E"] for m in seen] == sorted(m["E"] for m in seen)

        self.run(world, scenario)

    def test_market_streams_on_their_hosts_and_silence_elsewhere(self) -> None:
        world = World({BTC: [*flat(100_000, 3), *flat(100_500, 30)]})

        async def scenario(session, url: str) -> None:
            path = "stream?streams=btcusdt@kline_1m/btcusdt@markPrice@1s/btcusdt@aggTrade"
            market_host = session.ws_connect(f"{url}/market/{path}")
            wrong_host = session.ws_connect(f"{url}/public/ws/btcusdt@kline_1m")
            async with market_host as market_socket, wrong_host as silent:
                first = await read(market_socket, lambda s: len({m["stream"] for m in s}) == 3)
                assert {m["data"]["e"] for m in first} == {"kline", "markPriceUpdate", "aggTrade"}
                world.clock.advance_to(world.clock.now_ms() + 4 * 60_000)
                later = await read(
                    market_socket,
                    lambda s: sum(m["data"].get("k", {}).get("x", False) for m in s) == 4,
                )
                closed = [m["data"]["k"]["t"] for m in later if m["data"].get("k", {}).get("x")]
                steps = {b - a for a, b in itertools.pairwise(closed)}
                assert steps == {60_000}
                await silent.send_str(
                    json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 7})
                )
                answers = await read(silent, lambda s: len(s) == 2)
                assert answers[0] == {"result": None, "id": 7}
                assert answers[1]["e"] == "bookTicker"
                await silent.send_str(json.dumps({"method": "LISTEN", "params": [], "id": 8}))
                told = await read(silent, lambda s: any("error" in m for m in s))
                assert (told[-1]["error"]["code"], told[-1]["id"]) == (2, 8)

        self.run(world, scenario)

    def test_who_sends_more_than_ten_messages_a_second_is_cut_off(self) -> None:
        world = World({BTC: flat(100_000, 3)})

        async def scenario(session, url: str) -> None:
            async with session.ws_connect(f"{url}/public/ws") as socket:
                command = json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 1})
                for _ in range(10):
                    await socket.send_str(command)
                assert len(await read(socket, lambda s: len(s) == 10)) == 10
                await socket.send_str(command)
                async with asyncio.timeout(10):
                    message = await socket.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)

        self.run(world, scenario)

    def test_an_address_may_open_so_many_connections_and_no_more(self) -> None:
        world = World({BTC: flat(100_000, 9)}, limits=RateLimits(connections=2))

        async def scenario(session, url: str) -> None:
            for path in ("/public/ws", "/ws-fapi/v1"):
                async with session.ws_connect(f"{url}{path}"):
                    pass
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await session.ws_connect(f"{url}/market/ws")
            assert refusal.value.status == 429
            assert int(refusal.value.headers["Retry-After"]) > 0
            world.clock.advance_to(world.clock.now_ms() + 300_000)
            # The exchange looks at its clock several times a second.
            async with asyncio.timeout(30):
                while world.venue.now < world.clock.now_ms():
                    await asyncio.sleep(0.05)
            async with session.ws_connect(f"{url}/market/ws"):
                pass

        self.run(world, scenario)

    def test_opening_a_connection_for_requests_weighs_five(self) -> None:
        world = World({BTC: flat(100_000, 3)})

        async def scenario(session, url: str) -> None:
            # A stream weighs nothing; the ping that asks weighs 1.
            for path, used in (("/market/ws", "1"), ("/ws-fapi/v1", "7")):
                async with session.ws_connect(f"{url}{path}"):
                    world.client.futures_ping()
                    assert world.client.response.headers["x-mbx-used-weight-1m"] == used

        self.run(world, scenario)

    def test_a_listen_key_can_be_subscribed(self) -> None:
        """Binance's own connector opens the private host bare and subscribes its key."""
        world = World({BTC: flat(100_000, 3)})

        async def scenario(session, url: str) -> None:
            client = in_process_client(world.api)
            key = client.futures_stream_get_listen_key()
            async with session.ws_connect(f"{url}/private/stream") as socket:
                for method in ("SUBSCRIBE", "LIST_SUBSCRIPTIONS"):
                    command = {"method": method, "params": [key], "id": 1}
                    await socket.send_str(json.dumps(command))
                answers = await read(socket, lambda s: len(s) == 2)
                assert [a["result"] for a in answers] == [None, [key]]
                market(client)
                told = await read(socket, lambda s: len(s) == 4)
                assert {m["stream"] for m in told} == {key}
                assert told[-1]["data"]["e"] == "ACCOUNT_UPDATE"
                await socket.send_str(
                    json.dumps({"method": "UNSUBSCRIBE", "params": [key], "id": 2})
                )
                assert (await read(socket, lambda s: len(s) == 1))[0]["id"] == 2
                market(client, "SELL")
                with pytest.raises(TimeoutError):
                    await read(socket, lambda s: len(s) == 1, seconds=0.5)

        self.run(world, scenario)

    def test_a_connection_for_requests_ends_after_a_day(self) -> None:
        world = World({BTC: flat(100_000, 3)})

        async def scenario(session, url: str) -> None:
            async with session.ws_connect(f"{url}/ws-fapi/v1") as socket:
                world.clock.advance_to(world.clock.now_ms() + 86_399_000)
                await socket.send_json({"id": 1, "method": "ticker.price"})
                async with asyncio.timeout(10):
                    assert (await socket.receive_json())["status"] == 200
                    world.clock.advance_to(world.clock.now_ms() + 1_000)
                    message = await socket.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)

        self.run(world, scenario)

    def test_connections_end_after_a_day_and_keys_after_an_hour(self) -> None:
        world = World({BTC: flat(100_000, 3)})

        async def scenario(session, url: str) -> None:
            key = world.client.futures_stream_get_listen_key()
            async with session.ws_connect(f"{url}/private/ws/{key}") as socket:
                await asyncio.sleep(0.2)
                world.clock.advance_to(world.clock.now_ms() + 3_600_000)
                [expired] = await read(socket, lambda s: len(s) == 1)
                assert expired["e"] == "listenKeyExpired"
                world.clock.advance_to(world.clock.now_ms() + 86_400_000)
                async with asyncio.timeout(10):
                    message = await socket.receive()
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)

        self.run(world, scenario)
        assert code(world.client.futures_stream_keepalive, listenKey="gone") == -1125


class TestProcess:
    """``python -m local.exchange`` as a process of its own."""

    @contextmanager
    def running(self, folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen, Client]]:
        address = folder / "address.json"
        address.unlink(missing_ok=True)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "local.exchange",
                *("--port", "0", "--state", str(folder / "state.db"), "--speed", "30"),
                *("--address-file", str(address), "--symbols", "BTCUSDT", *more),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        client = QuietClient("local-key", "local-secret")
        try:
            while not address.exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            url = json.loads(address.read_text())["url"]
            client.FUTURES_URL = f"{url}/fapi"
            client.session.trust_env = False
            client.REQUEST_RECVWINDOW = 60_000
            self.sync(client)
            yield process, client
        finally:
            client.session.close()
            if process.poll() is None:
                process.kill()
            process.communicate()

    @staticmethod
    def sync(client: Client) -> int:
        server = client.futures_time()["serverTime"]
        client.timestamp_offset = server - int(time.time() * 1000)
        return server

    def test_kill_and_restart_lose_nothing_and_sigterm_is_clean(self, tmp_path: Path) -> None:
        with self.running(tmp_path) as (process, client):
            market(client, newClientOrderId="before")
            self.sync(client)
            client.futures_create_algo_order(
                symbol=BTC,
                side="SELL",
                type="STOP_MARKET",
                triggerPrice="10000",
                quantity="0.010",
                reduceOnly="true",
                clientAlgoId="stop",
            )
            moment = self.sync(client)
            process.kill()
            process.wait(10)
        with self.running(tmp_path) as (process, client):
            assert abs(self.sync(client) - moment) < 120_000
            [position] = client.futures_position_information()
            assert position["positionAmt"] == "0.01"
            found = client.futures_get_algo_order(clientAlgoId="stop")
            assert found["algoStatus"] == "NEW"
            self.sync(client)
            trades = client.futures_account_trades(symbol=BTC)
            assert len(trades) == 1
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
            assert (process.returncode, err) == (0, "")
            assert json.loads(out)["speed"] == 30.0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [(["--symbols", "NOPEUSDT"], "NOPEUSDT"), (["--start", "yesterday"], "yesterday")],
    )
    def test_wrong_arguments_are_named(self, arguments: list[str], message: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "local.exchange", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_start_times() -> None:
    assert start_ms("2025-05-05T00:00:00Z") == start_ms("2025-05-05") == 1_746_403_200_000
    assert start_ms("2025-05-05T02:00:00+02:00") == 1_746_403_200_000


def test_in_process_session_reads_like_requests() -> None:
    world = World({BTC: flat(100_000, 3)})
    assert isinstance(world.api, BinanceApi)
    session = InProcessSession(world.api, {"X-MBX-APIKEY": KEY}, latency=0.02)
    before = world.clock.now_ms()
    response = session.get("http://exchange/fapi/v1/time", params={"a": "1"}, timeout=3)
    assert (response.status_code, response.ok) == (200, True)
    assert response.json() == {"serverTime": before + 10}
    assert world.clock.now_ms() == before + 20
    assert response.headers["Content-Type"].startswith("application/json")


class TestCommand:
    """``./run exchange``: what it prints can be pasted."""

    @contextmanager
    def printed(self, *more: str) -> Iterator[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.cli", "exchange", "--port", "0", *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "v3/balance" in line:
                    break
            yield "".join(lines)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
            assert (process.returncode, err) == (0, "")
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    @staticmethod
    def block(text: str, name: str) -> str:
        """The indented lines under a heading."""
        _, _, rest = text.partition(f"\n{name}:\n")
        lines = itertools.takewhile(lambda line: line.startswith("    "), rest.splitlines())
        return "\n".join(line[4:] for line in lines)

    @pytest.mark.parametrize("more", [(), ("--start", "2025-05-05", "--speed", "2")])
    def test_the_printed_lines_work(self, more: tuple[str, ...]) -> None:
        environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        with self.printed(*more) as text:
            assert "5000 USDT, BTCUSDT ETHUSDT XRPUSDT ADAUSDT" in text
            for name, program in (
                ("python-binance", [sys.executable, "-c"]),
                ("curl", ["bash", "-ec"]),
            ):
                if name == "curl" and not (shutil.which("curl") and shutil.which("openssl")):
                    continue
                done = subprocess.run(
                    [*program, self.block(text, name)],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                    env=environment,
                )
                assert done.returncode == 0, done.stderr
                assert "5000.00000000" in done.stdout, name

    def test_what_cannot_be_used_is_named(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "local.cli", "exchange", "--start", "yesterday"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert "yesterday" in done.stderr
        assert "Traceback" not in done.stderr
