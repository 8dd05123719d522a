"""The options of `align eval`, in groups; a command takes the groups that concern it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from align_cli.errors import UsageError
from align_cli.evals.answering import Choice
from align_cli.evals.asking.limits import Limits
from align_cli.evals.benchmark import Assets

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Categories = Annotated[
    list[str] | None, typer.Option("--category", metavar="NAME", help="Only this category; may be repeated.")
]
KeyEnv = Annotated[
    str | None, typer.Option("--key-env", metavar="NAME", help="Variable with its API key, not OPENAI_API_KEY.")
]
System = Annotated[
    str | None, typer.Option("--system", metavar="TEXT", help="System prompt, or none; not the run's own.")
]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with the model.")
]


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is printed."""

    as_json: Json = False


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the benchmark's files are."""

    assets: Annotated[
        Path | None,
        typer.Option("--assets", metavar="DIR", help="A folder with the benchmark's files; without a network."),
    ] = None

    @property
    def files(self) -> Assets:
        """As a benchmark takes them."""
        return Assets(self.assets)


@dataclass(frozen=True, kw_only=True)
class Questions(Files):
    """Which questions, and where the benchmark's files are."""

    first: Annotated[
        int | None, typer.Option("--first", metavar="N", help="Only N questions of each category; the rest may follow.")
    ] = None
    category: Categories = None

    @property
    def choice(self) -> Choice:
        """Which of them.

        Raises:
            UsageError: a number that cannot be.
        """
        demand_positive("--first", self.first)
        return Choice(first=self.first, categories=tuple(self.category or ()))


@dataclass(frozen=True, kw_only=True)
class Answering:
    """Who answers, and how."""

    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="URL", help="A server that has MODEL and speaks OpenAI's protocol."),
    ] = None
    key_env: KeyEnv = None
    questions: Annotated[
        Path | None,
        typer.Option("--questions", metavar="FILE", help="Your own questions, where a benchmark can be asked others."),
    ] = None
    engine: Annotated[
        str, typer.Option("--engine", metavar="ENGINE", help="Without --endpoint: transformers or vllm.")
    ] = "transformers"
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", metavar="N", help="Answers made at a time, not as many as fit."),
    ] = None
    system: System = None
    chat_template: Annotated[
        str | None,
        typer.Option("--chat-template", metavar="NAME", help="chatml, zephyr or a file; not the model's own."),
    ] = None
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="For every question; without it, the benchmark's own.")
    ] = None
    max_new_tokens: Annotated[
        int | None,
        typer.Option("--max-new-tokens", metavar="N", help="Longest answer, not the benchmark's own."),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Of sampling.")] = 0
    base: Annotated[
        str | None, typer.Option("--base", metavar="MODEL", help="The adapter's base, instead of the one it names.")
    ] = None
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit on the Hub.")] = None
    dtype: Dtype = "auto"
    trust_remote_code: TrustRemoteCode = False
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What reports call the model; also its folder's name.")
    ] = None
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", metavar="DIR", help="The evaluation's folder, not one in the run or in evals/."),
    ] = None
    restart: Annotated[
        bool, typer.Option("--restart", help="Make all answers anew; the old folder is moved aside, not deleted.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a server is asked."""

    in_flight: Annotated[int, typer.Option("--in-flight", metavar="N", help="Requests at a time.")] = 16
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", metavar="N", help="At most so many.")
    ] = None
    tokens_per_minute: Annotated[
        int | None, typer.Option("--tokens-per-minute", metavar="N", help="At most so many, in and out.")
    ] = None
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Longest wait for one reply.")] = 120.0

    @property
    def limits(self) -> Limits:
        """As the client takes them.

        Raises:
            UsageError: a number that cannot be.
        """
        for name, value in vars(self).items():
            demand_positive(f"--{name.replace('_', '-')}", value)
        return Limits(
            in_flight=self.in_flight,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            timeout_s=self.timeout,
        )


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Who judges what, and what it may cost."""

    judge: Annotated[
        str | None, typer.Option("--judge", metavar="MODEL", help="Without it, the judge of published scores.")
    ] = None
    judge_endpoint: Annotated[
        str | None,
        typer.Option("--judge-endpoint", metavar="URL", help="Where it is served, not OPENAI_BASE_URL or OpenAI."),
    ] = None
    judge_key_env: Annotated[
        str | None,
        typer.Option("--judge-key-env", metavar="NAME", help="Variable with its API key, not OPENAI_API_KEY."),
    ] = None
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help="single, pairwise-baseline or pairwise-all (both orders).")
    ] = "single"
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="RUN", help="Whose answers the others are held against.")
    ] = None
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "--references",
            metavar="SET|FILE|RUN",
            help="Reference answers: a set's name, or a file or run of your own.",
        ),
    ] = None
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="USD", help="Stop before more than this is spent.")
    ] = None
    price: Annotated[
        str | None,
        typer.Option("--price", metavar="IN,OUT", help="USD per million tokens, where the judge's are not known."),
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Spend what the estimate says without asking.")] = False
    share: Annotated[
        bool | None,
        typer.Option(
            "--share/--no-share",
            help="Take over replies that other evaluations had to the same request; not from a server of your own.",
        ),
    ] = None
    retry: Annotated[
        list[str] | None,
        typer.Option("--retry", metavar="STATE", help="Ask again what ended unreadable, filtered, …; may be repeated."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """What the report is held against, and where it goes."""

    against: Annotated[
        str | None, typer.Option("--against", metavar="RUN", help="Paired differences to this evaluation.")
    ] = None
    fail_below: Annotated[
        float | None, typer.Option("--fail-below", metavar="SCORE", help="Exit with 7 if a score is lower.")
    ] = None
    as_original: Annotated[
        bool, typer.Option("--as-original", help="Compute as the benchmark's own program does, its faults included.")
    ] = False
    length_control: Annotated[
        Path | None,
        typer.Option("--length-control", metavar="FILE", help="Your own df_gamed.csv, of your questions and judge."),
    ] = None
    plot: Annotated[
        list[Path] | None,
        typer.Option("--plot", metavar="FILE", help="Draw the radar chart into a .svg or .png; may be repeated."),
    ] = None


def demand_positive(option: str, value: float | None) -> None:
    """Raise for a number that must be above zero and is not.

    Raises:
        UsageError: naming the option.
    """
    demand_number(option, value)
    if value is not None and value <= 0:
        raise UsageError(f"{option} is {value:g}: it must be above 0")


def demand_number(option: str, value: float | None) -> None:
    """Raise for what calls itself a number and is none: comparisons with it pass, or fail, whatever they ask.

    Raises:
        UsageError: naming the option.
    """
    if value is not None and not math.isfinite(value):
        raise UsageError(f"{option} is {value:g}: it must be a number")
