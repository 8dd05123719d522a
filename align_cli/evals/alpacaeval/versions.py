"""The two versions: who judges, with which prompt, against whose answers.

Source: alpaca_eval 0.6.6, evaluators_configs/{weighted_alpaca_eval_gpt4_turbo,alpaca_eval_gpt4}/configs.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from align_cli.evals.alpacaeval.evaluation_set import BASELINE, BASELINE_1


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """How a version judges."""

    benchmark: str
    """The name of the benchmark here."""
    annotator: str
    """The original's name for the judge with this prompt."""
    judge: str
    prompt: str
    """In `assets.toml`."""
    reference: str
    """Whose answers the models' are held against."""
    reference_file: str
    """In `assets.toml`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of every request to a judge."""
    has_length_control: bool = False
    """Whether its leaderboard ranks by length-controlled win rates."""

    @property
    def prompt_name(self) -> str:
        """As judgments have it."""
        return self.prompt.rpartition("/")[2].removesuffix(".txt")


VERSION_2 = Version(
    benchmark="alpacaeval",
    annotator="weighted_alpaca_eval_gpt4_turbo",
    judge="gpt-4-1106-preview",
    prompt="alpaca_eval/alpaca_eval_clf.txt",
    reference="gpt4_1106_preview",
    reference_file=BASELINE,
    parameters={"temperature": 1, "max_tokens": 1, "top_p": 1, "logprobs": True, "top_logprobs": 5},
    has_length_control=True,
)
VERSION_1 = Version(
    benchmark="alpacaeval1",
    annotator="alpaca_eval_gpt4",
    judge="gpt-4",
    prompt="alpaca_eval/alpaca_eval.txt",
    reference="text_davinci_003",
    reference_file=BASELINE_1,
    parameters={"temperature": 0, "max_tokens": 100, "top_p": 1},
)
VERSIONS = (VERSION_2, VERSION_1)
