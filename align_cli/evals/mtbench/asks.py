"""Which requests go to a judge, as FastChat's `gen_judgment.py` makes its matches.

Turn 1 of every question, then turn 2. Of a pair there are two games, the answers in either order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from align_cli import registry
from align_cli.errors import UsageError
from align_cli.evals.benchmark import Ask, Judging, Question
from align_cli.evals.mtbench import prompts
from align_cli.evals.mtbench.questions import needs_references


def asks(judging: Judging) -> Iterator[Ask]:
    """What a judge is to be sent about the answers that are there.

    An answer cut at its length counts; where a turn has none (`Answer.is_one`), neither it nor a later turn is judged.
    FastChat stores the text `$ERROR$` for such an answer, and has that rated.

    Raises:
        UsageError: the baseline is none of the models, or there are no such references.
    """
    shown = _shown(judging)
    templates = prompts.prompts(judging.assets)
    references = prompts.references(judging.assets, judging.references)
    for turn in (1, 2):
        for question in judging.questions:
            if turn == 2 and len(question.turns) != 2:
                continue
            told = references[question.id] if needs_references(question.category) else ()
            for models, game in shown:
                answers = [_texts(judging, model, question, turn) for model in models]
                if not all(answers):
                    continue
                name = prompts.name_of(question, turn, pairs=len(models) == 2)
                yield Ask(
                    question_id=question.id,
                    turn=turn,
                    prompt=prompts.with_references(name, judging.references),
                    models=models,
                    messages=prompts.messages(templates[name], question, answers, told),
                    parameters=prompts.PARAMETERS,
                    game=game,
                    reference=(judging.references or prompts.REFERENCES[0]) if told else "",
                )


def _shown(judging: Judging) -> list[tuple[tuple[str, ...], int]]:
    """Which models' answers are shown together, in which order, in which game."""
    models = list(judging.answers)
    if judging.mode == "single":
        return [((model,), 1) for model in models]
    if judging.mode == "pairwise-all":
        pairs = list(combinations(models, 2))
    else:
        baseline = judging.baseline
        if baseline is None or baseline not in models:
            what = f'the baseline "{baseline}" is none of the models' if baseline else "there is no baseline"
            raise UsageError(what, hint=registry.suggest(baseline or "", models))
        pairs = [(model, baseline) for model in models if model != baseline]
    return [(shown, game) for one, other in pairs for shown, game in (((one, other), 1), ((other, one), 2))]


def _texts(judging: Judging, model: str, question: Question, turn: int) -> list[str]:
    """The answers of a model up to this turn; none if one is missing."""
    found = list(judging.answers[model].get(question.id, ()))[:turn]
    if len(found) < turn or not all(answer.is_one for answer in found):
        return []
    return [answer.text for answer in found]
