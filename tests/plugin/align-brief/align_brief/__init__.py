"""Does a model keep to the length it is asked for? A judge gives 1 to 5."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from align_cli.plugins import Ask, Assets, Benchmark, Judging, Question, Verdict

SYSTEM = (
    "You grade how well an answer keeps to the length that was asked for. "
    "Say why, then end with: Score: N, where N is 1 to 5."
)


def questions(assets: Assets) -> list[Question]:
    lines = (Path(__file__).parent / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = map(json.loads, lines)
    return [Question(id=row["id"], category=row["category"], turns=tuple(row["turns"])) for row in rows]


def asks(judging: Judging) -> Iterator[Ask]:
    for model, answers in judging.answers.items():
        for question in judging.questions:
            for answer in answers.get(question.id, ()):
                user = f"Request: {question.turns[answer.turn - 1]}\n\nAnswer: {answer.text}"
                yield Ask(
                    question_id=question.id,
                    turn=answer.turn,
                    prompt="brief-v1",
                    models=(model,),
                    messages=({"role": "system", "content": SYSTEM}, {"role": "user", "content": user}),
                    parameters={"temperature": 0, "max_tokens": 256},
                )


def read(ask: Ask, reply: str) -> Verdict:
    found = re.findall(r"Score:\s*([1-5])\b", reply)
    if len(set(found)) != 1:
        return Verdict(unreadable=f"{len(found)} scores in the reply" if found else 'no "Score: N" in the reply')
    return Verdict(score=float(found[0]))


BENCHMARK = Benchmark(
    name="brief",
    summary="Does a model keep to the length it is asked for?",
    questions=questions,
    asks=asks,
    read=read,
    judge="gpt-4o",
    scale=(1.0, 5.0),
)
