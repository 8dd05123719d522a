"""`align mix`: what a mixture is made of, what was left out of it, and what it is as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from align_cli.cli.render.histogram import bars
from align_cli.cli.render.page import count, duration, emit, grid, heading, is_narrow, lines, number, pairs
from align_cli.cli.render.rows import shown_rows
from align_cli.cli.signs import one_line

_WIDTH_OF_TABLE = 100  # columns from which the sources are a table
_LONGEST = 300  # characters of a reason or a sentence that quotes data


def mixture(view: Mapping[str, Any], stream: TextIO) -> None:
    """The page for the document that `align mix --json` prints; see `cli.mixed.document` for its keys."""
    report, tokens = view["mixture"], view["tokens"]
    name = view["recipe"]["path"] or "(command line only)"
    blocks: list[RenderableType] = [
        Text(name, style="bold").append(f"  {view['task']}, profile {view['recipe']['profile']}", style="dim"),
        heading("Sources", _asked(report)),
        *_sources(report, tokens, stream),
        Text(""),
        pairs(_facts(view)),
    ]
    if tokens and tokens.get("histogram"):
        aside = "tokens of a whole row" + (f"; max_length is {tokens['max_length']:,}" if tokens["max_length"] else "")
        blocks += [heading("Lengths", aside), bars(tokens["histogram"], tokens["max_length"], stream)]
    blocks += _cleaned(report)
    blocks += _bad_rows(report)
    if warnings := [one_line(str(item), _LONGEST) for item in (tokens or {}).get("warnings", ())]:
        blocks += [heading("Warnings"), lines(Text(item, style="yellow") for item in warnings)]
    notes = [*view["notes"], *report.get("notes", ()), *(tokens or {}).get("notes", ())]
    if view["why_no_tokens"]:
        is_counted = any(source.get("tokens") is not None for source in report["sources"])
        what = "no lengths and losses" if is_counted else "no tokens were counted"
        notes.append(f"{what}: {view['why_no_tokens']}")
    if notes:
        blocks += [heading("Notes"), lines(one_line(str(note), _LONGEST) for note in notes)]
    emit(stream, *blocks)
    shown_rows(view["rows"], stream, whole=False)


def _asked(report: Mapping[str, Any]) -> str:
    """What was asked of the mixture as a whole."""
    parameters = report.get("parameters") or {}
    words = [f"combined as {report['combine']}", str(report.get("order") or "shuffled"), f"seed {report['seed']}"]
    words += [f"{parameters[name]:,} {name}" for name in ("rows", "tokens") if parameters.get(name)]
    if parameters.get("temperature") is not None:
        words.append(f"temperature {parameters['temperature']:g}")
    if parameters.get("oversample"):
        words.append("small sources repeat")
    if held_out := parameters.get("held_out"):
        words.append(f"{held_out:.4g} held out" if held_out < 1 else f"{count(int(held_out), 'row')} held out")
    return ", ".join(words)


def _sources(report: Mapping[str, Any], tokens: Mapping[str, Any] | None, stream: TextIO) -> list[RenderableType]:
    per_source: Sequence[Mapping[str, Any]] = (tokens or {}).get("per_source") or ()
    table = []
    for index, source in enumerate(report["sources"]):
        counted = per_source[index] if index < len(per_source) else {}
        table.append(_source(source, counted))
    header = ["source", "for", "layout", "take", "rows", "usable", "kept", "share", "tokens", "in loss", "left out"]
    right = {4, 5, 6, 7, 8, 9}
    shown = [index for index in range(len(header)) if index < 1 or any(row[index] for row in table)]
    if all(source["for"] == "train" for source in report["sources"]):
        shown.remove(1)
    if is_narrow(stream, _WIDTH_OF_TABLE):
        blocks: list[RenderableType] = []
        for row in table:
            blocks.append(Padding(Text(row[0], style="bold", overflow="fold"), (0, 0, 0, 2)))
            blocks.append(Padding(pairs([(header[i], row[i]) for i in shown if i and row[i]]), (0, 0, 0, 2)))
        return blocks
    rows = [[row[index] for index in shown] for row in table]
    right_places = [place for place, index in enumerate(shown) if index in right]
    return [grid([header[index] for index in shown], rows, right=right_places)]


def _source(source: Mapping[str, Any], counted: Mapping[str, Any]) -> list[str]:
    tokens = counted.get("tokens", source.get("tokens"))
    in_loss = counted.get("in_loss")
    left_out = {**(source.get("dropped") or {})}
    for reason, rows in (counted.get("dropped") or {}).items():
        left_out[reason] = left_out.get(reason, 0) + rows
    if source.get("held_out"):
        left_out["held out"] = source["held_out"]
    share = source.get("share")
    return [
        one_line(source["label"]),
        source["for"],
        source.get("layout") or "",
        str(source.get("taken") or ""),
        number(source.get("read", source.get("available"))),
        number(source.get("available")),
        number(source.get("kept")),
        f"{share:.1%}" if isinstance(share, float | int) else "",
        number(tokens),
        f"{in_loss / tokens:.1%}" if tokens and in_loss is not None else "",
        counted_reasons(left_out),
    ]


def _facts(view: Mapping[str, Any]) -> list[tuple[str, str | Text]]:
    report, tokens = view["mixture"], view["tokens"]
    evaluation = f", {report['num_eval']:,} to evaluate on" if report["num_eval"] else ""
    rows: list[tuple[str, str | Text]] = [("rows", f"{report['num_train']:,} to train on{evaluation}")]
    if tokens:
        rows += _token_facts(tokens)
    how = "found in the store" if view["from_store"] else "built now"
    rows.append(("mixture", f"{view['digest'][:16]}, {how}; {duration(view['seconds'], fine=True)} in all"))
    rows.append(("folder", view["folder"]))
    if lock := view["lock"]:
        rows.append(("lock", f"{lock['path']} {'written' if lock['state'] == 'written' else 'holds'}"))
    if export := view["export"]:
        rows.append(("exported", ", ".join([*export["paths"], *([export["url"]] if export.get("url") else [])])))
    return rows


def _token_facts(tokens: Mapping[str, Any]) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = []
    sequences, counted, packing = tokens["sequences"], tokens["tokens"], tokens.get("packing")
    how = f" ({packing['strategy']}, {packing['fill']:.1%} full)" if packing and "fill" in packing else ""
    evaluation = f", {sequences['eval']:,} to evaluate on" if sequences.get("eval") else ""
    rows.append(("sequences", f"{sequences['train']:,} to train on{how}{evaluation}"))
    rows.append(("tokens", f"{counted['train']:,} per epoch, {counted['share_in_loss']:.1%} of them in the loss"))
    lost = tokens.get("truncation") or {}
    if lost.get("rows"):
        text = f"{count(lost['rows'], 'row')}, {count(lost['tokens'], 'token')} cut"
        text += f", {lost['in_loss']:,} of them in the loss" if lost.get("in_loss") is not None else ""
        rows.append(("truncated", Text(text, style="yellow")))
    elif tokens.get("truncated"):
        rows.append(("truncated", Text(count(tokens["truncated"], "row"), style="yellow")))
    elif tokens.get("max_length"):
        rows.append(("truncated", "nothing"))
    if packing and (packing.get("cut_tokens") or packing.get("padding")):
        parts = [f"{count(packing['cut_tokens'], 'token')} cut"] if packing.get("cut_tokens") else []
        parts += [f"{count(packing['padding'], 'token')} of padding"] if packing.get("padding") else []
        rows.append(("packing", Text(", ".join(parts), style="yellow")))
    if dropped := counted_reasons(tokens.get("dropped") or {}):
        rows.append(("left out", Text(dropped, style="yellow")))
    if stop := tokens.get("stop_token"):
        verdict = f"{one_line(str(stop['text']))} is {'' if stop['trained'] else 'NOT '}trained"
        rows.append(("stop token", Text(verdict, style="" if stop["trained"] else "red")))
    return rows


def _cleaned(report: Mapping[str, Any]) -> list[RenderableType]:
    """What each step of cleaning took, with examples, and what was mended."""
    cleaned = report.get("cleaned") or {}
    blocks: list[RenderableType] = []
    if steps := {step: rows for step, rows in (cleaned.get("steps") or {}).items() if rows}:
        rows: list[tuple[str, str | Text]] = []
        for step, total in steps.items():
            rows.append((step, count(total, "row")))
            for item in cleaned.get("examples", ()):
                if item["step"] == step:
                    said = one_line(f"{item['where']}: {item['why']}" if item["why"] else item["where"], _LONGEST)
                    rows.append(("", Text(said, style="dim")))
        blocks += [heading("Left out by cleaning", "align mix show RECIPE --dropped lists them"), pairs(rows)]
    mended = [
        f"{source['label']}: {counted_reasons(source['repaired'])}"
        for source in report["sources"]
        if source.get("repaired")
    ]
    if mended:
        blocks += [heading("Repaired"), lines(one_line(item, _LONGEST) for item in mended)]
    return blocks


def _bad_rows(report: Mapping[str, Any]) -> list[RenderableType]:
    shown = [bad for source in report["sources"] for bad in source.get("bad_rows") or ()]
    if not shown:
        return []
    said = [one_line(f"{bad['where']}: {bad['reason']}", _LONGEST) for bad in shown]
    total = sum((source.get("dropped") or {}).get("bad row", 0) for source in report["sources"])
    aside = f"the first {len(said)} of {total:,}" if total > len(said) else ""
    return [heading("Bad rows", aside), lines(said)]


def counted_reasons(reasons: Mapping[str, int]) -> str:
    """{"near duplicate": 3} -> "3 near duplicate"; nothing for none."""
    return ", ".join(f"{total:,} {one_line(reason)}" for reason, total in reasons.items() if total)
