"""Which requests go to a judge: one for each instruction that the model and the reference have answered.

The two answers are shown once, in an order that the instruction decides; a judge that favours a place does so as often
for the model as for the reference.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from align_cli import registry
from align_cli.errors import UsageError
from align_cli.evals.alpacaeval import prompts
from align_cli.evals.alpacaeval.evaluation_set import reference
from align_cli.evals.alpacaeval.verdicts import DRAW
from align_cli.evals.alpacaeval.versions import Version
from align_cli.evals.benchmark import Ask, Judging, Reference, Verdict

_SEED = 0  # the original's annotators have no other


def asks(version: Version, judging: Judging) -> Iterator[Ask]:
    """What a judge is to be sent about the answers that are there.

    Two equal answers are a draw, and nobody is asked.

    Raises:
        UsageError: there is no such reference, or it has answered none of these instructions.
        DataError: a file of the benchmark cannot be had.
    """
    held_against = reference_of(version, judging)
    if not any(question.id in held_against.answers for question in judging.questions):
        raise UsageError(
            f'the reference "{held_against.name}" has answered none of the {len(judging.questions)} instructions',
            hint="instructions are compared to the letter; --reference names a file or run that has answered them",
        )
    prompt = judging.assets.path(version.prompt)
    for model, answers in judging.answers.items():
        for question in judging.questions:
            ours, theirs = answers.get(question.id), held_against.answers.get(question.id)
            if not ours or not theirs or not ours[0].is_one:
                continue
            instruction = question.turns[0]
            is_switched = shows_model_first(instruction)
            shown = (ours[0].text, theirs[0]) if is_switched else (theirs[0], ours[0].text)
            yield Ask(
                question_id=question.id,
                turn=1,
                prompt=version.prompt_name,
                models=(model,),
                messages=prompts.messages(prompt, instruction, shown),
                parameters=version.parameters,
                game=2 if is_switched else 1,
                reference=held_against.name,
                known=Verdict(score=DRAW) if shown[0] == shown[1] else None,
            )


def reference_of(version: Version, judging: Judging) -> Reference:
    """The answers that the models' are held against.

    Raises:
        UsageError: there is no such set.
    """
    if judging.reference is not None:
        return judging.reference
    name = judging.references or version.reference
    if name != version.reference:
        raise UsageError(f'there are no reference outputs "{name}"', hint=registry.suggest(name, [version.reference]))
    return reference(judging.assets, version.reference_file)


def shows_model_first(instruction: str) -> bool:
    """Whether the model's answer is shown first: as alpaca_eval 0.6.6 draws it, for the same instruction always alike.

    Source: processors.py, RandomSwitchTwoColumnsProcessor, with the seed of utils.random_seeded_choice.
    """
    drawn = random.Random(f"is_switched_outputs{instruction}{_SEED}")  # noqa: S311 the original's own generator
    return bool(drawn.choices([False, True], k=1)[0])
