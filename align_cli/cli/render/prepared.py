"""What is printed before the first step and after the last: the data as the trainer sees them, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from align_cli.cli.render.page import count, duration, emit, grid, heading, lines, number, pairs
from align_cli.cli.render.rows import shortened
from align_cli.cli.signs import visible
from align_cli.cli.text import has_colour

#: What is told of a finished run, where it was measured.
_RESULTS = (
    "train_loss",
    "eval_loss",
    "eval_rewards/accuracies",
    "eval_rewards/margins",
    "eval_accuracy",
    "eval_mean_token_accuracy",
)


def preparation(report: Mapping[str, Any], plan: Mapping[str, Any], stream: TextIO, *, from_store: bool) -> None:
    """The preparation report of a task's `prepare`, and the steps that follow from it."""
    blocks: list[RenderableType] = []
    mixture = report.get("mixture") or {}
    aside = "as prepared before" if from_store else "prepared now"
    blocks += [heading("Data", aside), _sources(mixture)]
    blocks.append(pairs(_facts(report, plan)))
    if warnings := report.get("warnings"):
        blocks += [heading("Warnings"), lines(str(warning) for warning in warnings)]
    if notes := [*mixture.get("notes", ()), *report.get("notes", ())]:
        blocks += [heading("Notes"), lines(str(note) for note in notes)]
    if segments := (report.get("sample") or {}).get("segments"):
        shown = "the loss covers the coloured text" if has_colour(stream) else "the loss covers the text in ⟦ ⟧"
        shown = "whole answers are scored" if report.get("loss") == "score" else shown
        blocks += [heading("Sample", shown), Padding(sample(segments, colour=has_colour(stream)), (0, 0, 0, 2))]
    emit(stream, *blocks, Text(""))


def finished(summary: Mapping[str, Any], stream: TextIO) -> None:
    """The end of a run: what came out, where it is, what to type next."""
    rows = [("run", str(summary["run"]))]
    metrics = summary.get("metrics") or {}
    if shown := [f"{name} {metrics[name]:.4g}" for name in _RESULTS if isinstance(metrics.get(name), (int, float))]:
        rows.append(("result", ", ".join(shown)))
    if seconds := summary.get("seconds"):
        rows.append(("time", duration(seconds)))
    rows += [("next", step) for step in summary.get("next", ())]
    emit(stream, heading(summary["title"]), pairs(rows))


def answers(rows: Sequence[Mapping[str, str]], stream: TextIO) -> None:
    """The same questions answered before and after training."""
    blocks: list[RenderableType] = [heading("Before and after", "the same questions, greedy decoding")]
    for row in rows:
        blocks += [Text(""), Text(f"  {row['question']}", style="bold")]
        before, after = Text(_one_line(row["before"]), style="dim"), Text(_one_line(row["after"]), style="green")
        blocks.append(pairs([("before", before), ("after", after)]))
    emit(stream, *blocks)


def _sources(mixture: Mapping[str, Any]) -> RenderableType:
    rows = [
        (
            source.get("label", ""),
            source.get("layout") or "",
            number(source.get("available")),
            number(source.get("kept")),
            f"{source['share']:.0%}" if isinstance(source.get("share"), (int, float)) else "",
            _counted(source.get("dropped") or {}),
        )
        for source in mixture.get("sources", ())
    ]
    if not any(row[5] for row in rows):
        return grid(("source", "layout", "rows", "kept", "share"), [row[:5] for row in rows], right=(2, 3, 4))
    return grid(("source", "layout", "rows", "kept", "share", "dropped"), rows, right=(2, 3, 4))


def _facts(report: Mapping[str, Any], plan: Mapping[str, Any]) -> list[tuple[str, str | Text]]:
    sequences, tokens = report.get("sequences") or {}, report.get("tokens") or {}
    rows: list[tuple[str, str | Text]] = []
    evaluation = f", {sequences['eval']:,} to evaluate on" if sequences.get("eval") else ""
    packed = report.get("packing")
    how = f" ({packed['strategy']}, {packed['fill']:.1%} full)" if packed and "fill" in packed else ""
    unit = str(report.get("unit") or "sequences")
    rows.append((unit, f"{number(sequences.get('train'))} to train on{how}{evaluation}"))
    if tokens:
        share = tokens.get("share_in_loss") if report.get("loss") != "score" else None
        in_loss = f", {share:.1%} of them in the loss" if share is not None else ""
        rows.append(("tokens", f"{number(tokens.get('train'))} per epoch{in_loss}"))
    if lengths := report.get("lengths"):
        limit = f"; cut at {report['max_length']:,}" if report.get("max_length") else ""
        words = ", ".join(
            f"{name} {number(lengths[name])}" for name in ("min", "median", "p95", "max") if name in lengths
        )
        rows.append(("lengths", f"{words}{limit}"))
    if report.get("truncated"):
        rows.append(("truncated", Text(_rows(report["truncated"]), style="yellow")))
    if dropped := _counted(report.get("dropped") or {}):
        rows.append(("dropped", Text(dropped, style="yellow")))
    if stop := report.get("stop_token"):
        trained = stop.get("trained")
        words = f"{stop.get('text')} is {'' if trained else 'NOT '}trained"
        rows.append(("stop token", Text(words, style="" if trained else "red")))
    if template := report.get("template"):
        source = str(template.get("source") or "")
        rows.append(("template", "the tokenizer's own" if source == "the tokenizer" else source))
    elif "template" in report:
        rows.append(("template", "none: these rows are plain text, to which no chat template is applied"))
    if plan.get("num_steps"):
        per_epoch = f" ({plan['steps_per_epoch']:,} per epoch)" if plan.get("steps_per_epoch") else ""
        rows.append(("steps", f"{plan['num_steps']:,}{per_epoch}, {plan['global_batch_size']} {unit} each"))
    return rows


def _rows(value: Any) -> str:
    return _counted(value) if isinstance(value, Mapping) else count(int(value), "row")


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)


def sample(segments: Sequence[Sequence[Any]], *, colour: bool) -> Text:
    """The sample with its loss mask; a long one loses its middle, never its ends."""
    text = Text(overflow="fold")
    for words, in_loss in shortened(segments):
        if in_loss and not colour:
            text.append(f"⟦{visible(words)}⟧")
        else:
            text.append(visible(words), style="green" if in_loss else "dim")
    text.rstrip()
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "(nothing)"
