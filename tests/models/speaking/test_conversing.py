"""A model opened as it was trained, and its side of a conversation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import UsageError
from align_cli.models.locate import chain
from align_cli.models.speaking import served
from align_cli.models.speaking.closing import closing_token
from align_cli.models.speaking.conversing import Reply, Sampling, Speaker, _Streamer
from align_cli.models.speaking.opened import Opened, open_chain
from align_cli.models.templates import Template, shipped
from align_cli.recipe import load
from align_cli.recipe.decode import encode
from align_cli.tasks import sft
from tests.models.adapters.test_merging import merge_here
from tests.models.conftest import Adapt, edit, logits, through_peft

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache")]

Make = Callable[..., Path]
Turn = dict[str, str]


def user(words: str) -> Turn:
    return {"role": "user", "content": words}


def opened(folder: Path, **how: Any) -> Opened:
    return open_chain(chain(str(folder)), **how)


def as_run(folder: Path, text: str) -> None:
    """Put the recipe that a run of this YAML would have sealed into `folder`."""
    recipe = folder.parent / "r.yaml"
    recipe.write_text(text)
    (folder / "align").mkdir(exist_ok=True)
    said = json.dumps(encode(load.load([str(recipe)], sft.TASK)))
    (folder / "align" / "recipe.json").write_text(said)


def test_earlier_turns_are_kept_and_change_no_answer(llama: Make) -> None:
    one = opened(llama())
    speaker, fresh = (Speaker(one, Sampling(max_new_tokens=6)) for _ in range(2))
    turns: list[Turn] = []

    kept = []
    for words in ("Hi", "And then?", "Why?"):
        turns.append(user(words))
        reply = speaker.answer(turns)
        fresh.forget()
        assert fresh.answer(turns).text == reply.text
        kept.append(reply.kept_tokens)
        turns.append({"role": "assistant", "content": reply.text})
    after_undo = speaker.answer(turns[:3])

    assert kept[0] == 0
    assert kept[2] > kept[1] > 20
    assert after_undo.text == turns[3]["content"]
    assert after_undo.kept_tokens > 0


def test_the_words_that_come_are_the_answer(llama: Make) -> None:
    came: list[str] = []

    reply = Speaker(opened(llama()), Sampling(max_new_tokens=12)).answer([user("Hi")], on_text=came.append)

    assert "".join(came) == reply.text
    assert len(came) > 3
    assert (reply.stopped, reply.new_tokens) == ("length", 12)


def test_letters_of_several_tokens_come_whole(llama: Make) -> None:
    import torch

    one = opened(llama())
    ids = one.tokenizer("Zoë 🙂 naïve", add_special_tokens=False)["input_ids"]
    came: list[str] = []

    streamer = _Streamer(one.tokenizer, came.append)
    streamer.put(torch.tensor([[1, 2]]))  # the prompt
    for token in ids:
        streamer.put(torch.tensor([token]))
    streamer.end()

    assert "".join(came) == "Zoë 🙂 naïve"
    assert "ë" in came
    assert "🙂" in came


def test_an_answer_can_be_stopped_and_the_conversation_goes_on(llama: Make) -> None:
    speaker = Speaker(opened(llama()), Sampling(max_new_tokens=50))
    came: list[str] = []

    reply = speaker.answer([user("Hi")], on_text=came.append, is_stopped=lambda: len(came) >= 2)
    after = speaker.answer([user("Hi"), {"role": "assistant", "content": reply.text}, user("Go on")])

    assert reply.stopped == "interrupted"
    assert reply.new_tokens < 10
    assert after.kept_tokens > 0


def test_sampling_is_repeatable_with_a_seed(llama: Make) -> None:
    one = opened(llama())

    def said(**values: Any) -> list[str]:
        speaker = Speaker(one, Sampling(max_new_tokens=10, **values))
        return [speaker.answer([user("Hi")]).text for _ in range(2)]

    first, again, other = (said(temperature=1.5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first[0] != first[1]
    assert len(set(said())) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": -1.0}, "below 0"),
        ({"top_p": 0.0}, "above 0"),
        ({"top_p": 0.5}, "needs a --temperature"),
        ({"max_new_tokens": 0}, "at least 1"),
    ],
)
def test_sampling_that_makes_no_sense_is_named(values: Mapping[str, Any], words: str) -> None:
    assert words in Sampling(**values).problem()


def test_a_conversation_that_fills_the_context_is_refused(llama: Make) -> None:
    speaker = Speaker(opened(llama()), Sampling(max_new_tokens=50))

    with pytest.raises(UsageError, match="the model's context 128"):
        speaker.answer([user("x" * 200)])
    room = speaker.answer([user("x" * 40)])

    assert room.prompt_tokens + room.new_tokens <= 128


def test_an_answer_ends_where_the_template_closes_a_turn(llama: Make) -> None:
    base = llama()
    config = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<eos>"}))
    (base / "generation_config.json").write_text('{"eos_token_id": 7}')

    # <eos> and <|im_end|> come after the 256 bytes, <|im_start|> between them
    assert opened(base).end_tokens == (7, 256, 258)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (shipped("chatml").text, "<|im_end|>"),
        (shipped("zephyr").text, "</s>"),
        ("{% for m in messages %}{{ m['content'] }} over {{ eos_token }}{% endfor %}", None),
        ("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", None),
        ("{{ raise_exception('no') }}", None),
    ],
)
def test_the_token_that_closes_a_turn(text: str, token: str | None) -> None:
    found = closing_token(Template(text, "test"), {"eos_token": "</s>"}, ["</s>", "<|im_end|>", "<|im"])

    assert found == token


def test_two_adapters_that_add_up_are_opened_as_one(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    base = llama()
    first = adapt("first", base)
    merge_here(chain(str(first)), tmp_path / "merged")
    second = adapt("second", tmp_path / "merged", seed=2)
    wanted = logits(through_peft(second))
    edit(second, base_model_name_or_path=str(first))

    network = opened(second).network

    assert (logits(network) - wanted).abs().max() < 1e-4
    assert list(network.peft_config) == ["default"]


def test_adapters_that_do_not_add_up_are_merged_first(llama: Make, adapt: Adapt, tmp_path: Path) -> None:
    base = llama()
    first = adapt("first", base, use_dora=True)
    merge_here(chain(str(first)), tmp_path / "merged")
    second = adapt("second", tmp_path / "merged", seed=2)
    wanted = logits(through_peft(second))
    edit(second, base_model_name_or_path=str(first))

    assert (logits(opened(second).network) - wanted).abs().max() < 1e-4


def test_a_model_without_a_template_says_what_to_do(llama: Make) -> None:
    base = llama()
    (base / "chat_template.jinja").unlink()

    with pytest.raises(UsageError, match="no chat template") as caught:
        Speaker(opened(base), Sampling()).answer([user("Hi")])
    reply: Reply = Speaker(opened(base, chat_template="chatml"), Sampling(max_new_tokens=2)).answer([user("Hi")])

    assert "--chat-template" in caught.value.hint
    assert reply.new_tokens == 2


def test_a_template_that_refuses_is_quoted(llama: Make) -> None:
    base = llama()
    (base / "chat_template.jinja").write_text("{{ raise_exception('no system turns, please') }}")

    with pytest.raises(UsageError, match="no system turns, please"):
        Speaker(opened(base), Sampling()).answer([user("Hi")])


SOURCES = """\
model_name_or_path: some/model
output_dir: out
mixture:
  sources:
    - {path: a.jsonl, system: Be brief.}
    - {path: b.jsonl, system: SECOND}
