"""MT-Bench: 80 questions of two turns; a judge rates each answer, or compares two models' (arXiv 2306.05685).

What is asked, how and at which temperature is FastChat's `llm_judge`, to the byte; so are its files (`fastchat`).
"""

from __future__ import annotations

from align_cli.evals.benchmark import MODES, Benchmark
from align_cli.evals.mtbench import fastchat
from align_cli.evals.mtbench.asks import asks
from align_cli.evals.mtbench.prompts import REFERENCES
from align_cli.evals.mtbench.questions import QUESTIONS, questions
from align_cli.evals.mtbench.verdicts import read

BENCHMARK = Benchmark(
    name="mtbench",
    summary="MT-Bench: 80 questions of two turns, judged 1 to 10",
    questions=questions,
    asks=asks,
    read=read,
    judge="gpt-4",
    scale=(1.0, 10.0),
    modes=MODES,
    references=REFERENCES,
    formats=(fastchat.FORMAT,),
    files=(QUESTIONS,),
)
