"""The engine on vLLM: all questions' turns together, one turn after the other.

Every request has the seed for itself, so sampled answers do not depend on what is answered beside them. Each turn
begins with it anew, where the engine on transformers, as FastChat, goes on drawing; the two do not sample the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from align_cli.errors import LaunchError, UsageError
from align_cli.evals.benchmark import Answer, Question
from align_cli.evals.generate import choosing, talks
from align_cli.evals.generate.job import Job
from align_cli.evals.generate.moments import Clock, Moment
from align_cli.evals.generate.talks import Prompt, Talk
from align_cli.models.adapters import merging
from align_cli.models.speaking.opened import Opened

#: Requests that are given to vLLM at once: so many answers may be lost when the process dies.
_WAVE = 256

#: What vLLM's SamplingParams has no word for.
_BEYOND = ("top_h", "typical_p", "epsilon_cutoff", "eta_cutoff", "no_repeat_ngram_size", "suppress_tokens")


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
    """As `batched.generate`; `opened` need have no weights (`open_chain(…, weights=False)`), vLLM loads its own.

    `is_stopped` is asked between waves of `batch_size` requests, or of 256.

    Raises:
        LaunchError: vLLM is not installed, or cannot load the model.
        UsageError: the generation config asks for what vLLM does not do.
    """
    llm, parameters = _vllm()
    beyond = [*choosing.unknown(opened.network.generation_config), *_beyond(opened.network.generation_config)]
    if beyond:
        raise UsageError(
            f"{opened.name}: vLLM does not do what the generation config asks for: {', '.join(beyond)}",
            hint="--engine transformers does",
        )
    waiting = talks.talks(questions, have, system)
    clock = Clock(waiting)
    job = Job(
        opened=opened,
        waiting=waiting,
        seed=seed,
        clock=clock,
        on_answer=on_answer,
        on_progress=on_progress,
        is_stopped=is_stopped,
        say=say,
    )
    engine: Any = _engine(llm, opened, say) if waiting else None
    size = batch_size or _WAVE
    while waiting:
        following: list[Talk] = []
        for begin in range(0, len(waiting), size):
            if is_stopped():
                return
            asked = _asked(job, waiting[begin : begin + size])
            outputs = engine.generate(
                [{"prompt_token_ids": prompt.tokens} for _, prompt in asked],
                [parameters(**sampling(opened, talk, prompt, seed)) for talk, prompt in asked],
                use_tqdm=False,
            )
            for (talk, prompt), output in zip(asked, outputs, strict=True):
                new = list(output.outputs[0].token_ids)
                answer = talks.answer(opened, talk, prompt, new)
                clock.tick(len(new))
                job.give(talk, answer)
                following += [talk] if talk.left else []
            on_progress(clock.moment(()))
        waiting = following


def sampling(opened: Opened, talk: Talk, prompt: Prompt, seed: int) -> dict[str, Any]:
    """VLLM's SamplingParams for one turn: the same decisions as `choosing` makes, in its words."""
    config = opened.network.generation_config
    chosen: dict[str, Any] = {
        "max_tokens": prompt.room,
        "stop_token_ids": list(opened.end_tokens),
        "ignore_eos": False,
        "detokenize": False,
        "repetition_penalty": config.repetition_penalty or 1.0,
        "temperature": 0.0,
    }
    if talk.is_greedy:
        return chosen
    return chosen | {
        "temperature": talk.question.temperature,
        "seed": seed,
        "top_k": choosing.top_k(config),
        "top_p": 1.0 if config.top_p is None else config.top_p,
        "min_p": config.min_p or 0.0,
    }


def _vllm() -> tuple[Any, Any]:
    try:
        from vllm import LLM, SamplingParams
    except ImportError as cause:
        raise LaunchError(
            f"vLLM cannot be used here: {cause}", hint="pip install align-cli[vllm], or --engine transformers"
        ) from cause
    return LLM, SamplingParams


def _engine(llm: Any, opened: Opened, say: Callable[[str], None]) -> Any:
    """The model, loaded by vLLM; adapters are merged in the store first."""
    folder: Path = opened.chain.base.folder
    if opened.chain.adapters:
        folder = merging.stage(opened.chain, say=say)
    try:
        return llm(
            model=str(folder),
            skip_tokenizer_init=True,  # it gets tokens and gives tokens
            dtype=opened.dtype,
            max_model_len=opened.context_length,
            generation_config="vllm",  # no values of its own: each request says all
        )
    except (ValueError, RuntimeError, OSError) as cause:
        raise LaunchError(f"{opened.name}: vLLM cannot load this model: {str(cause).splitlines()[0]}") from cause


def _asked(job: Job, waiting: Sequence[Talk]) -> list[tuple[Talk, Prompt]]:
    """The prompts of those that fit; an answer says of the others that they do not."""
    found = []
    for talk in waiting:
        prompt = talks.prompt(job.opened, talk)
        if isinstance(prompt, Prompt):
            found.append((talk, prompt))
        else:
            job.give(talk, prompt)
    return found


def _beyond(config: Any) -> list[str]:
    idle = (None, 0, 1.0)
    return [f"{name}={value}" for name in _BEYOND if (value := getattr(config, name, None)) not in idle]
