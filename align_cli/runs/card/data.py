"""What a model card says about the data: sources with licence and share, rows, tokens, and the mixture's digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from align_cli.packages import SCHEME
from align_cli.runs.card import names as card_names
from align_cli.runs.card.front import is_public
from align_cli.runs.reading.record import mapping, mappings

_HEADER = ("source", "licence", "taken", "rows there", "rows used", "share", "tokens")
_RIGHT = 3  # columns from here on hold numbers


def section(report: Mapping[str, Any]) -> str:
    """The card's section; empty where nothing is known."""
    mixture = mapping(report.get("mixture"))
    tokens = {str(entry.get("label")): entry.get("tokens") for entry in mappings(report.get("per_source"))}
    rows = [_row(source, tokens) for source in mappings(mixture.get("sources"))]
    lines = _table(rows) if rows else []
    counted, of_tokens = mapping(report.get("rows")), mapping(report.get("tokens"))
    said = []
    if counted:
        said.append(f"{_number(counted.get('train'))} rows were trained on, {_number(counted.get('eval'))} evaluated.")
    if of_tokens:
        share = of_tokens.get("share_in_loss")
        in_loss = f", {share:.0%} of them in the loss" if isinstance(share, int | float) else ""
        said.append(f"{_number(of_tokens.get('train'))} tokens{in_loss}.")
    if report.get("truncated"):
        said.append(f"Rows cut at {report.get('max_length')} tokens: {_reasons(report['truncated'])}.")
    if dropped := _reasons(report.get("dropped")):
        said.append(f"Left out: {dropped}.")
    if mixture.get("digest"):
        said.append(f"Mixture `{str(mixture['digest'])[:16]}`.")
    if not lines and not said:
        return ""
    return "\n".join(["## Data", "", *lines, *([""] if lines and said else []), *said])


def licence_of(source: Mapping[str, Any]) -> str:
    """The licence of a source, where it is on this machine: a package's, or that of a data set's page in the cache."""
    path = str(source.get("path") or "")
    if path.startswith(SCHEME):
        return _of_package(path.removeprefix(SCHEME).partition("/")[0])
    if is_public(source):
        return _of_page(path, mapping(source.get("identity")).get("commit"))
    return ""


def _row(source: Mapping[str, Any], tokens: Mapping[str, Any]) -> list[str]:
    label, path = str(source.get("label") or ""), str(source.get("path") or "")
    name = card_names.link(path, "datasets/") if is_public(source) else f"`{card_names.public(path or label)}`"
    shown = card_names.public(label)
    if label and label != path and shown not in name:
        name = f"{shown}, {name}"
    is_evaluation = source.get("for") == "eval"
    share = source.get("share")
    return [
        f"{name} (evaluation)" if is_evaluation else name,
        licence_of(source),
        str(source.get("taken") or ""),
        _number(source.get("available")),
        _number(source.get("kept")),
        f"{share:.0%}" if isinstance(share, int | float) else "",
        "" if is_evaluation else _number(tokens.get(label)),
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """A Markdown table without the columns in which nothing stands."""
    kept = [index for index in range(len(_HEADER)) if any(row[index] for row in rows)]
    lines = [
        "| " + " | ".join(_HEADER[index] for index in kept) + " |",
        "| " + " | ".join("---:" if index >= _RIGHT else "---" for index in kept) + " |",
    ]
    return lines + ["| " + " | ".join(row[index].replace("|", "\\|") for index in kept) + " |" for row in rows]


def _of_package(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, metadata, packages_distributions

    try:
        distribution = next(iter(packages_distributions().get(name, ())), name)
        found = metadata(distribution)
    except PackageNotFoundError:
        return ""
    named = [found[key] for key in ("License-Expression", "License") if key in found]
    licence = str(next(filter(None, named), ""))
    return licence if len(licence) <= 40 and "\n" not in licence else ""


def _of_page(name: str, commit: Any) -> str:
    """From the front matter of a data set's page that the Hub's library has in its cache; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.repocard import metadata_load

    try:
        page = try_to_load_from_cache(name, "README.md", repo_type="dataset", revision=str(commit) if commit else None)
        found = metadata_load(page) if isinstance(page, str) else None
    except (OSError, ValueError, HFValidationError):
        return ""
    licence = (found or {}).get("license")
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or "")


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _reasons(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_number(count)} {reason}" for reason, count in value.items() if count)
    return _number(value) if value else ""
