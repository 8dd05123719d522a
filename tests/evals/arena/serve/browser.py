"""A real browser, steered over a pipe in Chromium's own protocol: no driver, no port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENCE_S = 20.0


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def eval(self, script: str) -> Any:
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"])[:500])
        return done["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until a script gives something true; what it gives."""
        latest = time.monotonic() + _PATIENCE_S
        while time.monotonic() < latest:
            try:
                if found := self.eval(
                    f"(() => {{ const found = ({script}); return found instanceof Node ? true : found; }})()"
                ):
                    return found
            except RuntimeError:  # the page is just being changed for another
                pass
            time.sleep(0.03)
        raise AssertionError(f"never came true: {script}; the page says: {self.eval('document.body.innerText')}")

    def click(self, selector: str) -> None:
        """With the mouse, in its middle."""
        place = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.eval(f"(() => {{ const r = {place}; return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        code = 13 if key == "Enter" else 27 if key == "Escape" else ord(key.upper())
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def look(self, *, width: int = 1280, height: int = 800, is_dark: bool = False) -> None:
        """A screen of that size, of that scheme."""
        is_phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def shoot(self, place: Path) -> None:
        place.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


class Browser:
    """The process; every call waits for its answer, events are kept."""

    def __init__(self, send: Any, receive: Any) -> None:
        self._send, self._receive, self._number = send, receive, 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []

    def page(self) -> Page:
        """A tab with cookies of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return dict(found["result"])
            if "method" in found:
                self.events.append(found)

    def complaints(self) -> list[str]:
        """What pages wrote into the console, and what went wrong in them."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"])[:400] for event in self.events if event["method"] in kinds]

    def addresses(self) -> set[str]:
        """Whatever was asked for."""
        sent = (event for event in self.events if event["method"] == "Network.requestWillBeSent")
        return {event["params"]["request"]["url"] for event in sent}

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not (piece := os.read(self._receive, 1 << 20)):
                raise RuntimeError("the browser is gone")
            self._rest += piece
        whole, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(whole))


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Chromium, without a window. Skips where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if program is None:
        pytest.skip("needs chromium")
    to_browser, of_browser = os.pipe(), os.pipe()
    flags = [
        "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'profile'}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    # It reads descriptor 3 and writes descriptor 4; the shell puts them there.
    script = f'exec "$@" 3<&{to_browser[0]} 4>&{of_browser[1]}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", program, *flags],
        pass_fds=(to_browser[0], of_browser[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_browser[0])
    os.close(of_browser[1])
    try:
        yield Browser(to_browser[1], of_browser[0])
    finally:
        process.kill()
        process.wait()
        os.close(to_browser[1])
        os.close(of_browser[0])
