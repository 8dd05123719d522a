from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Align


def test_tasks_are_listed(align: Align):
    rows = {row["name"]: row for row in align("task", "ls", "--json").document}

    assert {"sft", "dpo", "orpo", "cpt"} <= set(rows)


def test_one_key_is_shown_with_choices_and_owner(align: Align):
    done = align("task", "show", "sft", "lr_scheduler_type")

    assert done.code == 0
    assert "cosine" in done.out
    assert "transformers.training_args.TrainingArguments" in done.out


def test_a_key_may_be_spelt_as_a_flag(align: Align):
    document = align("task", "show", "sft", "--json", "--", "--learning-rate").document

    assert document["name"] == "learning_rate"
    assert document["default"] == 2e-05


def test_a_misspelt_key_is_suggested(align: Align):
    done = align("task", "show", "sft", "learning_rat")

    assert done.code == 2
    assert "did you mean learning_rate?" in done.err


def test_a_broken_plugin_is_listed_beside_a_good_one_and_hurts_only_its_own_name(align: Align, tmp_path: Path):
    site = _plugins(tmp_path)

    rows = {row["name"]: row for row in align("task", "ls", "--json", PYTHONPATH=site).document}
    listed = align("task", "ls", PYTHONPATH=site)
    named = align("task", "show", "broken", PYTHONPATH=site)
    good = align("task", "show", "good", PYTHONPATH=site)

    assert rows["good"]["summary"] == "A good one"
    assert "align-broken" in rows["broken"]["problem"]
    assert rows["odd"]["problem"] == "registers a int, not a Task"
    assert listed.code == 0
    assert named.code == 5
    assert "boom" in named.err
    assert good.code == 0


def _plugins(folder: Path) -> str:
    """Two installed distributions: one good, one broken."""
    import align_cli

    root = str(Path(align_cli.__path__[0]).parent)
    task = "Task(name='good', summary='A good one', rows=('text',), configs=('align_cli.recipe.schema:AlignFields',), run=print)"
    (folder / "good_plugin.py").write_text(
        f"from align_cli.tasks.task import Task\nTASK = {task}\nODD = 1\n", encoding="utf-8"
    )
    (folder / "broken_plugin.py").write_text("raise RuntimeError('boom')\n", encoding="utf-8")
    for name, points in {
        "align_good": "good = good_plugin:TASK\nodd = good_plugin:ODD\n",
        "align_broken": "broken = broken_plugin:TASK\n",
    }.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[align.tasks]\n{points}")
    return f"{folder}:{root}"
