"""A headless Chromium, driven through its DevTools protocol with the HTTP client that is there anyway.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager, suppress

import aiohttp

LIMIT_SECONDS = 60


def chromium():
    """The program, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("AITK_CHROMIUM") or next((found for each in names if (found := shutil.which(each))), None)


class NavigatedError(Exception):
    """The page that was asked is gone."""


class Page:
    def __init__(self, socket):
        self._socket = socket
        self._number = 0
        self._answers = {}
        self.requested = []
        self.problems = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self):
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Network.requestWillBeSent":
                self.requested.append(said["params"]["request"]["url"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(said["params"]["exceptionDetails"]["text"])

    async def send(self, method, **given):
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": given})
        said = await asyncio.wait_for(answer, LIMIT_SECONDS)
        if "navigated" in (problem := str(said.get("error", ""))) or "context" in problem:
            raise NavigatedError(problem)
        assert not problem, problem
        return said["result"]

    async def run(self, script):
        """The value of a JavaScript expression."""
        found = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, condition):
        """The value of a JavaScript expression, once it is true; the page itself tells of its changes."""
        script = f"""new Promise((done, failed) => {{
          const look = () => {{ let value = null; try {{ value = ({condition}); }} catch {{}} if (value) {{
            observer.disconnect(); clearInterval(again); done(value instanceof Node ? true : value); }} }};
          const observer = new MutationObserver(look), again = setInterval(look, 100);
          setTimeout(() => failed(new Error("not in time: " + {json.dumps(condition)} + " in " +
            document.body.innerText)), {LIMIT_SECONDS * 900});
          observer.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
          look();
        }})"""
        while True:
            try:
                return await self.run(script)
            except NavigatedError:
                continue

    async def write(self, text):
        await self.send("Input.insertText", text=text)

    async def press(self, key, code, **more):
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    async def enter(self):
        await self.press("Enter", 13, text="\r")

    async def resize(self, width, height):
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def picture(self, file):
        taken = await self.send("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(taken["data"]))

    async def go(self, url):
        await self.send("Page.navigate", url=url)

    async def close(self):
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading


@asynccontextmanager
async def open_page(program, folder):
    """A page of a new Chromium."""
    process = subprocess.Popen(  # noqa: ASYNC220 - a moment
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS), aiohttp.ClientSession() as session:
            port_file = folder / "DevToolsActivePort"
            while not port_file.exists() or "\n" not in port_file.read_text():
                await asyncio.to_thread(process_is_running, process)
            port = port_file.read_text().split()[0]
            async with session.get(f"http://127.0.0.1:{port}/json") as listing:
                target = next(each for each in await listing.json() if each["type"] == "page")
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket,
        ):
            page = Page(socket)
            for domain in ("Page", "Network", "Runtime"):
                await page.send(f"{domain}.enable")
            await page.resize(1100, 800)
            try:
                yield page
            finally:
                await page.close()
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


def process_is_running(process):
    """Returns after a moment; raises when it has ended."""
    with suppress(subprocess.TimeoutExpired):
        raise AssertionError(f"Chromium ended with {process.wait(0.1)}")
