"""AlpacaEval 1 and 2: a judge compares answers to 805 instructions with a reference's (arXiv 2305.14387, 2404.04475).

What a judge is sent, in which order, and how its replies become numbers is alpaca_eval 0.6.6's; so are its files
(`original`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from align_cli.evals.alpacaeval.asks import asks
from align_cli.evals.alpacaeval.evaluation_set import BASELINE, questions
from align_cli.evals.alpacaeval.original import format_of
from align_cli.evals.alpacaeval.outputs import read_questions, read_reference
from align_cli.evals.alpacaeval.reported import addition
from align_cli.evals.alpacaeval.verdicts import read_probabilities, read_ranking
from align_cli.evals.alpacaeval.versions import VERSION_1, VERSION_2, VERSIONS, Version
from align_cli.evals.benchmark import Ask, Benchmark, Verdict


def _needs_reply(ask: Ask, text: str) -> Verdict:
    """A reply's words say less than its probabilities; nothing is read from them."""
    return read_probabilities(ask, None)


def _benchmark(version: Version, summary: str, **reading: Any) -> Benchmark:
    """A version: both ask the same, and differ in how they judge."""
    return Benchmark(
        name=version.benchmark,
        summary=summary,
        questions=questions,
        asks=partial(asks, version),
        judge=version.judge,
        scale=(0.0, 100.0),
        score="win rate",
        references=(version.reference,),
        own_questions=read_questions,
        own_reference=read_reference,
        addition=partial(addition, version),
        same_questions=tuple(other.benchmark for other in VERSIONS if other is not version),
        formats=(format_of(version),),
        files=(BASELINE,),
        **reading,
    )


BENCHMARK = _benchmark(
    VERSION_2,
    "AlpacaEval 2: 805 instructions, compared with GPT-4's answers",
    read=_needs_reply,
    read_reply=read_probabilities,
)
BENCHMARK_1 = _benchmark(VERSION_1, "AlpacaEval 1: the same, compared with text-davinci-003's", read=read_ranking)
