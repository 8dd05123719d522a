"""The one JSON document that `--json` promises."""

from __future__ import annotations

import json
from typing import Any, TextIO

from align_cli.cli.errors import without_secrets


def write(document: Any, stream: TextIO) -> None:
    """Write `document` as indented JSON, without secrets; what JSON has no word for becomes text."""
    stream.write(without_secrets(json.dumps(document, indent=2, ensure_ascii=False, default=str)) + "\n")
    stream.flush()
