from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli.errors import Problem, RecipeError
from align_cli.recipe.decode import encode
from align_cli.recipe.load import load
from align_cli.recipe.schema import Launch
from tests.recipe.conftest import LEAST, Write, task

Problems = Callable[..., list[Problem]]
One = Callable[..., Problem]


def test_values_know_where_they_came_from(recipe: Write) -> None:
    loaded = recipe("learning_rate: 5e-7\npacking: false\n", "--packing", "mixture.sources.0.rows=9")

    assert loaded.values["learning_rate"] == 5e-7
    assert str(loaded.origins["learning_rate"]) == "recipe.yaml:5"
    assert loaded.values["packing"] is True
    assert loaded.origins["packing"].kind == "command line"
    assert str(loaded.origins["report_to"]) == "profile align"
    assert str(loaded.origins["mixture.sources.0.path"]) == "recipe.yaml:4"
    assert str(loaded.origins["mixture.sources.0.rows"]) == "mixture.sources.0.rows=9"
    assert loaded.overrides == ("packing=true", "mixture.sources.0.rows=9")


def test_every_value_and_leaf_has_an_origin(recipe: Write) -> None:
    loaded = recipe("seed: 3\nlaunch: {strategy: single}\n", "mixture.held_out=0.1", "eval_strategy=epoch")

    assert set(loaded.values) <= set(loaded.origins)
    assert {"mixture.held_out", "launch.strategy"} <= set(loaded.origins)
    assert loaded.launch == Launch(strategy="single")


def test_defaults_are_upstream_s_and_get_prefers_what_was_chosen(recipe: Write) -> None:
    loaded = recipe("max_length: 99\n")

    assert loaded.get("max_length") == 99
    assert loaded.get("weight_decay") == 0.0
    assert "optim" not in loaded.defaults
    assert loaded.get("optim", "?") == "?"


def test_all_problems_are_reported_at_once_in_the_file_s_order(problems: Problems) -> None:
    found = problems("lr: 1\nnum_train_epochs: many\nmixtur: 3\nload_in_4bit: true\nload_in_8bit: true\n", "--foo=1")

    assert [problem.where for problem in found] == [
        "recipe.yaml:5",
        "recipe.yaml:6",
        "recipe.yaml:7",
        "recipe.yaml:9",
        "--foo=1",
    ]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("lr: 1", "learning_rate"),
        ("epochs: 1", "num_train_epochs"),
        ("batch_size: 1", "per_device_train_batch_size"),
        ("max_seq_len: 1", "max_length"),
        ("warmup: 1", "warmup_steps"),
        ("gradient_accumulation: 1", "gradient_accumulation_steps"),
        ("lora_rank: 1", "lora_r"),
        ("learning_rat: 1", "did you mean learning_rate?"),
        ("held_out: 1", "mixture.held_out"),
        ("fraction: 1", "belongs inside mixture:"),
        ("beta: 1", "a key of dpo, orpo and kto, not of sft"),
        ("training: {learning_rate: 1}", "flat"),
        ("zzz: 1", "align task show sft"),
    ],
)
def test_an_unknown_key_says_what_was_probably_meant(problem: One, line: str, hint: str) -> None:
    found = problem(line + "\n")

    assert found.where == "recipe.yaml:5"
    assert hint in found.hint


def test_a_suggestion_has_a_cut_off(problem: One) -> None:
    assert "did you mean" not in problem("quantum_flux: 1\n").hint


def test_a_flat_key_inside_a_block_is_sent_back_to_the_margin(here: Path) -> None:
    text = "model_name_or_path: m\nmixture:\n  learning_rate: 1\n  sources: [a]\n"
    (here / "r.yaml").write_text(text)

    with pytest.raises(RecipeError) as caught:
        load(["r.yaml"], task())

    assert "does not belong in mixture" in caught.value.problems[0].message
    assert caught.value.exit_code == 2


def test_a_wrong_value_silences_the_rules_that_would_need_it(problem: One) -> None:
    found = problem("eval_strategy: stepz\nload_best_model_at_end: true\n")

    assert "did you mean steps?" in found.message


def test_null_leaves_a_key_at_its_default_with_a_note(recipe: Write) -> None:
    loaded = recipe("seed: null\n")

    assert "seed" not in loaded.values
    assert any(note.key == "seed" for note in loaded.notes)


def test_extends_merges_blocks_and_replaces_values(here: Path, recipe: Write) -> None:
    (here / "base.yaml").write_text(
        "seed: 1\nlearning_rate: 1e-3\nmodel_init_kwargs: {a: 1, b: 2}\nmixture: {sources: [x], seed: 7}\n"
    )

    loaded = recipe(
        "extends: base.yaml\nmodel_name_or_path: m\nmodel_init_kwargs: {a: 3}\nmixture: {seed: 8}\n", least=False
    )

    assert loaded.values["learning_rate"] == 1e-3
    assert loaded.origins["learning_rate"].kind == "extends"
    assert str(loaded.origins["learning_rate"]) == "base.yaml:2"
    assert loaded.values["model_init_kwargs"] == {"a": 3}
    assert (loaded.mixture.seed, loaded.mixture.sources[0].path) == (8, "x")


