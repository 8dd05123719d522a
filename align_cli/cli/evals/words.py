"""The options that several commands of `align eval` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
OutputDir = Annotated[
    Path | None,
    typer.Option("--output-dir", metavar="DIR", help="The evaluation's folder, not evals/ in the run or here."),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What reports call the model, instead of its own name.")
]
AssetsFolder = Annotated[
    Path | None,
    typer.Option("--assets", metavar="DIR", help="A folder with the benchmark's files; without a network."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Spend what the estimate says without asking.")]

# Answers
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="The model is served there (OpenAI's protocol); MODEL is its name."),
]
Engine = Annotated[
    str | None, typer.Option("--engine", metavar="ENGINE", help="transformers (the default here) or vllm.")
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="For every question; without it, the benchmark's own.")
]
MaxNewTokens = Annotated[int | None, typer.Option("--max-new-tokens", help="Longest answer, not the benchmark's own.")]
Seed = Annotated[int, typer.Option("--seed", help="Of sampling.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Answers made at a time; without it, as fits.")]
System = Annotated[
    str | None, typer.Option("--system", metavar="TEXT", help="System prompt, or none; not the run's own.")
]
ChatTemplate = Annotated[
    str | None,
    typer.Option("--chat-template", metavar="NAME", help="chatml, zephyr or a file; not the model's own."),
]
Base = Annotated[
    str | None, typer.Option("--base", metavar="MODEL", help="The adapter's base, instead of the one it names.")
]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit on the Hub.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with the model.")
]
First = Annotated[
    int | None, typer.Option("--first", metavar="N", help="Only N questions of each category; the rest may follow.")
]
Category = Annotated[
    list[str] | None, typer.Option("--category", metavar="NAME", help="Only this category; may be repeated.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Make all answers anew; the old folder is moved aside, not deleted.")
]
InFlight = Annotated[int, typer.Option("--in-flight", metavar="N", help="Requests at a time.")]
RequestsPerMinute = Annotated[int | None, typer.Option("--requests-per-minute", metavar="N", help="At most.")]
TokensPerMinute = Annotated[int | None, typer.Option("--tokens-per-minute", metavar="N", help="At most, in and out.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Longest wait for one reply.")]
KeyEnv = Annotated[
    str | None,
    typer.Option("--key-env", metavar="NAME", help="Variable with the API key, not OPENAI_API_KEY."),
]

# Judgments
Judge = Annotated[
    str | None, typer.Option("--judge", metavar="MODEL", help="Who judges; without it, who published scores had.")
]
JudgeEndpoint = Annotated[
    str | None,
    typer.Option("--judge-endpoint", metavar="URL", help="Where the judge is served, not OPENAI_BASE_URL or OpenAI."),
]
JudgeKeyEnv = Annotated[
    str | None,
    typer.Option("--judge-key-env", metavar="NAME", help="Variable with the judge's API key, not OPENAI_API_KEY."),
]
Mode = Annotated[
    str, typer.Option("--mode", metavar="MODE", help="single, pairwise-baseline or pairwise-all (both orders).")
]
Baseline = Annotated[
    str | None, typer.Option("--baseline", metavar="RUN", help="Whose answers the others are held against.")
]
References = Annotated[
    str | None, typer.Option("--references", metavar="SET", help="Reference answers that the judge is shown.")
]
MaxCost = Annotated[float | None, typer.Option("--max-cost", metavar="USD", help="Stop before more is spent.")]
Price = Annotated[
    str | None,
    typer.Option("--price", metavar="IN,OUT", help="USD per million tokens, where the judge's are not known."),
]
Retry = Annotated[
    list[str] | None,
    typer.Option("--retry", metavar="STATE", help="Ask again what ended unreadable, filtered, …; may be repeated."),
]

# Reports
Against = Annotated[str | None, typer.Option("--against", metavar="RUN", help="Paired differences to this evaluation.")]
FailBelow = Annotated[
    float | None, typer.Option("--fail-below", metavar="SCORE", help="Exit with 7 if the score is lower.")
]
Plot = Annotated[
    list[Path] | None,
    typer.Option("--plot", metavar="FILE", help="Draw the radar chart into a .svg or .png; may be repeated."),
]


def demand_positive(**values: Any) -> None:
    """Raise for a number that must be above zero and is not; the keyword is the option's name.

    Raises:
        UsageError: naming the option.
    """
    for name, value in values.items():
        if value is not None and value <= 0:
            raise UsageError(f"--{name.replace('_', '-')} is {value:g}: it must be above 0")
