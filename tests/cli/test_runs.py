"""`align runs`, as the real command."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.runs import folders


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """`runs/a` finished, `runs/b` interrupted after a DPO's logs, with a checkpoint."""
    folders.finished(tmp_path / "runs" / "a")
    run = folders.prepared(tmp_path / "runs" / "b", task="dpo", lines=folders.preferring(30))
    folders.checkpoint(run, 20)
    return tmp_path


def test_runs_are_listed_in_a_table(two, align):
    done = align("runs", "ls", "--sort", "name")

    assert (done.code, done.err) == (0, "")
    header, a, b, total = done.out.splitlines()
    assert header.split() == ["run", "status", "task", "model", "data", "steps", "loss", "eval", "best", "age", "size"]
    assert a.split()[:4] == ["runs/a", "finished", "sft", "org/base"]
    assert "30/40" in b
    assert total.startswith("2 runs, ")


def test_a_narrow_terminal_gets_lines_that_fit(two, align):
    done = align("runs", "ls", COLUMNS="60")

    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 60
    assert "interrupted, dpo, goes on from checkpoint-20" in done.out


def test_the_list_as_json_is_one_document(two, align):
    done = align("runs", "ls", "--json", "--task", "dpo")

    (run,) = done.document["runs"]
    assert (run["name"], run["status"], run["resumes_from"]) == ("runs/b", "interrupted", "checkpoint-20")
    assert done.document["left_out"] == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ls", "nowhere"], 2, "nowhere: there is no such folder"),
        (["ls", "--status", "finishd"], 2, "did you mean finished?"),
        (["ls", "--sort", "colour"], 2, 'runs cannot be sorted by "colour"'),
        (["ls", "--task", "dop"], 2, "did you mean dpo"),
        (["show", "c"], 2, 'there is no run "c"'),
        (["show"], 2, "missing argument 'RUN'"),
        (["show", "a", "--metric", "loss"], 2, "go with --curves or --plot"),
        (["show", "a", "--curves", "--metric", "los"], 2, "did you mean loss?"),
        (["show", "a", "--curves", "--smooth", "1"], 2, "--smooth 1 is not from 0 to below 1"),
        (["show", "a", "--plot", "x.pdf"], 2, "ends neither in .png nor in .svg"),
        (["diff", "a"], 2, "missing argument 'B'"),
        (["diff", "a", "runs"], 2, "runs is a folder, but not a run"),
        (["sohw", "a"], 2, "sohw"),
    ],
)
def test_a_mistake_is_a_line_and_a_code(two, align, words, code, said):
    done = align("runs", *words)

    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_no_run_at_all_is_said(tmp_path, align):
    done = align("runs", "ls")

    assert (done.code, done.out) == (0, "no run was found in runs/ and the working directory\n")


def test_a_run_is_told_on_a_page(two, align):
    done = align("runs", "show", "a")

    assert (done.code, done.err) == (0, "")
    for said in (
        "runs/a  finished",
        "steps    40 of 40, 1 epoch, 3 sequences each",
        "learning_rate       0.0001  r.yaml:3",
        "trained  10 of 100 parameters (10.00%)",
        "⟦Hello!<|im_end|>⟧",
        "best eval_loss  0.166667 at step 30",
    ):
        assert " ".join(said.split()) in " ".join(done.out.split())


@pytest.mark.parametrize("columns", ["40", "60", "100"])
def test_the_page_fits_a_terminal(two, align, columns):
    done = align("runs", "show", "a", "b", COLUMNS=columns)

    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= int(columns)


def test_several_runs_as_json_are_one_document(two, align):
    assert [run["status"] for run in align("runs", "show", "a", "b", "--json").document["runs"]] == [
        "finished",
        "interrupted",
    ]
    assert align("runs", "show", "a", "--json").document["name"] == "runs/a"


def test_a_failure_is_told_first(two, align):
    folders.failed(two / "runs" / "b", message="memory ran out", hint="lower max_length", traceback="a\nb")

    done = align("runs", "show", "b")

    assert "TrainingError: memory ran out" in done.out
    assert "lower max_length" in done.out
    assert done.out.index("memory ran out") < done.out.index("Recipe")


def test_a_damaged_run_is_shown_with_a_word_about_the_damage(two, align):
    (two / "runs" / "a" / "align" / "manifest.json").write_text("{")

    listed, shown = align("runs", "ls"), align("runs", "show", "a")

    assert (listed.code, shown.code) == (0, 0)
    assert "damaged" in listed.out
    assert "manifest.json: damaged: it is not JSON" in shown.out
    assert "Traceback" not in listed.err + shown.err


def test_text_of_a_run_cannot_act_on_the_terminal(two, align):
    folders.failed(two / "runs" / "b", message="\x1b[2Jgone")

    assert "\x1b" not in align("runs", "show", "b").out


def test_verified_files_are_right(two, align):
    done = align("runs", "show", "a", "--verify")

    assert done.code == 0
    assert "as it was" in done.out


def test_a_run_without_a_manifest_cannot_be_verified(two, align):
    folders.prepared(two / "c")

    done = align("runs", "show", "c", "--verify", "--json")

    assert done.code == 3
    assert done.document["verified"] is None
    assert done.error["problems"][0]["where"] == "c"
    assert "nothing to verify against" in done.error["problems"][0]["message"]


