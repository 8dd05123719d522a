"""What a run needs, on a dry run's page: memory by parts and by strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import RenderableType
from rich.text import Text

from align_cli.cli.render.page import duration, emit, grid, heading, lines, pairs
from align_cli.cli.size import bytes_as_text

_STYLES = {"fits": "green", "is tight": "yellow", "does not fit": "red"}
_PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "reference", "process")


def memory_of(memory: Mapping[str, Any] | None) -> list[RenderableType]:
    """Heading, parts of the planned strategy, and the table; for the document of `cli.memory.document`."""
    if memory is None:
        return []
    planned = memory["planned"]
    if planned is None:
        return [heading("Memory", "estimated"), lines([memory["why"]])]
    parts = planned["parts"]
    said = ", ".join(f"{name} {bytes_as_text(parts[name])}" for name in _PARTS if parts[name] > 0)
    total = Text(f"each process needs {bytes_as_text(planned['bytes'])}: {said}")
    about = f"estimated for {memory['rows']} sequences of {memory['length']:,} tokens at once"
    rows = []
    for row in memory["table"]:
        name = row["strategy"] + ("" if row["offload"] == "none" else f", offload {row['offload']}")
        is_plan = (row["strategy"], row["offload"]) == (planned["strategy"], planned["offload"])
        main = bytes_as_text(row["host_bytes"]) if row["host_bytes"] else ""
        of = bytes_as_text(row["available"]) if row["available"] else ""
        verdict = Text(row["verdict"], style=_STYLES.get(row["verdict"], ""))
        rows.append((name, bytes_as_text(row["bytes"]), of, main, verdict, "planned" if is_plan else ""))
    header = ("strategy", "each device", "of", "main memory", "", "")
    blocks: list[RenderableType] = [heading("Memory", about), lines([total]), grid(header, rows, right=(1, 2, 3))]
    if memory["remedies"]:
        found = [
            f"{one['words']}: {bytes_as_text(one['bytes'])}{'' if one['fits'] else ', not enough alone'}"
            for one in memory["remedies"]
        ]
        blocks.append(lines(["what helps, the cheapest first:", *found]))
    return blocks


def time_of(time: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The row of a dry run's arithmetic; for the document of `cli.memory.time_of`."""
    if time is None:
        return []
    if time["seconds"] is None:
        return [("time", str(time["why"]))]
    return [("time", f"about {duration(time['seconds'])}, {time['why']}")]


def probed(summary: Mapping[str, Any], stream: TextIO) -> None:
    """What a probe found; for the document of `cli.probing.probe`."""
    of = f" of {bytes_as_text(summary['available'])}" if summary["available"] else ""
    peaks = [(f"process {one['rank']}", f"{bytes_as_text(one['peak_memory_bytes'])}{of}") for one in summary["ranks"]]
    if summary["estimated"]:
        peaks.append(("estimated", bytes_as_text(summary["estimated"])))
    took = [(name, duration(taken, fine=True)) for name, taken in summary["seconds"].items() if taken is not None]
    then = [("next", step) for step in summary["next"]]
    emit(stream, heading(summary["title"]), pairs([*peaks, *took, *then]))
