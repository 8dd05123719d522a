"""Which files make a model, and the digest of what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from align_cli.files import digest_of
from align_cli.fingerprints import of_file

WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")
TOKENIZER = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "*.jinja", "*.model", "vocab*", "merges.txt",
)  # fmt: skip
CONFIG = ("config.json", "generation_config.json", "*.py")


def files_of(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Files at the top of `folder` that match one of the patterns, sorted by name."""
    found = {file.name: file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return [found[name] for name in sorted(found)]


def digest_of_model(folder: Path) -> str:
    """Of weights, config and tokenizer; runs, cards and logs beside them do not count."""
    return digest_of_files(folder, (*WEIGHTS, *CONFIG, *TOKENIZER))


def digest_of_files(folder: Path, patterns: Iterable[str]) -> str:
    """Of the names and contents of the files that match."""
    return digest_of({file.name: _sha256(file) for file in files_of(folder, patterns)})


def _sha256(file: Path) -> str:
    """Of the content. The Hub's cache names a large file by it already."""
    blob = file.resolve()
    if blob.parent.name == "blobs" and len(blob.name) == 64:
        return blob.name
    return of_file(file).sha256
