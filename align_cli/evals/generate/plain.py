"""The plain road: one `generate` call a turn, as FastChat does it; for models that the batch does not suit."""

from __future__ import annotations

import time
from typing import Any

from align_cli.errors import LaunchError
from align_cli.evals.benchmark import Answer
from align_cli.evals.generate import talks
from align_cli.evals.generate.choosing import demand_numbers, is_near_tie
from align_cli.evals.generate.job import Job
from align_cli.evals.generate.talks import Prompt, Talk
from align_cli.models import memory
from align_cli.models.speaking.opened import Opened


def generate(job: Job) -> None:
    """Answer all turns of all of them.

    Raises:
        LaunchError: memory does not hold a question, or the model's logits are no numbers.
    """
    import torch

    opened = job.opened
    devices: list[int] | None = [] if opened.device == "cpu" else None
    for talk in job.waiting:
        with torch.random.fork_rng(devices):
            torch.manual_seed(job.seed)
            if not talk.is_greedy:
                _skip(opened, talk.drawn)
            is_over = False
            while talk.left and not is_over:
                asked = talks.prompt(opened, talk)
                answer = asked if isinstance(asked, Answer) else _answer(job, talk, asked)
                if answer is None:
                    return
                is_over = not answer.is_one
                job.give(talk, answer)


def _answer(job: Job, talk: Talk, asked: Prompt) -> Answer | None:
    """One turn's; None where somebody stopped it."""
    import torch

    opened = job.opened
    begun, near_ties, new = time.monotonic(), 0, 0

    def watch(ids: Any, scores: Any) -> Any:
        """Hear of every token before it is chosen; the scores stay as they are."""
        nonlocal near_ties, new
        best, second = scores.topk(2).values[0]
        demand_numbers(opened.name, best)
        if talk.is_greedy:
            near_ties += int(is_near_tie(best, second, opened.network.dtype))
        new += 1
        job.clock.tick(1)
        job.on_progress(job.clock.moment([(asked.room - new, talk.question.max_new_tokens)]))
        return scores

    ids = torch.tensor([asked.tokens], device=opened.device)
    chosen: dict[str, Any] = {"do_sample": False}
    if not talk.is_greedy:
        chosen = {"do_sample": True, "temperature": talk.question.temperature}
    try:
        output = opened.network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=asked.room,
            pad_token_id=opened.tokenizer.pad_token_id,
            eos_token_id=list(opened.end_tokens),
            tokenizer=opened.tokenizer,
            logits_processor=[watch],
            stopping_criteria=[lambda ids, scores: torch.tensor([job.is_stopped()], device=ids.device)],
            **chosen,
        )
    except (RuntimeError, MemoryError) as error:
        if not memory.ran_out(error):
            raise
        raise LaunchError(
            f"{opened.name}: memory ran out with one question at a time",
            hint="--dtype bfloat16 halves a float32 model; a smaller --max-new-tokens shortens answers",
        ) from error
    if job.is_stopped():
        return None
    tokens = output[0, len(asked.tokens) :].tolist()
    return talks.answer(opened, talk, asked, tokens, near_ties=near_ties, seconds=time.monotonic() - begun)


def _skip(opened: Opened, drawn: int) -> None:
    """Use up the random numbers of the answers that are there."""
    import torch

    width = opened.network.get_output_embeddings().weight.shape[0]
    for _ in range(drawn):
        torch.multinomial(torch.ones(width, device=opened.device), 1)
