"""`align runs show`: one run on a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from align_cli.cli.render.evals.of_run import evaluations
from align_cli.cli.render.page import count, duration, emit, grid, heading, is_narrow, lines, number, pairs
from align_cli.cli.render.planned import spelled
from align_cli.cli.render.prepared import sample
from align_cli.cli.render.run_list import status
from align_cli.cli.signs import one_line
from align_cli.cli.size import bytes_as_text
from align_cli.cli.text import has_colour
from align_cli.runs.reading.record import mappings

_LONGEST = 300  # characters of a sentence out of a file
_WIDTH_OF_TABLE = 72  # columns
_COUNTED = {"train": "to train on", "eval": "to evaluate on", "in_loss": "in the loss"}
_Pairs = list[tuple[str, str | Text]]


def run(view: Mapping[str, Any], stream: TextIO) -> None:
    """The page for the document of `runs.story.tell`, with `verified` beside it."""
    title = Text(one_line(view["name"]), style="bold").append("  ").append_text(status(view))
    blocks: list[RenderableType] = [title, pairs(_head(view))]
    blocks += _failures(view)
    if view["problems"]:
        said = [Text(one_line(f"{one['where']}: {one['message']}"), "red") for one in view["problems"]]
        blocks += [heading("Damaged"), lines(said)]
    blocks += _recipe(view["recipe"])
    blocks += [heading("Model"), pairs(_model(view["model"]))]
    blocks += _data(view["data"], stream)
    blocks += _checks(view, stream)
    blocks += _metrics(view)
    blocks += evaluations(view)
    blocks += [heading("Made with"), pairs(_circumstances(view))]
    blocks += _files(view)
    emit(stream, *blocks)


def _head(view: Mapping[str, Any]) -> _Pairs:
    steps, timing = view["steps"], view["time"]
    task = ", ".join(filter(None, (view["task"], f"profile {view['profile']}" if view["profile"] else "")))
    rows: _Pairs = [("task", one_line(task) or "not known")]
    if view["resumes_from"]:
        rows.append(("resumes", f"the same command goes on from {view['resumes_from']}"))
    if steps["done"] is not None or steps["total"] is not None:
        of = f" of {steps['total']:,}" if steps["total"] is not None else ""
        epochs = f", {_epochs(steps['epochs'])}" if isinstance(steps["epochs"], int | float) else ""
        batch = (
            f", {steps['global_batch_size']} {view['data']['unit'] or 'sequences'} each"
            if steps["global_batch_size"]
            else ""
        )
        rows.append(("steps", f"{number(steps['done']) or 0}{of}{epochs}{batch}"))
    if timing["seconds"]:
        speed = f", {timing['tokens_per_second']:,.0f} tokens/s" if timing["tokens_per_second"] else ""
        rows.append(("trained", f"{duration(timing['seconds'], fine=True)}, {number(timing['tokens'])} tokens{speed}"))
    elif timing["tokens"]:
        rows.append(("trained", f"{number(timing['tokens'])} tokens"))
    if steps["resumed_from"]:
        rows.append(("resumed", f"the last attempt began at {steps['resumed_from']}"))
    rows += [("when", view["when"] or "not known"), ("on disk", bytes_as_text(view["bytes"]))]
    if view["published"]:
        rows.append(("published", str(view["published"])))
    return rows


def _failures(view: Mapping[str, Any]) -> list[RenderableType]:
    blocks: list[RenderableType] = []
    for failure in view["failures"]:
        rank = f"process {failure['rank']}" if failure["rank"] else ""
        blocks.append(heading("Failure", rank))
        kind = str(failure.get("type") or "")
        message = one_line(str(failure.get("message") or "its file says nothing"), _LONGEST)
        said = [Text(f"{kind}: {message}" if kind else message, style="red")]
        for problem in mappings(failure.get("problems")):
            said.append(Text(one_line(f"{problem.get('where', '')}: {problem.get('message', '')}".lstrip(": "))))
        if failure.get("hint"):
            said.append(Text(one_line(str(failure["hint"]), _LONGEST), style="dim"))
        if failure.get("traceback"):
            last = str(failure["traceback"]).strip().splitlines()
            said.append(Text(f"traceback of {len(last)} lines: in --json, and in the failure file", style="dim"))
        blocks.append(lines(said))
    return blocks


def _recipe(recipe: Mapping[str, Any]) -> list[RenderableType]:
    rows: list[tuple[str | Text, ...]] = [
        (one_line(key), spelled(entry["value"]), one_line(entry["from"])) for key, entry in recipe["values"].items()
    ]
    rows += [(Text(f"({one_line(key)})", "dim"), spelled(v), "profile") for key, v in recipe["behaviours"].items()]
    blocks: list[RenderableType] = [heading("Recipe", one_line(recipe["path"]))]
    if rows:
        blocks.append(grid(("key", "value", "from"), rows, whole=(0,)))
    if recipe["notes"]:
        blocks.append(lines(one_line(note, _LONGEST) for note in recipe["notes"]))
    return blocks


def _model(model: Mapping[str, Any]) -> _Pairs:
    revision = f" at {model['revision']}" if model["revision"] else ""
    rows: _Pairs = [("from", one_line(f"{model['name']}{revision}") or "not known")]
    chain = model["chain"]
    if isinstance(chain, Mapping):
        rows += [("base", _link(chain.get("base")))]
        rows += [("adapter", _link(adapter)) for adapter in chain.get("adapters") or ()]
    trained, total = model["parameters"].get("trained"), model["parameters"].get("total")
    if trained is not None and total is not None:
        share = f" ({trained / total:.2%})" if total else ""
        rows.append(("trained", f"{number(trained)} of {number(total)} parameters{share}"))
    dtypes = [model[key] if isinstance(model[key], Mapping) else {} for key in ("dtypes", "trained_dtypes")]
    if dtypes[0]:
        rows.append(("dtypes", _dtypes(dtypes[0])))
    if dtypes[1] and set(dtypes[1]) != set(dtypes[0]):
        rows.append(("of trained", _dtypes(dtypes[1])))
    if model["device"]:
        rows.append(("device", one_line(str(model["device"]))))
    return rows


def _dtypes(counts: Mapping[str, Any]) -> str:
    """Names, with their numbers of parameters where there are several."""
    if len(counts) == 1:
        return one_line(next(iter(counts)))
    return ", ".join(f"{one_line(dtype)} {_count(number)}" for dtype, number in counts.items())


def _link(entry: Any) -> str:
    """One model of a chain."""
    if not isinstance(entry, Mapping):
        return one_line(str(entry))
    revision = f" at {entry['revision']}" if entry.get("revision") else ""
    digest = f"  {str(entry['digest'])[:12]}" if entry.get("digest") else ""
    return one_line(f"{entry.get('name', '?')}{revision}{digest}")


def _data(data: Mapping[str, Any], stream: TextIO) -> list[RenderableType]:
    if not data["sources"] and not data["rows"]:
        return []
    blocks: list[RenderableType] = [heading("Data", f"mixture {str(data['mixture'])[:16]}" if data["mixture"] else "")]
    rows = [
        (
            one_line(str(source["label"])),
            source["for"] or "",
            source["layout"] or "",
            _count(source["available"]),
            _count(source["kept"]),
            f"{source['share']:.0%}" if isinstance(source["share"], int | float) else "",
            _count(source["tokens"]),
        )
        for source in data["sources"]
    ]
    if rows and is_narrow(stream, _WIDTH_OF_TABLE):
        blocks.append(pairs([(row[0], f"{row[4]} of {row[3]} rows, {row[6] or '?'} tokens, {row[2]}") for row in rows]))
    elif rows:
        header = ("source", "for", "layout", "usable", "kept", "share", "tokens")
        blocks.append(grid(header, rows, right=(3, 4, 5, 6)))
    facts: _Pairs = []
    for name in ("rows", "tokens"):
        counted = data[name]
        if isinstance(counted, Mapping):
            words = [f"{_count(counted[key])} {said}" for key, said in _COUNTED.items() if counted.get(key)]
            facts.append((name, ", ".join(words)))
    lengths = data["lengths"]
    if isinstance(lengths, Mapping):
        limit = f"; cut at {number(data['max_length'])}" if data["max_length"] else ""
        facts.append(("lengths", ", ".join(f"{one_line(k)} {_count(v)}" for k, v in lengths.items()) + limit))
    if data["truncated"]:
        facts.append(("truncated", Text(_reasons(data["truncated"]), style="yellow")))
    if data["dropped"]:
        facts.append(("dropped", Text(_reasons(data["dropped"]), style="yellow")))
    if data["digest"]:
        facts.append(("digest", one_line(str(data["digest"]))))
    return [*blocks, pairs(facts)]


def _checks(view: Mapping[str, Any], stream: TextIO) -> list[RenderableType]:
    checks = view["checks"]
    facts: _Pairs = []
    if isinstance(checks["share_in_loss"], int | float):
        facts.append(("in the loss", f"{checks['share_in_loss']:.1%} of the tokens"))
    stop = checks["stop_token"]
    if isinstance(stop, Mapping):
        trained = stop.get("trained")
        words = f"{one_line(str(stop.get('text')))} is {'' if trained else 'NOT '}trained"
        facts.append(("stop token", Text(words, style="" if trained else "red")))
    facts += [_told(name, fact) for name, fact in view["facts"].items()]
    blocks: list[RenderableType] = [heading("Checks"), pairs(facts)] if facts else []
    if view["warnings"]:
        blocks += [heading("Warnings"), lines(Text(one_line(one, _LONGEST), "yellow") for one in view["warnings"])]
    if checks["sample"]:
        segments = checks["sample"]["segments"]
        shown = "the loss covers the coloured text" if has_colour(stream) else "the loss covers the text in ⟦ ⟧"
        shown = "whole answers are scored" if view["data"]["loss"] == "score" else shown
        drawn = Padding(sample(segments, colour=has_colour(stream)), (0, 0, 0, 2))
        blocks += [heading("First sample", shown), drawn]
    return blocks


def _metrics(view: Mapping[str, Any]) -> list[RenderableType]:
    rows: _Pairs = [
        (one_line(name), f"{value:.6g}" if isinstance(value, int | float) else one_line(str(value)))
        for name, value in view["metrics"].items()
    ]
    if best := view["best_eval"]:
        rows.append((f"best {best['metric']}", f"{best['value']:.6g} at step {best['step']:,}"))
    aside = "" if view["status"] == "finished" else "the last of each that was logged"
    return [heading("Metrics", aside), pairs(rows)] if rows else []


def _circumstances(view: Mapping[str, Any]) -> _Pairs:
    rows: _Pairs = [("versions", _named(view["versions"]))]
    if view["host"]:
        rows.append(("host", _named(view["host"])))
    rows += [("reason", one_line(str(reason), _LONGEST)) for reason in view["plan"].get("reasons") or ()]
    if view["plan"].get("command"):
        rows.append(("command", one_line(str(view["plan"]["command"]))))
    return [row for row in rows if row[1]]


def _files(view: Mapping[str, Any]) -> list[RenderableType]:
    verdicts = {one["name"]: one for one in view["verified"] or ()}
    rows = []
    for file in view["files"]:
        verdict = verdicts.pop(file["name"], None)
        rows.append((one_line(file["name"]), _size(file.get("bytes")), *_digest(file, verdict)))
    rows += [(one_line(name), "", "", _verdict(one)) for name, one in verdicts.items()]
    blocks: list[RenderableType] = []
    if rows:
        header = ("file", "size", "sha256", "" if view["verified"] is None else "is")
        blocks += [heading("Files"), grid(header, rows, right=(1,))]
    if view["checkpoints"]:
        found = [
            f"{one['name']}, {bytes_as_text(one['bytes'])}" + ("" if one["whole"] else ", not whole")
            for one in view["checkpoints"]
        ]
        blocks += [heading("Checkpoints"), lines(found)]
    if view["logged"]:
        blocks.append(Text(f"\n  {count(len(view['logged']), 'metric')} logged: --curves draws them", style="dim"))
    return blocks


def _digest(file: Mapping[str, Any], verdict: Mapping[str, str] | None) -> tuple[str, Text]:
    digest = str(file.get("sha256") or "")[:12]
    return digest, _verdict(verdict) if verdict else Text()


def _verdict(one: Mapping[str, str]) -> Text:
    good = one["verdict"] in ("as it was", "new")
    words = one["verdict"] if good else f"{one['verdict']}: {one['detail']}".rstrip(": ")
    return Text(words, style="green" if one["verdict"] == "as it was" else "dim" if good else "red")


def _told(name: str, fact: Any) -> tuple[str, str]:
    """A fact of our own in words; whatever else a task found out, as it called it."""
    if name == "cpu_rows_end_to_end":
        return "batches", "rows end to end, without padding" if fact else "rows side by side, padded"
    if name == "reference" and isinstance(fact, Mapping):
        kind = "a model of its own" if fact.get("separate") else "the model before training"
        rest = {key: value for key, value in fact.items() if key not in ("separate", "model")}
        return "reference", one_line(f"{fact.get('model')}, {kind}, {_fact(rest)}", _LONGEST)
    if name == "first_step" and isinstance(fact, Mapping):
        words = {"drift_per_token": "drift from the reference in nats a token"}
        return "first step", one_line(_fact({words.get(key, key): value for key, value in fact.items()}), _LONGEST)
    if name.endswith("_bytes") and isinstance(fact, list) and all(isinstance(one, int) for one in fact):
        name, fact = name.removesuffix("_bytes"), ", ".join(map(bytes_as_text, fact))
    return one_line(name.replace("_", " ")), one_line(_fact(fact), _LONGEST)


def _fact(value: Any) -> str:
    """What a task found out, as a person reads it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {_fact(inner)}" for name, inner in value.items())
    return spelled(value)


def _named(entries: Mapping[str, Any]) -> str:
    """Names with their values; what is empty is not told."""
    told = {name: ", ".join(map(str, v)) if isinstance(v, list) else str(v) for name, v in entries.items()}
    return ", ".join(f"{one_line(name)} {one_line(words)}" for name, words in told.items() if words)


def _epochs(value: float) -> str:
    return f"{value:.4g} epoch{'' if value == 1 else 's'}"


def _size(value: Any) -> str:
    return bytes_as_text(value) if isinstance(value, int) else ""


def _count(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else ""


def _reasons(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_count(n)} {one_line(str(reason))}" for reason, n in value.items() if n)
    return f"{_count(value)} rows" if isinstance(value, int) else one_line(json.dumps(value))
