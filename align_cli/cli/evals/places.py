"""Where an evaluation lies: in the run it is of, else in `evals/` here; what a word on the command line means."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import UsageError
from align_cli.evals import folder
from align_cli.evals.folder import Evaluation

#: In a run's folder, and in the working directory.
EVALS = "evals"
#: What is told of a report's headline -> its name there.
_HEADLINE = {"what": "name", "score": "value", "low": "low", "high": "high"}


def of_model(word: str, benchmark: str, output_dir: Path | None, name: str | None = None) -> Evaluation:
    """Where the answers of a model go: `--output-dir`, else `RUN/evals/BENCHMARK`, else `evals/NAME/BENCHMARK`.

    `word` is what the command line calls the model.
    """
    if output_dir is not None:
        return Evaluation(output_dir)
    if name is None and (run := _run(word)) is not None:
        return Evaluation(run / EVALS / benchmark)
    return Evaluation(Path(EVALS) / folder.slug(name or short_name(word)) / benchmark)


def short_name(word: str) -> str:
    """What reports call a model: a Hub id as it is, the last part of a path, with its run for a checkpoint."""
    if "://" in word:
        return Path(word.partition("://")[2]).stem
    place = Path(word).expanduser()
    if not place.exists() and not word.startswith((".", "/", "~")):
        return word
    parts = [part for part in place.resolve().parts if part != "/"]
    kept = parts[-2:] if place.name.startswith("checkpoint-") else parts[-1:]
    return "/".join(kept) or word


def existing(word: str, benchmark: str) -> Evaluation:
    """The evaluation that a word means: its own folder, its run, or the model that it is of.

    Raises:
        UsageError: there is none; what is near is named.
    """
    if not word.strip():
        raise UsageError("an empty word names no evaluation")
    for place in _candidates(word, benchmark):
        if (place / folder.FACTS).is_file():
            found = folder.of(place)
            if found.benchmark != benchmark:
                hint = f"align eval {found.benchmark} … {word}"
                raise UsageError(f"{place}: this is an evaluation with {found.benchmark}, not {benchmark}", hint=hint)
            return found
    known = [str(one.path) for one in below(benchmark)]
    here = f"; there are {', '.join(known[:5])}{' …' if len(known) > 5 else ''}" if known else ""
    raise UsageError(
        f"{word}: there are no {benchmark} answers of it",
        hint=f"align eval {benchmark} generate {word} makes them{here}",
    )


def below(benchmark: str) -> list[Evaluation]:
    """The evaluations of this benchmark in `evals/` here and in the runs that lie here, sorted by path."""
    from align_cli.runs.reading import find

    found = sorted(Path(EVALS).glob(f"*/{benchmark}/{folder.FACTS}"))
    found += sorted(run / EVALS / benchmark / folder.FACTS for run in find.below().runs)
    return [Evaluation(place.parent) for place in found if place.is_file()]


def reported(run: Path) -> list[dict[str, Any]]:
    """What the reports on a run's model say, one an evaluation; an evaluation without a report has no score."""
    found = []
    for place in sorted((run / EVALS).glob(f"*/{folder.FACTS}")):
        row: dict[str, Any] = {"benchmark": place.parent.name, "folder": str(place.parent), "judge": None}
        row |= {"what": "score", "score": None, "low": None, "high": None, "verdicts": 0, "pairs": 0}
        with suppress(OSError, ValueError, KeyError, IndexError, TypeError):  # no report yet, or one of another version
            report = files.read_json(place.with_name(folder.REPORT))
            model = report["models"][0]
            row |= {name: model["headline"][key] for name, key in _HEADLINE.items()}
            row["verdicts"] = model["overall"]["n"]
            row |= {"judge": report["judge"] and report["judge"]["name"], "pairs": len(report["pairs"])}
        found.append(row)
    return found


def _candidates(word: str, benchmark: str) -> list[Path]:
    place = Path(word).expanduser()
    found = [place, place / EVALS / benchmark, place / benchmark]
    found.append(Path(EVALS) / folder.slug(short_name(word)) / benchmark)
    return found


def _run(word: str) -> Path | None:
    """The run's folder, where the word means one; a checkpoint is not the run's last word."""
    from align_cli.runs.reading import find

    place = Path(word).expanduser()
    return place if place.is_dir() and find.is_run(place) else None
