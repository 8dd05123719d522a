"""What a report says beyond the mean preference: the leaderboard's columns, and how they hang together with length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from align_cli.errors import AlignError, DataError
from align_cli.evals.alpacaeval import drawings
from align_cli.evals.alpacaeval.evaluation_set import GAMED, questions, reference
from align_cli.evals.alpacaeval.length_control import Form, Gamed, LengthControlled, Row, length_controlled, read_gamed
from align_cli.evals.alpacaeval.versions import Version
from align_cli.evals.alpacaeval.winrates import WinRates, win_rates
from align_cli.evals.benchmark import Assets, Computing, Reference
from align_cli.evals.judgments import Judgment
from align_cli.evals.report.addition import Addition, Headline
from align_cli.evals.report.material import Material, Subject
from align_cli.evals.report.scores import readable, scores_of

PLAIN, CONTROLLED = "win_rate", "length_controlled_winrate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One model against the reference."""

    rates: WinRates
    rows: Sequence[Row]
    avg_length: int | None
    """Characters of its answers, rounded down as the leaderboard does; None without answers."""
    form: Form | None
    """Of the length control; None where there is none."""
    controlled: LengthControlled | None

    def as_dict(self) -> dict[str, Any]:
        """As `leaderboard.csv` names them, and what the length control found."""
        found = {**asdict(self.rates), "avg_length": self.avg_length}
        if self.controlled is None:
            return {**found, CONTROLLED: None, "lc_standard_error": None, "length_control": None}
        controlled = self.controlled
        return {
            **found,
            CONTROLLED: controlled.win_rate,
            "lc_standard_error": controlled.standard_error,
            "length_control": {
                "form": f"length_controlled_{self.form}",
                "C": controlled.C,
                "coefficients": controlled.coefficients._asdict(),
            },
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Control:
    """With what lengths are controlled for."""

    form: Form
    gamed: Sequence[Gamed] = ()
    positions: Mapping[str, int] | None = None
    as_original: bool = False
    """Difficulties by the row's number."""


def addition(version: Version, material: Material, computing: Computing) -> Addition:
    """The leaderboard's columns of every model, and drawings of them.

    The headline is what the version's leaderboard ranks by: with version 2 the length-controlled win rate. Beside
    reference answers of the user's own there is no leaderboard, and it is the plain one.

    Raises:
        DataError: the length control's data of the user's own are damaged.
    """
    notes: list[str] = []
    control = _control(version, material, computing, notes) if version.has_length_control else None
    is_published = version.has_length_control and (control is None or control.form != "minimal")
    theirs = _reference(version, material, computing.assets, notes)
    measured = {one.name: _measured(one, material, theirs, control, notes) for one in material.subjects}
    headlines = {one.name: _headline(measured[one.name], one, material, is_published) for one in material.subjects}
    measured = {name: measured[name] for name in sorted(measured, key=lambda name: _rank(name, measured, headlines))}
    return Addition(
        metrics={name: one.as_dict() for name, one in measured.items()},
        headlines=headlines,
        drawings=drawings.of({name: one.rows for name, one in measured.items()}, material.reference),
        reference=_shown(material, theirs),
        notes=notes,
    )


def _rank(name: str, measured: Mapping[str, Measured], headlines: Mapping[str, Headline]) -> tuple[float, float, str]:
    """The report's own order, so that a model has one colour everywhere."""
    values = (headlines[name].value, measured[name].rates.win_rate)
    first, second = (float("inf") if value is None else -value for value in values)
    return first, second, name


def _headline(one: Measured, subject: Subject, material: Material, is_controlled: bool) -> Headline:
    if not is_controlled:
        plain = scores_of(readable(subject.judgments), material).overall
        return Headline(name=PLAIN, value=one.rates.win_rate, low=plain.low, high=plain.high)
    if one.controlled is None:
        return Headline(name=CONTROLLED, value=None)
    # Its standard error is the spread of instructions, no interval of the estimate: none is claimed.
    return Headline(name=CONTROLLED, value=one.controlled.win_rate)


def _control(version: Version, material: Material, computing: Computing, notes: list[str]) -> _Control | None:
    """The form that fits what was judged; None, and a note, where its data cannot be had."""
    if computing.length_control is not None:
        gamed = read_gamed(computing.length_control)
        notes.append(f"length control with the data of {computing.length_control.name}, not the leaderboard's")
        positions = {question.turns[0]: number for number, question in enumerate(material.questions)}
        return _Control(form="v1", gamed=gamed, positions=positions, as_original=computing.as_original)
    if material.reference != version.reference and not computing.as_original:
        notes.append(
            f"length control knows lengths only (length_controlled_minimal): AlpacaEval's difficulties of instructions "
            f"belong to answers of {version.reference}, and these were held against {material.reference}"
        )
        return _Control(form="minimal")
    try:
        gamed = read_gamed(computing.assets.path(GAMED))
        asked = questions(computing.assets)
    except AlignError as error:
        first = f" ({error.problems[0].message})" if error.problems else ""
        notes.append(f'no {CONTROLLED}: the file "{GAMED}" cannot be had{first}; {error.hint}')
        return None
    if computing.as_original:
        notes.append("as the original: difficulties of instructions go by the row's number, not by its instruction")
    positions = {question.turns[0]: number for number, question in enumerate(asked)}
    return _Control(form="v1", gamed=gamed, positions=positions, as_original=computing.as_original)


def _reference(version: Version, material: Material, assets: Assets, notes: list[str]) -> Reference | None:
    """The benchmark's own answers, where something was judged beside them."""
    if material.reference != version.reference or all(one.reference is not None for one in material.subjects):
        return None
    try:
        return reference(assets, version.reference_file)
    except DataError as error:
        notes.append(f"nothing about lengths: {error.message}")
        return None


def _shown(material: Material, theirs: Reference | None) -> Reference | None:
    """The reference answers for reading, by question; the models' own copies come first."""
    if not material.reference:
        return None
    held = [*(one.reference for one in material.subjects), theirs]
    answers: dict[int | str, Sequence[str]] = {
        str(question): turns for one in reversed(held) if one is not None for question, turns in one.answers.items()
    }
    return Reference(name=material.reference, answers=answers)


def _measured(
    subject: Subject, material: Material, theirs: Reference | None, control: _Control | None, notes: list[str]
) -> Measured:
    preferences = [preference for _, preference in _preferences(subject, material)]
    rows = list(_rows(subject, material, subject.reference or theirs))
    known = subject.reference or theirs
    if known is not None and (lacking := len(subject.answers.keys() - {str(one) for one in known.answers})):
        notes.append(f"{subject.name}: {material.reference} has not answered {lacking} of its instructions: not judged")
    lengths = [len(turns[0].text) for turns in subject.answers.values() if turns]
    controlled = None
    if control is not None and rows:
        try:
            controlled = length_controlled(
                rows,
                form=control.form,
                gamed=control.gamed,
                positions=control.positions,
                by_row_position=control.as_original,
            )
        except DataError as error:
            notes.append(f"{subject.name}: no {CONTROLLED}: {error.message}")
    if controlled is not None and not any(controlled.coefficients) and not (control and control.as_original):
        few = f"{len(rows)} verdicts are too few: cross-validation prefers no effect at all"
        notes.append(f"{subject.name}: no {CONTROLLED}: {few}")
        controlled = None
    if controlled is not None:
        if controlled.num_left_out:
            notes.append(
                f"{subject.name}: {CONTROLLED} leaves out {controlled.num_left_out} instructions without a "
                "known difficulty"
            )
        if controlled.is_extreme:
            notes.append(f"{subject.name}: {CONTROLLED} is far from the plain one: the regression may have failed")
    return Measured(
        rates=win_rates(preferences),
        rows=rows,
        avg_length=int(sum(lengths) / len(lengths)) if lengths else None,
        form=control.form if control and controlled else None,
        controlled=controlled,
    )


def _preferences(subject: Subject, material: Material) -> Iterator[tuple[Judgment, float | None]]:
    """Every verdict from 0 to 1, in the order of the model's questions; None for one that does not count.

    A request without a verdict is passed over where another about the same instruction has one.
    """
    order = subject.order or [str(question.id) for question in material.questions]
    places = {question: number for number, question in enumerate(order)}
    found = sorted(subject.judgments, key=lambda one: places.get(str(one.question_id), len(places)))
    counted = {one.question_id for one in found if _score(one) is not None}
    for one in found:
        score = _score(one)
        if score is not None or one.question_id not in counted:
            yield one, None if score is None else score / 100


def _score(one: Judgment) -> float | None:
    return one.score if one.state == "ok" else None


def _rows(subject: Subject, material: Material, reference: Reference | None) -> Iterator[Row]:
    """A verdict with the two lengths, where both answers are here."""
    if reference is None:
        return
    asked = {str(question.id): question.turns[0] for question in material.questions}
    theirs = {str(question): turns[0] for question, turns in reference.answers.items() if turns}
    for one, preference in _preferences(subject, material):
        question = str(one.question_id)
        ours = subject.answers.get(question)
        if ours and question in theirs and question in asked:
            yield Row(asked[question], preference, len(ours[0].text), len(theirs[question]))
