"""What a reader has to know before trusting a report's numbers, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from align_cli.evals.report.material import UNKNOWN, Material, Subject
from align_cli.evals.report.pairs import Pair
from align_cli.evals.report.scores import Counts
from align_cli.evals.report.statistics import FEWEST

#: Why a judgment does not count: of what, and what became of one of them and of several.
_LOST = {
    "unreadable": ("verdicts", "cannot be read", "cannot be read"),
    "filtered": ("requests", "was stopped by the endpoint's filter", "were stopped by the endpoint's filter"),
    "too_long": ("requests", "was too long for the judge", "were too long for the judge"),
    "refused": ("requests", "was refused", "were refused"),
    "failed": ("requests", "failed", "failed"),
}
#: Of how a model is asked, what the benchmark says unless somebody says otherwise.
_OF_THE_BENCHMARK = ("temperature", "max_new_tokens")
_UNANSWERED = {
    "missing": ("is not answered yet", "are not answered yet"),
    "too_long": (
        "has no answer: the conversation filled the context",
        "have none: the conversation filled the context",
    ),
    "filtered": ("has no answer: the endpoint's filter stopped it", "have none: the endpoint's filter stopped them"),
    "failed": ("has no answer: asking for it failed", "have none: asking for them failed"),
}


def notes_of(material: Material, counts: Mapping[str, Counts], pairs: Sequence[Pair]) -> list[str]:
    """All of them, the general ones first."""
    found = [
        *_on_the_judge(material),
        *_on_the_questions(material),
        *_on_what_was_asked(material),
        *_on_manners(material),
    ]
    for subject in material.subjects:
        some = list(_on_a_model(subject, counts[subject.name]))
        found += [f"{subject.name}: {note}" if len(material.subjects) > 1 else note for note in some]
    for pair in pairs:
        if pair.opponent:
            found += [f"{pair.model} against {pair.opponent}: {note}" for note in _on_a_pair(pair)]
    return found


def _on_the_judge(material: Material) -> Iterator[str]:
    if material.judge is None:
        yield "nothing is judged yet"
        return
    if material.judge.name != material.benchmark.judge:
        yield (
            f"judged by {material.judge.name}; published scores were made with {material.benchmark.judge}, "
            "and cannot be compared with these"
        )
    if len(material.judge.endpoints) > 1:
        places = " and ".join(endpoint or "a place that is not known" for endpoint in material.judge.endpoints)
        yield f"{material.judge.name} was asked at {places}: the same name may not be the same model"


def _on_the_questions(material: Material) -> Iterator[str]:
    known = material.category_of
    judged = [one for subject in material.subjects for one in subject.judgments] + list(material.games)
    strange = {str(one.question_id) for one in judged} - known.keys()
    if strange:
        yield (
            f"{_number(len(strange), 'judged question is', 'judged questions are')} not among the benchmark's: "
            f"counted in the overall score, with the category {UNKNOWN}"
        )
    sizes = [sum(one.category == name for one in material.questions) for name in material.categories if name != UNKNOWN]
    if sizes and min(sizes) < FEWEST:
        yield f"a category has {_number(min(sizes), 'question', 'questions')}: too few for an interval"


def _on_what_was_asked(material: Material) -> Iterator[str]:
    asked = [{str(question.id) for question in material.asked_of(one)} for one in material.subjects]
    if any(its != asked[0] for its in asked):
        sizes = ", ".join(f"{one.name} {len(its):,}" for one, its in zip(material.subjects, asked, strict=True))
        yield f"the models were not asked the same questions ({sizes}): their means are not comparable"


def _on_manners(material: Material) -> Iterator[str]:
    manners = [one.manner for one in material.subjects if one.manner]
    keys = sorted({key for manner in manners for key in manner})
    if apart := [key for key in keys if any(one.get(key) != manners[0].get(key) for one in manners)]:
        yield f"the models were not asked in the same way: they differ in {', '.join(apart)}"


def _on_a_model(subject: Subject, counts: Counts) -> Iterator[str]:
    total = sum(counts.judgments.values())
    for state, (what, of_one, of_several) in _LOST.items():
        lost = counts.judgments[state]
        if lost == 1:
            yield f"1 of {total:,} {what} {of_one}: the averages leave it out"
        elif lost:
            yield f"{lost:,} of {total:,} {what} {of_several}: the averages leave them out"
    if not subject.answers and total:
        yield "its answers are not here, only judgments of them"
    else:
        for why, words in _UNANSWERED.items():
            number = counts.unanswered[why]
            if number:
                yield f"{number:,} of {counts.turns:,} turns {words[number != 1]}"
    if counts.not_judged:
        yield f"{counts.not_judged:,} of {_number(counts.answers, 'answer is', 'answers are')} not judged yet"
    if counts.repeated:
        yield (
            f"{_number(counts.repeated, 'answer has', 'answers have')} more than one verdict: "
            "all are averaged in, as in FastChat"
        )
    if counts.repeated_otherwise:
        yield (
            f"{_number(counts.repeated_otherwise, 'of them was', 'of them were')} judged from different requests: "
            "were there two sets of references?"
        )
    if subject.num_outdated:
        yield (
            f"{_number(subject.num_outdated, 'verdict is', 'verdicts are')} on an earlier text of an answer that was "
            "judged again: left out"
        )
    if subject.num_of_changed:
        yield (
            f"{_number(subject.num_of_changed, 'verdict is', 'verdicts are')} on other words than the answer has now: "
            "judge again"
        )
    if counts.cut:
        yield f"{_number(counts.cut, 'answer was', 'answers were')} cut at the length limit, and judged all the same"
    if counts.near_ties:
        yield (
            f"{_number(counts.near_ties, 'greedy choice was a near tie', 'greedy choices were near ties')}: "
            "on another machine or in another batch the answer may go on differently there"
        )
    for key in _OF_THE_BENCHMARK:
        if subject.manner.get(key) is not None:
            yield (
                f"asked with {key} {subject.manner[key]} instead of the benchmark's own: "
                "published scores cannot be compared with its own"
            )
    yield from (f"imported: {remark}" for remark in subject.remarks)
    if subject.num_of_others:
        is_of = ("judgment here is of another model", "judgments here are of other models")
        yield f"{_number(subject.num_of_others, *is_of)}: left out"


def _on_a_pair(pair: Pair) -> Iterator[str]:
    if pair.unreadable:
        yield (
            f"in {pair.unreadable:,} of {_number(pair.battles, 'battle', 'battles')} a verdict does not count: "
            "the rates leave them out"
        )
    if pair.unfinished:
        yield f"{_number(pair.unfinished, 'battle has', 'battles have')} one game judged so far: left out"


def _number(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
