"""The engine on transformers: many questions answered together, each as if it were asked alone.

What an answer depends on, and what it does not:

- Sampled answers: every question has random numbers of its own (`streams`), begun with the seed and continued over its
  turns. Neither the number of rows nor the other questions change them. On a CPU they are those that `generate` draws
  for the question alone after `torch.manual_seed(seed)`.
- Prompts are computed one by one. What all of them begin with (the template's words, a system prompt) is computed once,
  from the template alone.
- After the prompt, a token's logits are computed together with those of other rows. Sums are then added in another
  order, so logits differ by rounding, and with them a choice between two tokens that are that close; an answer's
  `near_ties` counts the greedy ones. Of 605 choices of SmolLM2-135M one was a near tie in float32, and none turned
  round between one row and 16. In bfloat16, whose logits are rounded 65,000 times as coarsely, 16 did: there another
  number of rows, as another GPU, makes another answer of the same worth.
- With the same number of rows (`batch_size`; else what memory allows), questions, library versions and processor, a
  run that is not cut short repeats itself exactly. One that is stopped and goes on computes the rest among other rows,
  and reads the conversation anew where it goes on after a first turn; so do rows that had to make room when memory ran
  out. That, too, is no more than rounding.

Models whose attention is not the usual one, and generation configs with more than `choosing` knows, are answered on
the plain road, one question at a time (`plain`); `say` tells why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from align_cli.evals.benchmark import Answer, Question
from align_cli.evals.generate import choosing, fitting, plain, talks, trial
from align_cli.evals.generate.attention import attending
from align_cli.evals.generate.choosing import Chooser
from align_cli.evals.generate.job import Job
from align_cli.evals.generate.moments import Clock, Moment
from align_cli.evals.generate.narrow import narrow_products
from align_cli.evals.generate.rows import Batch
from align_cli.evals.generate.talks import Talk, Voice
from align_cli.models import memory
from align_cli.models.speaking.opened import Opened

#: A common beginning shorter than this, in tokens, is not worth a pass of its own.
_PREFIX_TOKENS = 8


def generate(
    opened: Opened,
    questions: Sequence[Question],
    have: Mapping[int | str, Sequence[Answer]],
    *,
    seed: int,
    batch_size: int | None = None,
    system: str | None,
    on_answer: Callable[[Answer], None],
    on_progress: Callable[[Moment], None],
    is_stopped: Callable[[], bool],
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Answer every turn that `have` lacks; `on_answer` gets each answer as soon as it is whole.

    Turn after turn, a conversation goes on with the model's own answers. `batch_size` None: as many rows as memory
    holds, and the processor gains from. `is_stopped` is asked before every pass; unfinished answers are then lost.

    Raises:
        UsageError: the model's template refuses a conversation.
        LaunchError: memory does not hold one question, or the model's logits are no numbers.
    """
    import torch

    waiting = talks.talks(questions, have, system)
    if not waiting:
        return
    if opened.device == "cpu":
        memory.keep_freed_memory()
    job = Job(
        opened=opened,
        waiting=waiting,
        seed=seed,
        clock=Clock(waiting),
        on_answer=on_answer,
        on_progress=on_progress,
        is_stopped=is_stopped,
        say=say,
    )
    with torch.inference_mode():
        if obstacle := _together(job, batch_size, system):
            say(f"one question at a time: {obstacle}")
            plain.generate(job)


def _together(job: Job, batch_size: int | None, system: str | None) -> str:
    """Answer in rows; or, in words, why that cannot be, and nothing is done."""
    opened = job.opened
    config, model = opened.network.generation_config, trial.whole(opened.network)
    if unknown := choosing.unknown(config):
        return f"the generation config has {', '.join(unknown)}"
    if model is None:
        return "the adapter is a learned prompt"
    with narrow_products(model):
        obstacle, shapes = trial.obstacle(model)
        if obstacle:
            return obstacle
        with attending(model):
            Batch(
                job=job,
                model=model,
                shapes=shapes,
                chooser=Chooser(opened.name, config, model.dtype),
                prefix=_prefix(opened, system),
                slots=fitting.rows(opened.device, shapes, _longest(job), batch_size, len(job.waiting)),
            ).run()
    return ""


def _prefix(voice: Voice, system: str | None) -> list[int]:
    """What every prompt begins with; empty where that is hardly anything."""
    first = [{"role": "system", "content": system}] if system is not None else []
    one, other = (voice.prompt([*first, {"role": "user", "content": words}]) for words in ("1", "A"))
    length = next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    return one[:length] if length >= _PREFIX_TOKENS else []


def _longest(job: Job) -> int:
    """The most tokens that a conversation may come to."""
    most = 0
    for talk in job.waiting:
        question = talk.question
        brief = Talk(question=question, system=talk.system, texts=["."] * (len(question.turns) - 1))
        most = max(most, len(job.opened.prompt(brief.messages())) + len(question.turns) * question.max_new_tokens)
    return min(most, job.opened.context_length or most)
