"""Times as text, against the standard library."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from local.clock import VirtualClock, VirtualLoop
from local.host.schedule import iso_offset
from shared.clock import day, iso

# 1970 to 2200
TIMES = st.integers(min_value=0, max_value=7_258_118_400_000)


@given(TIMES)
@example(0)
@example(1_709_164_799_999)  # the last millisecond before a leap day
@example(1_709_164_800_000)
def test_times_are_written_as_the_standard_library_has_them(ms: int) -> None:
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    assert iso(ms) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert day(ms) == moment.date().isoformat()
    assert iso_offset(ms) == moment.isoformat()


def test_a_virtual_loop_hears_other_threads_and_real_sockets() -> None:
    """It seldom looks at its own wake-up pipe; nothing may get lost by that."""
    clock = VirtualClock(1_746_316_800_000)
    loop = VirtualLoop(clock)
    heard: list[str] = []

    async def ticks() -> None:
        # Something is always due, so the loop never comes to rest and listens for that reason.
        for _ in range(300_000):
            await asyncio.sleep(1)
        raise AssertionError("nothing was heard in 300,000 turns")

    async def main() -> None:
        ticking = asyncio.ensure_future(ticks())
        talking = asyncio.ensure_future(talk())
        done, _ = await asyncio.wait({ticking, talking}, return_when=asyncio.FIRST_COMPLETED)
        if talking not in done:
            talking.cancel()
            await ticking
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        await talking

    async def talk() -> None:
        woken = asyncio.Event()

        def call() -> None:
            loop.call_soon_threadsafe(woken.set)

        thread = threading.Thread(target=call)
        thread.start()
        await woken.wait()
        thread.join()
        heard.append("thread")

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        heard.append((await reader.readexactly(4)).decode())
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert heard == ["thread", "ping"]
