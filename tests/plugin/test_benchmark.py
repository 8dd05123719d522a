"""The page on adding a benchmark shows the code of one that works, and everything it imports may be imported."""

from __future__ import annotations

import re

from align_cli import plugins
from tests.plugin.conftest import ROOT

PAGE = ROOT / "docs" / "how-to" / "add-a-benchmark.md"
PACKAGE = ROOT / "tests" / "plugin" / "align-brief"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_code_shown_is_that_of_the_package():
    code = (PACKAGE / "align_brief" / "__init__.py").read_text(encoding="utf-8")
    about = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
    shown = FENCE.findall(PAGE.read_text(encoding="utf-8"))

    python = [text for language, text in shown if language == "python"]
    assert len(python) == 5
    assert [text for text in python if text not in code] == []
    assert [text for language, text in shown if language == "toml" and text not in about] == []


def test_the_files_shown_are_those_of_the_package():
    listed = re.findall(r"^align-brief/(\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(listed) == ["align_brief/__init__.py", "align_brief/questions.jsonl", "pyproject.toml"]
    assert all((PACKAGE / name).is_file() for name in listed)


def test_a_benchmark_imports_only_what_may_be_imported():
    code = (PACKAGE / "align_brief" / "__init__.py").read_text(encoding="utf-8")
    found = re.findall(r"^from (align_cli\S*) import (.+)$", code, re.MULTILINE)

    assert [module for module, _ in found] == ["align_cli.plugins"]
    assert set(found[0][1].split(", ")) <= set(plugins.__all__)
