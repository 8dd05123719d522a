from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError, LaunchError, RecipeError
from align_cli.files import digest_of
from align_cli.models.tokenizer import load
from align_cli.recipe.schema import Mixture, Source
from align_cli.tasks.preparing import flow
from align_cli.tasks.preparing.tokens import prepare as prepare_tokens
from tests.models.tiny import CHATML, tiny_model
from tests.tasks.mixtures import KINDS, prepare, read_tokens, recipe, write_rows


def chat(*turns: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]}


def texts(model: Path, path: Path, *, only_loss: bool = False) -> list[str]:
    """Each sequence decoded; with `only_loss`, its trained part."""
    backend = load(model).backend
    rows = read_tokens(path)
    kept = [
        [i for i, label in zip(row["input_ids"], row["labels"], strict=True) if not only_loss or label != -100]
        for row in rows
    ]
    return [backend.decode(ids, skip_special_tokens=False) for ids in kept]


def test_conversations_are_rendered_and_trained_whole(model: Path, tmp_path: Path) -> None:
    done = prepare([chat("Hi", "Hello")], model, tmp_path)

    text = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
    assert texts(model, done.folder / "train.arrow") == [text]
    assert texts(model, done.folder / "train.arrow", only_loss=True) == [text]
    assert (done.num_train, done.num_eval, done.from_store) == (1, 0, False)
    assert (done.folder / "chat_template.jinja").read_text() == CHATML


def test_only_the_answers_are_trained_on_request(model: Path, tmp_path: Path) -> None:
    done = prepare([chat("Hi", "Hello", "More", "No")], model, tmp_path, assistant_only_loss=True)

    assert texts(model, done.folder / "train.arrow", only_loss=True) == ["Hello<|im_end|>No<|im_end|>"]
    assert done.report["stop_token"] == {"text": "<|im_end|>", "trained": True}
    assert [in_loss for _, in_loss in done.report["sample"]["segments"]] == [False, True, False, True, False]


def test_completions_are_trained_with_their_eos(model: Path, tmp_path: Path) -> None:
    done = prepare([{"prompt": "2+2=", "completion": "4"}], model, tmp_path)

    assert texts(model, done.folder / "train.arrow", only_loss=True) == ["4<|im_end|>"]
    assert done.report["loss"] == "completion"


def test_the_report_counts_what_happened(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "abc", "completion": "d"}, {"prompt": "abcdefgh", "completion": "i"}]

    report = prepare(rows, model, tmp_path, max_length=6).report

    assert report["rows"] == {"train": 1, "eval": 0}
    assert report["tokens"] == {"train": 5, "in_loss": 2, "share_in_loss": 0.4}
    assert report["lengths"] == {"min": 5, "median": 5, "p95": 10, "max": 10}
    assert report["truncated"] == 1
    assert report["dropped"] == {"no trained token left at max_length": 1}
    assert report["mixture"]["sources"][0]["available"] == 2
    assert json.loads(json.dumps(report)) == report


def test_each_source_is_counted_and_together_they_are_the_whole(model: Path, tmp_path: Path) -> None:
    sources = [
        Source(path=str(write_rows(tmp_path / f"{name}.jsonl", [{"prompt": "ab", "completion": text}] * 2)), name=name)
        for name, text in (("short", "c"), ("long", "cdefgh"))
    ]
    evaluation = Source(path=str(write_rows(tmp_path / "e.jsonl", [{"prompt": "a", "completion": "b"}])), name="eval")
    mixture = Mixture(sources=tuple(sources), eval=(evaluation,))

    report = prepare_tokens(recipe(mixture, max_length=6), model, kinds=KINDS).report

    assert report["per_source"] == [
        {"label": "short", "rows": 2, "tokens": 8, "in_loss": 4, "truncated": 0, "dropped": {}},
        {"label": "long", "rows": 2, "tokens": 12, "in_loss": 8, "truncated": 2, "dropped": {}},
        {"label": "eval", "rows": 1, "tokens": 3, "in_loss": 2, "truncated": 0, "dropped": {}},
    ]
    assert report["tokens"]["train"] == 8 + 12
    assert report["truncation"] == {"rows": 2, "tokens": 6, "in_loss": 6}
    assert report["histogram"] == {"edges": [0, 17], "counts": [4]}


