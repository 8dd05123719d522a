"""Data sets on the Hugging Face Hub: fetched by `datasets` into its own cache, then read as files like any other.

With `streaming`, only the first rows are fetched; see `hub_rows`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from align_cli.errors import DataError
from align_cli.mix.faults import fault
from align_cli.mix.sources.formats import File
from align_cli.mix.sources.locate import Located, Part, parse_split
from align_cli.mix.sources.splits import Slice
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
        with _quick_to_fail(source) as commit:
            if source.streaming:
                from align_cli.mix.sources import hub_rows

                return hub_rows.fetch(located, commit)
            builder = datasets.load_dataset_builder(
                source.path, source.config, revision=source.revision, data_files=list(source.data_files) or None
            )
            builder.download_and_prepare()
        names = list(builder.info.splits or {})
        terms = terms or (Slice(default_split(source, names)),)
        parts = []
        for term in terms:
            check_split(source, term.name, names)
            data: Any = builder.as_dataset(split=term.name)
            paths = [Path(entry["filename"]) for entry in data.cache_files]
            parts.append(Part(tuple(File(path, "arrow", f"{source.label} {term.name}") for path in paths), term))
        found = str(getattr(builder, "hash", "") or "")
    except DataError:
        raise
    except ImportError:
        raise fault(source.label, "reading from the Hub needs the package datasets", "pip install datasets") from None
    except Exception as error:  # noqa: BLE001 - three libraries raise what they like
        raise unreachable(source, error) from None
    identity = {"hub": source.path, "config": source.config, "commit": found, "data_files": list(source.data_files)}
    return replace(located, parts=tuple(parts), identity=identity)


@contextmanager
def _quick_to_fail(source: Source) -> Iterator[str]:
    """Ask the Hub once for the commit; "" without the Hub, when only the local cache is used, and at once.

    `datasets` tries again for half a minute, with a line of noise each time.
    """
    import datasets.config
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        yield ""
        return
    try:
        info = huggingface_hub.HfApi().dataset_info(source.path, revision=source.revision, timeout=15)
    except huggingface_hub.errors.HfHubHTTPError:
        raise
    except Exception:  # noqa: BLE001 - no route, no name, a proxy that says no: whatever the HTTP library calls it
        before = (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
        try:
            yield ""
        finally:
            constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
    else:
        yield info.sha or ""


def check_split(source: Source, name: str, names: Sequence[str]) -> None:
    """Refuse a split that does not exist, and list those that do."""
    if name not in names:
        raise fault(source.label, f'there is no split "{name}"', f"it has {', '.join(sorted(names))}")


def default_split(source: Source, names: Sequence[str]) -> str:
    """The split to read when the source names none: `train`, or what is there when it is one thing."""
    train = [name for name in names if "train" in name]
    if "train" in names or len(train) == 1 or len(names) == 1:
        return "train" if "train" in names else (train or names)[0]
    raise fault(source.label, f"which split? It has {', '.join(sorted(names))}", "name one: split: NAME")


def unreachable(source: Source, error: Exception) -> DataError:
    """The error for what the libraries raised; no secret of theirs is in it."""
    lines = str(error).strip().splitlines()
    reason = _SECRET.sub("hf_…", lines[0] if lines else "")
    name = type(error).__name__
    here = f'"{source.path}" is no file or folder here, so it was sought on the Hub'
    hint = "check the name; a private or gated set needs `hf auth login` or HF_TOKEN"
    if name == "GatedRepoError":
        hint = (
            f"open https://huggingface.co/datasets/{source.path} and ask for access; then `hf auth login` or HF_TOKEN"
        )
        return fault(source.label, f"{here}, which shows it only to those who were given access", hint)
    if name == "RevisionNotFoundError":
        return fault(source.label, f'the Hub has no revision "{source.revision}" of it', "a branch, a tag or a commit")
    if name in ("DatasetNotFoundError", "RepositoryNotFoundError"):
        return fault(source.label, f"{here}, which has no such data set", hint)
    if "BuilderConfig" in reason or "Config name is missing" in reason:
        known = ", ".join(re.findall(r"'([^']+)'", " ".join(lines).partition("vailable")[2].partition("]")[0]))
        what = f'no configuration "{source.config}"' if source.config else "more than one configuration"
        return fault(source.label, f"the data set has {what}", f"name one: config: {known}")
    if "401" in reason or "403" in reason:
        pass
    elif isinstance(error, ConnectionError) or "offline" in reason.lower() or "Connect" in name:
        hint = "check the network and HF_HUB_OFFLINE, or give a local path"
    else:
        hint = ""
    return fault(source.label, f"{here}: {name}: {reason}", hint)