def test_extends_may_chain_and_old_words_meet_new_ones(here: Path, recipe: Write) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "a.yaml").write_text("extends: b.yaml\ntorch_dtype: float16\nmax_seq_length: 5\n")
    (here / "sub" / "b.yaml").write_text("dtype: bfloat16\nseed: 4\n")

    loaded = recipe("extends: sub/a.yaml\nmax_length: 6\n")

    assert (loaded.values["dtype"], loaded.values["max_length"], loaded.values["seed"]) == ("float16", 6, 4)


def test_data_in_another_spelling_replace_the_data_below(here: Path, recipe: Write) -> None:
    (here / "old.yaml").write_text("dataset_mixer: {a/b: 1.0}\ndataset_splits: [train]\n")

    loaded = recipe("extends: old.yaml\n")

    assert [source.path for source in loaded.mixture.sources] == ["some/data"]
    assert loaded.mixture.combine == "native"


def test_a_circle_of_extends_is_named(here: Path, problem: One) -> None:
    (here / "a.yaml").write_text("extends: recipe.yaml\n")

    found = problem("extends: a.yaml\n")

    assert "recipe.yaml -> a.yaml -> recipe.yaml" in found.message
    assert found.where == "a.yaml:1"


def test_a_missing_base_is_named(problem: One) -> None:
    assert "there is no recipe gone.yaml" in problem("extends: gone.yaml\n").message


def test_a_file_s_problems_keep_its_own_name_when_it_is_extended(here: Path, problem: One) -> None:
    (here / "base.yaml").write_text("seed: 1\nlr: 3\n")

    assert problem("extends: base.yaml\n").where == "base.yaml:2"


def test_interpolation(recipe: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS", "/data/runs")

    loaded = recipe(
        "seed: 5\ndata_seed: ${seed}\noutput_dir: ${oc.env:RUNS}/x-${seed}\nenv: {A: '${seed}'}\n", "seed=6"
    )

    assert loaded.values["data_seed"] == 6
    assert loaded.values["output_dir"] == "/data/runs/x-6"
    assert loaded.env == {"A": "6"}


def test_an_interpolation_may_name_a_default_or_an_old_word(recipe: Write) -> None:
    loaded = recipe("max_seq_length: 77\nrun_name: ${max_seq_length}-${max_length}-${lora_r}\n")

    assert loaded.values["run_name"] == "77-77-16"


def test_interpolations_that_fail_are_all_reported_with_their_lines(problems: Problems) -> None:
    found = problems("run_name: ${nowhere}\noutput_dir: ${oc.env:NO_SUCH_VARIABLE_HERE}\nseed: ${bad\n")

    assert [item.where for item in found] == ["recipe.yaml:5", "recipe.yaml:6", "recipe.yaml:7"]


def test_a_template_may_contain_dollar_braces(recipe: Write) -> None:
    assert recipe("chat_template: '{{ x }} ${y}'\n").values["chat_template"] == "{{ x }} ${y}"


def test_env_is_a_mapping_of_texts(recipe: Write, problem: One) -> None:
    assert recipe("env:\n  CUDA_VISIBLE_DEVICES: 0\n  X: no\n  Y: null\n").env == {
        "CUDA_VISIBLE_DEVICES": "0",
        "X": "no",
    }
    assert "env must be a mapping" in problem("env: [A]\n").message


def test_old_words_work_on_the_command_line_and_win_over_the_file(recipe: Write) -> None:
    loaded = recipe("max_length: 5\nwarmup_steps: 3\n", "--max_seq_length", "7", "--warmup_ratio=0.1")

    assert loaded.values["max_length"] == 7
    assert loaded.values["warmup_steps"] == 0.1
    assert loaded.origins["max_length"].kind == "command line"


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("mixture.sources.0.path=x", "x"),
        ("mixture.sources=[y]", "y"),
        ("mixture={sources: [z]}", "z"),
    ],
)
def test_data_can_be_overridden_in_part_or_whole(recipe: Write, word: str, path: str) -> None:
    assert recipe("", word).mixture.sources[0].path == path


def test_a_source_written_as_a_path_alone_can_be_overridden(recipe: Write) -> None:
    text = "model_name_or_path: m\nmixture: a.jsonl\n"

    loaded = recipe(text, "mixture.sources.0.rows=3", least=False)

    assert (loaded.mixture.sources[0].path, loaded.mixture.sources[0].rows) == ("a.jsonl", 3)


def test_a_translated_mixture_can_be_overridden(recipe: Write) -> None:
    text = "model_name_or_path: m\ndataset_mixer: {a/b: 1.0}\ndataset_splits: [train]\n"

    loaded = recipe(text, "mixture.sources.0.fraction=0.5", "mixture.seed=3", least=False)

    assert (loaded.mixture.sources[0].fraction, loaded.mixture.seed, loaded.mixture.combine) == (
        0.5,
        3,
        "handbook-2023",
    )
    assert loaded.origins["mixture.sources.0.fraction"].kind == "command line"