def test_a_source_has_todays_name_in_a_stored_report(model: Path, tmp_path: Path) -> None:
    rows = write_rows(
        tmp_path / "rows.jsonl",
        [chat("Hi", "Hello"), {"messages": [{"role": "system", "content": ""}, *chat("a", "b")["messages"]]}],
    )
    moved = write_rows(tmp_path / "moved.jsonl", []).with_name("moved.jsonl")
    prepare_tokens(recipe(Mixture(sources=(Source(path=str(rows), name="old"),))), model, kinds=KINDS)
    rows.replace(moved)

    done = prepare_tokens(recipe(Mixture(sources=(Source(path=str(moved), name="new"),))), model, kinds=KINDS)

    assert done.from_store
    assert done.report["per_source"][0]["label"] == "new"
    assert "moved.jsonl, row 2" in done.report["warnings"][0]


def test_further_keys_of_a_turn_reach_the_template(model: Path, tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    turns = [
        {"role": "user", "content": "Sun?"},
        {"role": "assistant", "content": None, "reasoning_content": "ask", "tool_calls": [call]},
        {"role": "tool", "content": "yes", "name": "weather", "tool_call_id": "7"},
        {"role": "assistant", "content": "Yes"},
    ]
    template = (
        "{% for m in messages %}[{{ m.reasoning_content }}|{{ m.content }}|{{ m.name }}|{{ m.tool_call_id }}"
        "{% for c in m.tool_calls or [] %}|{{ c.function.name }} {{ c.function.arguments.city }}{% endfor %}]"
        "{% endfor %}"
    )

    done = prepare([{"messages": turns}, chat("Hi", "Hello")], model, tmp_path, chat_template=template)

    assert texts(model, done.folder / "train.arrow") == [
        "[|Sun?||][ask||||weather Rome][|yes|weather|7][|Yes||]",
        "[|Hi||][|Hello||]",
    ]
    assert done.report["warnings"] == []


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_the_bytes_are_the_same_however_many_threads_work(
    at_once: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [chat("q" * (i % 50), f"answer {i}") for i in range(3500)]
    one = prepare(rows, model, tmp_path, assistant_only_loss=True)
    before = (one.folder / "train.arrow").read_bytes()
    monkeypatch.setattr(flow, "_AT_ONCE", at_once)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false" if at_once == 1 else "true")
    shutil.rmtree(one.folder)

    again = prepare(rows, model, tmp_path, assistant_only_loss=True)

    assert not again.from_store
    assert (again.folder / "train.arrow").read_bytes() == before


def test_the_inputs_beside_the_tokens_are_what_names_them(model: Path, tmp_path: Path) -> None:
    done = prepare([chat("Hi", "Hello")], model, tmp_path)

    made_of = json.loads((done.folder / "inputs.json").read_text())

    assert digest_of(made_of) == done.digest
    assert done.digest.startswith(done.folder.name)
    assert made_of["mixture"] == done.report["mixture"]["digest"]
    assert made_of["settings"]["max_length"] == 1024
    assert set(made_of["tokenizer"]["files"]) == {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_an_edited_file_of_the_tokenizer_is_noticed_and_named(file: str, model: Path, tmp_path: Path) -> None:
    first = prepare([chat("Hi", "Hello")], model, tmp_path)
    path = model / file
    before, path_text = json.loads((first.folder / "inputs.json").read_text()), path.read_text()
    path.write_text(path_text.rstrip() + " \n\n" if file.endswith("json") else path_text + "x")

    second = prepare([chat("Hi", "Hello")], model, tmp_path)

    after = json.loads((second.folder / "inputs.json").read_text())
    files = before["tokenizer"]["files"]
    assert not second.from_store
    assert [name for name in files if files[name] != after["tokenizer"]["files"][name]] == [file]


def test_an_edited_template_of_the_recipe_is_noticed_and_its_path_does_not_matter(model: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.jinja", tmp_path / "other.jinja"
    one.write_text(CHATML)
    other.write_text(CHATML)
    prepare([chat("Hi", "Hello")], model, tmp_path, chat_template=str(one))

    assert prepare([chat("Hi", "Hello")], model, tmp_path, chat_template=str(other)).from_store
    one.write_text(CHATML + "!")
    assert not prepare([chat("Hi", "Hello")], model, tmp_path, chat_template=str(one)).from_store


def test_a_second_run_finds_the_tokens_in_the_store(model: Path, tmp_path: Path) -> None:
    first = prepare([chat("Hi", "Hello")], model, tmp_path)

    second = prepare([chat("Hi", "Hello")], model, tmp_path)

    assert (second.from_store, second.folder, second.report) == (True, first.folder, first.report)


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 512},
        {"assistant_only_loss": True},
        {"chat_template": "zephyr"},
        {"eos_token": "<eos>"},
        {"packing": True},
        {"truncation_mode": "keep_end"},
        {"shuffle_dataset": True},
        {"max_train_samples": 1},
    ],
    ids=str,
)
def test_whatever_changes_the_tokens_changes_their_address(change: dict[str, Any], model: Path, tmp_path: Path) -> None:
    first = prepare([chat("Hi", "Hello")], model, tmp_path)

    assert prepare([chat("Hi", "Hello")], model, tmp_path, **change).digest != first.digest


def test_what_the_trainer_alone_reads_does_not(model: Path, tmp_path: Path) -> None:
    first = prepare([chat("Hi", "Hello")], model, tmp_path)

    assert prepare([chat("Hi", "Hello")], model, tmp_path, learning_rate=1.0, seed=3).from_store
    assert first.num_train == 1


def test_sample_limits_take_the_first_rows_of_each_split(model: Path, tmp_path: Path) -> None:
    rows = [{"text": f"{i:05}"} for i in range(2500)]

    done = prepare(rows, model, tmp_path, evaluation=rows[:9], max_train_samples=2300, max_eval_samples=4)

    assert (done.num_train, done.num_eval) == (2300, 4)
    assert texts(model, done.folder / "train.arrow")[-1] == "02299<|im_end|>"


def test_evaluation_rows_are_packed_as_training_rows_unless_said_otherwise(model: Path, tmp_path: Path) -> None:
    rows = [{"text": "abc"}] * 6

    packed = prepare(rows, model, tmp_path, evaluation=rows, packing=True, max_length=8)
    apart = prepare(rows, model, tmp_path, evaluation=rows, packing=True, max_length=8, eval_packing=False)

    assert (packed.num_train, packed.num_eval) == (3, 3)
    assert (apart.num_train, apart.num_eval) == (3, 6)
    assert packed.report["packing"] == {"strategy": "bfd", "sequences": 3, "fill": 1.0}
    assert read_tokens(packed.folder / "train.arrow")[0]["seq_lengths"] == [4, 4]


def test_old_packing_puts_eos_after_every_row_and_drops_the_remainder(model: Path, tmp_path: Path) -> None:
    behaviours = {"append_eos": True, "drop_remainder": True}
    values = {"packing": True, "packing_strategy": "wrapped", "max_length": 4, "eos_token": "<eos>"}

    done = prepare(
        [{"text": "abc"}, {"text": "de<eos>"}, {"text": "f"}], model, tmp_path, behaviours=behaviours, **values
    )

    assert texts(model, done.folder / "train.arrow") == ["abc<eos>", "de<eos><eos>"]


def test_an_old_chatml_recipe_brings_its_special_tokens(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", eos_token="<eos>")

    done = prepare(
        [chat("Hi", "Hello")], model, tmp_path, behaviours={"chatml_special_tokens": "with a ChatML template"}
    )

    assert (done.report["eos"], done.report["pad"]) == ("<|im_end|>", "<|im_end|>")
    assert done.report["template"]["source"] == "chatml (shipped)"


def test_the_template_of_another_model_brings_its_tokens(model: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", template="{{ messages[0].content }}<end>", eos_token="<end>")

    done = prepare([chat("Hi", "Hello")], model, tmp_path, chat_template_path=str(other))

    assert (done.report["eos"], done.report["added_tokens"]) == ("<end>", ["<end>"])
    assert [len(row["input_ids"]) for row in read_tokens(done.folder / "train.arrow")] == [3]


def test_an_end_of_turn_outside_the_loss_is_an_error_with_the_fix(model: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
    )

    with pytest.raises(RecipeError, match="would never learn to stop") as caught:
        prepare([chat("Hi", "Hello")], model, tmp_path, chat_template=template, assistant_only_loss=True)

    assert "endgeneration" in caught.value.hint


def test_conversations_without_a_template_name_one_to_use(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=None)

    with pytest.raises(RecipeError) as caught:
        prepare([chat("Hi", "Hello")], model, tmp_path)

    (problem,) = caught.value.problems
    assert "no chat template" in problem.message
    assert "chat_template: chatml" in problem.hint


def test_everything_that_does_not_fit_is_reported_at_once(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", eos_token=None)

    with pytest.raises(RecipeError) as caught:
        prepare([{"text": "abc"}], model, tmp_path, assistant_only_loss=True, completion_only_loss=True)

    assert [problem.where for problem in caught.value.problems] == [
        "eos_token",
        "assistant_only_loss",
        "completion_only_loss",
    ]


PICKY = "{% if messages[0].content == 'bad' %}{{ raise_exception('I refuse') }}{% endif %}" + CHATML


def test_rows_the_template_refuses_are_named(model: Path, tmp_path: Path) -> None:
    rows = [chat("Hi", "Hello"), chat("bad", "row")]

    with pytest.raises(DataError, match=r"the chat template \(chat_template\) refuses 1 row$") as caught:
        prepare(rows, model, tmp_path, chat_template=PICKY)

    (problem,) = caught.value.problems
    assert problem.message == "I refuse"
    assert problem.where.endswith("train.jsonl, row 2")


def test_of_many_rows_that_the_template_refuses_ten_are_named_in_their_order(model: Path, tmp_path: Path) -> None:
    train = write_rows(tmp_path / "rows.jsonl", [chat("bad", str(number)) for number in range(12)])

    with pytest.raises(DataError, match="refuses 12 rows; 10 of them:") as caught:
        prepare_tokens(recipe(Mixture(sources=(Source(path=str(train)),)), chat_template=PICKY), model, kinds=KINDS)

    numbers = [int(problem.where.rpartition(" ")[2]) for problem in caught.value.problems]
    assert len(numbers) == 10
    assert numbers == sorted(numbers)


def test_rows_the_template_refuses_are_skipped_and_counted_on_request(model: Path, tmp_path: Path) -> None:
    train = write_rows(tmp_path / "rows.jsonl", [chat("Hi", "Hello"), chat("bad", "row")])
    mixture = Mixture(sources=(Source(path=str(train)),), on_bad_rows="skip")

    done = prepare_tokens(recipe(mixture, chat_template=PICKY), model, kinds=KINDS)

    assert done.num_train == 1
    assert done.report["dropped"] == {"refused by the chat template": 1}


def test_a_template_that_refuses_every_row_is_an_error_even_where_bad_rows_are_skipped(
    model: Path, tmp_path: Path
) -> None:
    train = write_rows(tmp_path / "rows.jsonl", [chat("bad", "row")] * 3)
    mixture = Mixture(sources=(Source(path=str(train)),), on_bad_rows="skip")

    with pytest.raises(DataError, match="of 3 rows none is left; 3 left out: refused by the chat template"):
        prepare_tokens(recipe(mixture, chat_template=PICKY), model, kinds=KINDS)


def test_no_trained_token_is_an_error_and_leaves_no_store(model: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="no token would be trained") as caught:
        prepare([{"prompt": "abcdefgh", "completion": "i"}], model, tmp_path, max_length=4)

    assert "raise max_length (now 4)" in caught.value.hint
    assert [item for item in (cache / "tokens").iterdir() if not item.name.endswith(".lock")] == []


def test_an_evaluation_split_that_empties_is_an_error(model: Path, tmp_path: Path) -> None:
    train, evaluation = [{"prompt": "a", "completion": "b"}], [{"prompt": "abcdefgh", "completion": "i"}]

    with pytest.raises(DataError, match="the evaluation split is empty"):
        prepare(train, model, tmp_path, evaluation=evaluation, max_length=4)


def test_packing_without_a_length_is_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="packing needs max_length"):
        prepare([{"text": "abc"}], model, tmp_path, packing=True, max_length=None)


def test_a_full_disk_is_one_clear_error(model: Path, tmp_path: Path) -> None:
    rows = [{"text": "x" * 1000}] * 100
    prepare(rows, model, tmp_path)  # the mixture is in the store; only the tokens do not fit
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))

    try:
        with pytest.raises(LaunchError, match="tokens cannot be written") as caught:
            prepare(rows, model, tmp_path, max_length=900)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert "ALIGN_CACHE" in caught.value.hint


def test_preparing_imports_neither_torch_nor_transformers(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.tasks.mixtures import prepare;"
        "prepare([{'text': 'abc'}], Path(sys.argv[1]), Path(sys.argv[2]));"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'accelerate'} & set(sys.modules); assert not heavy, heavy"
    )

    words = [sys.executable, "-c", code, str(model), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)

    assert done.returncode == 0, done.stderr
