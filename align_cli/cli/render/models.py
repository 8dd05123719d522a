"""What a model is, and a merge while it goes on and when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from align_cli.cli.errors import without_secrets
from align_cli.cli.render.page import count, emit, heading, lines, number, pairs
from align_cli.cli.signs import one_line
from align_cli.cli.size import bytes_as_text
from align_cli.cli.text import has_colour, is_terminal

_TARGETS = 8  # names shown; --json has all
_LONGEST = 90  # characters of one value
Pairs = list[tuple[str, str | Text]]


def model(view: Mapping[str, Any], stream: TextIO) -> None:
    """`align model info`: the document that `--json` prints, see `models.describe.Description`."""
    title = Text(view["name"], style="bold").append(f"  {view['holds']}", style="dim")
    place: Pairs = [("folder", view["folder"])]
    if view["adapter"]:
        blocks: list[RenderableType] = [title, pairs(place)]
        blocks += [heading("Adapter"), pairs(_adapter(view["adapter"], view["adapter_weights"]))]
        if facts := _facts(view):
            blocks += [heading("Base"), pairs(facts)]
    else:
        blocks = [title, pairs(place + _facts(view))]
    if view["chain"]:
        made = "Made of" if view["merged"] else "Chain"
        blocks += [heading(made), pairs(_chain(view["chain"]))]
    if view["merged"]:
        verified = view["merged"]["verified"]
        words = f"{view['merged']['how']}; logits differ by at most {verified['largest']:.2g} ({verified['dtype']})"
        blocks.append(pairs([("merged", words)]))
    blocks += [heading("Words"), pairs(_words(view))]
    if view["made_by"]:
        blocks += [heading("Made by"), pairs(_made_by(view["made_by"]))]
    if view["problems"]:
        blocks += [heading("Problems"), lines(Text(one_line(words), style="yellow") for words in view["problems"])]
    emit(stream, *blocks)


def merged(view: Mapping[str, Any], words: str, stream: TextIO) -> None:
    """The end of `align model merge`; `words` say what the comparison found."""
    chain = view["chain"]
    parts = " + ".join(link["name"] for link in (chain["base"], *chain["adapters"]))
    rows: Pairs = [("model", view["folder"]), ("made of", parts), ("how", view["how"]), ("compared", words)]
    rows.append(("next", f"align chat {view['folder']}"))
    emit(stream, heading("Merged"), pairs(rows))


def exported(view: Mapping[str, Any], words: str, stream: TextIO) -> None:
    """The end of `align model export`."""
    rows: Pairs = [("file", f"{view['file']}, {bytes_as_text(view['bytes'])}"), ("model", view["model"])]
    rows += [("compared", words), ("next", f"llama-cli -m {view['file']} -cnv")]
    emit(stream, heading("Exported"), pairs(rows))


class Moments(Protocol):
    """What a merge needs of a display."""

    def say(self, line: str) -> None:
        """Show one sentence."""

    def progress(self, done: int, of: int, what: str) -> None:
        """Show that `done` of `of` tensors are there, the last of them in the shard `what`."""


@contextmanager
def steps(stream: TextIO) -> Iterator[Moments]:
    """A bar over tensors in a terminal, a line for each shard elsewhere."""
    if not (is_terminal(stream) and has_colour(stream)):
        yield _Lines(stream)
        return
    console = Console(file=stream, highlight=False, emoji=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        yield _Bar(bar)


class _Lines:
    """A line when a shard is begun: there may be hundreds of tensors in it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._what = ""

    def say(self, line: str) -> None:
        self._stream.write(without_secrets(line) + "\n")
        self._stream.flush()

    def progress(self, done: int, of: int, what: str) -> None:
        if what != self._what:
            self._what = what
            self.say(f"writing {what} (tensor {done} of {of})")


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, visible=False)

    def say(self, line: str) -> None:
        self._bar.console.print(without_secrets(line), markup=False, soft_wrap=True)

    def progress(self, done: int, of: int, what: str) -> None:
        self._bar.update(self._task, description=what, completed=done, total=of, visible=done < of)


