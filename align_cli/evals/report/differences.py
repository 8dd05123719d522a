"""One model's scores less another's, question by question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from align_cli.evals.report.material import Material, Subject
from align_cli.evals.report.scores import Scores, readable, scores_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """`model` less `against`, over the answers of both that have a readable verdict."""

    model: str
    against: str
    scores: Scores
    """Means of the differences. Their intervals are narrower than those of two means would suggest, because a hard
    question is hard for both."""
    better: int
    equal: int
    worse: int
    """Answers with a higher, the same, a lower score."""

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`."""
        return {
            "model": self.model,
            "against": self.against,
            **self.scores.as_dict(),
            "better": self.better,
            "equal": self.equal,
            "worse": self.worse,
        }


def difference(model: Subject, against: Subject, material: Material) -> Difference:
    """Compare two models; an answer with several verdicts counts with their mean."""
    ours, theirs = ({place: sum(some) / len(some) for place, some in readable(one.judgments).items()}
                    for one in (model, against))  # fmt: skip
    apart = {place: ours[place] - theirs[place] for place in ours if place in theirs}
    return Difference(
        model=model.name,
        against=against.name,
        scores=scores_of({place: [value] for place, value in apart.items()}, material),
        better=sum(value > 0 for value in apart.values()),
        equal=sum(value == 0 for value in apart.values()),
        worse=sum(value < 0 for value in apart.values()),
    )
