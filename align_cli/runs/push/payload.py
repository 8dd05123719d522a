"""What of a finished run goes to the Hub, and what stays on this machine."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from align_cli.fingerprints import of_file
from align_cli.runs.card import use as card_use
from align_cli.runs.directory import OURS
from align_cli.runs.reading.record import Record, mapping

#: Pickled settings with places of this machine; hidden files. Everything that is not listed in the manifest
#: (checkpoints, trackers' logs, what came later) stays as well.
_STAYS = ("training_args.bin", ".*")
#: What others need to do it again. The rest of `align/` has names of local files and a row of the data in it.
_OURS = ("recipe.yaml", "overrides.txt", "metrics.jsonl")


CARD = "README.md"


class Item(NamedTuple):
    """One file to be on the Hub."""

    path: Path
    name: str
    """Its path in the repository."""
    num_bytes: int
    sha256: str
    content: bytes | None = None
    """What is sent instead of the file's content: the card says where it is."""


class Payload(NamedTuple):
    """The files of a run, sorted by name."""

    items: list[Item]
    stays: list[str]
    """Files and folders at the top of the run that are not sent."""


def of(record: Record) -> Payload:
    """Files that the manifest lists and that are not only of use here, and what others need to do it again.

    Raises:
        OSError: a file cannot be read.
    """
    listed = [name for name in mapping((record.manifest or {}).get("files")) if not _stays(name)]
    ours = [f"{OURS}/{name}" for name in _OURS if (record.path / OURS / name).is_file()]
    items = []
    for name in sorted([*listed, *ours]):
        found = of_file(record.path / name)
        items.append(Item(record.path / name, name, found.bytes, found.sha256))
    sent = {item.name for item in items}
    stays = sorted(child.name for child in record.path.iterdir() if child.name not in sent and child.name != OURS)
    return Payload(items, stays)


def addressed(items: list[Item], *, names: list[str], repo: str) -> list[Item]:
    """The items, with a card whose code loads from `repo` instead of from one of `names` or from no address."""
    found = []
    for item in items:
        if item.name == CARD:
            text = card_use.addressed(item.path.read_text(encoding="utf-8"), names=names, repo=repo)
            content = text.encode()
            item = Item(item.path, CARD, len(content), hashlib.sha256(content).hexdigest(), content)
        found.append(item)
    return found


def local_base(record: Record) -> str | None:
    """The folder of this machine that an adapter names as its base: others cannot load such an adapter."""
    try:
        config = json.loads((record.path / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    base = mapping(config).get("base_model_name_or_path")
    return base if isinstance(base, str) and base and Path(base).expanduser().exists() else None


def _stays(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in _STAYS)
