"""Data sets on the Hugging Face Hub: fetched by `datasets` into its own cache, then read as files like any other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from align_cli.errors import DataError
from align_cli.mix.faults import fault
from align_cli.mix.formats import File
from align_cli.mix.locate import Located, Part, parse_split
from align_cli.mix.splits import Slice
from align_cli.recipe.schema import Source

_SECRET = re.compile(r"hf_[A-Za-z0-9]{8,}")


def fetch(located: Located) -> Located:
    """The source with its files on this machine, and the commit that they are.

    Raises:
        DataError: the Hub cannot be reached, does not have it, or does not show it to you.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    source = located.source
    terms = parse_split(source)
    try:
        import datasets

        datasets.disable_progress_bars()
        with _quick_to_fail(source):
            builder = datasets.load_dataset_builder(
                source.path, source.config, revision=source.revision, data_files=list(source.data_files) or None
            )
            builder.download_and_prepare()
        names = list(builder.info.splits or {})
        terms = terms or (Slice(_default_split(source, names)),)
        parts = []
        for term in terms:
            if term.name not in names:
                raise fault(source.label, f'there is no split "{term.name}"', f"it has {', '.join(sorted(names))}")
            data: Any = builder.as_dataset(split=term.name)
            paths = [Path(entry["filename"]) for entry in data.cache_files]
            parts.append(Part(tuple(File(path, "arrow", f"{source.label} {term.name}") for path in paths), term))
        commit = str(getattr(builder, "hash", "") or "")
    except DataError:
        raise
    except ImportError:
        raise fault(source.label, "reading from the Hub needs the package datasets", "pip install datasets") from None
    except Exception as error:  # noqa: BLE001 - three libraries raise what they like
        raise _unreachable(source, error) from None
    identity = {"hub": source.path, "config": source.config, "commit": commit, "data_files": list(source.data_files)}
    return replace(located, parts=tuple(parts), identity=identity)


@contextmanager
def _quick_to_fail(source: Source) -> Iterator[None]:
    """Ask the Hub once whether it is there; without it only the local cache is used, and at once.

    `datasets` tries again for half a minute, with a line of noise each time.
    """
    import datasets.config
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        yield
        return
    try:
        huggingface_hub.HfApi().dataset_info(source.path, revision=source.revision, timeout=15)
    except huggingface_hub.errors.HfHubHTTPError:
        raise
    except Exception:  # noqa: BLE001 - no route, no name, a proxy that says no: whatever the HTTP library calls it
        before = (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
    else:
        yield


def _default_split(source: Source, names: list[str]) -> str:
    train = [name for name in names if "train" in name]
    if "train" in names or len(train) == 1 or len(names) == 1:
        return "train" if "train" in names else (train or names)[0]
    raise fault(source.label, f"which split? It has {', '.join(sorted(names))}", "name one: split: NAME")


def _unreachable(source: Source, error: Exception) -> DataError:
    lines = str(error).strip().splitlines()
    reason = _SECRET.sub("hf_…", lines[0] if lines else "")
    name = type(error).__name__
    if name in ("DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError") or "401" in reason:
        hint = "check the name; a private or gated set needs `hf auth login` or HF_TOKEN"
    elif isinstance(error, ConnectionError) or "offline" in reason.lower() or "Connect" in name:
        hint = "check the network and HF_HUB_OFFLINE, or give a local path"
    else:
        hint = ""
    here = f'"{source.path}" is no file or folder here, so it was sought on the Hub'
    return fault(source.label, f"{here}: {name}: {reason}", hint)
