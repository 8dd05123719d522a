"""The card of an exported data set: which file is which split, and what the rows were mixed from."""

from __future__ import annotations

import json
from collections.abc import Mapping

from align_cli import __version__
from align_cli.mix.build import Build
from align_cli.mix.exports.export_rows import labels_of


def text(build: Build, title: str, splits: Mapping[str, str]) -> str:
    """README.md for the Hub and for `load_dataset`; `splits` is split -> file. No path of this machine is in it."""
    report = build.report
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, file in splits.items():
        lines += [f"  - split: {split}", f"    path: {file}"]
    lines += ["tags:", "- align", "---", "", f"# {_cell(title)}", ""]
    evaluation = f" and {build.num_eval:,} to evaluate on" if build.num_eval else ""
    lines += [
        f"{build.num_train:,} rows to train on{evaluation}, mixed by align {__version__}: "
        f"combined as {report['combine']}, {report.get('order', 'shuffled')}, seed {report['seed']}.",
        "",
        "| source | for | taken | rows | share |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for label, source in zip(labels_of(report), report["sources"], strict=True):
        cells = (_cell(label), source["for"], _cell(str(source["taken"])), f"{source['kept']:,}", _share(source))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "The column `source` names the source of each row.", ""]
    cleaned = {step: count for step, count in report.get("cleaned", {}).get("steps", {}).items() if count}
    if cleaned:
        lines += ["Left out: " + ", ".join(f"{count:,} {step}" for step, count in cleaned.items()) + ".", ""]
    lines += [f"Digest of the mixture: `{build.digest}`", ""]
    return "\n".join(lines)


def _share(source: Mapping[str, object]) -> str:
    share = source.get("share")
    return f"{share:.1%}" if isinstance(share, float | int) else ""


def _cell(value: str) -> str:
    """Text that neither ends a table's cell nor the line."""
    printable = json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"')
    return printable.replace("|", "\\|").replace("<", "&lt;")
