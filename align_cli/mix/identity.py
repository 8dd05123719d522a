"""What a mixture is made of, as digests: equal for any path, name or date, and not for any changed byte or choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from align_cli import files
from align_cli.mix.locate import Located
from align_cli.mix.opening import spoilt
from align_cli.recipe.schema import Mixture, Source

#: Raised whenever the same inputs would give other rows; part of every digest.
CODE_VERSION = 1


def of(located: Located) -> dict[str, Any]:
    """What the rows depend on: the bytes of the files, not their paths or dates."""
    if located.identity:
        return dict(located.identity)
    entries = []
    for file in dict.fromkeys(file for part in located.parts for file in part.files):
        try:
            size, digest = file.path.stat().st_size, files.digest_of_file(file.path)
        except OSError as error:
            raise spoilt(file, f"the file cannot be read: {error.strerror or error}") from None
        entries.append({"name": file.path.name, "bytes": size, "sha256": digest})
    return {"files": entries}


def content(identity: dict[str, Any]) -> dict[str, Any]:
    """The identity without what a file is called."""
    if "files" not in identity:
        return identity
    return {**identity, "files": [[entry["bytes"], entry["sha256"]] for entry in identity["files"]]}


def digest(mixture: Mixture, kinds: Sequence[str], identities: Sequence[dict[str, Any]]) -> str:
    """Address of the result: every parameter and every source's content, and nothing that cannot change a row."""

    def parameters(source: Source, identity: dict[str, Any]) -> dict[str, Any]:
        values = asdict(source)
        for cosmetic in ("path", "name", "revision", "data_files"):
            values.pop(cosmetic)
        return {**values, "content": content(identity)}

    split_at = len(mixture.sources)
    return files.digest_of(
        {
            "code": CODE_VERSION,
            "kinds": list(kinds),
            "train": [parameters(*pair) for pair in zip(mixture.sources, identities[:split_at], strict=True)],
            "eval": [parameters(*pair) for pair in zip(mixture.eval, identities[split_at:], strict=True)],
            "held_out": mixture.held_out,
            "seed": mixture.seed,
            "combine": mixture.combine,
            "on_bad_rows": mixture.on_bad_rows,
        }
    )
