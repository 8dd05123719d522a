"""What an import costs and where it may stand; the layers themselves are import-linter's (`nox -s imports`)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "align_cli"
HEAVY = {"torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "datasets", "bitsandbytes", "vllm"}
LATE = HEAVY | {"numpy", "pyarrow", "pandas", "huggingface_hub", "tokenizers"}
ONLY_IN = {"omegaconf": "recipe/load.py", "rich": "cli/render"}
ROOMS_WITHOUT_A_NAME = {"util", "utils", "helper", "helpers", "common", "misc"}

RECIPE = """\
model_name_or_path: some/model
mixture:
  sources:
    - path: rows.jsonl
output_dir: out
"""


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))

    assert len(found) >= 30, "the walk has lost its way"
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level package names that the nodes import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def imported_at_once(tree: ast.Module) -> Iterator[str]:
    """As `imported`, for what runs when the module is imported: not inside functions, not under TYPE_CHECKING."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)
        waiting.extend(ast.iter_child_nodes(node))


def test_no_module_imports_a_heavy_library_when_it_is_imported() -> None:
    early = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in imported_at_once(tree_of(path))
        if name in LATE
    ]

    assert early == []


@pytest.mark.parametrize(("library", "place"), ONLY_IN.items())
def test_a_library_stays_in_its_one_module(library: str, place: str) -> None:
    users = [path.relative_to(PACKAGE).as_posix() for path in modules() if library in imported(tree_of(path))]

    assert users
    assert [user for user in users if not user.startswith(place)] == []


def test_click_is_never_imported() -> None:
    # typer carries its own; click is not installed with it
    users = [path.name for path in modules() if "click" in imported(tree_of(path))]

    assert users == []


def test_every_room_has_a_name_of_its_own() -> None:
    parts = {part for path in modules() for part in path.relative_to(PACKAGE).with_suffix("").parts}

    assert parts & ROOMS_WITHOUT_A_NAME == set()


def test_no_module_prints() -> None:
    # results go through stdout.reserved() and the renderer; talk goes through `say`
    printing = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(keyword.arg == "file" for keyword in node.keywords)
    ]

    assert printing == []


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        ["train", "sft", "--help"],
        ["train", "sft", "recipe.yaml", "--dry-run"],
        ["train", "sft", "recipe.yaml", "--dry-run", "learning_rat=1"],
        ["recipe", "check", "recipe.yaml"],
        ["recipe", "ls"],
        ["task", "show", "sft"],
    ],
    ids=" ".join,
)
def test_a_command_that_only_looks_loads_no_heavy_library(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    row = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'
    (tmp_path / "rows.jsonl").write_text(row, encoding="utf-8")

    script = (
        "import sys\n"
        "from align_cli.__main__ import main\n"
        f"sys.argv = ['align', *{words!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print('LOADED', sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.stderr.splitlines()[-1] == "LOADED []"
