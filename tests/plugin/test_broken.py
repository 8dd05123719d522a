"""A broken plugin ends the command that names it, in one clear message and its exit code, and disturbs no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import Align

#: Module of the package align-NAME, registered as NAME.
TASK = """\
from align_cli.plugins import PAIR_CONFIGS, Problem, Result, Task, problem, train_on_pairs
def run(context): return Result(metrics={{}})
def check(recipe): return ()
{before}
TASK = Task(**{{**dict(name="{name}", summary="A task", rows=("preference",), shape="pairs", configs=PAIR_CONFIGS,
    run=run, check=check), **dict({changes})}})
"""


def write(site: Path, name: str, text: str, *, package: str = "", target: str = "") -> None:
    """What pip leaves behind of a distribution with one module and one entry point."""
    package = package or f"align-{name}"
    module = package.replace("-", "_")
    (site / f"{module}.py").write_text(text)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[align.tasks]\n{name} = {target or f'{module}:TASK'}\n")


def task(name: str, changes: str = "", before: str = "") -> str:
    return TASK.format(name=name, changes=changes, before=before)


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("TASK = (", "SyntaxError: '(' was never closed, in "),
        ("\nTASK = (", "align_odd.py:2"),
        ("raise SystemExit('out')", "SystemExit: out"),
        ("OTHER = 1", "has no attribute 'TASK'"),
        ("TASK = 1", "align_odd:TASK is a int, not a Task"),
        ("from align_cli.plugins import Task\nTASK = Task(name='odd')", "missing 4 required keyword-only arguments"),
        (task("other"), 'it is registered as "odd" and its task is called "other"'),
        (task("odd", "configs=('align_odd:Missing',)"), "align_odd:Missing is not in the installed package align_odd"),
        (task("odd", "configs=('nowhere_here:Fields',)"), "the package nowhere_here is not installed"),
        (task("odd", "configs='align_odd:Fields'"), "configs is 'align_odd:Fields', not a tuple"),
        (task("odd", "configs=('align_odd:F without x',)", "class F: y: int = 1"), "align_odd:F has no field x"),
        (task("odd", "rows=('preferences',)"), "rows is ('preferences',), not a tuple of some of text, messages"),
        (task("odd", "rows=('messages',)"), "rows messages cannot become pairs: these are made of preference"),
        (task("odd", "shape='triples'"), "shape is 'triples', not one of sequences, pairs, judged, scored"),
        (task("odd", "run=None"), "run is a NoneType, not a function"),
    ],
    ids=[
        "import", "syntax", "line", "exit", "attribute", "type", "incomplete", "name", "class", "package", "text",
        "without", "rows", "shape-of-rows", "shape", "run",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_registered_value_is_said(text: str, said: str, run: Align, site: Path, place: Path):
    write(site, "odd", text)

    named = run(site, "train", "odd", "simpo.yaml", "--dry-run", "--json")
    listed = run(site, "task", "ls", "--json")

    assert named.code == 5
    assert named.out == ""
    assert named.error["type"] == "PluginError"
    assert said in named.error["message"]
    assert "align-odd" in named.error["message"]
    rows = {row["name"]: row for row in listed.document}
    assert listed.code == 0
    assert said in rows["odd"]["problem"]
    assert rows["sft"]["problem"] == ""


def test_everything_that_is_wrong_is_said_at_once(run: Align, site: Path):
    write(site, "odd", task("odd", "summary='', rows=(), values=3"))

    done = run(site, "task", "show", "odd")

    assert done.code == 5
    assert "summary is not a text" in done.err
    assert "rows is ()" in done.err
    assert "values is a int, not a function" in done.err


@pytest.mark.parametrize(
    ("changes", "before", "part", "cause"),
    [
        ("check=lambda recipe: 1 / 0", "", "check", "ZeroDivisionError: division by zero"),
        ("check=lambda recipe: None", "", "check", "TypeError: 'NoneType' object is not iterable"),
        ("check=lambda recipe: ['bad']", "", "check", "TypeError: it yielded a str, not a Problem"),
    ],
)
def test_a_function_of_a_plugin_that_fails_is_the_plugins_fault(
    changes: str, before: str, part: str, cause: str, run: Align, site: Path, place: Path
):
    write(site, "odd", task("odd", changes, before))
    recipe = (place / "simpo.yaml").read_text().replace("beta: 2.5\nsimpo_gamma: 1.25\n", "")
    (place / "odd.yaml").write_text(recipe)

    done = run(site, "train", "odd", "odd.yaml", "--dry-run", "--json")
    checked = run(site, "recipe", "check", "odd.yaml", "simpo.yaml", "--json")

    assert done.code == 5
    assert done.error["message"] == f'the plugin "odd" of the package align-odd failed in its {part}: {cause}'
    story = Path(done.error["hint"].rpartition("the traceback is in ")[2]).read_text()
    assert "Traceback" in story
    assert cause in story
    assert checked.code == 2
    assert cause in checked.document[0]["problems"][0]["message"]


def test_show_says_when_the_meanings_of_values_cannot_be_had(run: Align, site: Path):
    write(site, "odd", task("odd", "values=lambda key: [][0]"))

    done = run(site, "task", "show", "odd", "learning_rate")

    assert done.code == 5
    assert "failed in its values: IndexError" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise KeyError('beta')", 5, "failed in its run: KeyError: 'beta'"),
        ("return None", 5, "failed in its run: TypeError: it gave a NoneType, not a Result"),
        ("return train_on_pairs(context, lambda answers, recipe: answers)", 5, "failed in its run: AttributeError"),
        ("import errno; raise OSError(errno.ENOSPC, 'No space left on device')", 1, "the disk is full"),
        ("from align_cli.plugins import TrainingError; raise TrainingError('too cold', hint='wait')", 1, "too cold"),
    ],
    ids=["raises", "none", "loss", "disk", "own words"],
)
def test_a_run_that_fails_leaves_its_traceback_and_no_manifest(
    body: str, code: int, said: str, run: Align, site: Path, place: Path, tiny: Path
):
    write(site, "odd", task("odd", "run=mine", f"def mine(context):\n    {body}"))
    recipe = (place / "simpo.yaml").read_text().replace("beta: 2.5\nsimpo_gamma: 1.25\n", "")
    (place / "odd.yaml").write_text(recipe)

    done = run(site, "train", "odd", "odd.yaml", f"model_name_or_path={tiny}")

    failure = json.loads((place / "out" / "align" / "failure-0.json").read_text())
    assert done.code == code
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (place / "out" / "align" / "manifest.json").exists()
    if code == 5:
        assert ("align_odd.py" if "return None" not in body else "registered.py") in failure["traceback"]


def test_a_name_that_is_ours_stays_ours(run: Align, site: Path):
    write(site, "sft", task("sft"), package="align-greedy")

    listed = [row for row in run(site, "task", "ls", "--json").document if row["name"] == "sft"]
    shown = run(site, "task", "show", "sft")

    assert [(row["from"], row["problem"]) for row in listed] == [
        ("align", ""),
        ("align-greedy", 'the name "sft" is align\'s own, so that of align-greedy is not used'),
    ]
    assert shown.code == 0
    assert shown.out.startswith("sft: Supervised fine-tuning")


def test_a_name_that_two_packages_have_is_nobodys(run: Align, site: Path):
    write(site, "twin", task("twin"), package="align-one")
    write(site, "twin", task("twin"), package="align-two")

    done = run(site, "task", "show", "twin")
    listed = [row for row in run(site, "task", "ls", "--json").document if row["name"] == "twin"]

    assert done.code == 5
    assert "registered by align-one and align-two" in done.err
    assert "pip uninstall align-one" in done.err
    assert len(listed) == 2
    assert all(row["problem"] for row in listed)


def test_what_a_plugin_prints_when_it_is_imported_does_not_get_into_the_result(run: Align, site: Path):
    write(site, "loud", "print('hello')\n" + task("loud"))

    done = run(site, "task", "ls", "--json")

    assert {row["name"] for row in done.document} >= {"loud", "sft"}
    assert "hello" in done.err


def test_a_package_whose_entry_points_cannot_be_read_hides_no_other(run: Align, site: Path):
    write(site, "good", task("good"))
    write(site, "torn", task("torn"))
    (site / "align_torn-1.0.dist-info" / "entry_points.txt").write_text("[align.tasks]\nnothing\n")

    rows = {row["name"]: row for row in run(site, "task", "ls", "--json").document}

    assert rows["good"]["problem"] == ""
    assert "its entry_points.txt cannot be read" in rows["align-torn"]["problem"]
    assert run(site, "task", "show", "good").code == 0


def test_commands_that_name_no_plugin_import_none(run: Align, site: Path, place: Path):
    write(site, "odd", "from pathlib import Path\nPath('imported').touch()\nraise RuntimeError\n")
    (place / "sft.yaml").write_text((place / "simpo.yaml").read_text().replace("beta: 2.5\nsimpo_gamma: 1.25\n", ""))

    codes = [
        run(site, *words).code
        for words in (
            ("--help",),
            ("train", "--help"),
            ("task", "show", "sft"),
            ("train", "dpo", "sft.yaml", "--dry-run"),
            ("recipe", "check", "sft.yaml", "--task", "dpo"),
            ("recipe", "ls"),
        )
    ]

    assert codes == [0] * 6
    assert not (place / "imported").exists()


def test_a_plugin_of_one_file_has_keys_of_its_own(run: Align, site: Path):
    fields = "class Fields:\n    warmth: float = 0.5\n    'How warm.'"
    write(site, "odd", task("odd", "configs=('align_odd:Fields', *PAIR_CONFIGS)", fields))

    key = run(site, "task", "show", "odd", "warmth", "--json").document

    assert (key["default"], key["help"]) == (0.5, "How warm.")
