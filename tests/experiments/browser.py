"""A headless Chromium, told what to do over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


def find_browser() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page. `complaints` are console errors and exceptions, `requests` all addresses asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._loop, self._socket, self._count = loop, socket, 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._reader = loop.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
                continue
            method, params = told["method"], told["params"]
            if method == "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(params["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    async def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        answer = self._answers[self._count] = self._loop.create_future()
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        told = await asyncio.wait_for(answer, 60)
        assert "error" not in told, told
        return told["result"]

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        return self._loop.run_until_complete(self._send(method, **params))

    def size(self, width: int, height: int = 900) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name: str) -> None:
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, page: Path) -> None:
        self.send("Page.navigate", url=page.resolve().as_uri())
        self.wait("document.documentElement?.dataset.ready")

    def ask(self, expression: str) -> Any:
        told = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.ask(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never came true: {condition}"
            self._loop.run_until_complete(asyncio.sleep(0.05))

    def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        where = self.ask(
            f"(() => {{ const e = document.querySelector({selector!r}); "
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def key(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = {"Tab": 9, "Enter": 13, " ": 32}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def write(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path, whole: bool = True) -> bytes:
        told = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        if whole:
            area = self.send("Page.getLayoutMetrics")["cssContentSize"]
            told = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                             clip={**area, "scale": 1})  # fmt: skip
        path.write_bytes(base64.b64decode(told["data"]))
        return path.read_bytes()

    def print(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]))


@contextlib.contextmanager
def browse(program: str, folder: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with the block."""
    port_file = folder / "DevToolsActivePort"
    process = subprocess.Popen(
        [program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    try:
        end = time.monotonic() + 30
        while not port_file.is_file() or len(port_file.read_text().split()) < 2:
            assert process.poll() is None, "the browser ended"
            assert time.monotonic() < end, "the browser does not start"
            time.sleep(0.05)
        port = port_file.read_text().split()[0]
        session, tab = loop.run_until_complete(_connect(loop, port))
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.send(f"{domain}.enable")
        try:
            yield tab
        finally:
            loop.run_until_complete(_leave(session, tab))
    finally:
        process.terminate()
        process.wait(20)
        loop.close()


async def _connect(loop: asyncio.AbstractEventLoop, port: str) -> tuple[aiohttp.ClientSession, Tab]:
    session = aiohttp.ClientSession()
    async with session.get(f"http://127.0.0.1:{port}/json") as answer:
        pages = [target for target in await answer.json() if target["type"] == "page"]
    socket = await session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
    return session, Tab(loop, socket)


async def _leave(session: aiohttp.ClientSession, tab: Tab) -> None:
    await tab._socket.close()
    await tab._reader
    await session.close()
