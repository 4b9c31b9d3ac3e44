"""Drives a real Chromium over its own debugging protocol: no driver has to be installed."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
#: Real seconds after which something is broken, however slow the machine.
PATIENCE = 60
#: Looks in a row that find an element in the same place before it is clicked on.
STEADY = 5

T = TypeVar("T")


class Browser:
    """One headless Chromium.

    Parameters
    ----------
    folder : Path
        Its profile is kept here.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--force-color-profile=srgb",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder / 'profile'}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port, path = wait_for(lambda: _address(folder / "profile" / "DevToolsActivePort"))
            self._socket = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None)
        except BaseException:
            self._kill()
            raise
        self._count = 0
        self.events: list[dict[str, Any]] = []

    def command(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        self._count += 1
        sent: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if session:
            sent["sessionId"] = session
        self._socket.send(json.dumps(sent))
        while True:
            got = json.loads(self._socket.recv(timeout=PATIENCE))
            if got.get("id") != self._count:
                self.events.append(got)
                continue
            if "error" in got:
                raise AssertionError(f"{method}: {got['error']['message']}")
            result: dict[str, Any] = got["result"]
            return result

    def page(self) -> Page:
        """A new tab that shares nothing with the others."""
        context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return Page(self, attached["sessionId"], target["targetId"])

    def close(self) -> None:
        self._socket.close()
        self._kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")
        self.command("Emulation.setScrollbarsHidden", hidden=True)
        self.size(1280, 1000)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.command(method, self._session, **parameters)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make it as wide as a screen; narrow ones are phones."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 700,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        got = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in got:
            raise AssertionError(f"{expression}: {got['exceptionDetails']}")
        return got["result"].get("value")

    def text(self, selector: str) -> str:
        """The visible text of an element; empty where there is none, or it is hidden."""
        name = json.dumps(selector)
        return str(self.ask(f"document.querySelector({name})?.innerText ?? ''"))

    def wait(self, condition: str, what: str = "") -> Any:
        """The first true value of an expression."""
        try:
            return wait_for(lambda: self.ask(condition))
        except AssertionError:
            shown = self.ask("document.body?.innerText")
            raise AssertionError(f"{what or condition}; the page says:\n{shown}") from None

    def wait_text(self, selector: str, part: str) -> str:
        """Wait until an element says something; all it says."""
        name, text = json.dumps(selector), json.dumps(part)
        self.wait(f"(document.querySelector({name})?.innerText ?? '').includes({text})")
        return self.text(selector)

    def click(self, selector: str) -> None:
        """A real click of the mouse in the middle of an element, wherever it is shown.

        Once it stays there: what is above it may still be filled, and would move it away.
        """
        name = json.dumps(selector)
        where = (
            f"(() => {{ const e = document.querySelector({name}); "
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        places: list[Any] = [self.ask(where)]

        def steady() -> bool:
            places.append(self.ask(where))
            return len(places) > STEADY and all(p == places[-1] for p in places[-STEADY:])

        wait_for(steady)
        box = places[-1]
        for kind in ("mousePressed", "mouseReleased"):
            self.command(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def write(self, selector: str, text: str) -> None:
        """Write into a field, over what is there."""
        name = json.dumps(selector)
        self.ask(
            f"(() => {{ const e = document.querySelector({name}); e.focus(); e.select(); }})()"
        )
        self.command("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot; of the whole page where ``whole``."""
        got = self.command("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))

    def heard(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every event of this name that the tab has told so far."""
        self.ask("1")
        return [
            e.get("params", {})
            for e in self._browser.events
            if e.get("sessionId") == self._session and e["method"] == method
        ]

    def complaints(self) -> list[str]:
        """What the browser has logged as errors: exceptions, refused scripts, missing files."""
        self.ask("1")
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            what = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(what["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and what["entry"]["level"] == "error":
                found.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        return found

    def close(self) -> None:
        self._browser.command("Target.closeTarget", targetId=self._target)


def wait_for(condition: Callable[[], T]) -> T:
    """The first true value of a condition."""
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        time.sleep(0.05)


def _address(file: Path) -> list[str]:
    """Port and path of the debugging socket, once the browser has written them."""
    try:
        lines = file.read_text().split()
    except OSError:
        return []
    return lines if len(lines) == 2 else []
