"""The arena under load: fifty raters at once on one server, and how soon its page can be used.

`ARENA_SECONDS` is how long they vote: 20 unless set; the bar is for 60.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from align_cli.evals.arena import store
from tests.benchmarks.measure import Row
from tests.evals.arena.serve.browser import browsing
from tests.evals.arena.serve.process import files, serving

_RATERS = 50
_PAUSE_S = (0.25, 0.75)  # between an answer and the next vote: twice a second each, far faster than a person
_ITEMS = 805
_MODELS = ("first", "second", "third", "fourth")


def rows(scratch: Path) -> list[Row]:
    """Votes that were answered against those on the disk, the time of a vote, the time to the first interaction."""
    folder = scratch / "arena"
    folder.mkdir()
    seconds = float(os.environ.get("ARENA_SECONDS", "20"))
    with serving(folder, *files(folder, _MODELS, _ITEMS)) as served:
        answered, times = asyncio.run(_load(served.root, seconds))
        shown = _first_interaction(folder, served.root)
    kept = [battle.id for battle in store.battles(folder / "evals" / "arena" / store.FILE)]
    lost, doubled = len(set(answered) - set(kept)), len(kept) - len(set(kept))
    times.sort()
    p95 = times[int(len(times) * 0.95)] * 1000
    load = f"{_RATERS} raters voting for {seconds:.0f} s"
    found = [
        Row(f"{load}: lost, doubled", f"{lost}, {doubled} of {len(answered):,}", "-", "-", "0, 0", not lost + doubled),
        Row(f"{load}: p95 of a vote", f"{p95:.0f} ms", "-", "-", "< 100 ms", p95 < 100),
    ]
    if shown is not None:
        found.append(Row("page to first interaction", f"{shown * 1000:.0f} ms", "-", "-", "< 1 s", shown < 1))
    return found


async def _load(root: str, seconds: float) -> tuple[list[str], list[float]]:
    answered: list[str] = []
    times: list[float] = []
    end = time.monotonic() + seconds
    await asyncio.gather(*(_rater(root, f"rater {number}", end, answered, times) for number in range(_RATERS)))
    return answered, times


async def _rater(root: str, name: str, end: float, answered: list[str], times: list[float]) -> None:
    place = urlsplit(root)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    headers = {"host": place.netloc, "content-type": "application/json"}

    async def post(path: str, body: Any) -> tuple[Any, str]:
        content = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        writer.write("\r\n".join([*lines, f"content-length: {len(content)}", "", ""]).encode() + content)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        given = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        received = json.loads(await reader.readexactly(int(given["content-length"])))
        if " 200 " not in head.split("\r\n")[0]:
            raise http.client.HTTPException(f"{head.splitlines()[0]}: {received}")
        cookie = next((line for line in head.split("\r\n") if line.lower().startswith("set-cookie")), "")
        return received, cookie.partition(": ")[2].partition(";")[0]

    found, cookie = await post("/api/enter", {"name": name})
    headers |= {"cookie": cookie, "x-arena": found["header"]}
    found, _ = await post("/api/now", {})
    lot = random.Random(name)
    while time.monotonic() < end:
        await asyncio.sleep(lot.uniform(*_PAUSE_S))
        battle = found["battle"]["id"]
        started = time.perf_counter()
        found, _ = await post(f"/api/battles/{battle}/vote", {"vote": lot.choice(["a", "b", "tie", "both_bad"])})
        times.append(time.perf_counter() - started)
        answered.append(battle)
    writer.close()


def _first_interaction(folder: Path, root: str) -> float | None:
    """Seconds from the address to a battle's vote buttons, for a rater who came before; None without a browser."""
    if not any(map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))):
        return None
    with browsing(folder) as browser:
        page = browser.page()
        page.go(root)
        page.until("document.getElementById('enter') && !document.getElementById('enter').hidden")
        page.click("#name")
        page.type("Ann")
        page.press("Enter")
        page.until("!document.getElementById('desk').hidden")
        page.go("about:blank")
        started = time.perf_counter()
        page.go(root)
        page.until("document.getElementById('desk') && !document.getElementById('desk').hidden")
        return time.perf_counter() - started
