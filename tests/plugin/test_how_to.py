"""The page on adding a task is true: its commands run and print what it shows, its code does what it is said to do."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from align_cli import plugins
from tests.cli.conftest import Done
from tests.plugin.conftest import ROOT, SIMPO, Align, install

PAGE = ROOT / "docs" / "how-to" / "add-a-task.md"
_ERROR = "ZeroDivisionError"  # in the block that has a test of its own
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """(language, text) of every code block."""
    found = FENCE.findall(PAGE.read_text(encoding="utf-8"))

    assert len(found) >= 18
    return found


def test_the_names_that_may_be_imported_are_those_of_the_module():
    pages = (PAGE, PAGE.with_name("add-a-benchmark.md"))
    tables = [page.read_text(encoding="utf-8").partition("| --- | --- |\n")[2].partition("\n\n")[0] for page in pages]

    rows = [row for table in tables for row in table.splitlines()]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]

    assert sorted(listed) == sorted(plugins.__all__)
    assert all(hasattr(plugins, name) for name in listed)


@pytest.mark.slow
def test_what_the_page_shows_is_what_happens(
    run: Align, tiny: Path, place: Path, tmp_path_factory: pytest.TempPathFactory
):
    site = tmp_path_factory.mktemp("site")
    package = place / "align-simpo"
    said, compared, is_changed = "", 0, False
    for language, text in blocks():
        if language == "bash":
            if is_changed:  # what -e does by itself
                install(package, site)
                is_changed = False
            ran = [_run(line, run, site, tiny, place) for line in text.splitlines()]
            said = "".join(done.err + done.out for done in ran)
            continue
        if language == "text" and said and _ERROR not in text:
            _assert_shown(text, said)
            compared += 1
        elif language == "python":
            _edit(package, text)
            is_changed = True
            compared += 1
        elif language == "yaml":
            recipe = package / "simpo.yaml"
            recipe.write_text(re.sub(r"# What only this task has\nsimpo_scale: .*\n", text, recipe.read_text()))
            assert text in recipe.read_text()
            compared += 1
        elif language == "toml":
            assert text in (package / "pyproject.toml").read_text()
            compared += 1
        said = ""

    assert compared >= 15


def test_an_error_looks_as_the_page_shows(run: Align, place: Path, tmp_path_factory: pytest.TempPathFactory):
    site = tmp_path_factory.mktemp("site")
    package = Path(shutil.copytree(SIMPO, place / "align-simpo"))
    task = package / "align_simpo" / "task.py"
    task.write_text(task.read_text().replace("    if gamma < 0:\n", "    if 1 / 0:\n"))
    install(package, site)
    info = next(site.glob("align_simpo-*.dist-info"))  # what pip notes of a package that it installs with -e
    (info / "direct_url.json").write_text(json.dumps({"url": package.as_uri(), "dir_info": {"editable": True}}))
    shown = next(text for _, text in blocks() if _ERROR in text)

    done = run(site, "train", "simpo", "simpo.yaml", "--dry-run", "beta=2")

    assert done.code == 5
    _assert_shown(" ".join(shown.split()), " ".join(done.err.split()))  # wrapped as the path's length wants it


def _run(line: str, run: Align, site: Path, tiny: Path, place: Path) -> Done:
    """A command of the page; `pip install -e` installs into `site`, and training takes the smallest of models."""
    words = shlex.split(line)
    if words[:3] == ["pip", "install", "-e"]:
        install(place / words[3].partition("[")[0], site)
        return Done(0, "", "")
    if words[0] == "pytest":
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words[1:]]
        env = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
        done = subprocess.run(argv, cwd=place, capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stdout
        return Done(0, done.stdout, done.stderr)
    assert words[0] == "align", line
    model = [f"model_name_or_path={tiny}"] if words[1] == "train" else []
    ran = run(site, *words[1:], *model)
    assert ran.code == (2 if "simpo_gama" in line else 0), ran.err
    return ran


def _edit(package: Path, text: str) -> None:
    """Do to the package what the page's reader does: each definition in place of the one of its name, new ones last.

    `TASK` stays at the end, as it names the others; of imports, one of the same module is replaced.
    """
    for part in ast.parse(text).body:
        name = _name(part)
        file = package / ("tests/test_simpo.py" if name.startswith("test_") else "align_simpo/task.py")
        lines = file.read_text().splitlines()
        nodes = {_name(node): node for node in ast.parse("\n".join(lines)).body}
        new = text.splitlines()[_first(part) : part.end_lineno]
        if old := nodes.get(name):
            lines[_first(old) : old.end_lineno] = new
        elif isinstance(part, ast.ImportFrom):
            lines[_first(nodes["dataclasses"]) : _first(nodes["dataclasses"])] = new
        else:
            at = _first(nodes["TASK"])
            lines[at:at] = [*new, "", ""]
        file.write_text("\n".join(lines) + "\n")


def _name(node: ast.stmt) -> str:
    """What a statement at the top of a module gives a name to, or imports from."""
    if isinstance(node, ast.ImportFrom):
        return node.module or ""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return getattr(node, "name", "")


def _first(node: ast.stmt) -> int:
    """The index of its first line, decorators included."""
    return min(one.lineno for one in (node, *getattr(node, "decorator_list", ()))) - 1


def _assert_shown(shown: str, said: str) -> None:
    """Every line of the page is in the output, in order; `…` stands for anything, numbers for any number."""
    lines = iter(map(_plain, said.splitlines()))
    for wanted in map(_plain, shown.splitlines()):
        pattern = re.compile(".*".join(map(re.escape, wanted.split("…"))))
        assert any(pattern.fullmatch(line) for line in lines), f"{wanted!r} is not in\n{said}"


def _plain(line: str) -> str:
    return re.sub(r"\d[\d,.]*", "0", " ".join(line.split()))
