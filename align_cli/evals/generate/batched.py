"""The engine on transformers: many questions answered together, each as if it were asked alone.

What an answer depends on, and what it does not:

- Sampled answers: every question has random numbers of its own (`streams`), begun with the seed and continued over its
  turns. Neither the batch size nor the other questions change them. On a CPU in float32 they are, token for token,
  what `generate` samples for the question alone after `torch.manual_seed(seed)`.
- Prompts are computed one by one. What all of them begin with (the template's words, a system prompt) is computed once,
  from the template alone.
- After the prompt, a token's logits are computed together with those of other rows. Sums are then added in another
  order, so logits differ by rounding, and with them a choice between two tokens that are that close; an answer's
  `near_ties` counts the greedy ones. Of 605 choices of SmolLM2-135M one was a near tie in float32, and none turned
  round between one row and 16. In bfloat16, whose logits are rounded 65,000 times as coarsely, 16 did: there another
  batch size, as another GPU, makes another answer of the same worth.
- With the same batch size, questions, library versions and processor, a run that is not cut short repeats itself
  exactly. One that is stopped and goes on computes the rest among other rows: the same holds as for another batch
  size. A turn after the first, when the run goes on there, reads the whole conversation anew; so do rows that had to
  make room when memory ran out.

Models whose attention is not the usual one, and generation configs with more than `choosing` knows, are answered on
the plain road, one question at a time (`plain`); `say` tells why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from align_cli.evals.benchmark import Answer, Question
from align_cli.evals.generate import choosing, fitting, plain, talks, trial
from align_cli.evals.generate.attention import attending
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
    clock = Clock(waiting)
    if opened.device == "cpu":
        memory.keep_freed_memory()
    model = trial.whole(opened.network)
    config = opened.network.generation_config
    with torch.inference_mode(), nullcontext() if model is None else narrow_products(model):
        unknown = choosing.unknown(config)
        why, shapes = (f"the generation config has {', '.join(unknown)}", ()) if unknown else trial.obstacle(model)
        if why:
            say(f"one question at a time: {why}")
            plain.generate(opened, waiting, clock, seed, on_answer, on_progress, is_stopped)
            return
        with attending(model):
            batch = Batch(
                voice=opened,
                model=model,
                shapes=shapes,
                chooser=choosing.Chooser(opened.name, config, model.dtype),
                prefix=_prefix(opened, system),
                seed=seed,
                slots=fitting.rows(opened.device, shapes, _longest(opened, waiting), batch_size, len(waiting)),
                clock=clock,
                on_answer=on_answer,
                on_progress=on_progress,
                is_stopped=is_stopped,
                say=say,
            )
            batch.run(waiting)


def _prefix(voice: Voice, system: str | None) -> list[int]:
    """What every prompt begins with; empty where that is hardly anything."""
    first = [{"role": "system", "content": system}] if system is not None else []
    one, other = (voice.prompt([*first, {"role": "user", "content": words}]) for words in ("1", "A"))
    length = next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    return one[:length] if length >= _PREFIX_TOKENS else []


def _longest(voice: Voice, waiting: Sequence[Talk]) -> int:
    """The most tokens that a conversation may come to."""
    most = 0
    for talk in waiting:
        question = talk.question
        empty = Talk(question=question, system=talk.system, texts=[""] * (len(question.turns) - 1))
        most = max(most, len(voice.prompt(empty.messages())) + len(question.turns) * question.max_new_tokens)
    return min(most, voice.context_length or most)
