"""The page's scripts, run by node."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

#: Those that need no page.
PURE = ("markdown.js", "view.js", "found.js")


def ran(expression: str, given: Any = None) -> Any:
    """What `expression`, which may name `given`, comes to after the scripts."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    folder = files("align_cli.evals.report") / "page_files"
    scripts = "\n".join((folder / name).read_text(encoding="utf-8") for name in PURE)
    program = f"""
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
const found = new Function("given", {json.dumps(f'"use strict";{scripts}; return ({expression});')})(given);
process.stdout.write(JSON.stringify(found === undefined ? null : found));
"""
    done = subprocess.run(
        [node, "-e", program], input=json.dumps(given), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def trees(texts: list[str]) -> list[Any]:
    """Texts as `markdown.js` reads them."""
    found: list[Any] = ran("given.map(parseMarkdown)", texts)
    return found