"""


def test_a_run_is_served_with_the_system_prompt_of_its_data(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoint-5").mkdir(parents=True)
    as_run(run, SOURCES.replace("SECOND", "Be brief."))

    assert served.of_run(run).system == "Be brief."
    assert served.of_run(run / "checkpoint-5").system == "Be brief."
    assert served.of_run(tmp_path).system is None


def test_several_system_prompts_are_none_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    as_run(tmp_path / "run", SOURCES.replace("SECOND", "Be long."))

    found = served.of_run(tmp_path / "run")

    assert found.system is None
    assert "different system prompts" in found.note


def test_an_empty_system_turn_is_put_where_training_put_one(llama: Make) -> None:
    base = llama()
    knows = "{% for m in messages %}[{{ m['role'] }}:{{ m['content'] }}]{% endfor %}{# system #}"
    (base / "chat_template.jinja").write_text(knows)
    as_run(base, SOURCES.replace(", system: Be brief.", "").replace(", system: SECOND", "") + (
        "auto_insert_empty_system_msg: true\n"
    ))  # fmt: skip

    one = opened(base)

    assert one.tokenizer.decode(one.prompt([user("Hi")])) == "[system:][user:Hi]"
    given = [{"role": "system", "content": "S"}, user("Hi")]
    assert one.tokenizer.decode(one.prompt(given)) == "[system:S][user:Hi]"


def test_a_token_without_a_row_is_named(llama: Make) -> None:
    base = llama(vocab_size=257, eos_token_id=0, pad_token_id=0)

    with pytest.raises(UsageError, match=r"gives <\|im_start\|> \(token 257\), and the model has 257 rows"):
        Speaker(opened(base), Sampling()).answer([user("Hi")])


def test_a_wrong_dtype_is_named(llama: Make) -> None:
    with pytest.raises(UsageError, match='there is no dtype "fp99"'):
        opened(llama(), dtype="fp99")


def test_the_prompt_is_what_transformers_makes_of_it(llama: Make) -> None:
    one = opened(llama())
    turns = [{"role": "system", "content": "S"}, user("Hi"), {"role": "assistant", "content": "A"}, user("B")]

    theirs = one.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)

    assert one.prompt(turns) == list(theirs)