def _facts(view: Mapping[str, Any]) -> Pairs:
    """Of the weights at the bottom: a plain model's own, or those of an adapter's base."""
    shape = view["architecture"]
    rows: Pairs = []
    if shape["class"] or shape["model_type"]:
        parts = [str(shape["class"] or shape["model_type"])]
        for key, noun in (("layers", "layer"), ("heads", "head"), ("experts", "expert")):
            if shape[key]:
                parts.append(count(shape[key], noun))
        if shape["width"]:
            parts.insert(2, f"width {shape['width']:,}")
        rows.append(("architecture", ", ".join(parts)))
    weights = view["weights"]
    if weights and weights["parameters"]:
        dtypes = weights["dtypes"]
        kinds = next(iter(dtypes)) if len(dtypes) == 1 else ", ".join(f"{n:,} {name}" for name, n in dtypes.items())
        rows.append(("parameters", f"{weights['parameters']:,} ({kinds})"))
    if weights:
        rows.append(("weights", f"{bytes_as_text(weights['bytes'])} in {count(weights['shards'], 'file')}"))
    if shape["quantised"]:
        rows.append(("quantised", str(shape["quantised"])))
    if view["context_length"]:
        rows.append(("context", f"{view['context_length']:,} tokens"))
    return rows


def _words(view: Mapping[str, Any]) -> Pairs:
    vocabulary = view["vocabulary"]
    parts = []
    if vocabulary["tokenizer"] is not None:
        parts.append(f"{vocabulary['tokenizer']:,} tokens")
    if vocabulary["embeddings"] is not None:
        tied = " (tied to the head)" if vocabulary["is_tied"] else ""
        parts.append(f"{vocabulary['embeddings']:,} rows of embeddings{tied}")
    vocabulary_text = Text(", ".join(parts) or "no tokenizer")
    if vocabulary["exceeds"]:
        vocabulary_text.stylize("yellow")
    rows: Pairs = [("vocabulary", vocabulary_text)]
    if view["special_tokens"]:
        special = view["special_tokens"].items()
        rows.append(("special", ", ".join(f"{name.removesuffix('_token')} {one_line(text)}" for name, text in special)))
    rows.append(("template", _template(view["chat_template"])))
    if view["generation"]:
        said = ", ".join(f"{key} {value}" for key, value in view["generation"].items())
        rows.append(("generation", one_line(said)))
    return rows


def _template(template: Mapping[str, Any] | None) -> str | Text:
    if template is None:
        return Text("none: this is no chat model yet", style="dim")
    same = f", the shipped {template['same_as']}" if template["same_as"] else ""
    marks = "marks" if template["has_markers"] else "does not mark"
    system = "knows" if template["knows_system"] else "does not know"
    closes = f"closes a turn with {one_line(template['closes_with'])}" if template["closes_with"] else (
        "closes a turn with no special token"
    )  # fmt: skip
    return f"{template['source']}{same}; {closes}; {marks} what is generated; {system} system turns"


def _adapter(adapter: Mapping[str, Any], weights: Mapping[str, Any] | None) -> Pairs:
    rows: Pairs = [("kind", ", ".join([adapter["kind"], *adapter["variant"]]))]
    if adapter["rank"] is not None:
        rows.append(("rank", f"{adapter['rank']}, alpha {adapter['alpha']}"))
    if weights:
        dtypes = ", ".join(weights["dtypes"])
        rows.append(("parameters", f"{weights['parameters']:,} ({dtypes}), {bytes_as_text(weights['bytes'])}"))
    targets = adapter["targets"]
    if isinstance(targets, list):
        more = f" and {len(targets) - _TARGETS} more" if len(targets) > _TARGETS else ""
        targets = ", ".join(sorted(targets)[:_TARGETS]) + more
    changes = f"{count(adapter['modules'], 'weight')}: " if adapter["modules"] is not None else ""
    rows.append(("changes", f"{changes}{one_line(str(targets), _LONGEST * 2)}"))
    if adapter["whole"]:
        rows.append(("replaces", one_line(", ".join(adapter["whole"]), _LONGEST)))
    return rows


def _chain(chain: Mapping[str, Any]) -> Pairs:
    rows: Pairs = [("base", _link(chain["base"]))]
    for link in chain["adapters"]:
        contains = link.get("contains")
        parts = contains if isinstance(contains, int) else len(contains or ())
        holds = f" (the sum of {parts} adapters)" if parts > 1 else ""
        rows.append(("adapter", f"{_link(link)}{holds}"))
    return rows


def _link(link: Mapping[str, Any]) -> str:
    return str(link["name"]) + (f" @ {link['revision']}" if link["revision"] else "")


def _made_by(made: Mapping[str, Any]) -> Pairs:
    rows: Pairs = [("run", f"{made['run']}, align train {made['task']}, finished {made['finished']}")]
    if made["from"]:
        rows.append(("from", str(made["from"])))
    if made["data"]:
        rows.append(("data", one_line(", ".join(made["data"]), _LONGEST)))
    if made["results"]:
        values = ", ".join(f"{name} {number(value)}" for name, value in made["results"].items())
        steps_done = f", {count(made['steps'], 'step')}" if made["steps"] else ""
        rows.append(("results", f"{values}{steps_done}"))
    return rows
