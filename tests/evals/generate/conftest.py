"""Small models with random weights that answer in earnest: their logits lie apart, and answers end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from align_cli.evals.benchmark import Answer, Question
from align_cli.models.speaking.opened import Opened
from tests.models.tiny import tiny_model

#: Rows of embeddings: the tokenizer's 259 tokens.
TOKENS = 259
END = 258
#: More tokens that end an answer, so that one in twenty does.
_ENDS = 12

_SIZES = {
    "vocab_size": TOKENS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "eos_token_id": END,
    "pad_token_id": END, "bos_token_id": 256,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Opened]:
    """`small()` is a Llama; `small("MistralConfig", sliding_window=8)` another; sizes are changed by name."""

    def make(config: str = "LlamaConfig", **sizes: Any) -> Opened:
        import torch
        import transformers

        from align_cli.models.locate import chain
        from align_cli.models.speaking.opened import open_chain

        folder = tiny_model(tmp_path / config)
        torch.manual_seed(0)
        network = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**_SIZES | sizes))
        for name, parameter in network.named_parameters():
            if "norm" not in name:
                parameter.data *= 8
        network.generation_config.eos_token_id = [END, *range(_ENDS)]
        network.save_pretrained(folder)
        return open_chain(chain(str(folder)))

    return make


@pytest.fixture
def questions() -> list[Question]:
    """Of one to three turns, short and long, greedy and sampled."""
    return [
        Question(
            id=number,
            category="any",
            turns=tuple("word " * (1 + 5 * number % 17) + str(turn) for turn in range(1 + number % 3)),
            temperature=(0.0, 0.7, 1.3)[number // 3 % 3],
            max_new_tokens=6 + 7 * number % 19,
        )
        for number in range(12)
    ]


class Kept:
    """What an engine gave, and what it is asked with."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.answers: dict[int | str, list[Answer]] = {}
        self.moments: list[Any] = []
        self.lines: list[str] = []
        self._calls, self._stop_after = 0, stop_after

    def on_answer(self, answer: Answer) -> None:
        self.answers.setdefault(answer.question_id, []).append(answer)

    def is_stopped(self) -> bool:
        self._calls += 1
        return self._stop_after is not None and self._calls > self._stop_after

    @property
    def said(self) -> dict[tuple[int | str, int], tuple[str, int, str]]:
        """Text, new tokens and state of each turn."""
        return {
            (answer.question_id, answer.turn): (answer.text, answer.new_tokens, answer.state)
            for turns in self.answers.values()
            for answer in turns
        }


@pytest.fixture
def ask() -> Callable[..., Kept]:
    """Let the engine on transformers answer."""

    def call(opened: Opened, questions: Sequence[Question], **known: Any) -> Kept:
        from align_cli.evals.generate.batched import generate

        kept = known.pop("kept", None) or Kept()
        generate(
            opened, questions, known.pop("have", {}), seed=known.pop("seed", 3), system=known.pop("system", None),
            on_answer=kept.on_answer, on_progress=kept.moments.append, is_stopped=kept.is_stopped,
            say=kept.lines.append, **known,
        )  # fmt: skip
        return kept

    return call


def as_fastchat(
    opened: Opened, questions: Sequence[Question], *, seed: int = 3, system: str | None = None
) -> dict[tuple[int | str, int], tuple[str, int, str]]:
    """The same answers one by one, as FastChat's gen_model_answer.py has them: a seed a question, a call a turn."""
    import torch

    said = {}
    for question in questions:
        torch.manual_seed(seed)
        messages = [{"role": "system", "content": system}] if system is not None else []
        for turn, words in enumerate(question.turns, start=1):
            messages.append({"role": "user", "content": words})
            prompt = opened.prompt(messages)
            ids = torch.tensor([prompt])
            output = opened.network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=question.temperature >= 1e-4,
                temperature=question.temperature,
                max_new_tokens=question.max_new_tokens,
                eos_token_id=list(opened.end_tokens),
            )
            new = output[0, len(prompt) :].tolist()
            kept = new[:-1] if new[-1] in opened.end_tokens else new
            text = opened.tokenizer.decode(kept, spaces_between_special_tokens=False)
            for special in opened.tokenizer.special_tokens_map.values():
                text = text.replace(special, "")
            text = text.strip()
            said[question.id, turn] = (text, len(new), "ok" if new[-1] in opened.end_tokens else "length")
            messages.append({"role": "assistant", "content": text})
    return said
