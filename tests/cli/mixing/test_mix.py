from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ROWS, Align, Done
from tests.cli.test_imports import HEAVY, PROBE

NO_TOKENS = ("--task", "sft", "--no-tokens")


def rows(path: Path, content: list[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")


@pytest.fixture
def mix(align: Align, recipe: Path):
    def run(*words: str, **env: str | None) -> Done:
        return align("mix", "r.yaml", *NO_TOKENS, *words, **env)

    return run


def test_the_page_shows_what_was_understood_and_what_became_of_each_source(mix):
    done = mix("mixture.sources.0.fraction=0.5", "mixture.held_out=1")

    assert done.code == 0
    (line,) = [line.split() for line in done.out.splitlines() if line.strip().startswith("rows.jsonl")]
    assert line[:7] == ["rows.jsonl", "messages", "fraction", "0.5", "12", "12", "5"]
    assert "5 to train on, 1 to evaluate on" in done.out


def test_json_is_one_document_with_the_store_s_own_report(mix):
    view = mix("--json").document

    assert view["task"] == "sft"
    assert view["mixture"]["num_train"] == 10
    assert view["mixture"]["sources"][0]["label"] == "rows.jsonl"
    assert view["tokens"] is None
    assert view["why_no_tokens"] == "--no-tokens"
    assert (Path(view["folder"]) / "train.arrow").is_file()


def test_a_second_time_it_comes_from_the_store(mix):
    first, second = mix("mixture.seed=77", "--json").document, mix("mixture.seed=77", "--json").document

    assert (first["from_store"], second["from_store"]) == (False, True)
    assert first["digest"] == second["digest"]


def test_a_model_that_is_not_at_hand_leaves_the_table_and_a_note(align: Align, recipe: Path):
    done = align("mix", "r.yaml", "--task", "sft")

    assert done.code == 0
    assert "rows.jsonl" in done.out
    assert "no tokens were counted: org/model" in done.out


def test_the_task_comes_from_the_path_or_is_the_usual_one(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "r.yaml").write_text(recipe.read_text())

    assert align("mix", "sft/r.yaml", "--no-tokens", "--json").document["task"] == "sft"

    (tmp_path / "plain").mkdir()
    assert align("mix", "r.yaml", "--no-tokens", "--json").document["task"] == "sft"
    missing = align("mix", "gone.yaml")
    assert missing.code == 2
    assert "there is no recipe gone.yaml" in missing.err


def test_pairs_are_mixed_without_a_tokenizer_at_hand(align: Align, recipe: Path, tmp_path: Path):
    pair = {"prompt": "p", "chosen": "good", "rejected": "bad"}
    rows(tmp_path / "pairs.jsonl", [{**pair, "prompt": f"p{n}"} for n in range(4)])

    done = align("mix", "r.yaml", "--task", "dpo", "mixture.sources.0.path=pairs.jsonl", "mixture.held_out=1", "--json")

    assert done.code == 0
    assert done.document["mixture"]["num_train"] == 3
    assert "org/model" in done.document["why_no_tokens"]


def test_missing_data_are_said_before_any_work(mix, tmp_path: Path):
    done = mix("mixture.sources.0.path=gone.jsonl", "--json")

    assert done.code == 3
    assert done.out == ""
    assert "gone.jsonl" in done.error["problems"][0]["message"]


@pytest.mark.parametrize("words", [["--lock", "--locked"], ["--head", "-1"], ["--to", "rows.csv"], ["--engine", "x"]])
def test_wishes_that_cannot_be_met_are_usage_errors(mix, words: list[str]):
    done = mix(*words)

    assert done.code == 2
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_lock_holds_until_a_row_changes(mix, tmp_path: Path):
    missing = mix("--locked")
    written = mix("--lock", "--json").document
    holds = mix("--locked", "--json")
    changed = json.loads(json.dumps(ROWS))
    changed[3]["messages"][1]["content"] = "another answer"
    rows(tmp_path / "rows.jsonl", changed)
    drifted = mix("--locked", "--json")

    assert (missing.code, "--lock" in missing.err) == (2, True)
    assert written["lock"] == {"path": "r.mixture.json", "state": "written"}
    assert (holds.code, holds.document["lock"]["state"]) == (0, "holds")
    assert drifted.code == 3
    assert drifted.out == ""
    assert any("rows.jsonl" in problem["message"] for problem in drifted.error["problems"])


def test_a_parameter_that_drifted_is_named(mix):
    mix("--lock")

    done = mix("--locked", "mixture.seed=43", "--json")

    assert done.code == 3
    assert any("seed: 42 -> 43" in problem["message"] for problem in done.error["problems"])


def test_head_prints_the_first_rows(mix):
    done = mix("--head", "2")

    assert done.out.count("Row 1 of 10") == 1
    assert done.out.count("Row 2 of 10") == 1
    assert "Row 3 of 10" not in done.out
    assert "What is" in done.out


def test_a_row_is_shown_with_its_place_and_numbers_start_at_one(align: Align, recipe: Path):
    view = align("mix", "show", "r.yaml", "--row", "1", *NO_TOKENS, "--json").document
    held_out = align("mix", "show", "r.yaml", "--row", "2", "--split", "eval", *NO_TOKENS)

    assert (view["row"], view["of"]) == (1, 10)
    number = int(view["place"].removeprefix("rows.jsonl, row "))
    assert ROWS[number - 1]["messages"][0]["content"] in "".join(text for text, _ in view["segments"])
    assert "Row 2 of 2 to evaluate on" in held_out.out


@pytest.mark.parametrize("number", ["0", "11", "-1"])
def test_a_row_out_of_range_gets_the_range(align: Align, recipe: Path, number: str):
    done = align("mix", "show", "r.yaml", "--row", number, *NO_TOKENS)

    assert done.code == 2
    assert "1 to 10" in done.err


@pytest.mark.slow
def test_left_out_rows_are_listed_with_the_reason(align: Align, recipe: Path, tmp_path: Path):
    rows(tmp_path / "rows.jsonl", [*ROWS, ROWS[4]])

    clean = ("mixture.clean.exact=true", *NO_TOKENS)
    every = align("mix", "show", "r.yaml", "--dropped", *clean, "--json").document
    one = align("mix", "show", "r.yaml", "exact", "--dropped", *clean)
    other = align("mix", "show", "r.yaml", "near", "duplicate", "--dropped", *clean, "--json").document
    wrong = align("mix", "show", "r.yaml", "--dropped", "colour", *clean)

    assert every["steps"] == {"exact duplicate": 1}
    assert every["rows"][0]["place"] == "rows.jsonl, row 13"
    assert "1 row left out as exact duplicate" in one.out
    assert other["total"] == 0
    assert wrong.code == 2
    assert "near duplicate" in wrong.err


def test_escape_sequences_in_data_never_reach_the_terminal(align: Align, recipe: Path, tmp_path: Path):
    evil = "\x1b[31m\x1b]0;owned\x07\r\x9b1m\u202eabc"
    turns = [{"role": "user", "content": evil}, {"role": "assistant", "content": evil}]
    rows(tmp_path / "rows.jsonl", [{"messages": turns}, {"messages": turns}])

    clean = ("mixture.clean.exact=true", "mixture.held_out=null")
    for words in (("r.yaml", "--head", "1"), ("show", "r.yaml", "--row", "1"), ("show", "r.yaml", "--dropped")):
        done = align("mix", *words, *clean, *NO_TOKENS)

        assert done.code == 0, done.err
        assert "\\x1b[31m" in done.out
        assert not set("\x1b\x07\x9b\u202e") & set(done.out)


@pytest.mark.slow
def test_a_difference_is_said_and_can_be_an_exit_code(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "b.yaml").write_text(recipe.read_text().replace("held_out: 2", "held_out: 3"))

    same = align("mix", "diff", "r.yaml", "r.yaml", "--task", "sft", "--exit-code")
    other = align("mix", "diff", "r.yaml", "b.yaml", "--task", "sft")
    failed = align("mix", "diff", "r.yaml", "b.yaml", "--task", "sft", "--exit-code", "--json")

    assert same.code == 0
    assert "the rows are the same, in the same order" in same.out
    assert other.code == 0
    assert "held_out: 2 -> 3" in other.out
    assert failed.code == 1
    assert failed.document["splits"]["eval"]["only_b"] == 1


@pytest.mark.slow
def test_recipes_digests_locks_and_exports_can_be_compared(align: Align, recipe: Path, mix):
    digest = mix("--lock", "--to", "out/", "--json").document["digest"]

    for name in (digest, digest[:10], "r.mixture.json", "out"):
        done = align("mix", "diff", "r.yaml", name, "--task", "sft", "--exit-code")
        assert (name, done.code, done.err) == (name, 0, "")


@pytest.mark.slow
def test_a_lock_whose_mixture_is_gone_is_compared_by_what_it_says(align: Align, recipe: Path, mix, tmp_path: Path):
    mix("--lock")
    cache = str(tmp_path / "empty cache")

    done = align("mix", "diff", "r.mixture.json", "r.yaml", "--task", "sft", "--json", ALIGN_CACHE=cache)
    again = align("mix", "diff", "r.mixture.json", "r.yaml", "--task", "sft", "--json", ALIGN_CACHE=cache)

    assert done.document["same"] is True
    assert again.document["same"] is True


@pytest.mark.slow
def test_explain_says_what_changed_and_builds_nothing(align: Align, recipe: Path, mix, tmp_path: Path):
    env = {"ALIGN_CACHE": str(tmp_path / "own cache")}
    before = align("mix", "explain", "r.yaml", "--task", "sft", "--json", **env).document
    mix(**env)
    after = align("mix", "explain", "r.yaml", "--task", "sft", **env)
    changed = align("mix", "explain", "r.yaml", "--task", "sft", "mixture.seed=5", **env)

    assert before["mixture"]["hit"] is False
    assert before["mixture"]["nearest"] is None
    assert "in the store" in after.out
    assert "has to be built" in changed.out
    assert "seed: 42 -> 5" in changed.out
    assert len([path for path in (tmp_path / "own cache" / "mixtures").iterdir() if path.name[0] != "."]) == 1


@pytest.mark.slow
def test_an_export_is_named_and_not_overwritten(mix, tmp_path: Path):
    first = mix("--to", "rows.out.jsonl", "mixture.held_out=null")
    second = mix("--to", "rows.out.jsonl", "mixture.held_out=null")
    forced = mix("--to", "rows.out.jsonl", "--force", "mixture.held_out=null", "--json")

    assert "exported" in first.out
    assert len((tmp_path / "rows.out.jsonl").read_text().splitlines()) == 12
    assert second.code == 2
    assert "--force" in second.err
    assert forced.document["export"]["paths"] == ["rows.out.jsonl"]


@pytest.mark.parametrize("width", ["44", "60", "80", "140"])
def test_the_page_fits_the_terminal_it_is_told_of(mix, width: str):
    done = mix("--head", "0", "mixture.clean.exact=true", COLUMNS=width)

    assert max(len(line) for line in done.out.splitlines()) <= int(width)


def test_help_lists_options_and_sub_commands(align: Align):
    done = align("mix", "--help")

    assert all(word in done.out for word in ("--locked", "--to", "  show ", "  diff ", "  explain "))


def test_the_command_alone_prints_its_help(align: Align):
    done = align("mix")

    assert done.code == 2
    assert done.out.startswith("Usage: align mix")


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["mix", "--help"], HEAVY | {"rich", "pydantic"}),
        (["mix", "show", "--help"], HEAVY | {"rich"}),
        (["cache", "--help"], HEAVY | {"rich"}),
        (["cache", "ls"], HEAVY),
        (["mix", "explain", "r.yaml", "mixture.seed=1"], {"torch", "transformers", "trl", "datasets"}),
        (["mix", "r.yaml", "--no-tokens"], {"torch", "transformers", "trl", "datasets"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(recipe: Path, tmp_path: Path, cache: Path, words, heavy):
    sft = tmp_path / "sft" / "r.yaml"
    sft.parent.mkdir()
    sft.write_text(recipe.read_text())
    words = ["sft/r.yaml" if word == "r.yaml" else word for word in words]
    env = {**os.environ, "ALIGN_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}

    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.rpartition("MODULES ")[2].split())
    assert "align_cli" in modules
    assert modules & heavy == set()


@pytest.mark.slow
def test_ctrl_c_while_building_leaves_nothing_half_made(recipe: Path, tmp_path: Path):
    one = json.dumps({"messages": [{"role": "user", "content": "x" * 400}, {"role": "assistant", "content": "y"}]})
    (tmp_path / "rows.jsonl").write_text(f"{one}\n" * 300_000)
    env = {**os.environ, "ALIGN_CACHE": str(tmp_path / "cache")}
    argv = [sys.executable, "-m", "align_cli", "mix", "r.yaml", *NO_TOKENS, "--to", "rows.parquet"]
    started = subprocess.Popen(
        argv, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    store = tmp_path / "cache" / "mixtures"
    while started.poll() is None and not (store.is_dir() and any(path.is_dir() for path in store.iterdir())):
        time.sleep(0.02)

    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)

    assert (started.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert [path for path in store.iterdir() if path.is_dir()] == []
    assert not (tmp_path / "rows.parquet").exists()