def test_a_changed_file_is_found_and_fails_the_command(two, align):
    (two / "runs" / "a" / "model.safetensors").write_bytes(b"x" * 700)

    done = align("runs", "show", "a", "--verify", "--json")

    assert done.code == 3
    assert {"name": "model.safetensors", "verdict": "changed", "detail": "its content is another one"} in (
        done.document["verified"]
    )
    assert done.error["problems"][0]["where"] == "runs/a/model.safetensors"


def test_curves_in_a_pipe_tell_lines_apart_without_colour(two, align):
    done = align("runs", "show", "b", "--curves", "--metric", "rewards/chosen", "--metric", "rewards/margins")

    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert "rewards/chosen" in done.out
    assert "o eval_rewards/chosen" in done.out


def test_curves_in_ascii_have_nothing_but_ascii_and_fit(two, align):
    done = align("runs", "show", "a", "b", "--curves", COLUMNS="60", PYTHONIOENCODING="ascii", NO_COLOR="1")

    assert (done.code, done.err) == (0, "")
    assert done.out.isascii()
    assert max(map(len, done.out.splitlines())) <= 60
    assert "* runs/a loss" in done.out
    assert "+ runs/b loss" in done.out


def test_a_colour_terminal_gets_lines_of_dots_in_colour(two, align):
    done = align("runs", "show", "b", "--curves", "--metric", "rewards/margins", FORCE_COLOR="1", COLUMNS="80")

    assert done.code == 0
    assert "\x1b[36m" in done.out
    assert any("\u2801" <= sign <= "\u28ff" for sign in done.out)


def test_a_very_long_run_is_thinned_to_what_can_be_seen(tmp_path, align):
    lines = [{"step": step, "loss": 1.0 + (step % 2) + 10.0 * (step == 30_000)} for step in range(1, 60_001)]
    folders.prepared(tmp_path / "long", lines=lines)

    done = align("runs", "show", "long", "--curves", COLUMNS="60")

    assert done.code == 0
    top = done.out.splitlines()[2:5]
    assert any(any("\u2801" <= sign <= "\u28ff" for sign in line) for line in top), "the single high point is lost"
    assert "⠤⠤ loss 1" in done.out


def test_curves_as_json_are_their_points(two, align):
    done = align("runs", "show", "b", "--curves", "--metric", "rewards/accuracies", "--json")

    (picture,) = done.document["pictures"]
    assert picture["curves"][0]["points"][0] == [1, pytest.approx(0.5 + 1 / 30)]


@pytest.mark.slow
def test_a_picture_is_really_a_png(two, align):
    from PIL import Image

    done = align("runs", "show", "a", "b", "--plot", "out/x.png", "--log", "--smooth", "0.5")

    assert done.code == 0, done.err
    with Image.open(two / "out" / "x.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(maxcolors=1 << 24)) > 10


@pytest.mark.slow
def test_a_picture_is_really_an_svg_with_its_names_as_text(two, align):
    done = align("runs", "show", "b", "--plot", "x.svg", "--json")

    assert done.code == 0, done.err
    assert (done.document["file"], done.document["replaced"]) == ("x.svg", False)
    assert "x.svg, in place of the picture" in align("runs", "show", "b", "--plot", "x.svg").out
    tree = ElementTree.parse(two / "x.svg")
    words = {"".join(node.itertext()).strip() for node in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert {"rewards/chosen", "eval_rewards/rejected", "rewards/margins", "step"} <= words


def test_without_matplotlib_the_way_to_get_it_is_named(two, align):
    blocked = two / "blocked"
    blocked.mkdir()
    (blocked / "matplotlib.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join(filter(None, [str(blocked), os.environ.get("PYTHONPATH", str(Path(__file__).parents[2]))]))
    done = align("runs", "show", "a", "--plot", "x.png", PYTHONPATH=path)

    assert done.code == 2
    assert "needs the package matplotlib" in done.err
    assert not (two / "x.png").exists()


def test_two_runs_are_compared(two, align):
    done = align("runs", "diff", "a", "b")

    assert (done.code, done.err) == (0, "")
    assert "A  runs/a  finished, sft" in done.out
    assert "B  runs/b  interrupted, dpo" in done.out
    assert not re.search(r"[0-9a-f]{13}", done.out), "whole digests"


def test_a_comparison_fits_a_narrow_terminal_and_is_json(two, align):
    narrow, document = align("runs", "diff", "a", "b", COLUMNS="60"), align("runs", "diff", "a", "b", "--json").document

    assert max(map(len, narrow.out.splitlines())) <= 60
    assert document["same"] is False
    assert json.dumps(document["results"])


def test_the_secret_of_an_environment_is_shown_nowhere(two, align):
    run = folders.failed(two / "runs" / "b", message="could not log in with sesame-open-now")
    words = ("runs", "show", str(run))

    for done in (align(*words, MY_API_KEY="sesame-open-now"), align(*words, "--json", MY_API_KEY="sesame-open-now")):
        assert done.code == 0
        assert "sesame" not in done.out + done.err
