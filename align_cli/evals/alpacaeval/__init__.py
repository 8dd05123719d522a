"""AlpacaEval 1 and 2: a judge compares answers to 805 instructions with a reference's (arXiv 2305.14387, 2404.04475).

What a judge is sent, in which order, and how its replies become numbers is alpaca_eval 0.6.6's; so are its files
(`original`).
"""

from __future__ import annotations

from functools import partial

from align_cli.evals.alpacaeval.asks import asks
from align_cli.evals.alpacaeval.evaluation_set import BASELINE, questions
from align_cli.evals.alpacaeval.original import format_of
from align_cli.evals.alpacaeval.outputs import read_questions, read_reference
from align_cli.evals.alpacaeval.reported import addition
from align_cli.evals.alpacaeval.verdicts import read_probabilities, read_ranking
from align_cli.evals.alpacaeval.versions import VERSION_1, VERSION_2
from align_cli.evals.benchmark import Ask, Benchmark, Verdict


def _needs_reply(ask: Ask, text: str) -> Verdict:
    """A reply's words say less than its probabilities; nothing is read from them."""
    return read_probabilities(ask, None)


BENCHMARK = Benchmark(
    name=VERSION_2.benchmark,
    summary="AlpacaEval 2: 805 instructions, compared with GPT-4's answers",
    questions=questions,
    asks=partial(asks, VERSION_2),
    read=_needs_reply,
    read_reply=read_probabilities,
    judge=VERSION_2.judge,
    scale=(0.0, 100.0),
    score="win rate",
    references=(VERSION_2.reference,),
    own_questions=read_questions,
    own_reference=read_reference,
    addition=partial(addition, VERSION_2),
    same_questions=(VERSION_1.benchmark,),
    formats=(format_of(VERSION_2),),
    files=(BASELINE,),
)
BENCHMARK_1 = Benchmark(
    name=VERSION_1.benchmark,
    summary="AlpacaEval 1: the same, compared with text-davinci-003's",
    questions=questions,
    asks=partial(asks, VERSION_1),
    read=read_ranking,
    judge=VERSION_1.judge,
    scale=(0.0, 100.0),
    score="win rate",
    references=(VERSION_1.reference,),
    own_questions=read_questions,
    own_reference=read_reference,
    addition=partial(addition, VERSION_1),
    same_questions=(VERSION_2.benchmark,),
    formats=(format_of(VERSION_1),),
    files=(BASELINE,),
)