def test_part_of_an_upstream_mapping_can_be_overridden(recipe: Write) -> None:
    loaded = recipe(
        "gradient_checkpointing_kwargs: {use_reentrant: true}\n", "gradient_checkpointing_kwargs.use_reentrant=false"
    )

    assert loaded.values["gradient_checkpointing_kwargs"] == {"use_reentrant": False}


@pytest.mark.parametrize("word", ["mixture.sources.7.rows=1", "seed.x=1", "nonsense.x=1", "extends=a"])
def test_an_override_that_fits_nowhere_is_a_problem(problem: One, word: str) -> None:
    assert word in problem("seed: 1\n", word).where


def test_a_relative_source_is_looked_for_here_and_then_beside_its_recipe(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / "recipes"
    folder.mkdir()
    (folder / "beside.jsonl").write_text("{}")
    (folder / "both.jsonl").write_text("{}")
    (here / "both.jsonl").write_text("{}")
    (folder / "r.yaml").write_text(
        "model_name_or_path: m\nmixture: {sources: [beside.jsonl, both.jsonl, org/name, beside*.jsonl, 'pkg://p/f']}\n"
    )

    loaded = load(["recipes/r.yaml", "chat_template=beside.jsonl"], task())

    assert [source.path for source in loaded.mixture.sources] == [
        str(folder / "beside.jsonl"),
        "both.jsonl",
        "org/name",
        str(folder / "beside*.jsonl"),
        "pkg://p/f",
    ]
    assert loaded.values["chat_template"] == "beside.jsonl"  # typed here, not in the file


def test_a_path_in_a_base_recipe_is_looked_for_beside_the_base(here: Path, recipe: Write) -> None:
    (here / "base").mkdir()
    (here / "base" / "d.jsonl").write_text("{}")
    (here / "base" / "b.yaml").write_text("mixture: {sources: [d.jsonl]}\n")

    loaded = recipe("extends: base/b.yaml\nmodel_name_or_path: m\n", least=False)

    assert loaded.mixture.sources[0].path == str(here / "base" / "d.jsonl")


def test_a_recipe_may_come_from_the_command_line_alone(here: Path) -> None:
    loaded = load(["model_name_or_path=m", "mixture.sources.0.path=d.jsonl"], task())

    assert (loaded.path, loaded.text, loaded.values["output_dir"]) == ("", "", "runs/sft")


def test_tokens_never_leave_the_environment_mapping(recipe: Write) -> None:
    token = "hf_" + "a1B2" * 6
    text = f"hub_token: {token}\nenv:\n  WANDB_API_KEY: k33p-me-out\n"

    loaded = recipe(text, f"--push_to_hub_token={token}")

    assert loaded.env == {"HF_TOKEN": token, "WANDB_API_KEY": "k33p-me-out"}
    written = repr({**encode(loaded), "values": loaded.values})
    assert token not in written
    assert "k33p-me-out" not in written
    assert "hub_token" not in loaded.values


def test_tokens_are_not_in_errors_either(problems: Problems) -> None:
    token = "hf_" + "a1B2" * 6

    found = problems(f"hub_tokn: {token}\n", f"--lr={token}")

    assert token not in str(found)


def test_words_too_long_for_a_file_name_are_only_words(recipe: Write) -> None:
    template = "{{ messages }}" + "x" * 5000
    long_name = "y" * 400

    loaded = recipe(f"output_dir: {long_name}\n", f"chat_template={template}", f"resume_from_checkpoint={True}")

    assert loaded.values["chat_template"] == template
    with pytest.raises(RecipeError):
        load([long_name], task())
    with pytest.raises(RecipeError):
        load(["a\0b"], task())


def test_a_variable_can_be_set_on_the_command_line(recipe: Write) -> None:
    assert recipe("", "env.CUDA_VISIBLE_DEVICES=0", "--env.A", "b").env == {"CUDA_VISIBLE_DEVICES": "0", "A": "b"}


def test_a_task_s_own_check_is_asked(here: Path) -> None:
    from dataclasses import replace

    (here / "r.yaml").write_text(LEAST)
    picky = replace(task(), check=lambda recipe: [Problem(f"no {recipe.values['model_name_or_path']}")])

    with pytest.raises(RecipeError) as caught:
        load(["r.yaml"], picky)

    assert caught.value.problems[0].message == "no some/model"


def test_loading_imports_nothing_heavy(here: Path) -> None:
    (here / "r.yaml").write_text(LEAST)
    code = (
        "import sys; from align_cli.recipe.load import load; from tests.recipe.conftest import task;"
        "load(['r.yaml'], task());"
        "print([m for m in ('torch','transformers','trl','datasets','omegaconf','rich','typer') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]

    out = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        capture_output=True, text=True, check=True, cwd=here,
    )  # fmt: skip

    assert out.stdout.strip() == "[]"


def test_a_broken_extends_is_the_only_news(tmp_path: Path):
    (tmp_path / "r.yaml").write_text("extends: r.yaml\n")

    with pytest.raises(RecipeError) as raised:
        load([str(tmp_path / "r.yaml")], task())

    assert [problem.message for problem in raised.value.problems] == ["extends goes in a circle: r.yaml -> r.yaml"]
